//! Trees of which only some files are wanted, named one by one: the command line of jigdo-file names files so.

use std::path::PathBuf;

use super::Error;
use super::walk::Listing;
use crate::file::Stamp;

/// Some files of a tree.
pub struct NamedTree {
    /// Absolute, and free of symbolic links, as the index knows trees.
    pub root: PathBuf,
    /// Paths relative to the root, with `/`, each with what `stat` said of the file. In any order; each path once.
    pub files: Vec<(String, Stamp)>,
}

impl NamedTree {
    /// The files as a walk would have listed them, had it seen no others.
    pub(super) fn listing(mut self) -> Result<Listing, Error> {
        self.files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let files = self.files.iter().map(|(path, stamp)| (path.as_str(), *stamp));
        let too_many = || Error::TooManyFiles { label: String::new(), path: self.root.clone() };
        Listing::of_files(self.root.clone(), files).ok_or_else(too_many)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Catalogue, Index};
    use super::*;
    use crate::progress::Silent;
    use jigdo::Checksum;
    use std::fs::{self, File};
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    /// A tree of files that are old enough to be remembered.
    fn tree(names: &[&str]) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for name in names {
            let path = place.path().join(name);
            fs::write(&path, name.repeat(2000)).unwrap();
            let then = SystemTime::now() - Duration::from_secs(3600);
            File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
        }
        place
    }

    fn named(root: &Path, names: &[&str]) -> NamedTree {
        let root = fs::canonicalize(root).unwrap();
        let file = |name: &&str| ((*name).to_owned(), Stamp::of(&fs::metadata(root.join(name)).unwrap()));
        NamedTree { files: names.iter().map(file).collect(), root }
    }

    fn look_up(index: &Index, trees: Vec<NamedTree>) -> Catalogue {
        index.refresh_named(trees, &[1024], &[Checksum::Md5], &Silent).unwrap()
    }

    #[test]
    fn only_what_is_named_is_found_and_what_is_not_stays_remembered() {
        let (place, index) = (tree(&["b", "a", "c"]), Index::in_memory().unwrap());
        let first = look_up(&index, vec![named(place.path(), &["b", "a"])]);
        let file = first.find(0, "b").unwrap();
        assert_eq!(first.full_path(file), fs::canonicalize(place.path()).unwrap().join("b"));
        assert!(first.find(0, "c").is_none() && first.find(0, "").is_none() && first.features(file, 1024).is_some());
        first.sums(&[file], &Silent);
        first.flush().unwrap();

        let second = look_up(&index, vec![named(place.path(), &["c"])]);
        assert_eq!(second.len(), 1);
        let third = look_up(&index, vec![named(place.path(), &["a", "b", "c"])]);
        assert!(third.known_sums(third.find(0, "b").unwrap()).is_some());
        assert!(third.known_sums(third.find(0, "a").unwrap()).is_none());
        assert_eq!(look_up(&index, vec![]).len(), 0);
    }

    #[test]
    fn a_stamp_that_is_remembered_tells_a_files_sums_without_the_file() {
        let (place, index) = (tree(&["a"]), Index::in_memory().unwrap());
        let root = fs::canonicalize(place.path()).unwrap();
        let catalogue = look_up(&index, vec![named(&root, &["a"])]);
        catalogue.sums(&[catalogue.find(0, "a").unwrap()], &Silent);
        catalogue.flush().unwrap();
        fs::remove_file(root.join("a")).unwrap();

        assert_eq!(index.stamp(&root, "b").unwrap(), None);
        let stamp = index.stamp(&root, "a").unwrap().unwrap();
        let catalogue = look_up(&index, vec![NamedTree { root, files: vec![("a".to_owned(), stamp)] }]);
        assert!(catalogue.known_sums(catalogue.find(0, "a").unwrap()).is_some());
    }

    #[test]
    fn only_what_was_used_and_then_not_for_long_is_forgotten() {
        let (place, index) = (tree(&["old", "new", "never"]), Index::in_memory().unwrap());
        let used = |name: &str, seconds| {
            let catalogue = look_up(&index, vec![named(place.path(), &[name])]);
            index.note_used(&catalogue, seconds).unwrap();
        };
        look_up(&index, vec![named(place.path(), &["never"])]);
        used("old", 100);
        used("new", 50);
        used("new", 200);
        index.forget_unused(200).unwrap();
        let root = fs::canonicalize(place.path()).unwrap();
        let is_known = |name| index.stamp(&root, name).unwrap().is_some();
        assert_eq!([is_known("old"), is_known("new"), is_known("never")], [false, true, true]);
    }
}
