//! What a walk finds: the wanted files of a tree, and its directories with those that symbolic links lead to.

use std::collections::HashMap;
use std::fs::Metadata;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use bstr::{BStr, BString};

use super::name::Rank;
use super::{Span, Walked};
use crate::mirror::left_out::LeftOut;

/// A device and an inode.
pub type Identity = (u64, u64);

/// The identity of a file or directory.
pub fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// The number of a tree's root among its directories.
pub const ROOT: usize = 0;

/// What a walk has found so far.
pub struct TreeEntries {
    /// The paths of the wanted files.
    pub paths: Vec<u8>,
    /// In sorted runs: a directory's files stand side by side where no directory's path sorts between theirs.
    pub files: Vec<Walked>,
    /// Those of the tree, and those outside that links lead to.
    pub directories: Vec<Directory>,
    /// The directories by what they are. Of two real paths to one directory, the first counts.
    pub by_identity: HashMap<Identity, usize>,
    pub left_out: LeftOut,
    pub incomplete: bool,
    pub too_many: bool,
}

/// A directory.
#[derive(Default)]
pub struct Directory {
    /// The path by which it was listed.
    pub place: PathBuf,
    /// The directory above; `None` for the root, and outside of the tree.
    pub parent: Option<usize>,
    /// Its sorted content, if it is in the tree.
    pub contents: Vec<Content>,
    /// The names of files that have no real path in the tree, or none that is wanted.
    pub unnamed: Vec<BString>,
    /// The directories in it.
    pub below: Vec<(BString, usize)>,
    /// The symbolic links in it that lead to directories.
    pub links: Vec<(BString, Identity)>,
}

/// Something that a directory of the tree contains: some files, by their places in `files`, or a directory, by its number.
pub enum Content {
    Files(Range<usize>),
    Directory(usize),
}

/// An entry of a directory of the tree that the walk wants. Paths are relative to the tree's root; those of directories
/// end with a slash, so that sorting entries by their paths puts the paths of all files below them in order.
pub enum Entry {
    /// `is_link`: the file is the target of a symbolic link.
    File {
        path: BString,
        stamp: crate::file::Stamp,
        is_link: bool,
    },
    Directory {
        path: BString,
        name: BString,
    },
}

impl Entry {
    pub fn path(&self) -> &BStr {
        match self {
            Self::File { path, .. } | Self::Directory { path, .. } => path.as_ref(),
        }
    }
}

impl TreeEntries {
    pub fn new(root: PathBuf) -> Self {
        Self {
            paths: Vec::new(),
            files: Vec::new(),
            directories: vec![Directory { place: root, ..Directory::default() }],
            by_identity: HashMap::new(),
            left_out: LeftOut::default(),
            incomplete: false,
            too_many: false,
        }
    }

    /// Adds the sorted entries of a directory of the tree. Returns how many of them are files, and the directories with
    /// their numbers.
    pub fn add(&mut self, directory: usize, entries: Vec<Entry>) -> (u64, Vec<(usize, BString)>) {
        let before = self.files.len();
        let (mut listed, mut below, mut inside) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries {
            match entry {
                Entry::File { path, stamp, is_link } => {
                    self.add_file(path.as_ref(), stamp, is_link);
                    match listed.last_mut() {
                        Some(Content::Files(files)) => files.end = self.files.len(),
                        _ => listed.push(Content::Files(self.files.len() - 1..self.files.len())),
                    }
                }
                Entry::Directory { path, name } => {
                    let number = self.add_directory(directory, &name);
                    self.directories[number].parent = Some(directory);
                    listed.push(Content::Directory(number));
                    inside.push((name, number));
                    below.push((number, path));
                }
            }
        }
        self.directories[directory].contents = listed;
        self.directories[directory].below = inside;
        ((self.files.len() - before) as u64, below)
    }

    /// Adds a directory that is in another one, and returns its number.
    pub fn add_directory(&mut self, above: usize, name: &BString) -> usize {
        let place = self.directories[above].place.join(crate::mirror::os_path(name));
        self.directories.push(Directory { place, ..Directory::default() });
        self.directories.len() - 1
    }

    /// Notes what a directory of the tree is.
    pub fn identify(&mut self, directory: usize, identity: Identity) {
        let place = |number: usize| &self.directories[number].place;
        match self.by_identity.get(&identity) {
            Some(&other) if place(other) <= place(directory) => {}
            _ => _ = self.by_identity.insert(identity, directory),
        }
    }

    pub fn add_file(&mut self, path: &BStr, stamp: crate::file::Stamp, is_link: bool) {
        // Paths and file ids are counted in 32 bits; no path is empty, so there are never more files than bytes.
        match Span::push(path, &mut self.paths) {
            Some(span) => self.files.push(Walked { path: span, stamp, rank: Rank::of(path, is_link) }),
            None => self.too_many = true,
        }
    }

    /// The files with real paths, by the bytes of these.
    pub fn files_in_order(&mut self) -> Vec<Walked> {
        let mut files = Vec::with_capacity(self.files.len());
        let mut ahead = vec![Content::Directory(ROOT)];
        while let Some(listed) = ahead.pop() {
            match listed {
                Content::Files(range) => files.extend_from_slice(&self.files[range]),
                Content::Directory(number) => {
                    ahead.extend(std::mem::take(&mut self.directories[number].contents).into_iter().rev());
                }
            }
        }
        files
    }
}
