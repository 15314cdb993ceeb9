//! The search of one image for parts: scan, assume, verify, settle.
//!
//! The scan jumps over what it assumes to be a part. A part that begins inside another one and ends behind it is not
//! lost by that: which blocks of other parts a part's content has inside is the same wherever it stands, so it is
//! found out once, and looked up at every place.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

use rayon::prelude::*;

use super::cover::cover;
use super::head::Head;
use super::table::SignatureTable;
use super::verify::{Assumption, Reach, verify};
use super::{Area, Bytes, Layout, Match, PartId, PartSums};
use crate::digest::{Checksum, Rsync64};

/// How many bytes are scanned or compared at a time outside of the window at hand.
const STRETCH: u64 = 4 << 20;

/// A search that goes through an image from front to back.
pub struct Search<'a, B: Bytes + ?Sized> {
    table: &'a SignatureTable,
    image: &'a B,
    sums: &'a dyn PartSums,
    checksum: Checksum,
    /// Every block that begins before this offset was scanned, or lies in a part that was verified.
    scanned: u64,
    /// The areas before this offset were given out.
    settled: u64,
    /// What was verified and is not settled.
    matches: Vec<Match>,
    /// Every assumption that was made and may reach beyond `settled`, as its start and end.
    assumed: BTreeSet<(u64, u64)>,
    /// The run that was looked at last, so that many hits in a long one measure it once.
    run: Option<Run>,
}

/// What the scan found and verification is to decide.
#[derive(Default)]
struct Todo {
    assumptions: Vec<Assumption>,
    passed: Vec<Passed>,
}

/// The offsets at which blocks were passed over because of the assumptions that a hit led to.
struct Passed {
    assumptions: Range<usize>,
    skipped: Range<u64>,
    /// Up to where periodic parts, already verified, cover these offsets; 0 where none do.
    placed_end: u64,
}

/// A run of the image that repeats its first bytes.
#[derive(Clone, Copy)]
struct Run {
    start: u64,
    end: u64,
    period: u32,
}

impl<'a, B: Bytes + ?Sized> Search<'a, B> {
    /// A search at the front of `image`, for the parts of `table`, with `sums` of the kind `checksum`.
    pub fn new(table: &'a SignatureTable, image: &'a B, sums: &'a dyn PartSums, checksum: Checksum) -> Self {
        let (matches, assumed) = (Vec::new(), BTreeSet::new());
        Self { table, image, sums, checksum, scanned: 0, settled: 0, matches, assumed, run: None }
    }

    /// Searches on up to the offset `until`, and gives the areas that are settled by then, in the order of the image.
    /// With `until` at the image's length, these are all that remain.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn advance(&mut self, until: u64) -> io::Result<Vec<Area>> {
        let length = self.image.length();
        let block = u64::from(self.table.block_length());
        let target = until.min((length + 1).saturating_sub(block));
        if self.scanned < target {
            let window_start = self.scanned.saturating_sub(block);
            let window = self.image.window(window_start..target + block - 1)?;
            let reach = Reach { image: self.image, window: &window, window_start };
            self.scanned = self.search(self.scanned..target, &reach)?;
        }
        // A part that is found later can begin this much before the block that gives it away.
        let certain = self.scanned.saturating_sub(self.table.longest_lead());
        self.settle(if until >= length { length } else { certain })
    }

    /// Scans for blocks that begin in `range` and verifies what they lead to, until nothing is left to scan again.
    /// Gives the offset from which on nothing was scanned, which may be beyond the range.
    fn search(&mut self, range: Range<u64>, reach: &Reach<'_, B>) -> io::Result<u64> {
        let mut todo = Todo::default();
        let scanned = self.scan(range, reach, &mut todo)?;
        while !todo.assumptions.is_empty() {
            let Todo { assumptions, passed } = std::mem::take(&mut todo);
            let verdicts = verify(&assumptions, reach, self.sums, self.checksum)?;
            for Passed { assumptions: of, skipped, placed_end } in passed {
                let covered = verdicts[of].iter().flatten().map(Match::end).max().unwrap_or(0).max(placed_end);
                // What was refuted covers nothing: the blocks passed over because of it are scanned after all.
                let again = self.behind(covered).max(skipped.start)..skipped.end;
                let first = todo.passed.len();
                self.scan(again.clone(), reach, &mut todo)?;
                for Passed { skipped, .. } in &mut todo.passed[first..] {
                    // Beyond this stretch, blocks were scanned, or are passed over for a reason of their own.
                    skipped.end = skipped.end.min(again.end);
                }
            }
            let outer: Vec<Match> = verdicts.iter().filter_map(|found| found.last().copied()).collect();
            for (outer, inner) in outer.iter().zip(self.look_inside(&outer, reach)?) {
                let reaches_outside = |inner: &Assumption| inner.start < outer.start || inner.end() > outer.end();
                todo.assumptions.extend(inner.into_iter().filter(reaches_outside).filter(|inner| self.is_new(inner)));
            }
            self.matches.extend(verdicts.into_iter().flatten());
        }
        Ok(scanned)
    }

    /// Whether this assumption was never made before; it counts as made from now on.
    fn is_new(&mut self, assumption: &Assumption) -> bool {
        self.assumed.insert((assumption.start, assumption.end()))
    }

    /// Where the scan goes on behind a part that ends at `end`: the next part may begin in its last bytes.
    fn behind(&self, end: u64) -> u64 {
        (end + 1).saturating_sub(u64::from(self.table.block_length()))
    }

    /// Scans the blocks that begin in `stretch`, except those in regions that it assumes to be parts. Gives the offset
    /// where it stopped, which is beyond the stretch if such a region is.
    fn scan(&mut self, stretch: Range<u64>, reach: &Reach<'_, B>, todo: &mut Todo) -> io::Result<u64> {
        let block = u64::from(self.table.block_length());
        let window_end = (reach.window_start + reach.window.len() as u64 + 1).saturating_sub(block);
        let mut at = stretch.start;
        while at < stretch.end {
            let at_hand = at >= reach.window_start && at < window_end;
            let piece_end = stretch.end.min(if at_hand { window_end } else { at + STRETCH });
            let table = self.table;
            let found = table.next(&reach.bytes(at..piece_end + block - 1)?, 0);
            let Some((offset, parts)) = found else {
                at = piece_end;
                continue;
            };
            let position = at + offset as u64;
            let first = todo.assumptions.len();
            todo.assumptions.extend(self.assume(position, parts));
            let hit = first..todo.assumptions.len();
            let placed_end = self.fill_run(position, parts, reach)?;
            let assumed_end = todo.assumptions[hit.clone()].iter().map(Assumption::end).max().unwrap_or(0);
            at = self.behind(assumed_end.max(placed_end)).max(position + 1);
            for index in hit.clone() {
                self.is_new(&todo.assumptions[index]);
            }
            if !hit.is_empty() {
                todo.passed.push(Passed { assumptions: hit, skipped: position + 1..at, placed_end });
            }
        }
        Ok(at)
    }

    /// What may stand around the block at `position`, which these parts have, wherever they fit into the image.
    fn assume(&self, position: u64, parts: &[PartId]) -> Vec<Assumption> {
        let mut by_start: BTreeMap<u64, BTreeMap<u64, Vec<PartId>>> = BTreeMap::new();
        for &part in parts {
            let signature = self.table.signature(part);
            let Head::Block { offset, .. } = signature.head else { continue };
            let start = position.checked_sub(offset).filter(|start| signature.length <= self.image.length() - start);
            if let Some(start) = start {
                by_start.entry(start).or_default().entry(signature.length).or_default().push(part);
            }
        }
        let assumption = |(start, candidates): (u64, BTreeMap<_, _>)| {
            let candidates = candidates.into_iter().collect();
            Assumption { start, candidates }
        };
        by_start.into_iter().map(assumption).collect()
    }

    /// For each of these matches, what the blocks inside it may belong to.
    fn look_inside(&self, outer: &[Match], reach: &Reach<'_, B>) -> io::Result<Vec<Vec<Assumption>>> {
        let block = self.table.block_length() as usize;
        let inside = |outer: &Match| {
            if self.table.inner(outer.part).is_some_and(<[u64]>::is_empty) {
                return Ok(Vec::new());
            }
            let bytes = reach.bytes(outer.start..outer.end())?;
            let assumptions = self.table.learn_inner(outer.part, &bytes).iter().map(|&offset| {
                let parts = self.table.parts(Rsync64::of(&bytes[offset as usize..][..block]));
                self.assume(outer.start + offset, parts)
            });
            Ok(assumptions.flatten().collect())
        };
        outer.par_iter().map(inside).collect()
    }

    /// Places those of `parts` that are periodic in the run of the image that begins at `start`, the longest first,
    /// each as often as it fits. Gives the offset where the run ends, or 0 where nothing was placed.
    fn fill_run(&mut self, start: u64, parts: &[PartId], reach: &Reach<'_, B>) -> io::Result<u64> {
        let period_of = |part: PartId| match self.table.signature(part).head {
            Head::Periodic { period } => Some(period),
            Head::Block { .. } => None,
        };
        let Some(period) = parts.iter().copied().find_map(period_of) else { return Ok(0) };
        let periodic: Vec<PartId> = parts.iter().copied().filter(|&part| period_of(part) == Some(period)).collect();
        let end = self.run_end(start, period)?;
        let mut at = start;
        for part in periodic {
            let length = self.table.signature(part).length;
            if length > end - at {
                continue;
            }
            // One copy is proven by its sum; the others are the same bytes, because the run repeats itself.
            let assumption = Assumption { start: at, candidates: vec![(length, vec![part])] };
            let mut proven = verify(&[assumption], reach, self.sums, self.checksum)?;
            let Some(proven) = proven.pop().and_then(|mut found| found.pop()) else { continue };
            while length <= end - at {
                self.matches.push(Match { start: at, ..proven });
                at = (at + length.next_multiple_of(u64::from(period))).min(end);
            }
        }
        Ok(if at > start { end } else { 0 })
    }

    /// Where the image stops repeating the `period` bytes at `start`.
    fn run_end(&mut self, start: u64, period: u32) -> io::Result<u64> {
        if let Some(run) = self.run
            && run.period == period
            && (run.start..run.end.saturating_sub(u64::from(period))).contains(&start)
        {
            return Ok(run.end);
        }
        let end = self.measure_run(start, u64::from(period))?;
        self.run = Some(Run { start, end, period });
        Ok(end)
    }

    fn measure_run(&self, start: u64, period: u64) -> io::Result<u64> {
        let length = self.image.length();
        let mut at = start + period;
        while at < length {
            let piece_end = length.min(at + STRETCH);
            let window = self.image.window(at - period..piece_end)?;
            let (earlier, later) = (&window[..window.len() - period as usize], &window[period as usize..]);
            if earlier != later {
                let equal = earlier.iter().zip(later).take_while(|(earlier, later)| earlier == later).count();
                return Ok(at + equal as u64);
            }
            at = piece_end;
        }
        Ok(length)
    }

    /// The areas up to `certain`, before which no part that is still to be found begins, as far as no match reaches
    /// beyond it.
    fn settle(&mut self, certain: u64) -> io::Result<Vec<Area>> {
        self.matches.sort_unstable();
        let mut layout = Layout::default();
        let mut rest = std::mem::take(&mut self.matches).into_iter().peekable();
        while let Some(first) = rest.next_if(|found| found.start < certain) {
            // Matches that overlap, one after the other, are one cluster: the choice in it is independent of others.
            let mut cluster = vec![first];
            let mut end = first.end();
            while let Some(next) = rest.next_if(|next| next.start < end) {
                end = end.max(next.end());
                cluster.push(next);
            }
            if end > certain {
                // What is found later may still belong to this cluster.
                self.give_unmatched(first.start, &mut layout);
                self.matches = cluster;
                break;
            }
            self.complete(&mut cluster)?;
            for found in cover(&mut cluster) {
                self.give_unmatched(found.start, &mut layout);
                self.settled = found.end();
                layout.push(Area::Part(found));
            }
        }
        if self.matches.is_empty() {
            self.give_unmatched(certain, &mut layout);
        }
        self.matches.extend(rest);
        self.assumed.retain(|(_, end)| *end > self.settled);
        Ok(layout.areas)
    }

    /// Adds the parts inside the matches of a cluster, if they can matter: where none of two matches that overlap
    /// contains the other, the bytes that only the loser covers may be covered by what is inside of it.
    fn complete(&mut self, cluster: &mut Vec<Match>) -> io::Result<()> {
        let mut reached = 0;
        let crossing = |found: &Match| {
            let crosses = found.start < reached && found.end() > reached;
            reached = reached.max(found.end());
            crosses
        };
        cluster.sort_unstable_by_key(|found| (found.start, std::cmp::Reverse(found.length)));
        if !cluster.iter().any(crossing) {
            return Ok(());
        }
        let reach = Reach { image: self.image, window: &[], window_start: 0 };
        let inner = self.look_inside(cluster, &reach)?.into_iter().flatten();
        let inner: Vec<Assumption> = inner.filter(|inner| self.is_new(inner)).collect();
        cluster.extend(verify(&inner, &reach, self.sums, self.checksum)?.into_iter().flatten());
        Ok(())
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
pub fn search<B: Bytes + ?Sized>(
    table: &SignatureTable,
    image: &B,
    sums: &dyn PartSums,
    checksum: Checksum,
) -> io::Result<Layout> {
    let mut layout = Layout::default();
    for area in Search::new(table, image, sums, checksum).advance(image.length())? {
        layout.push(area);
    }
    Ok(layout)
}
