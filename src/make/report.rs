//! What the work on an image did: sizes, sums, and what each stage took.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What is known of a set that was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetReport {
    /// How much of the image parts cover.
    pub matched_bytes: u64,
    /// How much of it the template carries.
    pub unmatched_bytes: u64,
    /// How many areas are parts.
    pub parts: u64,
    /// How many different parts these are.
    pub distinct_parts: u64,
    pub template_bytes: u64,
    pub jigdo_bytes: u64,
    /// By file (`image`, `template`, `jigdo`), then by algorithm, in hexadecimal.
    pub sums: BTreeMap<String, BTreeMap<String, String>>,
    /// From the opening of the image to the staged set.
    pub seconds: f64,
    pub stages: Stages,
}

/// What the stages of an image's work did. They overlap, and share the machine with the work on other images.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Stages {
    /// Finding parts, and proving them where that is not a stage of its own; the image's bytes.
    pub matching: Stage,
    /// Hashing regions that may be parts, where that is done side by side: in sets of format 1.x; their bytes. What is
    /// hashed or summed side by side counts, here and below, for its share of the time.
    pub regions: Stage,
    /// Reading mirror files for their sums, those that this image was the first to need; their bytes.
    pub mirror: Stage,
    /// The image's own sums; its bytes, once for each sum.
    pub sums: Stage,
    /// Compressing unmatched data and writing the template; the bytes of these data.
    pub template: Stage,
    /// The template's sums, of the file read back; its bytes, once for each sum.
    pub template_sums: Stage,
    /// Reading the staged set back and comparing it with the image; the bytes of unmatched data.
    pub proof: Stage,
}

/// What a stage took.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Stage {
    pub seconds: f64,
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

    /// Takes away time that belongs elsewhere.
    pub fn subtract(&mut self, time: Duration) {
        self.0 = self.0.saturating_sub(time);
    }

    /// A stage that took this long, for so many bytes.
    pub fn stage(&self, bytes: u64) -> Stage {
        Stage { seconds: self.0.as_secs_f64(), bytes }
    }
}
