//! Opens files for reading.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::kind;

/// Opens a file for reading. If it is a pipe, this does not wait for a writer.
///
/// Reading does not update access times where the system allows that, which is for one's own files only. To write them
/// for every file of a mirror would cost more than to read the files' heads.
///
/// # Errors
/// The file cannot be opened.
pub fn open(path: &Path) -> io::Result<File> {
    with_patience(|| try_open(path))
}

/// Opens something. Where the process or the system has too many files open, this waits a few seconds for others to be
/// closed.
///
/// # Errors
/// It cannot be opened.
pub fn with_patience<T>(open: impl Fn() -> io::Result<T>) -> io::Result<T> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let is_out_of_files = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
    let mut asked = None;
    loop {
        match open() {
            Err(error) if is_out_of_files(&error) && asked.get_or_insert_with(Instant::now).elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

fn try_open(path: &Path) -> io::Result<File> {
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

/// How many bytes a file or a block device has. The latter has no length of its own, but an end.
///
/// # Errors
/// It is neither, or its end cannot be found.
pub fn length(mut file: &File) -> io::Result<u64> {
    let metadata = file.metadata()?;
    match metadata.file_type() {
        found if found.is_file() => Ok(metadata.len()),
        found if found.is_block_device() => {
            let end = file.seek(SeekFrom::End(0))?;
            file.rewind()?;
            Ok(end)
        }
        found => {
            let what = format!("it is not a regular file, but {}", kind(found));
            Err(io::Error::new(io::ErrorKind::InvalidInput, what))
        }
    }
}

/// Whether an image at `path` can only be read from its beginning to its end, and only once: it is a pipe, or a device
/// without blocks.
///
/// # Errors
/// There is no such file, or it cannot be an image.
pub fn is_stream(path: &Path) -> io::Result<bool> {
    let found = fs::metadata(path)?.file_type();
    if found.is_dir() || found.is_socket() {
        let what = format!("it is {}; an image is a file, a named pipe or a device", kind(found));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(found.is_fifo() || found.is_char_device())
}
#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn whoever_finds_too_many_files_open_waits_and_whoever_finds_another_error_does_not() {
        for (error, tries) in [(libc::EMFILE, 3), (libc::ENFILE, 3), (libc::EACCES, 1)] {
            let tried = Cell::new(0);
            let open = || {
                tried.set(tried.get() + 1);
                if tried.get() < 3 { Err(io::Error::from_raw_os_error(error)) } else { Ok(()) }
            };
            assert_eq!((with_patience(open).is_ok(), tried.get()), (tries == 3, tries));
        }
    }
}
