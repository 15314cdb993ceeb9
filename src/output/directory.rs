//! An output directory: locked by one run, with a staging directory inside it for files that are not published yet.

use jigdo::escaped_path;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::staged_names::{StagedNames, remove_if_done};
use super::{Error, mode};
use crate::file::{create_anew, kind, open_regular, read_regular};

/// The staging directory. It is inside the output directory, so it is on the same file system.
pub const STAGING: &str = ".jigpress";
/// The file in the staging directory that lists the changes of a commit, one per line.
const COMMIT: &str = "commit";
/// The file in it that lists what a snapshot put into the directory. It is there to stay.
pub const SNAPSHOT: &str = "snapshot";

/// The longest list of changes, in bytes. That of a million sets is shorter.
const LONGEST_COMMIT: u64 = 256 << 20;

/// A change to a file of an output directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Publish the staged file of this name.
    Publish(String),
    /// Remove the published file of this name.
    Remove(String),
}

/// An output directory.
pub struct OutputDirectory {
    path: PathBuf,
    /// The directory itself, locked against other runs, so there is no lock file to leave behind. `None` if it is only
    /// read.
    lock: Option<File>,
    /// The files that are or were staged there.
    names: StagedNames,
}

impl OutputDirectory {
    /// Creates the directory if it is missing, locks it, and finishes the commit of a killed run.
    ///
    /// # Errors
    /// When another run has locked the directory, or it cannot be written.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Write { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed)?;
        let lock = File::open(path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {
                let directory = Self { path: path.to_owned(), lock: Some(lock), names: StagedNames::default() };
                directory.check_staging()?;
                if directory.finish_commit()? {
                    directory.clean();
                }
                // What a killed run left of its own is no obstacle.
                let _ = remove_if_done(&path.join(STAGING));
                Ok(directory)
            }
            Err(TryLockError::WouldBlock) => {
                tracing::debug!(path = %escaped_path(&path), "locked by another run");
                Err(Error::Locked { path: path.to_owned() })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The directory, for reading only: it is neither created nor locked.
    ///
    /// # Errors
    /// When no file could be staged there, because something else has the staging directory's name.
    pub fn unlocked(path: &Path) -> Result<Self, Error> {
        let directory = Self { path: path.to_owned(), lock: None, names: StagedNames::default() };
        directory.check_staging()?;
        Ok(directory)
    }

    /// Refuses anything but a directory under the staging directory's name. Files that a link leads to are not ours.
    fn check_staging(&self) -> Result<(), Error> {
        let path = self.path.join(STAGING);
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_dir() => Err(Error::NoStaging { path, what: kind(found.file_type()) }),
            _ => Ok(()),
        }
    }

    /// Where the file `name` is published.
    pub fn published(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where the file `name` is staged.
    pub fn staged(&self, name: &str) -> PathBuf {
        self.path.join(STAGING).join(name)
    }

    /// Creates an empty staged file, to be published as `name`. It has the permissions of the published file, and its owner
    /// as far as possible; if there is none, everyone may read it.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn stage(&self, name: &str) -> Result<File, Error> {
        self.stage_with_mode(name, None)
    }

    /// The same, with these permissions if there are any.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn stage_with_mode(&self, name: &str, mode: Option<u32>) -> Result<File, Error> {
        let path = self.staged(name);
        let failed = |source| Error::Write { path: path.clone(), source };
        let staging = self.path.join(STAGING);
        match fs::create_dir(&staging) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.check_staging()?,
            made => made.map_err(failed)?,
        }
        self.names.note(&staging, name).map_err(failed)?;
        let file = create_anew(&path).map_err(failed)?;
        mode::settle(&file, &self.published(name), mode).map_err(failed)?;
        Ok(file)
    }

    /// Makes these changes in this order, and makes all of them: if this run is killed meanwhile, the next one that opens
    /// the directory finishes them. A staged file does not replace a published one with the same bytes.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn commit(&self, changes: &[Change]) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        self.write_list(changes)?;
        self.apply_needed(changes)
    }

    /// Like [`commit`](Self::commit), without comparing files: for staged files that are known to differ from the published
    /// ones.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn commit_changed(&self, changes: &[Change]) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        self.write_list(changes)?;
        self.apply(changes.iter())
    }

    /// Writes the list of changes, before the first of them is made.
    fn write_list(&self, changes: &[Change]) -> Result<(), Error> {
        let failed = |source| Error::Write { path: self.staged(COMMIT), source };
        let unfinished = format!("{COMMIT}.new");
        let mut file = self.stage(&unfinished)?;
        file.write_all(Change::list(changes).as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(self.staged(&unfinished), self.staged(COMMIT)).map_err(failed)?;
        File::open(self.path.join(STAGING)).and_then(|staging| staging.sync_all()).map_err(failed)
    }

    /// Finishes the commit of a killed run. Returns `false` if there is none.
    fn finish_commit(&self) -> Result<bool, Error> {
        let path = self.staged(COMMIT);
        let failed = |source| Error::Write { path: path.clone(), source };
        let malformed = |what: &str| failed(io::Error::new(io::ErrorKind::InvalidData, what));
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            return Err(malformed("it is a symbolic link, not a list of changes"));
        }
        let text = match read_regular(&path, LONGEST_COMMIT) {
            Ok((_, text)) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(false);
            }
            Err(error) => return Err(failed(error)),
        };
        tracing::debug!(path = %escaped_path(&self.path), "finishing what a killed run had begun to publish");
        let changes = std::str::from_utf8(&text).ok().and_then(Change::parse_list);
        self.apply_needed(&changes.ok_or_else(|| malformed("it is not a list of changes"))?)?;
        Ok(true)
    }

    /// Makes the listed changes, except those that are made already.
    fn apply_needed(&self, changes: &[Change]) -> Result<(), Error> {
        let mut needed = Vec::new();
        // Compare all files first, so that only renames happen between a template and its jigdo file.
        for change in changes {
            let is_needed = match change {
                Change::Publish(name) => self.needs_publishing(name)?,
                Change::Remove(_) => true,
            };
            if is_needed {
                needed.push(change);
            }
        }
        self.apply(needed.into_iter())
    }

    /// Makes changes, syncs the directory, and deletes the list.
    fn apply<'a>(&self, changes: impl Iterator<Item = &'a Change>) -> Result<(), Error> {
        for change in changes {
            let (name, result) = match change {
                Change::Publish(name) => (name, fs::rename(self.staged(name), self.published(name))),
                Change::Remove(name) => (name, fs::remove_file(self.published(name))),
            };
            match result {
                Ok(()) => {
                    tracing::debug!(path = %escaped_path(&self.published(name)), change = change.verb(), "output changed");
                }
                Err(source) if source.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Write { path: self.published(name), source }),
            }
        }
        self.sync()?;
        let path = self.staged(COMMIT);
        fs::remove_file(&path).map_err(|source| Error::Write { path, source })
    }

    /// Whether the staged file `name` exists and differs from the published one. If it has the same bytes, it is deleted.
    fn needs_publishing(&self, name: &str) -> Result<bool, Error> {
        let (staged, published) = (self.staged(name), self.published(name));
        let failed = |source| Error::Write { path: published.clone(), source };
        if !staged.try_exists().map_err(failed)? {
            return Ok(false);
        }
        let is_same = same_bytes(&staged, &published).map_err(failed)?;
        if is_same {
            tracing::debug!(path = %escaped_path(&published), "output unchanged: the new file has the same bytes");
            mode::copy(&staged, &published);
            fs::remove_file(&staged).map_err(failed)?;
        }
        Ok(!is_same)
    }

    /// Makes sure that published files survive a loss of power.
    fn sync(&self) -> Result<(), Error> {
        let synced = self.lock.as_ref().map_or(Ok(()), File::sync_all);
        synced.map_err(|source| Error::Write { path: self.path.clone(), source })
    }

    /// Removes what was staged, with anything that killed runs left, and the staging directory if it is then empty. The
    /// record of a snapshot stays, and so do files that others put there.
    pub fn clean(&self) {
        let staging = self.path.join(STAGING);
        // Anything that cannot be removed does no harm; the next run tries again.
        let _ = self.names.remove_files(&staging).and_then(|()| fs::remove_dir(staging));
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

    /// `None` if any line is not a change of a file in the directory itself.
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
    let (mut a, mut b) = match (open_regular(a), open_regular(b)) {
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
