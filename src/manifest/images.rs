//! Turns image entries into images: combines the matrix, finds the files that the path matches, names the sets.

use jigdo::escaped_path;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::check::{Context, windows_hint};
use super::expand::{Scope, Syntax, Variables};
use super::glob::{self, Matches};
use super::problem::{Position, Problem, did_you_mean};
use super::raw;
use super::selector::Selectors;
use super::shape::{Map, Placed, Text};
use super::yaml::Key;
use super::{Image, LeftOut, Mirror, Settings};

/// The most combinations that all entries of a manifest may have together.
const MAX_COMBINATIONS: usize = 10_000;

/// The longest name of a set, in bytes: Linux's limit for file names, minus the extension.
const MAX_NAME: usize = 255 - ".template".len();

const MAX_SHORT_INFO: usize = 200;
const MAX_INFO: usize = 5000;

impl Context<'_, '_> {
    /// The selected images of the manifest, entry by entry, combination by combination, sorted by path; and what of the
    /// selected entries cannot be published.
    pub fn images(
        &mut self,
        manifest: &raw::Manifest,
        scope: &Scope,
        mirrors: &[Mirror],
        selectors: &mut Selectors,
    ) -> (Vec<Image>, Vec<LeftOut>) {
        let trees = Self::tree_problems(manifest, mirrors);
        let mut found = Found::default();
        let mut unserved = vec![None; mirrors.len()];
        let mut used = HashSet::new();
        let Some(entries) = &manifest.images.0 else { return (found.images, found.left_out) };
        if entries.value.is_empty() && !manifest.is_broken("images") && !self.problems.is_cut {
            self.problems.add(entries.place, "no image is listed");
        }
        for entry in &entries.value {
            let entry = Entry {
                settings: self.settings(&entry.value.settings, manifest.defaults.as_ref()),
                raw: &entry.value,
                place: entry.place,
                mirrors,
                trees: &trees,
                is_mirrors_known: !manifest.is_broken("mirrors") && !self.problems.is_cut,
            };
            // Without its matrix, an entry has one combination, in which nothing is known of variables.
            let combinations = self.combinations(&entry, scope);
            let mut scope = scope.clone();
            scope.is_open |= entry.raw.is_broken("matrix");
            for combination in combinations {
                if !selectors.combination(&combination) {
                    continue;
                }
                let mut all = scope.clone();
                all.known.extend(combination.clone());
                let labels = self.labels(&entry, &all);
                if entry.raw.include_jigdo.as_ref().is_none_or(Vec::is_empty) && !entry.raw.is_broken("include_jigdo") {
                    let missing = labels.iter().filter(|&&label| !is_served(label, &labels, mirrors));
                    missing.for_each(|&label| unserved[label] = unserved[label].or(Some(entry.place)));
                }
                used.extend(labels.iter().copied());
                self.combination(&entry, &combination, &all, &labels, selectors, &mut found);
            }
        }
        self.check_served(manifest, mirrors, &unserved);
        // A missing tree alone only concerns the images that use it.
        if !self.problems.is_empty() {
            let used = trees.iter().enumerate().filter(|(mirror, _)| used.contains(mirror));
            for (place, message) in used.filter_map(|(_, problem)| problem.as_ref()) {
                self.problems.add(*place, message.clone());
            }
        }
        if selectors.is_everything() && self.problems.is_empty() {
            let unused = trees.iter().enumerate().filter(|(mirror, _)| !used.contains(mirror));
            for (_, message) in unused.filter_map(|(_, problem)| problem.as_ref()) {
                tracing::warn!("{message}, but no image uses it");
            }
        }
        (found.images, found.left_out)
    }

    /// Reports mirrors whose parts nobody could download.
    fn check_served(&mut self, manifest: &raw::Manifest, mirrors: &[Mirror], unserved: &[Option<Position>]) {
        let raw = manifest.mirrors.0.iter().flat_map(|mirrors| &mirrors.value.0);
        for (((key, raw), mirror), entry) in raw.zip(mirrors).zip(unserved) {
            let (Some(raw), Some(entry)) = (raw, entry) else { continue };
            let typed = raw.servers.as_ref().map_or(0, |servers| servers.value.len());
            // Servers with mistakes were reported.
            if raw.is_broken("servers") || typed > mirror.servers.len() || self.problems.is_cut {
                continue;
            }
            let label = &mirror.label;
            let others: Vec<_> = mirror.servers.iter().filter_map(|server| server.label()).collect();
            if others.contains(&label.as_str()) {
                // It leads back to itself, which was reported.
                continue;
            }
            let why = match others.is_empty() {
                true => format!("mirror \"{label}\" has no servers"),
                false => format!(
                    "the servers of mirror \"{label}\" only lead to \"{}\", which has none for the images on line {}",
                    others.join("\", \""),
                    entry.line
                ),
            };
            let message = format!(
                "{why}, so nobody could download its parts; list some under \"servers\", or give the images on line {} an \
                 \"include_jigdo\" that does",
                entry.line
            );
            self.problems.add(key.place, message);
        }
    }

    /// Every combination of the entry's matrix that is not excluded; the first variable changes slowest. Without a matrix
    /// there is one combination without variables.
    fn combinations(&mut self, entry: &Entry, scope: &Scope) -> Vec<Variables> {
        let mut combinations = vec![Variables::new()];
        let Some(matrix) = &entry.raw.matrix else { return combinations };
        let is_broken = entry.raw.is_broken("matrix");
        let mut known = BTreeMap::new();
        for (key, texts) in &matrix.variables {
            if combinations.len().saturating_mul(texts.len()) > MAX_COMBINATIONS.saturating_sub(self.combinations) {
                let message = format!("the matrices of all entries have more than {MAX_COMBINATIONS} combinations");
                self.problems.add(key.place, message);
                return Vec::new();
            }
            let is_incomplete = matrix.incomplete.contains(&key.text);
            let values = self.values(key, texts, is_incomplete, scope);
            combinations = combinations
                .iter()
                .flat_map(|combination| {
                    values.iter().map(|value| {
                        let mut combination = combination.clone();
                        combination.insert(key.text.clone(), value.clone());
                        combination
                    })
                })
                .collect();
            known.insert(&key.text, values);
        }
        self.combinations += combinations.len();
        if is_broken {
            for exclude in &matrix.exclude {
                self.exclude(exclude, &known, &matrix.incomplete, &mut Vec::new(), scope);
            }
            return vec![Variables::new()];
        }
        let some = !combinations.is_empty();
        if matrix.exclude.len() > combinations.len() {
            let message = "\"exclude\" has more entries than the matrix has combinations";
            self.problems.add(entry.place, message);
            return Vec::new();
        }
        for exclude in &matrix.exclude {
            self.exclude(exclude, &known, &matrix.incomplete, &mut combinations, scope);
        }
        if some && combinations.is_empty() {
            self.problems.add(entry.place, "\"exclude\" leaves no combination of the matrix");
        }
        combinations
    }

    /// The values of a matrix variable.
    fn values(&mut self, key: &Key, texts: &[Text], is_incomplete: bool, scope: &Scope) -> Vec<String> {
        self.check_variable_name(key);
        if scope.has(&key.text) {
            self.problems.add(key.place, format!("the variable \"{}\" is already in \"vars\"", key.text));
        }
        if texts.is_empty() && !is_incomplete {
            self.problems.add(key.place, format!("the variable \"{}\" has no values", key.text));
        }
        let mut values: Vec<String> = Vec::new();
        for text in texts {
            let Some(value) = self.line(text, "the value", Syntax::Plain, scope) else { continue };
            if values.contains(&value) {
                self.problems.add(text.place, format!("\"{value}\" is listed twice"));
            } else {
                values.push(value);
            }
        }
        values
    }

    /// Drops the combinations that match `exclude`.
    fn exclude(
        &mut self,
        exclude: &Placed<Map<Text>>,
        known: &BTreeMap<&String, Vec<String>>,
        incomplete: &[String],
        combinations: &mut Vec<Variables>,
        scope: &Scope,
    ) {
        if exclude.value.0.is_empty() {
            self.problems
                .add(exclude.place, "this entry of \"exclude\" names no variable, so it would exclude everything");
            return;
        }
        let mut dropped = Variables::new();
        let mut is_wrong = false;
        for (key, text) in &exclude.value.0 {
            let value = text.as_ref().and_then(|text| self.expand(text, Syntax::Plain, scope));
            if incomplete.contains(&key.text) {
                continue;
            }
            let Some(values) = known.get(&key.text) else {
                let hint = did_you_mean(&key.text, known.keys().map(|name| name.as_str()));
                self.problems.add(key.place, format!("the matrix has no variable \"{}\"{hint}", key.text));
                is_wrong = true;
                continue;
            };
            let Some(value) = value else {
                is_wrong = true;
                continue;
            };
            let place = text.as_ref().map_or(key.place, |text| text.place);
            if !values.contains(&value) {
                let hint = did_you_mean(&value, values.iter().map(String::as_str));
                self.problems.add(place, format!("\"{}\" never has the value \"{value}\"{hint}", key.text));
                is_wrong = true;
            }
            dropped.insert(key.text.clone(), value);
        }
        if is_wrong {
            return;
        }
        combinations.retain(|combination| dropped.iter().any(|(name, value)| combination.get(name) != Some(value)));
    }

    /// The indices of the entry's mirrors.
    fn labels(&mut self, entry: &Entry, scope: &Scope) -> Vec<usize> {
        let Some(raw) = &entry.raw.mirrors else { return (0..entry.mirrors.len()).collect() };
        if raw.value.is_empty() && !entry.raw.is_broken("mirrors") {
            self.problems.add(raw.place, "no mirror is listed; to use all of them, leave the key out");
        }
        let mut indices = Vec::new();
        for text in &raw.value {
            let Some(label) = self.expand(text, Syntax::Plain, scope) else { continue };
            match entry.mirrors.iter().position(|mirror| mirror.label == label) {
                Some(index) if indices.contains(&index) => {
                    self.problems.add(text.place, format!("mirror \"{label}\" is listed twice"));
                }
                Some(index) => indices.push(index),
                // It may be one that could not be read.
                None if !entry.is_mirrors_known && entry.mirrors.is_empty() || self.problems.is_cut => {}
                None => {
                    let hint = did_you_mean(&label, entry.mirrors.iter().map(|mirror| mirror.label.as_str()));
                    self.problems.add(text.place, format!("mirror \"{label}\" is not defined{hint}"));
                }
            }
        }
        indices
    }

    /// The selected images of one combination.
    fn combination(
        &mut self,
        entry: &Entry,
        combination: &Variables,
        scope: &Scope,
        mirrors: &[usize],
        selectors: &mut Selectors,
        found: &mut Found,
    ) {
        let output = entry.raw.output.0.as_ref().and_then(|text| {
            let output = self.path(text, "the output directory's path", scope)?;
            self.check_output(&output, text.place);
            Some(output)
        });
        let output = output.unwrap_or_default();
        let Some(text) = &entry.raw.path.0 else { return self.check_texts(entry, scope) };
        let Some((path, matches)) = self.matches(text, scope) else { return self.check_texts(entry, scope) };
        let file = self.problems.file().to_owned();
        let left_out = |path: PathBuf, place: Position, message: String, is_optional: bool, found: &mut Found| {
            found.left_out.push(LeftOut {
                path,
                variables: combination.clone(),
                output: output.clone(),
                is_optional,
                problem: Problem { file: file.clone(), place: Some(place), message },
                images_before: found.images.len(),
            });
        };
        if matches.files.is_empty() {
            // Images that are selected by their names are not missed.
            if !selectors.is_by_image() {
                // What is there, but cannot be published, is not absent.
                let is_optional = entry.raw.optional.unwrap_or(false) && unusable(&matches).is_empty();
                if !entry.raw.is_broken("optional") {
                    left_out(path.clone(), text.place, no_match(&path, &matches), is_optional, found);
                }
            }
            return self.check_texts(entry, scope);
        }
        for (path, message) in unusable(&matches) {
            // Images that are selected by their names are not missed.
            if !selectors.is_by_image() || selectors.image(&path) {
                left_out(path, text.place, message, false, found);
            }
        }
        let tree = mirrors.iter().find_map(|&mirror| entry.trees[mirror].as_ref());
        for path in matches.files {
            if !selectors.image(&path) {
                continue;
            }
            if let Some((place, message)) = tree {
                self.check_texts(entry, scope);
                left_out(path, *place, message.clone(), false, found);
                continue;
            }
            let count = self.problems.count();
            let image =
                self.image(entry, path.clone(), output.clone(), combination.clone(), scope.clone(), mirrors.to_vec());
            match self.of_file_name(count, entry, scope) {
                Some(Problem { place, message, .. }) => {
                    let message = format!("{}: {message}; rename the image", escaped_path(&path));
                    left_out(path, place.unwrap_or(entry.place), message, false, found);
                }
                None => found.images.extend(image),
            }
        }
    }

    /// Takes back the mistakes since there were `count`, if they are due to an image's file name and not to the entry.
    /// Returns the first.
    fn of_file_name(&mut self, count: usize, entry: &Entry, scope: &Scope) -> Option<Problem> {
        let mistakes = self.problems.take_since(count);
        if mistakes.is_empty() {
            return None;
        }
        let met = self.problems.met();
        self.check_texts(entry, scope);
        if self.problems.met() == met {
            return mistakes.into_iter().next();
        }
        self.problems.take_since(count);
        mistakes.into_iter().for_each(|Problem { place, message, .. }| self.problems.add(place, message));
        None
    }

    /// Checks the texts that depend on an image's name, although there is no image.
    fn check_texts(&mut self, entry: &Entry, scope: &Scope) {
        let path = PathBuf::from("image.iso");
        let _ = self.image(entry, path, PathBuf::new(), Variables::new(), scope.clone(), Vec::new());
    }

    /// The path with variables replaced, and what it matches; `None` if it is not a valid path.
    fn matches(&mut self, text: &Text, scope: &Scope) -> Option<(PathBuf, Matches)> {
        let pattern = self.line(text, "the path", Syntax::Glob, scope)?;
        if self.directory.to_str().is_none() {
            self.problems.add(None, "the path of the manifest's directory is not UTF-8; move the manifest");
            return None;
        }
        match glob::find(self.directory, &pattern) {
            Ok(matches) => {
                let written = glob::unescaped(&pattern);
                Some((self.directory.join(written), matches))
            }
            Err(message) => {
                self.problems.add(text.place, message);
                None
            }
        }
    }

    /// Reports an output directory that cannot be created, because it or a parent is a file.
    fn check_output(&mut self, output: &Path, place: Position) {
        let existing = output.ancestors().find(|path| path.symlink_metadata().is_ok());
        if let Some(path) = existing.filter(|path| !path.is_dir()) {
            self.problems.add(
                place,
                format!("the output directory cannot be created: {} is not a directory", escaped_path(&path)),
            );
        }
    }

    /// One image; `None` if it has a mistake.
    fn image(
        &mut self,
        entry: &Entry,
        path: PathBuf,
        output: PathBuf,
        combination: Variables,
        mut scope: Scope,
        mirrors: Vec<usize>,
    ) -> Option<Image> {
        let part = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).unwrap_or_default().to_owned();
        scope.define("file", Some(part(path.file_name())));
        scope.define("stem", Some(part(path.file_stem())));
        let name = self.file_name(&entry.text(entry.raw.name.as_ref(), "{stem}"), "the set's name", &scope);
        scope.define("name", name.clone());
        let name = name.unwrap_or_default();
        if name.len() > MAX_NAME {
            let place = entry.raw.name.as_ref().map_or(entry.place, |text| text.place);
            self.problems.add(place, format!("the set's name is longer than {MAX_NAME} bytes: {name}"));
            return None;
        }
        let template_url = self.line(
            &entry.text(entry.raw.template_url.as_ref(), "{name}.template"),
            "the template's URL",
            Syntax::Plain,
            &scope,
        );
        if let (Some(text), Some(url)) = (&entry.raw.template_url, &template_url) {
            self.check_reference(text, url, entry.mirrors);
        }
        let filename =
            self.file_name(&entry.text(entry.raw.filename.as_ref(), "{file}"), "the image's file name", &scope);
        let short_info = self.info(entry.raw.short_info.as_ref(), "short_info", MAX_SHORT_INFO, &scope);
        let info = self.info(entry.raw.info.as_ref(), "info", MAX_INFO, &scope);
        let urls = entry.raw.include_jigdo.iter().flatten();
        let include_jigdo = urls.filter_map(|text| {
            let url = self.url(text, &scope)?;
            self.check_reference(text, &url, entry.mirrors);
            Some(url)
        });
        let include_jigdo = include_jigdo.collect();
        Some(Image {
            path,
            variables: combination,
            output,
            name: Some(name).filter(|name| !name.is_empty())?,
            template_url: template_url?,
            filename: filename?,
            short_info,
            info,
            include_jigdo,
            mirrors,
            settings: entry.settings.clone(),
            place: entry.place,
        })
    }

    /// A text that names a file in some directory.
    fn file_name(&mut self, text: &Text, what: &str, scope: &Scope) -> Option<String> {
        let name = self.line(text, what, Syntax::Plain, scope)?;
        if name.contains('/') || name == "." || name == ".." {
            self.problems.add(text.place, format!("{what} must be a file name without directories, not \"{name}\""));
            return None;
        }
        Some(name)
    }

    /// A text for people. White space at its end is removed: YAML's block texts end in a line break.
    fn info(&mut self, text: Option<&Text>, what: &str, max: usize, scope: &Scope) -> Option<String> {
        let text = text?;
        let info = self.expand(text, Syntax::Plain, scope)?;
        let info = info.trim_end();
        let length = info.chars().count();
        if info.contains(char::is_control) {
            let message =
                format!("{what} contains a line break or another control character; after \">\", YAML joins lines");
            self.problems.add(text.place, message);
        } else if length > max {
            self.problems.add(text.place, format!("{what} is {length} characters long, at most {max} are allowed"));
        }
        Some(info.to_owned()).filter(|info| !info.is_empty())
    }
}

/// An image entry, with the settings that its images share.
struct Entry<'a> {
    raw: &'a raw::Image,
    place: Position,
    settings: Settings,
    mirrors: &'a [Mirror],
    /// What is wrong with the mirrors' trees, and where.
    trees: &'a [Option<(Position, String)>],
    /// Whether the manifest has no other mirrors.
    is_mirrors_known: bool,
}

/// What the entries stand for.
#[derive(Default)]
struct Found {
    images: Vec<Image>,
    left_out: Vec<LeftOut>,
}

/// Whether somebody who has only the servers of the mirrors `listed` can download this mirror's parts.
fn is_served(mirror: usize, listed: &[usize], mirrors: &[Mirror]) -> bool {
    let mut reached = HashSet::from([mirror]);
    let mut next = vec![mirror];
    while let Some(mirror) = next.pop() {
        for server in &mirrors[mirror].servers {
            let Some(label) = server.label() else { return true };
            let target = listed.iter().find(|&&listed| mirrors[listed].label == label);
            next.extend(target.filter(|&&target| reached.insert(target)));
        }
    }
    false
}

/// The message that a path matches no file that can be an image, and what is there instead.
fn no_match(path: &Path, matches: &Matches) -> String {
    let shown = escaped_path(&path);
    match (&matches.others[..], &matches.not_utf8[..], &matches.unreadable[..]) {
        (_, _, [(directory, error), ..]) => {
            format!("no file matches {shown}, and {} cannot be read: {error}", escaped_path(&directory))
        }
        ([(other, what @ "a directory"), ..], ..) if other == path => {
            format!(
                "{shown} is {what}, not an image; name the files in it, such as {}",
                escaped_path(&path.join("*.iso"))
            )
        }
        ([(other, what), ..], ..) if other == path => {
            format!("{shown} is {what}, not an image file; copy the image to a file and name that")
        }
        ([(other, what), ..], ..) => format!("no file matches {shown}; {} is {what}", escaped_path(&other)),
        (_, [name, ..], _) => format!("no file matches {shown} but {name:?}, whose name is not UTF-8; rename it"),
        _ => format!("no file matches {shown}{}", windows_hint(path)),
    }
}

/// What a path matches, but cannot be published, or may hide images; and why.
fn unusable(matches: &Matches) -> Vec<(PathBuf, String)> {
    let unreadable = matches.unreadable.iter().map(|(path, error)| {
        (path.clone(), format!("{} cannot be read: {error}; check its permissions and the disk", escaped_path(path)))
    });
    let dangling = matches
        .others
        .iter()
        .filter(|(_, what)| *what == glob::LEADS_NOWHERE)
        .map(|(path, what)| (path.clone(), format!("{} is {what}; correct or remove it", escaped_path(path))));
    let not_utf8 = matches.not_utf8.iter().map(|path| {
        (
            path.clone(),
            format!("{} has a name that is not UTF-8, so no jigdo file can carry it; rename it", escaped_path(path)),
        )
    });
    unreadable.chain(dangling).chain(not_utf8).collect()
}

impl Entry<'_> {
    /// The text as typed, or the default. Mistakes in the default are reported at the entry.
    fn text(&self, typed: Option<&Text>, default: &str) -> Text {
        typed.cloned().unwrap_or_else(|| Text { value: default.to_owned(), place: self.place })
    }
}
