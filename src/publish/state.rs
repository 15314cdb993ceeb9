//! The progress of each image during a run, and what the run reports about it at the end.

use super::plan::PlannedImage;
use super::record::{Record, SetStatus};
use super::report::{ImageReport, Outcome, Outputs};
use crate::make::{Error, SetReport, jigdo_name, template_name};

/// An image's progress.
pub struct ImageProgress {
    /// The image's length in bytes, once it is known.
    pub bytes: Option<u64>,
    pub state: State,
}

pub enum State {
    /// Not processed yet, or not at all because the run is a dry one.
    Planned,
    Ready(ReadySet),
    Failed {
        error: String,
        /// Whether the output directory is at fault.
        of_output: bool,
    },
}

/// A set that is staged or published.
pub struct ReadySet {
    pub record: Box<Record>,
    pub status: SetStatus,
    /// Whether the record may be kept: the image and the mirrors are [settled](crate::make::Selection::is_settled).
    pub is_settled: bool,
}

impl State {
    pub fn failed(error: &Error) -> Self {
        Self::Failed { error: error.to_string(), of_output: error.is_output_error() }
    }

    /// One line for the log.
    pub fn summary(&self) -> String {
        match self {
            Self::Planned => "a set would be published".to_owned(),
            Self::Failed { error, .. } => format!("failed: {error}"),
            Self::Ready(ReadySet { status: SetStatus::Published, .. }) => "unchanged".to_owned(),
            Self::Ready(ReadySet { record, .. }) => {
                let SetReport { matched_bytes, unmatched_bytes, parts, template_bytes, seconds, .. } = &record.report;
                let share = *matched_bytes as f64 / (matched_bytes + unmatched_bytes).max(1) as f64 * 100.0;
                format!("{share:.1} % matched by {parts} parts, template of {template_bytes} bytes, {seconds:.1} s")
            }
        }
    }
}

impl ImageProgress {
    /// What the run reports about the image.
    pub fn into_report(self, planned: &PlannedImage<'_>) -> ImageReport {
        let (outcome, error, set) = match self.state {
            State::Planned => (Outcome::Planned, None, None),
            State::Failed { error, .. } => (Outcome::Failed, Some(error), None),
            State::Ready(ReadySet { record, status: SetStatus::Published, .. }) => {
                (Outcome::Unchanged, None, Some(record.report))
            }
            State::Ready(ReadySet { record, .. }) => (Outcome::Published, None, Some(record.report)),
        };
        let image = planned.image;
        ImageReport {
            image: image.path.clone(),
            release: planned.release.name.clone(),
            outcome,
            error,
            bytes: self.bytes,
            set,
            outputs: Outputs {
                jigdo: image.output.join(jigdo_name(&image.name)),
                template: image.output.join(template_name(&image.name)),
            },
        }
    }
}
