//! Snapshots: trees of exactly the parts that sets need, made from mirror files by hard link, reflink or copy, so that
//! old sets keep working when mirrors drop files.
//!
//! | module | does |
//! |---|---|
//! | `plan` | which files the snapshot should have |
//! | `check` | which of them the snapshot or a mirror has, with the right sums |
//! | `place` | puts a file into the snapshot |
//! | `prune` | finds and removes files that no set needs |

mod check;
mod place;
mod plan;
mod prune;

pub use place::Link;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jigdo::Sum;
use parking_lot::Mutex;
use rayon::prelude::*;
use serde::Serialize;

use crate::mirror::{self, Index};
use crate::output::{self, OutputDirectory};
use crate::progress::Progress;
use crate::set::{self, Fetch, JigdoFile};
use check::{Checked, Verdict};
use place::{Placed, Placer};
use plan::{Plan, Target};

/// The inputs of a snapshot, and its directories.
pub struct Options<'a> {
    /// Labels with the directories of their mirror trees.
    pub mirrors: &'a [(String, PathBuf)],
    /// The snapshot's directory for each label: the same for all, or one for each.
    pub into: &'a [PathBuf],
    /// How files come into the snapshot.
    pub link: Link,
    /// The index that remembers sums. `None`: sums are not checked.
    pub index: Option<&'a Path>,
    /// Parts known to be lost, as `path` or `label:path`.
    pub ignore: &'a BTreeSet<String>,
    /// Remove files that no set needs, unless they are more than this percentage of the snapshot's files. `None`: remove
    /// nothing.
    pub prune: Option<f64>,
    /// Fetches jigdo files that sets include from the web.
    pub fetch: &'a dyn Fetch,
    /// Called with the files that no set needs before any is removed.
    pub announce: &'a (dyn Fn(&[PathBuf]) + Sync),
    /// Only report what would be done.
    pub dry_run: bool,
}

/// The result of a snapshot.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// How many sets there are.
    pub sets: u64,
    /// How many files they need.
    pub files: u64,
    /// How many of these were already there.
    pub kept: u64,
    /// How many were hard-linked.
    pub linked: u64,
    /// How many were copied by reflink: they share their blocks with the mirror's file.
    pub reflinked: u64,
    /// How many were copied.
    pub copied: u64,
    /// In the order of label and path.
    pub missing: Vec<Missing>,
    /// How many missing parts are known to be lost.
    pub ignored: u64,
    /// Included files that could not be read, with the sets' paths. Parts that only these name may be missing.
    pub not_included: Vec<String>,
    /// Files that no set needs, if pruning was asked for. Removed unless that was refused.
    pub unneeded: Vec<PathBuf>,
    /// How many of the unneeded files were removed.
    pub removed: u64,
    /// Why pruning was refused.
    pub prune_refused: Option<String>,
}

/// A part that is not in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Missing {
    /// The part's label.
    pub label: String,
    /// The part's path in the label's tree.
    pub path: String,
    /// Why it is missing.
    pub reason: String,
    /// The jigdo files that need it and have no other location for it.
    pub sets: Vec<PathBuf>,
}

/// Why a snapshot cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum Error {
    #[error(transparent)]
    Set(#[from] set::Error),
    #[error("{path}: {source}", path = .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{path}: the path of part \"{location}\" leads out of its tree; do not trust this file", path = .path.display())]
    LeavesTree { path: PathBuf, location: String },
    #[error("{path}: {source}; give the label's mirror tree", path = .path.display())]
    Mirror { path: PathBuf, source: io::Error },
    #[error("no part of these sets has the label {labels}; their labels are {found}")]
    NoParts { labels: String, found: String },
    #[error(transparent)]
    Output(#[from] output::Error),
    #[error("{source_path} cannot be linked to {path}: {source}; use --link auto", path = .path.display(), source_path = .source_path.display())]
    Link { source_path: PathBuf, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Index(#[from] mirror::Error),
}

impl Error {
    /// Whether the input is wrong, so that nothing was touched.
    pub fn is_of_input(&self) -> bool {
        match self {
            Self::Index(error) => error.is_of_trees(),
            Self::Output(_) | Self::Link { .. } => false,
            _ => true,
        }
    }
}

/// Makes or completes a snapshot.
///
/// # Errors
///
/// A set cannot be read, or a directory cannot be written. Missing parts are not an error; they are in the outcome.
pub fn snapshot(sets: &[JigdoFile], options: &Options<'_>, progress: &dyn Progress) -> Result<Outcome, Error> {
    let labels: Vec<&str> = options.mirrors.iter().map(|(label, _)| label.as_str()).collect();
    let plan = Plan::read(sets, &labels, options.into, options.fetch)?;
    plan.not_included.iter().for_each(|left_out| progress.warn(left_out));
    let mirrors = options.mirrors.iter().map(|(_, path)| real_directory(path)).collect::<Result<Vec<_>, _>>()?;
    let trees = Trees::open(&plan, options.dry_run)?;
    let index = options.index.map(Index::open).transpose()?;
    let checked = match &index {
        Some(index) => check::check(index, &plan, &mirrors, &trees.roots, progress)?,
        None => Checked::default(),
    };
    let run = Run { plan: &plan, mirrors: &mirrors, trees: &trees, checked: &checked, options };
    let placed = run.place()?;
    if let Some(index) = &index
        && !options.dry_run
    {
        run.remember(index, &placed)?;
    }
    let mut outcome = run.outcome(sets, &placed);
    run.prune(&mut outcome)?;
    trees.directories.iter().for_each(OutputDirectory::clean);
    Ok(outcome)
}

fn real_directory(path: &Path) -> Result<PathBuf, Error> {
    let failed = |source| Error::Mirror { path: path.to_owned(), source };
    let real = fs::canonicalize(path).map_err(failed)?;
    if real.is_dir() { Ok(real) } else { Err(failed(io::Error::other("it is not a directory"))) }
}

/// The snapshot's directories.
struct Trees {
    /// Without symbolic links, if they exist.
    roots: Vec<PathBuf>,
    /// Locked. None in a dry run.
    directories: Vec<OutputDirectory>,
}

impl Trees {
    fn open(plan: &Plan, dry_run: bool) -> Result<Self, Error> {
        let (mut roots, mut directories) = (Vec::new(), Vec::new());
        for tree in &plan.trees {
            if !dry_run {
                directories.push(OutputDirectory::open(tree)?);
            }
            roots.push(fs::canonicalize(tree).unwrap_or_else(|_| tree.clone()));
        }
        Ok(Self { roots, directories })
    }
}

struct Run<'a> {
    plan: &'a Plan,
    /// The mirror of each label.
    mirrors: &'a [PathBuf],
    trees: &'a Trees,
    checked: &'a Checked,
    options: &'a Options<'a>,
}

/// How many targets a thread takes at a time, because those of one directory are adjacent.
const BATCH: usize = 256;

impl Run<'_> {
    /// Puts every missing file in its place. Returns the result for each target.
    fn place(&self) -> Result<Vec<Placed>, Error> {
        let placer = Placer::new(self.options.link, self.trees.directories.as_slice());
        let failed = Mutex::new(None);
        let targets = &self.plan.targets;
        let batches = targets.par_chunks(BATCH).enumerate().flat_map_iter(|(batch, targets)| {
            let first = batch * BATCH;
            targets.iter().enumerate().map(move |(at, target)| (first + at, target))
        });
        let placed = batches
            .map(|(number, target)| {
                if is_set(&failed) {
                    return Placed::Missing(String::new());
                }
                self.place_one(number, target, &placer).unwrap_or_else(|error| {
                    failed.lock().get_or_insert(error);
                    Placed::Missing(String::new())
                })
            })
            .collect();
        match failed.into_inner() {
            Some(error) => Err(error),
            None => Ok(placed),
        }
    }

    fn place_one(&self, number: usize, target: &Target, placer: &Placer<'_>) -> Result<Placed, Error> {
        let path = self.trees.roots[target.tree].join(&target.path);
        let source = |label: usize| self.mirrors[label].join(&target.path);
        match self.checked.verdict(number) {
            Some(Verdict::Kept) => Ok(Placed::Kept),
            Some(Verdict::Missing(reason)) => Ok(Placed::Missing(reason.clone())),
            Some(Verdict::Take { label, .. }) if self.options.dry_run => Ok(placer.plan(&source(*label))),
            Some(Verdict::Take { label, stamp, replaces }) => {
                placer.place(target.tree, &source(*label), &path, Some(stamp), *replaces)
            }
            None if self.options.dry_run => Ok(match path.exists() {
                true => Placed::Kept,
                false => target
                    .labels
                    .iter()
                    .map(|&label| placer.plan(&source(label)))
                    .find(|placed| !placed.is_missing())
                    .unwrap_or_else(Placed::nowhere),
            }),
            None => {
                let mut placed = Placed::nowhere();
                for &label in &target.labels {
                    placed = placer.place(target.tree, &source(label), &path, None, false)?;
                    if !placed.is_missing() {
                        break;
                    }
                }
                Ok(placed)
            }
        }
    }

    /// Records the sums of the new files in the index.
    fn remember(&self, index: &Index, placed: &[Placed]) -> Result<(), Error> {
        for (tree, root) in self.trees.roots.iter().enumerate() {
            let targets = self.plan.targets.iter().enumerate().filter(|(_, target)| target.tree == tree);
            let files = targets.filter_map(|(number, target)| {
                let (stamp, sums) = (placed[number].stamp()?, self.checked.sums(number)?);
                Some((target.path.as_str(), stamp, sums))
            });
            index.remember_sums(root, files)?;
        }
        Ok(())
    }

    fn outcome(&self, sets: &[JigdoFile], placed: &[Placed]) -> Outcome {
        let count = |kind: fn(&Placed) -> bool| placed.iter().filter(|placed| kind(placed)).count() as u64;
        let mut outcome = Outcome {
            sets: sets.len() as u64,
            files: placed.len() as u64,
            kept: count(|placed| matches!(placed, Placed::Kept)),
            linked: count(|placed| matches!(placed, Placed::Linked(_))),
            reflinked: count(|placed| matches!(placed, Placed::Reflinked(_))),
            copied: count(|placed| matches!(placed, Placed::Copied(_))),
            not_included: self.plan.not_included.clone(),
            ..Outcome::default()
        };
        for number in 0..placed.len() {
            for missing in self.missing(number, sets, placed) {
                let Missing { label, path, .. } = &missing;
                let is_known = |name: &str| self.options.ignore.contains(name);
                match is_known(path) || is_known(&format!("{label}:{path}")) {
                    true => outcome.ignored += 1,
                    false => outcome.missing.push(missing),
                }
            }
        }
        outcome.missing.sort();
        outcome
    }

    /// Whether the snapshot has a target with this sum.
    fn has(&self, target: usize, sum: &Sum, placed: &[Placed]) -> bool {
        !placed[target].is_missing() && self.checked.has(target, sum)
    }

    /// The missing parts because of a target, one for each label that sets use for it.
    fn missing(&self, number: usize, sets: &[JigdoFile], placed: &[Placed]) -> Vec<Missing> {
        let target = &self.plan.targets[number];
        let mut missing: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
        for need in target.needs.iter().filter(|need| !self.has(number, &need.sum, placed)) {
            let is_elsewhere = |set: u32| {
                let others = self.plan.alternatives(set, &need.sum).iter();
                others.into_iter().any(|&other| self.has(other as usize, &need.sum, placed))
            };
            let lacking = need.sets.iter().copied().filter(|&set| !is_elsewhere(set));
            missing.entry(need.label).or_default().extend(lacking);
        }
        missing.retain(|_, lacking| !lacking.is_empty());
        let reason = match &placed[number] {
            Placed::Missing(reason) => reason.clone(),
            _ => "the file there has another sum".to_owned(),
        };
        let of_label = |(label, lacking): (usize, BTreeSet<u32>)| Missing {
            label: self.options.mirrors[label].0.clone(),
            path: target.path.clone(),
            reason: reason.clone(),
            sets: lacking.into_iter().map(|set| sets[set as usize].path.clone()).collect(),
        };
        missing.into_iter().map(of_label).collect()
    }

    /// Announces and removes the files that no set needs, and the directories that become empty.
    fn prune(&self, outcome: &mut Outcome) -> Result<(), Error> {
        let Some(most) = self.options.prune else { return Ok(()) };
        if let [first, others @ ..] = self.plan.not_included.as_slice() {
            let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
            outcome.prune_refused = Some(format!(
                "nothing was removed, because files that sets include could not be read, and parts that only these name would \
                 be removed: {first}{more}"
            ));
            return Ok(());
        }
        for (tree, root) in self.trees.roots.iter().enumerate() {
            let needed = self.plan.targets.iter().filter(|target| target.tree == tree);
            let found = prune::unneeded(root, &needed.map(|target| target.path.as_str()).collect())?;
            let share = found.files.len() as f64 * 100.0 / found.all.max(1) as f64;
            if share > most {
                outcome.prune_refused.get_or_insert(format!(
                    "no set needs {} of the {} files in {}; that is {share:.1} %, but --max-prune allows {most} %, so nothing \
                     was removed",
                    found.files.len(),
                    found.all,
                    root.display()
                ));
            }
            outcome.unneeded.extend(found.files);
        }
        (self.options.announce)(&outcome.unneeded);
        if outcome.prune_refused.is_none() && !self.options.dry_run {
            prune::remove(&outcome.unneeded, &self.trees.roots)?;
            outcome.removed = outcome.unneeded.len() as u64;
        }
        Ok(())
    }
}

fn is_set<T>(slot: &Mutex<Option<T>>) -> bool {
    slot.lock().is_some()
}
