//! Parts that are periodic as a whole, one byte or a short pattern repeated, in the runs of an image that repeat
//! themselves likewise: from the run's front on always the longest part that still fits.

use std::collections::{HashMap, HashSet};
use std::io;

use super::head::{Head, repetition};
use super::subject::{STRETCH, Subject};
use super::verify::{Assumption, Reach};
use super::{Bytes, Match, PartId};
use crate::digest::Rsync64;

/// A run of the image that repeats its first bytes.
#[derive(Clone, Copy)]
struct Run {
    start: u64,
    end: u64,
    period: u64,
}

/// The run that was looked at last, so that a long one is measured once, and how far it is filled.
#[derive(Default)]
pub struct Runs {
    last: Option<Run>,
    filled: u64,
}

/// Parts that begin at the same places of a run.
struct Phase<'a> {
    /// How far these places are behind the run's start, or behind that by a multiple of the period; in bytes.
    offset: u64,
    /// The longest first.
    parts: &'a [PartId],
}

/// Where parts were placed in a run.
pub struct Filled {
    pub matches: Vec<Match>,
    /// The offset from which on blocks are still to be looked up.
    pub next: u64,
}

impl Runs {
    /// Goes on with the run that was filled up to `at`, if there is one, as far as parts begin before `until`.
    pub fn go_on<B: Bytes + ?Sized>(
        &mut self,
        subject: &Subject<'_, B>,
        at: u64,
        until: u64,
        reach: &Reach<'_, B>,
    ) -> io::Result<Option<Filled>> {
        let unfinished = self.last.filter(|run| self.filled == at && (run.start + 1..run.end).contains(&at));
        unfinished.map(|run| self.fill_run(subject, run, at, until, reach)).transpose()
    }

    /// Fills the run at `at`, whose first block `parts` have, as far as parts begin before `until`. `None` if there is
    /// no run, or none of the parts is periodic.
    pub fn fill<B: Bytes + ?Sized>(
        &mut self,
        subject: &Subject<'_, B>,
        at: u64,
        parts: &[PartId],
        until: u64,
        reach: &Reach<'_, B>,
    ) -> io::Result<Option<Filled>> {
        let Some(period) = subject.table.period(parts) else { return Ok(None) };
        let run = self.run_at(subject, at, period.into())?;
        // Another block may have the sum of a periodic one.
        if run.end - at < subject.block() {
            return Ok(None);
        }
        self.fill_run(subject, run, at, until, reach).map(Some)
    }

    fn fill_run<B: Bytes + ?Sized>(
        &mut self,
        subject: &Subject<'_, B>,
        run: Run,
        mut at: u64,
        until: u64,
        reach: &Reach<'_, B>,
    ) -> io::Result<Filled> {
        let phases = phases(subject, run, reach)?;
        let (mut matches, mut proven, mut refuted) = (Vec::new(), HashMap::new(), HashSet::new());
        while at < until {
            let Some((start, length, part)) = longest(subject, &phases, run, at, &refuted) else {
                at = run.end;
                break;
            };
            // One copy is proven by its sum; the others are the same bytes, because the run repeats itself.
            let known = match proven.get(&part) {
                Some(&known) => Some(known),
                None => {
                    let assumption = Assumption { start, candidates: vec![(length, vec![part])] };
                    subject.verify(&[assumption], reach)?.pop().and_then(|mut found| found.pop())
                }
            };
            if let Some(known) = known {
                proven.insert(part, known);
                matches.push(Match { start, ..known });
                at = start + length;
            } else {
                refuted.insert(part);
            }
        }
        self.filled = at;
        let next = if at >= run.end { subject.behind(run.end) } else { at };
        Ok(Filled { matches, next })
    }

    /// The run with this period that `at` lies in, from `at` on or from before.
    fn run_at<B: Bytes + ?Sized>(&mut self, subject: &Subject<'_, B>, at: u64, period: u64) -> io::Result<Run> {
        let is_in = |run: &Run| run.period == period && (run.start..run.end.saturating_sub(period)).contains(&at);
        if let Some(run) = self.last.filter(is_in) {
            return Ok(run);
        }
        let run = Run { start: at, end: measure(subject.image, at, period)?, period };
        self.last = Some(run);
        Ok(run)
    }
}

/// Where the image stops repeating the `period` bytes at `start`.
fn measure<B: Bytes + ?Sized>(image: &B, start: u64, period: u64) -> io::Result<u64> {
    let length = image.length();
    let mut at = length.min(start + period);
    while at < length {
        let piece_end = length.min(at + STRETCH);
        let window = image.window(at - period..piece_end)?;
        let end = at - period + repetition(&window, period as usize) as u64;
        if end < piece_end {
            return Ok(end);
        }
        at = piece_end;
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
    let last = run.end.min(run.start + block + run.period - 1);
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

/// The longest part that fits into the run from `at` on, at the first place where it does: where, how long, which.
fn longest<B: Bytes + ?Sized>(
    subject: &Subject<'_, B>,
    phases: &[Phase<'_>],
    run: Run,
    at: u64,
    refuted: &HashSet<PartId>,
) -> Option<(u64, u64, PartId)> {
    let signature = |part: PartId| subject.table.signature(part);
    let is_periodic = |part: PartId| signature(part).head == Head::Periodic { period: run.period as u32 };
    let of_phase = |phase: &Phase<'_>| {
        let behind = (at - run.start).saturating_sub(phase.offset).next_multiple_of(run.period);
        let start = run.start + phase.offset + behind;
        let room = run.end.checked_sub(start)?;
        let fitting = phase.parts.partition_point(|&part| signature(part).length > room);
        let fits = |&&part: &&PartId| is_periodic(part) && !refuted.contains(&part);
        phase.parts[fitting..].iter().find(fits).map(|&part| (start, signature(part).length, part))
    };
    let found = phases.iter().filter_map(of_phase);
    found.max_by_key(|&(start, length, part)| (length, std::cmp::Reverse((start, part))))
}
