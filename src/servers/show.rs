//! Summarises the labels of many jigdo files: how many files and parts use each, and its servers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jigdo::bstr::BString;
use jigdo::escaped_path;
use jigdo::jigdo_file::{Outline, Server, Unpacked};
use rayon::prelude::*;
use serde::Serialize;

use crate::json;
use crate::set::{JigdoFile, Tree};

/// A label in all files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LabelSummary {
    /// Empty for parts without a label.
    #[serde(serialize_with = "json::foreign")]
    pub label: BString,
    /// How many files have it.
    pub files: u64,
    /// How many `[Parts]` lines use it.
    pub parts: u64,
    /// How many files use this label for parts, but have neither a server for it nor an `[Include]` line.
    pub files_without_server: u64,
    /// In order of first occurrence.
    pub servers: Vec<ServerSummary>,
}

/// A server of a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerSummary {
    /// The server's URL, as the files have it.
    #[serde(serialize_with = "json::foreign")]
    pub url: BString,
    /// Whether clients should try it last.
    pub try_last: bool,
    /// How many files have it.
    pub files: u64,
}

/// The summary of many files, with the errors of those that could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// How many files were read.
    pub files: u64,
    /// Ordered by label.
    pub labels: Vec<LabelSummary>,
    /// As `path: what is wrong`.
    pub errors: Vec<String>,
    /// What could not be looked at, as `path: what is wrong`: there may be more files.
    pub unreadable: Vec<String>,
    /// Files with the name of a jigdo file and other content.
    #[serde(serialize_with = "json::foreign")]
    pub left_out: Vec<PathBuf>,
}

/// The labels and servers of these files.
pub fn show(Tree { files, unreadable, left_out }: &Tree) -> Shown {
    let read: Vec<Result<Outline, String>> = files.par_iter().map(outline).collect();
    let mut shown = Shown {
        unreadable: unreadable.iter().map(ToString::to_string).collect(),
        left_out: left_out.iter().map(|error| error.path().to_owned()).collect(),
        ..Shown::default()
    };
    let mut labels: BTreeMap<BString, LabelSummary> = BTreeMap::new();
    for (file, outline) in files.iter().zip(read) {
        match outline {
            Ok(outline) => {
                shown.files += 1;
                add(&mut labels, &outline);
            }
            Err(error) => shown.errors.push(format!("{}: {error}", escaped_path(&file.path))),
        }
    }
    shown.labels = labels.into_values().collect();
    shown
}

fn outline(file: &JigdoFile) -> Result<Outline, String> {
    let (_, bytes) = file.read().map_err(|error| error.to_string())?;
    let unpacked = Unpacked::new(&bytes).map_err(|error| error.to_string())?;
    Outline::new(&unpacked.text, &[]).map_err(|error| error.to_string())
}

fn add(labels: &mut BTreeMap<BString, LabelSummary>, outline: &Outline) {
    // For each label of this file: whether it has a server, and how many parts use it.
    let mut of_file: BTreeMap<&BString, (bool, u64)> = BTreeMap::new();
    for (label, parts) in &outline.labels {
        of_file.entry(label).or_default().1 = *parts;
    }
    for line in &outline.servers {
        of_file.entry(&line.label).or_default().0 = true;
    }
    for (label, (has_server, parts)) in of_file {
        let summary = labels.entry(label.clone()).or_default();
        summary.label.clone_from(label);
        summary.files += 1;
        summary.parts += parts;
        let is_served = has_server || label.is_empty() || jigdo::jigdo_file::is_scheme(label);
        summary.files_without_server += u64::from(!is_served && outline.includes.is_empty());
    }
    for (at, line) in outline.servers.iter().enumerate() {
        let is_repeated =
            outline.servers[..at].iter().any(|other| (&other.label, &other.server) == (&line.label, &line.server));
        if !is_repeated && let Some(summary) = labels.get_mut(&line.label) {
            summary.add_server(&line.server);
        }
    }
}

impl LabelSummary {
    fn add_server(&mut self, server: &Server) {
        let is_same = |known: &&mut ServerSummary| (&known.url, known.try_last) == (&server.url, server.try_last);
        match self.servers.iter_mut().find(is_same) {
            Some(known) => known.files += 1,
            None => self.servers.push(ServerSummary { url: server.url.clone(), try_last: server.try_last, files: 1 }),
        }
    }
}
