//! The quick way through an image: scan, assume, verify.
//!
//! The scan jumps over what it assumes to be a part. A part that begins inside another one and ends after it is still
//! found: the blocks of other parts inside a part are the same wherever the part is, so they are searched for once and
//! remembered. If too many bytes are hashed in vain, the quick way gives up, and the search switches to the thorough way.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

use jigdo::Rsync64;
use rayon::prelude::*;

use super::context::Context;
use super::cover::{Cluster, take_clusters};
use super::head::Head;
use super::run::Run;
use super::runs::Runs;
use super::verify::Assumption;
use super::view::ImageView;
use super::{Match, PartId};
use crate::file::Bytes;

/// How many bytes may be hashed in vain, in addition to a quarter of the image.
const WASTE: u64 = 4 << 20;

/// The cost of each candidate of an assumption after the first, in hashed bytes.
const CANDIDATE: u64 = 1 << 10;

/// The state of the quick way.
#[derive(Default)]
pub struct Quick {
    /// The verified matches that were not returned yet.
    matches: Vec<Match>,
    /// The runs that periodic parts were placed in.
    runs: Vec<Run>,
    /// Every assumption that was made and may still matter, as its start and end.
    assumed: BTreeSet<(u64, u64)>,
    /// How many bytes were hashed, and how many of them in vain.
    hashed: u64,
    wasted: u64,
}

/// What the scan found and verification has to decide.
#[derive(Default)]
struct Todo {
    assumptions: Vec<Assumption>,
    passed: Vec<Passed>,
}

/// The offsets at which blocks were skipped because of the assumptions at a hit.
struct Passed {
    assumptions: Range<usize>,
    skipped: Range<u64>,
    /// Where periodic parts that are already verified end, so that blocks from there on must be looked up; 0 if there are
    /// none.
    next: u64,
}

impl Quick {
    /// Scans for blocks that begin in `range` and verifies the assumptions that follow, until nothing is left to scan
    /// again. Returns the offset where the scan ended, which may be beyond the range; `None` if too much was hashed in
    /// vain.
    pub fn search<B: Bytes + ?Sized>(
        &mut self,
        context: &Context<'_, B>,
        runs: &mut Runs,
        range: Range<u64>,
        settled: u64,
        view: &ImageView<'_, B>,
    ) -> io::Result<Option<u64>> {
        let mut todo = Todo::default();
        let scanned = context.work(|| self.scan(context, runs, range, settled, view, &mut todo))?;
        while self.is_affordable(context) && !todo.assumptions.is_empty() {
            let Todo { assumptions, passed } = std::mem::take(&mut todo);
            let verdicts = self.verify(context, &assumptions, view)?;
            context.work(|| {
                for Passed { assumptions: of, skipped, next } in passed {
                    let covered = verdicts[of].iter().flatten().map(Match::end).max().unwrap_or(0);
                    // What was refuted covers nothing: the blocks that it skipped are scanned after all.
                    let again = context.resume_after(covered).max(next).max(skipped.start)..skipped.end;
                    let first = todo.passed.len();
                    self.scan(context, runs, again.clone(), settled, view, &mut todo)?;
                    for Passed { skipped, .. } in &mut todo.passed[first..] {
                        // Beyond this stretch, blocks were scanned, or are skipped for another reason.
                        skipped.end = skipped.end.min(again.end);
                    }
                }
                Ok::<_, io::Error>(())
            })?;
            let outer: Vec<Match> = verdicts.iter().filter_map(|found| found.last().copied()).collect();
            for (outer, inner) in outer.iter().zip(look_inside(context, &outer, view)?) {
                let reaches_outside = |inner: &Assumption| inner.start < outer.start || inner.end() > outer.end();
                todo.assumptions.extend(inner.into_iter().filter(reaches_outside).filter(|inner| self.is_new(inner)));
            }
            self.matches.extend(verdicts.into_iter().flatten());
        }
        Ok(self.is_affordable(context).then_some(scanned))
    }

    /// Whether the bytes that were or will be hashed, and those hashed in vain, are within their limits.
    fn is_affordable<B: Bytes + ?Sized>(&self, context: &Context<'_, B>) -> bool {
        let image = context.image.length();
        let may_waste = image / 4 + WASTE;
        self.hashed <= image + may_waste && self.wasted <= may_waste
    }

    /// Verifies these assumptions, and counts the bytes that were hashed in vain.
    fn verify<B: Bytes + ?Sized>(
        &mut self,
        context: &Context<'_, B>,
        assumptions: &[Assumption],
        view: &ImageView<'_, B>,
    ) -> io::Result<Vec<Vec<Match>>> {
        let verdicts = context.verify(assumptions, view)?;
        let useful = |found: &Vec<Match>| found.last().map_or(0, |longest| longest.length);
        let wasted = assumptions.iter().zip(&verdicts).map(|(assumption, found)| cost(assumption) - useful(found));
        self.wasted += wasted.sum::<u64>();
        Ok(verdicts)
    }

    /// Records this assumption. Returns whether it was made for the first time.
    fn is_new(&mut self, assumption: &Assumption) -> bool {
        let is_new = self.assumed.insert((assumption.start, assumption.end()));
        if is_new {
            self.hashed += cost(assumption);
        }
        is_new
    }

    /// Scans the blocks that begin in `stretch`, except those in regions that it assumes to be parts. Returns the offset
    /// where it stopped, which is beyond the stretch if such a region ends there.
    fn scan<B: Bytes + ?Sized>(
        &mut self,
        context: &Context<'_, B>,
        runs: &mut Runs,
        stretch: Range<u64>,
        settled: u64,
        view: &ImageView<'_, B>,
        todo: &mut Todo,
    ) -> io::Result<u64> {
        context.each_hit(stretch, view, |position, parts| {
            let first = todo.assumptions.len();
            todo.assumptions.extend(assume(context, position, parts));
            let hit = first..todo.assumptions.len();
            let mut next = 0;
            if let Some(filled) = runs.fill(context, position, parts, settled, view)? {
                self.matches.extend(filled.matches);
                self.runs.push(filled.run);
                next = filled.next;
            }
            let assumed_end = todo.assumptions[hit.clone()].iter().map(Assumption::end).max().unwrap_or(0);
            let at = context.resume_after(assumed_end).max(next).max(position + 1);
            for index in hit.clone() {
                self.is_new(&todo.assumptions[index]);
            }
            if !self.is_affordable(context) {
                return Ok(u64::MAX);
            }
            if !hit.is_empty() {
                todo.passed.push(Passed { assumptions: hit, skipped: position + 1..at, next });
            }
            Ok(at)
        })
    }

    /// Chooses among the matches that nothing found later can overlap, if all of that begins at `certain` or later.
    /// Returns the choice in the order of the image, and the offset before which it is final. `None` if too much was
    /// hashed in vain.
    pub fn take<B: Bytes + ?Sized>(
        &mut self,
        context: &Context<'_, B>,
        runs: &mut Runs,
        certain: u64,
    ) -> io::Result<Option<(Vec<Match>, u64)>> {
        let (clusters, limit) = take_clusters(&mut self.matches, &mut self.runs, certain);
        let mut chosen = Vec::new();
        for mut cluster in clusters {
            if !self.complete(context, runs, &mut cluster)? {
                return Ok(None);
            }
            chosen.extend(runs.choose(context, &cluster)?);
        }
        self.assumed.retain(|(_, end)| *end > limit);
        Ok(Some((chosen, limit)))
    }

    /// Adds the parts inside the matches of a cluster, if they can matter: where two matches overlap and neither contains
    /// the other, parts inside the one that is not chosen may cover the bytes that only it covers. `false` if too much was
    /// hashed in vain.
    fn complete<B: Bytes + ?Sized>(
        &mut self,
        context: &Context<'_, B>,
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
        let view = context.view();
        let inner = look_inside(context, matches, &view)?.into_iter().flatten();
        let inner: Vec<Assumption> = inner.filter(|inner| self.is_new(inner)).collect();
        if !self.is_affordable(context) {
            return Ok(false);
        }
        matches.extend(self.verify(context, &inner, &view)?.into_iter().flatten());
        if let Some(first) = matches.iter().map(|found| found.start).min()
            && context.table.has_periodic_parts()
        {
            let stretch = first..context.resume_after(reached);
            let fill = |position, parts: &[PartId]| {
                let Some(filled) = of_image.fill(context, position, parts, first, &view)? else {
                    return Ok(position + 1);
                };
                matches.extend(filled.matches);
                runs.push(filled.run);
                Ok(filled.next)
            };
            context.work(|| context.each_hit(stretch, &view, fill))?;
        }
        Ok(self.is_affordable(context))
    }
}

/// The cost of verifying an assumption, in hashed bytes.
fn cost(assumption: &Assumption) -> u64 {
    let candidates: usize = assumption.candidates.iter().map(|(_, parts)| parts.len()).sum();
    assumption.end() - assumption.start + CANDIDATE * candidates.saturating_sub(1) as u64
}

/// Which of these parts may be around the block at `position`, which they all have, if they fit into the image there.
fn assume<B: Bytes + ?Sized>(context: &Context<'_, B>, position: u64, parts: &[PartId]) -> Vec<Assumption> {
    let mut by_start: BTreeMap<u64, BTreeMap<u64, Vec<PartId>>> = BTreeMap::new();
    for &part in parts {
        let signature = context.table.signature(part);
        let Head::Block { offset, .. } = signature.features.head else { continue };
        let start = position.checked_sub(offset).filter(|start| signature.length <= context.image.length() - start);
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

/// For each of these matches, the assumptions that follow from the blocks inside it.
fn look_inside<B: Bytes + ?Sized>(
    context: &Context<'_, B>,
    outer: &[Match],
    view: &ImageView<'_, B>,
) -> io::Result<Vec<Vec<Assumption>>> {
    let block = context.block() as usize;
    let inside = |outer: &Match| {
        if context.table.inner(outer.part).is_some_and(|inner| inner.is_empty()) {
            return Ok(Vec::new());
        }
        let bytes = view.bytes(outer.start..outer.end())?;
        let inner = context.table.learn_inner(outer.part, &bytes);
        let assumptions = inner.iter().map(|&offset| {
            let parts = context.table.parts(Rsync64::of(&bytes[offset as usize..][..block]));
            assume(context, outer.start + offset, parts)
        });
        Ok(assumptions.flatten().collect())
    };
    context.work(|| outer.par_iter().map(inside).collect())
}
