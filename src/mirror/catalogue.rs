//! The catalogue: every mirror file of a run, what is known about it, and its strong sums on demand.
//!
//! It is compact, about 200 bytes a file: the paths of a tree are one string, and what belongs to a file's content
//! (stamp, heads, sums) is kept once for all its names.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jigdo::Checksum;
use parking_lot::{Mutex, MutexGuard};
use rayon::prelude::*;
use sha2::Digest as _;

use super::heads::FileHead;
use super::store::Store;
use super::walk::{Listing, Span};
use super::{Error, FileError, Sums, Tree, read};
use crate::file::Bytes as _;
use crate::file::Mapped;
use crate::file::{Stamp, now_ns};
use crate::matcher::Features;
use crate::progress::Progress;
use crate::summing::{Engine, Request, Source, Ticket};

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
    store: Arc<Store>,
    unsaved: Mutex<Unsaved>,
}

/// A tree's part of the catalogue.
struct CatalogueTree {
    label: String,
    root: PathBuf,
    paths: String,
    files: Range<u32>,
}

struct File {
    path: Span,
    content: u32,
}

/// A file, regardless of how many names it has.
struct Content {
    stamp: Stamp,
    /// Where its names begin in `names`; they end where the next content's begin.
    names: u32,
}

/// A file that is being read for its sums.
#[derive(Clone)]
struct Reading {
    ticket: Arc<Ticket>,
    /// When it was requested, in nanoseconds since 1970.
    started: i64,
    /// Whether this is the second attempt.
    is_again: bool,
}

impl Reading {
    fn first(ticket: &Arc<Ticket>, started: i64) -> Self {
        Self { ticket: Arc::clone(ticket), started, is_again: false }
    }
}

/// Contents whose sums are not yet in the index.
struct Unsaved {
    contents: Vec<u32>,
    saved: Instant,
}

/// How many sums, or how much time, a killed run may lose.
const UNSAVED_SUMS: usize = 1000;
const UNSAVED_TIME: Duration = Duration::from_secs(5);

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
        for (tree, listing) in trees.iter().zip(listings) {
            let start = files.len() as u32;
            files.extend(listing.files.iter().map(|file| File { path: file.path, content: 0 }));
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
            store,
            unsaved: Mutex::new(Unsaved { contents: Vec::new(), saved: Instant::now() }),
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
    pub fn find(&self, tree: usize, path: &str) -> Option<FileId> {
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

    /// The tree that the file belongs to.
    pub fn tree(&self, file: FileId) -> usize {
        self.trees.partition_point(|tree| tree.files.end <= file.0)
    }

    /// The label of a tree.
    pub fn label(&self, tree: usize) -> &str {
        &self.trees[tree].label
    }

    /// The file's path relative to its tree's root, with `/`.
    pub fn path(&self, file: FileId) -> &str {
        self.path_in(self.tree(file), file)
    }

    fn path_in(&self, tree: usize, file: FileId) -> &str {
        self.files[file.0 as usize].path.of(&self.trees[tree].paths)
    }

    /// The file's absolute path.
    pub fn full_path(&self, file: FileId) -> PathBuf {
        let tree = self.tree(file);
        self.trees[tree].root.join(self.path_in(tree, file))
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

    /// Starts reading those of these files whose sums are not known, because they will soon be asked for. Returns the
    /// length of each file that nobody has asked for before, with the ticket that will know how long it took.
    pub fn prefetch(&self, files: &[FileId]) -> Vec<(u64, Arc<Ticket>)> {
        let is_unknown = |&content: &usize| self.sums[content].get().is_none();
        let mut unknown: Vec<_> = files.iter().map(|&file| self.content(file)).filter(is_unknown).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return Vec::new();
        }
        let mut in_work = self.in_work();
        // Another thread stores a file's sums before it removes the file from `in_work`.
        unknown.retain(|content| is_unknown(content) && !in_work.contains_key(content));
        let tickets = self.engine.sum(unknown.iter().map(|&content| self.request(content)));
        in_work.extend(unknown.iter().copied().zip(tickets.iter().map(|ticket| Reading::first(ticket, now_ns()))));
        unknown.iter().map(|&content| self.contents[content].stamp.size).zip(tickets).collect()
    }

    /// Those of these files that are being read.
    fn readings(&self, files: &[FileId]) -> Vec<(usize, Reading)> {
        let in_work = self.in_work();
        let contents = files.iter().map(|&file| self.content(file));
        contents.filter_map(|content| Some((content, in_work.get(&content)?.clone()))).collect()
    }

    /// Waits until these files are read, if anything has asked for their sums: see [`Engine::wait_idle`].
    pub fn wait_idle(&self, files: &[FileId]) {
        let tickets: Vec<_> = self.readings(files).into_iter().map(|(_, reading)| reading.ticket).collect();
        self.engine.wait_idle(&tickets);
    }

    fn request(&self, content: usize) -> Request {
        let stamp = self.contents[content].stamp;
        let source = Source::closed(self.full_path(self.names(content)[0]), stamp);
        Request { source, start: 0, ends: vec![stamp.size], hashers: Sums::hashers(&self.checksums) }
    }

    /// The strong sums of these files, in their order, of the kinds that the catalogue was made for. Files whose sums are
    /// not known are read in parallel, each only once even if several threads ask for it, and the index remembers the
    /// sums. The first time that a file cannot be used, a warning is reported.
    pub fn sums(&self, files: &[FileId], progress: &dyn Progress) -> Vec<Result<Sums, FileError>> {
        loop {
            self.prefetch(files);
            let readings = self.readings(files);
            let tickets: Vec<_> = readings.iter().map(|(_, reading)| Arc::clone(&reading.ticket)).collect();
            self.engine.wait(&tickets);
            readings.iter().for_each(|(content, reading)| self.take_reading(*content, reading, progress));
            if files.iter().all(|&file| self.is_read(file)) {
                break;
            }
        }
        let sums_of = |&file: &FileId| Some(self.sums[self.content(file)].get()?.clone().map(|sums| *sums));
        files.iter().map(|file| sums_of(file).expect("every unknown sum has just been read")).collect()
    }

    fn in_work(&self) -> MutexGuard<'_, HashMap<usize, Reading>> {
        self.in_work.lock()
    }

    /// Stores the result of reading a file, unless another thread has. A file that failed is read once more if it has its
    /// stamp again: it may have been touched only for a moment.
    fn take_reading(&self, content: usize, reading: &Reading, progress: &dyn Progress) {
        let stamp = &self.contents[content].stamp;
        let path = || self.full_path(self.names(content)[0]);
        let result = match reading.ticket.sums() {
            None => return,
            Some(Ok(sums)) => Ok(Box::new(Sums::of(&self.checksums, &sums[0]))),
            Some(Err(error)) => match read::is_unchanged(&path(), stamp) {
                Ok(true) if !reading.is_again => return self.read_again(content, reading),
                Ok(true) => {
                    let source = Arc::new(io::Error::new(error.kind(), error.to_string()));
                    Err(FileError::Io { path: path(), source })
                }
                Ok(false) => Err(FileError::Changed { path: path() }),
                Err(error) => Err(FileError::Io { path: path(), source: Arc::new(error) }),
            },
        };
        let warning = result.as_ref().err().map(ToString::to_string);
        let is_first = self.sums[content].set(result).is_ok();
        self.in_work().remove(&content);
        if let Some(warning) = warning.filter(|_| is_first) {
            progress.warn(&warning);
        } else if is_first && !stamp.is_young(reading.started) {
            self.note_unsaved(content, progress);
        }
    }

    /// Starts the second attempt to read a file, unless another thread has.
    fn read_again(&self, content: usize, reading: &Reading) {
        tracing::debug!(path = %self.full_path(self.names(content)[0]).display(), "changed while it was read; reading it again");
        let mut in_work = self.in_work();
        if in_work.get(&content).is_some_and(|now| Arc::ptr_eq(&now.ticket, &reading.ticket)) {
            let ticket = self.engine.sum([self.request(content)]).pop().expect("one for each request");
            in_work.insert(content, Reading { ticket, started: now_ns(), is_again: true });
        }
    }

    fn note_unsaved(&self, content: usize, progress: &dyn Progress) {
        let batch = {
            let mut unsaved = self.unsaved.lock();
            unsaved.contents.push(content as u32);
            let is_due = unsaved.contents.len() >= UNSAVED_SUMS || unsaved.saved.elapsed() >= UNSAVED_TIME;
            if is_due { unsaved.take() } else { Vec::new() }
        };
        if let Err(error) = self.save(&batch) {
            progress.warn(&format!("sums of mirror files will be read again next time: {error}"));
        }
    }

    /// Saves the sums that were read. This also happens from time to time, and when the catalogue is dropped.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn flush(&self) -> Result<(), Error> {
        let batch = self.unsaved.lock().take();
        self.save(&batch)
    }

    fn save(&self, contents: &[u32]) -> Result<(), Error> {
        if contents.is_empty() {
            return Ok(());
        }
        self.store.write(|writer| {
            let trees =
                (0..self.trees.len()).map(|tree| writer.tree(&self.root(tree))).collect::<Result<Vec<_>, _>>()?;
            for &content in contents {
                let content = content as usize;
                for &file in self.names(content) {
                    let (tree, stamp) = (self.tree(file), &self.contents[content].stamp);
                    writer.file(trees[tree], self.path_in(tree, file), stamp, self.known_sums(file).as_ref())?;
                }
            }
            Ok(())
        })
    }

    /// Passes the file's bytes to `take`, unless the file cannot be read or has changed since the walk. A change while
    /// `take` runs goes unnoticed here, and shows only in the sums.
    pub fn map(&self, file: FileId, take: &mut dyn FnMut(&[u8])) {
        if let Ok(mapped) = Mapped::open(&self.full_path(file))
            && mapped.stamp() == *self.stamp(file)
            && let Ok(bytes) = mapped.window(0..mapped.length())
        {
            take(&bytes);
        }
    }

    /// Whether the file still has the stamp that it had when it was walked.
    pub fn unchanged(&self, file: FileId) -> bool {
        read::is_unchanged(&self.full_path(file), self.stamp(file)).unwrap_or(false)
    }

    /// A hash of the paths, sizes, mtimes and inodes of the tree's files. If it equals an earlier one, and
    /// [`Catalogue::is_settled`] was true then, the tree has not changed since.
    pub fn fingerprint(&self, tree: usize) -> [u8; 32] {
        let mut hasher = sha2::Sha256::new();
        for file in self.files_of(tree) {
            let (path, stamp) = (self.path_in(tree, file), self.stamp(file));
            hasher.update((path.len() as u64).to_le_bytes());
            hasher.update(path);
            for word in [stamp.size, stamp.mtime_ns.cast_unsigned(), stamp.inode] {
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

    /// The root of a tree as the index stores it. Two roots that differ only in bytes that are not UTF-8 share rows. That
    /// only costs time, because inodes tell their files apart.
    pub(super) fn root(&self, tree: usize) -> String {
        self.trees[tree].root.to_string_lossy().into_owned()
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

impl Unsaved {
    fn take(&mut self) -> Vec<u32> {
        self.saved = Instant::now();
        std::mem::take(&mut self.contents)
    }
}

impl Drop for Catalogue {
    fn drop(&mut self) {
        // Sums that cannot be saved are read again next time. A caller that needs the error calls `flush`.
        let _ = self.flush();
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
