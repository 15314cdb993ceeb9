//! Sets as they are checked: a jigdo file with what it includes, and its template.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use jigdo::Sum;
use jigdo::base64;
use jigdo::jigdo_file::{Jigdo, Location};
use jigdo::template::{Area, Template};

use super::place::Place;
use crate::digest;
use crate::servers::Found;
use crate::servers::find::read_regular;

/// The most jigdo files that one may include, directly or not.
const MAX_INCLUDES: usize = 100;

/// A set.
pub struct Set {
    pub path: PathBuf,
    /// The file itself.
    pub origin: Place,
    /// Servers and parts of included files are among its own.
    pub jigdo: Jigdo,
    /// How long the parts are, as the template says; empty without one.
    pub lengths: HashMap<Sum, u64>,
    /// What is wrong with it.
    pub problems: Vec<String>,
    /// What could not be looked at.
    pub notes: Vec<String>,
}

/// Gets jigdo files from the web.
pub type Fetch<'a> = dyn Fn(&url::Url) -> Result<Vec<u8>, String> + Sync + 'a;

impl Set {
    /// Reads a set. What is wrong with it and leaves it a set is in its problems.
    pub fn read(found: &Found, fetch: &Fetch<'_>) -> Result<Self, String> {
        let (_, bytes) = found.read().map_err(|error| error.to_string())?;
        let jigdo = Jigdo::read(&*bytes).map_err(|error| error.to_string())?;
        let mut set = Self {
            path: found.path.clone(),
            origin: Place::File(found.real.clone()),
            jigdo,
            lengths: HashMap::new(),
            problems: Vec::new(),
            notes: Vec::new(),
        };
        set.include(fetch);
        if let Some((_, location)) = set.jigdo.parts.iter().find(|(_, location)| !stays_in_its_tree(location)) {
            return Err(format!("the path of part \"{location}\" leads out of its tree; this file cannot be trusted"));
        }
        set.check_template();
        Ok(set)
    }

    /// Takes in what the file includes.
    fn include(&mut self, fetch: &Fetch<'_>) {
        let includes = |jigdo: &Jigdo, origin: &Place| -> Vec<(String, Place)> {
            jigdo.includes.iter().rev().map(|url| (url.clone(), origin.clone())).collect()
        };
        let mut waiting = includes(&self.jigdo, &self.origin);
        let mut seen = Vec::new();
        while let Some((url, origin)) = waiting.pop() {
            let place = match Place::of(&url, &origin) {
                Ok(place) if seen.contains(&place) => continue,
                Ok(_) if seen.len() == MAX_INCLUDES => {
                    self.problems.push(format!("it includes more than {MAX_INCLUDES} jigdo files"));
                    return;
                }
                Ok(place) => place,
                Err(error) => {
                    self.problems.push(format!("[Include {url}]: {error}"));
                    continue;
                }
            };
            let bytes = match &place {
                Place::File(path) => {
                    let read = read_regular(path).map(|(_, bytes)| bytes);
                    read.map_err(|error| format!("{}: {error}", path.display()))
                }
                Place::Web(url) => fetch(url),
            };
            match bytes.and_then(|bytes| Jigdo::read(&*bytes).map_err(|error| error.to_string())) {
                Ok(included) => {
                    waiting.extend(includes(&included, &place));
                    self.jigdo.servers.extend(included.servers);
                    self.jigdo.parts.extend(included.parts);
                }
                Err(error) => self.problems.push(format!("[Include {url}]: {error}")),
            }
            seen.push(place);
        }
    }

    /// Compares the set with its template.
    fn check_template(&mut self) {
        let Some(image) = &self.jigdo.image else { return };
        let path = match Place::of(&image.template, &self.origin) {
            Ok(Place::File(path)) => path,
            // What is published elsewhere may lie here too.
            Ok(Place::Web(url)) => {
                let name = url.path_segments().and_then(|mut names| names.next_back()).unwrap_or_default().to_owned();
                let Ok(Place::File(path)) = Place::of(&name, &self.origin) else { return };
                if name.is_empty() || !path.is_file() {
                    self.notes.push(format!("its template {url} is not beside it, so lengths are not compared"));
                    return;
                }
                path
            }
            Err(error) => {
                self.problems.push(format!("its template: {error}"));
                return;
            }
        };
        let expected = image.template_sum;
        if let Err(error) = self.compare(&path, expected) {
            self.problems.push(format!("its template {}: {error}", path.display()));
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
                    "its template {} has another sum than the jigdo file says: {} instead of {}",
                    path.display(),
                    base64::encode(found.as_bytes()),
                    base64::encode(expected.as_bytes())
                ));
            }
        }
        let file = File::open(path).map_err(|error| error.to_string())?;
        let template = Template::read(BufReader::new(file)).map_err(|error| error.to_string())?;
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
                "its template needs {} parts that [Parts] does not have, such as {}",
                lacking.len(),
                base64::encode(first.as_bytes())
            ));
        }
        let unneeded: Vec<_> = self.jigdo.parts.iter().filter(|(sum, _)| !self.lengths.contains_key(sum)).collect();
        if let Some((_, first)) = unneeded.first() {
            let text = format!("[Parts] has {} parts that its template does not need, such as {first}", unneeded.len());
            self.problems.push(text);
        }
        Ok(())
    }
}

fn stays_in_its_tree(location: &Location) -> bool {
    jigdo::jigdo_file::is_scheme(&location.label) || location.plain_path().is_some()
}
