//! Finds jigdo files: those that are named, and those in trees, which are told by their content.
//!
//! In trees, hidden files and directories are passed over, and symbolic links too: what they lead to is found where it
//! is, or belongs to somebody else. A file whose name ends in `.jigdo` is taken for one whatever it contains, so that a
//! broken one is not overlooked.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jigdo::jigdo_file::MAX_TEXT;
use rayon::prelude::*;

/// How much is read of a file to tell what it is, in bytes.
const START: u64 = 4096;

/// A jigdo file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// As it was named, or below the tree that was named.
    pub path: PathBuf,
    /// The file itself: absolute, free of symbolic links.
    pub real: PathBuf,
}

impl Found {
    /// The file's bytes, and what `stat` said of it: as many as a jigdo file can have, and one more where it is longer, so
    /// that its reader says so.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no regular file.
    pub fn read(&self) -> io::Result<(Metadata, Vec<u8>)> {
        read_regular(&self.real)
    }
}

/// As [`Found::read`], for any path.
pub(super) fn read_regular(path: &Path) -> io::Result<(Metadata, Vec<u8>)> {
    // To open a pipe would wait for a writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::with_capacity(metadata.len().min(MAX_TEXT) as usize + 1);
    file.take(MAX_TEXT + 1).read_to_end(&mut bytes)?;
    Ok((metadata, bytes))
}

/// Why files cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("{path}: {source}", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} has no jigdo file in it; name the tree in which they are", path = .path.display())]
    Nothing { path: PathBuf },
}

/// The jigdo files among `paths` and in the trees among them, each once, those of a tree in the order of their paths.
///
/// # Errors
///
/// A path that does not exist, something in a tree that cannot be read, and trees without a jigdo file.
pub fn find(paths: &[PathBuf]) -> Result<Vec<Found>, FindError> {
    let mut found = Vec::new();
    for path in paths {
        let failed = |source| FindError::Io { path: path.clone(), source };
        let real = fs::canonicalize(path).map_err(failed)?;
        if !real.is_dir() {
            found.push(Found { path: path.clone(), real });
            continue;
        }
        let mut files = Vec::new();
        walk(&Found { path: path.clone(), real }, &mut files)?;
        let checked: Vec<(Found, io::Result<bool>)> = files
            .into_par_iter()
            .map(|file| {
                let is_jigdo = looks_like_jigdo(&file.real);
                (file, is_jigdo)
            })
            .collect();
        let before = found.len();
        for (file, is_jigdo) in checked {
            if is_jigdo.map_err(|source| FindError::Io { path: file.path.clone(), source })? {
                found.push(file);
            }
        }
        if found.len() == before {
            return Err(FindError::Nothing { path: path.clone() });
        }
    }
    let mut seen = HashSet::new();
    found.retain(|file| seen.insert(file.real.clone()));
    Ok(found)
}

/// The regular files of a directory and those below it.
fn walk(directory: &Found, files: &mut Vec<Found>) -> Result<(), FindError> {
    let failed = |source| FindError::Io { path: directory.path.clone(), source };
    let entries = fs::read_dir(&directory.real).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let kind = entry.file_type().map_err(failed)?;
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let entry = Found { path: directory.path.join(&name), real: directory.real.join(&name) };
        if kind.is_dir() {
            walk(&entry, files)?;
        } else if kind.is_file() {
            files.push(entry);
        }
    }
    Ok(())
}

fn looks_like_jigdo(path: &Path) -> io::Result<bool> {
    if path.extension().is_some_and(|extension| extension == "jigdo") {
        return Ok(true);
    }
    let mut start = Vec::new();
    File::open(path)?.take(START).read_to_end(&mut start)?;
    Ok(begins_as_jigdo(&start))
}

/// Whether a file that begins with these bytes may be a jigdo file: its first section, behind comments, is one that
/// jigdo files have.
fn begins_as_jigdo(start: &[u8]) -> bool {
    let mut inflated = Vec::new();
    let mut text = start;
    if start.starts_with(&[0x1f, 0x8b]) {
        // What was read ends in the middle; what comes before that is enough.
        let _ = flate2::bufread::GzDecoder::new(start).take(START).read_to_end(&mut inflated);
        text = &inflated;
    }
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    for line in text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii) {
        if line.starts_with(b"# JigsawDownload") {
            return true;
        }
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let Some(name) = line.strip_prefix(b"[") else { return false };
        let name = name.trim_ascii_start();
        return [&b"Jigdo"[..], b"Image", b"Parts", b"Servers", b"Include"].iter().any(|known| {
            name.strip_prefix(*known).is_some_and(|rest| rest.first().is_none_or(|&byte| b"] \t".contains(&byte)))
        });
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use jigdo::jigdo_file::gzip;

    fn names(found: Vec<Found>, root: &Path) -> Vec<String> {
        let name = |file: Found| file.path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        found.into_iter().map(name).collect()
    }

    #[test]
    fn jigdo_files_are_told_by_their_content() {
        for text in ["# JigsawDownload\n# x", "\u{feff}\n# c\n [ Parts ]\n", "[Include http://x/]", "[Jigdo]\r\n"] {
            assert!(begins_as_jigdo(text.as_bytes()), "{text}");
            assert!(begins_as_jigdo(&gzip(text).unwrap()), "{text}");
        }
        let long = gzip(&format!("[Parts]\n{}", "0123456789abcdef".repeat(50_000))).unwrap();
        assert!(begins_as_jigdo(&long[..long.len().min(200)]));
        for text in ["", "JigsawDownload template 1.2", "[core]\n", "[Partsx]\n", "a=b\n[Parts]\n", "\x1f\u{8b}"] {
            assert!(!begins_as_jigdo(text.as_bytes()), "{text}");
        }
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
        std::os::unix::fs::symlink(place.path().join("b/two"), place.path().join("a/link.jigdo")).unwrap();
        std::os::unix::fs::symlink(place.path(), place.path().join("a/loop")).unwrap();
        let root = place.path().to_owned();
        let found = find(&[root.clone(), root.join("b/two"), root.join("a/link.jigdo")]).unwrap();
        assert_eq!(names(found, &root), ["a/broken.jigdo", "b/one.gz", "b/two"]);
        assert_eq!(find(&[root.join("a/link.jigdo")]).unwrap()[0].real, fs::canonicalize(root.join("b/two")).unwrap());
        fs::remove_file(root.join("a/broken.jigdo")).unwrap();
        assert!(matches!(find(&[root.join("a")]), Err(FindError::Nothing { .. })));
        assert!(matches!(find(&[root.join("none")]), Err(FindError::Io { .. })));
    }
}
