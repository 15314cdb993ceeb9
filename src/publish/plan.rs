//! The plan of a run: its mirror trees, the parts that each image may contain, and the fingerprint of everything that a set
//! depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jigdo::{Checksum, escaped_path, hex};
use sha2::{Digest as _, Sha256};

use super::own_files::own_files;
use crate::file::Stamp;
use crate::make::{MirrorTree, Selection};
use crate::manifest::{Image, Mirror, Release};
use crate::mirror::{Catalogue, Tree};

/// An image, and the release that lists it.
#[derive(Clone, Copy)]
pub struct PlannedImage<'a> {
    pub release: &'a Release,
    pub image: &'a Image,
}

/// The images of all releases, and the distinct trees of their mirrors.
pub struct Plan<'a> {
    pub images: Vec<PlannedImage<'a>>,
    mirrors: Vec<&'a Mirror>,
    /// The output directories of entries that match no file, and of images that left the plan.
    without_files: BTreeSet<PathBuf>,
}

impl<'a> Plan<'a> {
    /// The plan for these releases.
    pub fn new(releases: &'a [Release]) -> Self {
        let of = |release: &'a Release| release.images.iter().map(move |image| PlannedImage { release, image });
        let images: Vec<PlannedImage> = releases.iter().flat_map(of).collect();
        let mut mirrors: Vec<&Mirror> = Vec::new();
        for mirror in images.iter().flat_map(PlannedImage::mirrors) {
            if !mirrors.iter().any(|known| is_same_tree(known, mirror)) {
                mirrors.push(mirror);
            }
        }
        let without_files = releases.iter().flat_map(|release| &release.left_out).map(|left_out| &left_out.output);
        Self { images, mirrors, without_files: without_files.map(|output| absolute(output)).collect() }
    }

    /// Takes the images that use the mirror with this label and path out of the plan.
    pub fn take_images_of(&mut self, label: &str, path: &Path) -> Vec<PlannedImage<'a>> {
        let Some(place) = self.mirrors.iter().position(|mirror| mirror.label == label && mirror.path == path) else {
            return Vec::new();
        };
        let taken = self.mirrors.remove(place);
        let uses = |planned: &PlannedImage| planned.mirrors().any(|mirror| is_same_tree(mirror, taken));
        let (without, left) = std::mem::take(&mut self.images).into_iter().partition(uses);
        self.images = left;
        self.without_files.extend(without.iter().map(|planned: &PlannedImage| absolute(&planned.image.output)));
        self.mirrors.retain(|mirror| {
            self.images.iter().any(|planned| planned.mirrors().any(|used| is_same_tree(used, mirror)))
        });
        without
    }

    /// The trees of the mirrors that images use, each once.
    pub fn trees(&self) -> Vec<Tree> {
        self.mirrors.iter().map(|mirror| mirror.tree()).collect()
    }

    /// Whether an image whose set goes to this directory is missing, or left the plan.
    pub fn has_missing_images(&self, output: &Path) -> bool {
        self.without_files.contains(&absolute(output))
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

    /// The index of a mirror's tree in [`Plan::trees`].
    fn tree(&self, mirror: &Mirror) -> usize {
        let place = self.mirrors.iter().position(|known| is_same_tree(known, mirror));
        place.expect("the plan has the mirror of every image")
    }

    /// The selections of parts, and the index of each image's selection. Images with the same mirrors share one.
    pub fn selections(&self, catalogue: &Catalogue) -> (Vec<Selection>, Vec<usize>) {
        let own = own_files(self.images.iter().map(|planned| planned.image.output.clone()));
        let mut places = BTreeMap::new();
        let mut selections = Vec::new();
        let selection_of = |planned: &PlannedImage| {
            let trees: Vec<usize> = planned.mirrors().map(|mirror| self.tree(mirror)).collect();
            let key = (planned.image.settings.min_length, trees);
            *places.entry(key).or_insert_with_key(|(block_length, trees)| {
                selections.push(Selection::new(catalogue, *block_length, trees, &own));
                selections.len() - 1
            })
        };
        let of_images = self.images.iter().map(selection_of).collect();
        (selections, of_images)
    }

    /// An image's mirrors, preferred ones first.
    pub fn mirrors_of(&self, planned: &PlannedImage<'a>) -> Vec<MirrorTree<'a>> {
        planned.mirrors().map(|mirror| MirrorTree { tree: self.tree(mirror), mirror }).collect()
    }
}

fn is_same_tree(a: &Mirror, b: &Mirror) -> bool {
    a.path == b.path && a.filter == b.filter && a.hidden == b.hidden
}

impl<'a> PlannedImage<'a> {
    /// The image's mirrors, preferred ones first.
    pub fn mirrors(&self) -> impl Iterator<Item = &'a Mirror> + use<'a> {
        let release = self.release;
        self.image.mirrors.iter().map(|&mirror| &release.mirrors[mirror])
    }

    /// A fingerprint of everything that the set depends on: the image, the parts, the manifest, this program. The image's
    /// path is not included: its stamp identifies the file.
    pub fn fingerprint(&self, stamp: &Stamp, selection: &Selection) -> String {
        let Image { name, template_url, filename, short_info, info, include_jigdo, settings, .. } = self.image;
        let servers: Vec<_> = self.mirrors().map(|mirror| (&mirror.label, &mirror.servers)).collect();
        let texts = (name, template_url, filename, short_info, info, include_jigdo);
        let sum = |input: String| hex(&Sha256::digest(input));
        let inputs = [
            ("program", env!("CARGO_PKG_VERSION").to_owned()),
            ("image", sum(format!("{stamp:?}"))),
            ("mirrors", sum(format!("{:?}", selection.fingerprint()))),
            ("manifest", sum(format!("{:?}", (texts, settings, servers)))),
        ];
        inputs.map(|(name, sum)| format!("{name}={sum}")).join(" ")
    }
    /// The key of the set's record in the index.
    pub fn record_key(&self) -> String {
        escaped_path(&absolute(&self.image.output).join(&self.image.name)).to_string()
    }

    /// The key in the index of what is known of the image.
    pub fn facts_key(&self) -> String {
        format!("image {}", escaped_path(&absolute(&self.image.path)))
    }
}

/// One path for each directory, however it was written.
pub fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}
