//! Parts that are periodic as a whole, one byte or a short pattern repeated, in the runs of an image that repeat
//! themselves likewise. They may begin at so many places that they are not searched for but placed: as many bytes of
//! them as fit, the longest first.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::ops::Range;

use jigdo::{Rsync64, Sum};

use super::cover::{Cluster, Placed, Placement, cover};
use super::head::{Head, repetition};
use super::reach::Reach;
use super::run::Run;
use super::subject::{STRETCH, Subject};
use super::verify::Assumption;
use super::{Match, PartId};
use crate::file::Bytes;

/// A run longer than this, in bytes, and than 64 times the longest part that it may hold, is filled in pieces.
const MOST: u64 = 64 << 20;

/// Of how many lengths, the longest that fit, it is tried to begin with; and how many parts may lie in what is tried.
const TRIED: usize = 16;
const MOST_TRIED: u64 = 4096;

/// The runs of an image, as far as they were looked at.
#[derive(Default)]
pub struct Runs {
    /// The last one, so that a long one is measured once, and where the next piece of it begins.
    last: Option<(Run, u64)>,
    /// What was found out about parts.
    known: HashMap<PartId, Known>,
}

/// Whether a part is the bytes `root`, its first ones, again and again.
struct Known {
    root: Box<[u8]>,
    /// The part's sum if it is.
    sum: Option<Sum>,
}

/// Parts that begin at the same places of a run.
struct Phase<'a> {
    /// How far these places are behind the run's start, or behind that by a multiple of the period; in bytes.
    offset: u64,
    /// The longest first.
    parts: &'a [PartId],
}

/// Where parts were placed.
pub struct Filled {
    pub matches: Vec<Match>,
    /// The run, or the piece of it, that was filled.
    pub run: Run,
    /// The offset from which on blocks are still to be looked up.
    pub next: u64,
}

impl Runs {
    /// Fills the run at `at`, where `parts` have the block. `None` if there is no run, or none of the parts is periodic.
    /// The run may begin before `at`, inside of a part that the scan went behind, but not before `settled`.
    pub fn fill<B: Bytes + ?Sized>(
        &mut self,
        subject: &Subject<'_, B>,
        at: u64,
        parts: &[PartId],
        settled: u64,
        reach: &Reach<'_, B>,
    ) -> io::Result<Option<Filled>> {
        let Some(period) = subject.table.period(parts) else { return Ok(None) };
        let (whole, start) = self.run_at(at, period, settled, reach)?;
        // Another block may have the sum of a periodic one.
        if whole.end - at < subject.block() {
            return Ok(None);
        }
        let phases = phases(subject, Run { start, ..whole }, reach)?;
        let longest = phases.iter().flat_map(|phase| phase.parts.first()).map(|&part| subject.length(part)).max();
        let most = start.saturating_add(MOST.max(longest.unwrap_or(0).saturating_mul(64)));
        let run = Run { start, end: whole.end.min(most), period };
        let matches = self.place(subject, run, &phases, run.start..run.end, reach)?;
        let mut next = subject.behind(run.end);
        if run.end < whole.end {
            // The next piece begins behind what was placed in this one.
            next = matches.last().map_or(run.end, Match::end);
            self.last = Some((whole, next));
        }
        Ok(Some(Filled { matches, run, next }))
    }

    /// The choice among what overlaps, with parts placed in the runs between them: with those placed beforehand, or
    /// anew in what the others leave, whichever covers more.
    pub fn choose<B: Bytes + ?Sized, M: Placed>(
        &mut self,
        subject: &Subject<'_, B>,
        cluster: &Cluster<M>,
    ) -> io::Result<Vec<M>> {
        let mut all = cluster.matches.clone();
        if cluster.runs.is_empty() {
            return Ok(cover(&mut all));
        }
        let mut others = all.clone();
        others.retain(|found| !subject.is_periodic(found.placement().part));
        let first = self.refill(subject, cover(&mut all), &cluster.runs)?;
        let second = self.refill(subject, cover(&mut others), &cluster.runs)?;
        let bytes = |chosen: &[M]| chosen.iter().map(|found| found.placement().length).sum::<u64>();
        let rank = |chosen: &[M]| (bytes(chosen), std::cmp::Reverse(chosen.len()));
        Ok(if rank(&second) > rank(&first) { second } else { first })
    }

    /// Places parts where `chosen`, in the order of the image, leaves room in runs.
    fn refill<B: Bytes + ?Sized, M: Placed>(
        &mut self,
        subject: &Subject<'_, B>,
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
            gaps.retain(|gap| gap.start + subject.block() <= gap.end);
            if gaps.is_empty() {
                continue;
            }
            let reach = subject.reach();
            let phases = phases(subject, run, &reach)?;
            for gap in gaps {
                chosen.extend(self.place(subject, run, &phases, gap, &reach)?.into_iter().map(M::from));
            }
            chosen.sort_unstable_by_key(|found| found.placement().start);
        }
        Ok(chosen)
    }

    /// Places parts in `gap`, which lies in the run.
    fn place<B: Bytes + ?Sized>(
        &mut self,
        subject: &Subject<'_, B>,
        run: Run,
        phases: &[Phase<'_>],
        gap: Range<u64>,
        reach: &Reach<'_, B>,
    ) -> io::Result<Vec<Match>> {
        let mut refuted = HashSet::new();
        'again: loop {
            let placements = best(subject, run, phases, &gap, &refuted);
            let mut matches = Vec::with_capacity(placements.len());
            let mut sums = HashMap::new();
            for Placement { start, length, part } in placements {
                let sum = match sums.get(&part) {
                    Some(&sum) => sum,
                    None => match self.prove(subject, Placement { start, length, part }, run.period, reach)? {
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
        subject: &Subject<'_, B>,
        Placement { start, length, part }: Placement,
        period: u32,
        reach: &Reach<'_, B>,
    ) -> io::Result<Option<Sum>> {
        let root = reach.bytes(start..start + u64::from(period))?;
        if let Some(known) = self.known.get(&part).filter(|known| *known.root == *root) {
            return Ok(known.sum);
        }
        let assumption = Assumption { start, candidates: vec![(length, vec![part])] };
        let proven = subject.verify(&[assumption], reach)?.pop().and_then(|mut found| found.pop());
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
        reach: &Reach<'_, B>,
    ) -> io::Result<(Run, u64)> {
        let is_in =
            |run: &Run| run.period == period && (run.start..run.end.saturating_sub(u64::from(period))).contains(&at);
        if let Some(last) = self.last.filter(|(run, next)| is_in(run) && *next >= settled) {
            return Ok(last);
        }
        let end = run_end(reach, at, period.into())?;
        let start = run_start(reach, settled.min(at), at, period.into())?;
        self.last = Some((Run { start, end, period }, start));
        Ok((Run { start, end, period }, start))
    }
}

/// Where the image begins to repeat itself with this period up to `end`, and on for a period: not before `from`.
pub fn run_start<B: Bytes + ?Sized>(reach: &Reach<'_, B>, from: u64, end: u64, period: u64) -> io::Result<u64> {
    let mut start = end;
    let mut stretch = 1 << 12;
    while start > from {
        let piece = start.saturating_sub(stretch).max(from);
        let bytes = reach.bytes(piece..start + period)?;
        let (earlier, later) = (&bytes[..bytes.len() - period as usize], &bytes[period as usize..]);
        if earlier != later {
            let equal = earlier.iter().rev().zip(later.iter().rev()).take_while(|(earlier, later)| earlier == later);
            return Ok(start - equal.count() as u64);
        }
        start = piece;
        stretch = STRETCH.min(stretch * 4);
    }
    Ok(start)
}

/// Where the image stops repeating the `period` bytes at `start`.
fn run_end<B: Bytes + ?Sized>(reach: &Reach<'_, B>, start: u64, period: u64) -> io::Result<u64> {
    let length = reach.image.length();
    let mut at = length.min(start + period);
    // Most runs are short.
    let mut stretch = 1 << 12;
    while at < length {
        let piece_end = length.min(at + stretch);
        let window = reach.bytes(at - period..piece_end)?;
        let end = at - period + repetition(&window, period as usize) as u64;
        if end < piece_end {
            return Ok(end);
        }
        at = piece_end;
        stretch = STRETCH.min(stretch * 4);
    }
    Ok(length)
}

/// The parts that a run may hold, by where they may begin.
fn phases<'a, B: Bytes + ?Sized>(
    subject: &Subject<'a, B>,
    run: Run,
    reach: &Reach<'_, B>,
) -> io::Result<Vec<Phase<'a>>> {
    let block = subject.block();
    let last = run.end.min(run.start + block + u64::from(run.period) - 1);
    let bytes = reach.bytes(run.start..last)?;
    let Some(mut sum) = bytes.get(..block as usize).map(Rsync64::of) else { return Ok(Vec::new()) };
    let mut phases = Vec::new();
    for (offset, &front) in bytes.iter().enumerate() {
        let parts = subject.table.parts(sum);
        if !parts.is_empty() {
            phases.push(Phase { offset: offset as u64, parts });
        }
        let Some(&back) = bytes.get(offset + block as usize) else { break };
        sum.roll(front, back, block as u32);
    }
    Ok(phases)
}

/// How parts are best placed in `gap`: always the longest that fits, or beginning with shorter ones where that covers
/// more.
fn best<B: Bytes + ?Sized>(
    subject: &Subject<'_, B>,
    run: Run,
    phases: &[Phase<'_>],
    gap: &Range<u64>,
    refuted: &HashSet<PartId>,
) -> Vec<Placement> {
    let with = |most: u64| greedy(subject, run, phases, gap, most, refuted);
    let first = with(u64::MAX);
    let covered = |placements: &[Placement]| placements.iter().map(|placement| placement.length).sum::<u64>();
    let room = gap.end - gap.start;
    if covered(&first) == room || room / subject.block() > MOST_TRIED {
        return first;
    }
    let mut lengths = BTreeSet::new();
    for phase in phases {
        let fitting = phase.parts.partition_point(|&part| subject.length(part) > room);
        lengths.extend(phase.parts[fitting..].iter().take(TRIED).map(|&part| subject.length(part)));
    }
    let others = lengths.iter().rev().skip(1).take(TRIED - 1).map(|&length| with(length));
    // Of plans that cover as much, that with the fewest parts, then the first, which has the longest.
    let rank = |plan: &Vec<Placement>| (std::cmp::Reverse(covered(plan)), plan.len());
    std::iter::once(first.clone()).chain(others).min_by_key(rank).unwrap_or(first)
}

/// Parts of at most `most` bytes in `gap`, always the longest that fits.
fn greedy<B: Bytes + ?Sized>(
    subject: &Subject<'_, B>,
    run: Run,
    phases: &[Phase<'_>],
    gap: &Range<u64>,
    most: u64,
    refuted: &HashSet<PartId>,
) -> Vec<Placement> {
    let period = u64::from(run.period);
    let is_periodic = |part: PartId| subject.table.signature(part).marks.head == Head::Periodic { period: run.period };
    let longest_of = |phase: &Phase<'_>, at: u64| {
        let behind = (at - run.start).saturating_sub(phase.offset).next_multiple_of(period);
        let start = run.start + phase.offset + behind;
        let room = gap.end.checked_sub(start)?.min(most);
        let fitting = phase.parts.partition_point(|&part| subject.length(part) > room);
        let fits = |&&part: &&PartId| is_periodic(part) && !refuted.contains(&part);
        let part = phase.parts[fitting..].iter().find(fits).copied()?;
        Some(Placement { start, length: subject.length(part), part })
    };
    let next = |at: u64| {
        let found = phases.iter().filter_map(|phase| longest_of(phase, at));
        found.max_by_key(|found| (found.length, std::cmp::Reverse((found.start, found.part))))
    };
    std::iter::successors(next(gap.start), |last| next(last.end())).collect()
}
