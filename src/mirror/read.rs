//! Reads a mirror file's first bytes, and makes sure that they are all of one state of the file.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::FileError;
use crate::file;
use crate::file::Stamp;

/// The next bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    Bytes(&'a [u8]),
    /// A hole: this many zeros, which are not read.
    Zeros(u64),
}

/// Passes the bytes of the file at `path` to `take`, in order, at most `buffer` at a time, until `take` breaks.
///
/// # Errors
/// The file cannot be read, does not have `stamp` afterwards, or ends before the length in `stamp`. If only its ctime is
/// another, that is an error of its own: see [`Failure::Moved`].
pub fn read(
    path: &Path,
    stamp: &Stamp,
    buffer: &mut [u8],
    mut take: impl FnMut(Piece<'_>) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let changed = || Failure::File(FileError::Changed { path: path.into() });
    let failed = |source| Failure::File(FileError::Io { path: path.into(), source: Arc::new(source) });
    let mut file = file::open(path).map_err(failed)?;
    let mut left = stamp.size;
    loop {
        let filled = fill(&mut file, buffer).map_err(failed)?;
        left = left.checked_sub(filled as u64).ok_or_else(changed)?;
        let is_end = filled == 0;
        if is_end && left > 0 {
            return Err(changed());
        }
        let mut is_enough = is_end || take(Piece::Bytes(&buffer[..filled])).is_break();
        if !is_enough {
            let hole = hole(&mut file, stamp.size - left, stamp.size).map_err(failed)?;
            left -= hole;
            is_enough = hole > 0 && take(Piece::Zeros(hole)).is_break();
        }
        if is_enough {
            let found = Stamp::of(&file.metadata().map_err(failed)?);
            return match found {
                found if found == *stamp => Ok(()),
                found if found.is_same_but_ctime(stamp) => Err(Failure::Moved(found)),
                _ => Err(changed()),
            };
        }
    }
}

/// The length of the hole at `offset`, where the file is now; the file is after it then. A file system that keeps no holes
/// has none.
fn hole(file: &mut File, offset: u64, length: u64) -> io::Result<u64> {
    let end = match rustix::fs::seek(&*file, rustix::fs::SeekFrom::Data(offset)) {
        Ok(data) => data.min(length),
        Err(rustix::io::Errno::NXIO) => length,
        Err(_) => offset,
    };
    file.seek(io::SeekFrom::Start(end))?;
    Ok(end - offset)
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

/// Why a file could not be read in one state.
#[derive(Debug)]
pub enum Failure {
    /// It has another ctime now, this one, and may be read again.
    Moved(Stamp),
    /// It cannot be used.
    File(FileError),
}

/// The stamp of the file at `path` now; `None` if something else is there.
///
/// # Errors
/// The file cannot be looked at, for example because it is gone.
pub fn stamp_now(path: &Path) -> io::Result<Option<Stamp>> {
    fs::metadata(path).map(|now| now.is_file().then(|| Stamp::of(&now)))
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
        let take = |piece: Piece<'_>| {
            match piece {
                Piece::Bytes(bytes) => seen.extend_from_slice(bytes),
                Piece::Zeros(count) => seen.resize(seen.len() + count as usize, 0),
            }
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
            let take = |_: Piece<'_>| {
                pieces += 1;
                change(file.path());
                ControlFlow::Continue(())
            };
            let result = read(file.path(), &stamp, &mut [0; 1000], take);
            assert!(pieces > 0);
            assert!(matches!(result, Err(Failure::File(FileError::Changed { .. }))), "{result:?}");
        }
    }

    #[test]
    fn a_file_of_which_only_the_ctime_changes_while_it_is_read_may_be_read_again() {
        let (file, stamp) = file_of(&[0; 5000]);
        let walked = Stamp { ctime_ns: stamp.ctime_ns - 1, ..stamp };
        let result = read(file.path(), &walked, &mut [0; 1000], |_| ControlFlow::Continue(()));
        assert!(matches!(result, Err(Failure::Moved(now)) if now == stamp), "{result:?}");
    }

    #[test]
    fn a_pipe_in_the_files_place_does_not_block() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let (_, stamp) = file_of(b"x");
        let result = read(&path, &stamp, &mut [0; 10], |_| ControlFlow::Continue(()));
        assert!(matches!(result, Err(Failure::File(FileError::Changed { .. }))), "{result:?}");
    }
}
