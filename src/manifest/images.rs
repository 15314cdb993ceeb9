//! Turns image entries into images: combines the matrix, finds the files that the path matches, names the sets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::check::Context;
use super::expand::{Syntax, Variables};
use super::problem::{Position, did_you_mean};
use super::raw;
use super::selector::Selectors;
use super::shape::{Map, Placed, Text};
use super::yaml::Key;
use super::{Image, Mirror, Settings};

/// The most combinations that all entries of a manifest may have together.
const MAX_COMBINATIONS: usize = 10_000;

/// The longest name of a set, in bytes: Linux's limit for file names, minus the extension.
const MAX_NAME: usize = 255 - ".template".len();

const MAX_SHORT_INFO: usize = 200;
const MAX_INFO: usize = 5000;

impl Context<'_, '_> {
    /// The selected images of the manifest, entry by entry, combination by combination, sorted by path.
    pub fn images(
        &mut self,
        manifest: &raw::Manifest,
        variables: &Variables,
        mirrors: &[Mirror],
        selectors: &mut Selectors,
    ) -> Vec<Image> {
        if manifest.images.value.is_empty() {
            self.problems.add(manifest.images.place, "no image is listed");
        }
        let mut images = Vec::new();
        let mut used = vec![selectors.is_everything(); mirrors.len()];
        for entry in &manifest.images.value {
            let entry = Entry {
                settings: self.settings(&entry.value.settings, manifest.defaults.as_ref()),
                raw: &entry.value,
                place: entry.place,
                mirrors,
            };
            for combination in self.combinations(&entry, variables) {
                if !selectors.combination(&combination) {
                    continue;
                }
                let mut all = variables.clone();
                all.extend(combination.clone());
                let labels = self.labels(&entry, &all);
                labels.iter().for_each(|&index| used[index] = true);
                images.extend(self.combination(&entry, &combination, &all, &labels, selectors));
            }
        }
        self.check_trees(manifest, mirrors, |mirror| used[mirror]);
        images
    }

    /// Every combination of the entry's matrix that is not excluded; the first variable changes slowest. Without a matrix
    /// there is one combination without variables.
    fn combinations(&mut self, entry: &Entry, variables: &Variables) -> Vec<Variables> {
        let mut combinations = vec![Variables::new()];
        let Some(matrix) = &entry.raw.matrix else { return combinations };
        let mut known = BTreeMap::new();
        for (key, texts) in &matrix.variables {
            if combinations.len().saturating_mul(texts.len()) > MAX_COMBINATIONS.saturating_sub(self.combinations) {
                let message = format!("the matrices of all entries have more than {MAX_COMBINATIONS} combinations");
                self.problems.add(key.place, message);
                return Vec::new();
            }
            let values = self.values(key, texts, variables);
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
        let some = !combinations.is_empty();
        if matrix.exclude.len() > combinations.len() {
            let message = "\"exclude\" has more entries than the matrix has combinations";
            self.problems.add(entry.place, message);
            return Vec::new();
        }
        for exclude in &matrix.exclude {
            self.exclude(exclude, &known, &mut combinations, variables);
        }
        if some && combinations.is_empty() {
            self.problems.add(entry.place, "\"exclude\" leaves no combination of the matrix");
        }
        combinations
    }

    /// The values of a matrix variable.
    fn values(&mut self, key: &Key, texts: &[Text], variables: &Variables) -> Vec<String> {
        self.check_variable_name(key);
        if variables.contains_key(&key.text) {
            self.problems.add(key.place, format!("the variable \"{}\" is already in \"vars\"", key.text));
        }
        if texts.is_empty() {
            self.problems.add(key.place, format!("the variable \"{}\" has no values", key.text));
        }
        let mut values: Vec<String> = Vec::new();
        for text in texts {
            let Some(value) = self.line(text, "the value", Syntax::Plain, variables) else { continue };
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
        combinations: &mut Vec<Variables>,
        variables: &Variables,
    ) {
        if exclude.value.0.is_empty() {
            self.problems
                .add(exclude.place, "this entry of \"exclude\" names no variable, so it would exclude everything");
            return;
        }
        let mut dropped = Variables::new();
        for (key, text) in &exclude.value.0 {
            let Some(values) = known.get(&key.text) else {
                let hint = did_you_mean(&key.text, known.keys().map(|name| name.as_str()));
                self.problems.add(key.place, format!("the matrix has no variable \"{}\"{hint}", key.text));
                return;
            };
            let Some(value) = self.expand(text, Syntax::Plain, variables) else { return };
            if !values.contains(&value) {
                let hint = did_you_mean(&value, values.iter().map(String::as_str));
                self.problems.add(text.place, format!("\"{}\" never has the value \"{value}\"{hint}", key.text));
                return;
            }
            dropped.insert(key.text.clone(), value);
        }
        combinations.retain(|combination| dropped.iter().any(|(name, value)| combination.get(name) != Some(value)));
    }

    /// The indices of the entry's mirrors.
    fn labels(&mut self, entry: &Entry, variables: &Variables) -> Vec<usize> {
        let Some(raw) = &entry.raw.mirrors else { return (0..entry.mirrors.len()).collect() };
        if raw.value.is_empty() {
            self.problems.add(raw.place, "no mirror is listed; to use all of them, leave the key out");
        }
        let mut indices = Vec::new();
        for text in &raw.value {
            let Some(label) = self.expand(text, Syntax::Plain, variables) else { continue };
            match entry.mirrors.iter().position(|mirror| mirror.label == label) {
                Some(index) if indices.contains(&index) => {
                    self.problems.add(text.place, format!("mirror \"{label}\" is listed twice"));
                }
                Some(index) => indices.push(index),
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
        variables: &Variables,
        mirrors: &[usize],
        selectors: &mut Selectors,
    ) -> Vec<Image> {
        let output = self.path(&entry.raw.output, "the output directory's path", variables);
        if let Some(output) = &output {
            self.check_output(output, entry.raw.output.place);
        }
        let paths = self.files(&entry.raw.path, variables);
        if paths.as_ref().is_some_and(Vec::is_empty) && !entry.raw.optional.unwrap_or(false) && !selectors.is_by_image()
        {
            let text = self.line(&entry.raw.path, "the path", Syntax::Plain, variables).unwrap_or_default();
            let path = self.directory.join(text);
            self.problems.add(entry.raw.path.place, format!("no file matches {}", path.display()));
        }
        let mut images = Vec::new();
        for path in paths.unwrap_or_default() {
            if !selectors.image(&path) {
                continue;
            }
            let output = output.clone().unwrap_or_default();
            images.extend(self.image(entry, path, output, combination.clone(), variables.clone(), mirrors.to_vec()));
        }
        images
    }

    /// The files that the path matches, sorted; `None` if it is not a valid path.
    fn files(&mut self, text: &Text, variables: &Variables) -> Option<Vec<PathBuf>> {
        let pattern = self.line(text, "the path", Syntax::PathGlob, variables)?;
        let Some(directory) = self.directory.to_str() else {
            self.problems.add(None, "the path of the manifest's directory is not UTF-8");
            return None;
        };
        let pattern = Path::new(&glob::Pattern::escape(directory)).join(pattern);
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            // Hidden files are often incomplete.
            require_literal_leading_dot: true,
        };
        let found = glob::glob_with(&pattern.to_string_lossy(), options)
            .map_err(|error| self.problems.add(text.place, format!("not a glob: {}", error.msg)))
            .ok()?;
        let mut files = Vec::new();
        for path in found {
            match path {
                Ok(path) if path.to_str().is_none() => {
                    self.problems.add(text.place, format!("the path {path:?} is not UTF-8"));
                }
                Ok(path) if path.is_file() => files.push(path),
                Ok(_) => {}
                Err(error) => self.problems.add(text.place, format!("{}: {}", error.path().display(), error.error())),
            }
        }
        files.sort();
        Some(files)
    }

    /// Reports an output directory that cannot be created, because it or a parent is a file.
    fn check_output(&mut self, output: &Path, place: Position) {
        let existing = output.ancestors().find(|path| path.symlink_metadata().is_ok());
        if let Some(path) = existing.filter(|path| !path.is_dir()) {
            self.problems
                .add(place, format!("the output directory cannot be created: {} is not a directory", path.display()));
        }
    }

    /// One image; `None` if it has a mistake.
    fn image(
        &mut self,
        entry: &Entry,
        path: PathBuf,
        output: PathBuf,
        combination: Variables,
        mut variables: Variables,
        mirrors: Vec<usize>,
    ) -> Option<Image> {
        let part = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).unwrap_or_default().to_owned();
        variables.insert("file".into(), part(path.file_name()));
        variables.insert("stem".into(), part(path.file_stem()));
        let name = self.file_name(&entry.text(entry.raw.name.as_ref(), "{stem}"), "the set's name", &variables)?;
        if name.len() > MAX_NAME {
            let place = entry.raw.name.as_ref().map_or(entry.place, |text| text.place);
            self.problems.add(place, format!("the set's name is longer than {MAX_NAME} bytes: {name}"));
            return None;
        }
        variables.insert("name".into(), name.clone());
        let template_url = self.line(
            &entry.text(entry.raw.template_url.as_ref(), "{name}.template"),
            "the template's URL",
            Syntax::Plain,
            &variables,
        );
        let filename =
            self.file_name(&entry.text(entry.raw.filename.as_ref(), "{file}"), "the image's file name", &variables);
        let short_info = self.info(entry.raw.short_info.as_ref(), "short_info", MAX_SHORT_INFO, &variables);
        let info = self.info(entry.raw.info.as_ref(), "info", MAX_INFO, &variables);
        let urls = entry.raw.include_jigdo.iter().flatten();
        let include_jigdo = urls.filter_map(|url| self.url(url, &variables)).collect();
        Some(Image {
            path,
            variables: combination,
            output,
            name,
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
    fn file_name(&mut self, text: &Text, what: &str, variables: &Variables) -> Option<String> {
        let name = self.line(text, what, Syntax::Plain, variables)?;
        if name.contains('/') || name == "." || name == ".." {
            self.problems.add(text.place, format!("{what} must be a file name without directories, not \"{name}\""));
            return None;
        }
        Some(name)
    }

    /// A text for people. White space at its end is removed: YAML's block texts end in a line break.
    fn info(&mut self, text: Option<&Text>, what: &str, max: usize, variables: &Variables) -> Option<String> {
        let text = text?;
        let info = self.expand(text, Syntax::Plain, variables)?;
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
}

impl Entry<'_> {
    /// The text as typed, or the default. Mistakes in the default are reported at the entry.
    fn text(&self, typed: Option<&Text>, default: &str) -> Text {
        typed.cloned().unwrap_or_else(|| Text { value: default.to_owned(), place: self.place })
    }
}
