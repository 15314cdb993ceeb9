//! The release manifest: parses YAML into a [`Release`], expands all paths, fills in all defaults, and reports every mistake
//! with its place.
//!
//! | module | does |
//! |---|---|
//! | `yaml` | text to a tree with places |
//! | `shape`, `raw` | the tree to the manifest as typed; the schema comes from the same types |
//! | `expand` | `${ENVIRONMENT}` and `{variable}` in texts |
//! | `check`, `images` | the manifest as typed to a release |
//! | `server` | servers as people type them |
//! | `glob` | the one glob syntax, and the files that a glob matches |
//! | `collisions` | sets that would overwrite each other |

mod check;
mod collisions;
mod expand;
mod filter;
mod glob;
mod images;
mod problem;
mod raw;
mod schema;
mod selector;
pub(crate) mod server;
mod shape;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

pub use collisions::check_collisions;
pub use filter::Filter;
pub(crate) use problem::did_you_mean;
pub use problem::{Errors, Position, Problem};
pub use schema::schema;
pub use selector::{ImageGlob, Selector, SelectorError};

use crate::mirror::Tree;
use check::Context;
use expand::Environment;
use jigdo::jigdo_file::is_scheme;
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
    /// What of the selected entries cannot be published, in the same order. There are other images, unless it is all
    /// optional.
    pub left_out: Vec<LeftOut>,
}

/// A combination of an image entry without a usable image, or an image without its mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The image's path, or the glob that matches none.
    pub path: PathBuf,
    /// The combination of the matrix.
    pub variables: BTreeMap<String, String>,
    /// The directory for the set.
    pub output: PathBuf,
    /// Whether that is fine: the entry is optional, and nothing matches its path.
    pub is_optional: bool,
    /// What is wrong.
    pub problem: Problem,
    /// How many of the release's images come before it.
    pub images_before: usize,
}

/// A tree of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Names the mirror in jigdo files.
    pub label: String,
    /// A directory. It exists if an image uses the mirror.
    pub path: PathBuf,
    /// Which of the tree's files may be parts.
    pub filter: Filter,
    /// Whether hidden files may be parts.
    pub hidden: bool,
    /// In the order in which they are listed.
    pub servers: Vec<Server>,
}

impl Mirror {
    /// A mirror of which nothing but the label is known.
    fn unknown(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            path: PathBuf::new(),
            filter: Filter::everything(),
            hidden: false,
            servers: Vec::new(),
        }
    }

    /// The tree to walk.
    pub fn tree(&self) -> Tree {
        let (wanted, skipped) = (self.filter.clone(), self.filter.clone());
        Tree {
            label: self.label.clone(),
            root: self.path.clone(),
            filter: Box::new(move |path| wanted.matches(path)),
            skipped: Box::new(move |path| skipped.rejects_all_below(path)),
            hidden: self.hidden,
        }
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

impl Server {
    /// The label that the URL refers to, if it does.
    fn label(&self) -> Option<&str> {
        let (label, _) = self.url.split_once(':')?;
        (!label.contains('/') && !is_scheme(label)).then_some(label)
    }
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
    /// The permissions of published files; `None` for those of the files that they replace, else 0644.
    pub mode: Option<u32>,
}

/// Reads a manifest.
///
/// Files of combinations that are not selected need not exist, nor do mirrors that no selected image uses. A combination
/// without a file and an image without its mirror are [left out](Release::left_out), if there is anything else to publish.
///
/// # Errors
/// Every mistake in the manifest, and every selector that selects nothing.
pub fn load(path: &Path, selectors: &[Selector]) -> Result<Release, Errors> {
    let mut releases = load_all(&[path], selectors)?;
    Ok(releases.pop().expect("one path yields one release"))
}

/// Reads manifests that are published together: a selector must select something in at least one of them, and no two may
/// write the same set. One that is given several times is read once.
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
    for path in each_once(paths) {
        let mut problems = Problems::new(path);
        all.extend(read_mirrors(path, &|name| std::env::var_os(name), &mut problems));
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
        let (_, scope) = context.variables(&manifest);
        context.mirrors(&manifest, &scope)
    });
    let errors = problems.into_errors();
    if errors.0.is_empty() { Ok(mirrors.unwrap_or_default()) } else { Err(errors) }
}

/// Reads one manifest's mirrors. The result is only valid if there were no problems.
fn read_mirrors(path: &Path, environment: Environment, problems: &mut Problems) -> Option<Mirrors> {
    let manifest = read_shape(path, problems)?;
    let mut context = context(path, environment, problems);
    let (_, scope) = context.variables(&manifest);
    let mirrors = context.mirrors(&manifest, &scope);
    for (place, message) in Context::tree_problems(&manifest, &mirrors).into_iter().flatten() {
        context.problems.add(place, message);
    }
    let settings = |entry: &shape::Placed<raw::Image>| {
        context.settings(&entry.value.settings, manifest.defaults.as_ref()).min_length
    };
    let min_lengths = manifest.images.0.iter().flat_map(|images| &images.value).map(settings).collect();
    Some(Mirrors { mirrors, min_lengths })
}

/// The paths without those of manifests that are among them already, by whatever path.
fn each_once(paths: &[impl AsRef<Path>]) -> Vec<&Path> {
    let mut known = BTreeSet::new();
    let is_new = |path: &&Path| known.insert(path.canonicalize().unwrap_or_else(|_| path.to_path_buf()));
    paths.iter().map(AsRef::as_ref).filter(is_new).collect()
}

fn load_with(
    paths: &[impl AsRef<Path>],
    selectors: &[Selector],
    environment: Environment,
) -> Result<Vec<Release>, Errors> {
    let mut selectors = Selectors::new(selectors);
    let mut read_all = Vec::new();
    for path in each_once(paths) {
        let mut problems = Problems::new(path);
        let release = read(path, &mut selectors, environment, &mut problems);
        read_all.push((problems, release));
    }
    let releases = || read_all.iter().filter_map(|(_, release)| release.as_ref());
    let mut of_selectors = Problems::new(paths.first().map_or(Path::new(""), AsRef::as_ref));
    // What the rest of a manifest that cannot be read would have selected is not known.
    if read_all.iter().all(|(problems, release)| release.is_some() && !problems.is_cut) {
        selectors.finish(&mut of_selectors);
    }
    // What is left out only concerns itself, unless nothing else is there, or the run stops anyway.
    let is_wrong = !of_selectors.is_empty() || read_all.iter().any(|(problems, _)| !problems.is_empty());
    let is_nothing = releases().all(|release| release.images.is_empty());
    let mut errors = Errors::default();
    let mut all = Vec::new();
    for (mut problems, release) in read_all {
        if is_wrong || is_nothing {
            let missing = release.iter().flat_map(|release| &release.left_out).filter(|missing| !missing.is_optional);
            let known = problems.places();
            let is_new = |missing: &&LeftOut| missing.problem.place.is_none_or(|place| !known.contains(&place));
            let missing = missing.filter(is_new);
            missing.for_each(|missing| problems.add(missing.problem.place, missing.problem.message.clone()));
        }
        errors.0.extend(problems.into_errors().0);
        all.extend(release);
    }
    errors.0.extend(of_selectors.into_errors().0);
    if let Err(collisions) = check_collisions(&all) {
        errors.0.extend(collisions.0);
    }
    if errors.0.is_empty() { Ok(all) } else { Err(errors) }
}

/// Reads one manifest. The result is only valid if there were no problems.
fn read(path: &Path, selectors: &mut Selectors, environment: Environment, problems: &mut Problems) -> Option<Release> {
    let manifest = read_shape(path, problems)?;
    let mut context = context(path, environment, problems);
    let (name, scope) = context.variables(&manifest);
    let mirrors = context.mirrors(&manifest, &scope);
    let (images, left_out) = context.images(&manifest, &scope, &mirrors, selectors);
    Some(Release { name: name.unwrap_or_default(), manifest: path.to_owned(), mirrors, images, left_out })
}

/// The context in which to check the manifest at `path`.
fn context<'a, 'f>(path: &'a Path, environment: Environment<'a>, problems: &'a mut Problems<'f>) -> Context<'a, 'f> {
    Context { directory: path.parent().unwrap_or(Path::new("")), environment, problems, combinations: 0 }
}

/// The manifest as typed.
fn read_shape(path: &Path, problems: &mut Problems) -> Option<raw::Manifest> {
    let text = read_text(path, problems)?;
    let yaml::Document { root, is_complete } = yaml::parse(&text, problems)?;
    problems.is_cut = !is_complete;
    if matches!(root.value, yaml::Value::Null) {
        problems.add(None, "the manifest is empty");
        return None;
    }
    raw::Manifest::read(&root, problems)
}

/// The manifest's text, unless it is too long.
fn read_text(path: &Path, problems: &mut Problems) -> Option<String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(yaml::MAX_LEN + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let message = match path.is_dir() {
            true => "is a directory; name the manifest in it".to_owned(),
            false => format!("cannot be read: {error}"),
        };
        problems.add(None, message);
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
            let byte = error.as_bytes()[valid.len()];
            let message = match error.as_bytes() {
                [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "the manifest is UTF-16; save it as UTF-8".to_owned(),
                _ => format!("the manifest is not UTF-8: this is the byte 0x{byte:02X}; save it as UTF-8"),
            };
            problems.add(Position { line, column }, message);
            None
        }
    }
}

#[cfg(test)]
mod broken;
#[cfg(test)]
mod tests;
