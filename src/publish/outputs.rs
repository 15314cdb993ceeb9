//! Output directories with the images whose sets go there.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;

use jigdo::Algorithm;

use super::plan::{Plan, absolute};
use super::record::Found;
use super::state::Made;
use crate::make::{jigdo_name, template_name};
use crate::output::sums::{SumsFile, file_name};
use crate::output::{self, Change, OutputDirectory};

/// An output directory with the images whose sets go there.
pub struct Destination {
    /// The directory, or why nothing can be written there.
    pub directory: Result<OutputDirectory, output::Error>,
    pub images: Vec<usize>,
    /// How many of the images are still to be done.
    pub left: AtomicUsize,
}

/// The output directories, each once, and for each image its own.
pub fn destinations(plan: &Plan<'_>, dry_run: bool) -> (Vec<Destination>, Vec<usize>) {
    let mut places: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut destinations: Vec<Destination> = Vec::new();
    let mut of_images = Vec::new();
    for (number, planned) in plan.images.iter().enumerate() {
        let output = &planned.image.output;
        if !dry_run {
            // Two ways to write a path are known to be one only once it exists. What fails here fails again below.
            let _ = fs::create_dir_all(output);
        }
        let place = *places.entry(absolute(output)).or_insert_with(|| {
            let directory = match dry_run {
                true => Ok(OutputDirectory::unlocked(output)),
                false => OutputDirectory::open(output),
            };
            destinations.push(Destination { directory, images: Vec::new(), left: AtomicUsize::new(0) });
            destinations.len() - 1
        });
        destinations[place].images.push(number);
        *destinations[place].left.get_mut() += 1;
        of_images.push(place);
    }
    (destinations, of_images)
}

/// Publishes sets of one directory: of each the template, then the jigdo file; then the sums of all.
pub fn publish_sets(directory: &OutputDirectory, plan: &Plan<'_>, sets: &[(usize, Made)]) -> Result<(), output::Error> {
    let staged = sets.iter().filter(|(_, made)| made.found == Found::Staged);
    let names = staged.map(|(image, _)| &plan.images[*image].image.name);
    let mut changes: Vec<Change> =
        names.flat_map(|name| [template_name(name), jigdo_name(name)]).map(Change::Publish).collect();
    for algorithm in Algorithm::ALL {
        changes.extend(stage_sums(directory, plan, sets, algorithm)?);
    }
    directory.commit(&changes)
}

/// Stages a SUMS file that is brought up to date with these sets; lines of other files stay. Nothing is to be changed
/// if it is up to date.
fn stage_sums(
    directory: &OutputDirectory,
    plan: &Plan<'_>,
    sets: &[(usize, Made)],
    algorithm: Algorithm,
) -> Result<Option<Change>, output::Error> {
    let name = file_name(algorithm);
    let path = directory.published(&name);
    let failed = |source| output::Error::Write { path: path.clone(), source };
    let before = match fs::read(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let mut sums = SumsFile::parse(before.as_deref().unwrap_or_default());
    for (image, made) in sets {
        let image = plan.images[*image].image;
        let files = [
            ("image", image.filename.clone()),
            ("template", template_name(&image.name)),
            ("jigdo", jigdo_name(&image.name)),
        ];
        for (file, name) in files {
            let sum = made.record.report.sums.get(file).and_then(|sums| sums.get(&algorithm.name().to_lowercase()));
            match sum {
                Some(sum) => sums.set(&name, sum),
                // A sum that the manifest does not ask for would be that of an earlier file.
                None if made.found == Found::Staged => sums.remove(&name),
                None => {}
            }
        }
    }
    let text = sums.text();
    match before {
        Some(before) if before == text => Ok(None),
        None if sums.is_empty() => Ok(None),
        Some(_) if sums.is_empty() => Ok(Some(Change::Remove(name))),
        _ => {
            let mut file = directory.stage(&name)?;
            file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
            Ok(Some(Change::Publish(name)))
        }
    }
}
