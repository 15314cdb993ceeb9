//! Parts at the paths that a jigdo file names, in the trees that its labels stand for.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use jigdo::Sum;
use jigdo::bstr::BStr;
use jigdo::jigdo_file::{Jigdo, Location, ResolveError, is_scheme};

use super::Source;
use crate::assemble::{Part, PartPlace};
use crate::set::{self, BadPlace, Images};

/// The directories that labels stand for. The first directory of a label that has a part is used.
pub type Trees = BTreeMap<String, Vec<PathBuf>>;

/// The part files that a jigdo file names.
#[derive(Debug, Clone, Default)]
pub struct LabelTrees {
    /// The files for each sum, in the jigdo file's order.
    files: HashMap<Sum, Vec<PathBuf>>,
}

/// A jigdo file names a path outside its label's tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the path of part \"{location}\" leads out of its tree; correct or remove its line in [Parts]")]
pub struct LeavesTree {
    /// The part's location, as the jigdo file has it.
    pub location: Location,
}

/// Why a jigdo file's parts cannot be looked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum LabelError {
    #[error(transparent)]
    LeavesTree(#[from] LeavesTree),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    PartPlace(#[from] BadPlace),
}

impl LabelTrees {
    /// Looks for the parts of `jigdo` in `trees`. A label without a tree is looked up in the local directories that
    /// `[Servers]` names by absolute paths. Other locations are skipped.
    ///
    /// # Errors
    ///
    /// A path is absolute or has `..` in it, a label leads to itself, or a `file:` URL names another host. Symbolic links
    /// in a tree are followed wherever they lead, because mirrors use them.
    pub fn new(jigdo: &Jigdo, trees: &Trees) -> Result<Self, LabelError> {
        Self::resolve(jigdo, None, trees)
    }

    /// As [`LabelTrees::new`], for a jigdo file on this machine: paths may also be relative to it.
    ///
    /// # Errors
    ///
    /// As for [`LabelTrees::new`].
    pub fn of_images(images: &Images, trees: &Trees) -> Result<Self, LabelError> {
        Self::resolve(images.jigdo(), Some(images.origin()), trees)
    }

    fn resolve(jigdo: &Jigdo, origin: Option<&set::Place>, trees: &Trees) -> Result<Self, LabelError> {
        // No tree can be given for a label that is not UTF-8.
        let tree = |label: &BStr| trees.get(std::str::from_utf8(label).ok()?);
        let mut files: HashMap<Sum, Vec<PathBuf>> = HashMap::new();
        for (sum, part) in &jigdo.parts {
            let known = files.entry(*sum).or_default();
            let stays = is_scheme(&part.label) || part.plain_path().is_some();
            for location in jigdo.expand(part, |label| tree(label).is_some())? {
                match tree(BStr::new(&location.label)) {
                    Some(roots) => {
                        let path = location.plain_path();
                        let path = path.ok_or_else(|| LeavesTree { location: location.clone() })?;
                        known.extend(roots.iter().map(|root| root.join(OsStr::from_bytes(&path))));
                    }
                    None => match local_path(&location, origin)? {
                        Some(_) if !stays => return Err(LeavesTree { location: part.clone() }.into()),
                        path => known.extend(path),
                    },
                }
            }
        }
        Ok(Self { files })
    }

    /// The files that should have this sum, in the jigdo file's order. They need not exist.
    pub fn files(&self, sum: &Sum) -> &[PathBuf] {
        self.files.get(sum).map_or(&[], Vec::as_slice)
    }
}

impl Source for LabelTrees {
    /// The files that exist, those of the right length first. The others are included so that they can be reported.
    fn find(&self, parts: &[Part]) -> Vec<Vec<PartPlace>> {
        let place = |part: &Part, path: &PathBuf| {
            let found = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
            Some((found.len() != part.length, PartPlace::file(path)))
        };
        let places = |part: &Part| {
            let mut places: Vec<_> = self.files(&part.sum).iter().filter_map(|path| place(part, path)).collect();
            places.sort_by_key(|(is_of_another_length, _)| *is_of_another_length);
            places.into_iter().map(|(_, place)| place).collect()
        };
        parts.iter().map(places).collect()
    }
}

/// The local file that a location leads to, if it leads to one.
fn local_path(location: &Location, origin: Option<&set::Place>) -> Result<Option<PathBuf>, BadPlace> {
    let nowhere = set::Place::File(PathBuf::new());
    match set::Place::of(&location.text(), origin.unwrap_or(&nowhere)) {
        Ok(set::Place::File(path)) => Ok(Some(path).filter(|path| path.is_absolute() || origin.is_some())),
        Err(error @ BadPlace::OtherHost { .. }) => Err(error),
        // It is not on this machine, or its label cannot be resolved.
        Ok(set::Place::Web(_)) | Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use jigdo::Checksum;
    use jigdo::jigdo_file::Server;

    fn sum() -> Sum {
        Sum::of(Checksum::Md5, b"")
    }

    fn part(length: u64) -> Part {
        Part { sum: sum(), length, first_block: None }
    }

    fn jigdo(paths: &[&str], servers: &[(&str, &str)]) -> Jigdo {
        let server = |&(label, url): &(&str, &str)| (label.into(), Server { url: url.into(), try_last: false });
        Jigdo {
            parts: paths.iter().map(|path| (sum(), Location::parse(*path))).collect(),
            servers: servers.iter().map(server).collect(),
            ..Jigdo::default()
        }
    }

    fn trees(trees: &[(&str, &Path)]) -> Trees {
        trees.iter().map(|(label, path)| ((*label).to_owned(), vec![path.to_path_buf()])).collect()
    }

    #[test]
    fn paths_that_lead_out_of_the_tree_are_refused() {
        let of = |path: &str| LabelTrees::new(&jigdo(&[path], &[]), &trees(&[("A", Path::new("mirror"))]));
        for path in ["A:../../etc/passwd", "A:/etc/passwd", "A:pool/../../x", "A:.."] {
            let error = of(path).unwrap_err().to_string();
            assert!(error.contains(path), "{error}");
        }
        let servers = [("B", "file:/srv/")];
        for path in ["B:../etc/passwd", "/etc/passwd"] {
            let error = LabelTrees::new(&jigdo(&[path], &servers), &Trees::new()).unwrap_err().to_string();
            assert!(error.contains(path), "{error}");
        }
        for path in ["A:pool/x", "A:./pool/..x", "A:pool//x", "B:../x"] {
            assert!(of(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn files_of_the_right_length_come_first() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("directory")).unwrap();
        for (name, content) in [("short", "1"), ("right", "12"), ("later", "ab")] {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        let jigdo = jigdo(&["A:missing", "A:directory", "A:short", "A:right", "A:later"], &[]);
        let source = LabelTrees::new(&jigdo, &trees(&[("A", directory.path())])).unwrap();
        let names = |part: Part| -> Vec<String> {
            let place = |place: PartPlace| match place {
                PartPlace::File(path) => path.file_name().unwrap().to_str().unwrap().to_owned(),
                other => panic!("{other}"),
            };
            source.find(&[part]).remove(0).into_iter().map(place).collect()
        };
        assert_eq!(names(part(2)), ["right", "later", "short"]);
        assert_eq!(names(part(9)), ["short", "right", "later"]);
        let other = Part { sum: Sum::of(Checksum::Sha256, b""), ..part(2) };
        assert!(names(other).is_empty());
    }

    #[test]
    fn labels_lead_through_labels_to_trees_and_local_directories() {
        let servers = [
            ("B", "A:sub/"),
            ("C", "file:/srv/c/"),
            ("C", "https://c/"),
            ("D", "file:///srv/d/"),
            ("F", "file://localhost/srv/f/"),
        ];
        let files = |path| {
            let mirror = trees(&[("A", Path::new("/mirror"))]);
            LabelTrees::new(&jigdo(&[path], &servers), &mirror).unwrap().files(&sum()).to_vec()
        };
        assert_eq!(files("B:x"), [Path::new("/mirror/sub/x")]);
        assert_eq!(files("C:x"), [Path::new("/srv/c/x")]);
        assert_eq!(files("D:x"), [Path::new("/srv/d/x")]);
        assert_eq!(files("F:x"), [Path::new("/srv/f/x")]);
        assert!(files("E:x").is_empty());
        let other = LabelTrees::new(&jigdo(&["G:x"], &[("G", "file://other/srv/")]), &Trees::new());
        assert!(matches!(other, Err(LabelError::PartPlace(BadPlace::OtherHost { .. }))));
        // A tree that is given replaces the servers.
        let mirror = trees(&[("C", Path::new("/mirror"))]);
        let found = LabelTrees::new(&jigdo(&["C:x"], &servers), &mirror).unwrap();
        assert_eq!(found.files(&sum()), [Path::new("/mirror/x")]);
    }
}
