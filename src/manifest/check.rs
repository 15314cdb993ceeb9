//! Checks the manifest as typed: variables, mirrors and settings here, images in `images`.
//! Checking continues after a mistake, but whatever depends on it is skipped, so that nothing is reported twice.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use jigdo::jigdo_file::is_scheme;
use jigdo::template::Compression;
use jigdo::{Algorithm, Checksum};

use super::expand::{Environment, Syntax, Variables, expand};
use super::problem::{Problems, did_you_mean};
use super::raw;
use super::shape::{OneOf, Placed, Text};
use super::yaml::Key;
use super::{Filter, Mirror, Server, Settings};

/// Names with a special meaning in texts and selectors.
pub(super) const RESERVED: [&str; 6] = ["release", "stem", "file", "name", "image", "exclude"];

/// The most mirrors that a manifest may have. Each may lead to all others, so the time to check them could grow with the
/// cube of their number.
const MAX_MIRRORS: usize = 1000;

/// What every check needs.
pub(super) struct Context<'a, 'f> {
    /// The directory to which the manifest's paths are relative.
    pub directory: &'a Path,
    pub environment: Environment<'a>,
    pub problems: &'a mut Problems<'f>,
    /// How many combinations the matrices have had so far.
    pub combinations: usize,
}

impl Context<'_, '_> {
    /// The text with its variables replaced; `None` if that failed and was reported.
    pub fn expand(&mut self, text: &Text, syntax: Syntax, variables: &Variables) -> Option<String> {
        expand(&text.value, syntax, self.environment, variables)
            .map_err(|message| self.problems.add(text.place, message))
            .ok()
    }

    /// Like [`expand`](Self::expand), for a text that must be a single non-empty line.
    pub fn line(&mut self, text: &Text, what: &str, syntax: Syntax, variables: &Variables) -> Option<String> {
        let line = self.expand(text, syntax, variables)?;
        if line.is_empty() {
            self.problems.add(text.place, format!("{what} is empty"));
        } else if line.contains(char::is_control) {
            self.problems.add(text.place, format!("{what} contains a line break or another control character"));
        } else {
            return Some(line);
        }
        None
    }

    /// A URL, without white space.
    pub fn url(&mut self, text: &Text, variables: &Variables) -> Option<String> {
        let url = self.line(text, "the URL", Syntax::Plain, variables)?;
        if url.contains(char::is_whitespace) {
            self.problems.add(text.place, format!("the URL {url:?} contains white space; write %20 for a space"));
            return None;
        }
        Some(url)
    }

    /// Reports a variable's name that cannot be used.
    pub fn check_variable_name(&mut self, key: &Key) {
        let valid = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        };
        if RESERVED.contains(&key.text.as_str()) {
            self.problems.add(key.place, format!("\"{}\" cannot be a variable: the name is reserved", key.text));
        } else if !valid(&key.text) {
            let message = format!("\"{}\" cannot be a variable: use letters, digits, \"_\" and \"-\"", key.text);
            self.problems.add(key.place, message);
        }
    }

    /// `{release}` and the variables of `vars`.
    pub fn variables(&mut self, manifest: &raw::Manifest) -> (Option<String>, Variables) {
        let mut variables = Variables::new();
        let release = self.line(&manifest.release, "the release's name", Syntax::Plain, &variables);
        variables.insert("release".into(), release.clone().unwrap_or_default());
        for (key, text) in manifest.vars.iter().flat_map(|vars| &vars.0) {
            self.check_variable_name(key);
            // A variable with a mistake is defined all the same, so that its uses are not reported too.
            let value = self.expand(text, Syntax::Plain, &variables).unwrap_or_default();
            variables.insert(key.text.clone(), value);
        }
        (release, variables)
    }

    /// The mirrors, in the manifest's order. Mirrors with mistakes are included, so that indices and labels stay valid.
    /// [`check_trees`](Self::check_trees) checks whether their trees exist.
    pub fn mirrors(&mut self, manifest: &raw::Manifest, variables: &Variables) -> Vec<Mirror> {
        let raw = &manifest.mirrors.value.0;
        if raw.is_empty() {
            self.problems.add(manifest.mirrors.place, "no mirror is defined");
        } else if raw.len() > MAX_MIRRORS {
            self.problems.add(manifest.mirrors.place, format!("more than {MAX_MIRRORS} mirrors are defined"));
            return Vec::new();
        }
        let labels: Vec<&str> = raw.iter().map(|(key, _)| key.text.as_str()).collect();
        let mirrors: Vec<_> = raw
            .iter()
            .map(|(key, mirror)| {
                self.check_label(key);
                Mirror {
                    label: key.text.clone(),
                    path: self.path(&mirror.path, "the mirror's path", variables).unwrap_or_default(),
                    filter: self.filter(mirror, variables),
                    servers: mirror
                        .servers
                        .iter()
                        .flatten()
                        .filter_map(|server| self.server(server, &labels, variables))
                        .collect(),
                }
            })
            .collect();
        self.check_loops(&mirrors, raw);
        mirrors
    }

    /// Reports labels that cannot be written in `[Parts]` and `[Servers]`.
    fn check_label(&mut self, key: &Key) {
        let label = key.text.as_str();
        let valid = label.starts_with(|c: char| c.is_ascii_alphanumeric())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c));
        if !valid {
            let message = format!(
                "the label {label:?} cannot be used: use letters, digits, \"-\", \"_\", \".\" and \"+\", \
                 the first a letter or digit"
            );
            self.problems.add(key.place, message);
        } else if is_scheme(label) {
            self.problems.add(key.place, format!("the label {label:?} looks like the scheme of a URL; choose another"));
        }
    }

    /// A path. Relative ones are relative to the manifest.
    pub fn path(&mut self, text: &Text, what: &str, variables: &Variables) -> Option<PathBuf> {
        self.line(text, what, Syntax::Plain, variables).map(|path| self.directory.join(path))
    }

    fn filter(&mut self, mirror: &raw::Mirror, variables: &Variables) -> Filter {
        let include = self.patterns(mirror.include.as_deref(), variables);
        let exclude = self.patterns(mirror.exclude.as_deref(), variables);
        if mirror.include.as_ref().is_some_and(Vec::is_empty) {
            self.problems.add(
                mirror.path.place,
                "\"include\" is an empty list, which matches no file; to include every file, leave the key out",
            );
        }
        // Each pattern compiles on its own; together they can only be too large.
        Filter::new(include, exclude).unwrap_or_else(|error| {
            self.problems.add(mirror.path.place, format!("include and exclude: {error}"));
            Filter::everything()
        })
    }

    fn patterns(&mut self, texts: Option<&[Text]>, variables: &Variables) -> Vec<String> {
        let mut patterns = Vec::new();
        for text in texts.unwrap_or_default() {
            let Some(pattern) = self.line(text, "the glob", Syntax::TreeGlob, variables) else { continue };
            let trimmed = pattern.trim_start_matches('/').trim_start_matches("./");
            if let Err(error) = globset::Glob::new(&pattern) {
                self.problems.add(text.place, format!("not a glob: {error}"));
            } else if trimmed != pattern || trimmed.ends_with('/') {
                let meant = if trimmed.ends_with('/') { format!("{trimmed}**") } else { trimmed.to_owned() };
                let message =
                    format!("the glob \"{pattern}\" matches no file below the path; did you mean \"{meant}\"?");
                self.problems.add(text.place, message);
            } else {
                patterns.push(pattern);
            }
        }
        patterns
    }

    /// A server's URL. It ends in a slash, because the paths of parts are appended, unless it has a query.
    fn server(&mut self, server: &raw::Server, labels: &[&str], variables: &Variables) -> Option<Server> {
        let (text, try_last) = match server {
            raw::Server::Url(url) => (url, false),
            raw::Server::WithOptions(server) => (&server.url, server.try_last.unwrap_or(false)),
        };
        let mut url = self.url(text, variables)?;
        match url.split_once(':') {
            Some((scheme, rest)) if rest.starts_with("//") => {
                let names_host = !rest[2..].is_empty() && !rest.starts_with("///");
                if !names_host && !scheme.eq_ignore_ascii_case("file") {
                    self.problems.add(text.place, format!("the URL \"{url}\" names no server"));
                    return None;
                }
            }
            // A path on the same computer.
            Some((scheme, _)) if scheme.contains('/') || scheme.eq_ignore_ascii_case("file") => {}
            Some((label, _)) if !labels.contains(&label) => {
                let hint = did_you_mean(label, labels.iter().copied());
                self.problems.add(text.place, format!("\"{url}\": mirror \"{label}\" is not defined{hint}"));
                return None;
            }
            // A label alone: the paths in the other mirror are the same.
            Some((_, "")) => return Some(Server { url, try_last }),
            _ => {}
        }
        if !url.ends_with('/') && !url.contains('?') {
            url.push('/');
        }
        Some(Server { url, try_last })
    }

    /// Reports labels that lead back to themselves.
    fn check_loops(&mut self, mirrors: &[Mirror], raw: &[(Key, raw::Mirror)]) {
        let label = |server: &Server| server.url.split_once(':').map(|(label, _)| label.to_owned());
        let targets: HashMap<&str, Vec<String>> = mirrors
            .iter()
            .map(|mirror| (mirror.label.as_str(), mirror.servers.iter().filter_map(label).collect()))
            .collect();
        let targets = |label: &str| targets.get(label).into_iter().flatten().map(String::as_str);
        for (key, _) in raw {
            let mut reached = BTreeSet::new();
            let mut next: Vec<&str> = targets(&key.text).collect();
            while let Some(label) = next.pop() {
                if reached.insert(label) {
                    next.extend(targets(label));
                }
            }
            if reached.contains(key.text.as_str()) {
                self.problems.add(key.place, format!("the servers of \"{}\" lead back to itself", key.text));
            }
        }
    }

    /// Reports the mirrors in use whose trees do not exist.
    pub fn check_trees(&mut self, manifest: &raw::Manifest, mirrors: &[Mirror], in_use: impl Fn(usize) -> bool) {
        let trees = manifest.mirrors.value.0.iter().zip(mirrors).enumerate();
        for (_, ((_, raw), mirror)) in trees.filter(|(index, _)| in_use(*index)) {
            self.check_tree(&raw.path, mirror);
        }
    }

    fn check_tree(&mut self, text: &Text, mirror: &Mirror) {
        let path = mirror.path.display();
        match std::fs::metadata(&mirror.path) {
            // An empty path was reported before.
            _ if mirror.path.as_os_str().is_empty() => {}
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => self.problems.add(text.place, format!("mirror \"{}\": {path} is not a directory", mirror.label)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.problems.add(text.place, format!("mirror \"{}\": {path} does not exist", mirror.label));
            }
            Err(error) => self.problems.add(text.place, format!("mirror \"{}\": {path}: {error}", mirror.label)),
        }
    }

    /// An image's settings: its own, else the manifest's defaults, else the built-in ones.
    pub fn settings(&mut self, own: &raw::Settings, defaults: Option<&raw::Settings>) -> Settings {
        let compression = own.compression.as_ref().or(defaults.and_then(|defaults| defaults.compression.as_ref()));
        let level = own.level.as_ref().or(defaults.and_then(|defaults| defaults.level.as_ref()));
        if let (Some(Placed { value, .. }), Some(level)) = (compression, level)
            && value.0 == Compression::Bzip2
            && level.value.0 == 0
        {
            self.problems.add(level.place, "bzip2 has no level 0; use gzip to store data without compression");
        }
        let sums = own.sums.as_ref().or(defaults.and_then(|defaults| defaults.sums.as_ref()));
        let checksum = own.checksum.or(defaults.and_then(|defaults| defaults.checksum));
        let min_length = own.min_length.or(defaults.and_then(|defaults| defaults.min_length));
        let compress_jigdo = own.compress_jigdo.or(defaults.and_then(|defaults| defaults.compress_jigdo));
        Settings {
            checksum: checksum.map_or(Checksum::Sha256, |checksum| checksum.0),
            compression: compression.map_or(Compression::Gzip, |compression| compression.value.0),
            level: level.and_then(|level| level.value.0.try_into().ok()).unwrap_or(9),
            min_length: min_length.map_or(1024, |length| length.0),
            compress_jigdo: compress_jigdo.unwrap_or(false),
            sums: sums.map_or_else(|| [Algorithm::Sha256].into(), |sums| self.sums(sums)),
        }
    }

    fn sums(&mut self, sums: &[Placed<OneOf<Algorithm>>]) -> BTreeSet<Algorithm> {
        let mut set = BTreeSet::new();
        for sum in sums {
            if !set.insert(sum.value.0) {
                self.problems.add(sum.place, format!("{} is listed twice", sum.value.0.name()));
            }
        }
        set
    }
}
