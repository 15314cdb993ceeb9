//! The arguments that name the jigdo files a command works on.

use std::path::PathBuf;

use super::{Failure, JobsArgs};
use crate::set::{self, FindError, JigdoFile};

/// The jigdo files to work on.
#[derive(Debug, Clone, clap::Args)]
pub struct FileArgs {
    /// Jigdo files, plain or compressed with gzip, or trees of them. In trees, hidden files and symbolic links are skipped.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    jobs: JobsArgs,
}

impl FileArgs {
    /// Finds the jigdo files and passes them to `work`, in a pool of as many threads as were asked for.
    pub fn work<T: Send>(&self, work: impl FnOnce(Vec<JigdoFile>) -> Result<T, Failure> + Send) -> Result<T, Failure> {
        let pool = self.jobs.pool()?;
        pool.install(|| work(set::find(&self.paths).map_err(unfound)?))
    }
}

#[allow(clippy::needless_pass_by_value, reason = "`map_err` calls it")]
pub fn unfound(error: FindError) -> Failure {
    Failure::Usage(error.to_string())
}
