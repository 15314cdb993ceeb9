//! One pass over an image, from start to end: finds its parts, computes its sums and writes its areas, all at the same
//! time.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use jigdo::{Algorithm, Checksum};
use rayon::ThreadPool;

use super::Error;
use super::known_image::KnownImage;
use super::report::{Stage, Stopwatch};
use super::selection::{Selection, SelectionSums};
use super::some_unmatched::HeldBack;
use super::streams::{Streams, Sums};
use crate::file::Bytes as _;
use crate::matcher::{Area, Layout, PartId, Search};
use crate::mirror::{Catalogue, FileError};
use crate::progress::{Progress, Task};

/// How many windows the image's sums may be ahead of the search for its parts, or behind it.
const AHEAD: u64 = 1;

/// How much of a sparse image is processed at a time, in bytes. Windows that are entirely holes are not read, and shorter
/// windows mean more of those.
pub const SPARSE_WINDOW: u64 = 16 << 20;

/// A pass over an image.
pub struct ImagePass<'a> {
    pub image: &'a KnownImage<'a>,
    /// The image's name in error messages.
    pub path: &'a Path,
    pub catalogue: &'a Catalogue,
    pub selection: &'a Selection,
    /// The algorithm of the parts' sums.
    pub checksum: Checksum,
    /// The algorithms of the image's own sums.
    pub algorithms: &'a BTreeSet<Algorithm>,
    pub pool: &'a ThreadPool,
    /// How much of the image is processed at a time, in bytes.
    pub window: u64,
    pub progress: &'a dyn Progress,
    /// Advances by the bytes of the image that are done.
    pub task: &'a Task<'a>,
}

/// What a pass finds out, and the cost of its stages.
pub struct PassResult {
    pub layout: Layout,
    /// Whether parts covered all of the image, so that one was left out.
    pub is_all_parts: bool,
    pub image_sums: Sums,
    /// The parts that may be in the image and could not be used.
    pub lost: BTreeMap<PartId, FileError>,
    /// The part that is a copy of the whole image, if the layout is nothing else.
    pub copy: Option<PartId>,
    pub matching: Stage,
    pub regions: Stage,
    pub mirror: Stage,
    pub sums: Stage,
}

impl ImagePass<'_> {
    /// Runs the pass. Areas go, in order, to `found` at once and to `write` while the search continues. `write` is called
    /// in the pool; its second argument is true for the last areas.
    ///
    /// # Errors
    /// When the image cannot be read, or `write` or `found` fails.
    pub fn run<E: From<Error>>(
        &self,
        mut write: impl FnMut(&[Area], bool) -> Result<(), Error> + Send,
        mut found: impl FnMut(&[Area]) -> Result<(), E>,
    ) -> Result<PassResult, E> {
        let image = self.image;
        let stamp = image.mapped.stamp();
        let sums = SelectionSums::new(self.selection, self.catalogue, stamp, self.checksum, self.progress);
        let mut search = Search::new(&self.selection.table, image, &sums).in_pool(self.pool);
        let mut algorithms = self.algorithms.clone();
        algorithms.retain(|&algorithm| image.sum(algorithm).is_none());
        let streams = Streams::new(self.catalogue.engine(), &image.mapped, &algorithms);
        let mut matching = Stopwatch::default();
        let mut layout = Layout::default();
        let (mut held_back, mut areas) = (HeldBack::default(), Vec::new());
        let mut offset = 0;
        loop {
            let window = offset..image.length().min(offset + self.window);
            // The sums and the search stay close together, so that each finds in memory what the other has read.
            streams.wait_for(offset.saturating_sub(AHEAD * self.window));
            let limit = image.length().min(window.end + AHEAD * self.window);
            // If the image's sums are known, little of it is read.
            if !algorithms.is_empty() {
                image.mapped.prefetch(window.end..limit);
            }
            streams.allow(limit);
            // Write what the last window held while searching this one.
            let (mut written, mut searched) = (Ok(()), Ok(Vec::new()));
            self.pool.in_place_scope(|scope| {
                scope.spawn(|_| written = write(&areas, false));
                searched = matching.time(|| search.advance(window.end));
            });
            written?;
            areas = searched.map_err(|source| self.failed(source))?;
            areas.iter().cloned().for_each(|area| layout.push(area));
            areas = held_back.pass(areas);
            found(&areas)?;
            let summed = streams.position().unwrap_or(window.end);
            image.mapped.release(0..offset.saturating_sub(AHEAD * self.window).min(summed));
            offset = window.end;
            self.task.advance_to(offset);
            if offset == image.length() {
                break;
            }
        }
        let copy = match layout.areas[..] {
            [Area::Part(part)] => Some(part.part),
            _ => None,
        };
        let is_all_parts = image.length() > 0 && held_back.is_all_parts();
        if is_all_parts {
            layout = self.leave_some_unmatched(layout).map_err(|source| self.failed(source))?;
            areas.clone_from(&layout.areas);
            found(&areas)?;
        }
        self.pool.install(|| write(&areas, true))?;
        let (mut image_sums, spent) = streams.finish().map_err(|source| self.failed(source))?;
        let known = |&algorithm: &Algorithm| Some((algorithm, image.sum(algorithm)?.clone()));
        image_sums.extend(self.algorithms.iter().filter_map(known));
        let hashing = image.hashing();
        matching.subtract(hashing.waited);
        Ok(PassResult {
            layout,
            is_all_parts,
            image_sums,
            copy,
            matching: matching.stage(image.length()),
            regions: Stage { seconds: hashing.spent.as_secs_f64(), bytes: hashing.bytes },
            mirror: sums.reading(),
            lost: sums.lost(),
            sums: Stage { seconds: spent.as_secs_f64(), bytes: image.length() * algorithms.len() as u64 },
        })
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Image { path: self.path.to_owned(), source }
    }
}
