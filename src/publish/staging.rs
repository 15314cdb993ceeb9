//! An output directory: locked for one run, with a place inside it where sets wait until they are published.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::Error;

/// The directory inside the output directory in which files wait. Being inside, it is on the same file system.
const STAGING: &str = ".jigpress";

/// An output directory.
pub struct OutputDirectory {
    path: PathBuf,
    /// The directory itself, locked against other runs: no lock file stays behind. `None` if nothing is to be written.
    lock: Option<File>,
}

impl OutputDirectory {
    /// Creates the directory where it is missing, and locks it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Output { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed)?;
        let lock = File::open(path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The directory as it is, to look at only: it is neither created nor locked.
    pub fn unlocked(path: &Path) -> Self {
        Self { path: path.to_owned(), lock: None }
    }

    /// Where the file `name` is published.
    pub fn published(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where the file `name` waits to be published.
    pub fn staged(&self, name: &str) -> PathBuf {
        self.path.join(STAGING).join(name)
    }

    /// A new, empty file that waits to be published as `name`.
    pub fn stage(&self, name: &str) -> Result<File, Error> {
        let path = self.staged(name);
        let failed = |source| Error::Output { path: path.clone(), source };
        fs::create_dir_all(self.path.join(STAGING)).map_err(failed)?;
        File::options().read(true).write(true).create(true).truncate(true).open(&path).map_err(failed)
    }

    /// Publishes the staged file `name`, in place of the one that was published under that name, if there is one. If
    /// both have the same bytes, that one stays as it is. Nothing happens if no file of that name waits.
    pub fn publish(&self, name: &str) -> Result<(), Error> {
        let (staged, published) = (self.staged(name), self.published(name));
        let failed = |source| Error::Output { path: published.clone(), source };
        if !staged.try_exists().map_err(failed)? {
            return Ok(());
        }
        if same_bytes(&staged, &published).map_err(failed)? {
            fs::remove_file(&staged).map_err(failed)
        } else {
            fs::rename(&staged, &published).map_err(failed)
        }
    }

    /// Makes what was published last, even if the machine loses power now.
    pub fn sync(&self) -> Result<(), Error> {
        let synced = self.lock.as_ref().map_or(Ok(()), File::sync_all);
        synced.map_err(|source| Error::Output { path: self.path.clone(), source })
    }

    /// Removes what was left behind by runs that were killed, and the staging place with it.
    pub fn clean(&self) {
        // What cannot be removed now will be by the next run; it is in nobody's way.
        let _ = fs::remove_dir_all(self.path.join(STAGING));
    }
}

fn same_bytes(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = match (File::open(a), File::open(b)) {
        (Ok(a), Ok(b)) => (a, b),
        (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let count = a.read(&mut left)?;
        if count == 0 {
            return Ok(true);
        }
        b.read_exact(&mut right[..count])?;
        if left[..count] != right[..count] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn two_runs_do_not_get_the_same_directory() {
        let place = tempfile::tempdir().unwrap();
        let first = OutputDirectory::open(&place.path().join("new/out")).unwrap();
        assert!(matches!(OutputDirectory::open(&place.path().join("new/out")), Err(Error::Locked { .. })));
        drop(first);
        OutputDirectory::open(&place.path().join("new/out")).unwrap();
    }

    #[test]
    fn a_file_appears_whole_and_only_when_it_is_published() {
        let place = tempfile::tempdir().unwrap();
        let out = OutputDirectory::open(place.path()).unwrap();
        out.stage("set").unwrap().write_all(b"new").unwrap();
        assert!(!place.path().join("set").exists());
        out.publish("set").unwrap();
        assert_eq!(fs::read(place.path().join("set")).unwrap(), b"new");
        out.publish("set").unwrap();
        out.clean();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_with_the_same_bytes_is_not_written_again() {
        let place = tempfile::tempdir().unwrap();
        let out = OutputDirectory::open(place.path()).unwrap();
        fs::write(place.path().join("set"), b"same").unwrap();
        let before = crate::stamp::Stamp::of(&fs::metadata(place.path().join("set")).unwrap());
        out.stage("set").unwrap().write_all(b"same").unwrap();
        out.publish("set").unwrap();
        assert_eq!(crate::stamp::Stamp::of(&fs::metadata(place.path().join("set")).unwrap()), before);
    }
}
