//! The plan of a run: which mirror trees there are, which parts each image may be matched with, and what stands for
//! everything that a set depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::report::Stage;
use crate::digest::{Checksum, Rsync64, hex};
use crate::manifest::{Image, Mirror, Release};
use crate::matcher::table::SignatureTable;
use crate::matcher::{PartId, PartSum, PartSums, Signature};
use crate::mirror::{Catalogue, FileId, Tree};
use crate::progress::Progress;
use crate::stamp::Stamp;
use crate::summing::Ticket;

/// An image of a release.
#[derive(Clone, Copy)]
pub struct Planned<'a> {
    pub release: &'a Release,
    pub image: &'a Image,
}

/// The images of all releases, and the different trees that their mirrors are.
pub struct Plan<'a> {
    pub images: Vec<Planned<'a>>,
    mirrors: Vec<&'a Mirror>,
}

impl<'a> Plan<'a> {
    /// The plan for these releases.
    pub fn new(releases: &'a [Release]) -> Self {
        let of = |release: &'a Release| release.images.iter().map(move |image| Planned { release, image });
        let images: Vec<Planned> = releases.iter().flat_map(of).collect();
        let mut mirrors: Vec<&Mirror> = Vec::new();
        for mirror in images.iter().flat_map(|planned| planned.mirrors()) {
            if !mirrors.iter().any(|known| is_same_tree(known, mirror)) {
                mirrors.push(mirror);
            }
        }
        Self { images, mirrors }
    }

    /// The trees of the mirrors that images use, each once.
    pub fn trees(&self) -> Vec<Tree> {
        self.mirrors.iter().map(|mirror| mirror.tree()).collect()
    }

    /// The block lengths that images use, each once.
    pub fn block_lengths(&self) -> Vec<u32> {
        let mut lengths: Vec<u32> = self.images.iter().map(|planned| planned.image.settings.min_length).collect();
        lengths.sort_unstable();
        lengths.dedup();
        lengths
    }

    /// The kinds of strong sums that images use, each once.
    pub fn checksums(&self) -> Vec<Checksum> {
        let used: BTreeSet<_> = self.images.iter().map(|planned| planned.image.settings.checksum).collect();
        used.into_iter().collect()
    }

    /// The place of a mirror's tree among [`Plan::trees`].
    fn tree(&self, mirror: &Mirror) -> usize {
        let place = self.mirrors.iter().position(|known| is_same_tree(known, mirror));
        place.expect("the plan has the mirror of every image")
    }

    /// For each image the parts that it may be matched with. Images with the same mirrors share them.
    pub fn selections(&self, catalogue: &Catalogue) -> (Vec<Selection>, Vec<usize>) {
        let mut places = BTreeMap::new();
        let mut selections = Vec::new();
        let selection_of = |planned: &Planned| {
            let trees: Vec<usize> = planned.mirrors().map(|mirror| self.tree(mirror)).collect();
            let key = (planned.image.settings.min_length, trees);
            *places.entry(key).or_insert_with_key(|(block_length, trees)| {
                selections.push(Selection::new(catalogue, *block_length, trees));
                selections.len() - 1
            })
        };
        let of_images = self.images.iter().map(selection_of).collect();
        (selections, of_images)
    }

    /// The label under which an image's mirrors have the files of a tree.
    pub fn label(&self, planned: &Planned<'a>, tree: usize) -> &'a str {
        let mut mirrors = planned.mirrors();
        let mirror = mirrors.find(|mirror| self.tree(mirror) == tree);
        &mirror.expect("an image is matched with its own mirrors only").label
    }
}

fn is_same_tree(a: &Mirror, b: &Mirror) -> bool {
    a.path == b.path && a.filter == b.filter
}

impl<'a> Planned<'a> {
    /// The image's mirrors, the preferred ones first.
    pub fn mirrors(&self) -> impl Iterator<Item = &'a Mirror> + use<'a> {
        let release = self.release;
        self.image.mirrors.iter().map(|&mirror| &release.mirrors[mirror])
    }

    /// Stands for everything that the set depends on: the image, the parts, what the manifest says, this program. By
    /// which path the image is reached is no part of it: its stamp tells which file it is.
    pub fn fingerprint(&self, stamp: &Stamp, selection: &Selection) -> String {
        let Image { name, template_url, filename, short_info, info, include_jigdo, settings, .. } = self.image;
        let servers: Vec<_> = self.mirrors().map(|mirror| (&mirror.label, &mirror.servers)).collect();
        let texts = (name, template_url, filename, short_info, info, include_jigdo);
        let inputs = (env!("CARGO_PKG_VERSION"), stamp, selection.fingerprint, texts, settings, servers);
        hex(&Sha256::digest(format!("{inputs:?}")))
    }
}

/// The parts that an image may be matched with, in the order of preference.
pub struct Selection {
    pub table: SignatureTable,
    files: Vec<FileId>,
    fingerprint: [u8; 32],
    /// Whether the mirrors' files are old enough for the fingerprint to tell when they change.
    pub is_settled: bool,
}

impl Selection {
    fn new(catalogue: &Catalogue, block_length: u32, trees: &[usize]) -> Self {
        let mut hasher = Sha256::new();
        trees.iter().for_each(|&tree| hasher.update(catalogue.fingerprint(tree)));
        Self {
            fingerprint: hasher.finalize().into(),
            is_settled: trees.iter().all(|&tree| catalogue.is_settled(tree)),
            ..Self::of_files(catalogue, block_length, trees.iter().flat_map(|&tree| catalogue.files_of(tree)))
        }
    }

    /// The files among these that are not shorter than a block. The selection has no fingerprint, and never is settled.
    pub fn of_files(catalogue: &Catalogue, block_length: u32, files: impl Iterator<Item = FileId>) -> Self {
        let signature = |file| {
            let marks = catalogue.marks(file, block_length)?;
            Some((file, Signature { length: catalogue.length(file), marks }))
        };
        let (files, signatures) = files.filter_map(signature).unzip();
        let table = SignatureTable::new(block_length, signatures);
        Self { table, files, fingerprint: [0; 32], is_settled: false }
    }

    /// The mirror file that a part is.
    pub fn file(&self, part: PartId) -> FileId {
        self.files[part.0 as usize]
    }

    /// The sum of a part's first block.
    pub fn first_block(&self, part: PartId) -> Rsync64 {
        self.table.signature(part).marks.first
    }
}

/// The strong sums of a selection's parts, from the catalogue.
pub struct SelectionSums<'a> {
    selection: &'a Selection,
    catalogue: &'a Catalogue,
    checksum: Checksum,
    progress: &'a dyn Progress,
    /// The files that were read for this image: how many bytes they have, and what knows how long it took.
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

    /// What was spent so far on reading files.
    pub fn reading(&self) -> Stage {
        let files = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
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

    fn expect(&self, parts: &[PartId]) {
        let files = self.catalogue.expect(&self.files(parts));
        self.reading.lock().unwrap_or_else(PoisonError::into_inner).extend(files);
    }

    fn sums(&self, parts: &[PartId]) -> Vec<Option<PartSum>> {
        self.expect(parts);
        let files = self.files(parts);
        self.catalogue.attend(&files);
        let sums = self.catalogue.sums(&files, self.progress);
        // What went wrong with a file was reported as a warning; it is left out.
        sums.into_iter().map(|sums| sums.ok()?.part(self.checksum)).collect()
    }

    fn read(&self, part: PartId, take: &mut dyn FnMut(&[u8])) {
        self.catalogue.map(self.selection.file(part), take);
    }
}
