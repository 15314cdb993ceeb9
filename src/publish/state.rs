//! The progress of each image during a run, and what the run reports about it at the end.

use super::plan::PlannedImage;
use super::record::{Record, SetStatus};
use super::report::{ImageReport, Outcome, Outputs};
use super::warnings::Warning;
use crate::make::{Error, SetReport};
use crate::progress::counted;

/// An image's progress.
pub struct ImageProgress {
    /// The image's length in bytes, once it is known.
    pub bytes: Option<u64>,
    /// What is suspicious about its set.
    pub warnings: Vec<Warning>,
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
            // Why is said at the end of the run.
            Self::Failed { .. } => "failed".to_owned(),
            Self::Ready(ReadySet { status: SetStatus::Published, .. }) => "unchanged".to_owned(),
            Self::Ready(ReadySet { record, .. }) => {
                let SetReport { matched_bytes, unmatched_bytes, parts, template_bytes, seconds, .. } = &record.report;
                let share = *matched_bytes as f64 / (matched_bytes + unmatched_bytes).max(1) as f64 * 100.0;
                let parts = counted(*parts, "part");
                format!("{share:.1} % matched by {parts}, template of {template_bytes} bytes, {seconds:.1} s")
            }
        }
    }
}

impl ImageProgress {
    /// What the run reports about the image.
    pub fn report(&self, planned: &PlannedImage<'_>) -> ImageReport {
        let report = unfinished(planned);
        let (outcome, error, set) = match &self.state {
            State::Planned => (Outcome::Planned, None, None),
            State::Failed { error, .. } => (Outcome::Failed, Some(error.clone()), None),
            State::Ready(ReadySet { record, status: SetStatus::Published, .. }) => {
                (Outcome::Unchanged, None, Some(record.report.clone()))
            }
            State::Ready(ReadySet { record, .. }) => (Outcome::Published, None, Some(record.report.clone())),
        };
        ImageReport { outcome, error, warnings: self.warnings.clone(), bytes: self.bytes, set, ..report }
    }

    /// The same, before its output directory is published.
    pub fn report_before_publishing(&self, planned: &PlannedImage<'_>) -> ImageReport {
        let report = self.report(planned);
        let outcome = match report.outcome {
            Outcome::Published => Outcome::Unfinished,
            outcome => outcome,
        };
        ImageReport { outcome, ..report }
    }
}

/// What the run reports about an image that it has not processed yet.
pub fn unfinished(planned: &PlannedImage<'_>) -> ImageReport {
    let image = planned.image;
    ImageReport {
        image: image.path.clone(),
        release: planned.release.name.clone(),
        outcome: Outcome::Unfinished,
        error: None,
        warnings: Vec::new(),
        bytes: None,
        set: None,
        outputs: Some(Outputs::of(image)),
    }
}
