//! What went wrong while a tree was walked, as this program reports it: a path and a cause.

use std::io;
use std::path::{Path, PathBuf};

/// The path that could not be read below `root`, and why. The cause does not name the path, as walkdir's own text does.
pub fn walk_error(root: &Path, error: walkdir::Error) -> (PathBuf, io::Error) {
    let path = error.path().unwrap_or(root).to_owned();
    (path, error.into_io_error().unwrap_or_else(|| io::Error::other("it leads back to itself")))
}
