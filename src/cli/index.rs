//! `jigpress index`: updates the index of mirror trees.

use jigdo::escaped_path;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jigdo::Checksum;

use super::{Failure, IndexArgs, JobsArgs, SOME_FAILED, terminal};
use crate::manifest::{self, Mirror, Mirrors};
use crate::mirror::{FileId, Index, Tree};
use crate::progress::{Begin, Task};

/// The block length for directories that are given without a manifest, in bytes.
const DEFAULT_BLOCK_LENGTH: u32 = 1024;

/// Updates the index of mirror trees.
///
/// `publish` does this itself. Use this command to do it earlier, while the machine is idle.
///
/// Exit codes: 0 success; 2 the command line or a manifest is wrong; 3 nothing could be done.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Release manifests whose mirrors to index, or directories.
    #[arg(required = true, value_name = "MANIFEST|DIR")]
    sources: Vec<PathBuf>,
    /// Read every file in full now and record its MD5 and SHA-256, so that `publish` need not.
    #[arg(long)]
    read_all: bool,
    /// Trust no size, time or inode: read the heads of all files again, and with --read-all the files.
    #[arg(long)]
    paranoid: bool,
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
    let index = Index::open(&args.index.path()?).map_err(Failure::nothing)?.paranoid(args.paranoid);
    let progress = terminal::listener(args.quiet);
    pool.install(|| {
        let catalogue = index.refresh(&trees, &block_lengths, &Checksum::ALL, &*progress)?;
        if args.read_all {
            let files: Vec<_> = catalogue.files().collect();
            let length = |file: &FileId| catalogue.length(*file);
            let task = Task::begin(&*progress, Begin::bytes("read", "mirrors").total(files.iter().map(length).sum()));
            let mut rest = &files[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(batch(rest.iter().map(length)));
                catalogue.sums(now, &*progress);
                task.advance(now.iter().map(length).sum());
                rest = later;
            }
            catalogue.flush()?;
        }
        catalogue.warn(&*progress);
        Ok(if catalogue.unreadable() == 0 { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
    })
    .map_err(|error: crate::mirror::Error| match error.is_of_trees() {
        true => Failure::Usage(error.to_string()),
        false => Failure::nothing(error),
    })
}

/// How many of the files of these lengths to read together: enough for all threads, and few enough that progress is seen.
fn batch(lengths: impl Iterator<Item = u64>) -> usize {
    const FILES: usize = 256;
    const BYTES: u64 = 256 << 20;
    let mut bytes = 0;
    let before = lengths.take(FILES).take_while(|length| {
        let fits = bytes < BYTES;
        bytes += length;
        fits
    });
    before.count()
}

/// The trees to index, and the block lengths that images need.
fn trees(sources: &[PathBuf]) -> Result<(Vec<Tree>, Vec<u32>), Failure> {
    let (directories, manifests): (Vec<&Path>, Vec<&Path>) =
        sources.iter().map(PathBuf::as_path).partition(|source| source.is_dir());
    let of_directory = |path: &Path| Tree::new(escaped_path(&path).to_string(), path);
    let mut trees: Vec<Tree> = directories.into_iter().map(of_directory).collect();
    let mut block_lengths = if trees.is_empty() { Vec::new() } else { vec![DEFAULT_BLOCK_LENGTH] };
    let wanted = manifest::load_mirrors(&manifests).map_err(Failure::Manifest)?;
    for Mirrors { mirrors, min_lengths } in wanted {
        trees.extend(mirrors.iter().map(Mirror::tree));
        block_lengths.extend(min_lengths);
    }
    Ok((trees, block_lengths))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_in_batches_of_which_none_is_empty() {
        assert_eq!(batch([1; 1000].into_iter()), 256);
        assert_eq!(batch([1 << 30; 3].into_iter()), 1);
        assert_eq!(batch([200 << 20, 100 << 20, 1].into_iter()), 2);
        assert_eq!(batch([0].into_iter()), 1);
    }
}
