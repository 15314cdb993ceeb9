//! Finds and removes the files of a snapshot that no set needs any more. Only what the record says was put there goes.

use jigdo::escaped_path;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::record::{RESERVED, Record};
use crate::file::walk_error;
use crate::manifest::Filter;

/// The files of a tree, for pruning.
#[derive(Default)]
pub struct TreeFiles {
    /// How many are the snapshot's: those that sets need, and those that it put there.
    pub all: u64,
    /// Those that it put there and no set needs, in the order of their paths.
    pub unneeded: Vec<PathBuf>,
    /// Those that no set needs and others put there, without those that are to be kept. Links are among them.
    pub foreign: Vec<PathBuf>,
    /// What could not be looked at, as `path: what is wrong`.
    pub unreadable: Vec<String>,
}

/// Finds the files of a tree that are not `needed`. Symbolic links are not followed, and never the snapshot's own. The
/// directory of the record is not part of the tree.
pub fn find(root: &Path, needed: &HashSet<&Path>, record: &Record, keep: Option<&Filter>) -> TreeFiles {
    let mut found = TreeFiles::default();
    for entry in entries(root) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                found.unreadable.push(error);
                continue;
            }
        };
        let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
        if needed.contains(path) {
            found.all += 1;
            continue;
        }
        // By way of a link, an operator may have moved a directory to another disk.
        let leads_to_needed = || needed.iter().any(|needed| needed.starts_with(path));
        if is_kept(path, keep) || (entry.path_is_symlink() && leads_to_needed()) {
            continue;
        }
        if entry.metadata().is_ok_and(|metadata| record.is_own(path, &metadata)) {
            found.all += 1;
            found.unneeded.push(entry.into_path());
        } else {
            found.foreign.push(entry.into_path());
        }
    }
    found
}

/// Whether the file at `path` in the tree, or a directory above it, is to be kept in any case.
pub fn is_kept(path: &Path, keep: Option<&Filter>) -> bool {
    let mut names = path.ancestors().filter(|path| !path.as_os_str().is_empty());
    keep.is_some_and(|keep| names.any(|path| keep.matches(path.as_os_str().as_encoded_bytes())))
}

/// Everything in a tree but directories, in the order of paths; errors as `path: what is wrong`. Nothing if there is no
/// such tree.
pub fn entries(root: &Path) -> impl Iterator<Item = Result<DirEntry, String>> {
    let is_reserved = |entry: &DirEntry| entry.depth() == 1 && entry.file_name() == RESERVED;
    let walk = || WalkDir::new(root).min_depth(1).sort_by_file_name().into_iter();
    let entries = root.exists().then(walk).into_iter();
    let entries = entries.flat_map(move |entries| entries.filter_entry(move |entry| !is_reserved(entry)));
    let root = root.to_owned();
    entries.filter_map(move |entry| match entry {
        Ok(entry) if entry.file_type().is_dir() => None,
        Ok(entry) => Some(Ok(entry)),
        Err(error) => {
            let (path, cause) = walk_error(&root, error);
            Some(Err(format!("{}: {cause}", escaped_path(&path))))
        }
    })
}

/// Removes a file of a tree, and the directories above it that become empty, up to the tree's root. Nothing is removed
/// by way of a link.
///
/// # Errors
///
/// Why it stays, as `path: what is wrong`.
pub fn remove(root: &Path, file: &Path) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", escaped_path(&file));
    let directory = file.parent().unwrap_or(root);
    if fs::canonicalize(directory).map_err(|error| failed(&error))? != directory {
        return Err(failed(&"a directory above it has become a symbolic link, so it is not removed"));
    }
    fs::remove_file(file).map_err(|error| failed(&error))?;
    tracing::debug!(path = %escaped_path(&file), "pruned: no set needs it");
    for above in directory.ancestors().take_while(|above| *above != root) {
        // A directory with other files stays.
        if fs::remove_dir(above).is_err() {
            break;
        }
    }
    Ok(())
}
