//! Output directories: files are staged in them, published all together or not at all, and listed in SUMS files,
//! which may be signed.

mod directory;
pub mod mode;
pub mod signing;
mod staged_file;
mod staged_names;
pub mod sums;

use jigdo::escaped_path;
use std::io;
use std::path::PathBuf;

pub use directory::{Change, OutputDirectory, SNAPSHOT, STAGING};
pub use staged_file::StagedFile;

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum Error {
    #[error("another run is writing to {path}; wait until it has finished", path = escaped_path(.path))]
    Locked { path: PathBuf },
    #[error(
        "{path} is {what}, but new files are staged in a directory of this name; move it away",
        path = escaped_path(.path)
    )]
    NoStaging { path: PathBuf, what: &'static str },
    #[error("{path}: {source}; {}", remedy(.source), path = escaped_path(.path))]
    Write { path: PathBuf, source: io::Error },
}

/// What to do about an error of writing to a directory, or of what is there.
pub fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        // Another file than the one that should be there.
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput if error.raw_os_error().is_none() => "move it away",
        io::ErrorKind::IsADirectory
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::AlreadyExists
        | io::ErrorKind::DirectoryNotEmpty => "something else has the name; move it away",
        _ => "check space and permissions there",
    }
}
