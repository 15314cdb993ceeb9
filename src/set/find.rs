//! Finds jigdo files, named one by one or in trees.
//!
//! In a tree, a file is a jigdo file if it looks like one, or if its name ends in `.jigdo`, so that broken ones are not
//! overlooked; one that has the name but other content, such as a web page, is left out. Hidden files and directories are
//! skipped, such as `.jigpress`, where sets are staged. Symbolic links are skipped too: their target is either found at
//! its own place or is not part of the tree. What cannot be read does not hide the rest.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use jigdo::jigdo_file::{self, Jigdo, MAX_TEXT};
use jigdo::template::{self, Tmp};
use jigdo::{Algorithm, escaped_path};
use rayon::prelude::*;
use walkdir::{DirEntry, WalkDir};

use crate::file::walk_error;
use crate::natural;
use crate::output::sums;

/// How many bytes of a file are read to find out its kind.
const START: u64 = 4096;

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A jigdo file, plain or compressed.
    Jigdo,
    /// A template.
    Template,
    /// A half-assembled image, `image.tmp`.
    Tmp,
    /// A list of sums, such as `SHA256SUMS`.
    Sums,
    /// Anything else, such as an image.
    Other,
}

impl Kind {
    /// The kind of the file at `path`, by its content, or by its name where the content may be anything.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is not a regular file.
    pub fn of(path: &Path) -> io::Result<Self> {
        Self::with_start(path).map(|(kind, _)| kind)
    }

    /// The kind of the file at `path`, and its first bytes.
    fn with_start(path: &Path) -> io::Result<(Self, Vec<u8>)> {
        let mut file = open_regular(path)?;
        let mut start = Vec::new();
        (&mut file).take(START).read_to_end(&mut start)?;
        let has_extension = |known: &str| path.extension().is_some_and(|extension| extension == known);
        let is_named = |algorithm| path.file_name() == Some(OsStr::new(&sums::file_name(algorithm)));
        let kind = match () {
            () if start.starts_with(template::MAGIC) => Self::Template,
            () if has_extension("jigdo") || jigdo_file::looks_like(&start) => Self::Jigdo,
            () if has_extension("tmp") && Tmp::read(file).is_ok() => Self::Tmp,
            () if Algorithm::ALL.into_iter().any(is_named) => Self::Sums,
            () => Self::Other,
        };
        Ok((kind, start))
    }
}

/// A jigdo file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct JigdoFile {
    /// As given, or below the tree that was given.
    pub path: PathBuf,
    /// The absolute path, without symbolic links.
    pub real: PathBuf,
}

impl JigdoFile {
    /// The file at `path`.
    ///
    /// # Errors
    ///
    /// There is no such file.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), real: fs::canonicalize(path)? })
    }

    /// Reads the file's metadata and bytes. Of a file longer than a jigdo file may be, one byte more than that limit is
    /// read, so that the parser refuses it.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is not a regular file.
    pub fn read(&self) -> io::Result<(Metadata, Vec<u8>)> {
        read_regular(&self.real)
    }

    /// The paths that the set's other files may lie beside: the one given, and the real one if that is a symbolic link.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let is_link = fs::symlink_metadata(&self.path).is_ok_and(|found| found.is_symlink());
        [Some(self.path.as_path()), is_link.then_some(self.real.as_path())].into_iter().flatten()
    }
}

/// Like [`JigdoFile::read`], for any path.
pub(super) fn read_regular(path: &Path) -> io::Result<(Metadata, Vec<u8>)> {
    let file = open_regular(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::with_capacity(metadata.len().min(MAX_TEXT) as usize + 1);
    file.take(MAX_TEXT + 1).read_to_end(&mut bytes)?;
    Ok((metadata, bytes))
}

/// Entries of one directory, in natural order.
fn by_name(one: &DirEntry, other: &DirEntry) -> Ordering {
    natural::compare(Path::new(one.file_name()), Path::new(other.file_name()))
}

fn open_regular(path: &Path) -> io::Result<File> {
    // Opening a pipe waits for a writer, and reading a device may never end.
    if fs::metadata(path)?.is_file() { File::open(path) } else { Err(io::Error::other("it is not a regular file")) }
}

/// Why jigdo files cannot be found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum FindError {
    #[error("{path}: {source}", path = escaped_path(.path))]
    Io { path: PathBuf, source: io::Error },
    #[error("there is no jigdo file in {path}; name the tree that has them", path = escaped_path(.path))]
    Nothing { path: PathBuf },
    #[error("{path} is no jigdo file, in spite of its name: it has no section such as [Parts]; it is left out", path = escaped_path(.path))]
    OtherContent { path: PathBuf },
    #[error("{path}: it has parts but no [Image] section, and no other jigdo file there includes it; it was passed over", path = escaped_path(.path))]
    NoImage { path: PathBuf },
    #[error("no jigdo file in {path} describes an image; name the tree that has sets", path = escaped_path(.path))]
    NoImages { path: PathBuf },
}

/// The jigdo files of trees.
#[derive(Debug, Default)]
pub struct Tree {
    /// In the order of their paths.
    pub files: Vec<JigdoFile>,
    /// Directories and files that could not be read, so jigdo files may be missing.
    pub unreadable: Vec<FindError>,
    /// Files that have the name of a jigdo file, but are none.
    pub left_out: Vec<FindError>,
}

impl Tree {
    /// Whether everything in the trees could be looked at.
    pub fn is_whole(&self) -> bool {
        self.unreadable.is_empty()
    }

    /// What could not be read and what was left out, as texts for people.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let unread = self.unreadable.iter().map(|error| format!("{error}; jigdo files may be missing"));
        unread.chain(self.left_out.iter().map(ToString::to_string))
    }
}

/// Returns the jigdo files among `paths` and in the trees among them, each once; those of a tree in the order of their
/// paths. A tree that cannot be read at all is among [`Tree::unreadable`], as is what cannot be read below one.
///
/// # Errors
///
/// A path does not exist, a tree has no jigdo file, or nothing can be read.
pub fn find(paths: &[PathBuf]) -> Result<Tree, FindError> {
    let mut found = Tree::default();
    for path in paths {
        let file = match JigdoFile::at(path) {
            Ok(file) => file,
            Err(source) => {
                let error = FindError::Io { path: path.clone(), source };
                // A path that is not there was mistyped; one that cannot be looked at is no reason to stop.
                if error.is_of_permission() {
                    found.unreadable.push(error);
                    continue;
                }
                return Err(error);
            }
        };
        if !file.real.is_dir() {
            found.files.push(file);
            continue;
        }
        match find_in(path) {
            Ok(tree) if tree.files.is_empty() && tree.is_whole() => {
                return Err(FindError::Nothing { path: path.clone() });
            }
            Ok(tree) => {
                found.files.extend(tree.files);
                found.unreadable.extend(tree.unreadable);
                found.left_out.extend(tree.left_out);
            }
            Err(error) => found.unreadable.push(error),
        }
    }
    if found.files.is_empty() && !found.is_whole() {
        return Err(found.unreadable.swap_remove(0));
    }
    let mut seen = HashSet::new();
    found.files.retain(|file| seen.insert(file.real.clone()));
    // Of trees inside one another, each says the same.
    let mut told = HashSet::new();
    found.unreadable.retain(|error| told.insert(error.to_string()));
    found.left_out.retain(|error| told.insert(error.to_string()));
    Ok(found)
}

impl FindError {
    /// The path that the error is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Nothing { path }
            | Self::OtherContent { path }
            | Self::NoImage { path }
            | Self::NoImages { path } => path,
        }
    }

    fn is_of_permission(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

/// The jigdo files in a tree.
///
/// # Errors
///
/// `directory` itself cannot be read.
pub fn find_in(directory: &Path) -> Result<Tree, FindError> {
    find_to_depth(directory, usize::MAX)
}

/// The jigdo files in a directory itself, not in those below it.
///
/// # Errors
///
/// The directory cannot be read.
pub fn find_directly_in(directory: &Path) -> Result<Tree, FindError> {
    find_to_depth(directory, 1)
}

fn find_to_depth(directory: &Path, depth: usize) -> Result<Tree, FindError> {
    let failed = |source| FindError::Io { path: directory.to_owned(), source };
    let root = JigdoFile::at(directory).map_err(failed)?;
    let mut tree = Tree::default();
    let mut files = Vec::new();
    // A hidden root was named, so it is meant.
    let is_visible = |entry: &DirEntry| entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".");
    for entry in WalkDir::new(&root.real).max_depth(depth).sort_by(by_name).into_iter().filter_entry(is_visible) {
        let below = |real: &Path| root.path.join(real.strip_prefix(&root.real).unwrap_or(real));
        match entry {
            Ok(entry) if entry.file_type().is_file() => {
                files.push(JigdoFile { path: below(entry.path()), real: entry.into_path() });
            }
            Ok(_) => {}
            Err(error) if error.path().is_none_or(|path| path == root.real) => {
                return Err(failed(walk_error(&root.real, error).1));
            }
            // It was there a moment ago.
            Err(error) if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) => {}
            Err(error) => {
                let (real, source) = walk_error(&root.real, error);
                tree.unreadable.push(FindError::Io { path: below(&real), source });
            }
        }
    }
    let kinds: Vec<io::Result<InTree>> = files.par_iter().map(|file| InTree::of(&file.real)).collect();
    for (file, kind) in files.into_iter().zip(kinds) {
        match kind {
            Ok(InTree::Jigdo) => tree.files.push(file),
            Ok(InTree::OnlyNamed) => tree.left_out.push(FindError::OtherContent { path: file.path }),
            Ok(InTree::Other) => {}
            // It was there a moment ago, and was removed or replaced meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => tree.unreadable.push(FindError::Io { path: file.path, source }),
        }
    }
    Ok(tree)
}

/// What a file of a tree is for those who look for jigdo files.
enum InTree {
    /// A jigdo file, perhaps a broken one.
    Jigdo,
    /// It has the name of a jigdo file, and other content.
    OnlyNamed,
    Other,
}

impl InTree {
    fn of(path: &Path) -> io::Result<Self> {
        let (kind, start) = Kind::with_start(path)?;
        if kind != Kind::Jigdo {
            return Ok(Self::Other);
        }
        if jigdo_file::looks_like(&start) || is_emptied(&start) {
            return Ok(Self::Jigdo);
        }
        // Sections may begin after the start that was looked at.
        let (_, bytes) = read_regular(path)?;
        let mut has_bad_entry = false;
        let complain = |error| {
            has_bad_entry |= matches!(error, jigdo_file::Error::NotAnEntry { .. } | jigdo_file::Error::BadSum { .. });
        };
        Ok(match Jigdo::read_leniently(&*bytes, complain) {
            Ok(jigdo) if jigdo == Jigdo::default() && !has_bad_entry => Self::OnlyNamed,
            Ok(_) | Err(jigdo_file::Error::Corrupt { .. }) => Self::Jigdo,
            Err(_) => Self::OnlyNamed,
        })
    }
}

/// Whether nothing is left of what a file was: it is empty, or a loss of power filled it with zeros.
fn is_emptied(start: &[u8]) -> bool {
    start.iter().all(|&byte| byte == 0 || byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jigdo::jigdo_file::gzip;
    use jigdo::template::{Description, ImageEntry};
    use jigdo::{Checksum, Sum};

    fn names(found: Tree, root: &Path) -> Vec<String> {
        assert!(found.is_whole());
        let name = |file: JigdoFile| file.path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        found.files.into_iter().map(name).collect()
    }

    #[test]
    fn files_of_trees_are_found_once_and_in_order() {
        let place = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &[u8]| {
            let path = place.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("b/two", b"[Jigdo]\n");
        write("b/one.gz", &gzip("[Jigdo]\n").unwrap());
        write("a/broken.jigdo", b"");
        write("a/README", b"no");
        write("a/.jigpress/three.jigdo", b"[Jigdo]\n");
        write("a/.four.jigdo", b"[Jigdo]\n");
        std::os::unix::fs::symlink(place.path().join("b/two"), place.path().join("a/link.jigdo")).unwrap();
        std::os::unix::fs::symlink(place.path(), place.path().join("a/loop")).unwrap();
        let root = place.path().to_owned();
        let found = find(&[root.clone(), root.join("b/two"), root.join("a/link.jigdo")]).unwrap();
        assert_eq!(names(found, &root), ["a/broken.jigdo", "b/one.gz", "b/two"]);
        assert_eq!(
            find(&[root.join("a/link.jigdo")]).unwrap().files[0].real,
            fs::canonicalize(root.join("b/two")).unwrap()
        );
        assert_eq!(names(find(&[root.join("a/.jigpress")]).unwrap(), &root), ["a/.jigpress/three.jigdo"]);
        fs::remove_file(root.join("a/broken.jigdo")).unwrap();
        assert!(matches!(find(&[root.join("a")]), Err(FindError::Nothing { .. })));
        assert!(matches!(find(&[root.join("none")]), Err(FindError::Io { .. })));
        assert!(matches!(find_in(&root.join("none")), Err(FindError::Io { .. })));
    }

    #[test]
    fn a_file_of_a_tree_that_has_only_the_name_of_a_jigdo_file_is_left_out() {
        let place = tempfile::tempdir().unwrap();
        let page = "<!DOCTYPE html>\n<html lang=\"en\">\n<p>404</p>\n";
        let (long, late) = ("x".repeat(2 << 20), format!("{}[Parts]\nx=y\n", "# comment\n".repeat(1000)));
        let cut = &gzip(&"[Jigdo]\n".repeat(5000)).unwrap()[..12];
        for (name, content, is_left_out) in [
            ("page", page.as_bytes(), true),
            ("packed-page", &gzip(page).unwrap(), true),
            ("ini", b"[core]\nbare = true\n", true),
            ("image", &[0xff; 9000], true),
            ("long", long.as_bytes(), true),
            ("empty", b"", false),
            ("zeros", &[0; 9000], false),
            ("cut", cut, false),
            ("late", late.as_bytes(), false),
            ("bad", b"[Parts\n", false),
        ] {
            let path = place.path().join(format!("{name}.jigdo"));
            fs::write(&path, content).unwrap();
            let tree = find_in(place.path()).unwrap();
            assert_eq!(
                (tree.left_out.len(), tree.files.len()),
                (usize::from(is_left_out), usize::from(!is_left_out)),
                "{name}"
            );
            // One that is named is meant.
            assert_eq!(find(std::slice::from_ref(&path)).unwrap().files.len(), 1, "{name}");
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn the_kind_of_a_file_is_known_by_its_start_or_its_name() {
        let place = tempfile::tempdir().unwrap();
        let kind = |name: &str, content: &[u8]| {
            fs::write(place.path().join(name), content).unwrap();
            Kind::of(&place.path().join(name)).unwrap()
        };
        assert_eq!(kind("a", b"[Parts]\n"), Kind::Jigdo);
        assert_eq!(kind("b", &gzip("[Parts]\n").unwrap()), Kind::Jigdo);
        assert_eq!(kind("c.jigdo", b"broken"), Kind::Jigdo);
        assert_eq!(kind("d.jigdo", b"JigsawDownload template 1.2 x/1\r\n"), Kind::Template);
        let tmp = Tmp {
            description: Description {
                areas: Vec::new(),
                image: ImageEntry { length: 0, sum: Sum::of(Checksum::Md5, b""), block_length: Some(1024) },
            },
            written: Vec::new(),
        };
        assert_eq!(kind("e.iso.tmp", &tmp.to_bytes()), Kind::Tmp);
        assert_eq!(kind("f.tmp", b"bytes"), Kind::Other);
        assert_eq!(kind("SHA256SUMS", b"0 x\n"), Kind::Sums);
        assert_eq!(kind("f.iso", b"bytes"), Kind::Other);
        assert!(Kind::of(place.path()).is_err());
    }
}
