//! What a run remembers of a set, so that the next one need not make it again.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::file::Stamp;
use crate::make::{SetReport, jigdo_name, template_name};
use crate::output::OutputDirectory;

/// A set that was staged, and perhaps published. Files keep their stamp when they are renamed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The fingerprints of everything that the set depends on, as [`Planned::fingerprint`](super::plan::Planned::fingerprint)
    /// names them.
    pub inputs: String,
    pub template: Stamp,
    pub jigdo: Stamp,
    pub report: SetReport,
}

/// How much of a set that is on record is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Both files are published.
    Published,
    /// Both are there, but one or both still wait.
    Staged,
    /// One is missing, or is not what it was.
    Lost,
}

impl Record {
    /// The names of the inputs that are not what they were.
    pub fn changed(&self, inputs: &str) -> String {
        let was = |input: &&str| self.inputs.split(' ').any(|known| known == *input);
        let name = |input: &str| input.split('=').next().unwrap_or_default().to_owned();
        inputs.split(' ').filter(|input| !was(input)).map(name).collect::<Vec<_>>().join(", ")
    }

    /// Where the set called `name` is now.
    pub fn find(&self, name: &str, directory: &OutputDirectory) -> Found {
        let is = |path: &Path, stamp: &Stamp| fs::metadata(path).is_ok_and(|now| Stamp::of(&now) == *stamp);
        let find = |file: String, stamp: &Stamp| {
            if is(&directory.published(&file), stamp) {
                Found::Published
            } else if is(&directory.staged(&file), stamp) {
                Found::Staged
            } else {
                Found::Lost
            }
        };
        let template = find(template_name(name), &self.template);
        match (template, find(jigdo_name(name), &self.jigdo)) {
            (Found::Lost, _) | (_, Found::Lost) => Found::Lost,
            (Found::Published, Found::Published) => Found::Published,
            _ => Found::Staged,
        }
    }
}
