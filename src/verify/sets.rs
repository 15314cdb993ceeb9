//! Checks that sets are right and that mirrors have all their parts where the sets say.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use jigdo::bstr::{BString, ByteSlice as _};
use jigdo::escaped_path;
use jigdo::jigdo_file::Image;
use jigdo::template::Description;
use rayon::prelude::*;
use serde::Serialize;

use super::parts::{Checked, Wanted, check};
use crate::assemble::batch::MissingPart;
use crate::assemble::source::{LabelError, LabelTrees, Source as _, Trees};
use crate::assemble::{self, Missing, Part, PartPlace};
use crate::progress::{Progress, counted};
use crate::set::{self, Fetch, Images, Set};

/// How sets are to be checked.
pub struct Options<'a> {
    /// The directories that labels stand for. Labels without one are resolved through their `file:` servers.
    pub trees: Trees,
    /// Whether to check the parts as well as the sets.
    pub with_parts: bool,
    /// Fetches jigdo files that sets include from the web.
    pub fetch: &'a dyn Fetch,
    /// How many threads work.
    pub threads: usize,
    /// Receives progress reports.
    pub progress: &'a dyn Progress,
}

/// The result for a set: one image of a jigdo file.
#[derive(Debug, Clone, Serialize)]
pub struct SetReport {
    /// The jigdo file's path.
    #[serde(serialize_with = "crate::json::foreign")]
    pub set: PathBuf,
    /// The image's name; `None` if the jigdo file cannot be read.
    #[serde(serialize_with = "crate::json::foreign")]
    pub image: Option<PathBuf>,
    /// Whether the jigdo file describes other images too.
    #[serde(skip)]
    pub is_one_of_several: bool,
    /// Whether nothing is wrong with it.
    pub is_right: bool,
    /// What is wrong with the set itself.
    pub problems: Vec<String>,
    /// The number of different parts, and their total length in bytes.
    pub parts: usize,
    /// How long the parts are together, in bytes.
    pub bytes: u64,
    /// The parts that are missing or wrong where the set says, in the order of the image.
    pub missing: Vec<MissingPart>,
    /// The files that are not the parts that they should be.
    pub wrong: Vec<WrongPart>,
}

/// A file that is not the part that it should be.
#[derive(Debug, Clone, Serialize)]
pub struct WrongPart {
    /// The part's sum, in hexadecimal.
    pub sum: String,
    /// The file's path.
    #[serde(serialize_with = "crate::json::foreign")]
    pub file: BString,
    /// What is wrong with it.
    pub reason: String,
}

/// A set that has been read.
struct Read {
    path: PathBuf,
    image: Option<PathBuf>,
    is_one_of_several: bool,
    problems: Vec<String>,
    set: Option<Set>,
    /// Each part once, with the places where it should be.
    parts: Vec<(Missing, Vec<PartPlace>)>,
}

/// Checks the sets of these jigdo files, one for each image. Each file of a mirror is read once, however many sets need
/// it.
///
/// # Errors
/// No threads can be started.
pub fn check_sets(paths: &[PathBuf], options: &Options<'_>) -> Result<Vec<SetReport>, assemble::Error> {
    let sets: Vec<Read> = paths.par_iter().flat_map_iter(|path| read_all(path, options)).collect();
    let mut numbers: HashMap<Wanted, usize> = HashMap::new();
    let mut wanted: Vec<Wanted> = Vec::new();
    for (missing, places) in sets.iter().flat_map(|set| &set.parts).filter(|(_, places)| !places.is_empty()) {
        numbers.entry((missing.part, places.clone())).or_insert_with_key(|key| {
            wanted.push(key.clone());
            wanted.len() - 1
        });
    }
    let checked = check(&wanted, options.threads, options.progress)?;
    let of = |part: Part, places: &[PartPlace]| {
        let number = numbers.get(&(part, places.to_vec()))?;
        Some(&checked[*number])
    };
    Ok(sets.into_iter().map(|set| report(set, options.with_parts, of)).collect())
}

/// Reads the sets of a jigdo file.
fn read_all(path: &Path, options: &Options<'_>) -> Vec<Read> {
    let read = |image, is_one_of_several| Read {
        path: path.to_owned(),
        image,
        is_one_of_several,
        problems: Vec::new(),
        set: None,
        parts: Vec::new(),
    };
    match Images::read(path, options.fetch) {
        Ok(images) => {
            let named = |image: &Image| read(Some(image.file_name().to_path_lossy().into_owned()), images.count() > 1);
            let mut names: HashSet<OsString> = HashSet::new();
            for name in (0..images.count()).filter_map(|number| images.name(number)) {
                if let Some(name) = names.replace(name) {
                    let (path, name) = (escaped_path(path), escaped_path(&name));
                    options
                        .progress
                        .warn(&format!("{path}: two of its images are called {name}; rename one in the jigdo file"));
                }
            }
            let all = images.jigdo().images.iter().enumerate();
            all.map(|(number, image)| read_one(named(image), &images, number, options)).collect()
        }
        Err(error) => vec![Read { problems: vec![error.to_string()], ..read(None, false) }],
    }
}

/// Reads a set and its template's unmatched data, and finds where its parts should be.
fn read_one(mut read: Read, images: &Images, number: usize, options: &Options<'_>) -> Read {
    let path = images.path();
    read.problems.extend(images.not_included.iter().map(|left_out| format!("{}: {left_out}", escaped_path(&path))));
    let set = match images.set(number, None) {
        Ok(set) => set,
        Err(error) => {
            read.problems.push(error.to_string());
            return read;
        }
    };
    read.image = Some(set.image_name.clone().into());
    let (description, sum) = rayon::join(|| read_through(&set), || set.check_template_sum());
    read.problems.extend(sum.err().map(|error| error.to_string()));
    match description {
        Ok(description) => match places(images, &description, options) {
            Ok(parts) => read.parts = parts,
            Err(error) => read.problems.push(format!("{}: {error}", escaped_path(&path))),
        },
        Err(error) => read.problems.push(error.to_string()),
    }
    read.problems.extend(unnamed(&set, &read.parts));
    read.set = Some(set);
    read
}

/// The template's description. Its unmatched data are read to the end.
fn read_through(set: &Set) -> Result<Description, set::Error> {
    let mut template = set.read_template()?;
    let failed = |source| set::Error::Io { path: set.template.clone(), source };
    io::copy(&mut template.unmatched(), &mut io::sink()).map_err(failed)?;
    Ok(template.description)
}

/// Each part of a template once, with its offsets and the places where it should be.
fn places(
    images: &Images,
    description: &Description,
    options: &Options<'_>,
) -> Result<Vec<(Missing, Vec<PartPlace>)>, LabelError> {
    let labels = LabelTrees::of_images(images, &options.trees)?;
    let mut numbers = HashMap::new();
    let mut parts: Vec<Missing> = Vec::new();
    for (offset, area) in description.with_offsets() {
        if let Some(part) = Part::of(area, description.image.block_length).filter(|part| part.length > 0) {
            let number = *numbers.entry(part).or_insert_with(|| {
                parts.push(Missing { part, offsets: Vec::new() });
                parts.len() - 1
            });
            parts[number].offsets.push(offset);
        }
    }
    let wanted: Vec<Part> = parts.iter().map(|missing| missing.part).collect();
    let places = if options.with_parts { labels.find(&wanted) } else { vec![Vec::new(); wanted.len()] };
    Ok(parts.into_iter().zip(places).collect())
}

/// A problem if `[Parts]` lacks parts of the template: they cannot be found.
fn unnamed(set: &Set, parts: &[(Missing, Vec<PartPlace>)]) -> Option<String> {
    let named: HashSet<_> = set.jigdo.parts.iter().map(|(sum, _)| sum).collect();
    let mut unnamed = parts.iter().map(|(missing, _)| missing.part.sum).filter(|sum| !named.contains(sum));
    let first = unnamed.next()?;
    let path = escaped_path(&set.path);
    Some(format!("{path}: [Parts] lacks {} of the template, such as {first:?}", counted(1 + unnamed.count(), "part")))
}

fn report<'a>(read: Read, with_parts: bool, checked: impl Fn(Part, &[PartPlace]) -> Option<&'a Checked>) -> SetReport {
    let Read { path, image, is_one_of_several, problems, set, parts } = read;
    let (mut missing, mut wrong) = (Vec::new(), Vec::new());
    let bytes = parts.iter().map(|(missing, _)| missing.part.length).sum();
    for (part, places) in parts.iter().filter(|_| with_parts) {
        let checked = checked(part.part, places);
        for (place, reason) in checked.iter().flat_map(|checked| &checked.refused) {
            let (sum, file) = (part.part.sum.to_string(), place.text());
            wrong.push(WrongPart { sum, file, reason: reason.to_string() });
        }
        if !checked.is_some_and(|checked| checked.is_right)
            && let Some(set) = &set
        {
            missing.push(MissingPart::new(set, part));
        }
    }
    let is_right = problems.is_empty() && missing.is_empty() && wrong.is_empty();
    SetReport { set: path, image, is_one_of_several, is_right, problems, parts: parts.len(), bytes, missing, wrong }
}
