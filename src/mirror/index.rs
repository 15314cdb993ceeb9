//! The index: what is remembered about mirror files between runs, and how a run brings it up to date.

use jigdo::escaped_path;
use std::path::Path;
use std::sync::Arc;

use bstr::{BString, ByteSlice as _};
use jigdo::Checksum;
use rayon::prelude::*;

use super::catalogue::Catalogue;
use super::heads::{self, FileHead};
use super::store::{HeadRow, Reader, Store, Writer};
use super::walk::Listing;
use super::{Error, FileError, FileId, Tree, walk};
use crate::file::{Stamp, now_ns};
use crate::progress::{Begin, Binary, Progress, Task, counted};

/// An index file. Any number of processes and threads may use it at once.
pub struct Index {
    store: Arc<Store>,
    /// Whether nothing that is remembered of mirror files is believed.
    is_paranoid: bool,
}

impl Index {
    /// Opens the index at `path`. Creates it and its directory if they do not exist.
    ///
    /// # Errors
    /// The file is damaged, was written by a newer jigpress, or is not an index.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let store = Store::open(path)?;
        let bytes = std::fs::metadata(path).map_or(0, |found| found.len());
        tracing::debug!(index = %escaped_path(&path), bytes, "index opened");
        Ok(Self { store: Arc::new(store), is_paranoid: false })
    }

    /// With `true`, what is remembered of mirror files is not believed: their heads are read again, and their sums when
    /// they are needed. What was read replaces what was remembered.
    #[must_use]
    pub fn paranoid(self, is_paranoid: bool) -> Self {
        Self { is_paranoid, ..self }
    }

    /// An index in memory, which lasts as long as its last catalogue.
    ///
    /// # Errors
    /// SQLite cannot set up its tables.
    pub fn in_memory() -> Result<Self, Error> {
        Ok(Self { store: Arc::new(Store::in_memory()?), is_paranoid: false })
    }

    /// Where the index is stored.
    pub(super) fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// Walks `trees` and brings the index up to date: for files that are new or have changed, it reads the head for each
    /// of `block_lengths`, which are in bytes. The catalogue has sums of the kinds in `checksums`.
    ///
    /// Files that cannot be used (unreadable, changing, with a name that a jigdo file cannot carry) are left out, with a
    /// warning for all that have the same remedy.
    ///
    /// # Errors
    /// A tree is missing or has no usable file, or the index cannot be read or written.
    pub fn refresh(
        &self,
        trees: &[Tree],
        block_lengths: &[u32],
        checksums: &[Checksum],
        progress: &dyn Progress,
    ) -> Result<Catalogue, Error> {
        // A file that is not young at this time is not young later either, when the walk meets it.
        for Tree { label, root, .. } in trees {
            tracing::debug!(label, path = %escaped_path(&root), "mirror tree");
        }
        let started = now_ns();
        let listings = walk::walk(trees, &Task::begin(progress, Begin::items("walk", "mirrors")), progress)?;
        let catalogue = self.refresh_listings(started, trees, listings, block_lengths, checksums, progress)?;
        for (at, tree) in trees.iter().enumerate() {
            if catalogue.files_of(at).len() == 0 {
                return Err(Error::Empty { label: tree.label.clone(), path: tree.root.clone() });
            }
        }
        Ok(catalogue)
    }

    /// Looks up what the index knows about the files of `listings`, reads the heads that it does not know, and stores
    /// them.
    pub(super) fn refresh_listings(
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

        let load = |reader: &Reader<'_>| Known::load(reader, &mut catalogue, trees, self.is_paranoid);
        let mut known = self.store.read(load)?;
        known.gone.retain(|gone| is_complete[gone.tree]);
        known.gone.retain(|gone| catalogue.is_gone(gone.tree, gone.path.as_bstr()));
        let (left_out, reading) = read_heads(&mut catalogue, progress);
        catalogue.left_out().warn(progress);
        self.remember(&catalogue, &known, started)?;

        if !left_out.is_empty() {
            catalogue.leave_out(&left_out);
        }
        let bytes = catalogue.files().map(|file| catalogue.length(file)).sum();
        reading.end(&format!("{}, {}", counted(catalogue.len(), "file"), Binary(bytes)));
        Ok(catalogue)
    }

    /// The last known stamp of the file at `path` below `root`, if the index has a row for it. `root` is absolute and free
    /// of symbolic links.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn stamp(&self, root: &Path, path: impl AsRef<[u8]>) -> Result<Option<Stamp>, Error> {
        self.store.read(|reader| reader.stamp(root.as_os_str().as_encoded_bytes(), path.as_ref()))
    }

    /// Notes that the rows of the catalogue's files were used at this time, in seconds since 1970.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn note_used(&self, catalogue: &Catalogue, seconds: i64) -> Result<(), Error> {
        self.store.write(|writer| {
            for tree in 0..catalogue.trees() {
                let row = writer.tree(catalogue.root(tree))?;
                catalogue.files_of(tree).try_for_each(|file| writer.used(row, catalogue.path(file), seconds))?;
            }
            Ok(())
        })
    }

    /// Forgets the files whose rows were last used before this time, in seconds since 1970. Rows whose use was never
    /// noted stay.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn forget_unused(&self, seconds: i64) -> Result<(), Error> {
        self.store.write(|writer| writer.forget_unused(seconds))
    }

    /// Stores what is new, if anything is.
    fn remember(&self, catalogue: &Catalogue, known: &Known, started: i64) -> Result<(), Error> {
        let is_new = |&file: &FileId| {
            let content = catalogue.content(file);
            let was_looked_at = needed(catalogue, content) == known_heads(catalogue, content);
            was_looked_at && !known.is_stored(catalogue, file) && !catalogue.stamp(file).is_young(started)
        };
        if known.gone.is_empty() && !catalogue.files().any(|file| is_new(&file)) {
            return Ok(());
        }
        self.store.write(|writer| {
            for tree in 0..catalogue.trees() {
                let row = writer.tree(catalogue.root(tree))?;
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

    /// The value recorded under `key`.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn record(&self, key: &str) -> Result<Option<String>, Error> {
        self.store.read(|reader| reader.record(key))
    }

    /// Records `value` under `key`, replacing any earlier value.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn set_record(&self, key: &str, value: &str) -> Result<(), Error> {
        self.store.write(|writer| writer.record(key, Some(value)))
    }

    /// Removes the value recorded under `key`, if there is one.
    ///
    /// # Errors
    /// The index cannot be written.
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

/// What the index knew about a catalogue's files.
struct Known {
    /// For each file, one more than the number of heads stored with its row; 0 if it has no row.
    stored: Vec<u16>,
    gone: Vec<Gone>,
}

/// A file that a tree no longer has.
struct Gone {
    tree: usize,
    path: BString,
}

impl Known {
    /// Compares the index's rows with the catalogue, and copies what they know about unchanged files, unless nothing is
    /// believed.
    fn load(
        reader: &Reader<'_>,
        catalogue: &mut Catalogue,
        trees: &[Tree],
        is_paranoid: bool,
    ) -> rusqlite::Result<Self> {
        let mut known = Self { stored: vec![0; catalogue.len()], gone: Vec::new() };
        let mut rows: Vec<(i64, FileId)> = Vec::new();
        for (at, tree) in trees.iter().enumerate() {
            // Both are sorted by the bytes of paths.
            let mut files = catalogue.files_of(at).peekable();
            reader.files(catalogue.root(at), |row| {
                while files.next_if(|&file| catalogue.path(file) < row.path).is_some() {}
                match files.next_if(|&file| catalogue.path(file) == row.path) {
                    Some(file) if !is_paranoid && row.is_of(catalogue.stamp(file)) => {
                        rows.push((row.id, file));
                        known.stored[file.0 as usize] = 1;
                        catalogue.take_sums(file, row.sums);
                    }
                    Some(_) => {} // The file changed, so its row will be replaced.
                    // Another run, with another filter, may need the row.
                    None if !tree.wants(row.path) => {}
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

    /// Whether the file has a row, with all its heads.
    fn is_stored(&self, catalogue: &Catalogue, file: FileId) -> bool {
        usize::from(self.stored[file.0 as usize]) == 1 + needed(catalogue, catalogue.content(file))
    }
}

/// How many heads a content must have: one for each block length that fits into it.
fn needed(catalogue: &Catalogue, content: usize) -> usize {
    let size = catalogue.content_stamp(content).size;
    catalogue.block_lengths().iter().filter(|&&length| u64::from(length) <= size).count()
}

/// How many of them are known.
fn known_heads(catalogue: &Catalogue, content: usize) -> usize {
    catalogue.heads_of(content).iter().flatten().count()
}

/// Reads the unknown heads in the order of inodes, which is close to the order on disk. Returns the contents that cannot
/// be used, and the task, which ends once the index is up to date.
fn read_heads<'a>(catalogue: &mut Catalogue, progress: &'a dyn Progress) -> (Vec<usize>, Task<'a>) {
    let unknown: Vec<usize> = (0..catalogue.contents())
        .filter(|&content| known_heads(catalogue, content) < needed(catalogue, content))
        .collect();
    let known = catalogue.contents() - unknown.len();
    tracing::debug!(known, unknown = unknown.len(), "mirror files looked up in the index");
    let task = Task::begin(progress, Begin::items("read", "mirrors").total(unknown.len() as u64));
    let mut left_out = Vec::new();
    // In batches, because until a batch is in the catalogue its heads take memory twice.
    for batch in unknown.chunks(100_000) {
        let results: Vec<Result<(Vec<FileHead>, Stamp), FileError>> = batch
            .par_iter()
            .map_init(
                || heads::buffer(catalogue.block_lengths()),
                |buffer, &content| {
                    let (path, stamp) =
                        (catalogue.full_path(catalogue.names(content)[0]), catalogue.content_stamp(content));
                    let result = heads::read_heads(&path, stamp, catalogue.block_lengths(), buffer);
                    task.advance(1);
                    result
                },
            )
            .collect();
        for (&content, result) in batch.iter().zip(results) {
            match result {
                Ok((heads, stamp)) => {
                    catalogue.heads_of_mut(content).copy_from_slice(&heads);
                    catalogue.set_content_stamp(content, stamp);
                }
                Err(error) => {
                    catalogue.add_left_out(&error);
                    left_out.push(content);
                }
            }
        }
    }
    (left_out, task)
}
