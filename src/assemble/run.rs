//! Assembles several images at once. Each gets its name as soon as it is complete.

use std::collections::HashMap;
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use jigdo::Checksum;
use jigdo::template::Template;
use parking_lot::Mutex;
use rayon::prelude::*;

use super::Error;
use super::part::Part;
use super::pass::Shared;
use super::source::Source;
use super::window::Pool;
use super::work::{Report, Work};
use crate::file::Stamp;
use crate::progress::{Begin, Progress, Task, counted};
use crate::summing::Engine;
use crate::threads::on_threads;

/// How many images are assembled at once: as many as there are lanes for their sums.
const AT_ONCE: usize = 16;

/// What to assemble, from what, and where to.
pub struct Order<'a, R> {
    /// What messages call the image.
    pub name: String,
    /// The image's template.
    pub template: &'a mut Template<R>,
    /// Asked in this order, each only for parts that the ones before it do not have.
    pub sources: Vec<&'a dyn Source>,
    /// Where the image goes.
    pub destination: Destination<'a>,
}

/// Where an image goes.
pub enum Destination<'a> {
    /// To a file, which gets this name only when it is complete. A half-assembled
    /// image beside it, with `.tmp` after the same name, is resumed, whether jigpress or jigdo-file left it.
    File {
        /// The path of the finished image.
        path: PathBuf,
        /// Whether long runs of zeros become holes.
        is_sparse: bool,
        /// What is done if parts are missing.
        incomplete: Incomplete,
        /// What the finished image may replace.
        replaces: Replaces,
    },
    /// To a program or a pipe. Nothing is written unless all parts are found and right.
    Stream(&'a mut (dyn Write + Send)),
}

/// What may have an image's name until the image gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaces {
    /// Anything that is no directory.
    Anything,
    /// Nothing.
    Nothing,
    /// The file with this stamp, as somebody has looked at it. Nothing, if it is gone.
    File(Stamp),
}

/// What to do with an image that lacks parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incomplete {
    /// Only report which parts are missing.
    Discard,
    /// Sum all other parts too, so that wrong ones are reported as missing.
    CheckAll,
    /// Keep the half-assembled image, with `.tmp` after the image's name, for a later run or jigdo-file to resume.
    Keep,
}

/// Assembles the images of `orders`. Parts that an image's own sources do not have are looked up in the `shared` ones,
/// for all images at once. Returns the result of each order, in the same order.
///
/// `threads` threads compute sums, in addition to those that read and write.
pub fn assemble_all<R: Read + Seek + Send>(
    orders: Vec<Order<'_, R>>,
    shared: &[&dyn Source],
    threads: usize,
    progress: &dyn Progress,
) -> Vec<Result<Report, Error>> {
    let mut results: Vec<Option<Result<Report, Error>>> = orders.iter().map(|_| None).collect();
    let mut works = Vec::new();
    for (number, order) in orders.into_iter().enumerate() {
        match Work::new(number, order) {
            Ok(work) => works.push(work),
            Err(error) => results[number] = Some(Err(error)),
        }
    }
    let bytes = works.iter().map(|work| work.plan.image.length).sum();
    let images = Begin::bytes("images", "all images").total(bytes).children(works.len());
    let tasks = Tasks { images: Task::begin(progress, images), between_passes: Mutex::default() };
    while !works.is_empty() {
        look_up(&mut works, shared);
        let left = Mutex::new(Vec::new());
        let done = make_passes(works, shared, threads, (progress, &tasks), &left);
        done.into_iter().for_each(|(number, result)| results[number] = Some(result));
        works = left.into_inner();
        works.sort_by_key(|work| work.number);
    }
    drop(tasks);
    results.into_iter().map(|result| result.expect("every order has a result")).collect()
}

/// Assembles one image.
///
/// # Errors
/// The image cannot be assembled. Missing parts are not an error: the report lists them.
pub fn assemble<R: Read + Seek + Send>(order: Order<'_, R>, progress: &dyn Progress) -> Result<Report, Error> {
    assemble_all(vec![order], &[], 1, progress).pop().expect("there is one order")
}

/// Looks up the missing parts, in one source after the other.
fn look_up<R: Read + Seek + Send>(works: &mut [Work<'_, R>], shared: &[&dyn Source]) {
    works.par_iter_mut().for_each(|work| {
        for (tier, source) in work.sources.clone().into_iter().enumerate() {
            ask(std::slice::from_mut(work), source, |_| tier);
        }
    });
    for (tier, source) in shared.iter().enumerate() {
        ask(works, *source, |work| work.sources.len() + tier);
    }
}

/// Asks a source for all missing parts for which every source before it has been asked, and no other. `number` returns
/// the source's position among an image's sources.
fn ask<R>(works: &mut [Work<'_, R>], source: &dyn Source, number: impl Fn(&Work<'_, R>) -> usize) {
    let mut numbers: HashMap<Part, usize> = HashMap::new();
    let mut parts = Vec::new();
    let mut wanted = Vec::new();
    for (at, work) in works.iter().enumerate() {
        let tier = number(work);
        for missing in work.plan.missing().into_iter().filter(|&missing| work.plan.parts[missing].asked == tier) {
            let part = work.plan.parts[missing].part;
            let asked = *numbers.entry(part).or_insert_with(|| {
                parts.push(part);
                parts.len() - 1
            });
            wanted.push((at, missing, asked));
        }
    }
    if parts.is_empty() {
        return;
    }
    let found = source.find(&parts);
    for (at, missing, asked) in wanted {
        let wanted = &mut works[at].plan.parts[missing];
        wanted.asked += 1;
        wanted.places.extend(found.get(asked).into_iter().flatten().cloned());
    }
}

/// The tasks that report the work.
struct Tasks<'a> {
    images: Task<'a>,
    /// The tasks of images that wait for their next pass, by the images' numbers.
    between_passes: Mutex<HashMap<usize, Task<'a>>>,
}

impl<'a> Tasks<'a> {
    /// The task of an image; it begins with the first pass.
    fn take<R>(&self, work: &Work<'_, R>) -> Task<'a> {
        let begun = self.between_passes.lock().remove(&work.number);
        let task = Begin::bytes("image", &work.name).total(work.plan.image.length);
        begun.unwrap_or_else(|| self.images.child(task))
    }
}

/// Makes a pass over each image. Returns the results of those that are done and puts the others into `left`.
fn make_passes<'a, R: Read + Seek + Send>(
    works: Vec<Work<'a, R>>,
    sources: &[&dyn Source],
    threads: usize,
    (progress, tasks): (&dyn Progress, &Tasks<'_>),
    left: &Mutex<Vec<Work<'a, R>>>,
) -> Vec<(usize, Result<Report, Error>)> {
    let at_once = works.len().min(AT_ONCE);
    let threads =
        sum_threads(threads, at_once, works.iter().any(|work| work.plan.image.sum.checksum() == Checksum::Sha256));
    let shared = match Shared::new(threads, progress) {
        Ok(shared) => shared,
        Err(error) => {
            let failed = |work: Work<'_, R>| (work.number, Err(Error::threads(&error)));
            return works.into_iter().map(failed).collect();
        }
    };
    let waiting = Mutex::new(works.into_iter());
    let next = || waiting.lock().next();
    let done = Mutex::new(Vec::new());
    on_threads(at_once, || {
        while let Some(work) = next() {
            let image = work.number;
            let task = tasks.take(&work);
            let result = match step(work, sources, &shared, &task) {
                Ok(Step::Left(work)) => {
                    tasks.between_passes.lock().insert(image, task);
                    left.lock().push(*work);
                    continue;
                }
                Ok(Step::Done(report)) => Ok(*report),
                Err(error) => Err(error),
            };
            task.end(&summary(&result));
            done.lock().push((image, result));
        }
    });
    done.into_inner()
}

/// How many threads compute sums. A core advances sixteen MD5 streams in the time of one: eight images, and one part of
/// each. SHA-256 does not gain as much: each further stream takes longer.
fn sum_threads(threads: usize, images: usize, with_sha256: bool) -> usize {
    let most = if with_sha256 { images } else { images.div_ceil(AT_ONCE / 2) };
    threads.clamp(1, most.max(1))
}

impl<'a> Shared<'a> {
    /// Shared state for images, with this many threads that compute sums.
    pub fn new(threads: usize, progress: &'a dyn Progress) -> std::io::Result<Self> {
        Ok(Self { engine: Engine::with_own_threads(threads)?, pool: Arc::new(Pool::default()), progress })
    }
}

enum Step<'a, R> {
    Done(Box<Report>),
    Left(Box<Work<'a, R>>),
}

/// Makes the next pass over an image, if there is one, and finishes the image if that was the last.
fn step<'a, R: Read + Seek>(
    mut work: Work<'a, R>,
    sources: &[&dyn Source],
    shared: &Shared<'_>,
    task: &Task<'_>,
) -> Result<Step<'a, R>, Error> {
    if let Some(visit) = work.next() {
        work.pass(visit, shared, task)?;
    }
    if work.is_over(sources) { Ok(Step::Done(Box::new(work.finish()?))) } else { Ok(Step::Left(Box::new(work))) }
}

/// The outcome in a few words.
fn summary(result: &Result<Report, Error>) -> String {
    match result {
        // Why is said at the end of the run.
        Err(_) => "failed".to_owned(),
        Ok(Report { is_complete: true, parts, unmatched, length, .. }) => {
            let share = *unmatched as f64 / (*length).max(1) as f64 * 100.0;
            format!("complete: {}, {share:.1} % from the template", counted(*parts, "part"))
        }
        Ok(Report { missing, needed, found, .. }) => {
            let (needed, missing) = (counted(*needed, "part"), counted(missing.len(), "different part"));
            format!("incomplete: {found} of {needed} found, {missing} missing")
        }
    }
}
