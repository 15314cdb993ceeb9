//! Parts that are periodic as a whole, one byte or a short pattern repeated, in runs of an image with the same period.
//! They could begin at so many offsets that they are not searched for but placed, so that they cover as much of a run as
//! possible, the longest first.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::ops::Range;

use jigdo::{Rsync64, Sum};

use super::context::{CHUNK, Context};
use super::cover::{Cluster, Placed, Placement, cover};
use super::head::{Head, repetition};
use super::run::Run;
use super::verify::Assumption;
use super::view::ImageView;
use super::{Match, PartId};
use crate::file::Bytes;

/// A run is filled in pieces if it is longer than this, in bytes, and than 64 times the longest part that fits into it.
const MOST: u64 = 64 << 20;

/// How many of the longest lengths that fit are tried for the first part, and the most blocks that a gap may have for
/// other lengths than the longest to be tried.
const TRIED: usize = 16;
const MOST_TRIED: u64 = 4096;

/// What is known about the runs of an image.
#[derive(Default)]
pub struct Runs {
    /// The last run, so that a long one is measured only once, and where its next piece begins.
    last: Option<(Run, u64)>,
    /// What is known about parts.
    known: HashMap<PartId, Known>,
}

/// Whether a part is the repetition of `root`, its first bytes.
struct Known {
    root: Box<[u8]>,
    /// The part's sum if it is.
    sum: Option<Sum>,
}

/// Parts that begin at the same places of a run.
struct Phase<'a> {
    /// The distance of the first of these places from the run's start, in bytes. The others follow at multiples of the
    /// period.
    offset: u64,
    /// The longest first.
    parts: &'a [PartId],
}

/// Where parts were placed.
pub struct Filled {
    pub matches: Vec<Match>,
    /// The run, or the piece of it, that was filled.
    pub run: Run,
    /// The offset from which blocks must still be looked up.
    pub next: u64,
}

impl Runs {
    /// Fills the run at `at`, whose block `parts` have. `None` if there is no run, or none of the parts is periodic. The
    /// run may begin before `at`, inside a part that the scan has skipped, but not before `settled`.
    pub fn fill<B: Bytes + ?Sized>(
        &mut self,
        context: &Context<'_, B>,
        at: u64,
        parts: &[PartId],
        settled: u64,
        view: &ImageView<'_, B>,
    ) -> io::Result<Option<Filled>> {
        let Some(period) = context.table.period(parts) else { return Ok(None) };
        let (whole, start) = self.run_at(at, period, settled, view)?;
        // Another block may have the sum of a periodic one.
        if whole.end - at < context.block() {
            return Ok(None);
        }
        let phases = phases(context, Run { start, ..whole }, view)?;
        let longest = phases.iter().filter_map(|phase| phase.parts.first()).map(|&part| context.length(part)).max();
        let most = start.saturating_add(MOST.max(longest.unwrap_or(0).saturating_mul(64)));
        let run = Run { start, end: whole.end.min(most), period };
        let matches = self.place(context, run, &phases, run.start..run.end, view)?;
        let mut next = context.resume_after(run.end);
        if run.end < whole.end {
            // The next piece begins after what was placed in this one.
            next = matches.last().map_or(run.end, Match::end);
            self.last = Some((whole, next));
        }
        Ok(Some(Filled { matches, run, next }))
    }

    /// Chooses among matches that overlap, and places periodic parts in the runs between them: either keeping those that
    /// were placed before, or anew in the room that the other parts leave, whichever covers more.
    pub fn choose<B: Bytes + ?Sized, M: Placed>(
        &mut self,
        context: &Context<'_, B>,
        cluster: &Cluster<M>,
    ) -> io::Result<Vec<M>> {
        let mut all = cluster.matches.clone();
        if cluster.runs.is_empty() {
            return Ok(cover(&mut all));
        }
        let mut others = all.clone();
        others.retain(|found| !context.is_periodic(found.placement().part));
        let first = self.refill(context, cover(&mut all), &cluster.runs)?;
        let second = self.refill(context, cover(&mut others), &cluster.runs)?;
        let bytes = |chosen: &[M]| chosen.iter().map(|found| found.placement().length).sum::<u64>();
        let rank = |chosen: &[M]| (bytes(chosen), std::cmp::Reverse(chosen.len()));
        Ok(if rank(&second) > rank(&first) { second } else { first })
    }

    /// Positions parts where `chosen`, in the order of the image, leaves room in runs.
    fn refill<B: Bytes + ?Sized, M: Placed>(
        &mut self,
        context: &Context<'_, B>,
        mut chosen: Vec<M>,
        runs: &[Run],
    ) -> io::Result<Vec<M>> {
        for &run in runs {
            let mut from = run.start;
            let mut gaps = Vec::new();
            let first = chosen.partition_point(|found| found.placement().end() <= run.start);
            let inside = chosen[first..].iter().map(Placed::placement).take_while(|found| found.start < run.end);
            for Placement { start, length, .. } in inside {
                gaps.push(from..start);
                from = start + length;
            }
            gaps.push(from..run.end);
            gaps.retain(|gap| gap.start + context.block() <= gap.end);
            if gaps.is_empty() {
                continue;
            }
            let view = context.view();
            let phases = phases(context, run, &view)?;
            for gap in gaps {
                chosen.extend(self.place(context, run, &phases, gap, &view)?.into_iter().map(M::from));
            }
            chosen.sort_unstable_by_key(|found| found.placement().start);
        }
        Ok(chosen)
    }

    /// Positions parts in `gap`, which lies in the run.
    fn place<B: Bytes + ?Sized>(
        &mut self,
        context: &Context<'_, B>,
        run: Run,
        phases: &[Phase<'_>],
        gap: Range<u64>,
        view: &ImageView<'_, B>,
    ) -> io::Result<Vec<Match>> {
        let mut refuted = HashSet::new();
        'again: loop {
            let placements = best(context, run, phases, &gap, &refuted);
            let mut matches = Vec::with_capacity(placements.len());
            let mut sums = HashMap::new();
            for Placement { start, length, part } in placements {
                let sum = match sums.get(&part) {
                    Some(&sum) => sum,
                    None => match self.prove(context, Placement { start, length, part }, run.period, view)? {
                        Some(sum) => *sums.entry(part).or_insert(sum),
                        None => {
                            refuted.insert(part);
                            continue 'again;
                        }
                    },
                };
                matches.push(Match { start, length, part, sum });
            }
            return Ok(matches);
        }
    }

    /// The part's sum if it stands where it is placed. One copy is proven by that; others that begin with the same
    /// bytes are the same, because the run repeats itself.
    fn prove<B: Bytes + ?Sized>(
        &mut self,
        context: &Context<'_, B>,
        Placement { start, length, part }: Placement,
        period: u32,
        view: &ImageView<'_, B>,
    ) -> io::Result<Option<Sum>> {
        let root = view.bytes(start..start + u64::from(period))?;
        if let Some(known) = self.known.get(&part).filter(|known| *known.root == *root) {
            return Ok(known.sum);
        }
        let assumption = Assumption { start, candidates: vec![(length, vec![part])] };
        let proven = context.verify(&[assumption], view)?.pop().and_then(|mut found| found.pop());
        let sum = proven.map(|proven| proven.sum);
        self.known.insert(part, Known { root: (*root).into(), sum });
        Ok(sum)
    }

    /// The run with this period that `at` lies in, and where the piece of it begins that is to be filled.
    fn run_at<B: Bytes + ?Sized>(
        &mut self,
        at: u64,
        period: u32,
        settled: u64,
        view: &ImageView<'_, B>,
    ) -> io::Result<(Run, u64)> {
        let is_in =
            |run: &Run| run.period == period && (run.start..run.end.saturating_sub(u64::from(period))).contains(&at);
        if let Some(last) = self.last.filter(|(run, next)| is_in(run) && *next >= settled) {
            return Ok(last);
        }
        let end = run_end(view, at, period.into())?;
        let start = run_start(view, settled.min(at), at, period.into())?;
        self.last = Some((Run { start, end, period }, start));
        Ok((Run { start, end, period }, start))
    }
}

/// The first offset, not before `from`, from which the image repeats itself with this period up to `end` and for one more
/// period.
pub fn run_start<B: Bytes + ?Sized>(view: &ImageView<'_, B>, from: u64, end: u64, period: u64) -> io::Result<u64> {
    let mut start = end;
    let mut stretch = 1 << 12;
    while start > from {
        let piece = start.saturating_sub(stretch).max(from);
        let bytes = view.bytes(piece..start + period)?;
        let (earlier, later) = (&bytes[..bytes.len() - period as usize], &bytes[period as usize..]);
        if earlier != later {
            let equal = earlier.iter().rev().zip(later.iter().rev()).take_while(|(earlier, later)| earlier == later);
            return Ok(start - equal.count() as u64);
        }
        start = piece;
        stretch = CHUNK.min(stretch * 4);
    }
    Ok(start)
}

/// Where the image stops repeating the `period` bytes at `start`.
fn run_end<B: Bytes + ?Sized>(view: &ImageView<'_, B>, start: u64, period: u64) -> io::Result<u64> {
    let length = view.image.length();
    let mut at = length.min(start + period);
    // Most runs are short.
    let mut stretch = 1 << 12;
    while at < length {
        let piece_end = length.min(at + stretch);
        let window = view.bytes(at - period..piece_end)?;
        let end = at - period + repetition(&window, period as usize) as u64;
        if end < piece_end {
            return Ok(end);
        }
        at = piece_end;
        stretch = CHUNK.min(stretch * 4);
    }
    Ok(length)
}

/// The parts that may be in a run, by where they may begin.
fn phases<'a, B: Bytes + ?Sized>(
    context: &Context<'a, B>,
    run: Run,
    view: &ImageView<'_, B>,
) -> io::Result<Vec<Phase<'a>>> {
    let block = context.block();
    let last = run.end.min(run.start + block + u64::from(run.period) - 1);
    let bytes = view.bytes(run.start..last)?;
    let Some(mut sum) = bytes.get(..block as usize).map(Rsync64::of) else { return Ok(Vec::new()) };
    let mut phases = Vec::new();
    for (offset, &front) in bytes.iter().enumerate() {
        let parts = context.table.parts(sum);
        if !parts.is_empty() {
            phases.push(Phase { offset: offset as u64, parts });
        }
        let Some(&back) = bytes.get(offset + block as usize) else { break };
        sum.roll(front, back, block as u32);
    }
    Ok(phases)
}

/// The best placement of parts in `gap`: always the longest that fits, or shorter ones if these cover more.
fn best<B: Bytes + ?Sized>(
    context: &Context<'_, B>,
    run: Run,
    phases: &[Phase<'_>],
    gap: &Range<u64>,
    refuted: &HashSet<PartId>,
) -> Vec<Placement> {
    let with = |most: u64| greedy(context, run, phases, gap, most, refuted);
    let first = with(u64::MAX);
    let covered = |placements: &[Placement]| placements.iter().map(|placement| placement.length).sum::<u64>();
    let room = gap.end - gap.start;
    if covered(&first) == room || room / context.block() > MOST_TRIED {
        return first;
    }
    let mut lengths = BTreeSet::new();
    for phase in phases {
        let fitting = phase.parts.partition_point(|&part| context.length(part) > room);
        lengths.extend(phase.parts[fitting..].iter().take(TRIED).map(|&part| context.length(part)));
    }
    let others = lengths.iter().rev().skip(1).take(TRIED - 1).map(|&length| with(length));
    // Among plans that cover equally much, the one with the fewest parts, then the first, which has the longest part.
    let rank = |plan: &Vec<Placement>| (std::cmp::Reverse(covered(plan)), plan.len());
    std::iter::once(first.clone()).chain(others).min_by_key(rank).unwrap_or(first)
}

/// Parts of at most `most` bytes in `gap`, always the longest that fits.
fn greedy<B: Bytes + ?Sized>(
    context: &Context<'_, B>,
    run: Run,
    phases: &[Phase<'_>],
    gap: &Range<u64>,
    most: u64,
    refuted: &HashSet<PartId>,
) -> Vec<Placement> {
    let period = u64::from(run.period);
    let is_periodic =
        |part: PartId| context.table.signature(part).features.head == Head::Periodic { period: run.period };
    let longest_of = |phase: &Phase<'_>, at: u64| {
        let ahead = (at - run.start).saturating_sub(phase.offset).next_multiple_of(period);
        let start = run.start + phase.offset + ahead;
        let room = gap.end.checked_sub(start)?.min(most);
        let fitting = phase.parts.partition_point(|&part| context.length(part) > room);
        let fits = |&&part: &&PartId| is_periodic(part) && !refuted.contains(&part);
        let part = phase.parts[fitting..].iter().find(fits).copied()?;
        Some(Placement { start, length: context.length(part), part })
    };
    let next = |at: u64| {
        let found = phases.iter().filter_map(|phase| longest_of(phase, at));
        found.max_by_key(|found| (found.length, std::cmp::Reverse((found.start, found.part))))
    };
    std::iter::successors(next(gap.start), |last| next(last.end())).collect()
}
