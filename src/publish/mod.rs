//! Publishes releases: every image becomes a set, proven before anyone can see it.
//!
//! Sets are staged beside their destination. Once all images of an output directory are done, their sets are published:
//! each template, then its jigdo file, and the SUMS files last. The list of changes is written first, so the next run
//! finishes what a killed run began. The index records what each set was made from, so unchanged sets are not made
//! again and a killed run resumes where it stopped.

mod outputs;
mod plan;
mod record;
pub mod report;
mod run;
mod state;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::GENERATOR;
use crate::make;
use crate::manifest::Release;
use crate::mirror::{self, Index};
use crate::output::signing::Signatures;
use crate::progress::Progress;
use plan::Plan;
use report::{MirrorReport, Report};
use run::Run;

/// How to run.
pub struct Options<'a> {
    /// The index's file.
    pub index: &'a Path,
    /// How many threads to use.
    pub jobs: usize,
    /// Only report what would be done. The index is updated all the same.
    pub dry_run: bool,
    /// A command of the shell that signs the SUMS file `$1`.
    pub sign_command: Option<&'a str>,
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
    let threads = rayon::ThreadPoolBuilder::new().num_threads(options.jobs).build();
    let pool = Arc::new(threads.map_err(|source| Error::Threads { jobs: options.jobs, source })?);
    let plan = Plan::new(releases);
    tracing::debug!(threads = options.jobs, images = plan.images.len(), dry_run = options.dry_run, "publishing");
    let index = Index::open(options.index)?;
    let refresh = || index.refresh(&plan.trees(), &plan.block_lengths(), &plan.checksums(), progress);
    let catalogue = pool.install(refresh)?;
    catalogue.engine().work_in(&pool);
    let mirror = MirrorReport {
        files: catalogue.len() as u64,
        bytes: catalogue.files().map(|file| catalogue.length(file)).sum(),
        seconds: start.elapsed().as_secs_f64(),
    };
    let run = Run::new(&plan, &index, &catalogue, &pool, progress, options);
    let (images, nothing_could_be_written, signatures) = run.process_all();
    if let Err(error) = catalogue.flush() {
        // The sets are published all the same.
        progress.warn(&format!("sums of mirror files will be read again next time: {error}"));
    }
    let report = Report {
        generator: GENERATOR.to_owned(),
        releases: releases.iter().map(|release| release.name.clone()).collect(),
        mirror,
        images,
        seconds: start.elapsed().as_secs_f64(),
    };
    Ok(RunResult { report, nothing_could_be_written, signatures })
}
