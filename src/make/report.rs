//! What making a set did: sizes, sums, and the time of each stage.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A set that was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetReport {
    /// How much of the image is covered by parts.
    pub matched_bytes: u64,
    /// How much of the image is in the template.
    pub unmatched_bytes: u64,
    /// How much of that a part would cover. It was left out because a template must have unmatched data.
    #[serde(default)]
    pub left_out_bytes: u64,
    /// The path of a mirror file that is a copy of the whole image, as text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_of_image: Option<String>,
    /// How many areas of the image are parts.
    pub parts: u64,
    /// How many of these parts are distinct.
    pub distinct_parts: u64,
    /// The template's length.
    pub template_bytes: u64,
    /// The jigdo file's length.
    pub jigdo_bytes: u64,
    /// Sums in hexadecimal, by file (`image`, `template`, `jigdo`), then by algorithm.
    pub sums: BTreeMap<String, BTreeMap<String, String>>,
    /// From opening the image to the staged set.
    pub seconds: f64,
    /// What each stage cost.
    pub stages: Stages,
}

/// The stages of making a set. They overlap with each other and with those of other images. `seconds` of lanes that
/// several files shared is each file's share.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Stages {
    /// Finding parts, and verifying them unless `regions` does; counts the image's bytes.
    pub matching: Stage,
    /// Hashing regions that may be parts, where lanes do it: in sets of format 1.x; counts the regions' bytes.
    pub regions: Stage,
    /// Reading mirror files that this image was the first to need, for their sums; counts the files' bytes.
    pub mirror: Stage,
    /// The image's own sums; counts the image's bytes, once for each sum.
    pub sums: Stage,
    /// Compressing unmatched data and writing the template; counts the unmatched bytes.
    pub template: Stage,
    /// The sums of the template as read back; counts its bytes, once for each sum.
    pub template_sums: Stage,
    /// Reading the staged set back and comparing it with the image; counts the unmatched bytes.
    pub proof: Stage,
}

/// The cost of a stage.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Stage {
    /// How long it took.
    pub seconds: f64,
    /// How much it processed.
    pub bytes: u64,
}

/// Adds up the time that calls take.
#[derive(Debug, Default)]
pub struct Stopwatch(Duration);

impl Stopwatch {
    /// Runs `work` on the clock.
    pub fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.0 += start.elapsed();
        result
    }

    /// Subtracts time that another stage accounts for.
    pub fn subtract(&mut self, time: Duration) {
        self.0 = self.0.saturating_sub(time);
    }

    /// A stage of this duration that processed this many bytes.
    pub fn stage(&self, bytes: u64) -> Stage {
        Stage { seconds: self.0.as_secs_f64(), bytes }
    }
}
