//! What can go wrong with mirrors: [`Error`] stops a run, [`FileError`] leaves one file out.

use jigdo::escaped_path;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::left_out::Cause;

/// A mirror or the index cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum Error {
    #[error("mirror \"{label}\": {path}: {source}; create the directory, or correct the mirror's path", path = escaped_path(.path))]
    Root { label: String, path: PathBuf, source: io::Error },
    #[error("mirror \"{label}\": {path} is not a directory; correct the mirror's path", path = escaped_path(.path))]
    NotADirectory { label: String, path: PathBuf },
    #[error(
        "mirror \"{label}\": {path} has no file that can be used; fill it, or correct the mirror's path, include and exclude",
        path = escaped_path(.path)
    )]
    Empty { label: String, path: PathBuf },
    #[error("mirror \"{label}\": {path} has too many files for one index; split the mirror into several labels", path = escaped_path(.path))]
    TooManyFiles { label: String, path: PathBuf },
    #[error("index {path}: cannot create its directory: {source}; choose another place for the index", path = escaped_path(.path))]
    Directory { path: PathBuf, source: io::Error },
    #[error(
        "index {path} was written by a newer jigpress (version {found}, this one knows {known}); \
         use that jigpress, or delete the file: losing it costs time, never correctness",
        path = escaped_path(.path)
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error(
        "{path} is not a jigpress index; name another file, \
         or delete this one if it is a damaged index: losing an index costs time, never correctness",
        path = escaped_path(.path)
    )]
    NotAnIndex { path: PathBuf },
    #[error("index {path} is damaged ({source}); delete it: losing it costs time, never correctness", path = escaped_path(.path))]
    Damaged { path: PathBuf, source: rusqlite::Error },
    #[error(
        "index {path}: {source}; check space and permissions there, or delete the file: \
         losing it costs time, never correctness",
        path = escaped_path(.path)
    )]
    Database { path: PathBuf, source: rusqlite::Error },
}

impl Error {
    /// The label and the path of the tree that is missing or empty, if that is the fault.
    pub fn tree(&self) -> Option<(&str, &Path)> {
        match self {
            Self::Root { label, path, .. } | Self::NotADirectory { label, path } | Self::Empty { label, path } => {
                Some((label, path))
            }
            _ => None,
        }
    }

    /// Whether the fault is in the trees that were named: one does not exist, or has no usable file.
    pub fn is_of_trees(&self) -> bool {
        matches!(self, Self::Root { .. } | Self::NotADirectory { .. } | Self::Empty { .. } | Self::TooManyFiles { .. })
    }
}

/// A mirror file cannot be used in this run.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum FileError {
    /// It is not the file that the walk saw: its size, mtime or inode differs, or changed while it was read.
    #[error("{path} changed during this run", path = escaped_path(.path))]
    Changed { path: PathBuf },
    /// It cannot be opened or read.
    #[error("{path} cannot be read ({source})", path = escaped_path(.path))]
    Io { path: PathBuf, source: Arc<io::Error> },
}

impl FileError {
    /// Whether the file is there and cannot be read. If not, it vanished or changed.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Io { source, .. } if Cause::of(source) == Cause::Unreadable)
    }
}
