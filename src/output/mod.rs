//! Output directories: files are staged in them, published all or nothing, and listed in SUMS files.

mod directory;
mod staged_file;
pub mod sums;

use std::io;
use std::path::PathBuf;

pub use directory::{Change, OutputDirectory};
pub use staged_file::StagedFile;

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("another run is at work in {path}; wait for it to end", path = .path.display())]
    Locked { path: PathBuf },
    #[error("{path}: {source}; check space and permissions there", path = .path.display())]
    Write { path: PathBuf, source: io::Error },
}
