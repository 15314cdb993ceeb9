//! Updates many jigdo files: all of them, or none if one cannot be updated.
//!
//! Every directory is locked as for publishing. New jigdo files and SUMS files are staged until all of them are on the
//! disk. Then each directory's files are renamed as in publishing, so a killed run leaves whole files, and the next run
//! finishes its work.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use jigdo::bstr::BString;
use parking_lot::Mutex;
use rayon::prelude::*;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::directory::Directory;
use super::prepare::{self, Prepared, PreparedSums};
use super::request::{FileError, Options, Update, UpdateError};
use crate::file::Stamp;
use crate::output;
use crate::output::signing::{Signatures, StaleSignature};
use crate::set::JigdoFile;
use crate::threads::on_threads;

/// The outcome of an update.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The jigdo files that changed, or would change, in the order in which they were given.
    pub changed: Vec<Changed>,
    /// How many did not change.
    pub unchanged: usize,
    /// The SUMS files that changed, or would change, in the order of their paths.
    pub sums: Vec<Changed>,
    /// Signatures that are still those of the old SUMS files.
    pub stale_signatures: Vec<StaleSignature>,
    /// What went wrong after files had begun to change.
    pub failures: Vec<String>,
    /// Labels with given servers that no file has.
    pub unused: Vec<BString>,
}

/// A file that changed.
#[derive(Debug)]
pub struct Changed {
    /// The file's path.
    pub path: PathBuf,
    /// The change of the text as a unified diff; only in a dry run.
    pub diff: Option<Vec<u8>>,
}

/// Makes these updates.
///
/// # Errors
///
/// Whatever goes wrong before the first file is changed. What goes wrong later is in [`Outcome::failures`].
pub fn update(updates: &[Update<'_>], options: &Options<'_>) -> Result<Outcome, UpdateError> {
    let run = Run { updates, options, directories: directories(updates, options)?, used: Mutex::default() };
    let prepared = run.prepare();
    if prepared.is_err() && !options.dry_run {
        run.directories.iter().for_each(Directory::forget_staged);
    }
    Ok(run.finish(prepared?))
}

/// The directories of all files, in the order of their paths.
fn directories(updates: &[Update<'_>], options: &Options<'_>) -> Result<Vec<Directory>, UpdateError> {
    let mut by_path: BTreeMap<&Path, Vec<usize>> = BTreeMap::new();
    for (number, update) in updates.iter().enumerate() {
        by_path.entry(update.file.real.parent().unwrap_or(Path::new("/"))).or_default().push(number);
    }
    allow_open_files(by_path.len() as u64 + 1000);
    let by_path: Vec<_> = by_path.into_iter().collect();
    let open = |(path, numbers): (&Path, Vec<usize>)| {
        // SUMS files are named like the jigdo files beside them.
        let shown = shown_path(&updates[numbers[0]].file);
        Directory::open(path, shown.parent().unwrap_or(path), numbers, options)
    };
    by_path.into_par_iter().map(open).collect()
}

/// The path of a file that is changed, as in a patch: the one that was given, unless that is a link or leads through one.
pub(super) fn shown_path(file: &JigdoFile) -> PathBuf {
    let directory = file.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_it = file.path.file_name() == file.real.file_name()
        && fs::canonicalize(directory).is_ok_and(|directory| Some(directory.as_path()) == file.real.parent());
    if is_it {
        return file.path.clone();
    }
    let here = std::env::current_dir().ok().filter(|_| file.path.is_relative());
    let relative = here.and_then(|here| file.real.strip_prefix(here).map(Path::to_owned).ok());
    relative.unwrap_or_else(|| file.real.clone())
}

/// Raises the limit of open files: each locked directory is held open.
fn allow_open_files(count: u64) {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < count) {
        limit.current = Some(limit.maximum.map_or(count, |maximum| maximum.min(count)));
        // If this fails, opening a directory will fail too, with an error of its own.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// Runs `work` with more threads than there are cores, because most of them wait for the disk.
fn with_more_threads<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    const MOST: usize = 64;
    let threads = rayon::current_num_threads();
    match rayon::ThreadPoolBuilder::new().num_threads((4 * threads).min(MOST).max(threads)).build() {
        Ok(pool) => pool.install(work),
        // The threads of the current pool must do.
        Err(_) => work(),
    }
}

struct Run<'a> {
    updates: &'a [Update<'a>],
    options: &'a Options<'a>,
    directories: Vec<Directory>,
    /// The labels with given servers that some file has.
    used: Mutex<BTreeSet<BString>>,
}

/// All staged files.
struct AllPrepared {
    files: Vec<Prepared>,
    sums: Vec<PreparedSums>,
}

/// The most files, and bytes of files, that a thread processes at a time. Their sums are computed side by side.
const BATCH_FILES: usize = 16;
const BATCH_BYTES: u64 = 32 << 20;

/// For more files than this, syncing the file system once costs less than syncing each file.
const FEW: usize = 50;

/// How many directories are committed at once: most of the time each of them waits for the disk.
const DIRECTORIES_AT_ONCE: usize = 16;

impl Run<'_> {
    /// Stages everything that changes, and waits until it is on the disk.
    fn prepare(&self) -> Result<AllPrepared, UpdateError> {
        let files = with_more_threads(|| self.prepare_files())?;
        let mut of_directory: BTreeMap<usize, Vec<&Prepared>> = BTreeMap::new();
        files.iter().for_each(|file| of_directory.entry(file.directory).or_default().push(file));
        let sums: Vec<Option<PreparedSums>> = self
            .directories
            .par_iter()
            .enumerate()
            .flat_map_iter(|(number, directory)| directory.sums.iter().map(move |sums| (number, directory, sums)))
            .map(|(number, directory, sums)| {
                let files = of_directory.get(&number).map_or(&[][..], Vec::as_slice);
                prepare::sums_file(number, directory, sums, files, self.permissions(directory), self.options)
            })
            .collect::<Result<_, _>>()?;
        let prepared = AllPrepared { files, sums: sums.into_iter().flatten().collect() };
        if !self.options.dry_run {
            self.check_unchanged(&prepared)?;
            self.sync()?;
        }
        Ok(prepared)
    }

    fn prepare_files(&self) -> Result<Vec<Prepared>, UpdateError> {
        let in_batches = |(number, directory): (usize, &Directory)| {
            self.batches(directory).into_iter().map(move |updates| (number, updates)).collect::<Vec<_>>()
        };
        let batches: Vec<(usize, Vec<usize>)> = self.directories.iter().enumerate().flat_map(in_batches).collect();
        let results: Vec<prepare::PreparedBatch> = batches
            .into_par_iter()
            .map(|(number, updates)| {
                let updates: Vec<_> = updates.into_iter().map(|update| (update, &self.updates[update])).collect();
                let is_synced = self.updates.len() <= FEW;
                prepare::batch(number, &self.directories[number], &updates, self.options, is_synced)
            })
            .collect::<Result<_, _>>()?;
        let (mut files, mut wrong) = (Vec::new(), Vec::new());
        for batch in results {
            files.extend(batch.files);
            wrong.extend(batch.wrong);
            self.used.lock().extend(batch.used);
        }
        files.sort_by_key(|file| file.update);
        wrong.sort_by_key(|(update, _)| *update);
        let named = |(update, error): (usize, FileError)| (self.updates[update].file.path.clone(), error);
        if wrong.is_empty() { Ok(files) } else { Err(UpdateError::Files(wrong.into_iter().map(named).collect())) }
    }

    /// The updates of a directory in batches if their sums are needed, else one by one, while each file is in the core's
    /// own cache.
    fn batches(&self, directory: &Directory) -> Vec<Vec<usize>> {
        if directory.sums.is_empty() {
            return directory.updates.iter().map(|&update| vec![update]).collect();
        }
        let mut batches: Vec<Vec<usize>> = Vec::new();
        let mut bytes = BATCH_BYTES;
        for &update in &directory.updates {
            let length = fs::metadata(&self.updates[update].file.real).map_or(0, |found| found.len());
            bytes += length;
            match batches.last_mut() {
                Some(batch) if batch.len() < BATCH_FILES && bytes <= BATCH_BYTES => batch.push(update),
                _ => {
                    batches.push(vec![update]);
                    bytes = length;
                }
            }
        }
        batches
    }

    /// Refuses files that changed after they were read, by another program.
    fn check_unchanged(&self, prepared: &AllPrepared) -> Result<(), UpdateError> {
        let files = prepared.files.iter().map(|file| (&self.updates[file.update].file.real, &file.stamp));
        let sums = prepared.sums.iter().map(|sums| (&sums.path, &sums.stamp));
        let is_changed =
            |(path, stamp): &(&PathBuf, &Stamp)| fs::metadata(path).map_or(true, |now| Stamp::of(&now) != **stamp);
        let changed: Vec<_> =
            files.chain(sums).filter(is_changed).map(|(path, _)| (path.clone(), FileError::Changed)).collect();
        if changed.is_empty() { Ok(()) } else { Err(UpdateError::Files(changed)) }
    }

    /// The permissions of a directory's SUMS files, if the changes of all its files ask for the same ones.
    fn permissions(&self, directory: &Directory) -> Option<u32> {
        let mut all = directory.updates.iter().map(|&update| self.updates[update].change.permissions);
        let first = all.next()??;
        all.all(|permissions| permissions == Some(first)).then_some(first)
    }

    /// Waits until all staged files are on the disk.
    fn sync(&self) -> Result<(), UpdateError> {
        if self.updates.len() <= FEW {
            return Ok(());
        }
        let mut synced = BTreeSet::new();
        for directory in self.directories.iter().filter(|directory| directory.has_staged.load(Ordering::Relaxed)) {
            let mut sync = || {
                let file = File::open(&directory.path)?;
                if synced.insert(file.metadata()?.dev()) {
                    rustix::fs::syncfs(&file)?;
                }
                Ok(())
            };
            sync().map_err(|source| output::Error::Write { path: directory.path.clone(), source })?;
        }
        Ok(())
    }

    /// Commits what is staged, and signs SUMS files.
    fn finish(self, prepared: AllPrepared) -> Outcome {
        let AllPrepared { files, sums } = prepared;
        let mut failures = Vec::new();
        let mut signatures = Signatures::default();
        if self.options.dry_run {
            sums.iter().for_each(|sums| signatures.foresee(&sums.path));
        } else {
            failures = self.commit(&files, &sums);
            for sums in &sums {
                signatures.sign(&sums.path, self.options.sign_command);
            }
        }
        failures.append(&mut signatures.failures);
        let used = self.used.into_inner();
        let given: BTreeSet<&BString> = self
            .updates
            .iter()
            .filter(|update| !update.change.is_all)
            .flat_map(|update| update.change.servers.iter().map(|(label, _)| label))
            .collect();
        Outcome {
            unchanged: self.updates.len() - files.len(),
            unused: given.into_iter().filter(|label| !used.contains(*label)).cloned().collect(),
            changed: files
                .into_iter()
                .map(|file| Changed { path: self.updates[file.update].file.path.clone(), diff: file.diff })
                .collect(),
            sums: sums.into_iter().map(|sums| Changed { path: sums.path, diff: sums.diff }).collect(),
            stale_signatures: signatures.stale,
            failures,
        }
    }

    /// Commits each directory's files. Returns what went wrong.
    fn commit(&self, files: &[Prepared], sums: &[PreparedSums]) -> Vec<String> {
        let mut changes: BTreeMap<usize, Vec<output::Change>> = BTreeMap::new();
        let all = files.iter().map(|file| (file.directory, &file.name));
        for (directory, name) in all.chain(sums.iter().map(|sums| (sums.directory, &sums.name))) {
            changes.entry(directory).or_default().push(output::Change::Publish(name.clone()));
        }
        let changes: Vec<_> = changes.into_iter().collect();
        let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        on_threads(DIRECTORIES_AT_ONCE.min(changes.len()), || {
            while let Some((number, changes)) = changes.get(next.fetch_add(1, Ordering::Relaxed)) {
                let directory = &self.directories[*number];
                match directory.output.commit_changed(changes) {
                    Ok(()) => directory.output.clean(),
                    Err(error) => failures.lock().push(error.to_string()),
                }
            }
        });
        failures.into_inner()
    }
}
