//! The jigdo files that a command works on, as its arguments name them.

use std::path::PathBuf;

use super::{Failure, JobsArgs};
use crate::servers::{self, FindError, Found};

/// Where the jigdo files are.
#[derive(Debug, Clone, clap::Args)]
pub struct FileArgs {
    /// Jigdo files, plain or compressed with gzip, or trees in which they are, where their content tells them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    jobs: JobsArgs,
}

impl FileArgs {
    /// Does the work on the jigdo files that are meant.
    pub fn work<T: Send>(&self, work: impl FnOnce(Vec<Found>) -> Result<T, Failure> + Send) -> Result<T, Failure> {
        let pool = self.jobs.pool()?;
        pool.install(|| work(servers::find(&self.paths).map_err(unfound)?))
    }
}

pub fn unfound(error: FindError) -> Failure {
    Failure::Usage(error.to_string())
}
