//! Finds out which targets the snapshot has, and where the others are to come from, without reading them: by kind and by
//! length. Lengths are those of the parts in the sets' templates. Where there is no template, the mirror's file is the
//! measure, and only if the two differ is either of them read.

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::check::{Checked, Source, Verdict, absence, nothing_better, with_sum};
use super::plan::{Plan, Target};
use super::spot::Spot;
use crate::file::Stamp;

/// Looks for every target in the snapshot, then in the mirrors.
pub fn glance(plan: &Plan, spots: &[Spot], mirrors: &[PathBuf], roots: &[PathBuf]) -> Checked {
    let verdict = |(target, spot): (&Target, &Spot)| {
        let path = roots[target.tree].join(target.path());
        let sources = target.labels.iter().map(|&label| mirrors[label].join(target.path())).collect();
        Glance { target, spot, path: &path, sources }.verdict()
    };
    Checked::unread(plan.targets.par_iter().zip(spots).map(verdict).collect())
}

struct Glance<'a> {
    target: &'a Target,
    spot: &'a Spot,
    path: &'a Path,
    /// Where mirrors may have it.
    sources: Vec<PathBuf>,
}

impl Glance<'_> {
    fn verdict(&self) -> Verdict {
        match self.spot {
            Spot::Blocked(reason) => Verdict::Missing(reason.clone()),
            Spot::Free | Spot::Special => self.mirrored(),
            Spot::Link => match with_sum(self.path, &self.target.needs).and_then(|path| self.source(path)) {
                Some(source) => Verdict::Take(source),
                None => self.mirrored(),
            },
            Spot::File(found) => match self.has_length(found.size) {
                Some(true) => Verdict::Kept,
                Some(false) => self.mirrored(),
                None => self.compared(found.size),
            },
        }
    }

    /// A file whose part's length is not known is compared with the mirror's.
    fn compared(&self, length: u64) -> Verdict {
        let others: Vec<Source> = self.sources.iter().filter_map(|path| self.source(path.clone())).collect();
        let is_like_mirror = others.iter().any(|other| other.stamp.size == length);
        // An empty file is what a crash leaves of one. To read it costs nothing.
        let is_likely = is_like_mirror || (others.is_empty() && length > 0);
        if is_likely || with_sum(self.path, &self.target.needs).is_some() {
            return Verdict::Kept;
        }
        let is_right = |other: &Source| with_sum(&other.path, &self.target.needs).is_some();
        match others.into_iter().find(is_right) {
            Some(source) => Verdict::Take(source),
            None => self.missing(None),
        }
    }

    /// The first mirror's file that has a length as it should be.
    fn mirrored(&self) -> Verdict {
        let mut reason = None;
        for source in self.sources.iter().filter_map(|path| self.source(path.clone())) {
            match self.has_length(source.stamp.size) {
                Some(false) => reason = Some("the file there has another length".to_owned()),
                _ => return Verdict::Take(source),
            }
        }
        self.missing(reason)
    }

    fn missing(&self, reason: Option<String>) -> Verdict {
        let absent = || self.sources.first().map_or_else(String::new, |path| absence(path));
        Verdict::Missing(reason.or_else(|| nothing_better(self.spot)).unwrap_or_else(absent))
    }

    fn source(&self, path: PathBuf) -> Option<Source> {
        let found = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        Some(Source { path, stamp: Stamp::of(&found), replaces: self.spot.is_taken() })
    }

    /// Whether a file of this length may be the target; `None` if the length of its part is not known.
    fn has_length(&self, length: u64) -> Option<bool> {
        let lengths: Option<Vec<u64>> = self.target.needs.iter().map(|need| need.length).collect();
        lengths.map(|lengths| lengths.contains(&length))
    }
}
