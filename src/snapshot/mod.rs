//! Snapshots: trees of the parts that sets need, made from mirror files by hard link, reflink or copy, so that old sets
//! keep working when mirrors drop files.
//!
//! | module | does |
//! |---|---|
//! | `overlap` | refuses directories that are shared with a mirror or with sets |
//! | `plan` | which files the snapshot should have |
//! | `spot` | what is in their places |
//! | `check`, `glance` | which of them the snapshot or a mirror has: by sums, or by kinds and lengths alone |
//! | `run`, `place` | puts files into the snapshot |
//! | `record` | the list of what was put there |
//! | `tidy`, `prune` | removes what was put there and no set needs |
//! | `outcome` | what came of it |

mod check;
mod glance;
mod outcome;
mod overlap;
mod place;
mod plan;
mod prune;
mod record;
mod run;
mod spot;
mod tidy;

pub use outcome::{Missing, Outcome};
pub use place::Link;

use jigdo::escaped_path;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jigdo::bstr::BString;

use crate::manifest::Filter;
use crate::mirror::{self, Index};
use crate::output;
use crate::progress::Progress;
use crate::set::{self, Fetch, Tree};
use plan::Plan;
use run::{Run, Trees};

/// The inputs of a snapshot, and its directories.
pub struct Options<'a> {
    /// Labels with the directories of their mirror trees.
    pub mirrors: &'a [(String, PathBuf)],
    /// The snapshot's directory for each label: the same for all, or one for each.
    pub into: &'a [PathBuf],
    /// How files come into the snapshot.
    pub link: Link,
    /// The index that remembers sums. `None`: sums are not checked, only kinds and lengths of files.
    pub index: Option<&'a Path>,
    /// Parts known to be lost, as `path` or `label:path`.
    pub ignore: &'a BTreeSet<BString>,
    /// Remove files that were put there and that no set needs, unless they are more than this percentage of the snapshot's
    /// files. `None`: remove nothing.
    pub prune: Option<f64>,
    /// Files whose paths match this are neither removed nor taken over.
    pub keep: Option<&'a Filter>,
    /// Take over all files that are there, as if they had been put there.
    pub adopt: bool,
    /// Fetches jigdo files that sets include from the web.
    pub fetch: &'a dyn Fetch,
    /// Called with the files that will be removed before any is.
    pub announce: &'a (dyn Fn(&[PathBuf]) + Sync),
    /// Only report what would be done.
    pub dry_run: bool,
}

/// Why a snapshot cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum Error {
    #[error(transparent)]
    Set(#[from] set::Error),
    #[error("{path}: {source}", path = escaped_path(.path))]
    Read { path: PathBuf, source: io::Error },
    #[error("{path}: the path of part \"{location}\" leads out of its tree; do not trust this file", path = escaped_path(.path))]
    LeavesTree { path: PathBuf, location: String },
    #[error("{path}: {source}; give the label's mirror tree", path = escaped_path(.path))]
    Mirror { path: PathBuf, source: io::Error },
    #[error(
        "the snapshot's directory {directory} {how} the mirror of {label}, {path}, whose files a snapshot must not touch; \
         give the snapshot a directory of its own",
        directory = escaped_path(.directory), path = escaped_path(.path)
    )]
    SharesMirror { directory: PathBuf, how: &'static str, label: String, path: PathBuf },
    #[error(
        "the snapshot's directory {directory} has published sets in it, in {path}; give the snapshot a directory of its own",
        directory = escaped_path(.directory), path = escaped_path(.path)
    )]
    SharesSets { directory: PathBuf, path: PathBuf },
    #[error(
        "{path}: {source}; this should be the list of what the snapshot put there: remove it, and then nothing is pruned \
         that was there before, unless --adopt is given",
        path = escaped_path(.path)
    )]
    Record { path: PathBuf, source: io::Error },
    #[error("no part of these sets has the label {labels}; their labels are {found}")]
    NoParts { labels: String, found: String },
    #[error(transparent)]
    Output(#[from] output::Error),
    #[error("{source_path} cannot be linked to {path}: {source}; use --link auto", path = escaped_path(.path), source_path = escaped_path(.source_path))]
    Link { source_path: PathBuf, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Index(#[from] mirror::Error),
}

impl Error {
    /// Whether the input is wrong, so that nothing was touched.
    pub fn is_of_input(&self) -> bool {
        match self {
            Self::Index(error) => error.is_of_trees(),
            Self::Output(_) | Self::Link { .. } | Self::Record { .. } => false,
            _ => true,
        }
    }
}

/// Makes or completes a snapshot of the sets of these trees.
///
/// # Errors
///
/// No set can be used, or a directory cannot be written. Missing parts, and sets that cannot be used beside others, are
/// not an error; they are in the outcome.
pub fn snapshot(tree: &Tree, options: &Options<'_>, progress: &dyn Progress) -> Result<Outcome, Error> {
    let mirrors = options.mirrors.iter().map(|(_, path)| real_directory(path)).collect::<Result<Vec<_>, _>>()?;
    overlap::check(options.into, options.mirrors, &tree.files)?;
    let labels: Vec<&str> = options.mirrors.iter().map(|(label, _)| label.as_str()).collect();
    let plan = Plan::read(&tree.files, &labels, options.into, options.fetch, options.index.is_none())?;
    plan.refused.iter().for_each(|error| progress.warn(&format!("{error}; its parts are left out")));
    plan.not_included.iter().for_each(|left_out| progress.warn(left_out));
    let trees = Trees::open(&plan, options.dry_run)?;
    let spots = spot::look(&plan, &trees.roots, &mirrors);
    let index = options.index.map(Index::open).transpose()?;
    let checked = match &index {
        Some(index) => check::check(index, &plan, &spots, &mirrors, &trees.roots, progress)?,
        None => glance::glance(&plan, &spots, &mirrors, &trees.roots),
    };
    let mut run = Run { sets: tree, plan: &plan, trees, checked: &checked, options, progress };
    let placed = run.place()?;
    if let Some(index) = &index
        && !options.dry_run
    {
        run.remember(index, &mirrors, &placed)?;
    }
    let mut outcome = run.outcome(&placed);
    run.tidy(&mut outcome)?;
    Ok(outcome)
}

fn real_directory(path: &Path) -> Result<PathBuf, Error> {
    let failed = |source| Error::Mirror { path: path.to_owned(), source };
    let real = fs::canonicalize(path).map_err(failed)?;
    if real.is_dir() { Ok(real) } else { Err(failed(io::Error::other("it is not a directory"))) }
}
