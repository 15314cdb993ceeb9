//! What is suspicious about a set, though it is right: its image is empty, none of its mirror's files was found in it, a
//! mirror has a copy of it, or the set that it replaces had far more parts.

use std::fmt;
use std::io::BufReader;
use std::path::Path;

use jigdo::template::{Area, Template};
use serde::{Deserialize, Serialize};

use crate::file::open_regular;
use crate::make::SetReport;
use crate::progress::counted;

/// A fall of the share of the image that parts cover, in percentage points, that is suspicious.
const FALL: f64 = 10.0;

/// A set has far fewer parts if it has less than this share of those of the one before. The number of parts may shrink
/// with the image.
const FEWER: f64 = 0.75;

/// What is suspicious about a set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Warning {
    /// The image has no bytes.
    EmptyImage,
    /// No part was found, though the mirrors have files that could be some.
    NoParts {
        /// The labels of the mirrors that were searched for.
        labels: Vec<String>,
    },
    /// A mirror has a copy of the whole image.
    CopyOfImage {
        /// The copy's path, as text for people.
        copy: String,
    },
    /// The set that was replaced covered far more of its image.
    FarFewerParts {
        /// Of the set that was replaced.
        before: Coverage,
        /// Of the new one.
        now: Coverage,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyImage => write!(f, "the image has no bytes; jigdo-file cannot rebuild it"),
            Self::NoParts { labels } => {
                let (mirrors, are) = if labels.len() == 1 { ("mirror", "is it") } else { ("mirrors", "are they") };
                let labels = labels.join(", ");
                write!(
                    f,
                    "no file of the {mirrors} {labels} is in it, so the template has the whole image; {are} the right {mirrors}?"
                )
            }
            Self::CopyOfImage { copy } => write!(
                f,
                "a mirror has a copy of the whole image, {copy}; jigdo-file cannot read a set that is nothing but a link to \
                 that file, so the template has what no other file has"
            ),
            Self::FarFewerParts { before, now } => write!(
                f,
                "{:.2} % matched by {}, but {:.2} % by {} in the set that this one replaces; is the mirror complete?",
                now.percent(),
                counted(now.parts, "part"),
                before.percent(),
                before.parts
            ),
        }
    }
}

/// How much of an image parts cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// How many areas are parts.
    pub parts: u64,
    /// Their length in bytes.
    pub matched_bytes: u64,
    /// The image's length in bytes.
    pub bytes: u64,
}

impl Coverage {
    fn of(report: &SetReport) -> Self {
        let SetReport { parts, matched_bytes, unmatched_bytes, left_out_bytes, .. } = *report;
        // A part that was left out was found all the same.
        let parts = parts + u64::from(left_out_bytes > 0);
        Self { parts, matched_bytes: matched_bytes + left_out_bytes, bytes: matched_bytes + unmatched_bytes }
    }

    /// What the template at `path` says; `None` if there is none that can be read.
    fn of_template(path: &Path) -> Option<Self> {
        let template = Template::read(BufReader::new(open_regular(path).ok()?)).ok()?;
        let lengths = template.description.areas.iter().filter_map(|area| match area {
            Area::Part { length, .. } => Some(*length),
            Area::Unmatched { .. } => None,
        });
        let (parts, matched_bytes) = lengths.fold((0, 0), |(parts, sum), length| (parts + 1, sum + length));
        Some(Self { parts, matched_bytes, bytes: template.description.image.length })
    }

    fn percent(&self) -> f64 {
        self.matched_bytes as f64 / self.bytes.max(1) as f64 * 100.0
    }

    /// Whether it is far less than before. Fewer parts that cover as much are no loss: one file may hold what several held.
    fn is_far_less_than(&self, before: &Self) -> bool {
        let shrunk = (self.bytes as f64 / before.bytes.max(1) as f64).min(1.0);
        let falls = before.percent() - self.percent() >= FALL;
        let covers_less = self.percent() < before.percent();
        falls || covers_less && (self.parts as f64) < before.parts as f64 * shrunk * FEWER
    }
}

/// What is suspicious about a set that was made, or is still published as it was.
pub fn of_set(report: &SetReport, labels: Vec<String>, could_have_parts: bool) -> Vec<Warning> {
    let coverage = Coverage::of(report);
    let copy = report.copy_of_image.clone().map(|copy| Warning::CopyOfImage { copy });
    let of_coverage = match coverage {
        Coverage { bytes: 0, .. } => Some(Warning::EmptyImage),
        Coverage { matched_bytes: 0, .. } if could_have_parts => Some(Warning::NoParts { labels }),
        _ => None,
    };
    copy.into_iter().chain(of_coverage).collect()
}

/// What is suspicious about a set that is about to replace the one whose template is at `published`.
pub fn of_change(report: &SetReport, published: &Path) -> Option<Warning> {
    let (before, now) = (Coverage::of_template(published)?, Coverage::of(report));
    now.is_far_less_than(&before).then_some(Warning::FarFewerParts { before, now })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_fewer_parts_are_told_from_some_fewer() {
        let coverage = |parts, percent, bytes| Coverage { parts, matched_bytes: bytes / 100 * percent, bytes };
        let before = coverage(1000, 97, 4_000_000);
        for (now, is_far_less) in [
            (before, false),
            (coverage(990, 96, 4_000_000), false),
            (coverage(900, 88, 4_000_000), false),
            (coverage(760, 87, 4_000_000), true),
            (coverage(700, 71, 4_000_000), true),
            (coverage(0, 0, 4_000_000), true),
            (coverage(0, 0, 0), true),
            // A few large parts may cover most of an image.
            (coverage(700, 95, 4_000_000), true),
            // A smaller image has fewer parts.
            (coverage(500, 96, 2_000_000), false),
            (coverage(2000, 97, 8_000_000), false),
            (coverage(1, 96, 8_000_000), true),
            // One file that holds what many held is as good.
            (coverage(1, 97, 8_000_000), false),
            (coverage(1, 100, 4_000_000), false),
        ] {
            assert_eq!(now.is_far_less_than(&before), is_far_less, "{now:?}");
        }
        let one = Warning::FarFewerParts { before, now: coverage(1, 50, 4_000_000) };
        assert!(one.to_string().starts_with("50.00 % matched by 1 part, but 97.00 % by 1000 in"), "{one}");
        assert!(!coverage(0, 0, 100).is_far_less_than(&coverage(0, 0, 100)));
        assert!(coverage(1, 50, 1000).is_far_less_than(&coverage(1, 100, 1000)));
    }
}
