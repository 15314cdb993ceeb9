//! An output directory: locked for one run, with a place inside it where sets wait until they are published.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::Error;

/// The directory inside the output directory in which files wait. Being inside, it is on the same file system.
const STAGING: &str = ".jigpress";
/// The file in the staging place that lists changes which have begun: a line each.
const COMMIT: &str = "commit";

/// What happens to a file of an output directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The staged file of this name is published.
    Publish(String),
    /// The published file of this name goes.
    Remove(String),
}

/// An output directory.
pub struct OutputDirectory {
    path: PathBuf,
    /// The directory itself, locked against other runs: no lock file stays behind. `None` if nothing is to be written.
    lock: Option<File>,
}

impl OutputDirectory {
    /// Creates the directory where it is missing, locks it, and finishes what a run that was killed had begun to
    /// publish.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Write { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed)?;
        let lock = File::open(path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {
                let directory = Self { path: path.to_owned(), lock: Some(lock) };
                directory.finish_commit()?;
                Ok(directory)
            }
            Err(TryLockError::WouldBlock) => {
                tracing::debug!(path = %path.display(), "locked by another run");
                Err(Error::Locked { path: path.to_owned() })
            }
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
        let failed = |source| Error::Write { path: path.clone(), source };
        fs::create_dir_all(self.path.join(STAGING)).map_err(failed)?;
        File::options().read(true).write(true).create(true).truncate(true).open(&path).map_err(failed)
    }

    /// Makes these changes, in their order, so that all of them happen: should this run be killed meanwhile, the next
    /// one that opens the directory finishes them. A staged file with the bytes of the published one does not replace
    /// it.
    pub fn commit(&self, changes: &[Change]) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        self.record(changes)?;
        self.carry_out(changes)
    }

    /// The same where all staged files are known to have other bytes than those that are published: nothing is compared.
    pub fn commit_changed(&self, changes: &[Change]) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        self.record(changes)?;
        self.make(changes.iter())
    }

    /// Puts changes on record before the first of them is made.
    fn record(&self, changes: &[Change]) -> Result<(), Error> {
        let failed = |source| Error::Write { path: self.staged(COMMIT), source };
        let unfinished = format!("{COMMIT}.new");
        let mut file = self.stage(&unfinished)?;
        file.write_all(Change::list(changes).as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(self.staged(&unfinished), self.staged(COMMIT)).map_err(failed)?;
        File::open(self.path.join(STAGING)).and_then(|staging| staging.sync_all()).map_err(failed)
    }

    fn finish_commit(&self) -> Result<(), Error> {
        let path = self.staged(COMMIT);
        let failed = |source| Error::Write { path: path.clone(), source };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => return Err(failed(error)),
        };
        tracing::debug!(path = %self.path.display(), "finishing what a killed run had begun to publish");
        let changes = Change::parse_list(&text);
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "it is not a list of changes; delete it");
        self.carry_out(&changes.ok_or_else(malformed).map_err(failed)?)
    }

    /// Makes changes that are on record. Those that were made already are passed over.
    fn carry_out(&self, changes: &[Change]) -> Result<(), Error> {
        let mut needed = Vec::new();
        // Files are compared beforehand, so that nothing but renames lies between a template and its jigdo file.
        for change in changes {
            let is_needed = match change {
                Change::Publish(name) => self.is_new(name)?,
                Change::Remove(_) => true,
            };
            if is_needed {
                needed.push(change);
            }
        }
        self.make(needed.into_iter())
    }

    /// Makes changes, makes them last, and strikes them off the record.
    fn make<'a>(&self, changes: impl Iterator<Item = &'a Change>) -> Result<(), Error> {
        for change in changes {
            let (name, result) = match change {
                Change::Publish(name) => (name, fs::rename(self.staged(name), self.published(name))),
                Change::Remove(name) => (name, fs::remove_file(self.published(name))),
            };
            match result {
                Ok(()) => {
                    tracing::debug!(path = %self.published(name).display(), change = change.verb(), "output changed")
                }
                Err(source) if source.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Write { path: self.published(name), source }),
            }
        }
        self.sync()?;
        let path = self.staged(COMMIT);
        fs::remove_file(&path).map_err(|source| Error::Write { path, source })
    }

    /// Whether a file `name` waits that has other bytes than the published one. One with the same bytes goes.
    fn is_new(&self, name: &str) -> Result<bool, Error> {
        let (staged, published) = (self.staged(name), self.published(name));
        let failed = |source| Error::Write { path: published.clone(), source };
        if !staged.try_exists().map_err(failed)? {
            return Ok(false);
        }
        let is_same = same_bytes(&staged, &published).map_err(failed)?;
        if is_same {
            tracing::debug!(path = %published.display(), "output unchanged: the new file has the same bytes");
            fs::remove_file(&staged).map_err(failed)?;
        }
        Ok(!is_same)
    }

    /// Makes what was published last, even if the machine loses power now.
    fn sync(&self) -> Result<(), Error> {
        let synced = self.lock.as_ref().map_or(Ok(()), File::sync_all);
        synced.map_err(|source| Error::Write { path: self.path.clone(), source })
    }

    /// Removes what was left behind by runs that were killed, and the staging place with it.
    pub fn clean(&self) {
        // What cannot be removed now will be by the next run; it is in nobody's way.
        let _ = fs::remove_dir_all(self.path.join(STAGING));
    }
}

impl Change {
    fn verb(&self) -> &'static str {
        match self {
            Self::Publish(_) => "publish",
            Self::Remove(_) => "remove",
        }
    }

    fn list(changes: &[Self]) -> String {
        let line = |change: &Self| match change {
            Self::Publish(name) | Self::Remove(name) => format!("{} {name}\n", change.verb()),
        };
        changes.iter().map(line).collect()
    }

    /// `None` unless every line is a change of a file in the directory itself.
    fn parse_list(text: &str) -> Option<Vec<Self>> {
        let change = |line: &str| match line.split_once(' ')? {
            (_, name) if name.contains('/') || matches!(name, "" | "." | "..") => None,
            ("publish", name) => Some(Self::Publish(name.to_owned())),
            ("remove", name) => Some(Self::Remove(name.to_owned())),
            _ => None,
        };
        text.split_terminator('\n').map(change).collect()
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

    fn publish(out: &OutputDirectory, name: &str) {
        out.commit(&[Change::Publish(name.to_owned())]).unwrap();
    }

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
        publish(&out, "set");
        assert_eq!(fs::read(place.path().join("set")).unwrap(), b"new");
        publish(&out, "set");
        out.clean();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_with_the_same_bytes_is_not_written_again() {
        let place = tempfile::tempdir().unwrap();
        let out = OutputDirectory::open(place.path()).unwrap();
        fs::write(place.path().join("set"), b"same").unwrap();
        let before = crate::file::Stamp::of(&fs::metadata(place.path().join("set")).unwrap());
        out.stage("set").unwrap().write_all(b"same").unwrap();
        publish(&out, "set");
        assert_eq!(crate::file::Stamp::of(&fs::metadata(place.path().join("set")).unwrap()), before);
    }

    #[test]
    fn what_a_killed_run_had_begun_to_publish_the_next_one_finishes() {
        let place = tempfile::tempdir().unwrap();
        let out = OutputDirectory::open(place.path()).unwrap();
        fs::write(place.path().join("MD5SUMS"), b"old").unwrap();
        fs::write(place.path().join("a.template"), b"new").unwrap();
        out.stage("a.jigdo").unwrap().write_all(b"new").unwrap();
        out.stage(COMMIT).unwrap().write_all(b"publish a.template\npublish a.jigdo\nremove MD5SUMS\n").unwrap();
        drop(out);
        OutputDirectory::open(place.path()).unwrap().clean();
        let mut names: Vec<_> = fs::read_dir(place.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a.jigdo", "a.template"]);
    }

    #[test]
    fn changes_outside_of_the_directory_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let out = OutputDirectory::open(place.path()).unwrap();
        for list in ["publish ../x\n", "remove /etc/passwd\n", "remove ..\n", "nonsense\n"] {
            out.stage(COMMIT).unwrap().write_all(list.as_bytes()).unwrap();
            let error = out.finish_commit().unwrap_err().to_string();
            assert!(error.contains(".jigpress/commit: it is not a list of changes"), "{error}");
        }
    }
}
