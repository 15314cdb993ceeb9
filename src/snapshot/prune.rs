//! Files of a snapshot that no set needs any more.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::Error;
use crate::file::walk_error;
use crate::output;

/// A tree's files, as far as pruning is concerned.
#[derive(Default)]
pub struct TreeFiles {
    /// How many files there are.
    pub all: u64,
    /// Those that no set needs, in the order of their paths.
    pub files: Vec<PathBuf>,
}

/// The files of a tree that are not `needed`. Symbolic links count as files and are not followed. The staging place is
/// not part of the tree.
pub fn unneeded(root: &Path, needed: &HashSet<&str>) -> Result<TreeFiles, Error> {
    let mut found = TreeFiles::default();
    if !root.exists() {
        return Ok(found);
    }
    let is_staging =
        |entry: &DirEntry| entry.depth() == 1 && entry.file_type().is_dir() && entry.file_name() == ".jigpress";
    let entries = WalkDir::new(root).min_depth(1).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|entry| !is_staging(entry)) {
        let entry = entry.map_err(|error| unlisted(root, error))?;
        if !entry.file_type().is_dir() {
            found.all += 1;
            // A set cannot need a file whose path is not UTF-8.
            let path = entry.path().strip_prefix(root).ok().and_then(Path::to_str);
            if path.is_none_or(|path| !needed.contains(path)) {
                found.files.push(entry.into_path());
            }
        }
    }
    Ok(found)
}

fn unlisted(root: &Path, error: walkdir::Error) -> output::Error {
    let (path, source) = walk_error(root, error);
    output::Error::Write { path, source }
}

/// Removes files, and the directories above them that are empty then, up to the trees' roots.
pub fn remove(files: &[PathBuf], roots: &[PathBuf]) -> Result<(), Error> {
    for file in files {
        tracing::debug!(path = %file.display(), "pruned: no set needs it");
        fs::remove_file(file).map_err(|source| output::Error::Write { path: file.clone(), source })?;
        for directory in file.ancestors().skip(1).take_while(|above| !roots.iter().any(|root| root == above)) {
            // One that has other files stays.
            if fs::remove_dir(directory).is_err() {
                break;
            }
        }
    }
    Ok(())
}
