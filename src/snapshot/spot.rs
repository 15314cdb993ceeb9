//! What is at the place of each file that the snapshot should have. A name that exists need not be the file: it may be a
//! symbolic link, a directory or a pipe, and a directory above it may be missing, a file, or a link.

use jigdo::escaped_path;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::overlap;
use super::plan::{Plan, Target};
use super::record::RESERVED;
use crate::file::Stamp;

/// What is at the place of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// Nothing.
    Free,
    /// A regular file, right or wrong.
    File(Stamp),
    /// A symbolic link. It is replaced by a file, because nobody knows how long its target will be there.
    Link,
    /// A pipe, a socket or a device.
    Special,
    /// No file can be put there, for this reason.
    Blocked(String),
}

impl Spot {
    /// Whether a file that is put there replaces something.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::File(_) | Self::Link | Self::Special)
    }
}

/// The directory of a file.
#[derive(Clone)]
enum Directory {
    Missing,
    There,
    Blocked(String),
}

/// What is at the place of each target of the plan.
pub fn look(plan: &Plan, roots: &[PathBuf], mirrors: &[PathBuf]) -> Vec<Spot> {
    let mut directories: BTreeMap<(usize, &Path), Directory> = BTreeMap::new();
    for target in &plan.targets {
        directories.entry((target.tree, parent(target))).or_insert(Directory::Missing);
    }
    let looked_at: HashMap<(usize, &Path), Directory> = directories
        .into_par_iter()
        .map(|((tree, path), _)| ((tree, path), Directory::at(&roots[tree], path, mirrors)))
        .collect();
    let spot = |target: &Target| match &looked_at[&(target.tree, parent(target))] {
        _ if target.path().starts_with(RESERVED) => {
            Spot::Blocked(format!("the name {RESERVED} is reserved in a snapshot"))
        }
        Directory::Missing => Spot::Free,
        Directory::Blocked(reason) => Spot::Blocked(reason.clone()),
        Directory::There => at(&roots[target.tree].join(target.path())),
    };
    plan.targets.par_iter().map(spot).collect()
}

fn parent(target: &Target) -> &Path {
    target.path().parent().unwrap_or(Path::new(""))
}

fn at(path: &Path) -> Spot {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Spot::File(Stamp::of(&found)),
        Ok(found) if found.is_dir() => Spot::Blocked(format!("{} is a directory", escaped_path(&path))),
        Ok(found) if found.is_symlink() => Spot::Link,
        Ok(_) => Spot::Special,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Spot::Free,
        Err(error) => Spot::Blocked(format!("{}: {error}", escaped_path(&path))),
    }
}

impl Directory {
    /// The directory at `path` in the tree at `root`. Links to directories are followed, as an operator may have moved a
    /// directory to another disk, but not into a mirror: its files are not the snapshot's to keep.
    fn at(root: &Path, path: &Path, mirrors: &[PathBuf]) -> Self {
        let mut real = root.to_owned();
        for name in path {
            real.push(name);
            let shown = escaped_path(&real);
            match fs::symlink_metadata(&real) {
                Ok(found) if found.is_dir() => {}
                Ok(found) if found.is_symlink() => match fs::metadata(&real) {
                    Ok(target) if !target.is_dir() => return Self::Blocked(format!("{shown} is not a directory")),
                    Ok(_) if overlap::is_in_mirror(&real, mirrors) => {
                        return Self::Blocked(format!("{shown} leads into a mirror"));
                    }
                    Ok(_) => {}
                    Err(error) => return Self::Blocked(format!("{shown} is a link that cannot be followed: {error}")),
                },
                Ok(_) => return Self::Blocked(format!("{shown} is not a directory")),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::Missing,
                Err(error) => return Self::Blocked(format!("{shown}: {error}")),
            }
        }
        // A mount may lead there, too.
        let id = |found: Metadata| (found.dev(), found.ino());
        let own = fs::metadata(&real).ok().map(id);
        let is_own = |mirror: &PathBuf| fs::metadata(mirror.join(path)).ok().map(id) == own;
        if own.is_some() && mirrors.iter().any(is_own) {
            return Self::Blocked(format!("{} is the mirror's own directory", escaped_path(&real)));
        }
        Self::There
    }
}
