//! Parts that are in the given trees but not where the jigdo file says, because they were renamed or moved.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use jigdo::{Checksum, escaped_path};
use rayon::prelude::*;

use super::Source;
use super::named::begins_like;
use crate::assemble::{Part, PartPlace};
use crate::mirror::{Catalogue, Error, FileId, Index, Tree};
use crate::progress::Progress;

/// All files of some trees, whatever their names. The index has the sums of those that were read before.
pub struct MovedFiles<'a> {
    index: PathBuf,
    trees: Vec<PathBuf>,
    progress: &'a dyn Progress,
    /// Filled when the first part is looked for. Trees that cannot be walked are left out.
    catalogues: OnceLock<Vec<Catalogue>>,
}

impl<'a> MovedFiles<'a> {
    /// The files of `trees`, with the index at `index`. Nothing is opened until a part is looked for. Errors are then
    /// reported as warnings.
    pub fn new(index: PathBuf, trees: Vec<PathBuf>, progress: &'a dyn Progress) -> Self {
        Self { index, trees, progress, catalogues: OnceLock::new() }
    }

    fn catalogues(&self) -> &[Catalogue] {
        self.catalogues.get_or_init(|| {
            let warn = |error: Error| {
                let what = format!("cannot look for renamed or moved files: {error}");
                self.progress.warn(&what);
            };
            let index = match Index::open(&self.index) {
                Ok(index) => index,
                Err(error) => {
                    warn(error);
                    return Vec::new();
                }
            };
            let mut catalogues = Vec::new();
            for path in &self.trees {
                let tree = Tree { hidden: true, ..Tree::new(escaped_path(&path).to_string(), path.clone()) };
                // The index need not read the heads of files: those of the few files with the right length are read
                // here.
                match index.refresh(&[tree], &[], &Checksum::ALL, self.progress) {
                    Ok(catalogue) => catalogues.push(catalogue),
                    Err(Error::Empty { .. }) => {}
                    Err(error) => warn(error),
                }
            }
            catalogues
        })
    }

    /// Whether the file may be the part.
    fn may_be(&self, catalogue: &Catalogue, file: FileId, place: &PartPlace, part: &Part) -> bool {
        let sum = |sums: crate::mirror::Sums| sums.part(part.sum.checksum()).map(|known| known.sum);
        let known = catalogue.known_sums(file).and_then(sum);
        match (known, part.first_block) {
            (Some(known), _) => known == part.sum,
            (None, Some(_)) => begins_like(place, part),
            // Only its length is known, and many files may share that. So it is read, and the index remembers its sums.
            (None, None) => {
                let sums = catalogue.sums(&[file], self.progress).pop().and_then(Result::ok);
                sums.and_then(sum) == Some(part.sum)
            }
        }
    }
}

impl Source for MovedFiles<'_> {
    fn find(&self, parts: &[Part]) -> Vec<Vec<PartPlace>> {
        let mut found = vec![Vec::new(); parts.len()];
        let catalogues = if parts.is_empty() { &[] } else { self.catalogues() };
        for catalogue in catalogues {
            let mut by_length: HashMap<u64, Vec<FileId>> = parts.iter().map(|part| (part.length, Vec::new())).collect();
            for file in catalogue.files() {
                if let Some(files) = by_length.get_mut(&catalogue.length(file)) {
                    // One name per file is enough.
                    if files.last().is_none_or(|&last| catalogue.content(last) != catalogue.content(file)) {
                        files.push(file);
                    }
                }
            }
            found.par_iter_mut().zip(parts).for_each(|(found, part)| {
                let files = by_length.get(&part.length).into_iter().flatten();
                let places = files.map(|&file| (file, PartPlace::file(&catalogue.full_path(file))));
                let places = places.filter(|(file, place)| self.may_be(catalogue, *file, place, part));
                found.extend(places.map(|(_, place)| place));
            });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::FirstBlock;
    use crate::progress::Silent;
    use jigdo::{Rsync64, Sum};
    use std::fs;

    fn part(content: &[u8]) -> Part {
        let first_block = Some(FirstBlock { rsync64: Rsync64::of(&content[..8]), length: 8 });
        Part { sum: Sum::of(Checksum::Sha256, content), length: content.len() as u64, first_block }
    }

    #[test]
    fn files_are_found_wherever_they_are_in_the_trees() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for (name, content) in [("a/b/c", "the content of one"), ("d/e", "the content of two"), ("d/f", "other length")]
        {
            fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            fs::write(path(name), content).unwrap();
        }
        fs::create_dir(path("empty")).unwrap();
        let source = MovedFiles::new(path("index"), vec![path("empty"), path("a"), path("d")], &Silent);
        let without_block = Part { first_block: None, ..part(b"the content of two") };
        let parts = [part(b"the content of two"), part(b"the place of it..."), without_block];
        let found = |path| PartPlace::file(&fs::canonicalize(path).unwrap());
        let expected = [vec![found(path("a/b/c")), found(path("d/e"))], vec![], vec![found(path("d/e"))]];
        // Both begin alike, and nothing else is known about them yet.
        assert_eq!(source.find(&parts), expected);
    }

    #[test]
    fn what_the_index_knows_tells_files_apart() {
        let place = tempfile::tempdir().unwrap();
        let (index, tree) = (place.path().join("index"), place.path().join("tree"));
        fs::create_dir(&tree).unwrap();
        for name in ["one", "two"] {
            fs::write(tree.join(name), format!("the content of {name}")).unwrap();
            let file = fs::File::options().write(true).open(tree.join(name)).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        crate::file::settle(&tree);
        let trees = [Tree::new("A", &tree)];
        let catalogue = Index::open(&index).unwrap().refresh(&trees, &[8], &Checksum::ALL, &Silent).unwrap();
        catalogue.sums(&catalogue.files().collect::<Vec<_>>(), &Silent);
        drop(catalogue);
        let source = MovedFiles::new(index, vec![tree.clone()], &Silent);
        let expected = vec![PartPlace::file(&fs::canonicalize(tree.join("two")).unwrap())];
        assert_eq!(source.find(&[part(b"the content of two")]), [expected]);
    }

    #[test]
    fn trees_that_cannot_be_walked_have_nothing() {
        let place = tempfile::tempdir().unwrap();
        let source = MovedFiles::new(place.path().join("index"), vec![place.path().join("missing")], &Silent);
        assert_eq!(source.find(&[part(b"some content")]), [vec![]]);
    }
}
