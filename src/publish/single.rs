//! One image outside of any release: its parts among some files, and its template, written wherever the caller wants it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use super::Error;
use super::areas::AreaWriter;
use super::plan::{Selection, SelectionSums};
use super::proof;
use super::summed::{Summed, finish, set_sum};
use crate::digest::{Algorithm, Hasher, Sum};
use crate::format::template::{self, ImageEntry};
use crate::image::Mapped;
use crate::matcher::search::Search;
use crate::matcher::{Area, Bytes as _, Layout, Match};
use crate::mirror::{Catalogue, FileId};
use crate::progress::{Event, Progress};

/// How much of the image is worked on at a time, in bytes. Of a sparse one, windows that are holes all over are not read.
const WINDOW: u64 = 64 << 20;
const SPARSE_WINDOW: u64 = 16 << 20;

/// An image, the files that may be parts of it, and how its template is written.
pub struct Single<'a> {
    pub image: &'a Mapped,
    pub catalogue: &'a Catalogue,
    /// Of equal files, the one that comes first is recorded.
    pub files: &'a [FileId],
    /// In bytes. Shorter files are not matched.
    pub block_length: u32,
    pub options: template::Options,
    /// What errors call the image and the template.
    pub image_path: &'a Path,
    pub template_path: &'a Path,
    pub progress: &'a dyn Progress,
}

/// A part that was found.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// In the image, in bytes.
    pub offset: u64,
    pub file: FileId,
    pub sum: Sum,
}

/// A template that was written.
pub struct Written {
    /// The template's own sum, of the kind that the template has.
    pub template_sum: Sum,
    image_sum: Sum,
    layout: Layout,
}

impl Single<'_> {
    /// Finds the parts, gives each to `found`, in the order of the image, and writes the template to `out`.
    ///
    /// # Errors
    /// When the image cannot be read, `out` cannot be written, or a file is no longer what it was; and whatever `found`
    /// gives.
    pub fn write<E: From<Error>>(
        &self,
        out: impl Write + Send,
        mut found: impl FnMut(Part) -> Result<(), E>,
    ) -> Result<Written, E> {
        let failed = |source| Error::Output { path: self.template_path.to_owned(), source };
        let checksum = self.options.checksum;
        let algorithms = BTreeSet::from([Algorithm::from(checksum)]);
        let selection = Selection::of_files(self.catalogue, self.block_length, self.files.iter().copied());
        let sums = SelectionSums::new(&selection, self.catalogue, checksum, self.progress);
        let mut search = Search::new(&selection.table, self.image, &sums);
        let mut writer = template::Writer::new(Summed::new(out, &algorithms), self.options.clone()).map_err(failed)?;
        let areas = AreaWriter { selection: &selection, image_path: self.image_path, template: self.template_path };
        let mut hasher = Hasher::new(checksum.into());
        let mut layout = Layout::default();
        let mut waiting = Vec::new();
        let (length, window) = (self.image.length(), if self.image.is_sparse() { SPARSE_WINDOW } else { WINDOW });
        let mut offset = 0;
        loop {
            let end = length.min(offset + window);
            self.image.expect(end..end + window);
            // What was found before is written while the search goes on.
            let (written, (searched, summed)) = rayon::join(
                || areas.write(&mut writer, self.image, &waiting),
                || {
                    rayon::join(
                        || search.advance(end),
                        || self.image.window(offset..end).map(|window| hasher.update(&window)),
                    )
                },
            );
            written?;
            summed.map_err(|source| self.image_error(source))?;
            waiting = searched.map_err(|source| self.image_error(source))?;
            for area in &waiting {
                layout.push(area.clone());
                if let Area::Part(part) = area {
                    found(part_of(part, &selection))?;
                }
            }
            self.image.let_go(0..offset);
            offset = end;
            self.progress.report(Event::ImageAdvanced { image: 0, offset });
            if offset == length {
                break;
            }
        }
        areas.write(&mut writer, self.image, &waiting)?;
        let image_sum = Sum::from_bytes(checksum, &hasher.finish()).expect("the sum is of this kind");
        let entry = ImageEntry { length, sum: image_sum, block_length: Some(self.block_length) };
        let Summed { hashers, .. } = writer.finish(entry).map_err(failed)?;
        Ok(Written { template_sum: set_sum(&finish(hashers), checksum), image_sum, layout })
    }

    /// Reads a template back that was written to the file at `path`, and compares it with the image.
    ///
    /// # Errors
    /// When it is not what was found in the image.
    pub fn prove(&self, path: &Path, written: &Written) -> Result<(), Error> {
        let proof = proof::prove_template(path, self.image, &written.layout, written.image_sum);
        let same = |sum: Sum| match sum == written.template_sum {
            true => Ok(()),
            false => Err("the template has another sum than what was written".to_owned()),
        };
        proof.and_then(same).map_err(|reason| Error::Proof { path: self.template_path.to_owned(), reason })
    }

    /// An error if the image is no longer what was read.
    pub fn check_image(&self) -> Result<(), Error> {
        self.image.intact().map_err(|source| self.image_error(source))
    }

    fn image_error(&self, source: std::io::Error) -> Error {
        Error::Image { path: self.image_path.to_owned(), source }
    }
}

fn part_of(part: &Match, selection: &Selection) -> Part {
    Part { offset: part.start, file: selection.file(part.part), sum: part.sum }
}
