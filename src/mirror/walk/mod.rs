//! Walking mirror trees: every usable file with its stamp, sorted by path.
//!
//! Each directory is listed once, however many symbolic links lead to it. The real directories of a tree come first; their
//! files have their real paths. Then the directories that links lead to are listed, and [`ways`] finds paths by way of
//! links for the files that have no real path in the tree, or none that is wanted.
//!
//! Directories are listed in parallel, and each sorts its own entries, so nothing is left to sort at the end. This walk
//! uses `read_dir` where others use walkdir: a file is looked up in its open directory, while walkdir looks it up by
//! its whole path, and opens each directory once more when it lists the one above. That makes a walk a third slower, and
//! a run over a tree that did not change a fifth.

mod directories;
mod list;
mod name;
mod ways;

use std::fs;
use std::path::{Path, PathBuf};

use bstr::{BStr, ByteSlice as _};
use rayon::prelude::*;

use super::left_out::{Cause, LeftOut};
use super::{Error, Tree};
use crate::file::Stamp;
use crate::progress::{Progress, Task};
use directories::TreeEntries;
use list::Walker;

pub use name::{Rank, is_hidden};

/// The usable files of a tree.
pub struct Listing {
    /// The tree's root, free of symbolic links.
    pub root: PathBuf,
    /// The files' relative paths, one after the other, in no order.
    pub paths: Vec<u8>,
    /// Sorted by the bytes of their paths.
    pub files: Vec<Walked>,
    /// Whether every directory could be read, so that a file not listed is not there.
    pub complete: bool,
    /// What cannot be used.
    pub left_out: LeftOut,
}

impl Listing {
    /// A listing of these files, which must be sorted by the bytes of their paths. `None` if there are too many.
    pub fn of_files<'p>(root: PathBuf, files: impl Iterator<Item = (&'p BStr, Stamp)>) -> Option<Self> {
        let mut found = TreeEntries::new(PathBuf::new());
        files.for_each(|(path, stamp)| found.add_file(path, stamp, false));
        let left_out = LeftOut::default();
        (!found.too_many).then_some(Self { root, paths: found.paths, files: found.files, complete: false, left_out })
    }
}

/// A file that a walk found.
#[derive(Clone, Copy)]
pub struct Walked {
    pub path: Span,
    pub stamp: Stamp,
    pub rank: Rank,
}

/// Where a path stands in a tree's `paths`.
#[derive(Clone, Copy)]
pub struct Span {
    start: u32,
    length: u32,
}

impl Span {
    /// Appends `path` to `paths`; `None` if these would be too long for 32 bits.
    pub fn push(path: &[u8], paths: &mut Vec<u8>) -> Option<Self> {
        let (start, length) = (u32::try_from(paths.len()).ok()?, u32::try_from(path.len()).ok()?);
        paths.extend_from_slice(path);
        Some(Self { start, length })
    }

    /// The path.
    pub fn of(self, paths: &[u8]) -> &BStr {
        paths[self.start as usize..][..self.length as usize].as_bstr()
    }
}

/// The files of all trees, in the trees' order, with what is left out of each.
pub fn walk(trees: &[Tree], task: &Task<'_>, progress: &dyn Progress) -> Result<Vec<Listing>, Error> {
    let walkers = trees.iter().map(|tree| Walker::new(tree, task)).collect::<Result<Vec<Walker<'_>>, Error>>()?;
    rayon::scope(|scope| walkers.iter().for_each(|walker| walker.list_tree(scope)));
    walkers.par_iter().for_each(Walker::list_targets);
    walkers.into_iter().map(|walker| finish(walker, progress)).collect()
}

/// Puts what was found in order, so that nothing depends on the order of directory entries or of threads.
fn finish(walker: Walker<'_>, progress: &dyn Progress) -> Result<Listing, Error> {
    let Walker { tree, root, entries, task } = walker;
    let mut found = entries.into_inner();
    let files = found.files_in_order();
    let by_links = ways::find(tree, &root, &mut found);
    task.advance(by_links.len() as u64);
    let files = merge(files, &by_links, &mut found);
    let (label, path) = (tree.label.clone(), tree.root.clone());
    if found.too_many {
        return Err(Error::TooManyFiles { label, path });
    }
    if files.is_empty() {
        found.left_out.warn(progress);
        return Err(Error::Empty { label, path });
    }
    found.paths.shrink_to_fit();
    Ok(Listing { root, paths: found.paths, files, complete: !found.incomplete, left_out: found.left_out })
}

/// Adds the files that are reached by links, which are sorted too.
fn merge(real: Vec<Walked>, by_links: &[ways::Reached], found: &mut TreeEntries) -> Vec<Walked> {
    if by_links.is_empty() {
        return real;
    }
    let before = found.files.len();
    by_links.iter().for_each(|file| found.add_file(file.path.as_bstr(), file.stamp, true));
    let mut links = found.files[before..].iter().copied().peekable();
    let mut files = Vec::with_capacity(real.len() + by_links.len());
    let path = |file: &Walked| file.path.of(&found.paths);
    for file in real {
        while let Some(link) = links.next_if(|link| path(link) < path(&file)) {
            files.push(link);
        }
        files.push(file);
    }
    files.extend(links);
    files
}

/// The root of a tree, free of symbolic links.
fn root_of(tree: &Tree) -> Result<PathBuf, Error> {
    let failed = |source| Error::Root { label: tree.label.clone(), path: tree.root.clone(), source };
    let root = fs::canonicalize(&tree.root).map_err(failed)?;
    if !root.is_dir() {
        return Err(Error::NotADirectory { label: tree.label.clone(), path: tree.root.clone() });
    }
    // A root that cannot be listed is an error; a directory below it that cannot be listed is a warning. Nothing is
    // walked here.
    fs::read_dir(&root).map_err(failed)?;
    Ok(root)
}

/// Why a path cannot be followed or looked at, as a cause.
fn add_lost_link(left_out: &mut LeftOut, path: &Path, error: &std::io::Error) {
    match Cause::of(error) {
        Cause::Vanished if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) => {
            left_out.add(Cause::LeadsNowhere, path, None);
        }
        // A loop of links (ELOOP) leads nowhere either.
        Cause::Unreadable if error.raw_os_error() == Some(libc::ELOOP) => {
            left_out.add(Cause::LeadsNowhere, path, None);
        }
        _ => left_out.add_error(path, error),
    }
}
