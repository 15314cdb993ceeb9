//! What a run did: per image its sizes, sums and times; what `--report` writes and the table is made from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::make::SetReport;

/// What a run did.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The program and its version.
    pub generator: String,
    /// The releases' names.
    pub releases: Vec<String>,
    pub mirror: MirrorReport,
    /// In the order of the manifests.
    pub images: Vec<ImageReport>,
    /// How long the run took.
    pub seconds: f64,
}

/// What the index holds of the release's mirrors.
#[derive(Debug, Serialize)]
pub struct MirrorReport {
    /// How many files the mirrors have.
    pub files: u64,
    /// How long they are together.
    pub bytes: u64,
    /// How long it took to bring the index up to date.
    pub seconds: f64,
}

/// How it went with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A new set was published.
    Published,
    /// The published set is of this image, these parts and these settings already.
    Unchanged,
    /// Nothing was written, because the run is a dry one; a set would be published.
    Planned,
    /// No set was published; one that was published before is still there.
    Failed,
}

/// What was made of an image. All sizes are in bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageReport {
    pub image: PathBuf,
    pub release: String,
    pub outcome: Outcome,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// The image's length; unknown if it could not be opened.
    pub bytes: Option<u64>,
    /// What is known once the set was made.
    #[serde(flatten)]
    pub set: Option<SetReport>,
    pub outputs: Outputs,
}

/// Where a set is published.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outputs {
    pub jigdo: PathBuf,
    pub template: PathBuf,
}

impl Report {
    /// How many images had this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.images.iter().filter(|image| image.outcome == outcome).count()
    }
}
