//! Many sets at once: assembles each image that is not there yet, or is not what its set describes.

mod candidate;
mod existing;
mod find;
mod known;
mod opened;
mod report;

pub use find::{FoundJobs, find};
pub use report::{ImageReport, MissingPart, Outcome, RefusedPlace};

use jigdo::escaped_path;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;

use super::source::{LabelError, LabelTrees, MovedFiles, OldImages, Source, Trees};
use super::{Destination, Incomplete, Order, Replaces, assemble_all};
use crate::file;
use crate::progress::Progress;
use crate::set::{self, Fetch, FileTemplate, Set};
use candidate::Candidate;
use known::{KnownFiles, Made};
use opened::Request;

/// How many sets are assembled together: enough to fill all lanes, and to share a walk of the trees and a search of old
/// images.
const TOGETHER: usize = 64;

/// A jigdo file and where its images go.
#[derive(Debug, Clone)]
pub struct Job {
    /// The jigdo file.
    pub set: PathBuf,
    /// Which of its images are wanted.
    pub images: Wanted,
    /// The template, if it is not where the jigdo file says. Only one image may then be wanted.
    pub template: Option<PathBuf>,
    /// A directory that may have the templates, by their names.
    pub templates: Option<PathBuf>,
    /// The directory for the images, which is created if it is missing.
    pub directory: PathBuf,
}

/// Which images of a jigdo file are wanted.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// All of them.
    All,
    /// Those with these numbers, counted from 0.
    Numbers(Vec<usize>),
    /// The one with this name.
    Named(OsString),
}

/// How the images are to be assembled.
pub struct Options<'a> {
    /// The directories that labels stand for.
    pub trees: Trees,
    /// Old images that may contain parts.
    pub old_images: Vec<PathBuf>,
    /// The index of files in the trees. It also remembers the sums of images.
    pub index: PathBuf,
    /// Whether long runs of zeros become holes.
    pub is_sparse: bool,
    /// What is done about images whose parts are not all there.
    pub incomplete: Incomplete,
    /// Whether to assemble images that are there already too, and to replace files whatever they are.
    pub force: bool,
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
    #[error("{path}: {source}", path = escaped_path(.path))]
    Labels { path: PathBuf, source: LabelError },
    #[error("{path}: {source}; check the directory and its permissions", path = escaped_path(.path))]
    Directory { path: PathBuf, source: io::Error },
    #[error(
        "{path}: {other} makes {image} too; assemble one of them elsewhere",
        path = escaped_path(.path), other = escaped_path(.other), image = escaped_path(.image)
    )]
    SameImage { path: PathBuf, other: PathBuf, image: PathBuf },
    #[error("{path}: two of its images are called {name:?}; rename one in the jigdo file", path = escaped_path(.path))]
    SameName { path: PathBuf, name: OsString },
    #[error("{image}: {source}", image = escaped_path(.image))]
    Existing { image: PathBuf, source: existing::Error },
    #[error("{}", file::about(image, source))]
    Assemble { image: PathBuf, source: super::Error },
}

impl Error {
    /// The report on an image that is not assembled. `set` is its jigdo file.
    fn report(&self, set: &Path) -> Box<ImageReport> {
        let (image, is_output_error) = match self {
            Self::Assemble { image, source } => (Some(image.clone()), source.is_output_error()),
            Self::Existing { image, source } => (Some(image.clone()), matches!(source, existing::Error::Unknown(_))),
            Self::Directory { .. } => (None, true),
            Self::Set(_) | Self::Labels { .. } | Self::SameImage { .. } | Self::SameName { .. } => (None, false),
        };
        Box::new(ImageReport::failed(set, image, self, is_output_error))
    }
}

/// Assembles the images of some jigdo files. Returns a report for each, in the order of `jobs` and of the images in their
/// files.
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
    let known = KnownFiles::open(&options.index, options.threads, options.progress);
    let mut run = Run { options, shared, known, made_by: HashMap::new() };
    let mut reports = Vec::new();
    for jobs in jobs.chunks(TOGETHER) {
        let opened: Vec<Vec<_>> = jobs.par_iter().map(|job| opened::open(job, options)).collect();
        let mut requests = opened.into_iter().flatten().peekable();
        while requests.peek().is_some() {
            reports.extend(run.assemble_together(requests.by_ref().take(TOGETHER).collect()));
        }
    }
    reports
}

/// A step towards an image, or the report on an image that is not assembled.
type OrReport<T> = Result<T, Box<ImageReport>>;

/// What all images of a run share.
struct Run<'a> {
    options: &'a Options<'a>,
    shared: Vec<&'a dyn Source>,
    known: KnownFiles<'a>,
    /// The jigdo file of each image.
    made_by: HashMap<PathBuf, PathBuf>,
}

/// A set that is to be assembled.
struct Prepared<'a> {
    set: Set,
    image: PathBuf,
    template: FileTemplate,
    labels: Arc<LabelTrees>,
    /// The file that is there already, which may have parts.
    earlier: Option<OldImages<'a>>,
    replaces: Replaces,
}

impl<'a> Run<'a> {
    /// Assembles some images. Returns a report for each.
    fn assemble_together(&mut self, requests: Vec<OrReport<Request>>) -> Vec<ImageReport> {
        let start = Instant::now();
        let mut reports: Vec<Option<ImageReport>> = requests.iter().map(|_| None).collect();
        let read: Vec<_> = requests.into_par_iter().map(|request| Candidate::new(request?, self.options)).collect();
        let mut candidates = Vec::new();
        for (number, candidate) in read.into_iter().enumerate() {
            match candidate.and_then(|candidate| self.ensure_unique(candidate)) {
                Ok(candidate) => candidates.push((number, candidate)),
                Err(report) => reports[number] = Some(*report),
            }
        }
        let mut prepared = Vec::new();
        for (number, decided) in candidate::prepare(candidates, self.options, &self.known) {
            match decided {
                Ok(to_do) => prepared.push((number, to_do)),
                Err(report) => reports[number] = Some(*report),
            }
        }
        self.options.progress.not_needed(reports.len() - prepared.len());
        let orders = prepared.iter_mut().map(|(_, prepared)| self.order(prepared)).collect();
        let results = assemble_all(orders, &self.shared, self.options.threads, self.options.progress);
        let mut made = Vec::new();
        for ((number, prepared), result) in prepared.into_iter().zip(results) {
            let Prepared { set, image, .. } = *prepared;
            reports[number] = Some(match result {
                Ok(report) => {
                    made.extend(report.stamp.map(|stamp| Made { path: image.clone(), stamp, sum: report.sum }));
                    ImageReport::new(&set, image, &report, start.elapsed())
                }
                Err(source) => *Error::Assemble { image, source }.report(&set.path),
            });
        }
        self.known.remember_made(&made);
        reports.into_iter().map(|report| report.expect("every set has its report")).collect()
    }

    /// Checks that no other set makes the same image.
    fn ensure_unique(&mut self, candidate: Candidate) -> OrReport<Candidate> {
        let (path, image) = (candidate.set.path.clone(), candidate.image.clone());
        let error = match self.made_by.insert(image.clone(), path.clone()) {
            None => return Ok(candidate),
            Some(other) if other == path => Error::SameName { path, name: candidate.set.image_name },
            Some(other) => Error::SameImage { path, other, image },
        };
        Err(error.report(&candidate.set.path))
    }

    fn order<'b>(&self, prepared: &'b mut Prepared<'a>) -> Order<'b, io::BufReader<File>> {
        let Prepared { image, template, labels, earlier, replaces, .. } = prepared;
        let earlier = earlier.as_ref().map(|earlier| earlier as &dyn Source);
        Order {
            name: escaped_path(&image).to_string(),
            template,
            sources: [&**labels as &dyn Source].into_iter().chain(earlier).collect(),
            destination: Destination::File {
                path: image.clone(),
                is_sparse: self.options.is_sparse,
                incomplete: self.options.incomplete,
                replaces: *replaces,
            },
        }
    }
}
