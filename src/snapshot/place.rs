//! Puts a file into a snapshot by hard link, by reflink, or as a copy that appears only when it is complete.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;

use super::Error;
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
    /// There is no source for it.
    pub fn nowhere() -> Self {
        Self::Missing("there is no such file".to_owned())
    }

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
    /// The name of the next staged copy.
    next: AtomicU64,
}

impl<'a> Placer<'a> {
    pub fn new(link: Link, trees: &'a [OutputDirectory]) -> Self {
        Self { link, trees, next: AtomicU64::new(0) }
    }

    /// The result to expect from a source, which need not exist.
    pub fn plan(&self, source: &Path) -> Placed {
        match fs::metadata(source) {
            Ok(found) if !found.is_file() => Placed::Missing("it is not a file".to_owned()),
            Ok(_) if self.link == Link::Copy => Placed::Copied(None),
            Ok(_) if self.link == Link::Reflink => Placed::Reflinked(None),
            Ok(_) => Placed::Linked(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Placed::nowhere(),
            Err(error) => Placed::Missing(error.to_string()),
        }
    }

    /// Makes `path`, in a tree of the snapshot, from `source`. An existing file is kept, unless `replaces` says that it is
    /// wrong. The source must have the given stamp.
    ///
    /// # Errors
    ///
    /// The snapshot cannot be written. A missing source is not an error.
    pub fn place(
        &self,
        tree: usize,
        source: &Path,
        path: &Path,
        stamp: Option<&Stamp>,
        replaces: bool,
    ) -> Result<Placed, Error> {
        if !replaces && matches!(self.link, Link::Auto | Link::Hard) {
            match hard_link(source, path) {
                Ok(()) => return Self::linked(path, stamp),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Placed::Kept),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if self.link == Link::Auto && is_impossible(&error) => {}
                Err(source_error) => return self.refused(source, path, source_error),
            }
        } else if !replaces && path.exists() {
            return Ok(Placed::Kept);
        }
        // The source or the directory may be missing, or linking may be impossible.
        let planned = self.plan(source);
        if planned.is_missing() {
            return Ok(planned);
        }
        let directory = path.parent().unwrap_or(path);
        fs::create_dir_all(directory).map_err(|source| output_error(directory, source))?;
        if replaces { self.replace(tree, source, path, stamp) } else { self.make(tree, source, path, stamp) }
    }

    /// Makes a new file in an existing directory.
    fn make(&self, tree: usize, source: &Path, path: &Path, stamp: Option<&Stamp>) -> Result<Placed, Error> {
        if matches!(self.link, Link::Auto | Link::Hard) {
            match hard_link(source, path) {
                Ok(()) => return Self::linked(path, stamp),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Placed::Kept),
                Err(error) if self.link == Link::Auto && is_impossible(&error) => {}
                Err(error) => return self.refused(source, path, error),
            }
        }
        self.copy(tree, source, path, stamp)
    }

    /// Replaces a wrong file atomically: the right one is staged first.
    fn replace(&self, tree: usize, source: &Path, path: &Path, stamp: Option<&Stamp>) -> Result<Placed, Error> {
        if self.link == Link::Copy || self.link == Link::Reflink {
            return self.copy(tree, source, path, stamp);
        }
        let (staged, file) = self.stage(tree)?;
        drop(file);
        fs::remove_file(&staged).map_err(|source| output_error(&staged, source))?;
        match self.make(tree, source, &staged, stamp)? {
            Placed::Missing(reason) => Ok(Placed::Missing(reason)),
            placed => {
                fs::rename(&staged, path).map_err(|source| output_error(path, source))?;
                Ok(placed)
            }
        }
    }

    /// Checks that a new link is to the file that was checked.
    fn linked(path: &Path, stamp: Option<&Stamp>) -> Result<Placed, Error> {
        let Some(stamp) = stamp else { return Ok(Placed::Linked(None)) };
        let found = fs::symlink_metadata(path).map_err(|source| output_error(path, source))?;
        if Stamp::of(&found) == *stamp {
            return Ok(Placed::Linked(Some(*stamp)));
        }
        fs::remove_file(path).map_err(|source| output_error(path, source))?;
        Ok(changed())
    }

    /// Copies a file, sharing its blocks where the file system can.
    fn copy(&self, tree: usize, source: &Path, path: &Path, stamp: Option<&Stamp>) -> Result<Placed, Error> {
        let mut from = match File::open(source) {
            Ok(file) => file,
            Err(error) => return Ok(Placed::Missing(error.to_string())),
        };
        let unreadable = |error: io::Error| Error::Read { path: source.to_owned(), source: error };
        let before = from.metadata().map_err(unreadable)?;
        let (staged, mut to) = self.stage(tree)?;
        let failed = |source| output_error(&staged, source);
        let is_reflinked = self.link != Link::Copy && rustix::fs::ioctl_ficlone(&to, &from).is_ok();
        if !is_reflinked && self.link == Link::Reflink {
            let _ = fs::remove_file(&staged);
            let source_error = io::Error::other("the file system cannot share blocks of these files");
            return self.refused(source, path, source_error);
        }
        if !is_reflinked {
            io::copy(&mut from, &mut to).map_err(failed)?;
        }
        to.set_permissions(before.permissions()).map_err(failed)?;
        to.set_modified(before.modified().map_err(unreadable)?).map_err(failed)?;
        to.sync_all().map_err(failed)?;
        let was_changed = stamp.is_some_and(|stamp| Stamp::of(&before) != *stamp)
            || from.metadata().map_err(unreadable).map(|after| Stamp::of(&after) != Stamp::of(&before))?;
        if was_changed {
            fs::remove_file(&staged).map_err(failed)?;
            return Ok(changed());
        }
        let made = Some(Stamp::of(&to.metadata().map_err(failed)?));
        fs::rename(&staged, path).map_err(|source| output_error(path, source))?;
        Ok(if is_reflinked { Placed::Reflinked(made) } else { Placed::Copied(made) })
    }

    /// Makes an empty file in a tree's staging directory.
    fn stage(&self, tree: usize) -> Result<(PathBuf, File), Error> {
        let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let file = self.trees[tree].stage(&name)?;
        Ok((self.trees[tree].staged(&name), file))
    }

    fn refused(&self, source: &Path, path: &Path, error: io::Error) -> Result<Placed, Error> {
        if self.link != Link::Auto && is_impossible(&error) || error.kind() == io::ErrorKind::Other {
            return Err(Error::Link { source_path: source.to_owned(), path: path.to_owned(), source: error });
        }
        Err(output_error(path, error))
    }
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
