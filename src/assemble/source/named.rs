//! Files that the caller lists. Each may be any part, whatever its name.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::Source;
use crate::assemble::{Part, PartPlace};

/// Files, by their lengths.
#[derive(Debug, Default)]
pub struct NamedFiles {
    by_length: HashMap<u64, Vec<Arc<Path>>>,
}

impl NamedFiles {
    /// Takes these files. Also returns those that are missing, cannot be read, or are not regular files.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> (Self, Vec<(PathBuf, io::Error)>) {
        let mut files = Self::default();
        let mut unusable = Vec::new();
        for path in paths {
            let found = fs::metadata(&path).and_then(|found| match found.is_file() {
                true => Ok(found.len()),
                false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
            });
            match found {
                Ok(length) => files.by_length.entry(length).or_default().push(path.into()),
                Err(error) => unusable.push((path, error)),
            }
        }
        (files, unusable)
    }
}

impl Source for NamedFiles {
    /// The files that have the part's length and the sum of its first block.
    fn find(&self, parts: &[Part]) -> Vec<Vec<PartPlace>> {
        let places = |part: &Part| {
            let files = self.by_length.get(&part.length).map_or(&[][..], Vec::as_slice);
            let places = files.iter().map(|path| PartPlace::File(Arc::clone(path)));
            places.filter(|place| begins_like(place, part)).collect()
        };
        parts.par_iter().map(places).collect()
    }
}

/// Whether the bytes at `place` begin with the part's first block, judging by its sum. `true` if they cannot be read:
/// whoever uses them reports the error.
pub(in crate::assemble) fn begins_like(place: &PartPlace, part: &Part) -> bool {
    part.first_block.is_none_or(|block| block.begins(place, part.length).unwrap_or(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::part::FirstBlock;
    use jigdo::{Checksum, Rsync64, Sum};

    fn part(content: &[u8]) -> Part {
        let block = &content[..4];
        let first_block = Some(FirstBlock { rsync64: Rsync64::of(block), length: 4 });
        Part { sum: Sum::of(Checksum::Md5, content), length: content.len() as u64, first_block }
    }

    #[test]
    fn files_are_found_by_their_lengths_and_first_blocks_whatever_their_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (name, content) in [("x", "same length"), ("y", "some length"), ("z", "longer than the others")] {
            fs::write(path(name), content).unwrap();
        }
        let all = ["x", "y", "z", "missing", "."].map(path);
        let (files, unusable) = NamedFiles::new(all);
        assert_eq!(unusable.into_iter().map(|(path, _)| path).collect::<Vec<_>>(), ["missing", "."].map(path));
        let parts = [part(b"some length"), part(b"longer than the others"), part(b"nowhere")];
        let found = files.find(&parts);
        assert_eq!(found, [vec![PartPlace::file(&path("y"))], vec![PartPlace::file(&path("z"))], vec![]]);
    }

    #[test]
    fn without_the_sum_of_a_first_block_the_length_tells() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        fs::write(&path, "content").unwrap();
        let (files, _) = NamedFiles::new([path.clone()]);
        let part = Part { first_block: None, ..part(b"another") };
        assert_eq!(files.find(&[part]), [vec![PartPlace::file(&path)]]);
    }
}
