//! The index: what is remembered of mirror files from run to run, and how a run brings it up to date.

use std::path::Path;
use std::sync::Arc;

use jigdo::Checksum;
use rayon::prelude::*;

use super::catalogue::Catalogue;
use super::heads::{self, FileHead};
use super::store::{HeadRow, Reader, Store, Writer};
use super::walk::Listing;
use super::{Error, FileError, FileId, NamedTree, Tree, walk};
use crate::file::{Stamp, now_ns};
use crate::progress::{Event, Progress};

/// An index file. Any number of processes and threads may use it at once.
pub struct Index {
    store: Arc<Store>,
}

impl Index {
    /// Opens the index at `path`; makes it, and its directory, if it is not there.
    ///
    /// An error if the file is damaged, written by a newer jigpress, or no index.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self { store: Arc::new(Store::open(path)?) })
    }

    /// An index that is nowhere but in memory, and goes with its last catalogue.
    pub fn in_memory() -> Result<Self, Error> {
        Ok(Self { store: Arc::new(Store::in_memory()?) })
    }

    /// The file behind the index.
    pub(super) fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// Walks `trees`, reads the heads of files that the index does not know as they are, for blocks of each of
    /// `block_lengths` bytes, and brings the index up to date. The catalogue gives sums of the kinds in `checksums`.
    ///
    /// Files that cannot be used (unreadable, changing, named in a way that a jigdo file cannot carry) are left out
    /// with a warning. An error if a tree is missing or has no usable file, or if the index cannot be read or written.
    pub fn refresh(
        &self,
        trees: &[Tree],
        block_lengths: &[u32],
        checksums: &[Checksum],
        progress: &dyn Progress,
    ) -> Result<Catalogue, Error> {
        // What was not young when the walk began was not when it was looked at.
        let started = now_ns();
        let listings = walk::walk(trees, progress)?;
        let catalogue = self.refresh_listings(started, trees, listings, block_lengths, checksums, progress)?;
        for (at, tree) in trees.iter().enumerate() {
            if catalogue.files_of(at).len() == 0 {
                return Err(Error::Empty { label: tree.label.clone(), path: tree.root.clone() });
            }
        }
        Ok(catalogue)
    }

    /// The same for files that are named one by one. Those that are not named, wherever they are, stay in the index as
    /// they are; that nothing at all is named is no error.
    pub fn refresh_named(
        &self,
        trees: Vec<NamedTree>,
        block_lengths: &[u32],
        checksums: &[Checksum],
        progress: &dyn Progress,
    ) -> Result<Catalogue, Error> {
        let started = now_ns();
        let as_tree = |tree: &NamedTree| Tree::new("", &tree.root);
        let as_trees: Vec<Tree> = trees.iter().map(as_tree).collect();
        let listings = trees.into_iter().map(NamedTree::listing).collect::<Result<_, _>>()?;
        self.refresh_listings(started, &as_trees, listings, block_lengths, checksums, progress)
    }

    /// Looks up what the index knows of the files of `listings`, reads the heads that it does not know, and remembers
    /// them.
    fn refresh_listings(
        &self,
        started: i64,
        trees: &[Tree],
        listings: Vec<Listing>,
        block_lengths: &[u32],
        checksums: &[Checksum],
        progress: &dyn Progress,
    ) -> Result<Catalogue, Error> {
        let mut block_lengths = block_lengths.to_vec();
        block_lengths.retain(|&length| length > 0);
        block_lengths.sort_unstable();
        block_lengths.dedup();
        let is_complete: Vec<bool> = listings.iter().map(|listing| listing.complete).collect();
        let mut catalogue = Catalogue::new(started, trees, listings, &block_lengths, checksums, self.store());

        let mut known = self.store.read(|reader| Known::load(reader, &mut catalogue, trees))?;
        known.gone.retain(|gone| is_complete[gone.tree]);
        let left_out = read_heads(&mut catalogue, progress);
        self.remember(&catalogue, &known, started)?;

        if !left_out.is_empty() {
            catalogue.leave_out(&left_out);
        }
        let bytes = catalogue.files().map(|file| catalogue.length(file)).sum();
        progress.report(Event::MirrorDone { files: catalogue.len() as u64, bytes });
        Ok(catalogue)
    }

    /// What the index last knew the file at `path` below `root` to be, if it has a row of it. `root` is absolute and free
    /// of symbolic links.
    pub fn stamp(&self, root: &Path, path: &str) -> Result<Option<Stamp>, Error> {
        self.store.read(|reader| reader.stamp(&root.to_string_lossy(), path))
    }

    /// Notes that the rows of the catalogue's files were used at `seconds` since 1970.
    pub fn note_used(&self, catalogue: &Catalogue, seconds: i64) -> Result<(), Error> {
        self.store.write(|writer| {
            for tree in 0..catalogue.trees() {
                let row = writer.tree(&catalogue.root(tree))?;
                catalogue.files_of(tree).try_for_each(|file| writer.used(row, catalogue.path(file), seconds))?;
            }
            Ok(())
        })
    }

    /// Forgets the files whose rows were last used before `seconds` since 1970. Rows whose use was never noted stay.
    pub fn forget_unused(&self, seconds: i64) -> Result<(), Error> {
        self.store.write(|writer| writer.forget_unused(seconds))
    }

    /// Writes what is new, if anything is.
    fn remember(&self, catalogue: &Catalogue, known: &Known, started: i64) -> Result<(), Error> {
        let is_new = |&file: &FileId| {
            let content = catalogue.content(file);
            let was_looked_at = needed(catalogue, content) == found(catalogue, content);
            was_looked_at && !known.is_stored(catalogue, file) && !catalogue.stamp(file).is_young(started)
        };
        if known.gone.is_empty() && !catalogue.files().any(|file| is_new(&file)) {
            return Ok(());
        }
        self.store.write(|writer| {
            for tree in 0..catalogue.trees() {
                let row = writer.tree(&catalogue.root(tree))?;
                for gone in known.gone.iter().filter(|gone| gone.tree == tree) {
                    writer.forget(row, &gone.path)?;
                }
                for file in catalogue.files_of(tree).filter(is_new) {
                    store_file(writer, catalogue, row, file)?;
                }
            }
            Ok(())
        })
    }

    /// What was recorded under `key`.
    pub fn record(&self, key: &str) -> Result<Option<String>, Error> {
        self.store.read(|reader| reader.record(key))
    }

    /// Records `value` under `key`, in the place of what was recorded there.
    pub fn set_record(&self, key: &str, value: &str) -> Result<(), Error> {
        self.store.write(|writer| writer.record(key, Some(value)))
    }

    /// Forgets what was recorded under `key`, if anything was.
    pub fn remove_record(&self, key: &str) -> Result<(), Error> {
        self.store.write(|writer| writer.record(key, None))
    }
}

fn store_file(writer: &mut Writer<'_>, catalogue: &Catalogue, tree: i64, file: FileId) -> rusqlite::Result<()> {
    let sums = catalogue.known_sums(file);
    let row = writer.file(tree, catalogue.path(file), catalogue.stamp(file), sums.as_ref())?;
    let heads = catalogue.heads_of(catalogue.content(file));
    for (&block_length, head) in catalogue.block_lengths().iter().zip(heads) {
        if let &Some(features) = head {
            writer.head(&HeadRow { file: row, block_length, features })?;
        }
    }
    Ok(())
}

/// What the index knew of a catalogue's files.
struct Known {
    /// For each file one more than the number of heads in its row, or 0 if it has no row.
    stored: Vec<u16>,
    gone: Vec<Gone>,
}

/// A file that a tree no longer has.
struct Gone {
    tree: usize,
    path: Box<str>,
}

impl Known {
    /// Compares the index's rows with the catalogue, and takes over what they know of files that are still the same.
    fn load(reader: &Reader<'_>, catalogue: &mut Catalogue, trees: &[Tree]) -> rusqlite::Result<Self> {
        let mut known = Self { stored: vec![0; catalogue.len()], gone: Vec::new() };
        let mut rows: Vec<(i64, FileId)> = Vec::new();
        for (at, tree) in trees.iter().enumerate() {
            // Both are sorted by the bytes of paths.
            let mut files = catalogue.files_of(at).peekable();
            reader.files(&catalogue.root(at), |row| {
                while files.next_if(|&file| catalogue.path(file) < row.path).is_some() {}
                match files.next_if(|&file| catalogue.path(file) == row.path) {
                    Some(file) if row.is_of(catalogue.stamp(file)) => {
                        rows.push((row.id, file));
                        known.stored[file.0 as usize] = 1;
                        catalogue.take_sums(file, row.sums);
                    }
                    Some(_) => {} // Its row will be written anew.
                    // Another run, whose filter wants the file, may find its row useful.
                    None if !(tree.filter)(row.path) => {}
                    None => known.gone.push(Gone { tree: at, path: row.path.into() }),
                }
            })?;
        }
        rows.sort_unstable();
        known.load_heads(reader, catalogue, &rows)?;
        Ok(known)
    }

    fn load_heads(
        &mut self,
        reader: &Reader<'_>,
        catalogue: &mut Catalogue,
        rows: &[(i64, FileId)],
    ) -> rusqlite::Result<()> {
        let (Some(&(first, _)), Some(&(last, _))) = (rows.first(), rows.last()) else {
            return Ok(());
        };
        let mut rows = rows;
        reader.heads(first..=last, |head| {
            while let Some(rest) = rows.split_first().and_then(|(first, rest)| (first.0 < head.file).then_some(rest)) {
                rows = rest;
            }
            let Some(at) = catalogue.block_lengths().iter().position(|&length| length == head.block_length) else {
                return;
            };
            // Trees with one root share rows.
            for &(_, file) in rows.iter().take_while(|&&(row, _)| row == head.file) {
                self.stored[file.0 as usize] += 1;
                let content = catalogue.content(file);
                catalogue.heads_of_mut(content)[at] = Some(head.features);
            }
        })
    }

    /// Whether the file's row is there, with all its heads.
    fn is_stored(&self, catalogue: &Catalogue, file: FileId) -> bool {
        usize::from(self.stored[file.0 as usize]) == 1 + needed(catalogue, catalogue.content(file))
    }
}

/// How many heads a content has: one for each block length that fits into it.
fn needed(catalogue: &Catalogue, content: usize) -> usize {
    let size = catalogue.content_stamp(content).size;
    catalogue.block_lengths().iter().filter(|&&length| u64::from(length) <= size).count()
}

/// How many of these heads are known.
fn found(catalogue: &Catalogue, content: usize) -> usize {
    catalogue.heads_of(content).iter().flatten().count()
}

/// Reads the heads that are not known, in the order of inodes, which is nearly the order on disk. Gives the contents
/// that cannot be used.
fn read_heads(catalogue: &mut Catalogue, progress: &dyn Progress) -> Vec<usize> {
    let unknown: Vec<usize> =
        (0..catalogue.contents()).filter(|&content| found(catalogue, content) < needed(catalogue, content)).collect();
    progress.report(Event::MirrorToRead { files: unknown.len() as u64 });
    let mut left_out = Vec::new();
    // The heads of a batch are kept once more, until they are in the catalogue.
    for batch in unknown.chunks(100_000) {
        let results: Vec<Result<Vec<FileHead>, FileError>> = batch
            .par_iter()
            .map_init(
                || heads::buffer(catalogue.block_lengths()),
                |buffer, &content| {
                    let (path, stamp) =
                        (catalogue.full_path(catalogue.names(content)[0]), catalogue.content_stamp(content));
                    let result = heads::read_heads(&path, stamp, catalogue.block_lengths(), buffer);
                    progress.report(Event::MirrorRead);
                    result
                },
            )
            .collect();
        for (&content, result) in batch.iter().zip(results) {
            match result {
                Ok(heads) => catalogue.heads_of_mut(content).copy_from_slice(&heads),
                Err(error) => {
                    progress.report(Event::Warning(&error.to_string()));
                    left_out.push(content);
                }
            }
        }
    }
    left_out
}
