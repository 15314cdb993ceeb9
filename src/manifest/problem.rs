//! Mistakes in manifests, with their places and suggestions.

use jigdo::escaped_path;
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// A place in a manifest. Lines and columns count from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: u64,
    /// The character in the line, from 1.
    pub column: u64,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The manifest's path, as given.
    pub file: PathBuf,
    /// `None` if the mistake is about the whole file or the command line.
    pub place: Option<Position>,
    /// What is wrong and what to do.
    pub message: String,
}

/// `file:line:column: message`, which editors and CI systems know how to jump to.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", escaped_path(&self.file))?;
        if let Some(Position { line, column }) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}

/// All mistakes, in the manifests' order. Never empty when returned as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Errors(pub Vec<Problem>);

/// One problem per line.
impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// Collects the problems of one manifest.
pub(super) struct Problems<'a> {
    file: &'a Path,
    found: Vec<Problem>,
    known: HashSet<(Option<Position>, String)>,
    /// How many mistakes were met, those that were reported before included.
    met: usize,
    /// Whether the manifest could only be read up to a mistake, so that nothing is known of what it lacks.
    pub is_cut: bool,
}

impl<'a> Problems<'a> {
    pub fn new(file: &'a Path) -> Self {
        Self { file, found: Vec::new(), known: HashSet::new(), met: 0, is_cut: false }
    }

    /// Adds a mistake, unless it is there already: a text that several images share would otherwise repeat it.
    pub fn add(&mut self, place: impl Into<Option<Position>>, message: impl Into<String>) {
        let (place, message) = (place.into(), message.into());
        self.met += 1;
        if self.known.insert((place, message.clone())) {
            self.found.push(Problem { file: self.file.to_owned(), place, message });
        }
    }

    /// Where the mistakes are. What else is found there is probably a consequence.
    pub fn places(&self) -> HashSet<Position> {
        self.found.iter().filter_map(|problem| problem.place).collect()
    }

    /// The manifest's path, as given.
    pub fn file(&self) -> &'a Path {
        self.file
    }

    /// Something was met that was reported before.
    pub fn add_known(&mut self) {
        self.met += 1;
    }

    /// How many mistakes were met so far. What was read in between has none if this has not changed.
    pub fn met(&self) -> usize {
        self.met
    }

    /// Takes back what was added since there were `count` mistakes.
    pub fn take_since(&mut self, count: usize) -> Vec<Problem> {
        let taken = self.found.split_off(count);
        for problem in &taken {
            self.known.remove(&(problem.place, problem.message.clone()));
        }
        taken
    }

    /// How many mistakes there are.
    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// Whether there is any mistake.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The mistakes, in the order of the file; those without a place come last.
    pub fn into_errors(mut self) -> Errors {
        self.found.sort_by_key(|problem| (problem.place.is_none(), problem.place));
        Errors(self.found)
    }
}

/// Longer words are not compared: the cost grows with the product of the lengths.
const MAX_WORD: usize = 100;

/// `; did you mean "x"?` with the nearest of the `known` words, or an empty text if none is near.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"))
}

/// The nearest of the `known` words, if one is near.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if length > MAX_WORD {
        return None;
    }
    let allowed = (length / 3).max(1);
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= MAX_WORD)
        .map(|candidate| (strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        // Words of one letter are all as near as can be.
        .filter(|(distance, candidate)| *distance <= allowed && *distance < length.max(candidate.chars().count()))
        .min()
        .map(|(_, candidate)| candidate)
}
