//! What a run records in the index, so that the next one need not repeat it.

use std::fs;
use std::path::Path;

use jigdo::Checksum;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::Content;
use crate::file::Stamp;
use crate::make::{SetReport, jigdo_name, template_name};
use crate::mirror::{self, Index};
use crate::output::OutputDirectory;

/// A set that was staged, and perhaps published. Files keep their stamps when they are renamed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The fingerprints of everything that the set depends on, as [`PlannedImage::fingerprint`](super::plan::PlannedImage::fingerprint)
    /// names them.
    pub inputs: String,
    pub template: Stamp,
    pub jigdo: Stamp,
    pub report: SetReport,
}

/// Where a recorded set is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetStatus {
    /// Both files are published.
    Published,
    /// Both exist, but at least one is only staged.
    Staged,
    /// A file is missing or has changed.
    Missing,
}

impl Record {
    /// The names of the inputs that are not what they were.
    pub fn changed(&self, inputs: &str) -> String {
        let was = |input: &&str| self.inputs.split(' ').any(|known| known == *input);
        let name = |input: &str| input.split('=').next().unwrap_or_default().to_owned();
        inputs.split(' ').filter(|input| !was(input)).map(name).collect::<Vec<_>>().join(", ")
    }

    /// Where the set called `name` is now.
    pub fn status(&self, name: &str, directory: &OutputDirectory) -> SetStatus {
        let is = |path: &Path, stamp: &Stamp| fs::metadata(path).is_ok_and(|now| Stamp::of(&now) == *stamp);
        let status = |file: String, stamp: &Stamp| {
            if is(&directory.published(&file), stamp) {
                SetStatus::Published
            } else if is(&directory.staged(&file), stamp) {
                SetStatus::Staged
            } else {
                SetStatus::Missing
            }
        };
        let template = status(template_name(name), &self.template);
        match (template, status(jigdo_name(name), &self.jigdo)) {
            (SetStatus::Missing, _) | (_, SetStatus::Missing) => SetStatus::Missing,
            (SetStatus::Published, SetStatus::Published) => SetStatus::Published,
            _ => SetStatus::Staged,
        }
    }

    /// Takes the stamps of the published files. True if they differ from the recorded ones: a staged file does not
    /// replace a published one that has the same bytes.
    pub fn update_stamps(&mut self, name: &str, directory: &OutputDirectory) -> bool {
        let stamp = |file: String| fs::metadata(directory.published(&file)).map(|found| Stamp::of(&found));
        let (Ok(template), Ok(jigdo)) = (stamp(template_name(name)), stamp(jigdo_name(name))) else { return false };
        let differ = (template, jigdo) != (self.template, self.jigdo);
        (self.template, self.jigdo) = (template, jigdo);
        differ
    }
}

/// The value that was stored under this key. `None` too if it cannot be read, is damaged or has another version's form:
/// that only costs time.
pub fn load<T: DeserializeOwned>(index: &Index, key: &str) -> Option<T> {
    let text = index.record(key).ok()??;
    let (check, json) = text.split_once(' ')?;
    (check == check_of(json)).then(|| serde_json::from_str(json).ok())?
}

/// Stores a value under this key.
///
/// # Errors
/// When the index cannot be written.
pub fn store(index: &Index, key: &str, value: &impl Serialize) -> Result<(), mirror::Error> {
    let json = serde_json::to_string(value).expect("a record is plain data");
    index.set_record(key, &format!("{} {json}", check_of(&json)))
}

/// A checksum of the record itself. Records contain sums that are published, so a damaged one must not be used.
fn check_of(json: &str) -> String {
    String::from(Content::of(Checksum::Sha256, json.as_bytes()))
}
