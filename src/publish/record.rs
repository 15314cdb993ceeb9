//! What a run records in the index, so that the next one need not repeat it.

use std::fs;
use std::io;
use std::path::Path;

use jigdo::Checksum;
use serde::{Deserialize, Serialize};

use crate::digest;
use crate::file::{Stamp, open_regular};
use crate::make::{SetReport, StagedFile, jigdo_name, template_name};
pub use crate::mirror::{load_record as load, store_record as store};
use crate::output::OutputDirectory;

/// A set that was staged, and perhaps published.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The fingerprints of everything that the set depends on, as [`PlannedImage::fingerprint`](super::plan::PlannedImage::fingerprint)
    /// names them.
    pub inputs: String,
    pub template: StagedFile,
    pub jigdo: StagedFile,
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

    /// Where the set called `name`, whose own sums are of the kind `checksum`, is now.
    pub fn status(&self, name: &str, checksum: Checksum, directory: &OutputDirectory) -> SetStatus {
        let is = |path: &Path, file: &StagedFile| is_still(path, file, checksum).unwrap_or(false);
        let status = |file: String, staged: &StagedFile| {
            if is(&directory.published(&file), staged) {
                SetStatus::Published
            } else if is(&directory.staged(&file), staged) {
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

    /// Takes the stamps of the published files. True if they differ from the recorded ones: a file has another ctime once it
    /// is renamed, and a staged file does not replace a published one that has the same bytes.
    pub fn update_stamps(&mut self, name: &str, directory: &OutputDirectory) -> bool {
        let stamp = |file: String| fs::metadata(directory.published(&file)).map(|found| Stamp::of(&found));
        let (Ok(template), Ok(jigdo)) = (stamp(template_name(name)), stamp(jigdo_name(name))) else { return false };
        let differ = (template, jigdo) != (self.template.stamp, self.jigdo.stamp);
        (self.template.stamp, self.jigdo.stamp) = (template, jigdo);
        differ
    }
}

/// Whether the file at `path` is the one that was staged. If nothing but its ctime is another, its bytes decide: it was
/// renamed, linked or given other permissions, or somebody wrote into it and set its mtime back.
fn is_still(path: &Path, staged: &StagedFile, checksum: Checksum) -> io::Result<bool> {
    let now = Stamp::of(&fs::metadata(path)?);
    if now == staged.stamp || !now.is_same_but_ctime(&staged.stamp) {
        return Ok(now == staged.stamp);
    }
    let sum = digest::sum_of_reader(checksum, open_regular(path)?)?;
    Ok(sum.to_string() == staged.sum && Stamp::of(&fs::metadata(path)?) == now)
}
