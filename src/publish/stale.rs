//! Sets that no image of the manifests stands for any more, because images were renamed or removed.
//!
//! Only sets that this program wrote count, by what their files say, and of these not the ones that another manifest is
//! known to have made: the index remembers which manifest made a set. Where the index does not know, the set is listed and
//! stays: another manifest may have made it, and the index was lost or is another one.

use jigdo::escaped_path;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use jigdo::bstr::{BString, ByteSlice as _};
use jigdo::jigdo_file::Jigdo;
use jigdo::template::Template;

use super::plan::{PlannedImage, absolute};
use super::record;
use crate::file::open_regular;
use crate::make::{jigdo_name, template_name};
use crate::mirror::Index;

/// Why a set stays of which nothing is on record.
const UNKNOWN: &str =
    "the index does not know which manifest made it (delete its files yourself if no manifest publishes it)";

/// What becomes of such sets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pruning {
    /// Nothing: not all images are known, because only some were selected.
    Unknown,
    /// They are listed.
    List,
    /// They are removed, unless they are more than this percentage of all sets.
    Remove {
        /// From 0 to 100.
        most: f64,
    },
}

/// A set that no image stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleSet {
    /// The set's name.
    pub name: String,
    /// The names of its files: the jigdo file, the template, or both.
    pub files: Vec<String>,
    /// The name that the image has in SUMS files, if the jigdo file says it and there is no file of that name.
    pub image: Option<String>,
    /// Why it must not be removed.
    pub kept_because: Option<String>,
}

impl StaleSet {
    /// The names whose lines in SUMS files go with the set.
    pub fn listed_names(&self) -> impl Iterator<Item = String> {
        [jigdo_name(&self.name), template_name(&self.name)].into_iter().chain(self.image.clone())
    }
}

/// The sets in a directory that none of these images stands for, in the order of their names. A directory that cannot be
/// read has none.
pub fn find(directory: &Path, images: &[PlannedImage<'_>], index: &Index) -> Vec<StaleSet> {
    let wanted: HashSet<&str> = images.iter().map(|planned| planned.image.name.as_str()).collect();
    let manifests: BTreeSet<PathBuf> = images.iter().map(|planned| absolute(&planned.release.manifest)).collect();
    let made_by = |name: &str| record::load::<PathBuf>(index, &manifest_key(&absolute(directory).join(name)));
    // A manifest that cannot be looked at may be there.
    let is_there = |manifest: &PathBuf| manifest.try_exists().unwrap_or(true);
    let is_of_another =
        |name: &str| made_by(name).is_some_and(|manifest| !manifests.contains(&manifest) && is_there(&manifest));
    let mut stale: Vec<_> = set_files(directory)
        .into_iter()
        .filter(|(name, _)| !wanted.contains(name.as_str()) && !is_of_another(name))
        .filter_map(|(name, files)| ours(directory, name, files))
        .collect();
    let filenames: HashSet<&str> = images.iter().map(|planned| planned.image.filename.as_str()).collect();
    for set in &mut stale {
        set.image = set.image.take().filter(|image| !filenames.contains(image.as_str()));
        set.kept_because = made_by(&set.name).is_none().then(|| UNKNOWN.to_owned());
    }
    stale
}

/// The files that may be those of sets, by the set's name. Symbolic links and hidden files are none of ours.
fn set_files(directory: &Path) -> BTreeMap<String, Vec<String>> {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        let Some(name) = entry.file_name().to_str().filter(|_| is_file).map(str::to_owned) else { continue };
        let stem = name.strip_suffix(".jigdo").or_else(|| name.strip_suffix(".template"));
        // A list of changes cannot have names with line breaks.
        if let Some(stem) = stem.filter(|stem| !stem.starts_with('.') && !name.contains(char::is_control)) {
            files.entry(stem.to_owned()).or_default().push(name.clone());
        }
    }
    files.values_mut().for_each(|names| names.sort());
    files
}

/// The set, if this program wrote all its files.
fn ours(directory: &Path, name: String, files: Vec<String>) -> Option<StaleSet> {
    let is_ours = |generator: &BString| generator.starts_with(b"jigpress/");
    let mut image = None;
    for file in &files {
        let content = BufReader::new(open_regular(&directory.join(file)).ok()?);
        if *file == jigdo_name(&name) {
            let jigdo = Jigdo::read(content).ok()?;
            if !jigdo.generator.as_ref().is_some_and(is_ours) {
                return None;
            }
            // A jigdo file of this program has one image.
            image = jigdo.images.first().and_then(|image| image.file_name().to_str().ok()).map(str::to_owned);
        } else if !is_ours(&Template::read(content).ok()?.creator) {
            return None;
        }
    }
    let image = image.filter(|image| !image.contains('/') && !directory.join(image).exists());
    Some(StaleSet { name, files, image, kept_because: None })
}

/// The key in the index of the manifest that made a set.
pub fn manifest_key(set: &Path) -> String {
    format!("manifest of {}", escaped_path(&set))
}
