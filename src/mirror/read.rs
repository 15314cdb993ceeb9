//! Reads a mirror file's first bytes, and makes sure that they are all of one state of the file.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::FileError;
use crate::file;
use crate::file::Stamp;

/// Passes the bytes of the file at `path` to `take`, in order, at most `buffer` at a time, until `take` breaks.
///
/// # Errors
/// The file cannot be read, does not have `stamp` afterwards, or ends before the length in `stamp`.
pub fn read(
    path: &Path,
    stamp: &Stamp,
    buffer: &mut [u8],
    mut take: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), FileError> {
    let changed = || FileError::Changed { path: path.into() };
    let failed = |source| FileError::Io { path: path.into(), source: Arc::new(source) };
    let mut file = file::open(path).map_err(failed)?;
    let mut left = stamp.size;
    loop {
        let filled = fill(&mut file, buffer).map_err(failed)?;
        left = left.checked_sub(filled as u64).ok_or_else(changed)?;
        let is_end = filled == 0;
        if is_end && left > 0 {
            return Err(changed());
        }
        if is_end || take(&buffer[..filled]).is_break() {
            let found = file.metadata().map_err(failed)?;
            return if Stamp::of(&found) == *stamp { Ok(()) } else { Err(changed()) };
        }
    }
}

/// Fills `buffer` with a file's next bytes. Returns how many there were: fewer than `buffer` holds only at the end.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Whether the file at `path` has `stamp` now.
///
/// # Errors
/// The file cannot be looked at, for example because it is gone.
pub fn is_unchanged(path: &Path, stamp: &Stamp) -> io::Result<bool> {
    fs::metadata(path).map(|now| now.is_file() && Stamp::of(&now) == *stamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::io::Write as _;

    fn file_of(bytes: &[u8]) -> (tempfile::NamedTempFile, Stamp) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let stamp = Stamp::of(&file.as_file().metadata().unwrap());
        (file, stamp)
    }

    #[test]
    fn a_file_comes_whole_and_in_order() {
        let bytes: Vec<u8> = (0..10_000).map(|at| (at % 251) as u8).collect();
        let (file, stamp) = file_of(&bytes);
        let mut seen = Vec::new();
        let take = |piece: &[u8]| {
            seen.extend_from_slice(piece);
            ControlFlow::Continue(())
        };
        read(file.path(), &stamp, &mut [0; 999], take).unwrap();
        assert_eq!(seen, bytes);
    }

    #[test]
    fn a_file_that_grows_shrinks_or_is_written_to_while_it_is_read_is_noticed() {
        let changes: [fn(&Path); 3] = [
            |path| OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap(),
            |path| OpenOptions::new().write(true).open(path).unwrap().set_len(1500).unwrap(),
            |path| fs::write(path, [1; 5000]).unwrap(),
        ];
        for change in changes {
            let (file, stamp) = file_of(&[0; 5000]);
            file.as_file().set_modified(std::time::UNIX_EPOCH).unwrap();
            let stamp = Stamp { mtime_ns: 0, ..stamp };
            let mut pieces = 0;
            let take = |_: &[u8]| {
                pieces += 1;
                change(file.path());
                ControlFlow::Continue(())
            };
            let result = read(file.path(), &stamp, &mut [0; 1000], take);
            assert!(pieces > 0);
            assert!(matches!(result, Err(FileError::Changed { .. })), "{result:?}");
        }
    }

    #[test]
    fn a_pipe_in_the_files_place_does_not_block() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let (_, stamp) = file_of(b"x");
        let result = read(&path, &stamp, &mut [0; 10], |_| ControlFlow::Continue(()));
        assert!(matches!(result, Err(FileError::Changed { .. })), "{result:?}");
    }
}
