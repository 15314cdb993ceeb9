//! The jigdo files that a command works on, as its arguments name them.

use std::path::PathBuf;

use super::{Failure, JobsArgs};
use crate::set::{self, FindError, JigdoFile};

/// Where the jigdo files are.
#[derive(Debug, Clone, clap::Args)]
pub struct FileArgs {
    /// Jigdo files, plain or compressed with gzip, or trees of them. In trees, hidden files and symbolic links are skipped.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    jobs: JobsArgs,
}

impl FileArgs {
    /// Does the work on the jigdo files that are meant.
    pub fn work<T: Send>(&self, work: impl FnOnce(Vec<JigdoFile>) -> Result<T, Failure> + Send) -> Result<T, Failure> {
        let pool = self.jobs.pool()?;
        pool.install(|| work(set::find(&self.paths).map_err(unfound)?))
    }
}

#[allow(clippy::needless_pass_by_value, reason = "`map_err` calls it")]
pub fn unfound(error: FindError) -> Failure {
    Failure::Usage(error.to_string())
}
