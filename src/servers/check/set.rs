//! The sets to check: jigdo files with what they include, compared with their templates.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use jigdo::base64;
use jigdo::jigdo_file::{Image, Jigdo, Location, is_scheme};
use jigdo::template::Area;
use jigdo::{Sum, escaped, escaped_path};

use crate::digest;
use crate::file::without_path;
use crate::progress::counted;
use crate::set::{self, BadPlace, Fetch, Included, JigdoFile, Place};

/// A set.
pub struct Set {
    pub path: PathBuf,
    /// The file itself.
    pub origin: Place,
    /// With the servers and parts of included files.
    pub jigdo: Jigdo,
    /// The lengths of parts in bytes, from the template; empty without one.
    pub lengths: HashMap<Sum, u64>,
    /// What is wrong with it.
    pub problems: Vec<String>,
    /// What could not be checked.
    pub notes: Vec<String>,
}

impl Set {
    /// Reads a set. Mistakes that do not prevent checking it are in its problems.
    ///
    /// # Errors
    ///
    /// Why the set cannot be checked, without its path.
    pub fn read(file: &JigdoFile, fetch: &dyn Fetch) -> Result<Self, String> {
        let Included { jigdo, not_included } =
            set::read(file, fetch).map_err(|error| without_path(&file.path, &error))?;
        if let Some((_, location)) = jigdo.parts.iter().find(|(_, location)| !stays_in_its_tree(location)) {
            return Err(format!("the path of part \"{location}\" leads out of its tree; do not trust this file"));
        }
        let mut set = Self {
            path: file.path.clone(),
            origin: Place::File(file.real.clone()),
            jigdo,
            lengths: HashMap::new(),
            problems: not_included.iter().map(ToString::to_string).collect(),
            notes: Vec::new(),
        };
        let images = set.jigdo.images.clone();
        let compared = images.iter().filter(|image| set.check_template(file, image)).count();
        if compared == images.len() && compared > 0 {
            set.check_unneeded();
        }
        Ok(set)
    }

    /// Compares the set with the template of one of its images. Returns whether that could be read.
    fn check_template(&mut self, file: &JigdoFile, image: &Image) -> bool {
        match template(file, image) {
            Ok(Some(path)) => match self.compare(&path, image.template_sum) {
                Ok(()) => return true,
                Err(error) => self.problems.push(format!("its template {}: {error}", escaped_path(&path))),
            },
            Ok(None) => {
                let url = escaped(&image.template);
                self.notes.push(format!("its template {url} is not beside it, so lengths cannot be compared"));
            }
            Err(error) => self.problems.push(format!("its template: {error}")),
        }
        false
    }

    /// Reports parts that no template needs.
    fn check_unneeded(&mut self) {
        let unneeded: Vec<_> = self.jigdo.parts.iter().filter(|(sum, _)| !self.lengths.contains_key(sum)).collect();
        if let Some((_, first)) = unneeded.first() {
            let whose = if self.jigdo.images.len() > 1 { "no template needs" } else { "its template does not need" };
            let text = format!("[Parts] has {} that {whose}, such as {first}", counted(unneeded.len(), "part"));
            self.problems.push(text);
        }
    }

    fn compare(&mut self, path: &Path, expected: Option<Sum>) -> Result<(), String> {
        // A device may have no end.
        if !fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
            return Err("it is not a regular file".to_owned());
        }
        if let Some(expected) = expected {
            let found = File::open(path).and_then(|file| digest::sum_of_reader(expected.checksum(), file));
            let found = found.map_err(|error| error.to_string())?;
            if found != expected {
                self.problems.push(format!(
                    "its template {} has the sum {}, but the jigdo file expects {}",
                    escaped_path(path),
                    base64::encode(found.as_bytes()),
                    base64::encode(expected.as_bytes())
                ));
            }
        }
        let template = set::read_template(path).map_err(|error| without_path(path, &error))?;
        let listed: HashSet<Sum> = self.jigdo.parts.iter().map(|(sum, _)| *sum).collect();
        let mut lacking = BTreeSet::new();
        for area in &template.description.areas {
            if let Area::Part { length, sum, .. } = *area {
                self.lengths.insert(sum, length);
                if !listed.contains(&sum) {
                    lacking.insert(sum);
                }
            }
        }
        if let Some(first) = lacking.first() {
            self.problems.push(format!(
                "its template needs {} that {} not in [Parts], such as {}",
                counted(lacking.len(), "part"),
                if lacking.len() == 1 { "is" } else { "are" },
                base64::encode(first.as_bytes())
            ));
        }
        Ok(())
    }
}

/// The local template that `Template=` names; `None` if it is only on the web.
fn template(file: &JigdoFile, image: &Image) -> Result<Option<PathBuf>, BadPlace> {
    let candidates = set::named_templates(file, &image.template)?;
    let found = candidates.iter().find(|path| path.is_file());
    if let Some(found) = found {
        return Ok(Some(found.clone()));
    }
    match Place::of(&image.template, &Place::File(file.real.clone()))? {
        Place::Web(_) => Ok(None),
        Place::File(path) => Ok(Some(candidates.into_iter().next().unwrap_or(path))),
    }
}

fn stays_in_its_tree(location: &Location) -> bool {
    is_scheme(&location.label) || location.plain_path().is_some()
}
