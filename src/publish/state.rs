//! How far the work on an image has come, and what a run says of it at the end.

use super::plan::Planned;
use super::record::{Found, Record};
use super::report::{ImageReport, Outcome, Outputs};
use crate::make::{Error, SetReport, jigdo_name, template_name};

/// How far an image has come.
pub struct Progressed {
    /// The image's length in bytes, once it is known.
    pub bytes: Option<u64>,
    pub state: State,
}

pub enum State {
    /// Nothing was done, or nothing will be.
    Planned,
    Made(Made),
    Failed {
        error: String,
        /// Whether the place to write to is at fault.
        of_output: bool,
    },
}

/// A set that lies in the staging place or is published.
pub struct Made {
    pub record: Box<Record>,
    pub found: Found,
    /// Whether the record may be kept: whether a later change of what went into the set will show.
    pub is_lasting: bool,
}

impl State {
    pub fn failed(error: &Error) -> Self {
        Self::Failed { error: error.to_string(), of_output: error.is_of_output() }
    }
}

/// How it went, in a few words for a log.
pub fn summary(state: &State) -> String {
    match state {
        State::Planned => "a set would be published".to_owned(),
        State::Failed { error, .. } => format!("failed: {error}"),
        State::Made(Made { found: Found::Published, .. }) => "unchanged".to_owned(),
        State::Made(Made { record, .. }) => {
            let SetReport { matched_bytes, unmatched_bytes, parts, template_bytes, seconds, .. } = &record.report;
            let share = *matched_bytes as f64 / (matched_bytes + unmatched_bytes).max(1) as f64 * 100.0;
            format!("{share:.1} % matched by {parts} parts, template of {template_bytes} bytes, {seconds:.1} s")
        }
    }
}

pub fn report(planned: &Planned<'_>, Progressed { bytes, state }: Progressed) -> ImageReport {
    let (outcome, error, set) = match state {
        State::Planned => (Outcome::Planned, None, None),
        State::Failed { error, .. } => (Outcome::Failed, Some(error), None),
        State::Made(Made { record, found: Found::Published, .. }) => (Outcome::Unchanged, None, Some(record.report)),
        State::Made(Made { record, .. }) => (Outcome::Published, None, Some(record.report)),
    };
    let image = planned.image;
    ImageReport {
        image: image.path.clone(),
        release: planned.release.name.clone(),
        outcome,
        error,
        bytes,
        set,
        outputs: Outputs {
            jigdo: image.output.join(jigdo_name(&image.name)),
            template: image.output.join(template_name(&image.name)),
        },
    }
}
