//! Many sets at once: assembles each image that is missing or older than its set.

mod find;
mod report;

pub use find::{FoundJobs, find};
pub use report::{ImageReport, MissingPart, Outcome, RefusedPlace};

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use rayon::prelude::*;

use super::source::{LabelError, LabelTrees, MovedFiles, OldImages, Source, Trees};
use super::{Destination, Incomplete, Order, assemble_all};
use crate::progress::Progress;
use crate::set::{self, Fetch, FileTemplate, Set};

/// How many sets are assembled together: enough to fill all lanes, and to share a walk of the trees and a search of old
/// images.
const TOGETHER: usize = 64;

/// A set and where its image goes.
#[derive(Debug, Clone)]
pub struct Job {
    /// The jigdo file.
    pub set: PathBuf,
    /// The template, if it is not where the jigdo file says.
    pub template: Option<PathBuf>,
    /// The directory for the image, which is created if it is missing.
    pub directory: PathBuf,
}

/// How the images are to be assembled.
pub struct Options<'a> {
    /// The directories that labels stand for.
    pub trees: Trees,
    /// Old images that may contain parts.
    pub old_images: Vec<PathBuf>,
    /// The index of files in the trees.
    pub index: PathBuf,
    /// Whether long runs of zeros become holes.
    pub is_sparse: bool,
    /// What is done about images whose parts are not all there.
    pub incomplete: Incomplete,
    /// Whether to assemble images that exist and are not older than their sets too.
    pub rebuilds_all: bool,
    /// How many threads compute sums.
    pub threads: usize,
    /// Fetches jigdo files that sets include from the web.
    pub fetch: &'a dyn Fetch,
    /// Receives progress reports.
    pub progress: &'a dyn Progress,
}

/// Why an image is not assembled.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Set(#[from] set::Error),
    #[error("{path}: {source}", path = .path.display())]
    Labels { path: PathBuf, source: LabelError },
    #[error("{path}: {source}; check the directory and its permissions", path = .path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error(
        "{path}: {other} makes {image} too; assemble one of them elsewhere",
        path = .path.display(), other = .other.display(), image = .image.display()
    )]
    SameImage { path: PathBuf, other: PathBuf, image: PathBuf },
    #[error("{image}: {source}", image = .image.display())]
    Assemble { image: PathBuf, source: super::Error },
}

/// Assembles the images of some sets. Returns a report for each, in the order of `jobs`.
pub fn assemble_sets(jobs: &[Job], options: &Options<'_>) -> Vec<ImageReport> {
    let trees: Vec<PathBuf> = options.trees.values().flatten().cloned().collect();
    let moved = MovedFiles::new(options.index.clone(), trees.clone(), options.progress);
    let old = OldImages::new(options.old_images.clone(), options.progress);
    let mut shared: Vec<&dyn Source> = Vec::new();
    if !trees.is_empty() {
        shared.push(&moved);
    }
    if !options.old_images.is_empty() {
        shared.push(&old);
    }
    let mut made_by = HashMap::new();
    let assemble = |jobs: &[Job]| assemble_together(jobs, options, &shared, &mut made_by);
    jobs.chunks(TOGETHER).flat_map(assemble).collect()
}

/// A set that is to be assembled.
struct Prepared<'a> {
    set: Set,
    image: PathBuf,
    template: FileTemplate,
    labels: LabelTrees,
    /// The existing image, made from an earlier version of the set.
    earlier: Option<OldImages<'a>>,
}

/// A set after a first look at it.
enum Examined<'a> {
    /// Its image exists and is not older than the set.
    Unchanged(Box<Set>, PathBuf),
    ToDo(Box<Prepared<'a>>),
}

fn assemble_together(
    jobs: &[Job],
    options: &Options<'_>,
    shared: &[&dyn Source],
    made_by: &mut HashMap<PathBuf, PathBuf>,
) -> Vec<ImageReport> {
    let start = Instant::now();
    let examined: Vec<Result<Examined<'_>, Error>> = jobs.par_iter().map(|job| examine(job, options)).collect();
    let mut reports: Vec<Option<ImageReport>> = Vec::new();
    let mut prepared = Vec::new();
    for (number, (job, examined)) in jobs.iter().zip(examined).enumerate() {
        let examined = examined.and_then(|examined| ensure_unique(examined, made_by));
        reports.push(match examined {
            Ok(Examined::Unchanged(set, image)) => Some(ImageReport::unchanged(&set, image)),
            Ok(Examined::ToDo(to_do)) => {
                prepared.push((number, *to_do));
                None
            }
            Err(error) => {
                let is_output_error = matches!(error, Error::Directory { .. });
                Some(ImageReport::failed(&job.set, None, &error, is_output_error))
            }
        });
    }
    let orders = prepared.iter_mut().map(|(_, prepared)| order(prepared, options)).collect();
    let results = assemble_all(orders, shared, options.threads, options.progress);
    for ((number, prepared), result) in prepared.into_iter().zip(results) {
        let Prepared { set, image, .. } = prepared;
        reports[number] = Some(match result {
            Ok(report) => {
                if report.is_complete {
                    advance_modified(&set, &image);
                }
                ImageReport::new(&set, image, &report, start.elapsed())
            }
            Err(error) => {
                let is_output_error = error.is_output_error();
                let error = Error::Assemble { image: image.clone(), source: error };
                ImageReport::failed(&set.path, Some(image), &error, is_output_error)
            }
        });
    }
    reports.into_iter().map(|report| report.expect("every set has its report")).collect()
}

/// Opens a set and reads its template, unless its image exists and is not older.
fn examine<'a>(job: &Job, options: &Options<'a>) -> Result<Examined<'a>, Error> {
    let set = Set::open(&job.set, job.template.as_deref(), options.fetch)?;
    for left_out in &set.not_included {
        let what = format!("{}: {left_out}", set.path.display());
        options.progress.warn(&what);
    }
    let image = job.directory.join(&set.image_name);
    let found = fs::metadata(&image).ok();
    if !options.rebuilds_all && found.as_ref().is_some_and(|found| !is_older(found, &set)) {
        tracing::debug!(image = %image.display(), "unchanged: it is not older than its set");
        return Ok(Examined::Unchanged(Box::new(set), image));
    }
    let failed = |source| Error::Labels { path: set.path.clone(), source };
    let labels = LabelTrees::of_set(&set, &options.trees).map_err(failed)?;
    let (template, sum) = rayon::join(|| set.read_template(), || set.check_template_sum());
    let template = template?;
    sum?;
    let failed = |source| Error::Directory { path: job.directory.clone(), source };
    fs::create_dir_all(&job.directory).map_err(failed)?;
    let is_there = found.is_some_and(|found| found.is_file() && found.len() > 0);
    let earlier = is_there.then(|| OldImages::new(vec![image.clone()], options.progress));
    Ok(Examined::ToDo(Box::new(Prepared { set, image, template, labels, earlier })))
}

/// Checks that no other set makes the same image.
fn ensure_unique<'a>(examined: Examined<'a>, made_by: &mut HashMap<PathBuf, PathBuf>) -> Result<Examined<'a>, Error> {
    let (set, image) = match &examined {
        Examined::Unchanged(set, image) => (&**set, image),
        Examined::ToDo(prepared) => (&prepared.set, &prepared.image),
    };
    match made_by.insert(image.clone(), set.path.clone()) {
        None => Ok(examined),
        Some(other) => Err(Error::SameImage { path: set.path.clone(), other, image: image.clone() }),
    }
}

fn order<'a>(prepared: &'a mut Prepared<'_>, options: &Options<'_>) -> Order<'a, io::BufReader<File>> {
    let Prepared { image, template, labels, earlier, .. } = prepared;
    let earlier = earlier.as_ref().map(|earlier| earlier as &dyn Source);
    Order {
        name: image.display().to_string(),
        template,
        sources: [labels as &dyn Source].into_iter().chain(earlier).collect(),
        destination: Destination::File {
            path: image.clone(),
            is_sparse: options.is_sparse,
            incomplete: options.incomplete,
        },
    }
}

/// When the set was last modified.
fn changed(set: &Set) -> Option<SystemTime> {
    let modified = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    modified(&set.path).max(modified(&set.template))
}

fn is_older(image: &Metadata, set: &Set) -> bool {
    match (image.modified(), changed(set)) {
        (Ok(image), Some(set)) => image < set,
        _ => true,
    }
}

/// Makes an image at least as new as its set: the clock of the machine that made the set may be ahead.
fn advance_modified(set: &Set, image: &Path) {
    let Some(changed) = changed(set) else { return };
    if fs::metadata(image).is_ok_and(|found| is_older(&found, set)) {
        // If this fails, the image is only assembled again the next time.
        let _ = File::options().write(true).open(image).and_then(|image| image.set_modified(changed));
    }
}
