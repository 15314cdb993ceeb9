//! The work on one image: find its parts, write its template and jigdo file, prove both, leave them staged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::Instant;

use jigdo::jigdo_file::{self, Jigdo, Location};
use jigdo::template::{self, ImageEntry};
use jigdo::{Algorithm, Checksum, Sum, hex};
use rayon::ThreadPool;
use rayon::prelude::*;

use super::areas::AreaWriter;
use super::known::{Image, Known};
use super::passage::Passage;
use super::proof;
use super::report::{SetReport, Stage, Stages, Stopwatch};
use super::selection::Selection;
use super::streams::{Streams, Sums, set_sum};
use super::{Error, PoolWorkers, jigdo_name, template_name};
use crate::GENERATOR;
use crate::digest::Hasher;
use crate::file::Bytes as _;
use crate::file::Mapped;
use crate::file::Stamp;
use crate::manifest;
use crate::matcher::{Area, Layout, Match};
use crate::mirror::{Catalogue, FileId};
use crate::output::{self, OutputDirectory};
use crate::progress::Progress;

/// What the work on an image needs.
pub struct Job<'a> {
    /// The image's place in the run.
    pub number: usize,
    /// What the release says of the image.
    pub planned: &'a manifest::Image,
    /// The image's mirrors, the preferred ones first, each with its tree in the catalogue.
    pub mirrors: &'a [(usize, &'a manifest::Mirror)],
    pub catalogue: &'a Catalogue,
    pub selection: &'a Selection,
    pub directory: &'a OutputDirectory,
    pub pool: &'a ThreadPool,
    /// How much of the image is worked on at a time, in bytes.
    pub window: u64,
    /// How many pieces of the template are compressed side by side.
    pub pieces_at_once: usize,
    pub progress: &'a dyn Progress,
}

/// A template in the making: counts its bytes on their way into the file.
struct Growing {
    out: BufWriter<File>,
    length: u64,
}

impl Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A template that was written.
struct WrittenTemplate {
    file: File,
    length: u64,
    layout: Layout,
    image_sums: Sums,
    /// Of the template itself, read back.
    streams: Streams,
}

/// A template that was proven, and waits.
struct ProvenTemplate {
    stamp: Stamp,
    length: u64,
    layout: Layout,
    image_sums: Sums,
    sums: Sums,
}

/// A set that was made, and waits in its output directory.
pub struct Staged {
    /// The template's stamp. Files keep theirs when they are renamed.
    pub template: Stamp,
    /// The jigdo file's.
    pub jigdo: Stamp,
    pub report: SetReport,
    /// What is now known of the image.
    pub known: Known,
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

impl Job<'_> {
    /// Makes the image's set and leaves it staged.
    ///
    /// # Errors
    /// When the image or a part changes meanwhile, cannot be read, or the set cannot be written or proven.
    pub fn run(&self, image: &Image<'_>) -> Result<Staged, Error> {
        let start = Instant::now();
        let mut clocks = Clocks::default();
        let template = self.write_template(image, &mut clocks)?;
        let template = self.prove_template(image, template, &mut clocks)?;
        let jigdo = self.jigdo(&image.mapped, &template);
        let (jigdo_stamp, jigdo_length, jigdo_sums) = self.write_jigdo(&jigdo, &template, &mut clocks)?;
        self.check_unchanged(&image.mapped, &template.layout)?;

        let hexadecimal = |sums: &Sums| -> BTreeMap<String, String> {
            let wanted = |(algorithm, _): &(&Algorithm, _)| self.planned.settings.sums.contains(algorithm);
            sums.iter().filter(wanted).map(|(algorithm, sum)| (algorithm.name().to_lowercase(), hex(sum))).collect()
        };
        let sums = [("image", &template.image_sums), ("template", &template.sums), ("jigdo", &jigdo_sums)];
        let matched_bytes = template.layout.matched();
        let unmatched_bytes = image.length() - matched_bytes;
        let report = SetReport {
            matched_bytes,
            unmatched_bytes,
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
        let known = self.known(image, &template);
        Ok(Staged { template: template.stamp, jigdo: jigdo_stamp, report, known })
    }

    /// Everything that is summed over a file of the set, or the image.
    fn algorithms(&self) -> BTreeSet<Algorithm> {
        let settings = &self.planned.settings;
        settings.sums.iter().copied().chain([settings.checksum.into()]).collect()
    }

    fn image_error(&self, source: io::Error) -> Error {
        Error::Image { path: self.planned.path.clone(), source }
    }

    fn write_template(&self, image: &Image<'_>, clocks: &mut Clocks) -> Result<WrittenTemplate, Error> {
        let settings = &self.planned.settings;
        let name = template_name(&self.planned.name);
        let failed = |source| output::Error::Write { path: self.directory.staged(&name), source };
        let options = template::Options {
            compression: settings.compression,
            level: settings.level,
            pieces_at_once: self.pieces_at_once,
            ..template::Options::new(settings.checksum, GENERATOR)
        };
        let out = BufWriter::with_capacity(1 << 18, self.directory.stage(&name)?);
        let read_back = Mapped::growing(&self.directory.staged(&name), template::most_bytes(image.length()));
        let streams = Streams::new(self.catalogue.engine(), &Arc::new(read_back.map_err(failed)?), &self.algorithms());
        let mut writer =
            template::Writer::with_workers(Growing { out, length: 0 }, options, PoolWorkers).map_err(failed)?;

        let (layout, image_sums) = self.go_through(image, &mut writer, &streams, clocks)?;
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
        let Growing { out, length } = written.map_err(failed)?;
        let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
        Ok(WrittenTemplate { file, length, layout, image_sums, streams })
    }

    /// Proves a template while it is made last on its disk, and takes its sums.
    fn prove_template(
        &self,
        image: &Image<'_>,
        template: WrittenTemplate,
        clocks: &mut Clocks,
    ) -> Result<ProvenTemplate, Error> {
        let WrittenTemplate { file, length, layout, image_sums, streams } = template;
        let path = self.directory.staged(&template_name(&self.planned.name));
        let failed = |source| output::Error::Write { path: path.clone(), source };
        let sum = set_sum(&image_sums, self.planned.settings.checksum);
        let (synced, proven) = std::thread::scope(|threads| {
            let synced = threads.spawn(|| sync(&file));
            let prove = || proof::prove_template(&path, &image.mapped, &layout, sum);
            let proven = clocks.proof.time(|| self.pool.install(prove));
            (synced.join(), proven)
        });
        let stamp = synced.expect("a file is synced without a panic").map_err(failed)?;
        proven.map_err(|reason| Error::Proof { path: path.clone(), reason })?;
        let (sums, spent) = streams.finish().map_err(failed)?;
        clocks.template_sums = Stage { seconds: spent.as_secs_f64(), bytes: length * sums.len() as u64 };
        Ok(ProvenTemplate { stamp, length, layout, image_sums, sums })
    }

    /// Goes through the image: finds its parts, sums it, and writes its areas. Gives these, and its sums.
    fn go_through(
        &self,
        image: &Image<'_>,
        writer: &mut template::Writer<Growing, PoolWorkers>,
        template_streams: &Streams,
        clocks: &mut Clocks,
    ) -> Result<(Layout, Sums), Error> {
        let path = &self.planned.path;
        let passage = Passage {
            image,
            path,
            number: self.number,
            catalogue: self.catalogue,
            selection: self.selection,
            checksum: self.planned.settings.checksum,
            algorithms: &self.algorithms(),
            pool: self.pool,
            window: self.window,
            progress: self.progress,
        };
        let template = self.directory.staged(&template_name(&self.planned.name));
        let areas = AreaWriter { selection: self.selection, image_path: path, template: &template };
        let clock = &mut clocks.template;
        let write = |found: &[Area], is_end: bool| {
            let written = clock.time(|| {
                areas.write(writer, &image.mapped, found)?;
                self.flush(writer, is_end)
            })?;
            template_streams.allow(written);
            Ok(())
        };
        let passed = passage.go(write, |_| Ok::<_, Error>(()))?;
        clocks.matching = passed.matching;
        clocks.regions = passed.regions;
        clocks.mirror = passed.mirror;
        clocks.sums = passed.sums;
        Ok((passed.layout, passed.image_sums))
    }

    /// Sees to it that what was written of the template is in its file, all unmatched data if there are no more, and
    /// gives the length that it has. All but the description, which has the image's sum, is summed before that is known.
    fn flush(&self, writer: &mut template::Writer<Growing, PoolWorkers>, is_end: bool) -> Result<u64, Error> {
        let path = self.directory.staged(&template_name(&self.planned.name));
        let end = if is_end { writer.end_of_unmatched() } else { Ok(()) };
        end.and_then(|()| writer.flush()).map_err(|source| output::Error::Write { path, source })?;
        Ok(writer.out().length)
    }

    /// What is now known of the image.
    fn known(&self, image: &Image<'_>, template: &ProvenTemplate) -> Known {
        let checksum = self.planned.settings.checksum;
        let content = |part: &Match| {
            let file = self.selection.file(part.part);
            Some((part.start..part.end(), self.catalogue.known_sums(file)?.content(checksum)?))
        };
        Known {
            image: image.mapped.stamp(),
            sums: template.image_sums.clone(),
            contents: template.layout.parts().filter_map(content).collect(),
        }
    }

    /// The label under which the image's mirrors have the files of a tree.
    fn label(&self, tree: usize) -> &str {
        let mirror = self.mirrors.iter().find(|(known, _)| *known == tree);
        &mirror.expect("an image is matched with its own mirrors only").1.label
    }

    /// What the set's jigdo file says.
    fn jigdo(&self, image: &Mapped, template: &ProvenTemplate) -> Jigdo {
        let planned = self.planned;
        let settings = &planned.settings;
        let mut locations = BTreeMap::new();
        for part in template.layout.parts() {
            let file = self.selection.file(part.part);
            locations.entry(file).or_insert(part.sum);
        }
        let location = |(file, sum): (FileId, Sum)| {
            let label = self.label(self.catalogue.tree(file)).to_owned();
            (sum, Location { label, path: self.catalogue.path(file).to_owned() })
        };
        let mut parts: Vec<_> = locations.into_iter().map(location).collect();
        parts.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
        let servers = self.mirrors.iter().flat_map(|(_, mirror)| {
            let server = |server: &crate::manifest::Server| jigdo_file::Server {
                url: server.url.clone(),
                try_last: server.try_last,
            };
            mirror.servers.iter().map(move |listed| (mirror.label.clone(), server(listed)))
        });
        Jigdo {
            version: Some(match settings.checksum {
                Checksum::Md5 => "1.2".to_owned(),
                Checksum::Sha256 => "2.0".to_owned(),
            }),
            generator: Some(GENERATOR.to_owned()),
            image: Some(jigdo_file::Image {
                filename: planned.filename.clone(),
                template: planned.template_url.clone(),
                template_sum: Some(set_sum(&template.sums, settings.checksum)),
                short_info: planned.short_info.clone(),
                info: planned.info.clone(),
                comments: comments(&settings.sums, image, template),
            }),
            parts,
            servers: servers.collect(),
            includes: planned.include_jigdo.clone(),
        }
    }

    /// Writes the jigdo file and proves it. Gives its stamp, length and sums.
    fn write_jigdo(
        &self,
        jigdo: &Jigdo,
        template: &ProvenTemplate,
        clocks: &mut Clocks,
    ) -> Result<(Stamp, u64, Sums), Error> {
        let name = jigdo_name(&self.planned.name);
        let path = self.directory.staged(&name);
        let text = jigdo.to_text().map_err(|source| Error::Jigdo { path: path.clone(), source })?;
        let failed = |source| output::Error::Write { path: path.clone(), source };
        let bytes = match self.planned.settings.compress_jigdo {
            true => jigdo_file::gzip(&text).map_err(failed)?,
            false => text.into_bytes(),
        };
        let mut file = self.directory.stage(&name)?;
        file.write_all(&bytes).map_err(failed)?;
        let stamp = sync(&file).map_err(failed)?;
        let sum = set_sum(&template.sums, self.planned.settings.checksum);
        let proven = clocks.proof.time(|| proof::prove_jigdo(&path, &template.layout, sum));
        proven.map_err(|reason| Error::Proof { path: path.clone(), reason })?;
        let sums = self.algorithms().into_iter().map(|algorithm| (algorithm, Hasher::sum(algorithm, &bytes)));
        Ok((stamp, bytes.len() as u64, sums.collect()))
    }

    /// An error if the image or a part is no longer what was read.
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

/// The sums and sizes that jigdo files carry in comments.
fn comments(algorithms: &BTreeSet<Algorithm>, image: &Mapped, template: &ProvenTemplate) -> Vec<String> {
    if algorithms.is_empty() {
        return Vec::new();
    }
    let wanted = |sums: &Sums, comment: fn(Algorithm, &[u8]) -> String| -> Vec<String> {
        let chosen = sums.iter().filter(|(algorithm, _)| algorithms.contains(algorithm));
        chosen.map(|(&algorithm, sum)| comment(algorithm, sum)).collect()
    };
    [
        wanted(&template.sums, jigdo_file::template_sum_comment),
        vec![jigdo_file::template_size_comment(template.length)],
        wanted(&template.image_sums, jigdo_file::image_sum_comment),
        vec![jigdo_file::image_size_comment(image.length())],
    ]
    .concat()
}

/// Makes a file last, and gives its stamp.
fn sync(file: &File) -> io::Result<Stamp> {
    file.sync_all()?;
    Ok(Stamp::of(&file.metadata()?))
}
