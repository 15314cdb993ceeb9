//! The files that a snapshot should have: the locations of the sets' parts, included ones too, each with the sums that
//! sets expect there.

use std::collections::HashMap;
use std::path::PathBuf;

use jigdo::Sum;
use rayon::prelude::*;

use super::Error;
use crate::set::{self, Fetch, Included, JigdoFile};

/// The files that all sets together need.
pub struct Plan {
    /// The directories of the snapshot, each once.
    pub trees: Vec<PathBuf>,
    /// Sorted by tree, then by the bytes of their paths.
    pub targets: Vec<Target>,
    /// The targets of each set's sums that have several locations.
    alternatives: HashMap<(u32, Sum), Vec<u32>>,
    /// Included files that could not be read, with the sets' paths. There may be parts that only these name.
    pub not_included: Vec<String>,
}

/// A file of the snapshot.
pub struct Target {
    /// The index of its tree.
    pub tree: usize,
    /// Relative to the tree; it never leads out of it.
    pub path: String,
    /// The labels that sets use for it. Several only where labels share a tree.
    pub labels: Vec<usize>,
    /// What sets expect it to be. Several if the sets are of both versions of the format, or disagree.
    pub needs: Vec<Need>,
}

/// A sum that a file should have, and the sets that expect it.
pub struct Need {
    pub sum: Sum,
    pub label: usize,
    pub sets: Vec<u32>,
}

/// A part of a set.
struct Part {
    sum: Sum,
    label: usize,
    path: String,
}

/// The parts of a set.
struct SetParts {
    parts: Vec<Part>,
    /// Other labels of its parts.
    others: Vec<String>,
    not_included: Vec<String>,
}

/// How many sets are in memory at once.
const SETS_AT_ONCE: usize = 64;

impl Plan {
    /// Reads the sets with what they include. `into` has a directory for each of `labels`.
    ///
    /// # Errors
    ///
    /// A set cannot be read, a part's path leads out of its tree, or no part has one of the labels.
    pub fn read(sets: &[JigdoFile], labels: &[&str], into: &[PathBuf], fetch: &dyn Fetch) -> Result<Self, Error> {
        let mut trees: Vec<PathBuf> = Vec::new();
        let mut tree_of = Vec::new();
        for directory in into {
            let known = trees.iter().position(|tree| tree == directory);
            tree_of.push(known.unwrap_or_else(|| {
                trees.push(directory.clone());
                trees.len() - 1
            }));
        }
        let mut collected = Collected::default();
        for (chunk, files) in sets.chunks(SETS_AT_ONCE).enumerate() {
            let read: Vec<SetParts> =
                files.par_iter().map(|file| SetParts::read(file, labels, fetch)).collect::<Result<_, _>>()?;
            for (at, set) in read.into_iter().enumerate() {
                collected.add((chunk * SETS_AT_ONCE + at) as u32, set, &tree_of);
            }
        }
        if collected.targets.is_empty() {
            let found = collected.others.join(", ");
            return Err(Error::NoParts { labels: labels.join(" or "), found });
        }
        Ok(collected.finish(trees))
    }

    /// The targets where a set may find the part with this sum, if it names several.
    pub fn alternatives(&self, set: u32, sum: &Sum) -> &[u32] {
        self.alternatives.get(&(set, *sum)).map_or(&[], Vec::as_slice)
    }
}

impl SetParts {
    fn read(file: &JigdoFile, labels: &[&str], fetch: &dyn Fetch) -> Result<Self, Error> {
        let Included { jigdo, not_included } = set::read(file, fetch)?;
        let not_included = not_included.iter().map(|left_out| format!("{}: {left_out}", file.path.display()));
        let parts = Vec::with_capacity(jigdo.parts.len());
        let mut set = Self { parts, others: Vec::new(), not_included: not_included.collect() };
        for (sum, location) in jigdo.parts {
            let Some(label) = labels.iter().position(|label| *label == location.label) else {
                if !set.others.contains(&location.label) {
                    set.others.push(location.label);
                }
                continue;
            };
            let plain = location.plain_path();
            let plain =
                plain.ok_or_else(|| Error::LeavesTree { path: file.path.clone(), location: location.to_string() })?;
            set.parts.push(Part { sum, label, path: plain });
        }
        Ok(set)
    }
}

#[derive(Default)]
struct Collected {
    targets: Vec<Target>,
    /// By tree and path.
    places: HashMap<(usize, String), u32>,
    alternatives: HashMap<(u32, Sum), Vec<u32>>,
    others: Vec<String>,
    not_included: Vec<String>,
}

impl Collected {
    fn add(&mut self, number: u32, set: SetParts, tree_of: &[usize]) {
        let mut seen: HashMap<Sum, u32> = HashMap::with_capacity(set.parts.len());
        for part in set.parts {
            let target = self.target(tree_of[part.label], part.path);
            self.need(target, number, part.sum, part.label);
            match seen.get(&part.sum) {
                Some(&first) if first != target => {
                    let others = self.alternatives.entry((number, part.sum)).or_insert_with(|| vec![first]);
                    others.push(target);
                }
                Some(_) => {}
                None => {
                    seen.insert(part.sum, target);
                }
            }
        }
        for label in set.others {
            if !self.others.contains(&label) {
                self.others.push(label);
            }
        }
        self.not_included.extend(set.not_included);
    }

    fn target(&mut self, tree: usize, path: String) -> u32 {
        let next = self.targets.len() as u32;
        let targets = &mut self.targets;
        *self.places.entry((tree, path)).or_insert_with_key(|(tree, path)| {
            targets.push(Target { tree: *tree, path: path.clone(), labels: Vec::new(), needs: Vec::new() });
            next
        })
    }

    fn need(&mut self, target: u32, set: u32, sum: Sum, label: usize) {
        let target = &mut self.targets[target as usize];
        if !target.labels.contains(&label) {
            target.labels.push(label);
        }
        match target.needs.iter_mut().find(|need| need.sum == sum && need.label == label) {
            Some(need) if need.sets.last() == Some(&set) => {}
            Some(need) => need.sets.push(set),
            None => target.needs.push(Need { sum, label, sets: vec![set] }),
        }
    }

    /// Sorts the targets.
    fn finish(self, trees: Vec<PathBuf>) -> Plan {
        let mut order: Vec<u32> = (0..self.targets.len() as u32).collect();
        let key = |&number: &u32| (self.targets[number as usize].tree, self.targets[number as usize].path.as_str());
        order.par_sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        let mut place = vec![0; order.len()];
        order.iter().enumerate().for_each(|(at, &number)| place[number as usize] = at as u32);
        let mut alternatives = self.alternatives;
        alternatives.values_mut().flatten().for_each(|number| *number = place[*number as usize]);
        let mut targets: Vec<Option<Target>> = self.targets.into_iter().map(Some).collect();
        let targets = order.iter().filter_map(|&number| targets[number as usize].take()).collect();
        Plan { trees, targets, alternatives, not_included: self.not_included }
    }
}
