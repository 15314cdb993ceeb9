//! Publishes releases: every image becomes a set, proven before anybody can see it.
//!
//! Sets are made beside their destination. When all images of an output directory are done, their sets appear there:
//! of each the template, then the jigdo file; the SUMS files at the end. What is to appear is on record beforehand, so
//! that the next run finishes what a killed one had begun. What a set was made of is on record in the index, so that a
//! set is not made again while nothing has changed, and a run that was killed goes on where it stopped.

mod areas;
mod job;
mod known;
mod passage;
mod plan;
mod proof;
mod record;
pub mod report;
mod run;
pub mod single;
pub(crate) mod staging;
mod streams;
pub(crate) mod sums;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::format::jigdo;
use crate::manifest::Release;
use crate::mirror::{self, Index};
use crate::progress::{Event, Progress};
use plan::Plan;
use report::{MirrorReport, Report};
use run::Run;

/// What jigdo files say made them.
pub const GENERATOR: &str = concat!("jigpress/", env!("CARGO_PKG_VERSION"));

/// How a run is done.
pub struct Options<'a> {
    /// The index's file.
    pub index: &'a Path,
    /// How many threads work.
    pub jobs: usize,
    /// Only say what would be done. The index is brought up to date all the same.
    pub dry_run: bool,
}

/// Why a run, or the work on one image, stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Mirror(#[from] mirror::Error),
    #[error("cannot start {jobs} threads: {source}; give a smaller --jobs")]
    Threads { jobs: usize, source: rayon::ThreadPoolBuildError },
    #[error("another run is at work in {path}; wait for it to end", path = .path.display())]
    Locked { path: PathBuf },
    #[error("{path}: {source}; check space and permissions there", path = .path.display())]
    Output { path: PathBuf, source: io::Error },
    #[error("{path}: {source}; see that it is complete, readable and at rest, and run again", path = .path.display())]
    Image { path: PathBuf, source: io::Error },
    #[error("{path} changed during this run; run again once the mirror is at rest", path = .path.display())]
    PartChanged { path: PathBuf },
    #[error("{path}: {source}; change the manifest, or leave the file out with `exclude`", path = .path.display())]
    Jigdo { path: PathBuf, source: jigdo::WriteError },
    #[error(
        "{path}: read back, the set is not what was found in the image: {reason}; \
         check the disk and the memory of this machine, and report this if they are sound",
        path = .path.display()
    )]
    Proof { path: PathBuf, reason: String },
}

impl Error {
    /// Whether the place to write to is at fault, not what is to be written.
    fn is_of_output(&self) -> bool {
        matches!(self, Self::Locked { .. } | Self::Output { .. })
    }
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
        progress.report(Event::Warning(&format!("sums of mirror files will be read again next time: {error}")));
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
