//! Publishes releases: every image becomes a set, proven before anybody can see it.
//!
//! Sets are made beside their destination. When all images of an output directory are done, their sets appear there:
//! of each the template, then the jigdo file; the SUMS files at the end. What is to appear is on record beforehand, so
//! that the next run finishes what a killed one had begun. What a set was made of is on record in the index, so that a
//! set is not made again while nothing has changed, and a run that was killed goes on where it stopped.

mod plan;
mod record;
pub mod report;
mod run;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::GENERATOR;
use crate::make;
use crate::manifest::Release;
use crate::mirror::{self, Index};
use crate::progress::Progress;
use plan::Plan;
use report::{MirrorReport, Report};
use run::Run;

/// How a run is done.
pub struct Options<'a> {
    /// The index's file.
    pub index: &'a Path,
    /// How many threads work.
    pub jobs: usize,
    /// Only say what would be done. The index is brought up to date all the same.
    pub dry_run: bool,
}

/// Why a run stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Mirror(#[from] mirror::Error),
    #[error("cannot start {jobs} threads: {source}; give a smaller --jobs")]
    Threads { jobs: usize, source: rayon::ThreadPoolBuildError },
    #[error(transparent)]
    Make(#[from] make::Error),
}

/// What came of a run.
pub struct Outcomes {
    pub report: Report,
    /// Whether there is not one set, and only because they could not be written.
    pub nothing_could_be_written: bool,
}

/// Publishes the sets of all images of these releases.
///
/// # Errors
/// What concerns all images: mirrors, the index. What concerns one image is in the report.
pub fn publish(releases: &[Release], options: &Options<'_>, progress: &dyn Progress) -> Result<Outcomes, Error> {
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
    let run = Run::new(&plan, &index, &catalogue, &pool, progress, options.dry_run);
    let (images, nothing_could_be_written) = run.all();
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
    Ok(Outcomes { report, nothing_could_be_written })
}
