//! The cache of what was read from files: the index that `--cache` names, or one in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use bstr::BString;
use jigdo::{Checksum, escaped_path};

use super::files::{GivenFile, Name};
use super::options::Options;
use super::{Error, say};
use crate::file::{Stamp, now_ns};
use crate::mirror::{self, Catalogue, FileId, FileList, Index};
use crate::progress::Progress;

/// An index, and how to use it.
pub struct Cache {
    index: Index,
    /// Whether it is in a file.
    is_kept: bool,
    /// Rows that were not used for this many seconds are deleted; 0: never.
    expiry: u64,
    /// Whether files that do not exist are taken as the index knows them.
    is_trusted: bool,
}

/// Files, with what is known about them.
pub struct Catalogued {
    pub catalogue: Catalogue,
    /// Each file's id in the catalogue. `None` if the file cannot be used.
    pub files: Vec<Option<FileId>>,
}

impl Cache {
    /// Opens the index that the options name. If it cannot be used, a warning says so and nothing is cached.
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

    /// The stamp that the index has for a missing file, if `--no-check-files` allows its use: the file may be on a medium
    /// that is not mounted. An existing file is always checked: that is cheap, and scripts reuse names for other files.
    pub fn stamp(&self, name: &Name) -> Option<Stamp> {
        if !self.is_trusted {
            return None;
        }
        self.index.stamp(&root_of(name), name.rest().as_bytes()).unwrap_or_else(|error| {
            say(format_args!("{error}"));
            None
        })
    }

    /// Looks up these files, and reads those first blocks, of these lengths, that are not known yet.
    pub fn catalogue(
        &self,
        found: &[GivenFile],
        block_lengths: &[u32],
        checksums: &[Checksum],
        progress: &dyn Progress,
    ) -> Result<Catalogued, Error> {
        let mut roots: BTreeMap<&[u8], PathBuf> = BTreeMap::new();
        let mut trees: BTreeMap<PathBuf, Vec<(BString, Stamp)>> = BTreeMap::new();
        for found in found {
            let root = roots.entry(found.name.root().as_bytes()).or_insert_with(|| root_of(&found.name));
            trees.entry(root.clone()).or_default().push((found.name.rest().as_bytes().into(), found.stamp));
        }
        let places: BTreeMap<PathBuf, usize> = trees.keys().cloned().zip(0..).collect();
        let lists = trees.into_iter().map(|(root, files)| FileList { root, files }).collect();
        let catalogue = self.index.refresh_files(lists, block_lengths, checksums, progress)?;
        let id = |found: &GivenFile| {
            let tree = places.get(&roots[found.name.root().as_bytes()])?;
            catalogue.find(*tree, found.name.rest().as_bytes())
        };
        Ok(Catalogued { files: found.iter().map(id).collect(), catalogue })
    }

    /// Saves what was read, and deletes expired rows. Failures are only warnings.
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

/// The real path of a name's root.
fn root_of(name: &Name) -> PathBuf {
    let root = if name.root().is_empty() { Path::new(".") } else { Path::new(name.root()) };
    // A medium that is not mounted keeps the path that it had.
    let absolute = || std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    std::fs::canonicalize(root).unwrap_or_else(|_| absolute())
}

/// The index in this file, or beside it if the file is jigdo-file's cache.
fn open_kept(path: &Path) -> Option<Index> {
    if path.parent().is_some_and(|directory| !directory.as_os_str().is_empty() && !directory.is_dir()) {
        say(format_args!("{}: its directory does not exist; nothing is cached", escaped_path(&path)));
        return None;
    }
    let opened = match Index::open(path) {
        Err(mirror::Error::NotAnIndex { .. }) if is_berkeley_db(path) => {
            let mut beside = path.as_os_str().to_owned();
            beside.push(".jigpress");
            let beside = PathBuf::from(beside);
            if !beside.exists() {
                let (theirs, ours) = (escaped_path(&path), escaped_path(&beside));
                say(format_args!(
                    "{theirs} is a cache of the original jigdo-file and is not changed; the new cache is {ours}"
                ));
            }
            Index::open(&beside)
        }
        opened => opened,
    };
    opened.map_err(|error| say(format_args!("{error}; nothing is cached"))).ok()
}

/// Whether the file is a Berkeley DB of either byte order: its fourth word is a magic number.
fn is_berkeley_db(path: &Path) -> bool {
    const BTREE: u32 = 0x0005_3162;
    const HASH: u32 = 0x0006_1561;
    let mut head = [0; 16];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    let [.., a, b, c, d] = head;
    let word = u32::from_le_bytes([a, b, c, d]);
    read.is_ok() && [BTREE, HASH].iter().any(|&magic| word == magic || word.swap_bytes() == magic)
}
