//! Carries out what was found out about the targets: puts files into the snapshot, and keeps the record of them.

use jigdo::escaped_path;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use jigdo::Sum;
use jigdo::bstr::ByteSlice as _;
use parking_lot::Mutex;
use rayon::prelude::*;

use super::check::{Checked, Verdict};
use super::outcome::{Missing, Outcome};
use super::place::{Placed, Placer};
use super::plan::{Plan, Target};
use super::record::{self, Mark, Record};
use super::{Error, Options};
use crate::mirror::Index;
use crate::output::OutputDirectory;
use crate::progress::Progress;
use crate::set::Tree;

/// The snapshot's directories.
pub struct Trees {
    /// Without symbolic links, if they exist.
    pub roots: Vec<PathBuf>,
    /// Locked. None in a dry run.
    pub directories: Vec<OutputDirectory>,
    /// What was put into each of them.
    pub records: Vec<Record>,
}

impl Trees {
    /// Creates and locks the plan's trees, unless this is a dry run.
    pub fn open(plan: &Plan, dry_run: bool) -> Result<Self, Error> {
        let mut trees = Self { roots: Vec::new(), directories: Vec::new(), records: Vec::new() };
        for tree in &plan.trees {
            record::check_directory(tree)?;
            if !dry_run {
                trees.directories.push(OutputDirectory::open(tree)?);
            }
            trees.roots.push(fs::canonicalize(tree).unwrap_or_else(|_| tree.clone()));
            trees.records.push(Record::read(tree)?);
        }
        Ok(trees)
    }
}

/// A snapshot that is being made.
pub struct Run<'a> {
    pub sets: &'a Tree,
    pub plan: &'a Plan,
    pub trees: Trees,
    pub checked: &'a Checked,
    pub options: &'a Options<'a>,
    pub progress: &'a dyn Progress,
}

/// How many targets a thread takes at a time, because those of one directory are adjacent.
const BATCH: usize = 256;

impl Run<'_> {
    /// Puts every missing file in its place. Returns the result for each target.
    ///
    /// The record lists a file before it is put there, so that a killed run knows its files.
    pub fn place(&mut self) -> Result<Vec<Placed>, Error> {
        for (root, record) in self.trees.roots.iter().zip(&self.trees.records).filter(|(_, record)| record.unread > 0) {
            let path = root.join(record::RESERVED).join(record::NAME);
            self.progress.warn(&format!(
                "{}: {} lines cannot be read and are dropped; the files that they listed stay",
                escaped_path(&path),
                record.unread
            ));
        }
        let before = self.list_new();
        if !self.options.dry_run {
            self.write_records()?;
        }
        let placed = self.place_all()?;
        for (number, old) in before {
            let target = &self.plan.targets[number];
            if placed[number].is_missing() {
                self.trees.records[target.tree].set(target.path(), old);
            }
        }
        self.list_known(&placed);
        Ok(placed)
    }

    /// Lists the files that will be put into the trees. Returns what was listed for them before.
    fn list_new(&mut self) -> Vec<(usize, Option<Mark>)> {
        let mut before = Vec::new();
        for (number, target) in self.plan.targets.iter().enumerate() {
            if let Some(Verdict::Take(source)) = self.checked.verdicts.get(number) {
                let (record, path) = (&mut self.trees.records[target.tree], target.path());
                before.push((number, record.mark(path)));
                record.set(path, Some(Mark::of_stamp(&source.stamp)));
            }
        }
        before
    }

    /// Lists files that were put there before as they are now: they are still right, but may have another mtime.
    fn list_known(&mut self, placed: &[Placed]) {
        for (target, _) in self.plan.targets.iter().zip(placed).filter(|(_, placed)| **placed == Placed::Kept) {
            let (record, path) = (&mut self.trees.records[target.tree], target.path());
            if record.mark(path).is_some() {
                let found = fs::symlink_metadata(self.trees.roots[target.tree].join(path));
                record.set(path, found.ok().filter(fs::Metadata::is_file).map(|found| Mark::of(&found)));
            }
        }
    }

    pub fn write_records(&mut self) -> Result<(), Error> {
        for (root, record) in self.trees.roots.iter().zip(&mut self.trees.records) {
            record.write(root)?;
        }
        Ok(())
    }

    fn place_all(&self) -> Result<Vec<Placed>, Error> {
        let placer = Placer::new(self.options.link, self.trees.directories.as_slice(), &self.trees.roots);
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
        match &self.checked.verdicts[number] {
            Verdict::Kept => Ok(Placed::Kept),
            Verdict::Missing(reason) => Ok(Placed::Missing(reason.clone())),
            Verdict::Take(_) if self.options.dry_run => Ok(placer.plan()),
            Verdict::Take(source) => {
                placer.place(target.tree, source, &self.trees.roots[target.tree].join(target.path()))
            }
        }
    }

    /// Remembers the sums of the new files in the index.
    pub fn remember(&self, index: &Index, mirrors: &[PathBuf], placed: &[Placed]) -> Result<(), Error> {
        for (tree, root) in self.trees.roots.iter().enumerate() {
            let targets = self.plan.targets.iter().enumerate().filter(|(_, target)| target.tree == tree);
            let files = targets.filter_map(|(number, target)| {
                let (stamp, sums) = (placed[number].stamp()?, self.checked.sums(number)?);
                Some((&target.path, stamp, sums))
            });
            index.remember_sums(root, files)?;
        }
        // The new links changed the ctimes of the mirrors' files.
        for mirror in mirrors {
            let linked = self.plan.targets.iter().enumerate().filter_map(|(number, target)| {
                match (&self.checked.verdicts[number], &placed[number]) {
                    (Verdict::Take(source), Placed::Linked(_)) if source.path == mirror.join(target.path()) => {
                        Some((&target.path, source.stamp))
                    }
                    _ => None,
                }
            });
            index.note_linked(mirror, linked)?;
        }
        Ok(())
    }

    /// What came of the run, before anything is pruned.
    pub fn outcome(&self, placed: &[Placed]) -> Outcome {
        let count = |kind: fn(&Placed) -> bool| placed.iter().filter(|placed| kind(placed)).count() as u64;
        let unreadable = self.sets.unreadable.iter().map(ToString::to_string);
        let mut outcome = Outcome {
            sets: self.sets.files.len() as u64,
            files: placed.len() as u64,
            kept: count(|placed| matches!(placed, Placed::Kept)),
            linked: count(|placed| matches!(placed, Placed::Linked(_))),
            reflinked: count(|placed| matches!(placed, Placed::Reflinked(_))),
            copied: count(|placed| matches!(placed, Placed::Copied(_))),
            not_included: self.plan.not_included.clone(),
            unreadable: unreadable.chain(self.plan.refused.iter().cloned()).collect(),
            left_out: self.sets.left_out.iter().map(|error| error.path().to_owned()).collect(),
            ..Outcome::default()
        };
        for number in 0..placed.len() {
            for missing in self.missing(number, placed) {
                let Missing { label, path, .. } = &missing;
                let is_known = |name: &[u8]| self.options.ignore.contains(name.as_bstr());
                match is_known(path) || is_known(&[label.as_bytes(), b":", path].concat()) {
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
    fn missing(&self, number: usize, placed: &[Placed]) -> Vec<Missing> {
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
        let set = |number: u32| self.sets.files[number as usize].path.clone();
        let of_label = |(label, lacking): (usize, BTreeSet<u32>)| Missing {
            label: self.options.mirrors[label].0.clone(),
            path: target.path.clone(),
            reason: reason.clone(),
            sets: lacking.into_iter().map(set).collect(),
        };
        missing.into_iter().map(of_label).collect()
    }
}

fn is_set<T>(slot: &Mutex<Option<T>>) -> bool {
    slot.lock().is_some()
}
