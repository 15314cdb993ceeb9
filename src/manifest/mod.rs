//! The release manifest: parses YAML into a [`Release`], expands all paths, fills in all defaults, and reports every mistake
//! with its place.
//!
//! | module | does |
//! |---|---|
//! | `yaml` | text to a tree with places |
//! | `shape`, `raw` | the tree to the manifest as typed; the schema comes from the same types |
//! | `expand` | `${ENVIRONMENT}` and `{variable}` in texts |
//! | `check`, `images` | the manifest as typed to a release |
//! | `collisions` | sets that would overwrite each other |

mod check;
mod collisions;
mod expand;
mod filter;
mod images;
mod problem;
mod raw;
mod schema;
mod selector;
mod shape;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

pub use collisions::check_collisions;
pub use filter::Filter;
pub use problem::{Errors, Position, Problem};
pub use schema::schema;
pub use selector::{Selector, SelectorError};

use crate::mirror::Tree;
use check::Context;
use expand::Environment;
use jigdo::template::Compression;
use jigdo::{Algorithm, Checksum};
use problem::Problems;
use selector::Selectors;
use shape::Read as _;

/// What a manifest says, checked and complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Names the release in reports.
    pub name: String,
    /// The manifest's path, as given.
    pub manifest: PathBuf,
    /// In the manifest's order.
    pub mirrors: Vec<Mirror>,
    /// The selected images: by entry, then by combination of the matrix, then by path.
    pub images: Vec<Image>,
}

/// A tree of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Names the mirror in jigdo files.
    pub label: String,
    /// A directory. It exists if no selector was given or an image uses the mirror.
    pub path: PathBuf,
    /// Which of the tree's files may be parts.
    pub filter: Filter,
    /// In the order in which they are listed.
    pub servers: Vec<Server>,
}

impl Mirror {
    /// The tree to walk.
    pub fn tree(&self) -> Tree {
        let filter = self.filter.clone();
        Tree { label: self.label.clone(), root: self.path.clone(), filter: Box::new(move |path| filter.matches(path)) }
    }
}

/// A line of `[Servers]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Ends in a slash, unless it is a label alone (`Debian:`) or has a query. Without white space.
    pub url: String,
    /// Only used when all others have failed.
    pub try_last: bool,
}

/// An image, and the set to make of it. No text here has control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// A file that existed when the manifest was read.
    pub path: PathBuf,
    /// The image's combination of the matrix.
    pub variables: BTreeMap<String, String>,
    /// The directory for the set. It need not exist, but nothing else is in its place.
    pub output: PathBuf,
    /// The set is `{name}.jigdo` and `{name}.template`. A file name.
    pub name: String,
    /// The value of `Template=`, not yet quoted.
    pub template_url: String,
    /// The value of `Filename=`, not yet quoted. A file name.
    pub filename: String,
    /// At most 200 characters.
    pub short_info: Option<String>,
    /// At most 5000 characters.
    pub info: Option<String>,
    /// URLs for `[Include]` lines. Without white space.
    pub include_jigdo: Vec<String>,
    /// Indices into [`Release::mirrors`]: the first that has a part names it. At least one.
    pub mirrors: Vec<usize>,
    /// How its set is made.
    pub settings: Settings,
    /// Where the image's entry is in the manifest.
    pub place: Position,
}

/// How a set is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The algorithm of the template's sums.
    pub checksum: Checksum,
    /// How the template's unmatched data are compressed.
    pub compression: Compression,
    /// 0 to 9; never 0 with bzip2.
    pub level: u8,
    /// Parts shorter than this many bytes are not matched; 256 to 16 MiB.
    pub min_length: u32,
    /// Whether the `.jigdo` file's content is compressed with gzip.
    pub compress_jigdo: bool,
    /// The SUMS files, and the sums in the `.jigdo` file's comments.
    pub sums: BTreeSet<Algorithm>,
}

/// Reads a manifest.
///
/// Files of combinations that are not selected need not exist, nor do mirrors that no selected image uses.
///
/// # Errors
/// Every mistake in the manifest, and every selector that selects nothing.
pub fn load(path: &Path, selectors: &[Selector]) -> Result<Release, Errors> {
    let mut releases = load_all(&[path], selectors)?;
    Ok(releases.pop().expect("one path yields one release"))
}

/// Reads manifests that are published together: a selector must select something in at least one of them, and no two may
/// write the same set.
///
/// # Errors
/// Every mistake in every manifest.
pub fn load_all(paths: &[impl AsRef<Path>], selectors: &[Selector]) -> Result<Vec<Release>, Errors> {
    load_with(paths, selectors, &|name| std::env::var_os(name))
}

/// A manifest's mirrors, independent of its images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrors {
    /// In the manifest's order. All their paths are directories.
    pub mirrors: Vec<Mirror>,
    /// The minimum lengths of parts, each once.
    pub min_lengths: BTreeSet<u32>,
}

/// Reads the mirrors of manifests. The images need not exist yet.
///
/// # Errors
/// Every mistake in what was read.
pub fn load_mirrors(paths: &[impl AsRef<Path>]) -> Result<Vec<Mirrors>, Errors> {
    let mut all = Vec::new();
    let mut errors = Errors::default();
    for path in paths {
        let mut problems = Problems::new(path.as_ref());
        all.extend(read_mirrors(path.as_ref(), &|name| std::env::var_os(name), &mut problems));
        errors.0.extend(problems.into_errors().0);
    }
    if errors.0.is_empty() { Ok(all) } else { Err(errors) }
}

/// Reads a manifest's mirrors for their servers only. Neither their trees nor the images need exist.
///
/// # Errors
/// Every mistake in what was read.
pub fn load_servers(path: &Path) -> Result<Vec<Mirror>, Errors> {
    let mut problems = Problems::new(path);
    let mirrors = read_shape(path, &mut problems).map(|manifest| {
        let mut context = context(path, &|name| std::env::var_os(name), &mut problems);
        let (_, variables) = context.variables(&manifest);
        context.mirrors(&manifest, &variables)
    });
    let errors = problems.into_errors();
    if errors.0.is_empty() { Ok(mirrors.unwrap_or_default()) } else { Err(errors) }
}

/// Reads one manifest's mirrors. The result is only valid if there were no problems.
fn read_mirrors(path: &Path, environment: Environment, problems: &mut Problems) -> Option<Mirrors> {
    let manifest = read_shape(path, problems)?;
    let mut context = context(path, environment, problems);
    let (_, variables) = context.variables(&manifest);
    let mirrors = context.mirrors(&manifest, &variables);
    context.check_trees(&manifest, &mirrors, |_| true);
    let settings = |entry: &shape::Placed<raw::Image>| {
        context.settings(&entry.value.settings, manifest.defaults.as_ref()).min_length
    };
    let min_lengths = manifest.images.value.iter().map(settings).collect();
    Some(Mirrors { mirrors, min_lengths })
}

fn load_with(
    paths: &[impl AsRef<Path>],
    selectors: &[Selector],
    environment: Environment,
) -> Result<Vec<Release>, Errors> {
    let mut selectors = Selectors::new(selectors);
    let mut releases = Vec::new();
    let mut errors = Errors::default();
    for path in paths {
        let mut problems = Problems::new(path.as_ref());
        let release = read(path.as_ref(), &mut selectors, environment, &mut problems);
        errors.0.extend(problems.into_errors().0);
        releases.extend(release);
    }
    if releases.len() == paths.len() {
        let mut problems = Problems::new(paths.first().map_or(Path::new(""), AsRef::as_ref));
        selectors.finish(&mut problems);
        errors.0.extend(problems.into_errors().0);
    }
    if let Err(collisions) = check_collisions(&releases) {
        errors.0.extend(collisions.0);
    }
    if errors.0.is_empty() { Ok(releases) } else { Err(errors) }
}

/// Reads one manifest. The result is only valid if there were no problems.
fn read(path: &Path, selectors: &mut Selectors, environment: Environment, problems: &mut Problems) -> Option<Release> {
    let manifest = read_shape(path, problems)?;
    let mut context = context(path, environment, problems);
    let (name, variables) = context.variables(&manifest);
    let mirrors = context.mirrors(&manifest, &variables);
    let images = context.images(&manifest, &variables, &mirrors, selectors);
    Some(Release { name: name?, manifest: path.to_owned(), mirrors, images })
}

/// The context in which to check the manifest at `path`.
fn context<'a, 'f>(path: &'a Path, environment: Environment<'a>, problems: &'a mut Problems<'f>) -> Context<'a, 'f> {
    Context { directory: path.parent().unwrap_or(Path::new("")), environment, problems, combinations: 0 }
}

/// The manifest as typed.
fn read_shape(path: &Path, problems: &mut Problems) -> Option<raw::Manifest> {
    let text = read_text(path, problems)?;
    let node = yaml::parse(&text, problems)?;
    if matches!(node.value, yaml::Value::Null) {
        problems.add(None, "the manifest is empty");
        return None;
    }
    raw::Manifest::read(&node, problems)
}

/// The manifest's text, unless it is too long.
fn read_text(path: &Path, problems: &mut Problems) -> Option<String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(yaml::MAX_LEN + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        problems.add(None, format!("cannot be read: {error}"));
        return None;
    }
    if bytes.len() as u64 > yaml::MAX_LEN {
        problems.add(None, format!("the manifest is longer than {} bytes", yaml::MAX_LEN));
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = memchr::memchr_iter(b'\n', valid).count() as u64 + 1;
            let start = valid.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
            let column = String::from_utf8_lossy(&valid[start..]).chars().count() as u64 + 1;
            problems.add(Position { line, column }, "the manifest is not UTF-8");
            None
        }
    }
}

#[cfg(test)]
mod tests;
