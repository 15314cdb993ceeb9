//! Reads whole regular files. What cannot be one is refused at once: opening a pipe would wait for a writer, and reading
//! some devices never ends.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;

use super::{kind, open};

/// Opens a regular file, or a link to one, for reading.
///
/// # Errors
/// It cannot be opened, or is something else.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // To open some devices has effects, so this is asked before. A pipe may take the file's place meanwhile.
    check(&fs::metadata(path)?)?;
    let file = open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

/// Reads a regular file, or a link to one, of at most `most` bytes.
///
/// # Errors
/// It cannot be read, is something else, or is longer.
pub fn read_regular(path: &Path, most: u64) -> io::Result<(Metadata, Vec<u8>)> {
    let file = open_regular(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::with_capacity(metadata.len().min(most) as usize + 1);
    // A file of /proc has no length, and another may grow.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let what = format!("it is longer than {} MiB, so it cannot be what its name says", most >> 20);
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok((metadata, bytes))
}

fn check(found: &Metadata) -> io::Result<()> {
    if found.is_file() {
        return Ok(());
    }
    let what = format!("it is not a regular file, but {}", kind(found.file_type()));
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_or_is_too_long_is_refused_at_once() {
        let place = tempfile::tempdir().unwrap();
        let pipe = place.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for (path, what) in
            [(pipe.as_path(), "a named pipe"), (Path::new("/dev/zero"), "a device"), (place.path(), "a directory")]
        {
            let error = read_regular(path, 1 << 20).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        let long = place.path().join("long");
        File::create(&long).unwrap().set_len((1 << 20) + 1).unwrap();
        assert!(read_regular(&long, 1 << 20).unwrap_err().to_string().contains("longer than 1 MiB"));
        assert_eq!(read_regular(&long, 2 << 20).unwrap().1.len(), (1 << 20) + 1);
    }
}
