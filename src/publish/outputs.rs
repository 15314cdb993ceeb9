//! Output directories, each with the images whose sets go there.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;

use jigdo::Algorithm;

use super::plan::{Plan, absolute};
use super::record::SetStatus;
use super::stale::StaleSet;
use super::state::ReadySet;
use crate::make::{jigdo_name, template_name};
use crate::output::sums::{self, Edit, SumsFile};
use crate::output::{self, Change, OutputDirectory};

/// An output directory with the images whose sets go there.
pub struct OutputGroup {
    /// The directory, or why nothing can be written there.
    pub directory: Result<OutputDirectory, output::Error>,
    pub path: PathBuf,
    pub images: Vec<usize>,
    /// How many of the images are not done yet.
    pub unfinished: AtomicUsize,
    /// The sets there that no image stands for.
    pub stale: Vec<StaleSet>,
}

/// The output directories, each once, and the index of each image's directory among them.
pub fn output_groups(plan: &Plan<'_>, dry_run: bool) -> (Vec<OutputGroup>, Vec<usize>) {
    let mut places: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut groups: Vec<OutputGroup> = Vec::new();
    let mut of_images = Vec::new();
    for (number, planned) in plan.images.iter().enumerate() {
        let output = &planned.image.output;
        if !dry_run {
            // Only an existing directory shows that two paths lead to it. If creating it fails here, opening it fails
            // below and reports why.
            let _ = fs::create_dir_all(output);
        }
        let place = *places.entry(absolute(output)).or_insert_with(|| {
            let directory = match dry_run {
                true => OutputDirectory::unlocked(output),
                false => OutputDirectory::open(output),
            };
            groups.push(OutputGroup {
                directory,
                path: output.clone(),
                images: Vec::new(),
                unfinished: AtomicUsize::new(0),
                stale: Vec::new(),
            });
            groups.len() - 1
        });
        groups[place].images.push(number);
        *groups[place].unfinished.get_mut() += 1;
        of_images.push(place);
    }
    (groups, of_images)
}

/// Publishes the sets of one directory: first each template and its jigdo file, then the SUMS files. In the same step, the
/// stale sets go: their lines first, then their jigdo files, then the templates. Returns the SUMS files that changed.
pub fn publish_sets(
    directory: &OutputDirectory,
    plan: &Plan<'_>,
    sets: &[(usize, ReadySet)],
    stale: &[StaleSet],
) -> Result<Vec<PathBuf>, output::Error> {
    let staged = sets.iter().filter(|(_, set)| set.status == SetStatus::Staged);
    let names = staged.map(|(image, _)| &plan.images[*image].image.name);
    let mut changes: Vec<Change> =
        names.flat_map(|name| [template_name(name), jigdo_name(name)]).map(Change::Publish).collect();
    let mut changed = Vec::new();
    let mode = common_mode(sets.iter().map(|(image, _)| plan.images[*image].image.settings.mode));
    for algorithm in Algorithm::ALL {
        if let Some(change) =
            sums::stage(directory, algorithm, mode, |file| update_sums(file, plan, sets, stale, algorithm))?
        {
            changed.push(directory.published(&sums::file_name(algorithm)));
            changes.push(change);
        }
    }
    changes.extend(stale.iter().flat_map(|set| &set.files).cloned().map(Change::Remove));
    directory.commit(&changes)?;
    Ok(changed)
}

/// The permissions that the manifest asks for, if it asks for the same ones for all sets of a directory.
fn common_mode(mut modes: impl Iterator<Item = Option<u32>>) -> Option<u32> {
    let first = modes.next()??;
    modes.all(|mode| mode == Some(first)).then_some(first)
}

/// Updates the lines of these sets in a SUMS file, and removes those of stale sets.
fn update_sums(
    file: &mut SumsFile,
    plan: &Plan<'_>,
    sets: &[(usize, ReadySet)],
    stale: &[StaleSet],
    algorithm: Algorithm,
) {
    let gone: HashSet<String> = stale.iter().flat_map(StaleSet::listed_names).collect();
    let mut files = BTreeMap::new();
    for (image, set) in sets {
        let image = plan.images[*image].image;
        let names = [
            ("image", image.filename.clone()),
            ("template", template_name(&image.name)),
            ("jigdo", jigdo_name(&image.name)),
        ];
        files.extend(names.map(|(kind, name)| (name, (set, kind))));
    }
    file.edit(|name, algorithm| {
        let Some((set, kind)) = std::str::from_utf8(name).ok().and_then(|name| files.get(name)) else {
            let is_gone = std::str::from_utf8(name).is_ok_and(|name| gone.contains(name));
            return if is_gone { Edit::Remove } else { Edit::Keep };
        };
        match algorithm.and_then(|algorithm| sum_of(set, kind, algorithm)) {
            Some(sum) => Edit::Sum(sum),
            // The manifest does not ask for this sum, so the line would be that of an older file.
            None if set.status == SetStatus::Staged => Edit::Remove,
            None => Edit::Keep,
        }
    });
    file.add(files.iter().filter_map(|(name, (set, kind))| Some((name.as_str(), sum_of(set, kind, algorithm)?))));
}

/// The sum of a file of a set, in hexadecimal, if the manifest asks for it.
fn sum_of<'a>(set: &'a ReadySet, kind: &str, algorithm: Algorithm) -> Option<&'a str> {
    let sums = set.record.report.sums.get(kind)?;
    sums.get(&algorithm.name().to_lowercase()).map(String::as_str)
}
