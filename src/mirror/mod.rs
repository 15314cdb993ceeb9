//! The mirror: trees of files that images may contain, and an index that remembers what was read of them.
//!
//! [`Index::refresh`] walks the [`Tree`]s, reads the heads of files that are new or have changed, and returns a
//! [`Catalogue`]: every file with its length, its head for each block length, and its strong sums on demand. Files that
//! are given one by one are a [`FileList`]. A file with several names (hard links, symbolic links) is opened once.

mod catalogue;
mod error;
mod file_list;
mod heads;
mod index;
mod read;
mod store;
mod sums;
mod walk;

pub use catalogue::{Catalogue, FileId};
pub use error::{Error, FileError};
pub use file_list::FileList;
pub use index::Index;
pub use sums::Sums;

use std::path::PathBuf;

/// Says whether the file at a path belongs to a tree. The path is relative to the tree's root, in UTF-8, with `/`.
pub type Filter = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// A tree of parts, as the manifest names it.
pub struct Tree {
    /// The short name that stands for the tree in `[Parts]` and `[Servers]`.
    pub label: String,
    /// The directory, or a symbolic link to it.
    pub root: PathBuf,
    /// Files for which this returns `false` are left out.
    pub filter: Filter,
}

impl Tree {
    /// A tree with all the files below `root`.
    pub fn new(label: impl Into<String>, root: impl Into<PathBuf>) -> Self {
        Self { label: label.into(), root: root.into(), filter: Box::new(|_| true) }
    }
}

#[cfg(test)]
mod tests;
