//! `jigpress index`: updates the index of mirror trees.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jigdo::Checksum;

use super::{Failure, IndexArgs, JobsArgs, terminal};
use crate::manifest::{self, Mirror, Mirrors};
use crate::mirror::{Index, Tree};
use crate::progress::{Begin, Task};

/// The block length for directories that are given without a manifest, in bytes.
const DEFAULT_BLOCK_LENGTH: u32 = 1024;

/// Updates the index of mirror trees.
///
/// `publish` does this itself. Use this command to do it earlier, while the machine is idle.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Release manifests whose mirrors to index, or directories.
    #[arg(required = true, value_name = "MANIFEST|DIR")]
    sources: Vec<PathBuf>,
    /// Read every file in full now and record its MD5 and SHA-256, so that `publish` need not.
    #[arg(long)]
    read_all: bool,
    #[command(flatten)]
    jobs: JobsArgs,
    #[command(flatten)]
    index: IndexArgs,
    /// Print nothing but warnings and errors.
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (trees, block_lengths) = trees(&args.sources)?;
    let pool = args.jobs.pool()?;
    let index = Index::open(&args.index.path()?).map_err(Failure::nothing)?;
    let progress = terminal::listener(args.quiet);
    pool.install(|| {
        let catalogue = index.refresh(&trees, &block_lengths, &Checksum::ALL, &*progress)?;
        if args.read_all {
            let files: Vec<_> = catalogue.files().collect();
            let task = Task::begin(&*progress, Begin::items("read", "mirrors").total(files.len() as u64));
            for files in files.chunks(256) {
                catalogue.sums(files, &*progress);
                task.advance(files.len() as u64);
            }
            catalogue.flush()?;
        }
        Ok(ExitCode::SUCCESS)
    })
    .map_err(|error: crate::mirror::Error| match error.is_of_trees() {
        true => Failure::Usage(error.to_string()),
        false => Failure::nothing(error),
    })
}

/// The trees to index, and the block lengths that images need.
fn trees(sources: &[PathBuf]) -> Result<(Vec<Tree>, Vec<u32>), Failure> {
    let (directories, manifests): (Vec<&Path>, Vec<&Path>) =
        sources.iter().map(PathBuf::as_path).partition(|source| source.is_dir());
    let of_directory = |path: &Path| Tree::new(path.display().to_string(), path);
    let mut trees: Vec<Tree> = directories.into_iter().map(of_directory).collect();
    let mut block_lengths = if trees.is_empty() { Vec::new() } else { vec![DEFAULT_BLOCK_LENGTH] };
    let wanted = manifest::load_mirrors(&manifests).map_err(Failure::Manifest)?;
    for Mirrors { mirrors, min_lengths } in wanted {
        trees.extend(mirrors.iter().map(Mirror::tree));
        block_lengths.extend(min_lengths);
    }
    Ok((trees, block_lengths))
}
