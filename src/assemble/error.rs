//! What ends the work on an image.

use std::io;
use std::path::PathBuf;

use jigdo::Sum;
use jigdo::template;

/// Why an image could not be put together, other than that parts are missing. Offsets are in bytes of the image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum Error {
    #[error("cannot read the template's unmatched data for offset {offset} of the image: {source}")]
    Unmatched { offset: u64, source: io::Error },
    #[error("the template's unmatched data end early, at offset {offset} of the image")]
    UnmatchedEnds { offset: u64 },
    #[error("cannot write {path} at offset {offset}: {source}; check space and permissions there", path = .path.display())]
    Write { path: PathBuf, offset: u64, source: io::Error },
    #[error("cannot read {path} at offset {offset}: {source}", path = .path.display())]
    ReadBack { path: PathBuf, offset: u64, source: io::Error },
    #[error("cannot write the image at offset {offset}: {source}")]
    Stream { offset: u64, source: io::Error },
    #[error("{path}: {source}; check space and permissions there", path = .path.display())]
    Output { path: PathBuf, source: io::Error },
    #[error("another run is at work on {path}; wait for it to end", path = .path.display())]
    Locked { path: PathBuf },
    #[error(
        "{path} is not the state of a half-assembled image ({source}); delete or rename it to begin anew",
        path = .path.display()
    )]
    NotATmp { path: PathBuf, source: template::Error },
    #[error(
        "{path} is the state of another half-assembled image; delete or rename it to begin anew",
        path = .path.display()
    )]
    OtherTmp { path: PathBuf },
    #[error(
        "the image has another sum than the template says, {found:?} instead of {expected:?}, although all its parts \
         are right; get the template again"
    )]
    ImageSum { expected: Sum, found: Sum },
    #[error("files that were right when they were checked have changed since; run again once they are at rest")]
    Changed,
    #[error("what is written does not read back as it was; check the disk")]
    Unstable,
    #[error("there is no memory: {0}")]
    Memory(#[source] io::Error),
    #[error("cannot start threads: {0}; ask for fewer, or raise the limit of processes (ulimit -u)")]
    Threads(#[source] io::Error),
}

impl Error {
    /// That threads could not be started.
    pub(super) fn threads(error: &io::Error) -> Self {
        Self::Threads(io::Error::new(error.kind(), error.to_string()))
    }

    /// Whether the place to write to is at fault.
    pub fn is_of_output(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Stream { .. } | Self::Output { .. } | Self::Locked { .. })
    }
}
