//! The mirror files that may be parts of an image, and their sums.

use std::sync::Arc;
use std::time::Duration;

use jigdo::{Checksum, Rsync64};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::report::Stage;
use crate::matcher::{PartId, PartSum, PartSums, Signature, SignatureTable};
use crate::mirror::{Catalogue, FileId};
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
    /// The files of these trees of the catalogue, except those shorter than a block.
    pub fn new(catalogue: &Catalogue, block_length: u32, trees: &[usize]) -> Self {
        let mut hasher = Sha256::new();
        trees.iter().for_each(|&tree| hasher.update(catalogue.fingerprint(tree)));
        Self {
            fingerprint: hasher.finalize().into(),
            is_settled: trees.iter().all(|&tree| catalogue.is_settled(tree)),
            ..Self::of_files(catalogue, block_length, trees.iter().flat_map(|&tree| catalogue.files_of(tree)))
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

    /// The sum of a part's first block.
    pub fn first_block(&self, part: PartId) -> Rsync64 {
        self.table.signature(part).features.first
    }
}

/// The strong sums of a selection's parts, from the catalogue.
pub struct SelectionSums<'a> {
    selection: &'a Selection,
    catalogue: &'a Catalogue,
    checksum: Checksum,
    progress: &'a dyn Progress,
    /// The files that were read for this image: their lengths in bytes, and their tickets, which know the time.
    reading: Mutex<Vec<(u64, Arc<Ticket>)>>,
}

impl<'a> SelectionSums<'a> {
    pub fn new(
        selection: &'a Selection,
        catalogue: &'a Catalogue,
        checksum: Checksum,
        progress: &'a dyn Progress,
    ) -> Self {
        Self { selection, catalogue, checksum, progress, reading: Mutex::default() }
    }

    /// The cost of reading files so far.
    pub fn reading(&self) -> Stage {
        let files = self.reading.lock();
        let spent: Duration = files.iter().map(|(_, ticket)| ticket.spent()).sum();
        Stage { seconds: spent.as_secs_f64(), bytes: files.iter().map(|(bytes, _)| bytes).sum() }
    }

    fn files(&self, parts: &[PartId]) -> Vec<FileId> {
        parts.iter().map(|&part| self.selection.file(part)).collect()
    }
}

impl PartSums for SelectionSums<'_> {
    fn checksum(&self) -> Checksum {
        self.checksum
    }

    fn prefetch(&self, parts: &[PartId]) {
        let files = self.catalogue.prefetch(&self.files(parts));
        self.reading.lock().extend(files);
    }

    fn sums(&self, parts: &[PartId]) -> Vec<Option<PartSum>> {
        self.prefetch(parts);
        let files = self.files(parts);
        self.catalogue.wait_idle(&files);
        let sums = self.catalogue.sums(&files, self.progress);
        // A file that failed was reported as a warning, and is not matched.
        sums.into_iter().map(|sums| sums.ok()?.part(self.checksum)).collect()
    }

    fn read(&self, part: PartId, take: &mut dyn FnMut(&[u8])) {
        self.catalogue.map(self.selection.file(part), take);
    }
}
