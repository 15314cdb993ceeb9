//! The record of what a snapshot put into a tree: the list by which it knows its own files from those of other people.
//!
//! It is `.jigpress/snapshot` in the tree. Its first line says what it is; each other line has a file's length in bytes,
//! its mtime in seconds since 1970, and its path in the tree, up to the line's end. A file counts as the snapshot's own if
//! it is listed and still has this length and mtime, which hard links, reflinks and copies have from the mirror's file: so
//! a file is listed before it is put there, and a killed run forgets nothing and claims nothing.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::Error;
use crate::file::Stamp;
use crate::output;

/// The directory in a tree that is no part of the snapshot, and the record's name in it.
pub use crate::output::{SNAPSHOT as NAME, STAGING as RESERVED};

/// The record's first line. What follows the number may change.
const HEAD: &str = "# jigpress snapshot 1";
const REST_OF_HEAD: &str = ": the files that were put here, as length, mtime and path; --prune removes no others";

/// By how many seconds mtimes may differ: some file systems keep them no better.
const TICK: i64 = 2;

/// What is known of a file that was put into a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    length: u64,
    mtime: i64,
}

impl Mark {
    /// The mark of a file with this stamp.
    pub fn of_stamp(stamp: &Stamp) -> Self {
        Self { length: stamp.size, mtime: stamp.mtime_ns.div_euclid(1_000_000_000) }
    }

    /// The mark of a file with these metadata.
    pub fn of(found: &Metadata) -> Self {
        Self { length: found.len(), mtime: found.mtime() }
    }

    fn fits(self, other: Self) -> bool {
        self.length == other.length && self.mtime.abs_diff(other.mtime) <= TICK.unsigned_abs()
    }
}

/// What a snapshot put into a tree.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// By the bytes of their paths in the tree.
    files: BTreeMap<Vec<u8>, Mark>,
    /// How many lines of the file could not be read.
    pub unread: usize,
    /// Whether it differs from the file.
    is_changed: bool,
}

impl Record {
    /// Reads the record of the tree at `root`. A tree without one has an empty record.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is not a record of this version.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let path = root.join(RESERVED).join(NAME);
        let failed = |source| Error::Record { path: path.clone(), source };
        let text = match read_regular(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error)),
        };
        let mut lines = text.split(|&byte| byte == b'\n');
        let head = lines.next().unwrap_or_default();
        let is_of_another = |rest: &[u8]| rest.first().is_some_and(u8::is_ascii_digit);
        if head.strip_prefix(HEAD.as_bytes()).is_none_or(is_of_another) {
            let what = format!("it does not begin with \"{HEAD}\"");
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, what)));
        }
        let mut record = Self::default();
        for line in lines.filter(|line| !line.is_empty()) {
            match entry(line) {
                Some((path, mark)) => drop(record.files.insert(path, mark)),
                None => record.unread += 1,
            }
        }
        Ok(record)
    }

    /// Writes the record into the tree at `root`, in one step, if it changed.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write(&mut self, root: &Path) -> Result<(), Error> {
        if !self.is_changed {
            return Ok(());
        }
        let directory = root.join(RESERVED);
        let (path, new) = (directory.join(NAME), directory.join(format!("{NAME}.new")));
        let write = || -> io::Result<()> {
            fs::create_dir_all(&directory)?;
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = File::options().write(true).create_new(true).open(&new)?;
            file.write_all(&self.text())?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&directory)?.sync_all()
        };
        write().map_err(|source| output::Error::Write { path: path.clone(), source })?;
        self.is_changed = false;
        Ok(())
    }

    fn text(&self) -> Vec<u8> {
        let mut text = format!("{HEAD}{REST_OF_HEAD}\n").into_bytes();
        for (path, mark) in &self.files {
            text.extend_from_slice(format!("{} {} ", mark.length, mark.mtime).as_bytes());
            text.extend_from_slice(path);
            text.push(b'\n');
        }
        text
    }

    /// Whether this record says that the file at `path` in the tree, which has these metadata, was put there.
    pub fn is_own(&self, path: &Path, found: &Metadata) -> bool {
        found.is_file() && self.mark(path).is_some_and(|mark| mark.fits(Mark::of(found)))
    }

    /// The mark of the file at `path`, if it is listed.
    pub fn mark(&self, path: &Path) -> Option<Mark> {
        self.files.get(path.as_os_str().as_bytes()).copied()
    }

    /// Lists no more what is gone. Files that `are_needed` are not looked at.
    pub fn forget_gone(&mut self, root: &Path, are_needed: impl Fn(&[u8]) -> bool) {
        let count = self.files.len();
        self.files.retain(|path, _| {
            let place = || root.join(std::ffi::OsStr::from_bytes(path));
            are_needed(path)
                || !fs::symlink_metadata(place()).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        });
        self.is_changed |= self.files.len() < count;
    }

    /// Lists a file, or, with `None`, lists it no more.
    pub fn set(&mut self, path: &Path, mark: Option<Mark>) {
        let bytes = path.as_os_str().as_bytes();
        let before = match mark {
            // A line cannot hold this one, so it is never removed.
            Some(_) if bytes.contains(&b'\n') => return,
            Some(mark) => self.files.insert(bytes.to_vec(), mark),
            None => self.files.remove(bytes),
        };
        self.is_changed |= before != mark;
    }
}

/// An error if what should be the directory of the record is something else: a link would lead elsewhere.
pub fn check_directory(root: &Path) -> Result<(), Error> {
    let path = root.join(RESERVED);
    match fs::symlink_metadata(&path) {
        Ok(found) if !found.is_dir() => Err(Error::Record { path, source: io::Error::other("it is not a directory") }),
        _ => Ok(()),
    }
}

fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let found = fs::symlink_metadata(path)?;
    if found.is_file() { fs::read(path) } else { Err(io::Error::other("it is not a regular file")) }
}

/// A line's path and mark; `None` if it has none that can be in a tree.
fn entry(line: &[u8]) -> Option<(Vec<u8>, Mark)> {
    let mut fields = line.splitn(3, |&byte| byte == b' ');
    let mut field = || fields.next();
    let length = std::str::from_utf8(field()?).ok()?.parse().ok()?;
    let mtime = std::str::from_utf8(field()?).ok()?.parse().ok()?;
    let path = field()?;
    let plain: PathBuf = Path::new(std::ffi::OsStr::from_bytes(path)).components().collect();
    let is_below = plain.components().all(|component| matches!(component, Component::Normal(_)));
    let is_plain = plain.as_os_str().as_bytes() == path && !path.contains(&0);
    (is_below && is_plain && !path.is_empty() && !plain.starts_with(RESERVED))
        .then(|| (path.to_vec(), Mark { length, mtime }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, text: &[u8]) {
        fs::create_dir_all(root.join(RESERVED)).unwrap();
        fs::write(root.join(RESERVED).join(NAME), text).unwrap();
    }

    #[test]
    fn what_is_written_is_read_back() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(Record::read(place.path()).unwrap(), Record::default());
        let mut record = Record::default();
        for (number, path) in [&b"pool/a b"[..], b"\xff\xfe", b" x\r", b"\xc3\xa4"].into_iter().enumerate() {
            let mark = Mark { length: number as u64, mtime: -5 * number as i64 };
            record.set(Path::new(std::ffi::OsStr::from_bytes(path)), Some(mark));
        }
        record.set(Path::new("a\nb"), Some(Mark { length: 0, mtime: 0 }));
        record.write(place.path()).unwrap();
        assert_eq!(Record::read(place.path()).unwrap(), record);
        assert_eq!(record.files.len(), 4);
    }

    #[test]
    fn lines_that_lead_out_of_the_tree_or_cannot_be_read_claim_nothing() {
        let place = tempfile::tempdir().unwrap();
        let bad =
            "1 1 /etc/passwd\n1 1 ../x\n1 1 a/../../x\n1 1 a//b\n1 1 ./a\n1 1 .jigpress/snapshot\n1 1 \n1 x\nx 1 a\n";
        write(place.path(), format!("{HEAD}\n{bad}2 3 good").as_bytes());
        let record = Record::read(place.path()).unwrap();
        assert_eq!((record.unread, record.files.len()), (9, 1));
        assert_eq!(record.mark(Path::new("good")), Some(Mark { length: 2, mtime: 3 }));
        for text in ["", "# jigpress snapshot 2\n", "# jigpress snapshot 12\n", "<html>"] {
            write(place.path(), text.as_bytes());
            assert!(matches!(Record::read(place.path()), Err(Error::Record { .. })), "{text}");
        }
    }

    #[test]
    fn a_file_that_was_changed_is_not_its_own_any_more() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a");
        fs::write(&path, "one").unwrap();
        let found = || fs::symlink_metadata(&path).unwrap();
        let mut record = Record::default();
        assert!(!record.is_own(Path::new("a"), &found()));
        record.set(Path::new("a"), Some(Mark::of(&found())));
        assert!(record.is_own(Path::new("a"), &found()) && !record.is_own(Path::new("b"), &found()));
        fs::write(&path, "other").unwrap();
        assert!(!record.is_own(Path::new("a"), &found()));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("b", &path).unwrap();
        record.set(Path::new("a"), Some(Mark::of(&found())));
        assert!(!record.is_own(Path::new("a"), &found()));
    }
}
