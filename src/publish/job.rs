//! The work on one image: find its parts, write its template and jigdo file, prove both, leave them staged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use rayon::prelude::*;
use rayon::{Scope, ThreadPool};

use super::areas::AreaWriter;
use super::known::{Image, Known};
use super::plan::{Plan, Planned, Selection, SelectionSums};
use super::proof;
use super::record::{Record, jigdo_name, template_name};
use super::report::{SetReport, Stage, Stages, Stopwatch};
use super::staging::OutputDirectory;
use super::streams::Streams;
use super::summed::{Summed, Sums, finish, set_sum};
use super::{Error, GENERATOR};
use crate::digest::{Algorithm, Checksum, Sum, hex};
use crate::format::jigdo::{self, Jigdo, Location};
use crate::format::template::{self, ImageEntry};
use crate::image::Mapped;
use crate::matcher::search::Search;
use crate::matcher::{Bytes as _, Layout, Match};
use crate::mirror::{Catalogue, FileId};
use crate::progress::{Event, Progress};
use crate::stamp::Stamp;

/// What the work on an image needs.
pub struct Job<'a, 's> {
    /// The image's place in the run.
    pub number: usize,
    pub planned: Planned<'a>,
    pub plan: &'a Plan<'a>,
    pub catalogue: &'a Catalogue,
    pub selection: &'a Selection,
    pub directory: &'a OutputDirectory,
    pub pool: &'a ThreadPool,
    /// How much of the image is worked on at a time, in bytes.
    pub window: u64,
    pub streams: &'s Streams,
    pub scope: &'a Scope<'s>,
    /// How many pieces of the template are compressed side by side.
    pub pieces_at_once: usize,
    pub progress: &'a dyn Progress,
}

/// A template that was written and waits.
struct WrittenTemplate {
    layout: Layout,
    image_sums: Sums,
    sums: Sums,
    length: u64,
    stamp: Stamp,
}

#[derive(Default)]
struct Clocks {
    matching: Stopwatch,
    mirror: Stage,
    sums: Stage,
    template: Stopwatch,
    proof: Stopwatch,
}

impl Job<'_, '_> {
    /// Makes the image's set and leaves it staged. `inputs` stands for what it depends on.
    ///
    /// # Errors
    /// When the image or a part changes meanwhile, cannot be read, or the set cannot be written or proven.
    pub fn run(&self, image: &Image, inputs: String) -> Result<(Record, Known), Error> {
        let start = Instant::now();
        let mut clocks = Clocks::default();
        let name = &self.planned.image.name;
        let template = self.write_template(image, &mut clocks)?;
        let jigdo = self.jigdo(&image.mapped, &template);
        let (jigdo_stamp, jigdo_length, jigdo_sums) = self.write_jigdo(&jigdo)?;
        clocks.proof.time(|| {
            let staged = |file: String| self.directory.staged(&file);
            let staged = (staged(template_name(name)), staged(jigdo_name(name)));
            let checksum = self.planned.image.settings.checksum;
            let sum = set_sum(&template.image_sums, checksum);
            let proof = || proof::prove(&staged.0, &staged.1, &image.mapped, &template.layout, sum);
            self.pool.install(proof).map_err(|reason| Error::Proof { path: staged.0.clone(), reason })
        })?;
        self.check_unchanged(&image.mapped, &template.layout)?;

        let hexadecimal = |sums: &Sums| -> BTreeMap<String, String> {
            let wanted = |(algorithm, _): &(&Algorithm, _)| self.planned.image.settings.sums.contains(algorithm);
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
                matching: clocks.matching.stage(image.length()),
                mirror: clocks.mirror,
                sums: clocks.sums,
                template: clocks.template.stage(unmatched_bytes),
                proof: clocks.proof.stage(unmatched_bytes),
            },
        };
        let known = self.known(image, &template);
        Ok((Record { inputs, template: template.stamp, jigdo: jigdo_stamp, report }, known))
    }

    /// Everything that is summed over a file of the set, or the image.
    fn algorithms(&self) -> BTreeSet<Algorithm> {
        let settings = &self.planned.image.settings;
        settings.sums.iter().copied().chain([settings.checksum.into()]).collect()
    }

    fn image_error(&self, source: io::Error) -> Error {
        Error::Image { path: self.planned.image.path.clone(), source }
    }

    fn write_template(&self, image: &Image, clocks: &mut Clocks) -> Result<WrittenTemplate, Error> {
        let settings = &self.planned.image.settings;
        let name = template_name(&self.planned.image.name);
        let failed = |source| Error::Output { path: self.directory.staged(&name), source };
        let options = template::Options {
            compression: settings.compression,
            level: settings.level,
            pieces_at_once: self.pieces_at_once,
            ..template::Options::new(settings.checksum)
        };
        let file = BufWriter::with_capacity(1 << 18, self.directory.stage(&name)?);
        let mut writer = template::Writer::new(Summed::new(file, &self.algorithms()), options).map_err(failed)?;

        let (layout, image_sums) = self.go_through(image, &mut writer, clocks)?;
        let entry = ImageEntry {
            length: image.length(),
            sum: set_sum(&image_sums, settings.checksum),
            block_length: Some(settings.min_length),
        };
        clocks.template.time(|| {
            let written = self.pool.install(|| writer.finish(entry)).map_err(failed)?;
            let Summed { out, hashers, length } = written;
            let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
            let stamp = sync(&file).map_err(failed)?;
            Ok(WrittenTemplate { layout, image_sums, sums: finish(hashers), length, stamp })
        })
    }

    /// Goes through the image: finds its parts, sums it, and writes its areas. Gives these, and its sums.
    fn go_through(
        &self,
        image: &Image,
        writer: &mut template::Writer<impl Write + Send>,
        clocks: &mut Clocks,
    ) -> Result<(Layout, Sums), Error> {
        let checksum = self.planned.image.settings.checksum;
        let sums = SelectionSums::new(self.selection, self.catalogue, checksum, self.progress);
        let mut search = Search::new(&self.selection.table, image, &sums);
        let mut algorithms = self.algorithms();
        algorithms.retain(|&algorithm| image.sum(algorithm).is_none());
        let image_sums = self.streams.open(&image.mapped, &algorithms);
        let template = self.directory.staged(&template_name(&self.planned.image.name));
        let areas = AreaWriter { selection: self.selection, image_path: &self.planned.image.path, template: &template };
        let mut layout = Layout::default();
        let mut found = Vec::new();
        let mut offset = 0;
        loop {
            let window = offset..image.length().min(offset + self.window);
            // Of an image whose sums are known, little is read.
            if !algorithms.is_empty() {
                image.mapped.expect(window.end..window.end + self.window);
            }
            image_sums.push(self.scope, window.clone());
            let Clocks { matching, template, .. } = clocks;
            // What was found before is written while the search goes on.
            let (written, searched) = self.pool.install(|| {
                rayon::join(
                    || template.time(|| areas.write(writer, &image.mapped, &found)),
                    || matching.time(|| search.advance(window.end)),
                )
            });
            written?;
            found = searched.map_err(|source| self.image_error(source))?;
            found.iter().cloned().for_each(|area| layout.push(area));
            // The sums are at most two windows behind.
            image.mapped.let_go(0..offset.saturating_sub(2 * self.window));
            offset = window.end;
            self.progress.report(Event::ImageAdvanced { image: self.number, offset });
            if offset == image.length() {
                break;
            }
        }
        clocks.template.time(|| self.pool.install(|| areas.write(writer, &image.mapped, &found)))?;
        let (mut image_sums, spent) = image_sums.finish(self.scope).map_err(|source| self.image_error(source))?;
        let known = |algorithm| Some((algorithm, image.sum(algorithm)?.clone()));
        image_sums.extend(self.algorithms().into_iter().filter_map(known));
        let summed = image.length() * algorithms.len() as u64;
        clocks.sums = Stage { seconds: spent.as_secs_f64(), bytes: summed };
        clocks.mirror = sums.reading();
        Ok((layout, image_sums))
    }

    /// What is now known of the image.
    fn known(&self, image: &Image, template: &WrittenTemplate) -> Known {
        let content = |part: &Match| {
            let file = self.selection.file(part.part);
            Some((part.start..part.end(), self.catalogue.known_sums(file)?.content()?))
        };
        Known {
            image: image.mapped.stamp(),
            sums: template.image_sums.clone(),
            contents: template.layout.parts().filter_map(content).collect(),
        }
    }

    /// What the set's jigdo file says.
    fn jigdo(&self, image: &Mapped, template: &WrittenTemplate) -> Jigdo {
        let planned = &self.planned;
        let settings = &planned.image.settings;
        let mut locations = BTreeMap::new();
        for part in template.layout.parts() {
            let file = self.selection.file(part.part);
            locations.entry(file).or_insert(part.sum);
        }
        let location = |(file, sum): (FileId, Sum)| {
            let label = self.plan.label(planned, self.catalogue.tree(file)).to_owned();
            (sum, Location { label, path: self.catalogue.path(file).to_owned() })
        };
        let mut parts: Vec<_> = locations.into_iter().map(location).collect();
        parts.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
        let servers = planned.mirrors().flat_map(|mirror| {
            let server =
                |server: &crate::manifest::Server| jigdo::Server { url: server.url.clone(), try_last: server.try_last };
            mirror.servers.iter().map(move |listed| (mirror.label.clone(), server(listed)))
        });
        Jigdo {
            version: Some(match settings.checksum {
                Checksum::Md5 => "1.2".to_owned(),
                Checksum::Sha256 => "2.0".to_owned(),
            }),
            generator: Some(GENERATOR.to_owned()),
            image: Some(jigdo::Image {
                filename: planned.image.filename.clone(),
                template: planned.image.template_url.clone(),
                template_sum: Some(set_sum(&template.sums, settings.checksum)),
                short_info: planned.image.short_info.clone(),
                info: planned.image.info.clone(),
                comments: comments(&settings.sums, image, template),
            }),
            parts,
            servers: servers.collect(),
            includes: planned.image.include_jigdo.clone(),
        }
    }

    fn write_jigdo(&self, jigdo: &Jigdo) -> Result<(Stamp, u64, Sums), Error> {
        let name = jigdo_name(&self.planned.image.name);
        let path = self.directory.staged(&name);
        let text = jigdo.to_text().map_err(|source| Error::Jigdo { path: path.clone(), source })?;
        let failed = |source| Error::Output { path: path.clone(), source };
        let bytes = match self.planned.image.settings.compress_jigdo {
            true => jigdo::gzip(&text).map_err(failed)?,
            false => text.into_bytes(),
        };
        let mut file = Summed::new(self.directory.stage(&name)?, &self.algorithms());
        file.write_all(&bytes).map_err(failed)?;
        let stamp = sync(&file.out).map_err(failed)?;
        Ok((stamp, file.length, finish(file.hashers)))
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
fn comments(algorithms: &BTreeSet<Algorithm>, image: &Mapped, template: &WrittenTemplate) -> Vec<String> {
    if algorithms.is_empty() {
        return Vec::new();
    }
    let wanted = |sums: &Sums, comment: fn(Algorithm, &[u8]) -> String| -> Vec<String> {
        let chosen = sums.iter().filter(|(algorithm, _)| algorithms.contains(algorithm));
        chosen.map(|(&algorithm, sum)| comment(algorithm, sum)).collect()
    };
    [
        wanted(&template.sums, jigdo::template_sum_comment),
        vec![jigdo::template_size_comment(template.length)],
        wanted(&template.image_sums, jigdo::image_sum_comment),
        vec![jigdo::image_size_comment(image.length())],
    ]
    .concat()
}

/// Makes a file last, and gives its stamp.
fn sync(file: &File) -> io::Result<Stamp> {
    file.sync_all()?;
    Ok(Stamp::of(&file.metadata()?))
}

/// Opens the image that is planned.
pub fn open(path: &Path) -> Result<Mapped, Error> {
    Mapped::open(path).map_err(|source| Error::Image { path: path.to_owned(), source })
}
