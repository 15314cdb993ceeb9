//! Whether files are what the SUMS files beside them say.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use jigdo::{Algorithm, hex};
use parking_lot::Mutex;
use serde::Serialize;

use crate::digest::{self, Hasher};
use crate::output::sums::{SumsFile, file_name};
use crate::set::{Offline, Set};

/// How many files a thread reads side by side: as many as its lanes take.
const SIDE_BY_SIDE: usize = 16;

/// How much is read of a file at a time, in bytes.
const PIECE: usize = 64 << 10;

/// A line of a SUMS file, and what was found out about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// As the line has it.
    pub name: String,
    #[serde(flatten)]
    pub state: State,
}

/// What was found out about a line of a SUMS file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// The file has that sum.
    Right,
    /// The file has another sum, in hexadecimal.
    Wrong { found: String },
    /// The file is not there. It is the image of a set that is, and the set knows no other sum of it.
    ImageOfSet,
    /// The image is not there, and its set says another sum of it, in hexadecimal.
    OtherThanSet { found: String },
    /// There is no such file.
    Missing,
    /// The file cannot be read.
    Unreadable { error: String },
    /// What stands there is no sum of this kind.
    NoSum,
}

/// A SUMS file with what was found out about each line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SumsReport {
    pub file: PathBuf,
    /// Ordered by name.
    pub entries: Vec<Entry>,
}

impl SumsReport {
    /// The lines that are wrong.
    pub fn wrong(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| !matches!(entry.state, State::Right | State::ImageOfSet))
    }
}

/// Looks at the SUMS files in `directory` and in all directories below it, and at each file that they name, once. The
/// SUMS files come in the order of their paths.
///
/// # Errors
/// A directory or a SUMS file cannot be read.
pub fn check_sums(directory: &Path, threads: usize) -> io::Result<Vec<SumsReport>> {
    let mut found = Vec::new();
    find(directory, &mut found)?;
    found.sort();
    let mut files = Vec::new();
    for (path, algorithm) in found {
        let text = fs::read(&path).map_err(|error| named(&path, error))?;
        files.push((path, algorithm, SumsFile::parse(&text)));
    }
    let mut wanted: BTreeMap<PathBuf, Vec<Algorithm>> = BTreeMap::new();
    for (path, algorithm, sums) in &files {
        for (name, _) in sums.sums() {
            let algorithms = wanted.entry(path.with_file_name(name)).or_default();
            if !algorithms.contains(algorithm) {
                algorithms.push(*algorithm);
            }
        }
    }
    let sums = sums_of(wanted, threads);
    let mut sets = HashMap::new();
    let report = |(path, algorithm, listed): (PathBuf, Algorithm, SumsFile)| {
        let entry = |(name, sum): (&str, &str)| {
            let file = path.with_file_name(name);
            let state = match &sums[&file] {
                _ if sum.len() != hex_length(algorithm) => State::NoSum,
                Ok(found) if found[&algorithm].eq_ignore_ascii_case(sum) => State::Right,
                Ok(found) => State::Wrong { found: found[&algorithm].clone() },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let directory = file.parent().unwrap_or(Path::new("")).to_owned();
                    let images = sets.entry(directory).or_insert_with_key(|directory| images_of_sets(directory));
                    of_image(images.get(name), algorithm, sum)
                }
                Err(error) => State::Unreadable { error: error.to_string() },
            };
            Entry { name: name.to_owned(), state }
        };
        let entries = listed.sums().map(entry).collect();
        SumsReport { file: path, entries }
    };
    Ok(files.into_iter().map(report).collect())
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Finds SUMS files, and of which kind each is.
fn find(directory: &Path, found: &mut Vec<(PathBuf, Algorithm)>) -> io::Result<()> {
    for entry in fs::read_dir(directory).map_err(|error| named(directory, error))? {
        let entry = entry.map_err(|error| named(directory, error))?;
        let kind = entry.file_type().map_err(|error| named(&entry.path(), error))?;
        if kind.is_dir() {
            find(&entry.path(), found)?;
        } else if let Some(algorithm) =
            Algorithm::ALL.into_iter().find(|&algorithm| entry.file_name() == *file_name(algorithm))
        {
            found.push((entry.path(), algorithm));
        }
    }
    Ok(())
}

fn hex_length(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Md5 => 32,
        Algorithm::Sha1 => 40,
        Algorithm::Sha256 => 64,
        Algorithm::Sha512 => 128,
    }
}

/// What is to be said of an image that is not there.
fn of_image(known: Option<&BTreeMap<Algorithm, String>>, algorithm: Algorithm, sum: &str) -> State {
    match known {
        None => State::Missing,
        Some(known) => match known.get(&algorithm) {
            Some(found) if !found.eq_ignore_ascii_case(sum) => State::OtherThanSet { found: found.clone() },
            _ => State::ImageOfSet,
        },
    }
}

/// The images of the sets in a directory, and what these say of their sums, in hexadecimal.
fn images_of_sets(directory: &Path) -> HashMap<String, BTreeMap<Algorithm, String>> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let jigdo_files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "jigdo"));
    let images = jigdo_files.filter_map(|path| {
        let set = Set::open(&path, None, &Offline).ok()?;
        let mut sums = set.image.sums();
        if let Ok(template) = set.read_template() {
            let sum = template.description.image.sum;
            sums.insert(sum.checksum().into(), sum.to_string());
        }
        Some((set.image_name, sums))
    });
    images.collect()
}

/// A file's sums, in hexadecimal.
type Sums = BTreeMap<Algorithm, String>;

/// The sums of files, many side by side.
fn sums_of(wanted: BTreeMap<PathBuf, Vec<Algorithm>>, threads: usize) -> HashMap<PathBuf, io::Result<Sums>> {
    let mut waiting: Vec<_> = wanted.into_iter().collect();
    // The longest first, so that the lanes run dry at about the same time.
    waiting.sort_by_cached_key(|(path, _)| fs::metadata(path).map_or(0, |found| found.len()));
    let threads = threads.clamp(1, waiting.len().div_ceil(SIDE_BY_SIDE / 2).max(1));
    let waiting = Mutex::new(waiting);
    let done = Mutex::new(HashMap::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let next = || waiting.lock().pop();
                let end = |path, sums| {
                    done.lock().insert(path, sums);
                };
                read_side_by_side(next, end);
            });
        }
    });
    done.into_inner()
}

/// A file that is being read.
struct Lane {
    path: PathBuf,
    file: File,
    hashers: Vec<(Algorithm, Hasher)>,
    buffer: Vec<u8>,
    filled: usize,
}

impl Lane {
    fn open(path: &Path, algorithms: &[Algorithm]) -> io::Result<Self> {
        let file = crate::file::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let hashers = algorithms.iter().map(|&algorithm| (algorithm, Hasher::new(algorithm))).collect();
        Ok(Self { path: path.to_owned(), file, hashers, buffer: vec![0; PIECE], filled: 0 })
    }

    /// Reads on; `false` at the end.
    fn fill(&mut self) -> io::Result<bool> {
        loop {
            match self.file.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    self.filled = read?;
                    return Ok(self.filled > 0);
                }
            }
        }
    }

    fn sums(&mut self) -> Sums {
        self.hashers.drain(..).map(|(algorithm, hasher)| (algorithm, hex(&hasher.finish()))).collect()
    }
}

/// Reads what `next` gives, and gives what came of each to `end`.
fn read_side_by_side(next: impl Fn() -> Option<(PathBuf, Vec<Algorithm>)>, end: impl Fn(PathBuf, io::Result<Sums>)) {
    let mut lanes: Vec<Lane> = Vec::new();
    loop {
        while lanes.len() < SIDE_BY_SIDE
            && let Some((path, algorithms)) = next()
        {
            match Lane::open(&path, &algorithms) {
                Ok(lane) => lanes.push(lane),
                Err(error) => end(path, Err(error)),
            }
        }
        if lanes.is_empty() {
            return;
        }
        lanes.retain_mut(|lane| match lane.fill() {
            Ok(true) => true,
            Ok(false) => {
                let sums = lane.sums();
                end(std::mem::take(&mut lane.path), Ok(sums));
                false
            }
            Err(error) => {
                end(std::mem::take(&mut lane.path), Err(error));
                false
            }
        });
        let mut updates: Vec<(&mut Hasher, &[u8])> = Vec::new();
        for Lane { hashers, buffer, filled, .. } in &mut lanes {
            updates.extend(hashers.iter_mut().map(|(_, hasher)| (hasher, &buffer[..*filled])));
        }
        digest::update_all(&mut updates);
    }
}
