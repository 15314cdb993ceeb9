//! Builds the set of one image of a release: template and jigdo file, proven and staged.

mod jigdo_file;
mod lost_parts;
mod template_file;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::time::Instant;

use jigdo::{Algorithm, escaped_path, hex};
use rayon::ThreadPool;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Error;
use super::known_image::{ImageFacts, KnownImage};
use super::report::{SetReport, Stage, Stages, Stopwatch};
use super::selection::Selection;
use super::streams::{Sums, set_sum};
use crate::file::Bytes as _;
use crate::file::{Mapped, Stamp};
use crate::manifest;
use crate::matcher::{Layout, Match};
use crate::mirror::{Catalogue, FileId};
use crate::output::OutputDirectory;
use crate::progress::{Progress, Task};
use template_file::ProvenTemplate;

/// Builds the set of one image.
pub struct SetBuilder<'a> {
    /// The image's entry in the release.
    pub spec: &'a manifest::Image,
    /// The image's mirrors, preferred ones first.
    pub mirrors: &'a [MirrorTree<'a>],
    /// The files of all mirrors.
    pub catalogue: &'a Catalogue,
    /// The files that may be parts of the image.
    pub selection: &'a Selection,
    /// Where the set is staged.
    pub directory: &'a OutputDirectory,
    /// The threads that do the work.
    pub pool: &'a ThreadPool,
    /// How much of the image is processed at a time, in bytes.
    pub window: u64,
    /// How many pieces of the template are compressed in parallel.
    pub pieces_at_once: usize,
    /// Receives progress reports.
    pub progress: &'a dyn Progress,
    /// Advances by the bytes of the image that are done.
    pub task: &'a Task<'a>,
}

/// A mirror, and its tree's index in the catalogue.
#[derive(Clone, Copy)]
pub struct MirrorTree<'a> {
    /// The tree's index in the catalogue.
    pub tree: usize,
    /// The mirror's entry in the release.
    pub mirror: &'a manifest::Mirror,
}

/// A file of a set, as it was staged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StagedFile {
    /// Its stamp, which keeps all but its ctime when the file is renamed.
    pub stamp: Stamp,
    /// Its sum, by the algorithm of the set's own sums, in hexadecimal.
    pub sum: String,
}

/// A set that is staged in its output directory.
pub struct StagedSet {
    /// The template.
    pub template: StagedFile,
    /// The jigdo file.
    pub jigdo: StagedFile,
    /// Sizes, sums and times.
    pub report: SetReport,
    /// What is known of the image from now on.
    pub image: ImageFacts,
    /// Whether every file that may be a part could be used. If not, the next run may make another set.
    pub is_complete: bool,
}

#[derive(Default)]
struct Clocks {
    matching: Stage,
    regions: Stage,
    mirror: Stage,
    sums: Stage,
    template: Stopwatch,
    template_sums: Stage,
    proof: Stopwatch,
}

impl SetBuilder<'_> {
    /// Makes the image's set and leaves it staged.
    ///
    /// # Errors
    /// When the image or a part cannot be read or changes meanwhile, or the set cannot be written or proven.
    pub fn build(&self, image: &KnownImage<'_>) -> Result<StagedSet, Error> {
        let start = Instant::now();
        let mut clocks = Clocks::default();
        let template = self.write_template(image, &mut clocks)?;
        let template = self.prove_template(image, template, &mut clocks)?;
        let jigdo = self.jigdo(&image.mapped, &template);
        let (jigdo_stamp, jigdo_length, jigdo_sums) = self.write_jigdo(&jigdo, &template, &mut clocks)?;
        self.check_unchanged(&image.mapped, &template.layout)?;

        let hexadecimal = |sums: &Sums| -> BTreeMap<String, String> {
            let wanted = |(algorithm, _): &(&Algorithm, _)| self.spec.settings.sums.contains(algorithm);
            sums.iter().filter(wanted).map(|(algorithm, sum)| (algorithm.name().to_lowercase(), hex(sum))).collect()
        };
        let sums = [("image", &template.image_sums), ("template", &template.sums), ("jigdo", &jigdo_sums)];
        let matched_bytes = template.layout.matched();
        let unmatched_bytes = image.length() - matched_bytes;
        let report = SetReport {
            matched_bytes,
            unmatched_bytes,
            copy_of_image: template.copy.map(|part| self.shown_path(part)),
            left_out_bytes: if template.is_all_parts { unmatched_bytes } else { 0 },
            parts: template.layout.parts().count() as u64,
            distinct_parts: jigdo.parts.len() as u64,
            template_bytes: template.length,
            jigdo_bytes: jigdo_length,
            sums: sums.map(|(file, sums)| (file.to_owned(), hexadecimal(sums))).into(),
            seconds: start.elapsed().as_secs_f64(),
            stages: Stages {
                matching: clocks.matching,
                regions: clocks.regions,
                mirror: clocks.mirror,
                sums: clocks.sums,
                template: clocks.template.stage(unmatched_bytes),
                template_sums: clocks.template_sums,
                proof: clocks.proof.stage(unmatched_bytes),
            },
        };
        tracing::debug!(
            image = %escaped_path(&self.spec.path),
            matching = clocks.matching.seconds,
            mirror = clocks.mirror.seconds,
            sums = clocks.sums.seconds,
            seconds = report.seconds,
            "set made"
        );
        let image = self.facts(image, &template);
        let own = |sums| set_sum(sums, self.spec.settings.checksum).to_string();
        Ok(StagedSet {
            template: StagedFile { stamp: template.stamp, sum: own(&template.sums) },
            jigdo: StagedFile { stamp: jigdo_stamp, sum: own(&jigdo_sums) },
            report,
            image,
            is_complete: template.is_complete,
        })
    }

    /// The algorithms by which the image and the files of the set are summed.
    fn algorithms(&self) -> BTreeSet<Algorithm> {
        let settings = &self.spec.settings;
        settings.sums.iter().copied().chain([settings.checksum.into()]).collect()
    }

    fn image_error(&self, source: io::Error) -> Error {
        Error::Image { path: self.spec.path.clone(), source }
    }

    /// What this run found out about the image.
    fn facts(&self, image: &KnownImage<'_>, template: &ProvenTemplate) -> ImageFacts {
        let checksum = self.spec.settings.checksum;
        let content = |part: &Match| {
            let file = self.selection.file(part.part);
            Some((part.start..part.end(), self.catalogue.known_sums(file)?.content(checksum)?))
        };
        ImageFacts {
            image: image.mapped.stamp(),
            sums: template.image_sums.clone(),
            contents: template.layout.parts().filter_map(content).collect(),
        }
    }

    /// An error if the image or a part has changed since it was read.
    fn check_unchanged(&self, image: &Mapped, layout: &Layout) -> Result<(), Error> {
        let mut files: Vec<FileId> = layout.parts().map(|part| self.selection.file(part.part)).collect();
        files.sort_unstable();
        files.dedup();
        let changed = self.pool.install(|| files.par_iter().find_first(|&&file| !self.catalogue.unchanged(file)));
        if let Some(&file) = changed {
            return Err(Error::PartChanged { path: self.catalogue.full_path(file) });
        }
        image.intact().map_err(|source| self.image_error(source))
    }
}

/// Syncs a file to disk and returns its stamp.
fn sync(file: &File) -> io::Result<Stamp> {
    file.sync_all()?;
    Ok(Stamp::of(&file.metadata()?))
}
