//! Opens files for reading.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Opens a file for reading. If it is a pipe, this does not wait for a writer.
///
/// Reading does not update access times where the system allows that, which is for one's own files only. To write them
/// for every file of a mirror would cost more than to read the files' heads.
///
/// # Errors
/// The file cannot be opened.
pub fn open(path: &Path) -> io::Result<File> {
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
