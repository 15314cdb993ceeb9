//! The way through an image, from front to back: its parts are found, its sums are taken, and its areas are written,
//! all side by side.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use jigdo::{Algorithm, Checksum};
use rayon::ThreadPool;

use super::Error;
use super::known::Image;
use super::report::{Stage, Stopwatch};
use super::selection::{Selection, SelectionSums};
use super::streams::{Streams, Sums};
use crate::file::Bytes as _;
use crate::matcher::search::Search;
use crate::matcher::{Area, Layout};
use crate::mirror::Catalogue;
use crate::progress::{Event, Progress};

/// How many windows the sums of an image may be ahead of the search for its parts, and behind it.
const AHEAD: u64 = 1;

/// How much of a sparse image is worked on at a time, in bytes. Windows that are holes all over are not read: the shorter
/// they are, the more are.
pub const SPARSE_WINDOW: u64 = 16 << 20;

/// What is needed on the way through an image.
pub struct Passage<'a> {
    pub image: &'a Image<'a>,
    /// What errors call the image.
    pub path: &'a Path,
    /// The image's place in the run.
    pub number: usize,
    pub catalogue: &'a Catalogue,
    pub selection: &'a Selection,
    /// The kind of the parts' sums.
    pub checksum: Checksum,
    /// The kinds of the image's own.
    pub algorithms: &'a BTreeSet<Algorithm>,
    pub pool: &'a ThreadPool,
    /// How much of the image is worked on at a time, in bytes.
    pub window: u64,
    pub progress: &'a dyn Progress,
}

/// What is known at the end of the way.
pub struct Passed {
    pub layout: Layout,
    pub image_sums: Sums,
    pub matching: Stage,
    pub regions: Stage,
    pub mirror: Stage,
    pub sums: Stage,
}

impl Passage<'_> {
    /// Goes through the image. Its areas, in order, go to `found` as soon as they are, and to `write` while others are
    /// looked for; `write` is called in the pool, and told which areas are the last.
    ///
    /// # Errors
    /// When the image cannot be read, and whatever `write` and `found` give.
    pub fn go<E: From<Error>>(
        &self,
        mut write: impl FnMut(&[Area], bool) -> Result<(), Error> + Send,
        mut found: impl FnMut(&[Area]) -> Result<(), E>,
    ) -> Result<Passed, E> {
        let image = self.image;
        let sums = SelectionSums::new(self.selection, self.catalogue, self.checksum, self.progress);
        let mut search = Search::new(&self.selection.table, image, &sums).in_pool(self.pool);
        let mut algorithms = self.algorithms.clone();
        algorithms.retain(|&algorithm| image.sum(algorithm).is_none());
        let streams = Streams::new(self.catalogue.engine(), &image.mapped, &algorithms);
        let mut matching = Stopwatch::default();
        let mut layout = Layout::default();
        let mut areas = Vec::new();
        let mut offset = 0;
        loop {
            let window = offset..image.length().min(offset + self.window);
            // Neither the sums nor the search are ever far ahead, so that what one has read the other finds in memory.
            streams.wait_for(offset.saturating_sub(AHEAD * self.window));
            let limit = image.length().min(window.end + AHEAD * self.window);
            // Of an image whose sums are known, little is read.
            if !algorithms.is_empty() {
                image.mapped.expect(window.end..limit);
            }
            streams.allow(limit);
            // What was found before is written while the search goes on.
            let (mut written, mut searched) = (Ok(()), Ok(Vec::new()));
            self.pool.in_place_scope(|scope| {
                scope.spawn(|_| written = write(&areas, false));
                searched = matching.time(|| search.advance(window.end));
            });
            written?;
            areas = searched.map_err(|source| self.failed(source))?;
            areas.iter().cloned().for_each(|area| layout.push(area));
            found(&areas)?;
            let summed = streams.position().unwrap_or(window.end);
            image.mapped.let_go(0..offset.saturating_sub(AHEAD * self.window).min(summed));
            offset = window.end;
            self.progress.report(Event::ImageAdvanced { image: self.number, offset });
            if offset == image.length() {
                break;
            }
        }
        self.pool.install(|| write(&areas, true))?;
        let (mut image_sums, spent) = streams.finish().map_err(|source| self.failed(source))?;
        let known = |&algorithm: &Algorithm| Some((algorithm, image.sum(algorithm)?.clone()));
        image_sums.extend(self.algorithms.iter().filter_map(known));
        let hashing = image.hashing();
        matching.take_away(hashing.waited);
        Ok(Passed {
            layout,
            image_sums,
            matching: matching.stage(image.length()),
            regions: Stage { seconds: hashing.spent.as_secs_f64(), bytes: hashing.bytes },
            mirror: sums.reading(),
            sums: Stage { seconds: spent.as_secs_f64(), bytes: image.length() * algorithms.len() as u64 },
        })
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Image { path: self.path.to_owned(), source }
    }
}
