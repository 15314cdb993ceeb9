//! Lists the directories of a tree, and then those that symbolic links lead to, each once.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice as _};
use jigdo::Checksum;
use jigdo::jigdo_file::fits_part_line;
use parking_lot::Mutex;
use rayon::prelude::*;

use super::directories::{Directory, Entry, Identity, ROOT, TreeEntries, identity};
use super::name::{is_hidden, is_portable};
use super::{add_lost_link, root_of};
use crate::file::{Stamp, with_patience};
use crate::mirror::left_out::{Cause, LeftOut};
use crate::mirror::{Error, Tree};
use crate::progress::Task;

/// Walks one tree.
pub struct Walker<'a> {
    pub tree: &'a Tree,
    pub root: PathBuf,
    /// Advances by the files found in all trees.
    pub task: &'a Task<'a>,
    pub entries: Mutex<TreeEntries>,
}

/// An entry of a directory, looked at.
enum Looked {
    /// A file or a directory with a real path in the tree that is wanted.
    Wanted(Entry),
    /// A directory outside of the tree, with what it is.
    Outside(BString, Identity),
    /// A symbolic link to a directory, with what that is.
    Link(BString, Identity),
    /// A file that needs another path, if it is wanted at all.
    Unnamed(BString),
}

/// The entries of a directory that was listed.
#[derive(Default)]
struct Listed {
    wanted: Vec<Entry>,
    outside: Vec<(BString, Identity)>,
    links: Vec<(BString, Identity)>,
    unnamed: Vec<BString>,
    left_out: LeftOut,
    is_incomplete: bool,
}

impl Listed {
    fn add(&mut self, looked: Looked) {
        match looked {
            Looked::Wanted(entry) => self.wanted.push(entry),
            Looked::Outside(name, identity) => self.outside.push((name, identity)),
            Looked::Link(name, identity) => self.links.push((name, identity)),
            Looked::Unnamed(name) => self.unnamed.push(name),
        }
    }
}

/// Threads share the work on directories with more entries than this.
const BATCH: usize = 512;

impl<'a> Walker<'a> {
    pub fn new(tree: &'a Tree, task: &'a Task<'a>) -> Result<Self, Error> {
        let root = root_of(tree)?;
        let entries = Mutex::new(TreeEntries::new(root.clone()));
        Ok(Self { tree, root, task, entries })
    }

    /// Lists the real directories of the tree.
    pub fn list_tree<'s>(&'s self, scope: &rayon::Scope<'s>) {
        scope.spawn(|scope| self.list(ROOT, "".into(), scope));
    }

    /// Lists a directory of the tree, and then those in it.
    fn list<'s>(&'s self, number: usize, directory: &BStr, scope: &rayon::Scope<'s>) {
        let place = self.root.join(crate::mirror::os_path(directory));
        let mut listed = self.entries(Some(directory), &place);
        listed.wanted.sort_unstable_by(|a, b| a.path().cmp(b.path()));
        let found = fs::metadata(&place).map(|found| identity(&found));
        let (files, below) = self.with_entries(|entries| {
            if let Ok(found) = found {
                entries.identify(number, found);
            }
            let added = entries.add(number, std::mem::take(&mut listed.wanted));
            add_rest(entries, number, listed);
            added
        });
        self.task.advance(files);
        // A thread takes what it spawned last first.
        for (number, directory) in below.into_iter().rev() {
            scope.spawn(move |scope| self.list(number, directory.as_bstr(), scope));
        }
    }

    /// Lists the directories outside of the tree that links lead to, those that links in these lead to, and so on.
    pub fn list_targets(&self) {
        let mut looked_at = 0;
        loop {
            let targets = self.with_entries(|entries| new_targets(entries, &mut looked_at));
            if targets.is_empty() {
                return;
            }
            rayon::scope(|scope| {
                for (number, place) in targets {
                    scope.spawn(move |scope| self.list_outside(number, &place, scope));
                }
            });
        }
    }

    /// Lists a directory outside of the tree, and those in it that nothing has led to before.
    fn list_outside<'s>(&'s self, number: usize, place: &Path, scope: &rayon::Scope<'s>) {
        let mut listed = self.entries(None, place);
        let below = self.with_entries(|entries| {
            let mut below = Vec::new();
            for (name, found) in std::mem::take(&mut listed.outside) {
                let known = entries.by_identity.get(&found).copied();
                let inside = known.unwrap_or_else(|| {
                    let new = entries.add_directory(number, &name);
                    entries.by_identity.insert(found, new);
                    below.push((new, entries.directories[new].place.clone()));
                    new
                });
                entries.directories[number].below.push((name, inside));
            }
            add_rest(entries, number, listed);
            below
        });
        for (number, place) in below {
            scope.spawn(move |scope| self.list_outside(number, &place, scope));
        }
    }

    /// The entries of the directory at `place`, in no order. `directory` is its path in the tree, if it has one.
    fn entries(&self, directory: Option<&BStr>, place: &Path) -> Listed {
        let mut listed = Listed::default();
        let entries = with_patience(|| fs::read_dir(place)).and_then(Iterator::collect::<io::Result<Vec<DirEntry>>>);
        let entries = entries.unwrap_or_else(|error| {
            listed.is_incomplete = true;
            listed.left_out.add_error(place, &error);
            Vec::new()
        });
        let look_at = |entry| {
            let mut left_out = LeftOut::default();
            let looked = self.look_at(directory, place, entry, &mut left_out);
            (looked, left_out)
        };
        let looked: Vec<_> = entries.par_iter().with_min_len(BATCH).map(look_at).collect();
        for (looked, left_out) in looked {
            looked.into_iter().for_each(|looked| listed.add(looked));
            listed.left_out.extend(left_out);
        }
        listed
    }

    /// The entry, unless nothing can want it.
    fn look_at(
        &self,
        directory: Option<&BStr>,
        place: &Path,
        entry: &DirEntry,
        left_out: &mut LeftOut,
    ) -> Option<Looked> {
        let file_name = entry.file_name();
        let name = file_name.as_bytes();
        if is_hidden(name) && !self.tree.hidden {
            return None;
        }
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) => {
                left_out.add_error(&entry.path(), &error);
                return None;
            }
        };
        let target = if kind.is_symlink() { Some(fs::metadata(entry.path())) } else { None };
        if let Some(Ok(target)) = target.as_ref().filter(|target| target.as_ref().is_ok_and(fs::Metadata::is_dir)) {
            if directory.is_some_and(|directory| (self.tree.skipped)(joined(directory, name).as_bstr())) {
                return None;
            }
            return portable(name, &entry.path(), left_out).map(|name| Looked::Link(name, identity(target)));
        }
        if kind.is_dir() {
            return self.look_at_directory(directory, place, name, left_out);
        }
        // A pipe, a socket or a device has no bytes that an image could contain.
        let is_link = target.is_some();
        if !kind.is_file() && target.as_ref().is_none_or(|target| target.as_ref().is_ok_and(|found| !found.is_file())) {
            return None;
        }
        let Some(path) =
            directory.map(|directory| joined(directory, name)).filter(|path| self.tree.wants(path.as_bstr()))
        else {
            return Some(Looked::Unnamed(name.into()));
        };
        match target.unwrap_or_else(|| entry.metadata()) {
            Ok(found) if !found.is_file() => None,
            Ok(found) => match cannot_be_carried(self.tree, path.as_bstr()) {
                Some(cause) => {
                    left_out.add(cause, &entry.path(), None);
                    None
                }
                None => Some(Looked::Wanted(Entry::File { path, stamp: Stamp::of(&found), is_link })),
            },
            Err(error) => {
                add_lost_link(left_out, &entry.path(), &error);
                None
            }
        }
    }

    fn look_at_directory(
        &self,
        directory: Option<&BStr>,
        place: &Path,
        name: &[u8],
        left_out: &mut LeftOut,
    ) -> Option<Looked> {
        let full = place.join(OsStr::from_bytes(name));
        let path = directory.map(|directory| joined(directory, name));
        if path.as_ref().is_some_and(|path| (self.tree.skipped)(path.as_bstr())) {
            return None;
        }
        let name = portable(name, &full, left_out)?;
        match path {
            Some(mut path) => {
                path.push(b'/');
                Some(Looked::Wanted(Entry::Directory { path, name }))
            }
            None => match fs::metadata(&full) {
                Ok(found) => Some(Looked::Outside(name, identity(&found))),
                Err(error) => {
                    left_out.add_error(&full, &error);
                    None
                }
            },
        }
    }

    fn with_entries<T>(&self, change: impl FnOnce(&mut TreeEntries) -> T) -> T {
        change(&mut self.entries.lock())
    }
}

/// The name of a directory, unless no jigdo file can carry it.
fn portable(name: &[u8], path: &Path, left_out: &mut LeftOut) -> Option<BString> {
    if !is_portable(name) {
        left_out.add(Cause::Unportable, path, None);
        return None;
    }
    Some(name.into())
}

/// Why a jigdo file cannot carry a path of this tree; `None` if it can. A file may be a part of images with sums of either
/// kind, so the longer kind counts.
pub fn cannot_be_carried(tree: &Tree, path: &BStr) -> Option<Cause> {
    if !is_portable(path) {
        return Some(Cause::Unportable);
    }
    (!fits_part_line(Checksum::Sha256, tree.label.as_bytes(), path)).then_some(Cause::TooLong)
}

/// Adds what is neither a file with a real path nor a directory.
fn add_rest(entries: &mut TreeEntries, number: usize, listed: Listed) {
    let directory = &mut entries.directories[number];
    (directory.unnamed, directory.links) = (listed.unnamed, listed.links);
    entries.left_out.extend(listed.left_out);
    entries.incomplete |= listed.is_incomplete;
}

/// Adds the directories to which only links lead, and returns their numbers and places. The links of the first
/// `looked_at` directories are known.
fn new_targets(entries: &mut TreeEntries, looked_at: &mut usize) -> Vec<(usize, PathBuf)> {
    let mut targets: BTreeMap<Identity, PathBuf> = BTreeMap::new();
    for directory in &entries.directories[*looked_at..] {
        for (name, target) in directory.links.iter().filter(|(_, target)| !entries.by_identity.contains_key(target)) {
            let place = directory.place.join(crate::mirror::os_path(name));
            let first = targets.entry(*target).or_insert_with(|| place.clone());
            if place < *first {
                *first = place;
            }
        }
    }
    *looked_at = entries.directories.len();
    let mut add = |(target, place): (Identity, PathBuf)| {
        let number = entries.directories.len();
        entries.directories.push(Directory { place: place.clone(), ..Directory::default() });
        entries.by_identity.insert(target, number);
        (number, place)
    };
    targets.into_iter().map(&mut add).collect()
}

fn joined(directory: &BStr, name: &[u8]) -> BString {
    [directory, name].concat().into()
}
