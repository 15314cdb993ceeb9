//! What `jigpress publish` prints at the end: the table of images, suspicious sets, and sets that no image stands for.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use indicatif::BinaryBytes;
use jigdo::escaped_path;

use crate::cli::terminal;
use crate::make::SetReport;
use crate::progress::counted;
use crate::publish::report::{ImageReport, Outcome, Report};
use crate::publish::warnings::Warning;

/// The table at the end of a run, with the totals last.
pub fn table(report: &Report) -> String {
    let mut rows = vec![["image", "size", "matched", "parts", "template", "seconds", ""].map(str::to_owned)];
    let mut total = Totals::default();
    let paths: Vec<&Path> = report.images.iter().map(|image| image.image.as_path()).collect();
    for (image, name) in report.images.iter().zip(short_names(&paths)) {
        let size = image.bytes.map_or_else(String::new, |bytes| BinaryBytes(bytes).to_string());
        let outcome = match image.outcome {
            Outcome::Published => "",
            Outcome::Unchanged => "unchanged",
            Outcome::Planned => "to do",
            Outcome::Failed => "FAILED",
            Outcome::Absent => "absent (optional)",
            Outcome::Unfinished => "unfinished",
        };
        let [matched, parts, template, mut seconds] = image.set.as_ref().map(set_columns).unwrap_or_default();
        if image.outcome == Outcome::Unchanged {
            // They are those of the run that made the set.
            seconds.clear();
        }
        let words = [outcome, if image.warnings.is_empty() { "" } else { "WARNING" }];
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        rows.push([name, size, matched, parts, template, seconds, words.join(", ")]);
        total.add(image.bytes.unwrap_or(0), image.set.as_ref());
    }
    rows.push(total.row(report));
    super::super::columns(&rows)
}

/// The file names of these paths. Where different paths have the same one, directories are before it.
fn short_names(paths: &[&Path]) -> Vec<String> {
    let end = |path: &Path, depth: usize| {
        let skipped = path.components().count().saturating_sub(depth);
        path.components().skip(skipped).collect::<PathBuf>()
    };
    let mut depths = vec![1; paths.len()];
    loop {
        let mut by_end: HashMap<PathBuf, HashSet<&Path>> = HashMap::new();
        for (path, depth) in paths.iter().zip(&depths) {
            by_end.entry(end(path, *depth)).or_default().insert(path);
        }
        let mut is_done = true;
        for (path, depth) in paths.iter().zip(&mut depths) {
            if by_end[&end(path, *depth)].len() > 1 && *depth < path.components().count() {
                *depth += 1;
                is_done = false;
            }
        }
        if is_done {
            let ends = paths.iter().zip(&depths).map(|(path, depth)| end(path, *depth));
            return ends.map(|end| end.to_string_lossy().into_owned()).collect();
        }
    }
}

fn set_columns(set: &SetReport) -> [String; 4] {
    [
        super::super::percentage(set.matched_bytes, set.matched_bytes + set.unmatched_bytes),
        set.parts.to_string(),
        BinaryBytes(set.template_bytes).to_string(),
        format!("{:.1}", set.seconds),
    ]
}

#[derive(Default)]
struct Totals {
    bytes: u64,
    matched: u64,
    searched: u64,
    parts: u64,
    template: u64,
}

impl Totals {
    fn add(&mut self, bytes: u64, set: Option<&SetReport>) {
        self.bytes += bytes;
        if let Some(set) = set {
            self.matched += set.matched_bytes;
            self.searched += set.matched_bytes + set.unmatched_bytes;
            self.parts += set.parts;
            self.template += set.template_bytes;
        }
    }

    fn row(&self, report: &Report) -> [String; 7] {
        let counts = [
            (Outcome::Published, "published"),
            (Outcome::Unchanged, "unchanged"),
            (Outcome::Planned, "to do"),
            (Outcome::Failed, "failed"),
            (Outcome::Absent, "absent"),
        ];
        let suspicious = report.images.iter().filter(|image| !image.warnings.is_empty()).count();
        let outcomes =
            counts.iter().map(|(outcome, word)| (report.count(*outcome), word)).filter(|(count, _)| *count > 0);
        [
            counted(report.images.len() - report.count(Outcome::Absent), "image").to_string(),
            BinaryBytes(self.bytes).to_string(),
            super::super::percentage(self.matched, self.searched),
            self.parts.to_string(),
            BinaryBytes(self.template).to_string(),
            format!("{:.1}", report.seconds),
            outcomes
                .map(|(count, word)| format!("{count} {word}"))
                .chain((suspicious > 0).then(|| format!("{suspicious} with warnings")))
                .collect::<Vec<_>>()
                .join(", "),
        ]
    }
}

/// The sets that no image stands for.
pub fn stale_sets(report: &Report, is_pruning: bool) -> String {
    /// How many are named.
    const NAMED: usize = 20;
    let mut text = String::new();
    for stale in report.stale_sets.iter().take(NAMED) {
        let names: Vec<_> = stale.files.iter().map(|file| escaped_path(&file).to_string()).collect();
        let what = match (&stale.kept_because, stale.is_removed) {
            (_, true) => "removed, because no image stands for it".to_owned(),
            (Some(reason), _) => format!("no image stands for it, but {reason}, so it was not removed"),
            _ if report.prune_refused.is_some() => "no image stands for it".to_owned(),
            _ if is_pruning => "no image stands for it, so it would be removed".to_owned(),
            _ => "no image stands for it; --prune-sets removes it".to_owned(),
        };
        text += &format!("{}: {what}\n", names.join(", "));
    }
    if report.stale_sets.len() > NAMED {
        text += &format!("and {} more sets that no image stands for\n", report.stale_sets.len() - NAMED);
    }
    text
}

/// Says what is suspicious about sets. What many images have in common is said once.
pub fn warn(report: &Report) {
    /// How many images are named one by one.
    const NAMED: usize = 3;
    let mut alike: Vec<(&Warning, Vec<&ImageReport>)> = Vec::new();
    for (image, warning) in report.images.iter().flat_map(|image| image.warnings.iter().map(move |it| (image, it))) {
        match alike.iter_mut().find(|(known, _)| *known == warning) {
            Some((_, images)) => images.push(image),
            None => alike.push((warning, vec![image])),
        }
    }
    for (warning, images) in alike {
        for image in images.iter().take(if images.len() > NAMED { 1 } else { NAMED }) {
            terminal::warn(format_args!("{}: {warning}", escaped_path(&image.image)));
        }
        if images.len() > NAMED {
            terminal::warn(format_args!("the same goes for {} more images", images.len() - 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_several_paths_have_are_told_apart_by_directories() {
        for (paths, expected) in [
            (&["/i/a.iso", "/i/b.iso"][..], &["a.iso", "b.iso"][..]),
            (&["/i/arm64/*.iso", "/i/riscv64/*.iso", "/i/c.iso"], &["arm64/*.iso", "riscv64/*.iso", "c.iso"]),
            (&["/x/i/a", "/y/i/a", "a"], &["x/i/a", "y/i/a", "a"]),
            (&["/i/a", "/i/a"], &["a", "a"]),
        ] {
            let paths: Vec<&Path> = paths.iter().map(Path::new).collect();
            assert_eq!(short_names(&paths), expected, "{paths:?}");
        }
    }
}
