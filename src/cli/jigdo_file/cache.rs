//! What is remembered of files: the index in the file that `--cache` names, or one that lasts no longer than the program.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use jigdo::Checksum;

use super::files::{GivenFile, Name};
use super::options::Options;
use super::{Error, say};
use crate::file::{Stamp, now_ns};
use crate::mirror::{self, Catalogue, FileId, FileList, Index};
use crate::progress::Progress;

/// An index, and how it is kept.
pub struct Cache {
    index: Index,
    /// Whether it is in a file.
    is_kept: bool,
    /// After how many seconds rows go that were not used; 0: never.
    expiry: u64,
    /// Whether files that are not there are taken as the index knows them.
    is_trusted: bool,
}

/// Files that were found, with what is known of them.
pub struct Catalogued {
    pub catalogue: Catalogue,
    /// For each file its place in the catalogue. `None` if it cannot be used, or its name cannot be in an index, which
    /// holds text.
    pub files: Vec<Option<FileId>>,
}

impl Cache {
    /// The index that the options name. One that cannot be used is told, and done without.
    pub fn open(options: &Options) -> Result<Self, Error> {
        let kept = options.cache.as_deref().and_then(open_kept);
        let is_kept = kept.is_some();
        Ok(Self {
            index: kept.map_or_else(Index::in_memory, Ok)?,
            is_kept,
            expiry: options.cache_expiry,
            is_trusted: is_kept && !options.check_files,
        })
    }

    /// The stamp of a file that is not there, as the index knows it, if that is enough: it may be on a medium that is
    /// elsewhere. A file that is there is always looked at; that costs nothing, and scripts give one name to many files.
    pub fn stamp(&self, name: &Name) -> Option<Stamp> {
        let path = name.rest().to_str().filter(|_| self.is_trusted)?;
        self.index.stamp(&root_of(name), path).unwrap_or_else(|error| {
            say(format_args!("{error}"));
            None
        })
    }

    /// Looks up these files, and reads their first blocks of these lengths where these are not known.
    pub fn catalogue(
        &self,
        found: &[GivenFile],
        block_lengths: &[u32],
        checksums: &[Checksum],
        progress: &dyn Progress,
    ) -> Result<Catalogued, Error> {
        let mut roots: BTreeMap<&[u8], PathBuf> = BTreeMap::new();
        let mut trees: BTreeMap<PathBuf, Vec<(String, Stamp)>> = BTreeMap::new();
        for found in found {
            let root = roots.entry(found.name.root().as_bytes()).or_insert_with(|| root_of(&found.name));
            if let Some(path) = found.name.rest().to_str() {
                trees.entry(root.clone()).or_default().push((path.to_owned(), found.stamp));
            }
        }
        let places: BTreeMap<PathBuf, usize> = trees.keys().cloned().zip(0..).collect();
        let lists = trees.into_iter().map(|(root, files)| FileList { root, files }).collect();
        let catalogue = self.index.refresh_files(lists, block_lengths, checksums, progress)?;
        let id = |found: &GivenFile| {
            let tree = places.get(&roots[found.name.root().as_bytes()])?;
            catalogue.find(*tree, found.name.rest().to_str()?)
        };
        Ok(Catalogued { files: found.iter().map(id).collect(), catalogue })
    }

    /// Saves what was found out, and forgets what was not used for long. What cannot be saved is told.
    pub fn finish(&self, catalogue: &Catalogue) {
        if !self.is_kept {
            return;
        }
        let now = now_ns() / 1_000_000_000;
        let expired =
            i64::try_from(self.expiry).ok().filter(|&expiry| expiry > 0).map(|expiry| now.saturating_sub(expiry));
        let saved = catalogue
            .flush()
            .and_then(|()| self.index.note_used(catalogue, now))
            .and_then(|()| expired.map_or(Ok(()), |expired| self.index.forget_unused(expired)));
        if let Err(error) = saved {
            say(format_args!("{error}"));
        }
    }
}

/// Where the root of a name really is.
fn root_of(name: &Name) -> PathBuf {
    let root = if name.root().is_empty() { Path::new(".") } else { Path::new(name.root()) };
    // A medium that is not there at the moment is known by the path that it had.
    let absolute = || std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    std::fs::canonicalize(root).unwrap_or_else(|_| absolute())
}

/// The index in this file, or beside it if jigdo-file has the file.
fn open_kept(path: &Path) -> Option<Index> {
    if path.parent().is_some_and(|directory| !directory.as_os_str().is_empty() && !directory.is_dir()) {
        say(format_args!("{}: its directory is not there; nothing is cached", path.display()));
        return None;
    }
    let opened = match Index::open(path) {
        Err(mirror::Error::NotAnIndex { .. }) if is_berkeley_db(path) => {
            let mut beside = path.as_os_str().to_owned();
            beside.push(".jigpress");
            let beside = PathBuf::from(beside);
            if !beside.exists() {
                let (theirs, ours) = (path.display(), beside.display());
                say(format_args!(
                    "{theirs} is a cache of the old jigdo-file, and stays as it is; {ours} is the new one"
                ));
            }
            Index::open(&beside)
        }
        opened => opened,
    };
    opened.map_err(|error| say(format_args!("{error}; nothing is cached"))).ok()
}

/// Whether the file is a Berkeley DB, of either byte order: its fourth word says which kind.
fn is_berkeley_db(path: &Path) -> bool {
    const BTREE: u32 = 0x0005_3162;
    const HASH: u32 = 0x0006_1561;
    let mut head = [0; 16];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    let [.., a, b, c, d] = head;
    let word = u32::from_le_bytes([a, b, c, d]);
    read.is_ok() && [BTREE, HASH].iter().any(|&magic| word == magic || word.swap_bytes() == magic)
}
