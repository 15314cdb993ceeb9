//! Runs over all images, several at a time, and publishes each output directory when the last of its images is done.

use jigdo::escaped_path;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rayon::ThreadPool;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::outputs::{OutputGroup, output_groups, publish_sets};
use super::plan::Plan;
use super::record::{self, Record, SetStatus};
use super::report::ImageReport;
use super::state::{ImageProgress, ReadySet, State};
use super::warnings::{self, Warning};
use super::{Options, pruning};
use crate::file::Bytes as _;
use crate::file::Mapped;
use crate::file::now_ns;
use crate::make::{Error, KnownImage, SPARSE_WINDOW, Selection, SetBuilder, StagedSet, template_name};
use crate::mirror::{Catalogue, Index};
use crate::output::signing::Signatures;
use crate::panics;
use crate::progress::{Begin, Progress, Task};
use crate::threads::on_threads;

/// How many pieces of templates, over all images, may wait for compression; at least one per image: 64 MiB, or 96.
const PIECES_IN_MEMORY: usize = 32;

/// How many images are processed at a time, if there are this many.
const LEAST_AT_ONCE: usize = 16;
const MOST_AT_ONCE: usize = 48;

/// The total length of all images' windows, and the limits for one image, in bytes.
const WINDOWS: u64 = 512 << 20;
const SHORTEST_WINDOW: u64 = 32 << 20;
const LONGEST_WINDOW: u64 = 128 << 20;

/// A run over all images of a plan.
pub struct Run<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) index: &'a Index,
    catalogue: &'a Catalogue,
    pool: &'a ThreadPool,
    progress: &'a dyn Progress,
    pub(super) options: &'a Options<'a>,
    signatures: Mutex<Signatures>,
    selections: Vec<Selection>,
    /// The index of each image's selection.
    selection_of: Vec<usize>,
    outputs: Vec<OutputGroup>,
    /// The index of each image's output.
    output_of: Vec<usize>,
    pub(super) images: Vec<Mutex<ImageProgress>>,
}

impl<'a> Run<'a> {
    /// A new run. Creates and locks the output directories, unless it is a dry run.
    pub fn new(
        plan: &'a Plan<'a>,
        index: &'a Index,
        catalogue: &'a Catalogue,
        pool: &'a ThreadPool,
        progress: &'a dyn Progress,
        options: &'a Options<'a>,
    ) -> Self {
        let (selections, selection_of) = pool.install(|| plan.selections(catalogue));
        let (mut outputs, output_of) = output_groups(plan, options.dry_run);
        pruning::find_stale(&mut outputs, plan, index, options);
        let waiting = |_| Mutex::new(ImageProgress { bytes: None, warnings: Vec::new(), state: State::Planned });
        let images = plan.images.iter().map(waiting).collect();
        let signatures = Mutex::default();
        Self {
            plan,
            index,
            catalogue,
            pool,
            progress,
            options,
            signatures,
            selections,
            selection_of,
            outputs,
            output_of,
            images,
        }
    }

    /// Processes all images, longest first. Returns their reports, true if no set exists because no output directory
    /// could be written, and what became of signatures.
    pub fn process_all(self) -> (Vec<ImageReport>, bool, Signatures) {
        let length = |&image: &usize| fs::metadata(&self.plan.images[image].image.path).map_or(0, |found| found.len());
        let mut order: Vec<usize> = (0..self.plan.images.len()).collect();
        let bytes = order.iter().map(length).sum();
        let images = Begin::bytes("images", "all images").total(bytes).children(order.len());
        let task = Task::begin(self.progress, images);
        order.sort_by_cached_key(|image| std::cmp::Reverse(length(image)));
        let next = AtomicUsize::new(0);
        on_threads(self.images_at_once(), || {
            while let Some(&image) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.process(image, &task);
            }
        });
        drop(task);
        let unwritten =
            |image: &Mutex<ImageProgress>| matches!(image.lock().state, State::Failed { of_output: true, .. });
        let nothing_could_be_written = !self.images.is_empty() && self.images.iter().all(unwritten);
        let reports = self.plan.images.iter().zip(&self.images).map(|(planned, image)| image.lock().report(planned));
        let reports: Vec<_> = reports.collect();
        (reports, nothing_could_be_written, self.signatures.into_inner())
    }

    /// Processes one image, and publishes its output directory if this was the last image there.
    fn process(&self, image: usize, images: &Task<'_>) {
        let planned = &self.plan.images[image];
        let name = escaped_path(&planned.image.path).to_string();
        let task = images.child(Begin::bytes("image", &name));
        // A fault of this program in one image is none of the others.
        let made = panics::caught(|| self.make_set(image, &task));
        let state = match made {
            Ok(made) => made.unwrap_or_else(|error| State::failed(&error)),
            Err(panic) => State::Failed { error: format!("{name}: {panic}"), of_output: false },
        };
        task.end(&state.summary());
        let warnings = self.warnings_of(image, &state);
        let report = {
            let mut progress = self.images[image].lock();
            progress.state = state;
            progress.warnings = warnings;
            progress.report_before_publishing(planned)
        };
        self.options.ledger.note(|ledger| ledger.images[image] = report);
        let output = &self.outputs[self.output_of[image]];
        // Every image's state is set before the counter reaches zero.
        if output.unfinished.fetch_sub(1, Ordering::AcqRel) == 1 && !self.options.dry_run {
            let published = panics::caught(|| self.publish(output));
            if let Err(panic) = published {
                for &image in &output.images {
                    let name = escaped_path(&self.plan.images[image].image.path);
                    let error = format!("{name}: {panic}");
                    self.images[image].lock().state = State::Failed { error, of_output: false };
                }
            }
        }
    }

    /// What is suspicious about an image's set, apart from the one that it replaces.
    fn warnings_of(&self, image: usize, state: &State) -> Vec<Warning> {
        let State::Ready(set) = state else { return Vec::new() };
        let planned = &self.plan.images[image];
        let length = set.record.report.matched_bytes + set.record.report.unmatched_bytes;
        let selection = &self.selections[self.selection_of[image]];
        let labels = planned.mirrors().map(|mirror| mirror.label.clone()).collect();
        warnings::of_set(&set.record.report, labels, selection.has_part_of_at_most(length))
    }

    /// Makes the image's set, unless it is already there.
    fn make_set(&self, number: usize, task: &Task<'_>) -> Result<State, Error> {
        let planned = self.plan.images[number];
        let directory = match &self.outputs[self.output_of[number]].directory {
            Ok(directory) => directory,
            Err(error) => return Ok(State::Failed { error: error.to_string(), of_output: true }),
        };
        let path = &planned.image.path;
        let asked = now_ns();
        let image = Mapped::open(path).map_err(|source| Error::Image { path: path.clone(), source })?;
        self.images[number].lock().bytes = Some(image.length());
        task.set_total(image.length());
        let selection = &self.selections[self.selection_of[number]];
        let is_image_settled = !image.stamp().is_young(asked);
        let is_settled = selection.is_settled && is_image_settled;
        let inputs = planned.fingerprint(&image.stamp(), selection);
        let record: Option<Record> = self.load(&planned.record_key());
        let image_path = escaped_path(&path);
        match &record {
            None => tracing::debug!(image = %image_path, "to be made: no set of it is on record"),
            Some(record) if record.inputs != inputs => {
                tracing::debug!(image = %image_path, changed = record.changed(&inputs), "to be made: its inputs changed");
            }
            Some(_) => {}
        }
        if let Some(record) = record.filter(|record| record.inputs == inputs) {
            let status = record.status(&planned.image.name, planned.image.settings.checksum, directory);
            tracing::debug!(image = %image_path, set = ?status, "its inputs are unchanged");
            // A dry run does not publish what a killed run left staged.
            if status == SetStatus::Published || (status == SetStatus::Staged && !self.options.dry_run) {
                return Ok(State::Ready(ReadySet { record: Box::new(record), status, is_settled }));
            }
        }
        if self.options.dry_run {
            return Ok(State::Planned);
        }
        let builder = SetBuilder {
            spec: planned.image,
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
        let image = KnownImage::new(Arc::new(image), self.load(&planned.facts_key()), self.catalogue.engine());
        let StagedSet { template, jigdo, report, image: facts, is_complete } = builder.build(&image)?;
        let is_settled = is_settled && is_complete;
        let record = Record { inputs, template, jigdo, report };
        if is_image_settled {
            self.remember(&planned.facts_key(), &facts);
        }
        if is_settled {
            self.remember(&planned.record_key(), &record);
        }
        Ok(State::Ready(ReadySet { record: Box::new(record), status: SetStatus::Staged, is_settled }))
    }

    /// How many images are processed at a time: enough to fill the lanes that sum them, and to keep all threads busy. Each
    /// has its own thread, which only coordinates.
    fn images_at_once(&self) -> usize {
        self.pool.current_num_threads().clamp(LEAST_AT_ONCE, MOST_AT_ONCE).min(self.images.len())
    }

    /// How much of an image is processed at a time, in bytes. Longer windows fill the lanes that read the parts in them
    /// better; the windows of all images together fit in most machines' memory.
    fn window(&self, image: &Mapped) -> u64 {
        match image.is_sparse() {
            true => SPARSE_WINDOW,
            false => (WINDOWS / self.images_at_once() as u64).clamp(SHORTEST_WINDOW, LONGEST_WINDOW),
        }
    }

    /// How many pieces of one template are compressed at a time: enough for every thread, within the image's share of the
    /// budget.
    fn pieces_at_once(&self) -> usize {
        let share = PIECES_IN_MEMORY / self.images_at_once();
        share.min(2 * self.pool.current_num_threads()).max(1)
    }

    /// Publishes the sets of one directory, and signs its SUMS files if they changed.
    fn publish(&self, output: &OutputGroup) {
        let Ok(directory) = &output.directory else { return };
        let mut sets = Vec::new();
        for &image in &output.images {
            let mut image_progress = self.images[image].lock();
            if let State::Ready(_) = image_progress.state
                && let State::Ready(set) = std::mem::replace(&mut image_progress.state, State::Planned)
            {
                sets.push((image, set));
            }
        }
        for (image, set) in sets.iter().filter(|(_, set)| set.status == SetStatus::Staged) {
            let template = directory.published(&template_name(&self.plan.images[*image].image.name));
            self.images[*image].lock().warnings.extend(warnings::of_change(&set.record.report, &template));
        }
        let stale = self.stale_to_remove(output);
        let published = publish_sets(directory, self.plan, &sets, stale);
        if published.is_ok() {
            self.note_removed(output, stale);
        }
        for file in published.iter().flatten() {
            self.signatures.lock().sign(file, self.options.sign_command);
        }
        for (image, mut set) in sets {
            let planned = &self.plan.images[image];
            let state = match &published {
                Err(error) => State::Failed { error: error.to_string(), of_output: true },
                Ok(_) => {
                    if set.is_settled && set.record.update_stamps(&planned.image.name, directory) {
                        self.remember(&planned.record_key(), &set.record);
                    }
                    self.remember_manifest(planned);
                    State::Ready(set)
                }
            };
            let mut progress = self.images[image].lock();
            progress.state = state;
            let report = progress.report(planned);
            drop(progress);
            self.options.ledger.note(|ledger| ledger.images[image] = report);
        }
        if published.is_ok() {
            directory.clean();
        }
    }

    /// What an earlier run stored, if it is to be believed.
    fn load<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        if self.options.paranoid { None } else { record::load(self.index, key) }
    }

    /// Stores something for the next run.
    pub(super) fn remember(&self, key: &str, value: &impl Serialize) {
        if let Err(error) = record::store(self.index, key, value) {
            self.progress.warn(&format!("the next run will do this work again: {error}"));
        }
    }
}
