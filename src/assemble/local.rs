//! Parts in directories: a jigdo file says what path a sum has below which label, and a map where labels are.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::PartSource;
use crate::digest::Sum;
use crate::format::jigdo::{Jigdo, Location};

/// The part files of one jigdo file.
#[derive(Debug, Clone, Default)]
pub struct LocalParts {
    /// Every sum's files, in the jigdo file's order.
    files: HashMap<Sum, Vec<PathBuf>>,
}

/// Why a jigdo file's parts cannot be looked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocalError {
    #[error("the path of part {location:?} leads out of its tree")]
    LeavesTree { location: String },
}

impl LocalParts {
    /// Looks for the parts of `jigdo` in `trees`, which maps labels to directories. Locations whose label has no
    /// directory are passed over.
    ///
    /// # Errors
    ///
    /// A path that is absolute or has `..` in it. Symbolic links in a tree are followed wherever they lead, as mirror
    /// trees need it.
    pub fn new(jigdo: &Jigdo, trees: &HashMap<String, PathBuf>) -> Result<Self, LocalError> {
        let mut files: HashMap<Sum, Vec<PathBuf>> = HashMap::new();
        for (sum, location) in &jigdo.parts {
            if let Some(tree) = trees.get(&location.label) {
                files.entry(*sum).or_default().push(path_in(tree, location)?);
            }
        }
        Ok(Self { files })
    }

    /// The files that should have the content with this sum, in the jigdo file's order. None need exist.
    pub fn files(&self, sum: &Sum) -> &[PathBuf] {
        self.files.get(sum).map_or(&[], Vec::as_slice)
    }
}

impl PartSource for LocalParts {
    /// The first file that exists and has the right length; failing that, the first that exists, so that its length
    /// can be reported.
    fn open(&self, sum: &Sum, length: u64) -> io::Result<Option<Box<dyn Read + '_>>> {
        let mut another_length = None;
        for path in self.files(sum) {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
            };
            let found = file.metadata()?;
            if found.is_file() && found.len() == length {
                return Ok(Some(Box::new(file)));
            }
            if found.is_file() {
                another_length.get_or_insert(file);
            }
        }
        Ok(another_length.map(|file| Box::new(file) as Box<dyn Read>))
    }
}

fn path_in(tree: &Path, location: &Location) -> Result<PathBuf, LocalError> {
    let path = Path::new(&location.path);
    let stays = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    if path.components().all(stays) && !location.path.contains('\0') {
        Ok(tree.join(path))
    } else {
        Err(LocalError::LeavesTree { location: location.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Checksum;

    fn parts(paths: &[&str], tree: &Path) -> Result<LocalParts, LocalError> {
        let sum = Sum::of(Checksum::Md5, b"");
        let parts = paths.iter().map(|path| (sum, Location::parse(&format!("A:{path}")))).collect();
        LocalParts::new(&Jigdo { parts, ..Jigdo::default() }, &HashMap::from([("A".to_owned(), tree.to_owned())]))
    }

    #[test]
    fn paths_that_lead_out_of_the_tree_are_refused() {
        for path in ["../../etc/passwd", "/etc/passwd", "pool/../../x", ".."] {
            let error = parts(&[path], Path::new("mirror")).unwrap_err().to_string();
            assert!(error.contains(path), "{error}");
        }
        for path in ["pool/x", "./pool/..x", "pool//x"] {
            assert!(parts(&[path], Path::new("mirror")).is_ok(), "{path}");
        }
    }

    #[test]
    fn the_first_file_of_the_right_length_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("directory")).unwrap();
        for (name, content) in [("short", "1"), ("right", "12"), ("later", "ab")] {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        let parts = parts(&["missing", "directory", "short", "right", "later"], directory.path()).unwrap();
        let read = |length| {
            let mut text = String::new();
            parts.open(&Sum::of(Checksum::Md5, b""), length).unwrap().unwrap().read_to_string(&mut text).unwrap();
            text
        };
        assert_eq!((read(2), read(9)), ("12".to_owned(), "1".to_owned()));
        assert!(parts.open(&Sum::of(Checksum::Sha256, b""), 2).unwrap().is_none());
    }
}
