//! The files that a snapshot should have: the locations of the sets' parts, included ones too, each with the sums that
//! sets expect there.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use jigdo::bstr::{self, BString};
use jigdo::template::Area;
use jigdo::{Sum, escaped, escaped_path};
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
    /// The sets that cannot be used, each with the reason.
    pub refused: Vec<String>,
    /// The paths of parts with other labels. This run does not put them there, but another one may have.
    pub others: HashSet<BString>,
}

/// A file of the snapshot.
pub struct Target {
    /// The index of its tree.
    pub tree: usize,
    /// Relative to the tree; it never leads out of it.
    pub path: BString,
    /// The labels that sets use for it. Several only where labels share a tree.
    pub labels: Vec<usize>,
    /// What sets expect it to be. Several if the sets are of both versions of the format, or disagree.
    pub needs: Vec<Need>,
}

impl Target {
    /// The path as a path.
    pub fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }
}

/// A sum that a file should have, and the sets that expect it.
pub struct Need {
    pub sum: Sum,
    pub label: usize,
    /// The part's length in bytes, if it was asked for and a set's template is there.
    pub length: Option<u64>,
    pub sets: Vec<u32>,
}

/// A part of a set.
struct Part {
    sum: Sum,
    label: usize,
    path: BString,
    length: Option<u64>,
}

/// The parts of a set.
struct SetParts {
    parts: Vec<Part>,
    /// Other labels of its parts, and the paths of these.
    others: Vec<BString>,
    other_paths: Vec<BString>,
    not_included: Vec<String>,
}

/// How many sets are in memory at once.
const SETS_AT_ONCE: usize = 64;

impl Plan {
    /// Reads the sets with what they include. `into` has a directory for each of `labels`. With `with_lengths`, templates
    /// are asked for the lengths of parts.
    ///
    /// A set that cannot be read, or of which a part's path leads out of its tree, is refused, and the others are read.
    ///
    /// # Errors
    ///
    /// No set can be used, or no part has one of the labels.
    pub fn read(
        sets: &[JigdoFile],
        labels: &[&str],
        into: &[PathBuf],
        fetch: &dyn Fetch,
        with_lengths: bool,
    ) -> Result<Self, Error> {
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
            let read = files.par_iter().map(|file| SetParts::read(file, labels, fetch, with_lengths));
            for (at, set) in read.collect::<Vec<_>>().into_iter().enumerate() {
                match set {
                    Ok(set) => collected.add((chunk * SETS_AT_ONCE + at) as u32, set, &tree_of),
                    Err(error) => collected.refused.push(error),
                }
            }
        }
        if collected.refused.len() == sets.len()
            && let Some(first) = collected.refused.drain(..).next()
        {
            return Err(first);
        }
        if collected.targets.is_empty() {
            let found = escaped(&bstr::join(", ", &collected.others)).to_string();
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
    fn read(file: &JigdoFile, labels: &[&str], fetch: &dyn Fetch, with_lengths: bool) -> Result<Self, Error> {
        let Included { jigdo, not_included } = set::read(file, fetch)?;
        let images = jigdo.images.iter().filter(|_| with_lengths);
        let lengths: HashMap<Sum, u64> = images.flat_map(|image| lengths(file, &image.template)).collect();
        let not_included = not_included.iter().map(|left_out| format!("{}: {left_out}", escaped_path(&file.path)));
        let parts = Vec::with_capacity(jigdo.parts.len());
        let (others, other_paths) = Default::default();
        let mut set = Self { parts, others, other_paths, not_included: not_included.collect() };
        for (sum, location) in jigdo.parts {
            let Some(label) = labels.iter().position(|label| *label == location.label) else {
                set.other_paths.extend(location.plain_path());
                if !set.others.contains(&location.label) {
                    set.others.push(location.label);
                }
                continue;
            };
            let plain = location.plain_path();
            let plain =
                plain.ok_or_else(|| Error::LeavesTree { path: file.path.clone(), location: location.to_string() })?;
            set.parts.push(Part { sum, label, path: plain, length: lengths.get(&sum).copied() });
        }
        Ok(set)
    }
}

/// The lengths of a set's parts, from its template; none if that is not there.
fn lengths(file: &JigdoFile, template: &[u8]) -> HashMap<Sum, u64> {
    let candidates = set::named_templates(file, template).unwrap_or_default();
    let template = candidates.iter().find(|path| path.is_file()).and_then(|path| set::read_template(path).ok());
    let areas = template.map(|template| template.description.areas).unwrap_or_default();
    let length = |area| match area {
        Area::Part { length, sum, .. } => Some((sum, length)),
        Area::Unmatched { .. } => None,
    };
    areas.into_iter().filter_map(length).collect()
}

#[derive(Default)]
struct Collected {
    targets: Vec<Target>,
    /// By tree and path.
    places: HashMap<(usize, BString), u32>,
    alternatives: HashMap<(u32, Sum), Vec<u32>>,
    others: Vec<BString>,
    other_paths: HashSet<BString>,
    not_included: Vec<String>,
    refused: Vec<Error>,
}

impl Collected {
    fn add(&mut self, number: u32, set: SetParts, tree_of: &[usize]) {
        let mut seen: HashMap<Sum, u32> = HashMap::with_capacity(set.parts.len());
        for part in set.parts {
            let target = self.target(tree_of[part.label], part.path);
            self.need(target, number, part.sum, part.label, part.length);
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
        self.other_paths.extend(set.other_paths);
        self.not_included.extend(set.not_included);
    }

    fn target(&mut self, tree: usize, path: BString) -> u32 {
        let next = self.targets.len() as u32;
        let targets = &mut self.targets;
        *self.places.entry((tree, path)).or_insert_with_key(|(tree, path)| {
            targets.push(Target { tree: *tree, path: path.clone(), labels: Vec::new(), needs: Vec::new() });
            next
        })
    }

    fn need(&mut self, target: u32, set: u32, sum: Sum, label: usize, length: Option<u64>) {
        let target = &mut self.targets[target as usize];
        if !target.labels.contains(&label) {
            target.labels.push(label);
        }
        match target.needs.iter_mut().find(|need| need.sum == sum && need.label == label) {
            Some(need) => {
                need.length = need.length.or(length);
                if need.sets.last() != Some(&set) {
                    need.sets.push(set);
                }
            }
            None => target.needs.push(Need { sum, label, length, sets: vec![set] }),
        }
    }

    /// Sorts the targets.
    fn finish(self, trees: Vec<PathBuf>) -> Plan {
        let mut order: Vec<u32> = (0..self.targets.len() as u32).collect();
        let key = |&number: &u32| (self.targets[number as usize].tree, self.targets[number as usize].path.as_slice());
        order.par_sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        let mut place = vec![0; order.len()];
        order.iter().enumerate().for_each(|(at, &number)| place[number as usize] = at as u32);
        let mut alternatives = self.alternatives;
        alternatives.values_mut().flatten().for_each(|number| *number = place[*number as usize]);
        let mut targets: Vec<Option<Target>> = self.targets.into_iter().map(Some).collect();
        let targets = order.iter().filter_map(|&number| targets[number as usize].take()).collect();
        let refused = self.refused.iter().map(ToString::to_string).collect();
        let Self { not_included, other_paths: others, .. } = self;
        Plan { trees, targets, alternatives, not_included, refused, others }
    }
}
