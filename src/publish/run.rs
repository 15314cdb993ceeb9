//! A run over all images: several at once, each output directory published when the last of its images is done.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jigdo::{Algorithm, Checksum};
use parking_lot::{Mutex, MutexGuard};
use rayon::ThreadPool;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::plan::{Plan, Planned};
use super::record::{Found, Record};
use super::report::{ImageReport, Outcome, Outputs};
use crate::digest::Content;
use crate::file::Bytes as _;
use crate::file::Mapped;
use crate::file::{Stamp, now_ns};
use crate::make::{Error, Image, Job, SPARSE_WINDOW, Selection, SetReport, Staged, jigdo_name, template_name};
use crate::mirror::{Catalogue, Index};
use crate::output::sums::{SumsFile, file_name};
use crate::output::{self, Change, OutputDirectory};
use crate::progress::{Begin, Progress, Task};

/// How many pieces of all templates in work may wait for their compression, at least one of each: 64 MiB, or 96.
const PIECES_IN_MEMORY: usize = 32;

/// How many images are in work at once, as far as there are any.
const LEAST_AT_ONCE: usize = 16;
const MOST_AT_ONCE: usize = 48;

/// How long the windows of all images in work are together, and of one image, in bytes.
const WINDOWS: u64 = 512 << 20;
const SHORTEST_WINDOW: u64 = 32 << 20;
const LONGEST_WINDOW: u64 = 128 << 20;

/// A run over all images of a plan.
pub struct Run<'a> {
    plan: &'a Plan<'a>,
    index: &'a Index,
    catalogue: &'a Catalogue,
    pool: &'a ThreadPool,
    progress: &'a dyn Progress,
    dry_run: bool,
    selections: Vec<Selection>,
    /// For each image its selection.
    selection_of: Vec<usize>,
    destinations: Vec<Destination>,
    /// For each image its destination.
    destination_of: Vec<usize>,
    images: Vec<Mutex<Progressed>>,
}

/// An output directory with the images whose sets go there.
struct Destination {
    /// The directory, or why nothing can be written there.
    directory: Result<OutputDirectory, output::Error>,
    images: Vec<usize>,
    /// How many of the images are still to be done.
    left: AtomicUsize,
}

/// How far an image has come.
struct Progressed {
    /// The image's length in bytes, once it is known.
    bytes: Option<u64>,
    state: State,
}

enum State {
    /// Nothing was done, or nothing will be.
    Planned,
    Made(Made),
    Failed {
        error: String,
        /// Whether the place to write to is at fault.
        of_output: bool,
    },
}

/// A set that lies in the staging place or is published.
struct Made {
    record: Box<Record>,
    found: Found,
    /// Whether the record may be kept: whether a later change of what went into the set will show.
    is_lasting: bool,
}

impl State {
    fn failed(error: &Error) -> Self {
        Self::Failed { error: error.to_string(), of_output: error.is_of_output() }
    }
}

impl<'a> Run<'a> {
    /// A run in which nothing is done yet, but output directories are there and locked, unless it is a dry one.
    pub fn new(
        plan: &'a Plan<'a>,
        index: &'a Index,
        catalogue: &'a Catalogue,
        pool: &'a ThreadPool,
        progress: &'a dyn Progress,
        dry_run: bool,
    ) -> Self {
        let (selections, selection_of) = pool.install(|| plan.selections(catalogue));
        let (destinations, destination_of) = destinations(plan, dry_run);
        let waiting = |_| Mutex::new(Progressed { bytes: None, state: State::Planned });
        let images = plan.images.iter().map(waiting).collect();
        Self {
            plan,
            index,
            catalogue,
            pool,
            progress,
            dry_run,
            selections,
            selection_of,
            destinations,
            destination_of,
            images,
        }
    }

    /// Does the work on all images, the longest first. Gives what came of each, and whether there is
    /// not one set, and only because they could not be written.
    pub fn all(self) -> (Vec<ImageReport>, bool) {
        let length = |&image: &usize| fs::metadata(&self.plan.images[image].image.path).map_or(0, |found| found.len());
        let mut order: Vec<usize> = (0..self.plan.images.len()).collect();
        let bytes = order.iter().map(length).sum();
        let images = Begin::bytes("images", "all images").total(bytes).children(order.len());
        let task = Task::begin(self.progress, images);
        order.sort_by_cached_key(|image| std::cmp::Reverse(length(image)));
        let next = AtomicUsize::new(0);
        std::thread::scope(|threads| {
            for _ in 0..self.images_at_once() {
                threads.spawn(|| {
                    while let Some(&image) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                        self.one(image, &task);
                    }
                });
            }
        });
        drop(task);
        let unwritten = |image: &Mutex<Progressed>| matches!(lock(image).state, State::Failed { of_output: true, .. });
        let nothing_could_be_written = !self.images.is_empty() && self.images.iter().all(unwritten);
        let images = self.images.into_iter().map(|image| image.into_inner());
        let reports = self.plan.images.iter().zip(images).map(|(planned, image)| report(planned, image));
        (reports.collect(), nothing_could_be_written)
    }

    /// Does the work on one image, and publishes its output directory if it was the last one there.
    fn one(&self, image: usize, images: &Task<'_>) {
        let name = self.plan.images[image].image.path.display().to_string();
        let task = images.child(Begin::bytes("image", &name));
        let state = self.make(image, &task).unwrap_or_else(|error| State::failed(&error));
        task.end(&summary(&state));
        lock(&self.images[image]).state = state;
        let destination = &self.destinations[self.destination_of[image]];
        // All images' states were set before the last one counts down.
        if destination.left.fetch_sub(1, Ordering::AcqRel) == 1 && !self.dry_run {
            self.publish(destination);
        }
    }

    /// Makes the image's set, or finds it made.
    fn make(&self, number: usize, task: &Task<'_>) -> Result<State, Error> {
        let planned = self.plan.images[number];
        let directory = match &self.destinations[self.destination_of[number]].directory {
            Ok(directory) => directory,
            Err(error) => return Ok(State::Failed { error: error.to_string(), of_output: true }),
        };
        let path = &planned.image.path;
        let image = Mapped::open(path).map_err(|source| Error::Image { path: path.clone(), source })?;
        lock(&self.images[number]).bytes = Some(image.length());
        task.set_total(image.length());
        let selection = &self.selections[self.selection_of[number]];
        let is_image_lasting = !image.stamp().is_young(now_ns());
        let is_lasting = selection.is_settled && is_image_lasting;
        let inputs = planned.fingerprint(&image.stamp(), selection);
        let record: Option<Record> = self.recall(&record_key(&planned));
        let image_path = path.display();
        match &record {
            None => tracing::debug!(image = %image_path, "to be made: no set of it is on record"),
            Some(record) if record.inputs != inputs => {
                tracing::debug!(image = %image_path, changed = record.changed(&inputs), "to be made: its inputs changed");
            }
            Some(_) => {}
        }
        if let Some(record) = record.filter(|record| record.inputs == inputs) {
            let found = record.find(&planned.image.name, directory);
            tracing::debug!(image = %image_path, set = ?found, "its inputs are unchanged");
            // A dry run does not publish what a run that was killed has left staged.
            if found == Found::Published || (found == Found::Staged && !self.dry_run) {
                return Ok(State::Made(Made { record: Box::new(record), found, is_lasting }));
            }
        }
        if self.dry_run {
            return Ok(State::Planned);
        }
        let job = Job {
            planned: planned.image,
            mirrors: &self.plan.mirrors_of(&planned),
            catalogue: self.catalogue,
            selection,
            directory,
            pool: self.pool,
            window: self.window(&image),
            pieces_at_once: self.pieces_at_once(),
            progress: self.progress,
            task,
        };
        let image = Image::new(Arc::new(image), self.recall(&known_key(&planned)), self.catalogue.engine());
        let Staged { template, jigdo, report, known } = job.run(&image)?;
        let record = Record { inputs, template, jigdo, report };
        if is_image_lasting {
            self.remember(&known_key(&planned), &known);
        }
        if is_lasting {
            self.remember(&record_key(&planned), &record);
        }
        Ok(State::Made(Made { record: Box::new(record), found: Found::Staged, is_lasting }))
    }

    /// How many images are in work at once: enough to fill the lanes that sum them side by side, and to keep all threads
    /// busy. Each has a thread of its own, which does no more than lead the work on it.
    fn images_at_once(&self) -> usize {
        self.pool.current_num_threads().clamp(LEAST_AT_ONCE, MOST_AT_ONCE).min(self.images.len())
    }

    /// How much of an image is worked on at a time, in bytes: the more, the fuller are the lanes in which the parts that
    /// begin there are read. All images together have as much of their bytes in use as most machines can keep in memory.
    fn window(&self, image: &Mapped) -> u64 {
        match image.is_sparse() {
            true => SPARSE_WINDOW,
            false => (WINDOWS / self.images_at_once() as u64).clamp(SHORTEST_WINDOW, LONGEST_WINDOW),
        }
    }

    /// Enough pieces of an image's template for every thread, as far as the images in work share the budget.
    fn pieces_at_once(&self) -> usize {
        let share = PIECES_IN_MEMORY / self.images_at_once();
        share.min(2 * self.pool.current_num_threads()).max(1)
    }

    /// Publishes the sets of a directory: templates, jigdo files, SUMS files.
    fn publish(&self, destination: &Destination) {
        let Ok(directory) = &destination.directory else { return };
        let mut sets = Vec::new();
        for &image in &destination.images {
            let mut progressed = lock(&self.images[image]);
            if let State::Made(_) = progressed.state
                && let State::Made(made) = std::mem::replace(&mut progressed.state, State::Planned)
            {
                sets.push((image, made));
            }
        }
        let published = publish_sets(directory, self.plan, &sets);
        for (image, mut made) in sets {
            let planned = &self.plan.images[image];
            let state = match &published {
                Err(error) => State::Failed { error: error.to_string(), of_output: true },
                Ok(()) => {
                    if made.is_lasting && made.found == Found::Staged {
                        self.settle_record(planned, &mut made.record, directory);
                    }
                    State::Made(made)
                }
            };
            lock(&self.images[image]).state = state;
        }
        if published.is_ok() {
            directory.clean();
        }
    }

    /// Corrects the record of a set after it was published: a file with the bytes of the one that was published
    /// before does not replace it, so its stamp is the other's.
    fn settle_record(&self, planned: &Planned<'_>, record: &mut Record, directory: &OutputDirectory) {
        let stamp = |file: String| fs::metadata(directory.published(&file)).map(|found| Stamp::of(&found));
        let name = &planned.image.name;
        if let (Ok(template), Ok(jigdo)) = (stamp(template_name(name)), stamp(jigdo_name(name)))
            && (template, jigdo) != (record.template, record.jigdo)
        {
            (record.template, record.jigdo) = (template, jigdo);
            self.remember(&record_key(planned), record);
        }
    }

    /// What the index has under this key.
    fn recall<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let known = self.index.record(key);
        // A record that cannot be had, is damaged, or was written by another version, costs time only.
        let text = known.ok()??;
        let (check, json) = text.split_once(' ')?;
        (check == check_of(json)).then(|| serde_json::from_str(json).ok())?
    }

    fn remember(&self, key: &str, value: &impl Serialize) {
        let json = serde_json::to_string(value).expect("a record is plain data");
        if let Err(error) = self.index.set_record(key, &format!("{} {json}", check_of(&json))) {
            self.progress.warn(&format!("what was done will be done again next time: {error}"));
        }
    }
}

fn lock(image: &Mutex<Progressed>) -> MutexGuard<'_, Progressed> {
    image.lock()
}

/// The output directories, each once, and for each image its own.
fn destinations(plan: &Plan<'_>, dry_run: bool) -> (Vec<Destination>, Vec<usize>) {
    let mut places: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut destinations: Vec<Destination> = Vec::new();
    let mut of_images = Vec::new();
    for (number, planned) in plan.images.iter().enumerate() {
        let output = &planned.image.output;
        if !dry_run {
            // Two ways to write a path are known to be one only once it exists. What fails here fails again below.
            let _ = fs::create_dir_all(output);
        }
        let place = *places.entry(absolute(output)).or_insert_with(|| {
            let directory = match dry_run {
                true => Ok(OutputDirectory::unlocked(output)),
                false => OutputDirectory::open(output),
            };
            destinations.push(Destination { directory, images: Vec::new(), left: AtomicUsize::new(0) });
            destinations.len() - 1
        });
        destinations[place].images.push(number);
        *destinations[place].left.get_mut() += 1;
        of_images.push(place);
    }
    (destinations, of_images)
}

/// The path by which a directory is known, however it was written.
fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

/// The name under which the index keeps the record of an image's set.
fn record_key(planned: &Planned<'_>) -> String {
    absolute(&planned.image.output).join(&planned.image.name).display().to_string()
}

/// Stands before a record, so that one that is damaged in the index is not taken for what was kept: it has sums, which
/// would be published.
fn check_of(json: &str) -> String {
    String::from(Content::of(Checksum::Sha256, json.as_bytes()))
}

/// The name under which the index keeps what is known of an image.
fn known_key(planned: &Planned<'_>) -> String {
    format!("image {}", absolute(&planned.image.path).display())
}

/// Publishes sets of one directory: of each the template, then the jigdo file; then the sums of all.
fn publish_sets(directory: &OutputDirectory, plan: &Plan<'_>, sets: &[(usize, Made)]) -> Result<(), output::Error> {
    let staged = sets.iter().filter(|(_, made)| made.found == Found::Staged);
    let names = staged.map(|(image, _)| &plan.images[*image].image.name);
    let mut changes: Vec<Change> =
        names.flat_map(|name| [template_name(name), jigdo_name(name)]).map(Change::Publish).collect();
    for algorithm in Algorithm::ALL {
        changes.extend(stage_sums(directory, plan, sets, algorithm)?);
    }
    directory.commit(&changes)
}

/// Stages a SUMS file that is brought up to date with these sets; lines of other files stay. Nothing is to be changed
/// if it is up to date.
fn stage_sums(
    directory: &OutputDirectory,
    plan: &Plan<'_>,
    sets: &[(usize, Made)],
    algorithm: Algorithm,
) -> Result<Option<Change>, output::Error> {
    let name = file_name(algorithm);
    let path = directory.published(&name);
    let failed = |source| output::Error::Write { path: path.clone(), source };
    let before = match fs::read(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let mut sums = SumsFile::parse(before.as_deref().unwrap_or_default());
    for (image, made) in sets {
        let image = plan.images[*image].image;
        let files = [
            ("image", image.filename.clone()),
            ("template", template_name(&image.name)),
            ("jigdo", jigdo_name(&image.name)),
        ];
        for (file, name) in files {
            let sum = made.record.report.sums.get(file).and_then(|sums| sums.get(&algorithm.name().to_lowercase()));
            match sum {
                Some(sum) => sums.set(&name, sum),
                // A sum that the manifest does not ask for would be that of an earlier file.
                None if made.found == Found::Staged => sums.remove(&name),
                None => {}
            }
        }
    }
    let text = sums.text();
    match before {
        Some(before) if before == text => Ok(None),
        None if sums.is_empty() => Ok(None),
        Some(_) if sums.is_empty() => Ok(Some(Change::Remove(name))),
        _ => {
            let mut file = directory.stage(&name)?;
            file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
            Ok(Some(Change::Publish(name)))
        }
    }
}

/// How it went, in a few words for a log.
fn summary(state: &State) -> String {
    match state {
        State::Planned => "a set would be published".to_owned(),
        State::Failed { error, .. } => format!("failed: {error}"),
        State::Made(Made { found: Found::Published, .. }) => "unchanged".to_owned(),
        State::Made(Made { record, .. }) => {
            let SetReport { matched_bytes, unmatched_bytes, parts, template_bytes, seconds, .. } = &record.report;
            let share = *matched_bytes as f64 / (matched_bytes + unmatched_bytes).max(1) as f64 * 100.0;
            format!("{share:.1} % matched by {parts} parts, template of {template_bytes} bytes, {seconds:.1} s")
        }
    }
}

fn report(planned: &Planned<'_>, Progressed { bytes, state }: Progressed) -> ImageReport {
    let (outcome, error, set) = match state {
        State::Planned => (Outcome::Planned, None, None),
        State::Failed { error, .. } => (Outcome::Failed, Some(error), None),
        State::Made(Made { record, found: Found::Published, .. }) => (Outcome::Unchanged, None, Some(record.report)),
        State::Made(Made { record, .. }) => (Outcome::Published, None, Some(record.report)),
    };
    let image = planned.image;
    ImageReport {
        image: image.path.clone(),
        release: planned.release.name.clone(),
        outcome,
        error,
        bytes,
        set,
        outputs: Outputs {
            jigdo: image.output.join(jigdo_name(&image.name)),
            template: image.output.join(template_name(&image.name)),
        },
    }
}
