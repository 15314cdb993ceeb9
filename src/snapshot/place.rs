//! Puts a file into a snapshot by hard link, by reflink, or as a copy that appears only when it is complete.

use jigdo::escaped_path;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;

use super::Error;
use super::check::{Source, absence};
use crate::file::Stamp;
use crate::output::{self, OutputDirectory};

/// How files are put into a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// By hard link; where that is not possible, by reflink; where that is not possible either, as a copy.
    #[default]
    Auto,
    /// By hard link only.
    Hard,
    /// By reflink only.
    Reflink,
    /// As a copy.
    Copy,
}

/// The result for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// It was already there.
    Kept,
    /// With the stamp of the file that is there now.
    Linked(Option<Stamp>),
    Reflinked(Option<Stamp>),
    Copied(Option<Stamp>),
    /// For this reason.
    Missing(String),
}

impl Placed {
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_))
    }

    /// The stamp of a new file.
    pub fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::Linked(stamp) | Self::Reflinked(stamp) | Self::Copied(stamp) => *stamp,
            Self::Kept | Self::Missing(_) => None,
        }
    }
}

/// Puts files into a snapshot.
pub struct Placer<'a> {
    link: Link,
    /// The snapshot's trees, in which copies are staged.
    trees: &'a [OutputDirectory],
    /// The trees' devices.
    devices: Vec<Option<u64>>,
    /// The name of the next staged copy.
    next: AtomicU64,
}

impl<'a> Placer<'a> {
    /// The trees have these roots.
    pub fn new(link: Link, trees: &'a [OutputDirectory], roots: &[PathBuf]) -> Self {
        let device = |root: &PathBuf| fs::metadata(root).ok().map(|found| found.dev());
        Self { link, trees, devices: roots.iter().map(device).collect(), next: AtomicU64::new(0) }
    }

    /// The result to expect from a source.
    pub fn plan(&self) -> Placed {
        match self.link {
            Link::Copy => Placed::Copied(None),
            Link::Reflink => Placed::Reflinked(None),
            Link::Auto | Link::Hard => Placed::Linked(None),
        }
    }

    /// Makes `path`, in a tree of the snapshot, from `source`. What is in its place is replaced only if the source says
    /// so, and in one step.
    ///
    /// # Errors
    ///
    /// The snapshot cannot be written. What keeps only this file out of it, or a missing source, is not an error.
    pub fn place(&self, tree: usize, source: &Source, path: &Path) -> Result<Placed, Error> {
        let directory = path.parent().unwrap_or(path);
        let made = make_directory(directory, source).and_then(|missing| match missing {
            Some(missing) => Ok(missing),
            None if source.replaces => self.replace(tree, source, path),
            None => self.make(tree, source, path),
        });
        made.or_else(|error| error.of_this_file().map(Placed::Missing).ok_or(error))
    }

    /// Makes a new file in an existing directory.
    fn make(&self, tree: usize, source: &Source, path: &Path) -> Result<Placed, Error> {
        if matches!(self.link, Link::Auto | Link::Hard) {
            match hard_link(&source.path, path) {
                Ok(()) => return linked(path, &source.stamp),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Placed::Missing(absence(&source.path)));
                }
                Err(error) if self.link == Link::Auto && is_impossible(&error) => {}
                Err(error) => return self.refused(&source.path, path, error),
            }
        }
        self.copy(tree, source, path)
    }

    /// Replaces what is in a file's place atomically: the right one is staged first.
    fn replace(&self, tree: usize, source: &Source, path: &Path) -> Result<Placed, Error> {
        if self.link == Link::Copy || self.link == Link::Reflink {
            return self.copy(tree, source, path);
        }
        let (staged, file) = self.stage(tree, path)?;
        drop(file);
        fs::remove_file(&staged.0).map_err(|source| output_error(&staged.0, source))?;
        match self.make(tree, source, &staged.0)? {
            Placed::Missing(reason) => Ok(Placed::Missing(reason)),
            placed => {
                staged.publish(path)?;
                Ok(placed)
            }
        }
    }

    /// Copies a file, sharing its blocks where the file system can.
    fn copy(&self, tree: usize, source: &Source, path: &Path) -> Result<Placed, Error> {
        let mut from = match File::open(&source.path) {
            Ok(file) => file,
            Err(error) => return Ok(Placed::Missing(error.to_string())),
        };
        let unreadable = |error: io::Error| Error::Read { path: source.path.clone(), source: error };
        let before = from.metadata().map_err(unreadable)?;
        let (staged, mut to) = self.stage(tree, path)?;
        let failed = |source| output_error(&staged.0, source);
        let is_reflinked = self.link != Link::Copy && rustix::fs::ioctl_ficlone(&to, &from).is_ok();
        if !is_reflinked && self.link == Link::Reflink {
            let source_error = io::Error::other("the file system cannot share blocks of these files");
            return self.refused(&source.path, path, source_error);
        }
        if !is_reflinked {
            io::copy(&mut from, &mut to).map_err(failed)?;
        }
        to.set_permissions(before.permissions()).map_err(failed)?;
        to.set_modified(before.modified().map_err(unreadable)?).map_err(failed)?;
        to.sync_all().map_err(failed)?;
        // A link of another target may have changed the file's ctime.
        let after = Stamp::of(&from.metadata().map_err(unreadable)?);
        if !Stamp::of(&before).is_same_but_ctime(&source.stamp) || !after.is_same_but_ctime(&source.stamp) {
            return Ok(changed());
        }
        let made = Some(Stamp::of(&to.metadata().map_err(failed)?));
        staged.publish(path)?;
        Ok(if is_reflinked { Placed::Reflinked(made) } else { Placed::Copied(made) })
    }

    /// Makes an empty file, from which `path` will be made: in the tree's staging directory, or beside `path` if another
    /// file system is mounted or linked there.
    fn stage(&self, tree: usize, path: &Path) -> Result<(Staged, File), Error> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let directory = path.parent().unwrap_or(path);
        let device = fs::metadata(directory).ok().map(|found| found.dev());
        if device == self.devices[tree] {
            let name = number.to_string();
            let file = self.trees[tree].stage(&name)?;
            return Ok((Staged(self.trees[tree].staged(&name)), file));
        }
        let staged = directory.join(format!(".jigpress-{number}"));
        let make = || {
            match fs::remove_file(&staged) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            File::options().read(true).write(true).create_new(true).open(&staged)
        };
        let file = make().map_err(|source| output_error(&staged, source))?;
        Ok((Staged(staged), file))
    }

    fn refused(&self, source: &Path, path: &Path, error: io::Error) -> Result<Placed, Error> {
        if self.link != Link::Auto && is_impossible(&error) || error.kind() == io::ErrorKind::Other {
            return Err(Error::Link { source_path: source.to_owned(), path: path.to_owned(), source: error });
        }
        Err(output_error(path, error))
    }
}

/// A staged file. It is removed with this value, unless it was published.
struct Staged(PathBuf);

impl Staged {
    fn publish(self, path: &Path) -> Result<(), Error> {
        fs::rename(&self.0, path).map_err(|source| output_error(path, source))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // If it was published, there is nothing there.
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes a file's directory, unless there is nothing to put there.
fn make_directory(directory: &Path, source: &Source) -> Result<Option<Placed>, Error> {
    if directory.is_dir() {
        return Ok(None);
    }
    if !source.path.is_file() {
        return Ok(Some(Placed::Missing(absence(&source.path))));
    }
    fs::create_dir_all(directory).map_err(|source| output_error(directory, source))?;
    Ok(None)
}

/// Checks that a new link is to the file that was looked at.
fn linked(path: &Path, stamp: &Stamp) -> Result<Placed, Error> {
    let found = fs::symlink_metadata(path).map_err(|source| output_error(path, source))?;
    if Stamp::of(&found).is_same_but_ctime(stamp) {
        return Ok(Placed::Linked(Some(Stamp::of(&found))));
    }
    fs::remove_file(path).map_err(|source| output_error(path, source))?;
    Ok(changed())
}

fn changed() -> Placed {
    Placed::Missing("the file there changed during this run".to_owned())
}

fn output_error(path: &Path, source: io::Error) -> Error {
    output::Error::Write { path: path.to_owned(), source }.into()
}

/// Makes a hard link; if the source is a symbolic link, to its target.
fn hard_link(source: &Path, path: &Path) -> io::Result<()> {
    Ok(rustix::fs::linkat(CWD, source, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// Whether files can be copied here but not linked: they are on two file systems, or links are not allowed, or too many
/// exist.
fn is_impossible(error: &io::Error) -> bool {
    let impossible = [Errno::XDEV, Errno::MLINK, Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS];
    impossible.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

impl Error {
    /// Why one file could not be written, if others can be all the same.
    fn of_this_file(&self) -> Option<String> {
        use io::ErrorKind as Kind;
        match self {
            Self::Output(output::Error::Write { path, source }) => match source.kind() {
                Kind::PermissionDenied
                | Kind::NotADirectory
                | Kind::IsADirectory
                | Kind::AlreadyExists
                | Kind::InvalidFilename
                | Kind::InvalidInput
                | Kind::DirectoryNotEmpty => Some(format!("{}: {source}", escaped_path(&path))),
                _ if source.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                    Some(format!("{}: {source}", escaped_path(&path)))
                }
                _ => None,
            },
            Self::Read { path, source } => Some(format!("{}: {source}", escaped_path(&path))),
            _ => None,
        }
    }
}
