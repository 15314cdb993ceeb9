//! Output directories: files are staged in them, published all together or not at all, and listed in SUMS files,
//! which may be signed.

mod directory;
pub mod signing;
mod staged_file;
pub mod sums;

use std::io;
use std::path::PathBuf;

pub use directory::{Change, OutputDirectory};
pub use staged_file::StagedFile;

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum Error {
    #[error("another run is writing to {path}; wait until it has finished", path = .path.display())]
    Locked { path: PathBuf },
    #[error("{path}: {source}; check space and permissions there", path = .path.display())]
    Write { path: PathBuf, source: io::Error },
}
