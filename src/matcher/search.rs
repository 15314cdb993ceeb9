//! The search of one image for parts, from front to back: scan, verify, choose.

use std::io;

use rayon::ThreadPool;

use super::quick::Quick;
use super::reach::Reach;
use super::runs::Runs;
use super::subject::Subject;
use super::table::SignatureTable;
use super::thorough::Thorough;
use super::{Area, Layout, PartSums};
use crate::file::Bytes;

/// A search that goes through an image from front to back.
pub struct Search<'a, B: Bytes + ?Sized> {
    subject: Subject<'a, B>,
    /// Every block that begins before this offset was looked at, or lies in a part that was verified.
    scanned: u64,
    /// The areas before this offset were given out.
    settled: u64,
    runs: Runs,
    way: Way<'a, B>,
}

/// How the search goes through the image.
enum Way<'a, B: Bytes + ?Sized> {
    Quick(Quick),
    Thorough(Box<Thorough<'a, B>>),
}

impl<'a, B: Bytes + ?Sized> Search<'a, B> {
    /// A search at the front of `image`, for the parts of `table`, whose sums `sums` gives.
    pub fn new(table: &'a SignatureTable, image: &'a B, sums: &'a dyn PartSums) -> Self {
        let subject = Subject { table, image, sums, pool: None };
        Self { subject, scanned: 0, settled: 0, runs: Runs::default(), way: Way::Quick(Quick::default()) }
    }

    /// The same, with the work done in this pool. The thread that calls the search, outside of it, only leads it.
    pub fn in_pool(mut self, pool: &'a ThreadPool) -> Self {
        self.subject.pool = Some(pool);
        self
    }

    /// The same, in the thorough way from the beginning.
    pub fn thorough(table: &'a SignatureTable, image: &'a B, sums: &'a dyn PartSums) -> Self {
        let mut search = Self::new(table, image, sums);
        search.turn_thorough();
        search
    }

    /// Searches on up to the offset `until`, and gives the areas that are settled by then, in the order of the image.
    /// With `until` at the image's length, these are all that remain.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn advance(&mut self, until: u64) -> io::Result<Vec<Area>> {
        let length = self.subject.image.length();
        let target = until.min((length + 1).saturating_sub(self.subject.block()));
        let mut layout = Layout::default();
        loop {
            let is_quick = self.scan(target)?;
            let is_done = self.scanned >= target;
            // A part that is found later can begin this much before the block that gives it away.
            let certain = self.scanned.saturating_sub(self.subject.table.longest_lead());
            let certain = if is_done && until >= length { length } else { certain };
            if !is_quick || !self.settle(certain, &mut layout)? {
                self.turn_thorough();
            } else if is_done {
                return Ok(layout.areas);
            }
        }
    }

    /// Looks at blocks that begin before `target`; `false` if the way at hand is too wasteful.
    fn scan(&mut self, target: u64) -> io::Result<bool> {
        if self.scanned >= target {
            return Ok(true);
        }
        let block = self.subject.block();
        let window_start = self.scanned.saturating_sub(block);
        let window = self.subject.image.window(window_start..target + block - 1)?;
        let reach = Reach { image: self.subject.image, window: &window, window_start };
        let range = self.scanned..target;
        let scanned = match &mut self.way {
            Way::Quick(quick) => quick.search(&self.subject, &mut self.runs, range, self.settled, &reach)?,
            Way::Thorough(thorough) => {
                let (subject, runs, settled) = (&self.subject, &mut self.runs, self.settled);
                Some(subject.work(|| thorough.search(subject, runs, range, settled, &reach))?)
            }
        };
        self.scanned = scanned.unwrap_or(self.scanned);
        Ok(scanned.is_some())
    }

    /// Goes the thorough way from what is settled on.
    fn turn_thorough(&mut self) {
        self.scanned = self.settled;
        self.runs = Runs::default();
        self.way = Way::Thorough(Box::new(Thorough::new(&self.subject, self.settled)));
    }

    /// Gives the areas up to `certain`, before which no part that is still to be found begins, as far as no match
    /// reaches beyond it; `false` if the way at hand is too wasteful.
    fn settle(&mut self, certain: u64, layout: &mut Layout) -> io::Result<bool> {
        let taken = match &mut self.way {
            Way::Quick(quick) => quick.take(&self.subject, &mut self.runs, certain)?,
            Way::Thorough(thorough) => Some(thorough.take(&self.subject, &mut self.runs, certain, self.scanned)?),
        };
        let Some((matches, limit)) = taken else { return Ok(false) };
        for found in matches {
            self.give_unmatched(found.start, layout);
            self.settled = found.end();
            layout.push(Area::Part(found));
        }
        self.give_unmatched(limit, layout);
        Ok(true)
    }

    /// Gives the image's bytes up to `end` as unmatched, unless they were given already.
    fn give_unmatched(&mut self, end: u64, layout: &mut Layout) {
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
