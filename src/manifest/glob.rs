//! The one glob syntax of manifests and options, and the files that a glob matches.
//!
//! `*` and `?` stop at slashes, `[a-z]` is any of these characters, `**` is any number of directories, and `{a,b}` is
//! either. A backslash makes the next character an ordinary one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use walkdir::WalkDir;

use crate::natural;

/// How many globs the braces of one may stand for.
const MAX_ALTERNATIVES: usize = 1000;

/// What a symbolic link without a target is.
pub(super) const LEADS_NOWHERE: &str = "a symbolic link that leads nowhere";

/// Compiles a glob.
///
/// # Errors
/// The text is not a glob.
pub(super) fn compile(glob: &str) -> Result<GlobMatcher, globset::Error> {
    Ok(builder(glob).build()?.compile_matcher())
}

/// The settings that make the syntax the same everywhere.
pub(super) fn builder(glob: &str) -> GlobBuilder<'_> {
    let mut builder = GlobBuilder::new(glob);
    builder.literal_separator(true).backslash_escape(true);
    builder
}

/// The text as a glob that matches it alone.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '?' | '*' | '[' | ']' | '{' | '}' | ',' => escaped.extend(['[', c, ']']),
            '\\' => escaped.push_str("\\\\"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The glob as a person would write it: without what [`escape`] adds.
pub(super) fn unescaped(glob: &str) -> String {
    let mut text = glob.replace("\\\\", "\\");
    for special in ["?", "*", "[", "]", "{", "}", ","] {
        text = text.replace(&format!("[{special}]"), special);
    }
    text
}

/// The message that a text is not a glob.
pub(super) fn not_a_glob(error: &globset::Error) -> String {
    format!("not a glob: {}", error.kind())
}

/// What a glob matches below a directory.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// Files, sorted by path.
    pub files: Vec<PathBuf>,
    /// Other things than files, with what they are.
    pub others: Vec<(PathBuf, &'static str)>,
    /// Files whose paths are not UTF-8.
    pub not_utf8: Vec<PathBuf>,
    /// What could not be looked at, and why.
    pub unreadable: Vec<(PathBuf, io::Error)>,
}

/// Finds the files that `glob` matches, relative to `directory`.
///
/// A name that begins with a dot only matches a component that does so too.
///
/// # Errors
/// The text is not a glob; the error says why.
pub(super) fn find(directory: &Path, glob: &str) -> Result<Matches, String> {
    compile(glob).map_err(|error| not_a_glob(&error))?;
    let mut matches = Matches::default();
    for alternative in alternatives(glob)? {
        let components = alternative.split('/').filter(|component| !component.is_empty());
        let components = components.map(Component::of).collect::<Result<Vec<_>, _>>()?;
        let start = if alternative.starts_with('/') { PathBuf::from("/") } else { directory.to_owned() };
        matches.add(start, &components);
    }
    matches.files.sort_by(|one, other| natural::compare(one, other));
    matches.files.dedup();
    matches.others.sort();
    matches.not_utf8.sort();
    matches.not_utf8.dedup();
    matches.unreadable.sort_by(|(a, _), (b, _)| a.cmp(b));
    matches.unreadable.dedup_by(|(a, _), (b, _)| a == b);
    Ok(matches)
}

/// A part of a glob between slashes.
enum Component {
    Literal(String),
    Glob { matcher: GlobMatcher, is_hidden: bool },
    AnyDirectories,
}

impl Component {
    fn of(text: &str) -> Result<Self, String> {
        if text == "**" {
            return Ok(Self::AnyDirectories);
        }
        if !text.contains(['*', '?', '[', ']', '\\']) {
            return Ok(Self::Literal(text.to_owned()));
        }
        let matcher = compile(text).map_err(|error| not_a_glob(&error))?;
        let is_hidden = text.starts_with('.') || text.starts_with("[.]") || text.starts_with("\\.");
        Ok(Self::Glob { matcher, is_hidden })
    }

    fn matches(&self, name: &std::ffi::OsStr) -> bool {
        let starts_with_dot = name.as_encoded_bytes().first() == Some(&b'.');
        match self {
            Self::Glob { matcher, is_hidden } => (*is_hidden || !starts_with_dot) && matcher.is_match(name),
            Self::Literal(text) => name == text.as_str(),
            // What a file system's check found is no image, and only root may look there.
            Self::AnyDirectories => !starts_with_dot && name != "lost+found",
        }
    }
}

impl Matches {
    /// Adds what the components match below `path`.
    fn add(&mut self, mut path: PathBuf, components: &[Component]) {
        let Some((first, rest)) = components.split_first() else { return self.add_match(path) };
        match first {
            Component::Literal(name) => {
                path.push(name);
                self.add(path, rest);
            }
            Component::Glob { .. } => self.add_entries(&path, first, rest),
            Component::AnyDirectories => {
                // `**` at the end stands for all files below.
                let everything = [Component::Glob { matcher: any(), is_hidden: false }];
                let rest = if rest.is_empty() { &everything } else { rest };
                if matches!(rest.first(), Some(Component::AnyDirectories)) {
                    return self.add(path, rest);
                }
                for directory in self.directories(&path) {
                    self.add(directory, rest);
                }
            }
        }
    }

    /// Adds the entries of a directory that match `first`, and what `rest` matches below them.
    fn add_entries(&mut self, directory: &Path, first: &Component, rest: &[Component]) {
        // An empty path, which is that of a manifest named without a directory, cannot be opened.
        let entries = match fs::read_dir(or_current(directory)) {
            Ok(entries) => entries,
            // As for a path without wildcards: what is not there does not match.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return,
            Err(error) => return self.unreadable.push((or_current(directory).to_owned(), error)),
        };
        for entry in entries {
            match entry {
                Ok(entry) if first.matches(&entry.file_name()) => self.add(directory.join(entry.file_name()), rest),
                Ok(_) => {}
                Err(error) => self.unreadable.push((or_current(directory).to_owned(), error)),
            }
        }
    }

    /// The directory and all below it, but not hidden ones and those that symbolic links lead to.
    fn directories(&mut self, start: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let is_current = start.as_os_str().is_empty();
        // A link to the first directory itself is followed.
        let start = or_current(start);
        let is_seen =
            |entry: &walkdir::DirEntry| entry.depth() == 0 || Component::AnyDirectories.matches(entry.file_name());
        for entry in WalkDir::new(start).into_iter().filter_entry(is_seen) {
            match entry {
                Ok(entry) if entry.file_type().is_dir() || (entry.depth() == 0 && entry.path().is_dir()) => {
                    let path = entry.into_path();
                    // As other components write it, so that a file is found under one path only.
                    found.push(if is_current { path.strip_prefix(".").unwrap_or(&path).to_owned() } else { path });
                }
                Ok(_) => {}
                Err(error) => {
                    let path = error.path().unwrap_or(start).to_owned();
                    let error = error.into_io_error().unwrap_or_else(|| io::Error::other("symbolic links form a loop"));
                    if error.kind() != io::ErrorKind::NotFound {
                        self.unreadable.push((path, error));
                    }
                }
            }
        }
        found
    }

    fn add_match(&mut self, path: PathBuf) {
        match fs::metadata(&path) {
            Ok(found) if !found.is_file() => self.others.push((path, what(&found))),
            Ok(_) if path.to_str().is_none() => self.not_utf8.push(path),
            Ok(_) => self.files.push(path),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                if path.is_symlink() {
                    self.others.push((path, LEADS_NOWHERE));
                }
            }
            Err(error) => self.unreadable.push((path, error)),
        }
    }
}

/// The path, or `.` if it is empty.
fn or_current(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn any() -> GlobMatcher {
    compile("*").expect("a star is a glob")
}

/// What something that is not a file is.
fn what(metadata: &fs::Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = metadata.file_type();
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_block_device() || kind.is_char_device() {
        "a device"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "not a regular file"
    }
}

/// The globs that a glob's braces stand for: `a/{b,c/d}` is `a/b` and `a/c/d`.
fn alternatives(glob: &str) -> Result<Vec<String>, String> {
    let mut done = Vec::new();
    let mut open = vec![glob.to_owned()];
    while let Some(glob) = open.pop() {
        match first_braces(&glob) {
            None => done.push(glob),
            Some((start, end, commas)) => {
                let mut from = start + 1;
                for to in commas.into_iter().chain([end]) {
                    open.push(format!("{}{}{}", &glob[..start], &glob[from..to], &glob[end + 1..]));
                    from = to + 1;
                }
            }
        }
        if done.len() + open.len() > MAX_ALTERNATIVES {
            return Err(format!("the braces of this glob stand for more than {MAX_ALTERNATIVES} paths"));
        }
    }
    Ok(done)
}

/// The outermost braces that begin first, and the commas that separate their alternatives.
fn first_braces(glob: &str) -> Option<(usize, usize, Vec<usize>)> {
    let (mut depth, mut start, mut commas) = (0_usize, 0, Vec::new());
    let mut is_class = false;
    let mut bytes = glob.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b']' if is_class => is_class = false,
            _ if is_class => {}
            b'[' => {
                is_class = true;
                // A bracket that closes is an ordinary character where the class begins.
                let rest = glob.as_bytes().get(at + 1..).unwrap_or_default();
                let negated = usize::from(matches!(rest.first(), Some(b'!' | b'^')));
                let literal = usize::from(rest.get(negated) == Some(&b']'));
                for _ in 0..negated + literal {
                    bytes.next();
                }
            }
            b'{' => {
                if depth == 0 {
                    start = at;
                }
                depth += 1;
            }
            b',' if depth == 1 => commas.push(at),
            b'}' if depth == 1 => return Some((start, at, commas)),
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    /// A directory with these files, and what the glob matches there.
    fn found(files: &[&str], glob: &str) -> Vec<String> {
        let site = tempfile::tempdir().unwrap();
        for file in files {
            let path = site.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let matches = find(site.path(), glob).unwrap();
        let relative = |path: &PathBuf| path.strip_prefix(site.path()).unwrap().to_str().unwrap().to_owned();
        matches.files.iter().map(relative).collect()
    }

    const FILES: [&str; 8] = ["a.iso", "b.iso", "c.img", ".h.iso", "x/a.iso", "x/y/a.iso", "x/.z/a.iso", "x/y/{b}.iso"];

    #[test]
    fn globs_find_what_a_shell_would() {
        for (glob, expected) in [
            ("*.iso", &["a.iso", "b.iso"][..]),
            ("[ab].iso", &["a.iso", "b.iso"]),
            ("[!a].iso", &["b.iso"]),
            ("?.i*", &["a.iso", "b.iso", "c.img"]),
            (".*.iso", &[".h.iso"]),
            ("{a,c}.{iso,img}", &["a.iso", "c.img"]),
            ("{a.iso,x/{a,y/a}.iso}", &["a.iso", "x/a.iso", "x/y/a.iso"]),
            ("**/a.iso", &["a.iso", "x/a.iso", "x/y/a.iso"]),
            ("x/**", &["x/a.iso", "x/y/a.iso", "x/y/{b}.iso"]),
            ("x/**/**/a.iso", &["x/a.iso", "x/y/a.iso"]),
            ("*/*/a.iso", &["x/y/a.iso"]),
            ("x/.z/*", &["x/.z/a.iso"]),
            ("x/y/[{]b[}].iso", &["x/y/{b}.iso"]),
            ("x/../a.iso", &["x/../a.iso"]),
            ("./a.iso", &["./a.iso"]),
            ("{a,b,a}.iso", &["a.iso", "b.iso"]),
            ("nothing/*", &[]),
            ("a.iso/*", &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(|path| Path::new(path).to_str().unwrap()).collect();
            let found: Vec<_> = found(&FILES, glob).into_iter().map(|path| path.replace("/./", "/")).collect();
            let expected: Vec<_> = expected.into_iter().map(|path| path.trim_start_matches("./")).collect();
            assert_eq!(found, expected, "{glob}");
        }
    }

    #[test]
    fn an_empty_directory_path_is_the_current_directory() {
        for (glob, expected) in [
            ("Cargo.t?ml", &["Cargo.toml"][..]),
            ("src/manifest/gl?b.rs", &["src/manifest/glob.rs"]),
            ("s?c/manifest/gl?b.rs", &["src/manifest/glob.rs"]),
            ("{Cargo.*ml,*.toml,[C]argo.toml}", &["Cargo.toml"]),
        ] {
            let found = find(Path::new(""), glob).unwrap().files;
            let found: Vec<_> = found
                .iter()
                .filter_map(|path| path.to_str())
                .filter(|path| path.contains("argo") || path.contains("glob"))
                .collect();
            assert_eq!(found, expected, "{glob}");
        }
        let mut matches = Matches::default();
        let directories = matches.directories(Path::new(""));
        assert!(directories.contains(&PathBuf::new()) && directories.contains(&PathBuf::from("src/manifest")));
    }

    #[test]
    fn what_a_walk_finds_is_what_the_glob_matches() {
        let files: Vec<_> =
            FILES.iter().filter(|file| !file.contains("/.") && !file.starts_with('.')).copied().collect();
        for glob in ["*.iso", "**/*.iso", "x/**", "{x/*,*}.i{so,mg}", "x/**/a.iso", "**/[ab].iso", "*/a.iso", "a**"] {
            let matcher = compile(glob).unwrap();
            let mut expected: Vec<_> = files.iter().filter(|file| matcher.is_match(file)).copied().collect();
            expected.sort_unstable();
            assert_eq!(found(&FILES, glob), expected, "{glob}");
        }
    }

    #[test]
    fn what_is_no_image_is_named() {
        let site = tempfile::tempdir().unwrap();
        fs::create_dir(site.path().join("d.iso")).unwrap();
        fs::write(site.path().join(OsStr::from_bytes(b"\xff.iso")), "x").unwrap();
        std::os::unix::fs::symlink("gone", site.path().join("l.iso")).unwrap();
        let matches = find(site.path(), "*.iso").unwrap();
        assert_eq!(matches.files, Vec::<PathBuf>::new());
        let others: Vec<_> = matches.others.iter().map(|(_, what)| *what).collect();
        assert_eq!(others, ["a directory", "a symbolic link that leads nowhere"]);
        assert_eq!(matches.not_utf8, [site.path().join(OsStr::from_bytes(b"\xff.iso"))]);
        assert_eq!(find(Path::new("/"), "dev/null").unwrap().others, [(PathBuf::from("/dev/null"), "a device")]);
    }

    #[test]
    fn an_escaped_text_matches_itself_alone() {
        for text in ["a*b", "[x]", "{a,b}", "a,b", "a\\b", "]", "?", "!x", "a-b"] {
            for glob in [escape(text), format!("{{zzz,{}}}", escape(text))] {
                assert!(compile(&glob).unwrap().is_match(text), "{glob}");
                assert_eq!(found(&[text, "other"], &glob), [text], "{glob}");
            }
        }
    }

    #[test]
    fn broken_globs_are_errors() {
        for glob in ["[a", "a/[b/c]", "{a", "a}", "a\\"] {
            assert!(find(Path::new("/nowhere"), glob).is_err(), "{glob}");
        }
        assert!(find(Path::new("/nowhere"), &"{a,b}".repeat(11)).is_err());
    }
}
