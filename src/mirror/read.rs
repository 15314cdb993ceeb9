//! Reading a mirror file's bytes, sure that they are all of one state of the file. Every byte that is read of a
//! mirror comes through here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::FileError;
use crate::stamp::Stamp;

/// A file that is being read.
pub struct Reading<'a> {
    path: &'a Path,
    stamp: &'a Stamp,
    file: File,
    /// How many bytes are still to come.
    left: u64,
}

impl<'a> Reading<'a> {
    /// Opens the file at `path`, which should have `stamp`.
    pub fn open(path: &'a Path, stamp: &'a Stamp) -> Result<Self, FileError> {
        let file = open(path).map_err(|source| io_error(path, source))?;
        Ok(Self { path, stamp, file, left: stamp.size })
    }

    /// Reads the file's next bytes, and says how many: only at its end fewer than `buffer` holds, and none behind it.
    /// An error at the end unless the file has its stamp then, and had as many bytes as that says: then it had it
    /// before too.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, FileError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io_error(self.path, error)),
            }
        }
        self.left = self.left.checked_sub(filled as u64).ok_or_else(|| self.changed())?;
        if filled == 0 {
            if self.left > 0 {
                return Err(self.changed());
            }
            self.check()?;
        }
        Ok(filled)
    }

    /// An error unless the file has its stamp now.
    pub fn check(&self) -> Result<(), FileError> {
        let found = self.file.metadata().map_err(|source| io_error(self.path, source))?;
        if Stamp::of(&found) == *self.stamp { Ok(()) } else { Err(self.changed()) }
    }

    fn changed(&self) -> FileError {
        FileError::Changed { path: self.path.into() }
    }
}

fn io_error(path: &Path, source: io::Error) -> FileError {
    FileError::Io { path: path.into(), source: Arc::new(source) }
}

/// Gives the bytes of the file at `path` to `take`, in order, at most `buffer` at a time, until it breaks.
///
/// An error unless the file has `stamp` after that, and, if all was taken, as many bytes as it says.
pub fn read(
    path: &Path,
    stamp: &Stamp,
    buffer: &mut [u8],
    mut take: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), FileError> {
    let mut reading = Reading::open(path, stamp)?;
    loop {
        match reading.fill(buffer)? {
            0 => return Ok(()),
            filled if take(&buffer[..filled]).is_break() => return reading.check(),
            _ => {}
        }
    }
}

/// Should a pipe have taken the file's place since the walk, opening it does not wait for a writer.
///
/// Reading leaves access times alone: to write them for every file of a mirror costs more than to read their heads.
/// The system allows that for one's own files only.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    static IS_ALLOWED: AtomicBool = AtomicBool::new(true);
    let open = |flags| OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | flags).open(path);
    if IS_ALLOWED.load(Ordering::Relaxed) {
        match open(libc::O_NOATIME) {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => IS_ALLOWED.store(false, Ordering::Relaxed),
            result => return result,
        }
    }
    open(0)
}

/// Whether the file at `path` has `stamp` now.
pub fn has_stamp(path: &Path, stamp: &Stamp) -> bool {
    fs::metadata(path).is_ok_and(|now| now.is_file() && Stamp::of(&now) == *stamp)
}

#[cfg(test)]
mod tests {
    use super::*;
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
