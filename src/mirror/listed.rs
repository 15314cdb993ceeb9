//! Catalogues of some files of trees, which are named: nothing is walked, and no head is read.

use std::fs;
use std::path::Path;

use jigdo::Checksum;
use rayon::prelude::*;

use super::catalogue::Catalogue;
use super::walk::Listing;
use super::{Error, Index, Sums, Tree};
use crate::file::{Stamp, now_ns};

impl Index {
    /// The catalogue of those of `paths`, for each tree, that are files now. It gives sums of the kinds in `checksums`;
    /// what the index knows of the files need not be read. The paths must be in the order of their bytes, each once, and
    /// the trees' roots free of symbolic links.
    ///
    /// # Errors
    /// The index cannot be read, or these are more files than a catalogue can hold.
    pub fn look_up(&self, trees: &[Tree], paths: &[Vec<&str>], checksums: &[Checksum]) -> Result<Catalogue, Error> {
        let started = now_ns();
        let listing = |(tree, paths): (&Tree, &Vec<&str>)| {
            let stamps: Vec<Option<Stamp>> = paths.par_iter().map(|path| stamp(&tree.root.join(path))).collect();
            let files = paths.iter().zip(stamps).filter_map(|(path, stamp)| Some((*path, stamp?)));
            let too_many = || Error::TooManyFiles { label: tree.label.clone(), path: tree.root.clone() };
            Listing::of_files(tree.root.clone(), files).ok_or_else(too_many)
        };
        let listings = trees.iter().zip(paths).map(listing).collect::<Result<Vec<_>, _>>()?;
        let catalogue = Catalogue::new(started, trees, listings, &[], checksums, self.store());
        self.store().read(|reader| {
            for tree in 0..catalogue.trees() {
                for file in catalogue.files_of(tree) {
                    reader.file(&catalogue.root(tree), catalogue.path(file), |row| {
                        if row.is_of(catalogue.stamp(file)) {
                            catalogue.take_sums(file, row.sums);
                        }
                    })?;
                }
            }
            Ok(())
        })?;
        Ok(catalogue)
    }

    /// Remembers the sums of files below `root`, which are known without having read them there: of copies, and of other
    /// names of files that were read.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn remember_sums<'a>(
        &self,
        root: &Path,
        files: impl Iterator<Item = (&'a str, Stamp, Sums)>,
    ) -> Result<(), Error> {
        let now = now_ns();
        let root = root.to_string_lossy();
        let mut files = files.filter(|(_, stamp, _)| !stamp.is_young(now)).peekable();
        if files.peek().is_none() {
            return Ok(());
        }
        self.store().write(|writer| {
            let tree = writer.tree(&root)?;
            files.try_for_each(|(path, stamp, sums)| writer.file(tree, path, &stamp, Some(&sums)).map(|_| ()))
        })
    }
}

/// The stamp of a file, which may be behind symbolic links; `None` if there is none.
fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|found| Stamp::of(&found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::FileId;
    use crate::progress::Silent;

    #[test]
    fn named_files_are_read_once_and_then_remembered() {
        let place = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(place.path()).unwrap().join("tree");
        fs::create_dir_all(root.join("pool")).unwrap();
        for name in ["a", "b", "c"] {
            let path = root.join("pool").join(name);
            fs::write(&path, name).unwrap();
            fs::File::options().write(true).open(path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        let trees = || [Tree::new("A", &root)];
        let paths = [vec!["pool", "pool/a", "pool/b", "pool/nothing"]];
        let look_up = |index: &Index| index.look_up(&trees(), &paths, &[Checksum::Md5]).unwrap();
        let index = Index::open(&place.path().join("index")).unwrap();
        let catalogue = look_up(&index);
        let names: Vec<_> = catalogue.files().map(|file| catalogue.path(file)).collect();
        assert_eq!(names, ["pool/a", "pool/b"]);
        let sums = catalogue.sums(&[FileId(0)], &Silent).remove(0).unwrap();
        assert!(sums.md5.is_some() && !catalogue.is_read(FileId(1)));
        let noted = Stamp::of(&fs::metadata(root.join("pool/c")).unwrap());
        index.remember_sums(&root, [("pool/c", noted, sums)].into_iter()).unwrap();
        drop(catalogue);
        let catalogue = index.look_up(&trees(), &[vec!["pool/a", "pool/b", "pool/c"]], &[Checksum::Md5]).unwrap();
        let known: Vec<_> = catalogue.files().map(|file| catalogue.is_read(file)).collect();
        assert_eq!(known, [true, false, true]);
        fs::write(root.join("pool/a"), "other").unwrap();
        assert!(!look_up(&index).is_read(FileId(0)));
    }
}
