//! Publishes releases: every image becomes a set, proven before anyone can see it.
//!
//! Sets are staged beside their destination. Once all images of an output directory are done, their sets are published:
//! each template, then its jigdo file, and the SUMS files last. The list of changes is written first, so the next run
//! finishes what a killed run began. The index records what each set was made from, so unchanged sets are not made
//! again and a killed run resumes where it stopped.

mod outputs;
mod own_files;
mod plan;
mod pruning;
mod record;
pub mod report;
mod run;
mod stale;
mod state;
pub mod warnings;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::GENERATOR;
use crate::make;
use crate::manifest::Release;
use crate::mirror::{self, Index};
use crate::output::signing::Signatures;
use crate::panics;
use crate::progress::Progress;
use plan::{Plan, PlannedImage};
use report::{ImageReport, Ledger, MirrorReport, Report};
use run::Run;
pub use stale::Pruning;

/// How to run.
pub struct Options<'a> {
    /// The index's file.
    pub index: &'a Path,
    /// How many threads to use.
    pub jobs: usize,
    /// Only report what would be done. The index is updated all the same.
    pub dry_run: bool,
    /// Believe nothing that is remembered of images and mirror files: read them again.
    pub paranoid: bool,
    /// A command of the shell that signs the SUMS file `$1`.
    pub sign_command: Option<&'a str>,
    /// What becomes of sets that no image stands for.
    pub pruning: Pruning,
    /// Where the run notes what it has done, as soon as it is done.
    pub ledger: &'a Ledger,
}

/// Why nothing could be published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum Error {
    #[error(transparent)]
    Mirror(#[from] mirror::Error),
    #[error("cannot start {jobs} threads: {source}; use a smaller --jobs")]
    Threads { jobs: usize, source: rayon::ThreadPoolBuildError },
    #[error(transparent)]
    Make(#[from] make::Error),
}

/// The result of a run.
pub struct RunResult {
    /// What happened to each image.
    pub report: Report,
    /// True if no set exists because no output directory could be written.
    pub nothing_could_be_written: bool,
    /// The signatures of the SUMS files that changed.
    pub signatures: Signatures,
}

/// Publishes the sets of all images of these releases.
///
/// # Errors
/// When the mirrors or the index cannot be read. Errors of a single image are in the report.
pub fn publish(releases: &[Release], options: &Options<'_>, progress: &dyn Progress) -> Result<RunResult, Error> {
    let start = Instant::now();
    let threads = rayon::ThreadPoolBuilder::new().num_threads(options.jobs).panic_handler(panics::end).build();
    let pool = Arc::new(threads.map_err(|source| Error::Threads { jobs: options.jobs, source })?);
    let mut plan = Plan::new(releases);
    options.ledger.note(|report| {
        GENERATOR.clone_into(&mut report.generator);
        report.releases = releases.iter().map(|release| release.name.clone()).collect();
        report.images = plan.images.iter().map(state::unfinished).collect();
    });
    tracing::debug!(threads = options.jobs, images = plan.images.len(), dry_run = options.dry_run, "publishing");
    let index = Index::open(options.index)?.paranoid(options.paranoid);
    let mut failed = Vec::new();
    let catalogue = loop {
        let refresh = || index.refresh(&plan.trees(), &plan.block_lengths(), &plan.checksums(), progress);
        let error = match pool.install(refresh) {
            Ok(catalogue) => break catalogue,
            Err(error) => error,
        };
        // A mirror that is missing or empty only concerns the images that use it.
        let without = error.tree().map(|(label, path)| plan.take_images_of(label, path)).unwrap_or_default();
        if without.is_empty() || plan.images.is_empty() {
            return Err(error.into());
        }
        failed.extend(without.into_iter().map(|planned| (planned, error.to_string())));
    };
    catalogue.engine().work_in(&pool);
    let mut of_mirrors = MirrorReport {
        files: catalogue.len() as u64,
        bytes: catalogue.files().map(|file| catalogue.length(file)).sum(),
        unreadable: 0,
        seconds: start.elapsed().as_secs_f64(),
    };
    options.ledger.note(|report| {
        report.mirror = of_mirrors.clone();
        // Images whose mirrors are not there have left the plan.
        report.images = plan.images.iter().map(state::unfinished).collect();
    });
    let run = Run::new(&plan, &index, &catalogue, &pool, progress, options);
    let (processed, nothing_could_be_written, signatures) = run.process_all();
    catalogue.warn(progress);
    of_mirrors.unreadable = catalogue.unreadable();
    let images = in_order(releases, &plan, processed, &failed);
    if let Err(error) = catalogue.flush() {
        // The sets are published all the same.
        progress.warn(&format!("sums of mirror files will be read again next time: {error}"));
    }
    options.ledger.note(|report| {
        report.images = images;
        report.mirror = of_mirrors;
        report.seconds = start.elapsed().as_secs_f64();
    });
    let report = options.ledger.get();
    Ok(RunResult { report, nothing_could_be_written, signatures })
}

/// The reports of all images in the manifests' order: of those in the plan, those that failed before they were processed,
/// and those that are not there.
fn in_order(
    releases: &[Release],
    plan: &Plan<'_>,
    processed: Vec<ImageReport>,
    failed: &[(PlannedImage<'_>, String)],
) -> Vec<ImageReport> {
    let mut processed = plan.images.iter().zip(processed).peekable();
    let mut all = Vec::new();
    for release in releases {
        let mut left_out = release.left_out.iter().peekable();
        for (number, image) in release.images.iter().enumerate() {
            while let Some(left_out) = left_out.next_if(|left_out| left_out.images_before <= number) {
                all.push(ImageReport::left_out(left_out, release));
            }
            let is_this = |planned: &PlannedImage<'_>| std::ptr::eq(planned.image, image);
            all.extend(match processed.next_if(|(planned, _)| is_this(planned)) {
                Some((_, report)) => Some(report),
                None => failed
                    .iter()
                    .find(|(planned, _)| is_this(planned))
                    .map(|(planned, error)| ImageReport::failed(planned, error.clone())),
            });
        }
        all.extend(left_out.map(|left_out| ImageReport::left_out(left_out, release)));
    }
    all
}
