//! Ways by symbolic links: paths for the files that have no real path in the tree, or none that is wanted.
//!
//! Of all paths by links that the tree wants, a file gets the one that is first by its bytes. Their number may be
//! exponential, and links may lead round in circles. So paths are tried in their order, none goes through a directory
//! twice or to where the tree wants nothing, no directory is tried again once nothing below it needs a path, and the ways to
//! each are limited.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice as _};
use rayon::prelude::*;

use super::add_lost_link;
use super::directories::TreeEntries;
use super::list::cannot_be_carried;
use crate::file::Stamp;
use crate::mirror::left_out::{Cause, LeftOut};
use crate::mirror::{Tree, os_path};

/// How many ways to a directory are tried.
const MOST_WAYS: u16 = 256;

/// How many ways are tried in all.
const MOST_STEPS: usize = 1 << 21;

/// A file that is reached by a link.
pub struct Reached {
    pub path: BString,
    pub stamp: Stamp,
}

/// The files that only links lead to on a path that the tree wants, sorted by these paths.
pub fn find(tree: &Tree, root: &Path, found: &mut TreeEntries) -> Vec<Reached> {
    if found.directories.iter().all(|directory| directory.links.is_empty()) {
        return Vec::new();
    }
    let mut named = Finder::new(found).run(tree, root);
    named.par_sort_unstable();
    let look_at = |(path, place): (BString, PathBuf)| {
        let mut left_out = LeftOut::default();
        let found = fs::metadata(&place).map_err(|error| add_lost_link(&mut left_out, &place, &error)).ok();
        let found = found.filter(fs::Metadata::is_file).map(|found| Stamp::of(&found));
        if let Some(cause) = found.and_then(|_| cannot_be_carried(tree, path.as_bstr())) {
            left_out.add(cause, &place, None);
            return (None, left_out);
        }
        (found.map(|stamp| Reached { path, stamp }), left_out)
    };
    let looked_at: Vec<_> = named.into_par_iter().map(look_at).collect();
    let mut files = Vec::with_capacity(looked_at.len());
    for (file, left_out) in looked_at {
        files.extend(file);
        found.left_out.extend(left_out);
    }
    files
}

struct Finder<'a> {
    found: &'a mut TreeEntries,
    /// The ways that are to be tried, first by their paths, which end with a slash.
    ahead: BinaryHeap<Reverse<(BString, usize)>>,
    /// The directories on each way: the number of the last one, and of the step before.
    steps: Vec<(usize, Option<usize>)>,
    /// How many ways to each directory were tried.
    ways: Vec<u16>,
    /// The directories below which no file needs a path.
    is_done: Vec<bool>,
    /// For each directory, the last search that came to it, and the number of that search.
    seen: Vec<u32>,
    search: u32,
}

impl<'a> Finder<'a> {
    fn new(found: &'a mut TreeEntries) -> Self {
        let count = found.directories.len();
        Self {
            found,
            ahead: BinaryHeap::new(),
            steps: Vec::new(),
            ways: vec![0; count],
            is_done: vec![false; count],
            seen: vec![0; count],
            search: 0,
        }
    }

    /// The files with their paths, and where they are.
    fn run(mut self, tree: &Tree, root: &Path) -> Vec<(BString, PathBuf)> {
        let mut named = Vec::new();
        self.begin(tree, root);
        while let Some(Reverse((path, step))) = self.ahead.pop() {
            let (directory, before) = self.steps[step];
            if self.leads_back(directory, before) || !self.is_needed(directory) {
                continue;
            }
            if self.steps.len() > MOST_STEPS || self.ways[directory] == MOST_WAYS {
                self.is_done[directory] = true;
                let place = self.found.directories[directory].place.clone();
                self.found.left_out.add(Cause::TooManyWays, &place, None);
                continue;
            }
            self.ways[directory] += 1;
            self.name_files(tree, directory, &path, &mut named);
            let Directories { below, links } = self.inside(directory);
            for (name, target) in below.into_iter().chain(links) {
                self.push(tree, [path.as_slice(), &name].concat(), target, Some(step));
            }
        }
        named
    }

    /// Begins with the links in the tree. What is above them is a way, too.
    fn begin(&mut self, tree: &Tree, root: &Path) {
        for number in 0..self.found.directories.len() {
            let directory = &self.found.directories[number];
            let is_in_tree = number == super::directories::ROOT || directory.parent.is_some();
            if !is_in_tree || directory.links.is_empty() {
                continue;
            }
            let path = directory.place.strip_prefix(root).unwrap_or(&directory.place);
            let mut path = path.as_os_str().as_encoded_bytes().to_vec();
            if !path.is_empty() && !path.ends_with(b"/") {
                path.push(b'/');
            }
            let mut above = Vec::new();
            let mut next = Some(number);
            while let Some(directory) = next {
                above.push(directory);
                next = self.found.directories[directory].parent;
            }
            let mut before = None;
            for directory in above.into_iter().rev() {
                self.steps.push((directory, before));
                before = Some(self.steps.len() - 1);
            }
            for (name, target) in self.inside(number).links {
                self.push(tree, [path.as_slice(), &name].concat(), target, before);
            }
        }
    }

    fn push(&mut self, tree: &Tree, mut path: Vec<u8>, directory: usize, before: Option<usize>) {
        if !self.is_done[directory] && !(tree.skipped)(path.as_bstr()) {
            path.push(b'/');
            self.steps.push((directory, before));
            self.ahead.push(Reverse((path.into(), self.steps.len() - 1)));
        }
    }

    /// What is in a directory: the directories, and those that links lead to.
    fn inside(&self, number: usize) -> Directories {
        let directory = &self.found.directories[number];
        let target = |(name, target): &(BString, _)| Some((name.clone(), *self.found.by_identity.get(target)?));
        Directories { below: directory.below.clone(), links: directory.links.iter().filter_map(target).collect() }
    }

    /// Whether a way has come to this directory before.
    fn leads_back(&self, directory: usize, mut before: Option<usize>) -> bool {
        while let Some(step) = before {
            let (above, next) = self.steps[step];
            if above == directory {
                return true;
            }
            before = next;
        }
        false
    }

    /// Whether a file in the directory, or in one that can be reached from it, still needs a path. If not, no directory on
    /// these ways is looked at again.
    fn is_needed(&mut self, directory: usize) -> bool {
        self.search += 1;
        let mut reached = vec![directory];
        let mut at = 0;
        while let Some(&number) = reached.get(at) {
            at += 1;
            if self.is_done[number] || self.seen[number] == self.search {
                continue;
            }
            self.seen[number] = self.search;
            let directory = &self.found.directories[number];
            if !directory.unnamed.is_empty() {
                return true;
            }
            reached.extend(directory.below.iter().map(|(_, inside)| *inside));
            let targets = directory.links.iter().filter_map(|(_, target)| self.found.by_identity.get(target));
            reached.extend(targets.copied());
        }
        reached.into_iter().for_each(|number| self.is_done[number] = true);
        false
    }

    /// Names the files of a directory that are wanted with this path.
    fn name_files(&mut self, tree: &Tree, directory: usize, path: &BString, named: &mut Vec<(BString, PathBuf)>) {
        let directory = &mut self.found.directories[directory];
        let place = &directory.place;
        directory.unnamed.retain(|name| {
            let path: BString = [path.as_slice(), name].concat().into();
            let is_wanted = tree.wants(path.as_bstr());
            if is_wanted {
                named.push((path, place.join(os_path(name))));
            }
            !is_wanted
        });
    }
}

/// The directories that a directory leads to.
struct Directories {
    below: Vec<(BString, usize)>,
    links: Vec<(BString, usize)>,
}
