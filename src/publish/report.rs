//! What a run did, with each image's sizes, sums and times: `--report` writes it, and the table is made from it.

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
    /// The mirrors' files.
    pub mirror: MirrorReport,
    /// In the order of the manifests.
    pub images: Vec<ImageReport>,
    /// How long the run took.
    pub seconds: f64,
}

/// The mirrors, as the index holds them.
#[derive(Debug, Serialize)]
pub struct MirrorReport {
    /// How many files the mirrors have.
    pub files: u64,
    /// Their total length.
    pub bytes: u64,
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
}

/// An image and its set. All sizes are in bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageReport {
    /// The image's path.
    pub image: PathBuf,
    /// The name of its release.
    pub release: String,
    /// Whether its set was published.
    pub outcome: Outcome,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// The image's length; unknown if it could not be opened.
    pub bytes: Option<u64>,
    /// The set, if there is one.
    #[serde(flatten)]
    pub set: Option<SetReport>,
    /// Where its set is, or would be.
    pub outputs: Outputs,
}

/// Where a set is published.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outputs {
    /// The jigdo file's path.
    pub jigdo: PathBuf,
    /// The template's path.
    pub template: PathBuf,
}

impl Report {
    /// How many images had this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.images.iter().filter(|image| image.outcome == outcome).count()
    }
}
