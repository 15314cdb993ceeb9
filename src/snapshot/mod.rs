//! Snapshots: trees of exactly the parts that sets need, made of mirrors' files by hard link, reflink or copy, so that
//! old sets outlive what mirrors keep.
//!
//! | module | does |
//! |---|---|
//! | `wanted` | jigdo files to the files that a snapshot should have |
//! | `check` | which of them are there, in the snapshot or in a mirror, with the right sums |
//! | `place` | puts one in its place |
//! | `prune` | files that no set needs |

mod check;
mod place;
mod prune;
mod wanted;

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
use wanted::{Target, Wanted};

/// What a snapshot is made of, and where.
pub struct Options<'a> {
    /// Labels and the directories that are their trees.
    pub mirrors: &'a [(String, PathBuf)],
    /// For each label the directory of its snapshot: all the same, or each its own.
    pub into: &'a [PathBuf],
    /// How files come into the snapshot.
    pub link: Link,
    /// The index that remembers sums; `None`: sums are not checked.
    pub index: Option<&'a Path>,
    /// Parts that are known to be lost: paths, or labels with paths.
    pub ignore: &'a BTreeSet<String>,
    /// Remove what no set needs, if it is at most this many percent of the files there.
    pub prune: Option<f64>,
    /// Gets jigdo files that sets include from the web.
    pub fetch: &'a dyn Fetch,
    /// Called with the files that no set needs, before the first of them is removed.
    pub announce: &'a (dyn Fn(&[PathBuf]) + Sync),
    /// Only say what would be done.
    pub dry_run: bool,
}

/// The result of a snapshot.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// How many sets there are.
    pub sets: u64,
    /// How many files they need.
    pub files: u64,
    /// How many of these were there already.
    pub kept: u64,
    /// How many were hard-linked.
    pub linked: u64,
    /// How many were copied by reflink: they share their blocks with the mirror's file.
    pub reflinked: u64,
    /// How many were copied.
    pub copied: u64,
    /// By label and path.
    pub missing: Vec<Missing>,
    /// How many more are missing that are known to be lost.
    pub ignored: u64,
    /// What sets include and could not be read, with the sets' names: the parts that only it names may be missing.
    pub not_included: Vec<String>,
    /// Files that no set needs. They were removed, if that was asked for and is allowed.
    pub unneeded: Vec<PathBuf>,
    /// How many of the unneeded files were removed.
    pub removed: u64,
    /// Why the files that no set needs are still there, although they should be removed.
    pub prune_refused: Option<String>,
}

/// A part that is not in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Missing {
    /// The part's label.
    pub label: String,
    /// The part's path in the label's tree.
    pub path: String,
    /// Why, in a few words.
    pub reason: String,
    /// The jigdo files that need it, and have no other place for it.
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
    #[error("{path}: the path of part \"{location}\" leads out of its tree; this file cannot be trusted", path = .path.display())]
    LeavesTree { path: PathBuf, location: String },
    #[error("{path}: {source}; name the label's tree", path = .path.display())]
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
    /// Whether what was asked for is wrong, so that nothing was touched.
    pub fn is_of_input(&self) -> bool {
        match self {
            Self::Index(error) => error.is_of_trees(),
            Self::Output(_) | Self::Link { .. } => false,
            _ => true,
        }
    }
}

/// Makes a snapshot, or completes it.
///
/// # Errors
///
/// Sets that cannot be read, and directories that cannot be written. Parts that are missing are no error: they are in
/// the outcome.
pub fn snapshot(sets: &[JigdoFile], options: &Options<'_>, progress: &dyn Progress) -> Result<Outcome, Error> {
    let labels: Vec<&str> = options.mirrors.iter().map(|(label, _)| label.as_str()).collect();
    let wanted = Wanted::read(sets, &labels, options.into, options.fetch)?;
    wanted.not_included.iter().for_each(|left_out| progress.warn(left_out));
    let mirrors = options.mirrors.iter().map(|(_, path)| real_directory(path)).collect::<Result<Vec<_>, _>>()?;
    let trees = Trees::open(&wanted, options.dry_run)?;
    let index = options.index.map(Index::open).transpose()?;
    let checked = match &index {
        Some(index) => check::check(index, &wanted, &mirrors, &trees.roots, progress)?,
        None => Checked::default(),
    };
    let run = Run { wanted: &wanted, mirrors: &mirrors, trees: &trees, checked: &checked, options };
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
    /// Free of symbolic links, if they are there.
    roots: Vec<PathBuf>,
    /// Locked; none in a dry run.
    directories: Vec<OutputDirectory>,
}

impl Trees {
    fn open(wanted: &Wanted, dry_run: bool) -> Result<Self, Error> {
        let (mut roots, mut directories) = (Vec::new(), Vec::new());
        for tree in &wanted.trees {
            if !dry_run {
                directories.push(OutputDirectory::open(tree)?);
            }
            roots.push(fs::canonicalize(tree).unwrap_or_else(|_| tree.clone()));
        }
        Ok(Self { roots, directories })
    }
}

struct Run<'a> {
    wanted: &'a Wanted,
    /// For each label its mirror.
    mirrors: &'a [PathBuf],
    trees: &'a Trees,
    checked: &'a Checked,
    options: &'a Options<'a>,
}

/// How many targets a thread takes at a time: those of one directory lie side by side.
const BATCH: usize = 256;

impl Run<'_> {
    /// Puts every file in its place that is not there. Returns the result for each target.
    fn place(&self) -> Result<Vec<Placed>, Error> {
        let placer = Placer::new(self.options.link, self.trees.directories.as_slice());
        let failed = Mutex::new(None);
        let targets = &self.wanted.targets;
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

    /// Has the index remember the sums of what was placed.
    fn remember(&self, index: &Index, placed: &[Placed]) -> Result<(), Error> {
        for (tree, root) in self.trees.roots.iter().enumerate() {
            let targets = self.wanted.targets.iter().enumerate().filter(|(_, target)| target.tree == tree);
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
            not_included: self.wanted.not_included.clone(),
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

    /// What sets lack because a target is not what they want, for each label under which they know it.
    fn missing(&self, number: usize, sets: &[JigdoFile], placed: &[Placed]) -> Vec<Missing> {
        let target = &self.wanted.targets[number];
        let mut missing: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
        for need in target.needs.iter().filter(|need| !self.has(number, &need.sum, placed)) {
            let is_elsewhere = |set: u32| {
                let others = self.wanted.alternatives(set, &need.sum).iter();
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

    /// Removes the files that no set needs, after they were announced, and the directories that are empty then.
    fn prune(&self, outcome: &mut Outcome) -> Result<(), Error> {
        let Some(most) = self.options.prune else { return Ok(()) };
        if let [first, others @ ..] = self.wanted.not_included.as_slice() {
            let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
            outcome.prune_refused = Some(format!(
                "nothing was removed, because parts that only included files name would count as needed by no set: \
                 {first}{more}"
            ));
            return Ok(());
        }
        for (tree, root) in self.trees.roots.iter().enumerate() {
            let needed = self.wanted.targets.iter().filter(|target| target.tree == tree);
            let found = prune::unneeded(root, &needed.map(|target| target.path.as_str()).collect())?;
            let share = found.files.len() as f64 * 100.0 / found.all.max(1) as f64;
            if share > most {
                outcome.prune_refused.get_or_insert(format!(
                    "{} of the {} files in {} are needed by no set; these are {share:.1} %, but --max-prune allows {most} %, \
                     so nothing was removed",
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
