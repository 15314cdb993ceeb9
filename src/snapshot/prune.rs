//! Files of a snapshot that no set needs any more.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Error;
use crate::output;

/// What a tree has.
#[derive(Default)]
pub struct Found {
    /// How many files there are.
    pub all: u64,
    /// Those that no set needs, in the order of their paths.
    pub files: Vec<PathBuf>,
}

/// The files of a tree that are not `needed`. Symbolic links are files; the place where files wait is none of the tree's.
pub fn unneeded(root: &Path, needed: &HashSet<&str>) -> Result<Found, Error> {
    let mut found = Found::default();
    if root.exists() {
        walk(root, "", needed, &mut found)?;
    }
    Ok(found)
}

fn walk(directory: &Path, relative: &str, needed: &HashSet<&str>, found: &mut Found) -> Result<(), Error> {
    let failed = |source| output::Error::Write { path: directory.to_owned(), source };
    let mut entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(failed)?;
    entries.sort_unstable_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let text = name.to_str().map(|name| format!("{relative}{name}"));
        if entry.file_type().map_err(failed)?.is_dir() {
            // Below a name that is not UTF-8 there is nothing that a set could need.
            let below = text.unwrap_or_else(|| "\0".to_owned()) + "/";
            if below != ".jigpress/" {
                walk(&entry.path(), &below, needed, found)?;
            }
        } else {
            found.all += 1;
            if text.is_none_or(|text| !needed.contains(text.as_str())) {
                found.files.push(entry.path());
            }
        }
    }
    Ok(())
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
