//! The stand-in and Debian's jigdo-file, run on the same files one after the other.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io::{Cursor, Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jigdo::base64;
use jigdo::jigdo_file::split_words;
use jigdo::template::{Description, Template};
use jigdo::{Checksum, Sum};

/// A directory with a link to jigpress that is called jigdo-file, and nothing else.
pub fn bin() -> tempfile::TempDir {
    let bin = tempfile::tempdir().unwrap();
    symlink(env!("CARGO_BIN_EXE_jigpress"), bin.path().join("jigdo-file")).unwrap();
    bin
}

/// A directory of inputs, in which both programs run. What they write is taken away after each.
pub struct Arena {
    place: tempfile::TempDir,
    bin: tempfile::TempDir,
    /// Every path that belongs to the inputs.
    inputs: Vec<PathBuf>,
    /// The sums of all templates so far: they depend on who compresses them.
    templates: RefCell<HashSet<String>>,
}

/// What came of one command.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: Content,
    /// The files that were there afterwards, the inputs aside, each as far as it should be the same for both.
    pub files: BTreeMap<PathBuf, Content>,
}

/// What a file has that should be the same, whoever wrote it.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    Bytes(Vec<u8>),
    /// Without what names the program, and without the sum of the template, which depends on how it is compressed.
    Jigdo(String),
    Template(Description, Vec<u8>),
    /// An index or a database.
    Cache,
}

impl Arena {
    /// An arena with the inputs that `fill` makes.
    pub fn new(fill: impl FnOnce(&Path)) -> Self {
        let place = tempfile::tempdir().unwrap();
        fill(place.path());
        let inputs = paths(place.path());
        Self { place, bin: bin(), inputs, templates: RefCell::default() }
    }

    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Runs these lines with Debian's jigdo-file, then with ours. A line has its arguments, quoted as in a jigdo file; where
    /// it has a `|`, the files before it are the standard input, in their order.
    pub fn run(&self, lines: &[&str]) -> (Vec<Ran>, Vec<Ran>) {
        let theirs = self.run_with(Path::new("/usr/bin/jigdo-file"), lines);
        let ours = self.run_with(&self.bin.path().join("jigdo-file"), lines);
        (theirs, ours)
    }

    fn run_with(&self, program: &Path, lines: &[&str]) -> Vec<Ran> {
        let run = |line: &&str| {
            let (input, arguments) = line.split_once(" | ").unwrap_or(("", line));
            let words = |text: &str| split_words(text).unwrap().into_iter().map(|word| word.to_string());
            let input: Vec<u8> = words(input).flat_map(|name| self.read(&name)).collect();
            let mut command = Command::new(program);
            command.args(words(arguments)).current_dir(self.path());
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).env_remove("TMPDIR");
            let mut child = command.spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            // Whoever wants none of it may be gone already.
            let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
            let output = child.wait_with_output().unwrap();
            feeder.join().unwrap();
            let files = self.outputs();
            Ran { code: output.status.code(), out: self.content(Path::new("output"), output.stdout), files }
        };
        let ran = lines.iter().map(run).collect();
        self.clear();
        ran
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn new_paths(&self) -> Vec<PathBuf> {
        paths(self.path()).into_iter().filter(|path| !self.inputs.contains(path)).collect()
    }

    fn outputs(&self) -> BTreeMap<PathBuf, Content> {
        let files = self.new_paths().into_iter().filter(|path| path.is_file());
        // Templates before the jigdo files that have their sums.
        let mut files: Vec<_> = files.collect();
        files.sort_by_key(|path| path.extension().is_some_and(|extension| extension == "jigdo"));
        let name = |path: &PathBuf| path.strip_prefix(self.path()).unwrap().to_owned();
        let content = |path: &PathBuf| (name(path), self.content(path, fs::read(path).unwrap()));
        files.iter().map(content).collect()
    }

    fn clear(&self) {
        for path in self.new_paths().into_iter().rev() {
            if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) }.unwrap();
        }
    }

    fn content(&self, path: &Path, bytes: Vec<u8>) -> Content {
        if path.to_str().unwrap().contains(".db") {
            return Content::Cache;
        }
        if bytes.starts_with(b"JigsawDownload template") {
            for checksum in Checksum::ALL {
                self.templates.borrow_mut().insert(base64::encode(Sum::of(checksum, &bytes).as_bytes()));
            }
            return template(&bytes).unwrap_or(Content::Bytes(bytes));
        }
        match String::from_utf8(bytes) {
            Ok(text) if text.contains("[Parts]") => Content::Jigdo(self.jigdo(&text)),
            Ok(text) => Content::Bytes(text.into_bytes()),
            Err(error) => Content::Bytes(error.into_bytes()),
        }
    }

    /// A jigdo file's text without what it says of its generator and the templates' sums.
    fn jigdo(&self, text: &str) -> String {
        let line = |line: &str| {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            let is_sum = key.trim().starts_with("Template-") && self.templates.borrow().contains(value.trim());
            let shown = match key {
                "Generator" if value.starts_with("jig") => "of either",
                _ if is_sum => "of a template",
                _ => return format!("{line}\n"),
            };
            format!("{key}={shown}\n")
        };
        text.lines().map(line).collect()
    }
}

/// `None` if it is too short, as jigdo-file's is of an empty image.
fn template(bytes: &[u8]) -> Option<Content> {
    let mut template = Template::read(Cursor::new(bytes)).ok()?;
    let mut unmatched = Vec::new();
    template.unmatched().read_to_end(&mut unmatched).unwrap();
    // Of an image of no bytes, one may say so in an area.
    let mut description = template.description;
    description.areas.retain(|area| area.length() > 0);
    Some(Content::Template(description, unmatched))
}

/// Everything below a directory, those that contain others first. Links are not followed.
fn paths(directory: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        paths.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            paths.extend(self::paths(&entry.path()));
        }
    }
    paths
}

/// What differs between two runs of these lines, in words; empty if nothing does.
pub fn differences(lines: &[&str], theirs: &[Ran], ours: &[Ran]) -> String {
    let mut text = String::new();
    for ((line, theirs), ours) in lines.iter().zip(theirs).zip(ours) {
        if theirs.code != ours.code {
            text += &format!("{line}: exit code {:?}, not {:?}\n", ours.code, theirs.code);
        }
        if theirs.out != ours.out {
            let (ours, theirs) = (show(Some(&ours.out)), show(Some(&theirs.out)));
            text += &format!("{line}: standard output\n{ours}--- not\n{theirs}---\n");
        }
        let names = theirs.files.keys().chain(ours.files.keys()).collect::<std::collections::BTreeSet<_>>();
        for name in names {
            let (theirs, ours) = (theirs.files.get(name), ours.files.get(name));
            if theirs != ours {
                text += &format!("{line}: {}\n{}--- not\n{}---\n", name.display(), show(ours), show(theirs));
            }
        }
    }
    text
}

fn show(content: Option<&Content>) -> String {
    match content {
        None => "missing\n".to_owned(),
        Some(Content::Bytes(bytes)) => match std::str::from_utf8(&bytes[..bytes.len().min(3000)]) {
            Ok(text) => text.to_owned(),
            Err(_) => format!("{} bytes\n", bytes.len()),
        },
        Some(Content::Jigdo(text)) => text.clone(),
        Some(Content::Template(description, unmatched)) => format!("{description:#?}\n{} bytes\n", unmatched.len()),
        Some(Content::Cache) => "a cache\n".to_owned(),
    }
}

/// The program's path, to be put first in `PATH`.
pub fn path_with(bin: &Path) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(bin.to_owned()).chain(std::env::split_paths(&path))).unwrap()
}
