//! Makes changes in many jigdo files: all of them, or, where one cannot be made, none.
//!
//! Every directory is locked as for publishing. The new files, and the SUMS files beside them that list one, wait in
//! the directories until all of them are there and on the disk. Then each directory's files take their places, as
//! publishing does it, so that a run that is killed leaves whole files, and the next one finishes what it had begun.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rayon::prelude::*;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::directory::Directory;
use super::prepare::{self, Prepared, PreparedSums};
use super::task::{FileError, Options, SetError, Task};
use crate::file::Stamp;
use crate::output;
use crate::output::signing::{Signatures, StaleSignature};

/// What came of the changes.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The jigdo files that changed, or would, in the order in which they were given.
    pub changed: Vec<Changed>,
    /// How many are as they were.
    pub unchanged: usize,
    /// The SUMS files that changed, or would, in the order of their paths.
    pub sums: Vec<Changed>,
    /// Signatures of what was in these SUMS files before.
    pub stale_signatures: Vec<StaleSignature>,
    /// What went wrong after files had begun to change.
    pub failures: Vec<String>,
    /// Labels that are given servers, and that no file knows.
    pub unused: Vec<String>,
}

/// A file that changed.
#[derive(Debug)]
pub struct Changed {
    pub path: PathBuf,
    /// What changes in the text, as a unified diff; of a dry run only.
    pub diff: Option<String>,
}

/// Makes the changes.
///
/// # Errors
///
/// Whatever is known before the first file has changed.
pub fn set(tasks: &[Task<'_>], options: &Options<'_>) -> Result<Outcome, SetError> {
    let run = Run { tasks, options, directories: directories(tasks, options)?, used: Mutex::default() };
    let prepared = run.prepare();
    if prepared.is_err() && !options.dry_run {
        run.directories.iter().for_each(Directory::forget_staged);
    }
    run.finish(prepared?)
}

/// The directories of all files, in the order of their paths.
fn directories(tasks: &[Task<'_>], options: &Options<'_>) -> Result<Vec<Directory>, SetError> {
    let mut by_path: BTreeMap<&Path, Vec<usize>> = BTreeMap::new();
    for (number, task) in tasks.iter().enumerate() {
        by_path.entry(task.file.real.parent().unwrap_or(Path::new("/"))).or_default().push(number);
    }
    allow_open_files(by_path.len() as u64 + 1000);
    let by_path: Vec<_> = by_path.into_iter().collect();
    by_path.into_par_iter().map(|(path, tasks)| Directory::open(path, tasks, options)).collect()
}

/// Each directory is held open while it is locked, which may be more files than a process has at first.
fn allow_open_files(count: u64) {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < count) {
        limit.current = Some(limit.maximum.map_or(count, |maximum| maximum.min(count)));
        // Where that fails, so will opening a directory, with an error of its own.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// Does work on more threads than there are cores, as most of them wait for the disk.
fn with_more_threads<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    const MOST: usize = 64;
    let threads = rayon::current_num_threads();
    match rayon::ThreadPoolBuilder::new().num_threads((4 * threads).min(MOST).max(threads)).build() {
        Ok(pool) => pool.install(work),
        // Then as many as there are must do.
        Err(_) => work(),
    }
}

struct Run<'a> {
    tasks: &'a [Task<'a>],
    options: &'a Options<'a>,
    directories: Vec<Directory>,
    /// The labels that some file knows, of those that are given servers.
    used: Mutex<BTreeSet<String>>,
}

/// All that changes, as it waits.
struct AllPrepared {
    files: Vec<Prepared>,
    sums: Vec<PreparedSums>,
}

/// How many files a thread has in work, and how many bytes of them. Their sums are computed side by side.
const BATCH_FILES: usize = 16;
const BATCH_BYTES: u64 = 32 << 20;

/// With more files than this, one sync of their file system costs less than one of each file.
const FEW: usize = 50;

/// How many directories change at once: most of the time each of them waits for the disk.
const DIRECTORIES_AT_ONCE: usize = 16;

impl Run<'_> {
    /// Stages everything that changes, and sees to it that it is on the disk.
    fn prepare(&self) -> Result<AllPrepared, SetError> {
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
                prepare::sums_file(number, directory, sums, files, self.options)
            })
            .collect::<Result<_, _>>()?;
        let prepared = AllPrepared { files, sums: sums.into_iter().flatten().collect() };
        if !self.options.dry_run {
            self.check_unchanged(&prepared)?;
            self.sync()?;
        }
        Ok(prepared)
    }

    fn prepare_files(&self) -> Result<Vec<Prepared>, SetError> {
        let in_batches = |(number, directory): (usize, &Directory)| {
            self.batches(directory).into_iter().map(move |tasks| (number, tasks)).collect::<Vec<_>>()
        };
        let batches: Vec<(usize, Vec<usize>)> = self.directories.iter().enumerate().flat_map(in_batches).collect();
        let results: Vec<prepare::Batch> = batches
            .into_par_iter()
            .map(|(number, tasks)| {
                let tasks: Vec<_> = tasks.into_iter().map(|task| (task, &self.tasks[task])).collect();
                let is_synced = self.tasks.len() <= FEW;
                prepare::batch(number, &self.directories[number], &tasks, self.options, is_synced)
            })
            .collect::<Result<_, _>>()?;
        let (mut files, mut wrong) = (Vec::new(), Vec::new());
        for batch in results {
            files.extend(batch.files);
            wrong.extend(batch.wrong);
            self.used.lock().extend(batch.used);
        }
        files.sort_by_key(|file| file.task);
        wrong.sort_by_key(|(task, _)| *task);
        let named = |(task, error): (usize, FileError)| (self.tasks[task].file.path.clone(), error);
        if wrong.is_empty() { Ok(files) } else { Err(SetError::Files(wrong.into_iter().map(named).collect())) }
    }

    /// The files of a directory, some at a time where their sums are wanted, else one by one: what was just read is in
    /// the core's own cache.
    fn batches(&self, directory: &Directory) -> Vec<Vec<usize>> {
        if directory.sums.is_empty() {
            return directory.tasks.iter().map(|&task| vec![task]).collect();
        }
        let mut batches: Vec<Vec<usize>> = Vec::new();
        let mut bytes = BATCH_BYTES;
        for &task in &directory.tasks {
            let length = fs::metadata(&self.tasks[task].file.real).map_or(0, |found| found.len());
            bytes += length;
            match batches.last_mut() {
                Some(batch) if batch.len() < BATCH_FILES && bytes <= BATCH_BYTES => batch.push(task),
                _ => {
                    batches.push(vec![task]);
                    bytes = length;
                }
            }
        }
        batches
    }

    /// An error if a file is no longer what was read: somebody else is at work there.
    fn check_unchanged(&self, prepared: &AllPrepared) -> Result<(), SetError> {
        let files = prepared.files.iter().map(|file| (&self.tasks[file.task].file.real, &file.stamp));
        let sums = prepared.sums.iter().map(|sums| (&sums.path, &sums.stamp));
        let is_changed =
            |(path, stamp): &(&PathBuf, &Stamp)| fs::metadata(path).map_or(true, |now| Stamp::of(&now) != **stamp);
        let changed: Vec<_> =
            files.chain(sums).filter(is_changed).map(|(path, _)| (path.clone(), FileError::Changed)).collect();
        if changed.is_empty() { Ok(()) } else { Err(SetError::Files(changed)) }
    }

    /// Waits until all that was staged is on the disk.
    fn sync(&self) -> Result<(), SetError> {
        if self.tasks.len() <= FEW {
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

    /// Makes the changes that wait.
    fn finish(self, prepared: AllPrepared) -> Result<Outcome, SetError> {
        let AllPrepared { files, sums } = prepared;
        let mut failures = Vec::new();
        let mut signatures = Signatures::default();
        if !self.options.dry_run {
            failures = self.commit(&files, &sums);
            for sums in &sums {
                signatures.sign(&sums.path, self.options.sign_command);
            }
        } else {
            sums.iter().for_each(|sums| signatures.expect(&sums.path));
        }
        failures.append(&mut signatures.failures);
        let used = self.used.into_inner();
        let given: BTreeSet<&String> = self
            .tasks
            .iter()
            .filter(|task| !task.change.is_all)
            .flat_map(|task| task.change.servers.iter().map(|(label, _)| label))
            .collect();
        Ok(Outcome {
            unchanged: self.tasks.len() - files.len(),
            unused: given.into_iter().filter(|label| !used.contains(*label)).cloned().collect(),
            changed: files
                .into_iter()
                .map(|file| Changed { path: self.tasks[file.task].file.path.clone(), diff: file.diff })
                .collect(),
            sums: sums.into_iter().map(|sums| Changed { path: sums.path, diff: sums.diff }).collect(),
            stale_signatures: signatures.stale,
            failures,
        })
    }

    /// Has every directory's files take their places. Gives what went wrong.
    fn commit(&self, files: &[Prepared], sums: &[PreparedSums]) -> Vec<String> {
        let mut changes: BTreeMap<usize, Vec<output::Change>> = BTreeMap::new();
        let all = files.iter().map(|file| (file.directory, &file.name));
        for (directory, name) in all.chain(sums.iter().map(|sums| (sums.directory, &sums.name))) {
            changes.entry(directory).or_default().push(output::Change::Publish(name.clone()));
        }
        let changes: Vec<_> = changes.into_iter().collect();
        let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..DIRECTORIES_AT_ONCE.min(changes.len()) {
                scope.spawn(|| {
                    while let Some((number, changes)) = changes.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let directory = &self.directories[*number];
                        match directory.output.commit_changed(changes) {
                            Ok(()) => directory.output.clean(),
                            Err(error) => {
                                failures.lock().push(error.to_string());
                            }
                        }
                    }
                });
            }
        });
        failures.into_inner()
    }
}
