//! The mirror files that may be parts of an image, and their sums.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jigdo::Checksum;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::report::Stage;
use crate::file::Stamp;
use crate::matcher::{PartId, PartSum, PartSums, Signature, SignatureTable};
use crate::mirror::{Catalogue, FileError, FileId};
use crate::progress::Progress;
use crate::summing::Ticket;

/// The mirror files that may be parts of an image, preferred ones first.
pub struct Selection {
    /// The files' signatures.
    pub table: SignatureTable,
    files: Vec<FileId>,
    fingerprint: [u8; 32],
    /// Whether every file is settled: it is old enough that any later change shows in its stamp, and so in the
    /// fingerprint.
    pub is_settled: bool,
}

impl Selection {
    /// The files of these trees of the catalogue, except those shorter than a block, and the `excluded` ones, known by
    /// device and inode.
    pub fn new(catalogue: &Catalogue, block_length: u32, trees: &[usize], excluded: &HashSet<(u64, u64)>) -> Self {
        let mut hasher = Sha256::new();
        trees.iter().for_each(|&tree| hasher.update(catalogue.fingerprint(tree)));
        let is_excluded = |file: &FileId| excluded.contains(&catalogue.stamp(*file).file());
        // A set that was made when others were excluded may name one that is excluded now.
        if !excluded.is_empty() {
            let all = trees.iter().flat_map(|&tree| catalogue.files_of(tree));
            all.filter(is_excluded).for_each(|file| hasher.update(file.0.to_le_bytes()));
        }
        let files = trees.iter().flat_map(|&tree| catalogue.preferred_files_of(tree));
        let files = files.filter(|file| !is_excluded(file));
        Self {
            fingerprint: hasher.finalize().into(),
            is_settled: trees.iter().all(|&tree| catalogue.is_settled(tree)),
            ..Self::of_files(catalogue, block_length, files)
        }
    }

    /// These files, except those shorter than a block. The selection has no fingerprint and is never settled.
    pub fn of_files(catalogue: &Catalogue, block_length: u32, files: impl Iterator<Item = FileId>) -> Self {
        let signature = |file| {
            let features = catalogue.features(file, block_length)?;
            Some((file, Signature { length: catalogue.length(file), features }))
        };
        let (files, signatures) = files.filter_map(signature).unzip();
        let table = SignatureTable::new(block_length, signatures);
        Self { table, files, fingerprint: [0; 32], is_settled: false }
    }

    /// Changes whenever a file of the selection's trees does.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// The mirror file that a part is.
    pub fn file(&self, part: PartId) -> FileId {
        self.files[part.0 as usize]
    }

    /// The parts of fewer bytes than this, preferred ones first.
    pub fn parts_shorter_than(&self, length: u64) -> Vec<PartId> {
        let all = (0..self.files.len() as u32).map(PartId);
        all.filter(|&part| self.table.signature(part).length < length).collect()
    }

    /// Whether any of the files could be a part of an image of this length in bytes.
    pub fn has_part_of_at_most(&self, length: u64) -> bool {
        (0..self.files.len() as u32).any(|part| self.table.signature(PartId(part)).length <= length)
    }
}

/// The strong sums of a selection's parts, from the catalogue. An image is never a part of itself.
pub struct SelectionSums<'a> {
    selection: &'a Selection,
    catalogue: &'a Catalogue,
    /// The image's stamp.
    image: Stamp,
    checksum: Checksum,
    progress: &'a dyn Progress,
    /// The files that were read for this image: their lengths in bytes, and their tickets, which know the time.
    reading: Mutex<Vec<(u64, Arc<Ticket>)>>,
    /// The parts that may be in the image and could not be used.
    lost: Mutex<BTreeMap<PartId, FileError>>,
}

impl<'a> SelectionSums<'a> {
    pub fn new(
        selection: &'a Selection,
        catalogue: &'a Catalogue,
        image: Stamp,
        checksum: Checksum,
        progress: &'a dyn Progress,
    ) -> Self {
        let (reading, lost) = (Mutex::default(), Mutex::default());
        Self { selection, catalogue, image, checksum, progress, reading, lost }
    }

    /// The cost of reading files so far.
    pub fn reading(&self) -> Stage {
        let files = self.reading.lock();
        let spent: Duration = files.iter().map(|(_, ticket)| ticket.spent()).sum();
        Stage { seconds: spent.as_secs_f64(), bytes: files.iter().map(|(bytes, _)| bytes).sum() }
    }

    /// The parts that may be in the image and could not be used. They were taken for parts that are not in it.
    pub fn lost(self) -> BTreeMap<PartId, FileError> {
        self.lost.into_inner()
    }

    /// These parts with their files, without those that are the image itself.
    fn files(&self, parts: &[PartId]) -> Vec<(PartId, FileId)> {
        let file = |&part: &PartId| (part, self.selection.file(part));
        let is_image = |file: FileId| self.catalogue.stamp(file).is_of_same_file(&self.image);
        parts.iter().map(file).filter(|(_, file)| !is_image(*file)).collect()
    }

    fn note_lost(&self, part: PartId, error: FileError) {
        self.lost.lock().insert(part, error);
    }
}

impl PartSums for SelectionSums<'_> {
    fn checksum(&self) -> Checksum {
        self.checksum
    }

    fn prefetch(&self, parts: &[PartId]) {
        let files: Vec<FileId> = self.files(parts).into_iter().map(|(_, file)| file).collect();
        let files = self.catalogue.prefetch(&files);
        self.reading.lock().extend(files);
    }

    fn sums(&self, parts: &[PartId]) -> Vec<Option<PartSum>> {
        self.prefetch(parts);
        let (usable, files): (Vec<PartId>, Vec<FileId>) = self.files(parts).into_iter().unzip();
        self.catalogue.wait_idle(&files);
        let mut sums = usable.into_iter().zip(self.catalogue.sums(&files, self.progress)).peekable();
        let sum_of = |&part: &PartId| match sums.next_if(|(usable, _)| *usable == part)?.1 {
            Ok(sums) => sums.part(self.checksum),
            Err(error) => {
                self.note_lost(part, error);
                None
            }
        };
        parts.iter().map(sum_of).collect()
    }

    fn read(&self, part: PartId, take: &mut dyn FnMut(&[u8])) {
        for (part, file) in self.files(&[part]) {
            if let Err(error) = self.catalogue.map(file, take) {
                self.note_lost(part, error);
            }
        }
    }
}
