//! Checks files against the SUMS files beside them.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use jigdo::bstr::BString;
use jigdo::{Algorithm, escaped_path, hex};
use serde::Serialize;
use walkdir::WalkDir;

use crate::digest::Hasher;
use crate::file::{Stamp, walk_error};
use crate::json;
use crate::output::sums::{self, Content, Line, SumsFile, file_name};
use crate::set::{self, Images, Offline};
use crate::summing::{Engine, Request, Source, Ticket};

/// A line of a SUMS file, and the result for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The line's number, counted from 1.
    pub line: usize,
    /// The file's name. `None` if the line cannot be read.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "json::foreign")]
    pub name: Option<BString>,
    /// What was found out.
    #[serde(flatten)]
    pub state: State,
}

/// The result for a line of a SUMS file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// The file has this sum.
    Right,
    /// The file has another sum, in hexadecimal.
    Wrong {
        /// The file's sum.
        found: String,
    },
    /// The file is missing, but it is the image of a set here, and the set has the same sum.
    ImageOfSet,
    /// The file is missing, but it is the image of a set here. The set has no sum of this kind.
    ImageUnchecked,
    /// The image is missing, and its set names another sum, in hexadecimal.
    OtherThanSet {
        /// The image's sum according to its set.
        found: String,
    },
    /// There is no such file.
    Missing,
    /// The file cannot be read.
    Unreadable {
        /// Why not.
        error: String,
    },
    /// The line does not have a sum of this kind.
    NoSum,
    /// The line names an algorithm that cannot be checked here.
    UnknownAlgorithm,
    /// The line cannot be read.
    Malformed,
}

impl State {
    /// Whether something was compared with the sum.
    pub fn is_checked(&self) -> bool {
        matches!(self, Self::Right | Self::Wrong { .. } | Self::ImageOfSet | Self::OtherThanSet { .. })
    }
}

/// A SUMS file and the results for its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SumsReport {
    /// The SUMS file's path.
    #[serde(serialize_with = "json::foreign")]
    pub file: PathBuf,
    /// In the order of the lines, without empty ones and comments.
    pub entries: Vec<Entry>,
}

impl SumsReport {
    /// The lines that are wrong.
    pub fn wrong(&self) -> impl Iterator<Item = &Entry> {
        let is_right = |state: &State| matches!(state, State::Right | State::ImageOfSet | State::ImageUnchecked);
        self.entries.iter().filter(move |entry| !is_right(&entry.state))
    }

    /// Whether no line was compared with anything: such a file says nothing about anything.
    pub fn is_unchecked(&self) -> bool {
        !self.entries.iter().any(|entry| entry.state.is_checked())
    }
}

/// The SUMS files of a tree, and what in it could not be looked at.
#[derive(Debug, Default)]
pub struct CheckedSums {
    /// In the order of the SUMS files' paths.
    pub reports: Vec<SumsReport>,
    /// Directories and SUMS files that could not be read, as `path: what is wrong`.
    pub unreadable: Vec<String>,
}

/// Checks the SUMS files in `directory` and below. Each file that they name is read once.
///
/// # Errors
/// The directory itself cannot be read, or no threads can be started.
pub fn check_sums(directory: &Path, threads: usize) -> io::Result<CheckedSums> {
    let Found { files: paths, mut unreadable } = find(directory)?;
    let mut files = Vec::new();
    for (path, algorithm) in paths {
        match read_regular(&path) {
            Ok(text) => files.push((path, SumsFile::parse(algorithm, &text))),
            Err(error) => unreadable.push(named(&path, &error)),
        }
    }
    let mut wanted: BTreeMap<PathBuf, Vec<Algorithm>> = BTreeMap::new();
    for (path, sums) in &files {
        for entry in sums.entries() {
            let Some(algorithm) = entry.algorithm else { continue };
            let algorithms = wanted.entry(beside(path, entry)).or_default();
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
    }
    let sums = sums_of(wanted, threads)?;
    let mut sets = HashMap::new();
    let mut report = |(path, listed): (PathBuf, SumsFile)| {
        let entry = |(number, line): (usize, &Line)| {
            let state = match &line.content {
                Content::Nothing => return None,
                Content::Malformed => State::Malformed,
                Content::Entry(entry) => state(&path, entry, &line.sum(entry), &sums, &mut sets),
            };
            let name = line.entry().map(|entry| BString::from(entry.name.as_slice()));
            Some(Entry { line: number + 1, name, state })
        };
        let entries = listed.lines().enumerate().filter_map(entry).collect();
        SumsReport { file: path, entries }
    };
    Ok(CheckedSums { reports: files.into_iter().map(&mut report).collect(), unreadable })
}

/// The bytes of a SUMS file. Opening a pipe would wait for a writer, and reading a device may never end.
fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.is_file() { fs::read(path) } else { Err(io::Error::other("it is not a regular file")) }
}

/// The file that a line of a SUMS file is about.
fn beside(sums_file: &Path, entry: &sums::Entry) -> PathBuf {
    sums_file.with_file_name(OsStr::from_bytes(&entry.name))
}

/// The images of the sets in directories, by name, with their sums according to the sets, in hexadecimal.
type ImagesOfSets = HashMap<PathBuf, HashMap<OsString, Sums>>;

/// What is found out about a line that has this sum, in hexadecimal.
fn state(
    sums_file: &Path,
    entry: &sums::Entry,
    sum: &str,
    found: &HashMap<PathBuf, io::Result<Sums>>,
    sets: &mut ImagesOfSets,
) -> State {
    let file = beside(sums_file, entry);
    let Some(algorithm) = entry.algorithm else { return State::UnknownAlgorithm };
    if sum.len() != hex_length(algorithm) {
        return State::NoSum;
    }
    match &found[&file] {
        Ok(found) if found[&algorithm].eq_ignore_ascii_case(sum) => State::Right,
        Ok(found) => State::Wrong { found: found[&algorithm].clone() },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = file.parent().unwrap_or(Path::new("")).to_owned();
            let images = sets.entry(directory).or_insert_with_key(|directory| images_of_sets(directory));
            let known = file.file_name().and_then(|name| images.get(name));
            of_image(known, algorithm, sum)
        }
        Err(error) => State::Unreadable { error: error.to_string() },
    }
}

fn named(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", escaped_path(&path))
}

/// The SUMS files of a tree, and what in it cannot be read.
#[derive(Default)]
struct Found {
    /// With their algorithms, in the order of their paths.
    files: Vec<(PathBuf, Algorithm)>,
    unreadable: Vec<String>,
}

fn find(directory: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    for entry in WalkDir::new(directory).sort_by_file_name() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let (path, cause) = walk_error(directory, error);
                if path == directory {
                    return Err(cause);
                }
                found.unreadable.push(named(&path, &cause));
                continue;
            }
        };
        let is_named = |algorithm: &Algorithm| *entry.file_name() == *file_name(*algorithm);
        if let Some(algorithm) = Algorithm::ALL.into_iter().find(is_named)
            && !entry.file_type().is_dir()
        {
            found.files.push((entry.into_path(), algorithm));
        }
    }
    found.files.sort();
    Ok(found)
}

fn hex_length(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Md5 => 32,
        Algorithm::Sha1 => 40,
        Algorithm::Sha256 => 64,
        Algorithm::Sha512 => 128,
    }
}

/// The state of a missing image.
fn of_image(known: Option<&Sums>, algorithm: Algorithm, sum: &str) -> State {
    match known {
        None => State::Missing,
        Some(known) => match known.get(&algorithm) {
            Some(found) if !found.eq_ignore_ascii_case(sum) => State::OtherThanSet { found: found.clone() },
            Some(_) => State::ImageOfSet,
            None => State::ImageUnchecked,
        },
    }
}

/// The images of the sets in a directory, with their sums according to the sets, in hexadecimal.
fn images_of_sets(directory: &Path) -> HashMap<OsString, Sums> {
    let jigdo_files = set::find_directly_in(directory).unwrap_or_default().files;
    let all = jigdo_files.into_iter().filter_map(|file| Images::read(&file.path, &Offline).ok());
    let sets = all
        .flat_map(|images| (0..images.count()).filter_map(|number| images.set(number, None).ok()).collect::<Vec<_>>());
    let images = sets.map(|set| {
        let mut sums = set.image.sums();
        if let Ok(template) = set.read_template() {
            let sum = template.description.image.sum;
            sums.insert(sum.checksum().into(), sum.to_string());
        }
        (set.image_name, sums)
    });
    images.collect()
}

/// A file's sums, in hexadecimal.
type Sums = BTreeMap<Algorithm, String>;

/// The sums of many files, computed in parallel.
///
/// # Errors
/// No threads can be started.
fn sums_of(
    wanted: BTreeMap<PathBuf, Vec<Algorithm>>,
    threads: usize,
) -> io::Result<HashMap<PathBuf, io::Result<Sums>>> {
    let engine = Engine::with_own_threads(threads)?;
    let requests: Vec<_> = wanted.iter().map(|(path, algorithms)| request(path, algorithms)).collect();
    let (mut failed, mut good) = (Vec::new(), Vec::new());
    for ((path, algorithms), request) in wanted.into_iter().zip(requests) {
        match request {
            Ok(request) => good.push(((path, algorithms), request)),
            Err(error) => failed.push((path, Err(error))),
        }
    }
    let (files, requests): (Vec<_>, Vec<_>) = good.into_iter().unzip();
    let tickets = engine.sum(requests);
    engine.wait_idle(&tickets);
    let result = |((path, algorithms), ticket): ((PathBuf, Vec<Algorithm>), Arc<Ticket>)| {
        let sums = match ticket.sums().expect("it was waited for") {
            Ok(sums) => Ok(algorithms.into_iter().zip(sums[0].iter().map(|sum| hex(sum))).collect()),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        (path, sums)
    };
    Ok(files.into_iter().zip(tickets).map(result).chain(failed).collect())
}

/// A request for these sums of a file.
fn request(path: &Path, algorithms: &[Algorithm]) -> io::Result<Request> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let source = Source::closed(path.to_owned(), Stamp::of(&metadata));
    let hashers = algorithms.iter().map(|&algorithm| Hasher::new(algorithm)).collect();
    Ok(Request { source, start: 0, ends: vec![metadata.len()], hashers })
}
