//! The quick way through an image: scan, assume, verify.
//!
//! The scan jumps over what it assumes to be a part. A part that begins inside another one and ends behind it is not
//! lost by that: which blocks of other parts a part's content has inside is the same wherever it stands, so it is
//! found out once, and looked up at every place. Where more than a share of the image is hashed in vain, the quick way
//! gives up, and the thorough one is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

use jigdo::Rsync64;
use rayon::prelude::*;

use super::cover::{Cluster, take_clusters};
use super::head::Head;
use super::reach::Reach;
use super::run::Run;
use super::runs::Runs;
use super::subject::Subject;
use super::verify::Assumption;
use super::{Match, PartId};
use crate::file::Bytes;

/// How many bytes may be hashed in vain, beside a quarter of the image.
const WASTE: u64 = 4 << 20;

/// What a candidate costs beyond the first of an assumption, in hashed bytes.
const CANDIDATE: u64 = 1 << 10;

/// What the quick way has found so far.
#[derive(Default)]
pub struct Quick {
    /// What was verified and not taken yet.
    matches: Vec<Match>,
    /// The runs that periodic parts were placed in.
    runs: Vec<Run>,
    /// Every assumption that was made and may matter still, as its start and end.
    assumed: BTreeSet<(u64, u64)>,
    /// How many bytes were hashed, and how many of these in vain.
    hashed: u64,
    wasted: u64,
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
    /// From where on periodic parts, already verified, leave blocks to be looked up; 0 where there are none.
    next: u64,
}

impl Quick {
    /// Scans for blocks that begin in `range` and verifies what they lead to, until nothing is left to scan again.
    /// Gives the offset from which on nothing was scanned, which may be beyond the range; `None` if too much was
    /// hashed in vain.
    pub fn search<B: Bytes + ?Sized>(
        &mut self,
        subject: &Subject<'_, B>,
        runs: &mut Runs,
        range: Range<u64>,
        settled: u64,
        reach: &Reach<'_, B>,
    ) -> io::Result<Option<u64>> {
        let mut todo = Todo::default();
        let scanned = subject.work(|| self.scan(subject, runs, range, settled, reach, &mut todo))?;
        while self.is_affordable(subject) && !todo.assumptions.is_empty() {
            let Todo { assumptions, passed } = std::mem::take(&mut todo);
            let verdicts = self.verify(subject, &assumptions, reach)?;
            subject.work(|| {
                for Passed { assumptions: of, skipped, next } in passed {
                    let covered = verdicts[of].iter().flatten().map(Match::end).max().unwrap_or(0);
                    // What was refuted covers nothing: the blocks passed over because of it are scanned after all.
                    let again = subject.behind(covered).max(next).max(skipped.start)..skipped.end;
                    let first = todo.passed.len();
                    self.scan(subject, runs, again.clone(), settled, reach, &mut todo)?;
                    for Passed { skipped, .. } in &mut todo.passed[first..] {
                        // Beyond this stretch, blocks were scanned, or are passed over for a reason of their own.
                        skipped.end = skipped.end.min(again.end);
                    }
                }
                Ok::<_, io::Error>(())
            })?;
            let outer: Vec<Match> = verdicts.iter().filter_map(|found| found.last().copied()).collect();
            for (outer, inner) in outer.iter().zip(look_inside(subject, &outer, reach)?) {
                let reaches_outside = |inner: &Assumption| inner.start < outer.start || inner.end() > outer.end();
                todo.assumptions.extend(inner.into_iter().filter(reaches_outside).filter(|inner| self.is_new(inner)));
            }
            self.matches.extend(verdicts.into_iter().flatten());
        }
        Ok(self.is_affordable(subject).then_some(scanned))
    }

    /// Whether neither what is, or will be, hashed nor what was in vain is too much.
    fn is_affordable<B: Bytes + ?Sized>(&self, subject: &Subject<'_, B>) -> bool {
        let image = subject.image.length();
        let may_waste = image / 4 + WASTE;
        self.hashed <= image + may_waste && self.wasted <= may_waste
    }

    /// What holds of these assumptions.
    fn verify<B: Bytes + ?Sized>(
        &mut self,
        subject: &Subject<'_, B>,
        assumptions: &[Assumption],
        reach: &Reach<'_, B>,
    ) -> io::Result<Vec<Vec<Match>>> {
        let verdicts = subject.verify(assumptions, reach)?;
        let useful = |found: &Vec<Match>| found.last().map_or(0, |longest| longest.length);
        let wasted = assumptions.iter().zip(&verdicts).map(|(assumption, found)| cost(assumption) - useful(found));
        self.wasted += wasted.sum::<u64>();
        Ok(verdicts)
    }

    /// Whether this assumption was never made before; it counts as made from now on.
    fn is_new(&mut self, assumption: &Assumption) -> bool {
        let is_new = self.assumed.insert((assumption.start, assumption.end()));
        if is_new {
            self.hashed += cost(assumption);
        }
        is_new
    }

    /// Scans the blocks that begin in `stretch`, except those in regions that it assumes to be parts. Gives the offset
    /// where it stopped, which is beyond the stretch if such a region is.
    fn scan<B: Bytes + ?Sized>(
        &mut self,
        subject: &Subject<'_, B>,
        runs: &mut Runs,
        stretch: Range<u64>,
        settled: u64,
        reach: &Reach<'_, B>,
        todo: &mut Todo,
    ) -> io::Result<u64> {
        subject.each_hit(stretch, reach, |position, parts| {
            let first = todo.assumptions.len();
            todo.assumptions.extend(assume(subject, position, parts));
            let hit = first..todo.assumptions.len();
            let mut next = 0;
            if let Some(filled) = runs.fill(subject, position, parts, settled, reach)? {
                self.matches.extend(filled.matches);
                self.runs.push(filled.run);
                next = filled.next;
            }
            let assumed_end = todo.assumptions[hit.clone()].iter().map(Assumption::end).max().unwrap_or(0);
            let at = subject.behind(assumed_end).max(next).max(position + 1);
            for index in hit.clone() {
                self.is_new(&todo.assumptions[index]);
            }
            if !self.is_affordable(subject) {
                return Ok(u64::MAX);
            }
            if !hit.is_empty() {
                todo.passed.push(Passed { assumptions: hit, skipped: position + 1..at, next });
            }
            Ok(at)
        })
    }

    /// The matches that are chosen among those that nothing found later can have to do with, if that begins at
    /// `certain` or later: in the order of the image, with the offset before which all was chosen. `None` if too much
    /// was hashed in vain.
    pub fn take<B: Bytes + ?Sized>(
        &mut self,
        subject: &Subject<'_, B>,
        runs: &mut Runs,
        certain: u64,
    ) -> io::Result<Option<(Vec<Match>, u64)>> {
        let (clusters, limit) = take_clusters(&mut self.matches, &mut self.runs, certain);
        let mut chosen = Vec::new();
        for mut cluster in clusters {
            if !self.complete(subject, runs, &mut cluster)? {
                return Ok(None);
            }
            chosen.extend(runs.choose(subject, &cluster)?);
        }
        self.assumed.retain(|(_, end)| *end > limit);
        Ok(Some((chosen, limit)))
    }

    /// Adds the parts inside the matches of a cluster, if they can matter: where none of two matches that overlap
    /// contains the other, the bytes that only the loser covers may be covered by what is inside of it. `false` if too
    /// much was hashed in vain.
    fn complete<B: Bytes + ?Sized>(
        &mut self,
        subject: &Subject<'_, B>,
        of_image: &mut Runs,
        Cluster { matches, runs }: &mut Cluster<Match>,
    ) -> io::Result<bool> {
        let mut reached = 0;
        let crossing = |found: &Match| {
            let crosses = found.start < reached && found.end() > reached;
            reached = reached.max(found.end());
            crosses
        };
        matches.sort_unstable_by_key(|found| (found.start, std::cmp::Reverse(found.length)));
        if !matches.iter().any(crossing) {
            return Ok(true);
        }
        let reach = subject.reach();
        let inner = look_inside(subject, matches, &reach)?.into_iter().flatten();
        let inner: Vec<Assumption> = inner.filter(|inner| self.is_new(inner)).collect();
        if !self.is_affordable(subject) {
            return Ok(false);
        }
        matches.extend(self.verify(subject, &inner, &reach)?.into_iter().flatten());
        if let Some(first) = matches.iter().map(|found| found.start).min()
            && subject.table.has_periodic_parts()
        {
            let stretch = first..subject.behind(reached);
            let fill = |position, parts: &[PartId]| {
                let Some(filled) = of_image.fill(subject, position, parts, first, &reach)? else {
                    return Ok(position + 1);
                };
                matches.extend(filled.matches);
                runs.push(filled.run);
                Ok(filled.next)
            };
            subject.work(|| subject.each_hit(stretch, &reach, fill))?;
        }
        Ok(self.is_affordable(subject))
    }
}

/// What an assumption costs to verify, in hashed bytes.
fn cost(assumption: &Assumption) -> u64 {
    let candidates: usize = assumption.candidates.iter().map(|(_, parts)| parts.len()).sum();
    assumption.end() - assumption.start + CANDIDATE * candidates.saturating_sub(1) as u64
}

/// What may stand around the block at `position`, which these parts have, wherever they fit into the image.
fn assume<B: Bytes + ?Sized>(subject: &Subject<'_, B>, position: u64, parts: &[PartId]) -> Vec<Assumption> {
    let mut by_start: BTreeMap<u64, BTreeMap<u64, Vec<PartId>>> = BTreeMap::new();
    for &part in parts {
        let signature = subject.table.signature(part);
        let Head::Block { offset, .. } = signature.marks.head else { continue };
        let start = position.checked_sub(offset).filter(|start| signature.length <= subject.image.length() - start);
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
fn look_inside<B: Bytes + ?Sized>(
    subject: &Subject<'_, B>,
    outer: &[Match],
    reach: &Reach<'_, B>,
) -> io::Result<Vec<Vec<Assumption>>> {
    let block = subject.block() as usize;
    let inside = |outer: &Match| {
        if subject.table.inner(outer.part).is_some_and(|inner| inner.is_empty()) {
            return Ok(Vec::new());
        }
        let bytes = reach.bytes(outer.start..outer.end())?;
        let inner = subject.table.learn_inner(outer.part, &bytes);
        let assumptions = inner.iter().map(|&offset| {
            let parts = subject.table.parts(Rsync64::of(&bytes[offset as usize..][..block]));
            assume(subject, outer.start + offset, parts)
        });
        Ok(assumptions.flatten().collect())
    };
    subject.work(|| outer.par_iter().map(inside).collect())
}
