//! The catalogue: every mirror file of a run, what is known about it, and its strong sums on demand.
//!
//! It is compact, about 200 bytes a file: the paths of a tree are one string, and what belongs to a file's content
//! (stamp, heads, sums) is kept once for all its names.

mod reading;

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bstr::BStr;
use jigdo::Checksum;
use parking_lot::Mutex;
use rayon::prelude::*;
use sha2::Digest as _;

use super::heads::FileHead;
use super::left_out::LeftOut;
use super::store::Store;
use super::walk::{Listing, Rank, Span};
use super::{FileError, Sums, Tree, os_path};
use crate::file::Stamp;
use crate::matcher::Features;
use crate::summing::Engine;
use reading::{Reading, Unsaved};

/// A file's number in its catalogue: files are numbered by tree, then by the bytes of their paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// The usable files of some trees, as they were when [`Index::refresh`](super::Index::refresh) walked them.
pub struct Catalogue {
    /// When the walk began, in nanoseconds since 1970.
    walked: i64,
    trees: Vec<CatalogueTree>,
    files: Vec<File>,
    contents: Vec<Content>,
    /// All files, those with the same content side by side.
    names: Vec<FileId>,
    block_lengths: Vec<u32>,
    /// The kinds of sums that are wanted.
    checksums: Vec<Checksum>,
    /// Each content's heads, one for each block length.
    heads: Vec<FileHead>,
    /// Boxed, because most files of a large mirror are in no image.
    sums: Vec<OnceLock<Result<Box<Sums>, FileError>>>,
    engine: Engine,
    /// The contents that are being read for their sums.
    in_work: Mutex<HashMap<usize, Reading>>,
    /// The stamps of contents that have another ctime since they were walked, and were read since.
    moved: Mutex<HashMap<usize, Stamp>>,
    /// What could not be used when the trees were walked and heads were read.
    left_out: LeftOut,
    /// The contents whose sums failed; `true` once an error has named them.
    failed: Mutex<BTreeMap<usize, bool>>,
    store: Arc<Store>,
    unsaved: Mutex<Unsaved>,
}

/// A tree's part of the catalogue.
struct CatalogueTree {
    label: String,
    root: PathBuf,
    paths: Vec<u8>,
    files: Range<u32>,
}

struct File {
    path: Span,
    content: u32,
    rank: Rank,
}

/// A file, regardless of how many names it has.
struct Content {
    stamp: Stamp,
    /// Where its names begin in `names`; they end where the next content's begin.
    names: u32,
}

impl Catalogue {
    /// The files of `listings`, the walks of `trees` that began at `walked`. No head and no sum is known yet.
    pub(super) fn new(
        walked: i64,
        trees: &[Tree],
        listings: Vec<Listing>,
        block_lengths: &[u32],
        checksums: &[Checksum],
        store: Arc<Store>,
    ) -> Self {
        let mut files = Vec::with_capacity(listings.iter().map(|listing| listing.files.len()).sum());
        let mut stamps = Vec::with_capacity(files.capacity());
        let mut listed = Vec::with_capacity(trees.len());
        let mut left_out = LeftOut::default();
        for (tree, listing) in trees.iter().zip(listings) {
            let start = files.len() as u32;
            left_out.extend(listing.left_out);
            files.extend(listing.files.iter().map(|file| File { path: file.path, content: 0, rank: file.rank }));
            stamps.extend(listing.files.iter().map(|file| file.stamp));
            let range = start..files.len() as u32;
            listed.push(CatalogueTree {
                label: tree.label.clone(),
                root: listing.root,
                paths: listing.paths,
                files: range,
            });
        }
        let (contents, names) = group(&mut files, &stamps);
        Self {
            walked,
            trees: listed,
            files,
            heads: vec![None; contents.len() * block_lengths.len()],
            sums: contents.iter().map(|_| OnceLock::new()).collect(),
            contents,
            names,
            block_lengths: block_lengths.to_vec(),
            checksums: checksums.to_vec(),
            engine: Engine::new(rayon::current_num_threads()),
            in_work: Mutex::default(),
            moved: Mutex::default(),
            left_out,
            failed: Mutex::default(),
            store,
            unsaved: Mutex::default(),
        }
    }

    /// The number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Every file, in order.
    pub fn files(&self) -> impl ExactSizeIterator<Item = FileId> + use<> {
        (0..self.files.len() as u32).map(FileId)
    }

    /// The number of trees. They are numbered from 0 in the order given.
    pub fn trees(&self) -> usize {
        self.trees.len()
    }

    /// The files of a tree, in the order of their paths' bytes.
    pub fn files_of(&self, tree: usize) -> impl ExactSizeIterator<Item = FileId> + use<> {
        self.trees[tree].files.clone().map(FileId)
    }

    /// The file at this path in a tree. `None` if the catalogue does not have it.
    pub fn find(&self, tree: usize, path: impl AsRef<[u8]>) -> Option<FileId> {
        let path = BStr::new(path.as_ref());
        let Range { mut start, mut end } = self.trees[tree].files.clone();
        while start < end {
            let middle = start + (end - start) / 2;
            match self.path_in(tree, FileId(middle)).cmp(path) {
                Ordering::Less => start = middle + 1,
                Ordering::Greater => end = middle,
                Ordering::Equal => return Some(FileId(middle)),
            }
        }
        None
    }

    /// The files of a tree, those with the most lasting names first: see `Rank`. Of equal files, the first should name a
    /// part.
    pub fn preferred_files_of(&self, tree: usize) -> impl Iterator<Item = FileId> + '_ {
        let rank = |file: FileId| self.files[file.0 as usize].rank;
        let ranks = (0..Rank::COUNT).map(Rank::numbered);
        ranks.flat_map(move |of| self.files_of(tree).filter(move |&file| rank(file) == of))
    }

    /// The tree that the file belongs to.
    pub fn tree(&self, file: FileId) -> usize {
        self.trees.partition_point(|tree| tree.files.end <= file.0)
    }

    /// The label of a tree.
    pub fn label(&self, tree: usize) -> &str {
        &self.trees[tree].label
    }

    /// The file's path relative to its tree's root, with `/`.
    pub fn path(&self, file: FileId) -> &BStr {
        self.path_in(self.tree(file), file)
    }

    fn path_in(&self, tree: usize, file: FileId) -> &BStr {
        self.files[file.0 as usize].path.of(&self.trees[tree].paths)
    }

    /// The file's absolute path.
    pub fn full_path(&self, file: FileId) -> PathBuf {
        let tree = self.tree(file);
        self.trees[tree].root.join(os_path(self.path_in(tree, file)))
    }

    /// The file's length in bytes.
    pub fn length(&self, file: FileId) -> u64 {
        self.stamp(file).size
    }

    /// The file's stamp when its tree was walked.
    pub fn stamp(&self, file: FileId) -> &Stamp {
        &self.contents[self.content(file)].stamp
    }

    /// The number of the file's content, which all names of one file share. It is below [`Catalogue::len`].
    pub fn content(&self, file: FileId) -> usize {
        self.files[file.0 as usize].content as usize
    }

    /// The file's features for blocks of this length. `None` if the file is shorter, or if `block_length` is none of those
    /// that the catalogue was made for.
    pub fn features(&self, file: FileId, block_length: u32) -> Option<Features> {
        let at = self.block_lengths.iter().position(|&length| length == block_length)?;
        self.heads_of(self.content(file))[at]
    }

    /// Whether the file's strong sums need no more reading: they are known, or the file cannot be used.
    pub fn is_read(&self, file: FileId) -> bool {
        self.sums[self.content(file)].get().is_some()
    }

    /// The file's strong sums, if they are already known.
    pub fn known_sums(&self, file: FileId) -> Option<Sums> {
        self.sums[self.content(file)].get()?.as_deref().ok().copied()
    }

    /// The engine that sums the files. Whatever is summed at the same time should use it too.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// A hash of the paths, sizes, times and inodes of the tree's files. If it equals an earlier one, and
    /// [`Catalogue::is_settled`] was true then, the tree has not changed since.
    pub fn fingerprint(&self, tree: usize) -> [u8; 32] {
        let mut hasher = sha2::Sha256::new();
        for file in self.files_of(tree) {
            let (path, stamp) = (self.path_in(tree, file), self.stamp(file));
            hasher.update((path.len() as u64).to_le_bytes());
            hasher.update(path);
            for word in [stamp.size, stamp.mtime_ns.cast_unsigned(), stamp.ctime_ns.cast_unsigned(), stamp.inode] {
                hasher.update(word.to_le_bytes());
            }
        }
        hasher.finalize().into()
    }

    /// Whether every file of the tree was old enough when it was walked for any later change to show in its stamp: see
    /// [`Stamp::is_young`].
    pub fn is_settled(&self, tree: usize) -> bool {
        self.files_of(tree).all(|file| !self.stamp(file).is_young(self.walked))
    }

    /// The root of a tree as the index stores it.
    pub(super) fn root(&self, tree: usize) -> &[u8] {
        self.trees[tree].root.as_os_str().as_encoded_bytes()
    }

    /// Whether a tree has no file at this path now. The catalogue does not have it, but another way may lead there.
    pub(super) fn is_gone(&self, tree: usize, path: &BStr) -> bool {
        !std::fs::metadata(self.trees[tree].root.join(os_path(path))).is_ok_and(|found| found.is_file())
    }

    /// The number of contents.
    pub(super) fn contents(&self) -> usize {
        self.contents.len()
    }

    /// The files with this content; none if it was left out.
    pub(super) fn names(&self, content: usize) -> &[FileId] {
        let end = self.contents.get(content + 1).map_or(self.names.len(), |next| next.names as usize);
        &self.names[self.contents[content].names as usize..end]
    }

    pub(super) fn content_stamp(&self, content: usize) -> &Stamp {
        &self.contents[content].stamp
    }

    /// Gives a content another ctime, with which it was read.
    pub(super) fn set_content_stamp(&mut self, content: usize, stamp: Stamp) {
        self.contents[content].stamp = stamp;
    }

    /// Adds what cannot be used.
    pub(super) fn add_left_out(&mut self, error: &FileError) {
        self.left_out.add_file(error);
    }

    /// What could not be used so far.
    pub(super) fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    pub(super) fn block_lengths(&self) -> &[u32] {
        &self.block_lengths
    }

    /// A content's heads, in the order of the block lengths.
    pub(super) fn heads_of(&self, content: usize) -> &[FileHead] {
        let count = self.block_lengths.len();
        &self.heads[content * count..][..count]
    }

    pub(super) fn heads_of_mut(&mut self, content: usize) -> &mut [FileHead] {
        let count = self.block_lengths.len();
        &mut self.heads[content * count..][..count]
    }

    /// Stores sums that the index knows, if they are of all kinds that are wanted.
    pub(super) fn take_sums(&self, file: FileId, sums: Sums) {
        if self.checksums.iter().all(|&checksum| sums.part(checksum).is_some()) {
            self.sums[self.content(file)].get_or_init(|| Ok(Box::new(sums)));
        }
    }

    /// Removes the files with these contents. This renumbers the files.
    pub(super) fn leave_out(&mut self, contents: &[usize]) {
        let mut is_out = vec![false; self.contents.len()];
        for &content in contents {
            is_out[content] = true;
        }
        let mut kept = 0..;
        let renumbered: Vec<_> =
            self.files.iter().map(|file| if is_out[file.content as usize] { None } else { kept.next() }).collect();
        self.files.retain(|file| !is_out[file.content as usize]);
        let mut start = 0;
        for tree in &mut self.trees {
            let files = tree.files.start as usize..tree.files.end as usize;
            let end = start + renumbered[files].iter().flatten().count() as u32;
            tree.files = start..end;
            start = end;
        }
        self.rename(|file| renumbered[file.0 as usize].map(FileId));
    }

    /// Gives every file in `names` its new number, or drops it.
    fn rename(&mut self, renumbered: impl Fn(FileId) -> Option<FileId>) {
        let mut names = Vec::with_capacity(self.files.len());
        let mut starts = Vec::with_capacity(self.contents.len());
        for content in 0..self.contents.len() {
            starts.push(names.len() as u32);
            names.extend(self.names(content).iter().filter_map(|&file| renumbered(file)));
        }
        for (content, start) in self.contents.iter_mut().zip(starts) {
            content.names = start;
        }
        self.names = names;
    }
}

/// Groups the names of each file, which share a stamp. Returns the contents, and all names in the order of contents.
fn group(files: &mut [File], stamps: &[Stamp]) -> (Vec<Content>, Vec<FileId>) {
    let mut names: Vec<FileId> = (0..files.len() as u32).map(FileId).collect();
    names.par_sort_unstable_by_key(|&file| (stamps[file.0 as usize], file));
    let mut contents: Vec<Content> = Vec::new();
    for (at, file) in names.iter().enumerate() {
        let stamp = stamps[file.0 as usize];
        if contents.last().is_none_or(|last| last.stamp != stamp) {
            contents.push(Content { stamp, names: at as u32 });
        }
        files[file.0 as usize].content = contents.len() as u32 - 1;
    }
    (contents, names)
}
