//! What came of a snapshot.

use std::path::PathBuf;

use jigdo::bstr::BString;
use serde::Serialize;

use crate::json;

/// The result of a snapshot.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// How many sets there are.
    pub sets: u64,
    /// How many files they need.
    pub files: u64,
    /// How many of these were already there.
    pub kept: u64,
    /// How many were hard-linked.
    pub linked: u64,
    /// How many were copied by reflink: they share their blocks with the mirror's file.
    pub reflinked: u64,
    /// How many were copied.
    pub copied: u64,
    /// In the order of label and path.
    pub missing: Vec<Missing>,
    /// How many missing parts are known to be lost.
    pub ignored: u64,
    /// Included files that could not be read, with the sets' paths. Parts that only these name may be missing.
    pub not_included: Vec<String>,
    /// What could not be looked at, sets that cannot be used, and files that could not be removed, as
    /// `path: what is wrong`.
    pub unreadable: Vec<String>,
    /// Files with the name of a jigdo file and other content.
    #[serde(serialize_with = "json::foreign")]
    pub left_out: Vec<PathBuf>,
    /// Files that were put there and that no set needs, if pruning was asked for. Removed unless that was refused.
    #[serde(serialize_with = "json::foreign")]
    pub unneeded: Vec<PathBuf>,
    /// Files that no set needs and that others put there, if pruning was asked for. They stay.
    #[serde(serialize_with = "json::foreign")]
    pub foreign: Vec<PathBuf>,
    /// How many of the unneeded files were removed.
    pub removed: u64,
    /// Why pruning was refused.
    pub prune_refused: Option<String>,
}

impl Outcome {
    /// Whether everything is there that sets need, and everything that was asked for was done.
    pub fn is_whole(&self) -> bool {
        let has_all = self.missing.is_empty() && self.not_included.is_empty();
        has_all && self.unreadable.is_empty() && self.prune_refused.is_none()
    }
}

/// A part that is not in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Missing {
    /// The part's label.
    pub label: String,
    /// The part's path in the label's tree.
    #[serde(serialize_with = "json::foreign")]
    pub path: BString,
    /// Why it is missing.
    pub reason: String,
    /// The jigdo files that need it and have no other location for it.
    #[serde(serialize_with = "json::foreign")]
    pub sets: Vec<PathBuf>,
}
