//! Errors that end the work on an image.

use jigdo::escaped_path;
use std::io;
use std::path::PathBuf;

use jigdo::Sum;
use jigdo::template;

/// Why an image could not be assembled, apart from missing parts. Offsets are in bytes of the image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum Error {
    #[error("cannot read the template's unmatched data for offset {offset} of the image: {source}")]
    Unmatched { offset: u64, source: io::Error },
    #[error("the template's unmatched data end early, at offset {offset} of the image")]
    UnmatchedEnds { offset: u64 },
    #[error("cannot write {path} at offset {offset}: {source}; check space and permissions there", path = escaped_path(.path))]
    Write { path: PathBuf, offset: u64, source: io::Error },
    #[error("cannot read {path} at offset {offset}: {source}", path = escaped_path(.path))]
    ReadBack { path: PathBuf, offset: u64, source: io::Error },
    #[error("cannot write the image at offset {offset}: {source}")]
    Stream { offset: u64, source: io::Error },
    #[error("{path}: {source}; check space and permissions there", path = escaped_path(.path))]
    Output { path: PathBuf, source: io::Error },
    #[error(
        "{path} appeared or changed while the image was assembled, and is not replaced; see whose it is, and run again",
        path = escaped_path(.path)
    )]
    Appeared { path: PathBuf },
    #[error("another run is writing {path}; wait for it to finish", path = escaped_path(.path))]
    Locked { path: PathBuf },
    #[error("{path} is a symbolic link or no file; delete or rename it to start over", path = escaped_path(.path))]
    NotRegular { path: PathBuf },
    #[error(
        "{path} is not a half-assembled image ({source}); delete or rename it to start over",
        path = escaped_path(.path)
    )]
    NotATmp { path: PathBuf, source: template::Error },
    #[error(
        "{path} belongs to another image; delete or rename it to start over",
        path = escaped_path(.path)
    )]
    OtherTmp { path: PathBuf },
    #[error(
        "the image has the sum {found:?} instead of the template's {expected:?}, although all its parts are right; \
         download the template again"
    )]
    ImageSum { expected: Sum, found: Sum },
    #[error("files that were right when they were checked have changed since; run again when they no longer change")]
    Changed,
    #[error("the disk does not return what was written to it; check the disk")]
    Unstable,
    #[error("out of memory: {0}")]
    Memory(#[source] io::Error),
    #[error("cannot start threads: {0}; use fewer, or raise the process limit (ulimit -u)")]
    Threads(#[source] io::Error),
}

impl Error {
    /// The error that threads could not be started.
    pub(super) fn threads(error: &io::Error) -> Self {
        Self::Threads(io::Error::new(error.kind(), error.to_string()))
    }

    /// Whether the output is at fault, rather than the template or the parts.
    pub fn is_output_error(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Stream { .. } | Self::Output { .. } | Self::Locked { .. })
    }
}
