//! Builds the template of one image without a release: finds its parts among some files, and writes the template wherever
//! the caller wants it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use jigdo::Sum;
use jigdo::template::{self, ImageEntry};
use rayon::ThreadPool;

use super::area_writer::AreaWriter;
use super::image_pass::{ImagePass, SPARSE_WINDOW};
use super::known_image::KnownImage;
use super::proof;
use super::selection::Selection;
use super::streams::set_sum;
use super::{Error, PoolWorkers};
use crate::digest;
use crate::digest::Hasher;
use crate::file::Bytes as _;
use crate::file::Mapped;
use crate::matcher::{Area, Layout, Match};
use crate::mirror::{Catalogue, FileId};
use crate::output;
use crate::progress::{Progress, Task};

/// How much of the image is processed at a time, in bytes, unless it is sparse.
const WINDOW: u64 = 64 << 20;

/// An image, the files that may be parts of it, and how its template is written.
pub struct TemplateBuilder<'a> {
    /// The image's bytes.
    pub image: &'a Arc<Mapped>,
    /// The files of all mirrors.
    pub catalogue: &'a Catalogue,
    /// Of equal files, the first one is recorded.
    pub files: &'a [FileId],
    /// In bytes. Shorter files are not matched.
    pub block_length: u32,
    /// How the template is written.
    pub options: template::Options,
    /// The names of image and template in error messages.
    pub image_path: &'a Path,
    /// The template's name in error messages.
    pub template_path: &'a Path,
    /// The threads that do the work.
    pub pool: &'a ThreadPool,
    /// Receives progress reports.
    pub progress: &'a dyn Progress,
    /// Advances by the bytes of the image that are done.
    pub task: &'a Task<'a>,
}

/// A part that was found.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Where it is in the image, in bytes.
    pub offset: u64,
    /// The mirror file that it is.
    pub file: FileId,
    /// Its sum, by the template's algorithm.
    pub sum: Sum,
}

/// A template that was written.
pub struct BuiltTemplate {
    /// The sum of the template itself, by the template's algorithm.
    pub template_sum: Sum,
    image_sum: Sum,
    layout: Layout,
}

impl TemplateBuilder<'_> {
    /// Finds the parts, passes each to `found` in the order of the image, and writes the template to `out`.
    ///
    /// # Errors
    /// When the image cannot be read, `out` cannot be written, or `found` fails.
    pub fn build<E: From<Error>>(
        &self,
        out: impl Write + Send,
        mut found: impl FnMut(Part) -> Result<(), E>,
    ) -> Result<BuiltTemplate, E> {
        let failed = |source| Error::from(output::Error::Write { path: self.template_path.to_owned(), source });
        let checksum = self.options.checksum;
        let selection = Selection::of_files(self.catalogue, self.block_length, self.files.iter().copied());
        let image = KnownImage::new(Arc::clone(self.image), None, self.catalogue.engine());
        let pass = ImagePass {
            image: &image,
            path: self.image_path,
            catalogue: self.catalogue,
            selection: &selection,
            checksum,
            algorithms: &BTreeSet::from([checksum.into()]),
            pool: self.pool,
            window: if self.image.is_sparse() { SPARSE_WINDOW } else { WINDOW },
            progress: self.progress,
            task: self.task,
        };
        let out = HashingWriter { out, hasher: Hasher::new(checksum.into()) };
        let mut writer = template::Writer::with_workers(out, self.options.clone(), PoolWorkers).map_err(failed)?;
        let areas =
            AreaWriter { block_length: self.block_length, image_path: self.image_path, template: self.template_path };
        let passed = pass.run(
            |found, _| areas.write(&mut writer, self.image, found),
            |areas| {
                let mut parts = areas.iter().filter_map(|area| match area {
                    Area::Part(part) => Some(part_of(part, &selection)),
                    Area::Unmatched(_) => None,
                });
                parts.try_for_each(&mut found)
            },
        )?;
        let image_sum = set_sum(&passed.image_sums, checksum);
        let entry = ImageEntry { length: self.image.length(), sum: image_sum, block_length: Some(self.block_length) };
        let HashingWriter { hasher, .. } = self.pool.install(|| writer.finish(entry)).map_err(failed)?;
        let template_sum = Sum::from_bytes(checksum, &hasher.finish()).expect("the sum is of this kind");
        Ok(BuiltTemplate { template_sum, image_sum, layout: passed.layout })
    }

    /// Reads back the template in the file at `path`, and compares it with the image.
    ///
    /// # Errors
    /// When the template cannot be read or differs.
    pub fn prove(&self, path: &Path, written: &BuiltTemplate) -> Result<(), Error> {
        let sum_of_file = || File::open(path).and_then(|file| digest::sum_of_reader(self.options.checksum, file));
        let (proof, sum) = self.pool.install(|| {
            rayon::join(
                || proof::prove_template(path, self.image, &written.layout, written.image_sum),
                || sum_of_file().map_err(|error| error.to_string()),
            )
        });
        let same = |sum: Sum| match sum == written.template_sum {
            true => Ok(()),
            false => Err("the template's sum is not that of the bytes that were written".to_owned()),
        };
        let proof = proof.and(sum).and_then(same);
        proof.map_err(|reason| Error::Proof { path: self.template_path.to_owned(), reason })
    }

    /// Checks that the image is still the one that was opened.
    ///
    /// # Errors
    /// It has changed.
    pub fn check_image(&self) -> Result<(), Error> {
        self.image.intact().map_err(|source| self.image_error(source))
    }

    fn image_error(&self, source: io::Error) -> Error {
        Error::Image { path: self.image_path.to_owned(), source }
    }
}

fn part_of(part: &Match, selection: &Selection) -> Part {
    Part { offset: part.start, file: selection.file(part.part), sum: part.sum }
}

/// Hashes the bytes that it writes.
struct HashingWriter<W> {
    out: W,
    hasher: Hasher,
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
