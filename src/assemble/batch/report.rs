//! The report on each set, for people and for scripts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jigdo::Algorithm;
use jigdo::bstr::BString;
use serde::Serialize;

use super::super::{PartPlace, Refused, Report};
use crate::json;
use crate::set::Set;

/// What happened to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was assembled.
    Assembled,
    /// It was there already, with the right sum.
    Unchanged,
    /// Parts are missing.
    Incomplete,
    /// Something else went wrong.
    Failed,
}

/// The result for a set. Sizes and offsets are in bytes.
#[derive(Debug, Clone, Serialize)]
pub struct ImageReport {
    /// The jigdo file.
    #[serde(serialize_with = "json::foreign")]
    pub set: PathBuf,
    /// The image; `None` if the set cannot be read.
    #[serde(serialize_with = "json::foreign")]
    pub image: Option<PathBuf>,
    /// Whether there is an image now.
    pub outcome: Outcome,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether the output is at fault, rather than the set or the parts.
    #[serde(skip)]
    pub is_output_error: bool,
    /// What is known of its parts; `None` if they were not looked for.
    #[serde(flatten)]
    pub assembled: Option<Assembled>,
}

/// Details of an image whose parts were looked for.
#[derive(Debug, Clone, Serialize)]
pub struct Assembled {
    pub bytes: u64,
    /// How much of it comes from the template.
    pub unmatched_bytes: u64,
    /// In hexadecimal, as the set has it.
    pub sum: String,
    /// How many areas of the image are parts.
    pub parts: usize,
    /// How many of these were still needed, and how many of those were found.
    pub needed: usize,
    pub found: usize,
    /// The parts that were not found, in the order of the image.
    pub missing: Vec<MissingPart>,
    /// Places that did not have the part that was expected there.
    pub refused: Vec<RefusedPlace>,
    /// The path of the half-assembled image, if one is kept.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "json::foreign")]
    pub tmp: Option<PathBuf>,
    /// The time for this image and those that were assembled together with it.
    pub seconds: f64,
}

/// A part that was not found.
#[derive(Debug, Clone, Serialize)]
pub struct MissingPart {
    /// `md5` or `sha256`.
    pub algorithm: String,
    /// In hexadecimal.
    pub sum: String,
    /// The part's length.
    pub bytes: u64,
    /// Its offsets in the image.
    pub offsets: Vec<u64>,
    /// Its URLs, the best first.
    #[serde(serialize_with = "json::foreign")]
    pub urls: Vec<BString>,
}

/// A place that did not have the part that was expected there.
#[derive(Debug, Clone, Serialize)]
pub struct RefusedPlace {
    /// The part's sum, in hexadecimal.
    pub sum: String,
    /// The part's offset in the image.
    pub offset: u64,
    /// `None` for the half-assembled image itself.
    #[serde(serialize_with = "json::foreign")]
    pub place: Option<BString>,
    /// Why it was refused.
    pub reason: String,
}

impl ImageReport {
    pub(super) fn failed(
        set: &Path,
        image: Option<PathBuf>,
        error: &dyn std::error::Error,
        is_output_error: bool,
    ) -> Self {
        let (set, error) = (set.to_owned(), Some(error.to_string()));
        Self { set, image, outcome: Outcome::Failed, error, is_output_error, assembled: None }
    }

    pub(super) fn unchanged(set: &Set, image: PathBuf) -> Self {
        let (set, image) = (set.path.clone(), Some(image));
        Self { set, image, outcome: Outcome::Unchanged, error: None, is_output_error: false, assembled: None }
    }

    pub(super) fn new(set: &Set, image: PathBuf, report: &Report, time: Duration) -> Self {
        let outcome = if report.is_complete { Outcome::Assembled } else { Outcome::Incomplete };
        let assembled = Assembled {
            bytes: report.length,
            unmatched_bytes: report.unmatched,
            sum: report.sum.to_string(),
            parts: report.parts,
            needed: report.needed,
            found: report.found,
            missing: report.missing.iter().map(|missing| MissingPart::new(set, missing)).collect(),
            refused: report.refused.iter().map(RefusedPlace::from).collect(),
            tmp: report.tmp.clone(),
            seconds: time.as_secs_f64(),
        };
        let (set, image, assembled) = (set.path.clone(), Some(image), Some(assembled));
        Self { set, image, outcome, error: None, is_output_error: false, assembled }
    }

    /// The parts of this image that were not found.
    pub fn missing(&self) -> &[MissingPart] {
        self.assembled.as_ref().map_or(&[], |assembled| &assembled.missing)
    }
}

impl MissingPart {
    /// A missing part, with its URLs from the set.
    pub fn new(set: &Set, missing: &super::super::Missing) -> Self {
        let sum = &missing.part.sum;
        // The labels were already resolved when the parts were looked for.
        let urls = set.urls(sum).unwrap_or_default();
        let (bytes, offsets) = (missing.part.length, missing.offsets.clone());
        let algorithm = Algorithm::from(sum.checksum()).name().to_lowercase();
        Self { algorithm, sum: sum.to_string(), bytes, offsets, urls }
    }
}

impl From<&Refused> for RefusedPlace {
    fn from(refused: &Refused) -> Self {
        let Refused { part, offset, place, reason } = refused;
        let place = place.as_ref().map(PartPlace::text);
        Self { sum: part.sum.to_string(), offset: *offset, place, reason: reason.to_string() }
    }
}
