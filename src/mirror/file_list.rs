//! Lists of given files: catalogues of them are made without walking a tree.

use jigdo::escaped_path;
use std::fs;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString};
use jigdo::Checksum;
use rayon::prelude::*;

use super::catalogue::Catalogue;
use super::read::stamp_now;
use super::walk::Listing;
use super::{Error, Index, Sums, Tree, os_path};
use crate::file::{Stamp, now_ns};
use crate::progress::Progress;

/// The files of a tree that are given one by one; the tree may have others.
pub struct FileList {
    /// Absolute, and free of symbolic links, as the index knows trees.
    pub root: PathBuf,
    /// Paths relative to the root, with `/`, each with what `stat` said of the file. In any order; each path once.
    pub files: Vec<(BString, Stamp)>,
}

impl FileList {
    /// Those of `paths` below `root` that are regular files now, or symbolic links to one. Each path is given once.
    pub fn of_existing(root: PathBuf, paths: &[impl AsRef<[u8]> + Sync]) -> Self {
        let file = |path: &_| {
            let path = AsRef::<[u8]>::as_ref(path);
            let metadata = fs::metadata(root.join(os_path(path))).ok().filter(fs::Metadata::is_file)?;
            Some((path.into(), Stamp::of(&metadata)))
        };
        let files = paths.par_iter().filter_map(file).collect();
        Self { root, files }
    }

    /// The tree that stands for the list in a catalogue. In messages its root is its name.
    fn tree(&self) -> Tree {
        Tree::new(escaped_path(&self.root).to_string(), &self.root)
    }

    /// The files as a walk would have listed them, had it seen no others.
    fn listing(mut self) -> Result<Listing, Error> {
        self.files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let files = self.files.iter().map(|(path, stamp)| (BStr::new(path), *stamp));
        let too_many = || Error::TooManyFiles { label: escaped_path(&self.root).to_string(), path: self.root.clone() };
        Listing::of_files(self.root.clone(), files).ok_or_else(too_many)
    }
}

/// The trees that stand for the lists, and what is in them.
fn listings(lists: Vec<FileList>) -> Result<(Vec<Tree>, Vec<Listing>), Error> {
    let trees = lists.iter().map(FileList::tree).collect();
    Ok((trees, lists.into_iter().map(FileList::listing).collect::<Result<_, _>>()?))
}

impl Index {
    /// The catalogue of these files, a tree for each list. It has sums of the kinds in `checksums`; files whose sums the
    /// index knows need not be read. No head is read.
    ///
    /// # Errors
    /// The index cannot be read, or there are more files than a catalogue can hold.
    pub fn look_up(&self, lists: Vec<FileList>, checksums: &[Checksum]) -> Result<Catalogue, Error> {
        let started = now_ns();
        let (trees, listings) = listings(lists)?;
        let catalogue = Catalogue::new(started, &trees, listings, &[], checksums, self.store());
        self.store().read(|reader| {
            for tree in 0..catalogue.trees() {
                for file in catalogue.files_of(tree) {
                    reader.file(catalogue.root(tree), catalogue.path(file), |row| {
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

    /// As [`Index::refresh`] for these files alone. Others in the same trees stay in the index as they are. Empty lists
    /// are no error.
    ///
    /// # Errors
    /// The index cannot be read or written, or there are more files than a catalogue can hold.
    pub fn refresh_files(
        &self,
        lists: Vec<FileList>,
        block_lengths: &[u32],
        checksums: &[Checksum],
        progress: &dyn Progress,
    ) -> Result<Catalogue, Error> {
        let started = now_ns();
        let (trees, listings) = listings(lists)?;
        self.refresh_listings(started, &trees, listings, block_lengths, checksums, progress)
    }

    /// Remembers the sums of files below `root`, which are known without having read them there: of copies, and of other
    /// names of files that were read. Each comes with a stamp that it had when it was made; a rename or a link may have
    /// given it another ctime since.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn remember_sums<P: AsRef<[u8]>>(
        &self,
        root: &Path,
        files: impl Iterator<Item = (P, Stamp, Sums)>,
    ) -> Result<(), Error> {
        // This process made the file or its name just now, which is what its ctime says. Only its mtime says how old its
        // content is.
        let now = now_ns();
        let is_old = |stamp: &Stamp| !Stamp { ctime_ns: stamp.mtime_ns, ..*stamp }.is_young(now);
        let now = |(path, stamp, sums): (P, Stamp, Sums)| {
            let now = stamp_now(&root.join(os_path(path.as_ref()))).ok()??;
            (is_old(&stamp) && now.is_same_but_ctime(&stamp)).then_some((path, now, sums))
        };
        let mut files = files.filter_map(now).peekable();
        if files.peek().is_none() {
            return Ok(());
        }
        self.store().write(|writer| {
            let tree = writer.tree(root.as_os_str().as_encoded_bytes())?;
            files.try_for_each(|(path, stamp, sums)| writer.file(tree, path.as_ref(), &stamp, Some(&sums)).map(|_| ()))
        })
    }

    /// Notes that files below `root`, which had these stamps, got other names from this process since: hard links, which
    /// change a file's ctime and nothing else. What is remembered of the files stays valid.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn note_linked<P: AsRef<[u8]>>(
        &self,
        root: &Path,
        files: impl Iterator<Item = (P, Stamp)>,
    ) -> Result<(), Error> {
        let now = |(path, before): (P, Stamp)| {
            let now = stamp_now(&root.join(os_path(path.as_ref()))).ok()??;
            (now != before && now.is_same_but_ctime(&before)).then_some((path, before, now))
        };
        let mut files = files.filter_map(now).peekable();
        if files.peek().is_none() {
            return Ok(());
        }
        self.store().write(|writer| {
            let tree = writer.tree(root.as_os_str().as_encoded_bytes())?;
            files.try_for_each(|(path, before, now)| writer.move_stamp(tree, path.as_ref(), &before, &now))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::file::settle;
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
            File::options().write(true).open(path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        settle(&root);
        let look_up_in = |index: &Index, paths: &[&str]| {
            index.look_up(vec![FileList::of_existing(root.clone(), paths)], &[Checksum::Md5]).unwrap()
        };
        let look_up = |index: &Index| look_up_in(index, &["pool", "pool/a", "pool/b", "pool/nothing"]);
        let index = Index::open(&place.path().join("index")).unwrap();
        let catalogue = look_up(&index);
        let names: Vec<_> = catalogue.files().map(|file| catalogue.path(file)).collect();
        assert_eq!(names, ["pool/a", "pool/b"]);
        let sums = catalogue.sums(&[FileId(0)], &Silent).remove(0).unwrap();
        assert!(sums.md5.is_some() && !catalogue.is_read(FileId(1)));
        let noted = Stamp::of(&fs::metadata(root.join("pool/c")).unwrap());
        index.remember_sums(&root, [("pool/c", noted, sums)].into_iter()).unwrap();
        drop(catalogue);
        let catalogue = look_up_in(&index, &["pool/a", "pool/b", "pool/c"]);
        let known: Vec<_> = catalogue.files().map(|file| catalogue.is_read(file)).collect();
        assert_eq!(known, [true, false, true]);
        fs::write(root.join("pool/a"), "other").unwrap();
        assert!(!look_up(&index).is_read(FileId(0)));
    }

    /// A tree of files that are old enough to be remembered.
    fn tree(names: &[&str]) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for name in names {
            let path = place.path().join(name);
            fs::write(&path, name.repeat(2000)).unwrap();
            let then = SystemTime::now() - Duration::from_secs(3600);
            File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
        }
        settle(place.path());
        place
    }

    fn list(root: &Path, names: &[&str]) -> FileList {
        let root = fs::canonicalize(root).unwrap();
        let file = |name: &&str| ((*name).into(), Stamp::of(&fs::metadata(root.join(name)).unwrap()));
        FileList { files: names.iter().map(file).collect(), root }
    }

    fn refresh(index: &Index, lists: Vec<FileList>) -> Catalogue {
        index.refresh_files(lists, &[1024], &[Checksum::Md5], &Silent).unwrap()
    }

    #[test]
    fn only_what_is_named_is_found_and_what_is_not_stays_remembered() {
        let (place, index) = (tree(&["b", "a", "c"]), Index::in_memory().unwrap());
        let first = refresh(&index, vec![list(place.path(), &["b", "a"])]);
        let file = first.find(0, "b").unwrap();
        assert_eq!(first.full_path(file), fs::canonicalize(place.path()).unwrap().join("b"));
        assert!(first.find(0, "c").is_none() && first.find(0, "").is_none() && first.features(file, 1024).is_some());
        first.sums(&[file], &Silent);
        first.flush().unwrap();

        let second = refresh(&index, vec![list(place.path(), &["c"])]);
        assert_eq!(second.len(), 1);
        let third = refresh(&index, vec![list(place.path(), &["a", "b", "c"])]);
        assert!(third.known_sums(third.find(0, "b").unwrap()).is_some());
        assert!(third.known_sums(third.find(0, "a").unwrap()).is_none());
        assert_eq!(refresh(&index, vec![]).len(), 0);
    }

    #[test]
    fn a_stamp_that_is_remembered_tells_a_files_sums_without_the_file() {
        let (place, index) = (tree(&["a"]), Index::in_memory().unwrap());
        let root = fs::canonicalize(place.path()).unwrap();
        let catalogue = refresh(&index, vec![list(&root, &["a"])]);
        catalogue.sums(&[catalogue.find(0, "a").unwrap()], &Silent);
        catalogue.flush().unwrap();
        fs::remove_file(root.join("a")).unwrap();

        assert_eq!(index.stamp(&root, "b").unwrap(), None);
        let stamp = index.stamp(&root, "a").unwrap().unwrap();
        let catalogue = refresh(&index, vec![FileList { root, files: vec![("a".into(), stamp)] }]);
        assert!(catalogue.known_sums(catalogue.find(0, "a").unwrap()).is_some());
    }

    #[test]
    fn what_is_remembered_of_a_file_stays_valid_when_this_process_links_it_and_not_when_another_does() {
        let (place, index) = (tree(&["a"]), Index::in_memory().unwrap());
        let root = fs::canonicalize(place.path()).unwrap();
        let catalogue = refresh(&index, vec![list(&root, &["a"])]);
        let before = *catalogue.stamp(FileId(0));
        catalogue.sums(&[FileId(0)], &Silent);
        catalogue.flush().unwrap();
        let is_known = || {
            settle(&root);
            refresh(&index, vec![list(&root, &["a"])]).is_read(FileId(0))
        };
        fs::hard_link(root.join("a"), root.join("b")).unwrap();
        index.note_linked(&root, [("a", before)].into_iter()).unwrap();
        assert!(is_known());
        fs::hard_link(root.join("a"), root.join("c")).unwrap();
        // What is noted of another state says nothing of the one that is remembered.
        index.note_linked(&root, [("a", before)].into_iter()).unwrap();
        assert!(!is_known());
    }

    #[test]
    fn only_what_was_used_and_then_not_for_long_is_forgotten() {
        let (place, index) = (tree(&["old", "new", "never"]), Index::in_memory().unwrap());
        let used = |name: &str, seconds| {
            let catalogue = refresh(&index, vec![list(place.path(), &[name])]);
            index.note_used(&catalogue, seconds).unwrap();
        };
        refresh(&index, vec![list(place.path(), &["never"])]);
        used("old", 100);
        used("new", 50);
        used("new", 200);
        index.forget_unused(200).unwrap();
        let root = fs::canonicalize(place.path()).unwrap();
        let is_known = |name| index.stamp(&root, name).unwrap().is_some();
        assert_eq!([is_known("old"), is_known("new"), is_known("never")], [false, true, true]);
    }
}
