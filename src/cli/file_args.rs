//! The arguments that name the jigdo files a command works on.

use std::path::PathBuf;

use super::{Failure, JobsArgs, terminal};
use crate::set::{self, FindError, Tree};

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
    /// Finds the jigdo files and passes them to `work`, in a pool of as many threads as were asked for. Warns of what
    /// could not be looked at.
    pub fn work<T: Send>(&self, work: impl FnOnce(Tree) -> Result<T, Failure> + Send) -> Result<T, Failure> {
        let pool = self.jobs.pool()?;
        pool.install(|| work(found(&self.paths)?))
    }
}

/// The jigdo files among these paths and below them. Warns of what could not be looked at.
pub fn found(paths: &[PathBuf]) -> Result<Tree, Failure> {
    let tree = set::find(paths).map_err(unfound)?;
    tree.warnings().for_each(|warning| terminal::warn(format_args!("{warning}")));
    Ok(tree)
}

#[allow(clippy::needless_pass_by_value, reason = "`map_err` calls it")]
pub fn unfound(error: FindError) -> Failure {
    Failure::Usage(error.to_string())
}
