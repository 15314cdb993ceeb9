//! Walking mirror trees: every usable file with its stamp, sorted by path.
//!
//! One thread a tree lists directories; `stat` and filters, which cost most, are spread over all threads in batches.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use walkdir::WalkDir;

use super::{Error, Tree};
use crate::progress::{Event, Progress};
use crate::stamp::Stamp;

/// The usable files of a tree.
pub struct Listing {
    /// The tree's root, free of symbolic links.
    pub root: PathBuf,
    /// The files' relative paths, end to end, in no order.
    pub paths: String,
    /// Sorted by the bytes of their paths.
    pub files: Vec<Walked>,
    /// Whether every directory could be read, so that a file not listed is not there.
    pub complete: bool,
}

/// A file that a walk found.
pub struct Walked {
    pub path: Span,
    pub stamp: Stamp,
}

/// Where a path stands in a tree's `paths`.
#[derive(Clone, Copy)]
pub struct Span {
    start: u32,
    length: u32,
}

impl Span {
    /// The path.
    pub fn of(self, paths: &str) -> &str {
        &paths[self.start as usize..][..self.length as usize]
    }
}

/// The files of all trees, in the trees' order. What was left out is reported as warnings.
pub fn walk(trees: &[Tree], progress: &dyn Progress) -> Result<Vec<Listing>, Error> {
    let walked = AtomicU64::new(0);
    let walkers =
        trees.iter().map(|tree| Walker::new(tree, progress, &walked)).collect::<Result<Vec<Walker<'_>>, Error>>()?;
    rayon::scope(|scope| {
        for walker in &walkers {
            scope.spawn(|scope| walker.list(scope));
        }
    });
    walkers.into_iter().map(Walker::finish).collect()
}

/// The walk of one tree.
struct Walker<'a> {
    tree: &'a Tree,
    root: PathBuf,
    progress: &'a dyn Progress,
    /// The files found in all trees so far.
    walked: &'a AtomicU64,
    /// The batches that wait for a thread.
    waiting: AtomicUsize,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    paths: String,
    files: Vec<Walked>,
    warnings: Vec<String>,
    incomplete: bool,
    too_many: bool,
}

/// The files in a batch: enough to make handing it over cheap, few enough to keep all threads busy.
const BATCH: usize = 512;

impl<'a> Walker<'a> {
    fn new(tree: &'a Tree, progress: &'a dyn Progress, walked: &'a AtomicU64) -> Result<Self, Error> {
        let label = || tree.label.clone();
        let root = fs::canonicalize(&tree.root).map_err(|source| Error::Root {
            label: label(),
            path: tree.root.clone(),
            source,
        })?;
        if !root.is_dir() {
            return Err(Error::NotADirectory { label: label(), path: tree.root.clone() });
        }
        // A root that cannot be listed is an error, a directory below it is a warning.
        fs::read_dir(&root).map_err(|source| Error::Root { label: label(), path: tree.root.clone(), source })?;
        let (waiting, found) = Default::default();
        Ok(Self { tree, root, progress, walked, waiting, found })
    }

    /// Lists the tree's directories and hands their files on in batches.
    fn list<'s>(&'s self, scope: &rayon::Scope<'s>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut entries = WalkDir::new(&self.root).min_depth(1).follow_links(true).into_iter();
        while let Some(entry) = entries.next() {
            match entry {
                Err(error) => self.leave_out(&error),
                Ok(entry) if entry.file_type().is_dir() => {
                    if let Err(warning) = portable(entry.path()) {
                        self.found(|found| found.warnings.push(format!("mirror \"{}\": {warning}", self.tree.label)));
                        entries.skip_current_dir();
                    }
                }
                Ok(entry) if entry.file_type().is_file() => batch.push(entry.into_path()),
                Ok(_) => {} // A pipe, a socket or a device has no bytes that an image could contain.
            }
            if batch.len() == BATCH {
                self.hand_on(scope, std::mem::replace(&mut batch, Vec::with_capacity(BATCH)));
            }
        }
        self.look_at(batch);
    }

    /// Lets another thread look at the batch, unless these have fallen behind: then memory would only fill with paths.
    fn hand_on<'s>(&'s self, scope: &rayon::Scope<'s>, batch: Vec<PathBuf>) {
        if self.waiting.load(Ordering::Relaxed) > 2 * rayon::current_num_threads() {
            return self.look_at(batch);
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        scope.spawn(move |_| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.look_at(batch);
        });
    }

    /// Adds those files of the batch that the tree wants.
    fn look_at(&self, batch: Vec<PathBuf>) {
        let looked_at: Vec<_> = batch.iter().filter_map(|path| self.stat(path)).collect();
        let files = self.found(|found| {
            let before = found.files.len();
            for file in looked_at {
                match file {
                    Ok((path, stamp)) => found.add(path, stamp),
                    Err(warning) => found.warnings.push(warning),
                }
            }
            (found.files.len() - before) as u64
        });
        let files = self.walked.fetch_add(files, Ordering::Relaxed) + files;
        self.progress.report(Event::MirrorWalked { files });
    }

    /// The relative path and the stamp of a file, or a warning; nothing for a file that the filter excludes.
    fn stat<'p>(&self, path: &'p Path) -> Option<Result<(&'p str, Stamp), String>> {
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        if relative.to_str().is_some_and(|relative| !(self.tree.filter)(relative)) {
            return None;
        }
        let stamped = portable(relative).and_then(|relative| match fs::metadata(path) {
            Ok(metadata) => Ok((relative, Stamp::of(&metadata))),
            Err(error) => Err(format!("{} is left out: {error}", path.display())),
        });
        Some(stamped.map_err(|warning| format!("mirror \"{}\": {warning}", self.tree.label)))
    }

    /// Notes an entry that cannot be followed or a directory that cannot be read.
    fn leave_out(&self, error: &walkdir::Error) {
        let path = error.path().unwrap_or(&self.root);
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
        if is_link && relative.to_str().is_some_and(|relative| !(self.tree.filter)(relative)) {
            return;
        }
        let cause = match (error.loop_ancestor(), error.io_error()) {
            (Some(ancestor), _) => format!("it links back to {}", ancestor.display()),
            (None, Some(cause)) if is_link => format!("the symbolic link leads nowhere ({cause})"),
            (None, Some(cause)) => cause.to_string(),
            (None, None) => error.to_string(),
        };
        self.found(|found| {
            found.incomplete |= !is_link;
            found.warnings.push(format!("mirror \"{}\": {} is left out: {cause}", self.tree.label, path.display()));
        });
    }

    fn found<T>(&self, change: impl FnOnce(&mut Found) -> T) -> T {
        change(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sorts what was found, so that nothing depends on the order of directory entries or of threads.
    fn finish(self) -> Result<Listing, Error> {
        let Found { mut paths, mut files, mut warnings, incomplete, too_many } =
            self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        warnings.sort_unstable();
        for warning in &warnings {
            self.progress.report(Event::Warning(warning));
        }
        let (label, path) = (self.tree.label.clone(), self.tree.root.clone());
        if too_many {
            return Err(Error::TooManyFiles { label, path });
        }
        if files.is_empty() {
            return Err(Error::Empty { label, path });
        }
        paths.shrink_to_fit();
        files.par_sort_unstable_by(|a, b| a.path.of(&paths).cmp(b.path.of(&paths)));
        Ok(Listing { root: self.root, paths, files, complete: !incomplete })
    }
}

impl Found {
    fn add(&mut self, path: &str, stamp: Stamp) {
        // Paths and file ids are counted in 32 bits; no path is empty, so there are never more files than bytes.
        let (Ok(start), Ok(length)) = (u32::try_from(self.paths.len()), u32::try_from(path.len())) else {
            self.too_many = true;
            return;
        };
        self.paths.push_str(path);
        self.files.push(Walked { path: Span { start, length }, stamp });
    }
}

/// The path as a jigdo file can carry it, or why it cannot: that file is text, one line an entry.
fn portable(path: &Path) -> Result<&str, String> {
    match path.to_str() {
        None => Err(format!("{path:?} is left out: its name is not UTF-8, which a jigdo file cannot carry")),
        Some(text) if text.contains(char::is_control) => {
            Err(format!("{path:?} is left out: its name has control characters, which a jigdo file cannot carry"))
        }
        Some(text) => Ok(text),
    }
}
