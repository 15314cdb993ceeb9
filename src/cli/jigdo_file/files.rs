//! The FILES of a command: named by arguments and lists, found in directories, each file once.
//!
//! Their order is jigdo-file's, because it shows in the output: arguments before lists, directories in the system's order,
//! and the targets of symbolic links in directories after all arguments, or after the line of a list.

use std::collections::{HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jigdo::escaped_path;
use walkdir::WalkDir;

use super::names::STANDARD;
use super::say;
use crate::file::{Stamp, walk_error};

/// A path, split at its last double slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// What a label stands for. Ends in a slash; empty for a path relative to the working directory.
    root: OsString,
    /// What follows the label in a jigdo file.
    rest: OsString,
}

impl Name {
    /// Splits a name as given. An absolute path without a double slash is split after its first slash.
    pub fn new(written: &OsStr) -> Self {
        let bytes = written.as_bytes();
        let (root, rest) = match bytes.windows(2).rposition(|pair| pair == b"//") {
            Some(at) => (&bytes[..=at], &bytes[at + 2..]),
            None => bytes.split_at(usize::from(bytes.starts_with(b"/"))),
        };
        Self { root: OsStr::from_bytes(root).into(), rest: OsStr::from_bytes(rest).into() }
    }

    pub fn root(&self) -> &OsStr {
        &self.root
    }

    pub fn rest(&self) -> &OsStr {
        &self.rest
    }

    /// The whole path.
    pub fn path(&self) -> PathBuf {
        OsString::from_vec([self.root.as_bytes(), self.rest.as_bytes()].concat()).into()
    }

    /// The name to print with sums and matches: the rest, or the whole path if its root is `/`.
    pub fn shown(&self) -> OsString {
        if self.root == "/" { self.path().into_os_string() } else { self.rest.clone() }
    }

    fn below(&self, path: &Path) -> Self {
        let mut rest = self.rest.as_bytes().to_vec();
        if !rest.is_empty() && !rest.ends_with(b"/") {
            rest.push(b'/');
        }
        rest.extend_from_slice(path.as_os_str().as_bytes());
        Self { root: self.root.clone(), rest: OsString::from_vec(rest) }
    }
}

/// A regular file that is not empty.
#[derive(Debug, Clone)]
pub struct GivenFile {
    pub name: Name,
    pub stamp: Stamp,
}

/// Finds files. Those that cannot be used are reported and skipped.
pub struct Finder<'a> {
    /// Returns the known stamp of a missing file, if `--no-check-files` allows its use.
    known: &'a dyn Fn(&Name) -> Option<Stamp>,
    found: Vec<GivenFile>,
    /// Devices and inodes of all files and directories found so far.
    seen: HashSet<(u64, u64)>,
    /// Symbolic links in directories, to follow last: their targets may also be found without them.
    links: VecDeque<Name>,
}

impl<'a> Finder<'a> {
    pub fn new(known: &'a dyn Fn(&Name) -> Option<Stamp>) -> Self {
        Self { known, found: Vec::new(), seen: HashSet::new(), links: VecDeque::new() }
    }

    /// All files that these arguments and lists name. A list that is `-` is read from `input` up to its first empty line.
    pub fn find(mut self, arguments: &[OsString], lists: &[PathBuf], input: &mut dyn BufRead) -> Vec<GivenFile> {
        for argument in arguments {
            self.add(&Name::new(argument));
        }
        self.add_links();
        for list in lists {
            let read = if list.as_os_str() == STANDARD {
                self.add_list(input)
            } else {
                File::open(list).and_then(|file| self.add_list(&mut BufReader::new(file)))
            };
            if let Err(error) = read {
                say(format_args!("{}: {error}; no more names are read from it", escaped_path(&list)));
            }
        }
        self.found
    }

    /// Adds the targets of the links found so far.
    fn add_links(&mut self) {
        while let Some(link) = self.links.pop_front() {
            self.add(&link);
        }
    }

    fn add_list(&mut self, list: &mut dyn BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            list.read_until(b'\n', &mut line)?;
            match line.strip_suffix(b"\n").unwrap_or(&line) {
                b"" => return Ok(()),
                name => {
                    self.add(&Name::new(OsStr::from_bytes(name)));
                    self.add_links();
                }
            }
        }
    }

    /// Adds the file with this name, or the files in the directory with this name and below it.
    fn add(&mut self, name: &Name) {
        if !self.add_object(name) {
            return;
        }
        let top = name.path();
        let mut entries = WalkDir::new(&top).min_depth(1).into_iter();
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let (path, cause) = walk_error(&top, error);
                    passed_over(&path, &cause);
                    continue;
                }
            };
            let name = name.below(entry.path().strip_prefix(&top).unwrap_or(entry.path()));
            if entry.path_is_symlink() {
                self.links.push_back(name);
            } else if !self.add_object(&name) && entry.file_type().is_dir() {
                entries.skip_current_dir();
            }
        }
    }

    /// Adds what has this name if it is a file. Returns whether it is a directory that is met for the first time.
    fn add_object(&mut self, name: &Name) -> bool {
        let metadata = match fs::metadata(name.path()) {
            Ok(metadata) => metadata,
            Err(error) => {
                match (self.known)(name) {
                    Some(stamp) if self.seen.insert((stamp.device, stamp.inode)) => {
                        self.found.push(GivenFile { name: name.clone(), stamp });
                    }
                    Some(_) => {}
                    None => passed_over(&name.path(), &error),
                }
                return false;
            }
        };
        // A pipe, a socket or a device has no bytes that an image could contain.
        if !(metadata.is_dir() || metadata.is_file()) || !self.seen.insert((metadata.dev(), metadata.ino())) {
            return false;
        }
        if metadata.is_file() && metadata.len() > 0 {
            self.found.push(GivenFile { name: name.clone(), stamp: Stamp::of(&metadata) });
        }
        metadata.is_dir()
    }
}

fn passed_over(path: &Path, error: &io::Error) {
    say(format_args!("{path:?} is passed over: {error}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_name_is_cut_at_its_last_double_slash() {
        for (written, root, rest, shown) in [
            ("/path/some/file", "/", "path/some/file", "/path/some/file"),
            ("/path//some/file", "/path/", "some/file", "some/file"),
            ("/path//some//file", "/path//some/", "file", "file"),
            ("some/file", "", "some/file", "some/file"),
            ("some//", "some/", "", ""),
            ("a///b", "a//", "b", "b"),
            ("//b", "/", "b", "/b"),
        ] {
            let name = Name::new(OsStr::new(written));
            assert_eq!((name.root(), name.rest()), (OsStr::new(root), OsStr::new(rest)), "{written}");
            assert_eq!(name.shown(), shown, "{written}");
        }
    }

    fn found(arguments: &[&Path], list: &str) -> Vec<String> {
        let arguments: Vec<OsString> = arguments.iter().map(|path| path.as_os_str().to_owned()).collect();
        let finder = Finder::new(&|_| None);
        let found = finder.find(&arguments, &["-".into()], &mut list.as_bytes());
        found.iter().map(|found| found.name.rest().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn each_file_is_found_once_and_through_links_last() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        for directory in ["a/b", "c"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        for (path, content) in [("a/b/one", "1"), ("c/two", "2"), ("three", "3"), ("a/empty", "")] {
            fs::write(at(path), content).unwrap();
        }
        symlink("../../c", at("a/b/link")).unwrap();
        symlink("..", at("c/loop")).unwrap();
        symlink("nowhere", at("a/dangling")).unwrap();
        fs::hard_link(at("a/b/one"), at("c/same")).unwrap();
        let cut = PathBuf::from(format!("{}//a", place.path().display()));
        assert_eq!(found(&[&cut], ""), ["a/b/one", "a/b/link/two", "a/b/link/loop/three"]);
        assert_eq!(found(&[&at("three"), &at("a"), &at("nothing")], "").len(), 3);
    }

    #[test]
    fn a_list_ends_at_its_first_empty_line() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name).display().to_string();
        fs::write(path("x"), "x").unwrap();
        fs::write(path("y"), "y").unwrap();
        let mut input = format!("{}\n\n{}\n", path("x"), path("y"));
        assert_eq!(found(&[], &input).len(), 1);
        input = input.replace("\n\n", "\n");
        assert_eq!(found(&[], &input).len(), 2);
    }
}
