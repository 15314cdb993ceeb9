//! Checks the manifest as typed: variables, mirrors and settings here, images in `images`.
//! Checking continues after a mistake, but whatever depends on it is skipped, so that nothing is reported twice.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use jigdo::jigdo_file::is_scheme;
use jigdo::template::Compression;
use jigdo::{Algorithm, Checksum, escaped_path};

use super::expand::{Environment, Mistake, Scope, Syntax, expand, is_variable_name};
use super::problem::{Position, Problems};
use super::raw;
use super::server;
use super::shape::{OneOf, Placed, Text};
use super::yaml::Key;
use super::{Filter, Mirror, Server, Settings, glob};

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
    pub fn expand(&mut self, text: &Text, syntax: Syntax, scope: &Scope) -> Option<String> {
        let mistakes = match expand(&text.value, syntax, self.environment, scope) {
            Ok(expanded) => return Some(expanded),
            Err(mistakes) => mistakes,
        };
        for mistake in mistakes {
            match mistake {
                Mistake::Here(message) => self.problems.add(text.place, message),
                Mistake::Elsewhere => self.problems.add_known(),
            }
        }
        None
    }

    /// Like [`expand`](Self::expand), for a text that must be a single non-empty line.
    pub fn line(&mut self, text: &Text, what: &str, syntax: Syntax, scope: &Scope) -> Option<String> {
        let line = self.expand(text, syntax, scope)?;
        if line.is_empty() {
            self.problems.add(text.place, format!("{what} is empty"));
        } else if line.contains(char::is_control) {
            let hint = match is_windows_path(&line) {
                true => "; between double quotes, \"\\\" begins an escape such as \\t, so use single quotes",
                false => "",
            };
            let message = format!("{what} contains a line break or another control character{hint}");
            self.problems.add(text.place, message);
        } else {
            return Some(line);
        }
        None
    }

    /// A URL, without white space.
    pub fn url(&mut self, text: &Text, scope: &Scope) -> Option<String> {
        let url = self.line(text, "the URL", Syntax::Plain, scope)?;
        if url.contains(char::is_whitespace) {
            self.problems.add(text.place, format!("the URL {url:?} contains white space; write %20 for a space"));
            return None;
        }
        Some(url)
    }

    /// Reports the URL of a file that nobody can download. It may be relative. The mirrors are those it can have as labels.
    pub fn check_reference(&mut self, text: &Text, url: &str, mirrors: &[Mirror]) {
        if text.value.contains(char::is_whitespace) {
            let message = format!("the URL {:?} contains white space; write %20 for a space", text.value);
            return self.problems.add(text.place, message);
        }
        let labels: Vec<&str> = mirrors.iter().map(|mirror| mirror.label.as_str()).collect();
        // What variables add is quoted where it is written.
        if let Err(message) = server::check_reference(&url.replace(char::is_whitespace, "%20"), &labels)
            && !self.problems.is_cut
        {
            self.problems.add(text.place, message);
        }
    }

    /// Reports a variable's name that cannot be used.
    pub fn check_variable_name(&mut self, key: &Key) {
        if RESERVED.contains(&key.text.as_str()) {
            self.problems.add(key.place, format!("\"{}\" cannot be a variable: the name is reserved", key.text));
        } else if !is_variable_name(&key.text) {
            let message = format!("\"{}\" cannot be a variable: use letters, digits, \"_\" and \"-\"", key.text);
            self.problems.add(key.place, message);
        }
    }

    /// `{release}` and the variables of `vars`.
    pub fn variables(&mut self, manifest: &raw::Manifest) -> (Option<String>, Scope) {
        let is_open = self.problems.is_cut || (manifest.vars.is_none() && manifest.is_broken("vars"));
        let mut scope = Scope { is_open, ..Scope::default() };
        let name = manifest.release.0.as_ref();
        let name = name.and_then(|name| self.line(name, "the release's name", Syntax::Plain, &scope));
        scope.define("release", name.clone());
        for (key, text) in manifest.vars.iter().flat_map(|vars| &vars.0) {
            self.check_variable_name(key);
            // A variable with a mistake is defined all the same, so that its uses are not reported too.
            let value = text.as_ref().and_then(|text| self.expand(text, Syntax::Plain, &scope));
            scope.define(&key.text, value);
        }
        (name, scope)
    }

    /// The mirrors, in the manifest's order. Mirrors with mistakes are included, so that indices and labels stay valid.
    pub fn mirrors(&mut self, manifest: &raw::Manifest, scope: &Scope) -> Vec<Mirror> {
        let Some(raw) = &manifest.mirrors.0 else { return Vec::new() };
        let place = raw.place;
        let raw = &raw.value.0;
        if raw.is_empty() {
            self.problems.add(place, "no mirror is defined");
        } else if raw.len() > MAX_MIRRORS {
            self.problems.add(place, format!("more than {MAX_MIRRORS} mirrors are defined"));
            return Vec::new();
        }
        let labels: Vec<&str> = raw.iter().map(|(key, _)| key.text.as_str()).collect();
        let mirrors: Vec<_> = raw
            .iter()
            .map(|(key, mirror)| {
                self.check_label(key);
                let Some(mirror) = mirror else { return Mirror::unknown(&key.text) };
                let path = mirror.path.0.as_ref();
                let servers = mirror.servers.iter().flat_map(|servers| &servers.value);
                Mirror {
                    label: key.text.clone(),
                    path: path.and_then(|path| self.path(path, "the mirror's path", scope)).unwrap_or_default(),
                    filter: self.filter(mirror, scope),
                    hidden: mirror.hidden.unwrap_or(false),
                    servers: servers.filter_map(|server| self.server(server, &labels, scope)).collect(),
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
    pub fn path(&mut self, text: &Text, what: &str, scope: &Scope) -> Option<PathBuf> {
        self.line(text, what, Syntax::Plain, scope).map(|path| self.directory.join(path))
    }

    fn filter(&mut self, mirror: &raw::Mirror, scope: &Scope) -> Filter {
        let hidden = mirror.hidden.unwrap_or(false) || mirror.is_broken("hidden");
        let include = self.patterns(mirror.include.as_deref(), hidden, scope);
        // To exclude what is left out anyway is no mistake.
        let exclude = self.patterns(mirror.exclude.as_deref(), true, scope);
        let place = mirror.path.0.as_ref().map(|path| path.place);
        if mirror.include.as_ref().is_some_and(Vec::is_empty) && !mirror.is_broken("include") {
            self.problems.add(
                place,
                "\"include\" is an empty list, which matches no file; to include every file, leave the key out",
            );
        }
        // Each pattern compiles on its own; together they can only be too large.
        Filter::new(include, exclude).unwrap_or_else(|error| {
            self.problems.add(place, format!("include and exclude: {error}"));
            Filter::everything()
        })
    }

    fn patterns(&mut self, texts: Option<&[Text]>, hidden: bool, scope: &Scope) -> Vec<String> {
        let mut patterns = Vec::new();
        for text in texts.unwrap_or_default() {
            let Some(pattern) = self.line(text, "the glob", Syntax::Glob, scope) else { continue };
            let trimmed = pattern.trim_start_matches('/').trim_start_matches("./");
            if let Err(error) = glob::compile(&pattern) {
                self.problems.add(text.place, glob::not_a_glob(&error));
            } else if trimmed != pattern || trimmed.ends_with('/') {
                let meant = if trimmed.ends_with('/') { format!("{trimmed}**") } else { trimmed.to_owned() };
                let message =
                    format!("the glob \"{pattern}\" matches no file below the path; did you mean \"{meant}\"?");
                self.problems.add(text.place, message);
            } else if !hidden && pattern.split('/').any(|name| name.starts_with('.')) {
                let message = format!(
                    "the glob \"{pattern}\" matches no file, because hidden files are left out; add \"hidden: true\" to \
                     the mirror"
                );
                self.problems.add(text.place, message);
            } else {
                patterns.push(pattern);
            }
        }
        patterns
    }

    /// A server's URL. It ends in a slash, because the paths of parts are appended, unless it has a query.
    fn server(&mut self, server: &raw::Server, labels: &[&str], scope: &Scope) -> Option<Server> {
        let (text, try_last) = match server {
            raw::Server::Url(url) => (url, false),
            raw::Server::WithOptions(server) => (server.url.0.as_ref()?, server.try_last.unwrap_or(false)),
        };
        let url = self.url(text, scope)?;
        let is_known = |label: &str| labels.contains(&label) || self.problems.is_cut;
        let checked = server::check(&url, labels).and_then(|target| match target {
            server::Target::Label(label) if !is_known(label) => Err(server::unknown_label(&url, label, labels)),
            _ => Ok(server::with_slash(url.clone())),
        });
        match checked {
            Ok(url) => Some(Server { url, try_last }),
            Err(message) => {
                self.problems.add(text.place, message);
                None
            }
        }
    }

    /// Reports labels that lead back to themselves.
    fn check_loops(&mut self, mirrors: &[Mirror], raw: &[(Key, Option<raw::Mirror>)]) {
        let label = |server: &Server| server.label().map(str::to_owned);
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

    /// What is wrong with the trees of mirrors, and where the manifest names them.
    pub fn tree_problems(manifest: &raw::Manifest, mirrors: &[Mirror]) -> Vec<Option<(Position, String)>> {
        let raw = manifest.mirrors.0.iter().flat_map(|mirrors| &mirrors.value.0);
        let path = |mirror: &Option<raw::Mirror>| {
            mirror.as_ref().and_then(|mirror| mirror.path.0.as_ref().map(|path| path.place))
        };
        raw.zip(mirrors).map(|((_, raw), mirror)| Some((path(raw)?, tree_problem(mirror)?))).collect()
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
        let mode = own.mode.or(defaults.and_then(|defaults| defaults.mode));
        let compress_jigdo = own.compress_jigdo.or(defaults.and_then(|defaults| defaults.compress_jigdo));
        Settings {
            checksum: checksum.map_or(Checksum::Sha256, |checksum| checksum.0),
            compression: compression.map_or(Compression::Gzip, |compression| compression.value.0),
            level: level.and_then(|level| level.value.0.try_into().ok()).unwrap_or(9),
            min_length: min_length.map_or(1024, |length| length.0),
            compress_jigdo: compress_jigdo.unwrap_or(false),
            sums: sums.map_or_else(|| [Algorithm::Sha256].into(), |sums| self.sums(sums)),
            mode: mode.map(|mode| mode.0),
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

/// What is wrong with a mirror's tree.
fn tree_problem(mirror: &Mirror) -> Option<String> {
    let (label, path) = (&mirror.label, escaped_path(&mirror.path));
    match std::fs::metadata(&mirror.path) {
        // An empty path was reported before.
        _ if mirror.path.as_os_str().is_empty() => None,
        Ok(metadata) if metadata.is_dir() => None,
        Ok(_) => Some(format!("mirror \"{label}\": {path} is not a directory")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some(format!("mirror \"{label}\": {path} does not exist{}", windows_hint(&mirror.path)))
        }
        Err(error) => Some(format!("mirror \"{label}\": {path}: {error}")),
    }
}

/// Whether a path looks like one of Windows: `C:\srv`, `C:/srv` or `\\server\share`.
fn is_windows_path(path: &str) -> bool {
    let mut chars = path.chars();
    path.starts_with("\\\\")
        || (chars.next().is_some_and(|first| first.is_ascii_alphabetic())
            && chars.next() == Some(':')
            && chars.next().is_some_and(|third| matches!(third, '\\' | '/') || third.is_control()))
}

/// What to write instead of a path of Windows; nothing if this is none. What was relative to the manifest begins after its
/// directory.
pub(super) fn windows_hint(path: &Path) -> String {
    let text = path.to_string_lossy();
    let drive = text.find(":/").or_else(|| text.find(":\\")).and_then(|colon| text.get(colon.checked_sub(1)?..));
    let typed = match drive {
        Some(typed) => typed,
        None => text.rsplit_once('/').map_or(&*text, |(_, last)| last),
    };
    if !is_windows_path(typed) {
        return String::new();
    }
    let below = typed.replace('\\', "/");
    match below.split_once(':') {
        Some((drive, rest)) => format!(
            "; a path of Windows has another name on this system, under WSL for example /mnt/{}{rest}",
            drive.to_lowercase()
        ),
        None => {
            "; a share of Windows has another name on this system, that of the directory where it is mounted".to_owned()
        }
    }
}
