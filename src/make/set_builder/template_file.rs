//! Writes a set's template while the image is searched, then proves it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::thread::{Builder, ScopedJoinHandle};

use jigdo::template::{self, ImageEntry};

use super::{Clocks, SetBuilder, sync};
use crate::GENERATOR;
use crate::file::Bytes as _;
use crate::file::{Mapped, Stamp};
use crate::make::area_writer::AreaWriter;
use crate::make::image_pass::{ImagePass, PassResult};
use crate::make::known_image::KnownImage;
use crate::make::proof;
use crate::make::report::Stage;
use crate::make::streams::{Streams, Sums, set_sum};
use crate::make::{Error, PoolWorkers, template_name};
use crate::matcher::{Area, Layout, PartId};
use crate::output;

/// Counts the bytes that it writes.
struct CountingWriter {
    out: BufWriter<File>,
    length: u64,
}

impl Write for CountingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A template that is written but not proven.
pub(super) struct WrittenTemplate {
    file: File,
    length: u64,
    layout: Layout,
    is_all_parts: bool,
    copy: Option<PartId>,
    image_sums: Sums,
    /// Whether every file that may be a part could be used.
    is_complete: bool,
    /// The template's own sums, of the bytes as read back.
    streams: Streams,
}

/// A template that is proven and staged.
pub(super) struct ProvenTemplate {
    pub stamp: Stamp,
    pub length: u64,
    pub layout: Layout,
    /// Whether parts covered all of the image, so that one was left out.
    pub is_all_parts: bool,
    /// The part that is a copy of the whole image.
    pub copy: Option<PartId>,
    pub image_sums: Sums,
    /// Whether every file that may be a part could be used.
    pub is_complete: bool,
    pub sums: Sums,
}

impl SetBuilder<'_> {
    pub(super) fn write_template(&self, image: &KnownImage<'_>, clocks: &mut Clocks) -> Result<WrittenTemplate, Error> {
        let settings = &self.spec.settings;
        let name = template_name(&self.spec.name);
        let failed = |source| output::Error::Write { path: self.directory.staged(&name), source };
        let options = template::Options {
            compression: settings.compression,
            level: settings.level,
            pieces_at_once: self.pieces_at_once,
            ..template::Options::new(settings.checksum, GENERATOR)
        };
        let out = BufWriter::with_capacity(1 << 18, self.directory.stage_with_mode(&name, self.spec.settings.mode)?);
        let read_back = Mapped::growing(&self.directory.staged(&name), template::longest_template(image.length()));
        let streams = Streams::new(self.catalogue.engine(), &Arc::new(read_back.map_err(failed)?), &self.algorithms());
        let mut writer =
            template::Writer::with_workers(CountingWriter { out, length: 0 }, options, PoolWorkers).map_err(failed)?;

        let PassResult { layout, is_all_parts, image_sums, lost, copy, .. } =
            self.run_pass(image, &mut writer, &streams, clocks)?;
        let is_complete = self.check_lost(&lost, &layout)?;
        let entry = ImageEntry {
            length: image.length(),
            sum: set_sum(&image_sums, settings.checksum),
            block_length: Some(settings.min_length),
        };
        let written = clocks.template.time(|| {
            self.pool.install(|| {
                let written = writer.finish(entry)?;
                streams.allow(written.length);
                Ok(written)
            })
        });
        let CountingWriter { out, length } = written.map_err(failed)?;
        let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
        Ok(WrittenTemplate { file, length, layout, is_all_parts, copy, image_sums, is_complete, streams })
    }

    /// Proves a template while it is synced to disk, and takes its sums.
    pub(super) fn prove_template(
        &self,
        image: &KnownImage<'_>,
        template: WrittenTemplate,
        clocks: &mut Clocks,
    ) -> Result<ProvenTemplate, Error> {
        let WrittenTemplate { file, length, layout, is_all_parts, copy, image_sums, is_complete, streams } = template;
        let path = self.directory.staged(&template_name(&self.spec.name));
        let failed = |source| output::Error::Write { path: path.clone(), source };
        let sum = set_sum(&image_sums, self.spec.settings.checksum);
        let (synced, proven) = std::thread::scope(|threads| {
            let synced = Builder::new().spawn_scoped(threads, || sync(&file));
            let prove = || proof::prove_template(&path, &image.mapped, &layout, sum);
            let proven = clocks.proof.time(|| self.pool.install(prove));
            // Without a thread for it, the file is synced now.
            let synced = synced.map_or_else(|_| Ok(sync(&file)), ScopedJoinHandle::join);
            (synced.expect("syncing a file does not panic"), proven)
        });
        let stamp = synced.map_err(failed)?;
        proven.map_err(|reason| Error::Proof { path: path.clone(), reason })?;
        let (sums, spent) = streams.finish().map_err(failed)?;
        clocks.template_sums = Stage { seconds: spent.as_secs_f64(), bytes: length * sums.len() as u64 };
        Ok(ProvenTemplate { stamp, length, layout, is_all_parts, copy, image_sums, is_complete, sums })
    }

    /// Runs the pass over the image, writing its areas to the template.
    fn run_pass(
        &self,
        image: &KnownImage<'_>,
        writer: &mut template::Writer<CountingWriter, PoolWorkers>,
        template_streams: &Streams,
        clocks: &mut Clocks,
    ) -> Result<PassResult, Error> {
        let path = &self.spec.path;
        let pass = ImagePass {
            image,
            path,
            catalogue: self.catalogue,
            selection: self.selection,
            checksum: self.spec.settings.checksum,
            algorithms: &self.algorithms(),
            pool: self.pool,
            window: self.window,
            progress: self.progress,
            task: self.task,
        };
        let template = self.directory.staged(&template_name(&self.spec.name));
        let areas = AreaWriter { block_length: self.spec.settings.min_length, image_path: path, template: &template };
        let clock = &mut clocks.template;
        let write = |found: &[Area], is_end: bool| {
            let written = clock.time(|| {
                areas.write(writer, &image.mapped, found)?;
                self.flush(writer, is_end)
            })?;
            template_streams.allow(written);
            Ok(())
        };
        let passed = pass.run(write, |_| Ok::<_, Error>(()))?;
        clocks.matching = passed.matching;
        clocks.regions = passed.regions;
        clocks.mirror = passed.mirror;
        clocks.sums = passed.sums;
        Ok(passed)
    }

    /// Flushes the template to its file and returns its length so far. At the end of the image this includes all unmatched
    /// data, so that everything but the description is summed before the image's own sum, which it contains, is known.
    fn flush(&self, writer: &mut template::Writer<CountingWriter, PoolWorkers>, is_end: bool) -> Result<u64, Error> {
        let path = self.directory.staged(&template_name(&self.spec.name));
        let end = if is_end { writer.end_of_unmatched() } else { Ok(()) };
        end.and_then(|()| writer.flush()).map_err(|source| output::Error::Write { path, source })?;
        Ok(writer.out().length)
    }
}
