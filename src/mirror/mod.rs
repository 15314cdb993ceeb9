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
mod left_out;
mod read;
mod record;
mod store;
mod sums;
mod walk;

pub use catalogue::{Catalogue, FileId};
pub use error::{Error, FileError};
pub use file_list::FileList;
pub use index::Index;
pub use record::{load_record, store_record};
pub use sums::Sums;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use bstr::{BStr, ByteSlice as _};

/// Says something about a path. It is relative to a tree's root, with `/`, and any bytes.
pub type Filter = Box<dyn Fn(&BStr) -> bool + Send + Sync>;

/// A tree of parts, as the manifest names it.
pub struct Tree {
    /// The short name that stands for the tree in `[Parts]` and `[Servers]`.
    pub label: String,
    /// The directory, or a symbolic link to it.
    pub root: PathBuf,
    /// Files for which this returns `false` are left out.
    pub filter: Filter,
    /// Directories for which this returns `true` are not listed. The filter wants no file below them.
    pub skipped: Filter,
    /// Whether hidden files belong to the tree, and files in hidden directories: those whose names begin with a dot, as do
    /// those of files that rsync has not finished, and `lost+found`.
    pub hidden: bool,
}

impl Tree {
    /// A tree with all the files below `root`.
    pub fn new(label: impl Into<String>, root: impl Into<PathBuf>) -> Self {
        Self {
            label: label.into(),
            root: root.into(),
            filter: Box::new(|_| true),
            skipped: Box::new(|_| false),
            hidden: false,
        }
    }

    /// Whether a file with this path belongs to the tree.
    pub(crate) fn wants(&self, path: &BStr) -> bool {
        (self.hidden || !path.split_str("/").any(walk::is_hidden)) && (self.filter)(path)
    }
}

/// Bytes as a path.
pub(crate) fn os_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests;
