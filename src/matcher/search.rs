//! The search of one image for parts, from front to back: scan, verify, choose.

use std::io;

use rayon::ThreadPool;

use super::context::Context;
use super::quick::Quick;
use super::runs::Runs;
use super::table::SignatureTable;
use super::thorough::Thorough;
use super::view::ImageView;
use super::{Area, Layout, PartSums};
use crate::file::Bytes;

/// A search that goes through an image from front to back.
pub struct Search<'a, B: Bytes + ?Sized> {
    context: Context<'a, B>,
    /// Every block that begins before this offset has been examined, or lies in a part that was verified.
    scanned: u64,
    /// The areas before this offset have been returned.
    settled: u64,
    runs: Runs,
    mode: Mode<'a, B>,
}

/// How the search goes through the image.
enum Mode<'a, B: Bytes + ?Sized> {
    Quick(Quick),
    Thorough(Box<Thorough<'a, B>>),
}

impl<'a, B: Bytes + ?Sized> Search<'a, B> {
    /// A search of `image` for the parts of `table`, whose sums are in `sums`.
    pub fn new(table: &'a SignatureTable, image: &'a B, sums: &'a dyn PartSums) -> Self {
        let context = Context { table, image, sums, pool: None };
        Self { context, scanned: 0, settled: 0, runs: Runs::default(), mode: Mode::Quick(Quick::default()) }
    }

    /// The same, with the work done in this pool. The calling thread, which is not one of the pool's, only coordinates.
    #[must_use]
    pub fn in_pool(mut self, pool: &'a ThreadPool) -> Self {
        self.context.pool = Some(pool);
        self
    }

    /// The same, in the thorough way from the beginning.
    pub fn thorough(table: &'a SignatureTable, image: &'a B, sums: &'a dyn PartSums) -> Self {
        let mut search = Self::new(table, image, sums);
        search.switch_to_thorough();
        search
    }

    /// Continues the search up to the offset `until`. Returns the areas that are now certain, in the order of the image.
    /// With `until` at the image's length, these are all that remain.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn advance(&mut self, until: u64) -> io::Result<Vec<Area>> {
        let length = self.context.image.length();
        let target = until.min((length + 1).saturating_sub(self.context.block()));
        let mut layout = Layout::default();
        loop {
            let is_quick = self.scan(target)?;
            let is_done = self.scanned >= target;
            // A part that is found later can begin this long before the block by which it is found.
            let certain = self.scanned.saturating_sub(self.context.table.longest_lead());
            let certain = if is_done && until >= length { length } else { certain };
            if !is_quick || !self.settle(certain, &mut layout)? {
                self.switch_to_thorough();
            } else if is_done {
                return Ok(layout.areas);
            }
        }
    }

    /// Examines the blocks that begin before `target`; `false` if the current mode is too wasteful.
    fn scan(&mut self, target: u64) -> io::Result<bool> {
        if self.scanned >= target {
            return Ok(true);
        }
        let block = self.context.block();
        let window_start = self.scanned.saturating_sub(block);
        let window = self.context.image.window(window_start..target + block - 1)?;
        let view = ImageView { image: self.context.image, window: &window, window_start };
        let range = self.scanned..target;
        let scanned = match &mut self.mode {
            Mode::Quick(quick) => quick.search(&self.context, &mut self.runs, range, self.settled, &view)?,
            Mode::Thorough(thorough) => {
                let (context, runs, settled) = (&self.context, &mut self.runs, self.settled);
                Some(context.work(|| thorough.search(context, runs, range, settled, &view))?)
            }
        };
        self.scanned = scanned.unwrap_or(self.scanned);
        Ok(scanned.is_some())
    }

    /// Switches to the thorough way for everything after the areas that were returned.
    fn switch_to_thorough(&mut self) {
        self.scanned = self.settled;
        self.runs = Runs::default();
        self.mode = Mode::Thorough(Box::new(Thorough::new(&self.context, self.settled)));
    }

    /// Adds the areas up to `certain`, before which no part that is still to be found begins, except those that overlap a
    /// match that ends after it. `false` if the current mode is too wasteful.
    fn settle(&mut self, certain: u64, layout: &mut Layout) -> io::Result<bool> {
        let taken = match &mut self.mode {
            Mode::Quick(quick) => quick.take(&self.context, &mut self.runs, certain)?,
            Mode::Thorough(thorough) => Some(thorough.take(&self.context, &mut self.runs, certain, self.scanned)?),
        };
        let Some((matches, limit)) = taken else { return Ok(false) };
        for found in matches {
            self.push_unmatched(found.start, layout);
            self.settled = found.end();
            layout.push(Area::Part(found));
        }
        self.push_unmatched(limit, layout);
        Ok(true)
    }

    /// Adds the image's bytes up to `end` as unmatched, unless they have been returned already.
    fn push_unmatched(&mut self, end: u64, layout: &mut Layout) {
        if end > self.settled {
            layout.push(Area::Unmatched(self.settled..end));
            self.settled = end;
        }
    }
}

/// The layout of a whole image.
///
/// # Errors
/// When the image cannot be read.
pub fn search<B: Bytes + ?Sized>(table: &SignatureTable, image: &B, sums: &dyn PartSums) -> io::Result<Layout> {
    let mut layout = Layout::default();
    for area in Search::new(table, image, sums).advance(image.length())? {
        layout.push(area);
    }
    Ok(layout)
}
