//! What a run did, with each image's sizes, sums and times: `--report` writes it, and the table is made from it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::plan::PlannedImage;
use super::warnings::Warning;
use crate::json;
use crate::make::{SetReport, jigdo_name, template_name};
use crate::manifest::{Image, LeftOut, Release};

/// What a run did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The program and its version.
    pub generator: String,
    /// The releases' names.
    pub releases: Vec<String>,
    /// The mirrors' files.
    pub mirror: MirrorReport,
    /// In the order of the manifests.
    pub images: Vec<ImageReport>,
    /// The sets in the output directories that no image stands for.
    pub stale_sets: Vec<StaleReport>,
    /// Why none of them was removed, though that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prune_refused: Option<String>,
    /// How long the run took.
    pub seconds: f64,
}

/// A set that no image stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StaleReport {
    /// Its files.
    #[serde(serialize_with = "json::foreign")]
    pub files: Vec<PathBuf>,
    /// Whether it was removed.
    pub is_removed: bool,
    /// Why it was not, though that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_because: Option<String>,
}

/// The mirrors, as the index holds them.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MirrorReport {
    /// How many files the mirrors have.
    pub files: u64,
    /// Their total length.
    pub bytes: u64,
    /// How many files and directories in them could not be read.
    pub unreadable: u64,
    /// How long it took to update the index.
    pub seconds: f64,
}

/// What happened to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A new set was published.
    Published,
    /// The published set is already that of this image, these parts and these settings.
    Unchanged,
    /// A set would be published, but this is a dry run.
    Planned,
    /// No set was published. An older one is still there.
    Failed,
    /// There is no image, which is fine: its entry is optional.
    Absent,
    /// The run has not come to its end: only in the report of one that was interrupted.
    Unfinished,
}

/// An image and its set. All sizes are in bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageReport {
    /// The image's path; for an entry without a file, its glob.
    #[serde(serialize_with = "json::foreign", deserialize_with = "json::path")]
    pub image: PathBuf,
    /// The name of its release.
    pub release: String,
    /// Whether its set was published.
    pub outcome: Outcome,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// What is suspicious about its set.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<Warning>,
    /// The image's length; unknown if it could not be opened.
    pub bytes: Option<u64>,
    /// The set, if there is one.
    #[serde(flatten)]
    pub set: Option<SetReport>,
    /// Where its set is, or would be; `None` if there is no image.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outputs: Option<Outputs>,
}

/// Where a set is published.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outputs {
    /// The jigdo file's path.
    #[serde(serialize_with = "json::foreign", deserialize_with = "json::path")]
    pub jigdo: PathBuf,
    /// The template's path.
    #[serde(serialize_with = "json::foreign", deserialize_with = "json::path")]
    pub template: PathBuf,
}

impl ImageReport {
    /// The report of an image for which nothing can be made.
    pub(super) fn failed(planned: &PlannedImage<'_>, error: String) -> Self {
        let outputs = Some(Outputs::of(planned.image));
        Self { outputs, ..Self::without_set(&planned.image.path, planned.release, Outcome::Failed, Some(error)) }
    }

    /// The report of what a manifest's entry stands for, but is not there.
    pub(super) fn left_out(left_out: &LeftOut, release: &Release) -> Self {
        let (outcome, error) = match left_out.is_optional {
            true => (Outcome::Absent, None),
            false => (Outcome::Failed, Some(left_out.problem.to_string())),
        };
        Self::without_set(&left_out.path, release, outcome, error)
    }

    fn without_set(image: &Path, release: &Release, outcome: Outcome, error: Option<String>) -> Self {
        let (image, release) = (image.to_owned(), release.name.clone());
        Self { image, release, outcome, error, warnings: Vec::new(), bytes: None, set: None, outputs: None }
    }
}

impl Outputs {
    /// Where the image's set is published.
    pub(super) fn of(image: &Image) -> Self {
        Self {
            jigdo: image.output.join(jigdo_name(&image.name)),
            template: image.output.join(template_name(&image.name)),
        }
    }
}

impl Report {
    /// How many images had this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.images.iter().filter(|image| image.outcome == outcome).count()
    }
}

/// What is known of a run while it works, for whoever must report it even if the run does not come to its end.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Report>);

impl Ledger {
    /// What is known.
    pub fn get(&self) -> Report {
        self.0.lock().clone()
    }

    /// What is known, unless that cannot be told within this time.
    pub fn try_get(&self, patience: Duration) -> Option<Report> {
        self.0.try_lock_for(patience).map(|report| report.clone())
    }

    /// Notes something.
    pub(super) fn note(&self, note: impl FnOnce(&mut Report)) {
        note(&mut self.0.lock());
    }
}
