//! The names of an image and of the files that become it: created, locked and renamed without touching what somebody else
//! put there.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::assemble::{Error, Replaces};
use crate::file::{Stamp, create_anew, is_too_long};

/// Renames a file, which may only replace what `replaces` says.
pub(super) fn rename(from: &Path, to: &Path, replaces: Replaces) -> Result<(), Error> {
    let failed = |source| Error::Output { path: to.to_owned(), source };
    let appeared = || Error::Appeared { path: to.to_owned() };
    let found = fs::metadata(to).ok();
    let is_free = fs::symlink_metadata(to).is_err();
    match replaces {
        Replaces::Anything => fs::rename(from, to).map_err(failed),
        Replaces::File(stamp) if found.is_some_and(|found| Stamp::of(&found) == stamp) => {
            fs::rename(from, to).map_err(failed)
        }
        Replaces::Nothing | Replaces::File(_) => match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            // The file system, or the kernel, does not know how.
            Err(Errno::INVAL | Errno::NOSYS) if is_free => fs::rename(from, to).map_err(failed),
            Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS) => Err(appeared()),
            Err(error) => Err(failed(error.into())),
        },
    }
}

/// The path of the half-assembled image for the image at `path`.
pub(super) fn tmp_path(path: &Path) -> PathBuf {
    let mut tmp = path.as_os_str().to_owned();
    tmp.push(".tmp");
    tmp.into()
}

/// Creates the file at `path` and locks it against other runs. What a killed run left there is of no use.
pub(super) fn create(path: &Path) -> Result<File, Error> {
    let failed = |source| Error::Output { path: path.to_owned(), source };
    loop {
        // The lock tells whether another run still writes it.
        match open_locked(path) {
            Ok(_) | Err(Error::NotRegular { .. }) => {}
            Err(error) => return Err(error),
        }
        let file = create_anew(path).map_err(failed)?;
        if lock(path, &file)? {
            return Ok(file);
        }
    }
}

/// Opens the file at `path` and locks it against other runs; `None` if there is none. A link is not followed.
pub(super) fn open_locked(path: &Path) -> Result<Option<File>, Error> {
    let failed = |source| Error::Output { path: path.to_owned(), source };
    loop {
        let file = match open(path, OpenOptions::new().read(true).write(true), libc::O_NONBLOCK) {
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_too_long(&error) => return Ok(None),
            // A link, a socket or a directory.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO | libc::EISDIR)) => {
                return Err(Error::NotRegular { path: path.to_owned() });
            }
            file => file.map_err(failed)?,
        };
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(Error::NotRegular { path: path.to_owned() });
        }
        if lock(path, &file)? {
            return Ok(Some(file));
        }
    }
}

pub(super) fn open(path: &Path, options: &mut OpenOptions, flags: i32) -> io::Result<File> {
    options.custom_flags(libc::O_NOFOLLOW | flags).open(path)
}

/// Locks a file against other runs. Returns whether it still has this path: the run that held the lock may have renamed or
/// removed it.
fn lock(path: &Path, file: &File) -> Result<bool, Error> {
    match file.try_lock() {
        Ok(()) => Ok(fs::symlink_metadata(path).is_ok_and(|found| is_same(&found, file))),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(Error::Output { path: path.to_owned(), source }),
    }
}

pub(super) fn is_same(found: &Metadata, file: &File) -> bool {
    file.metadata().is_ok_and(|file| (file.dev(), file.ino()) == (found.dev(), found.ino()))
}
