//! The thorough way through an image: at every block that parts have, fingerprints tell which of these parts are there.
//! Nothing is assumed, so nothing is hashed in vain: only the parts that were chosen are verified at the end. The cost
//! hardly depends on what the image and the parts have in common.

use std::collections::HashSet;
use std::io;
use std::ops::Range;

use super::context::{CHUNK, Context};
use super::cover::{Placement, take_clusters};
use super::fingerprint::{Fingerprint, Samples};
use super::prefixes::Member;
use super::run::Run;
use super::runs::{Runs, run_start};
use super::verify::Assumption;
use super::view::ImageView;
use super::{Match, PartId};
use crate::file::Bytes;

/// The most placements that wait for the choice. If more of them overlap in one cluster, the choice is made in pieces.
pub const MOST_WAITING: usize = 1 << 20;

/// The most parts that are placed around one block: the longest ones. They are beginnings of each other, or differ in the
/// length of the run that they begin with.
pub const MOST_AT_A_BLOCK: usize = 16;

/// The length in bytes of the pieces of the image, outside of the window, that are read for the ends of fingerprints, and
/// how many of them are kept.
const FAR_PIECE: u64 = 1 << 18;
const FAR_PIECES: usize = 256;

/// The state of the thorough way.
pub struct Thorough<'a, B: Bytes + ?Sized + 'a> {
    /// The image's fingerprints from this offset on.
    start: u64,
    samples: Samples,
    far: Vec<Option<(u64, B::Window<'a>)>>,
    placements: Vec<Placement>,
    /// The runs that periodic parts were placed in.
    runs: Vec<Run>,
    /// The fingerprint of the image's bytes before the last block that was looked up, and that block's offset.
    front: (u64, Fingerprint),
}

impl<'a, B: Bytes + ?Sized> Thorough<'a, B> {
    /// The thorough way from the offset `start` on.
    pub fn new(context: &Context<'a, B>, start: u64) -> Self {
        Self {
            start,
            samples: Samples::new(context.image.length() - start),
            far: (0..FAR_PIECES).map(|_| None).collect(),
            placements: Vec::new(),
            runs: Vec::new(),
            front: (start, Fingerprint::default()),
        }
    }

    /// Examines the blocks that begin in `range`, until too many placements wait for the choice. Returns the offset where
    /// it stopped. Parts that begin before `settled` are left out.
    pub fn search(
        &mut self,
        context: &Context<'a, B>,
        runs: &mut Runs,
        range: Range<u64>,
        settled: u64,
        view: &ImageView<'_, B>,
    ) -> io::Result<u64> {
        let end = range.end;
        let mut stopped = None;
        let looked = context.each_hit(range, view, |position, parts| {
            if self.placements.len() > MOST_WAITING {
                stopped = Some(position);
                return Ok(end);
            }
            let Some(filled) = runs.fill(context, position, parts, settled, view)? else {
                self.look_up(context, position, parts, settled, view)?;
                return Ok(position + 1);
            };
            self.placements.extend(filled.matches.into_iter().map(Placement::from));
            self.runs.push(filled.run);
            Ok(filled.next)
        })?;
        Ok(stopped.unwrap_or(looked))
    }

    /// Positions those of `parts` that stand around the block at `position`.
    fn look_up(
        &mut self,
        context: &Context<'a, B>,
        position: u64,
        parts: &[PartId],
        settled: u64,
        view: &ImageView<'_, B>,
    ) -> io::Result<()> {
        let prefixes = context.table.prefixes(parts, context.sums);
        let key = context.table.fingerprints();
        let block = position..position + context.block();
        let is_other = block.end <= view.end_in_window(position) && !prefixes.may_begin(&view.bytes(block)?);
        // If the choice was made in pieces, it may extend beyond the blocks that were examined.
        if is_other || position < settled {
            return Ok(());
        }
        let available = (context.image.length() - position).min(prefixes.longest());
        self.sample(context, position + available)?;
        let front = self.front(context, position, view)?;
        let of_first = |length, shift| {
            let whole = self.fingerprint(context, position + length, view)?;
            Ok(key.cut(whole, front, shift))
        };
        let mut left = MOST_AT_A_BLOCK;
        let longest = prefixes.longest_of(available, of_first)?;
        for (length, members) in prefixes.down_from(longest).take(MOST_AT_A_BLOCK) {
            // They have the same body, so they repeat the same bytes before it, the first of them the most.
            let Member { lead: most, period, .. } = members[0];
            let from = position.saturating_sub(most).max(settled);
            let repeated = position - run_start(view, from, position, period.into())?;
            let fitting = &members[members.partition_point(|member| member.lead > repeated)..];
            for &Member { lead, part, .. } in fitting.iter().take(left) {
                self.placements.push(Placement { start: position - lead, length: lead + length, part });
            }
            left -= fitting.len().min(left);
        }
        Ok(())
    }

    /// Computes the image's fingerprints that a range ending at `end` needs.
    fn sample(&mut self, context: &Context<'a, B>, end: u64) -> io::Result<()> {
        let stretch = CHUNK.max(self.samples.chunk() as u64);
        loop {
            let known = self.start + self.samples.length();
            if end < known + self.samples.spacing() as u64 {
                return Ok(());
            }
            let next = context.image.length().min(known + stretch);
            self.samples.push(context.table.fingerprints(), &context.image.window(known..next)?);
        }
    }

    /// The fingerprint of the image's bytes before `position`, which is usually shortly after the last one.
    fn front(&mut self, context: &Context<'a, B>, position: u64, view: &ImageView<'_, B>) -> io::Result<Fingerprint> {
        let (known, fingerprint) = self.front;
        let is_close = (known..known + self.samples.spacing() as u64 / 2).contains(&position);
        let front = match is_close && position <= view.end_in_window(known) {
            true => context.table.fingerprints().extend(fingerprint, &view.bytes(known..position)?),
            false => self.fingerprint(context, position, view)?,
        };
        self.front = (position, front);
        Ok(front)
    }

    /// The fingerprint of the image's bytes before `end`.
    fn fingerprint(&mut self, context: &Context<'a, B>, end: u64, view: &ImageView<'_, B>) -> io::Result<Fingerprint> {
        let (known, mut fingerprint) = self.samples.before(end - self.start);
        let key = context.table.fingerprints();
        let rest = self.start + known..end;
        if rest.end <= view.end_in_window(rest.start) {
            return Ok(key.extend(fingerprint, &view.bytes(rest)?));
        }
        for piece in rest.start / FAR_PIECE..rest.end.div_ceil(FAR_PIECE) {
            let start = piece * FAR_PIECE;
            let index = |offset: u64| (offset - start) as usize;
            let bytes = self.far_piece(context, piece)?;
            let bytes = &bytes[index(rest.start.max(start))..index(rest.end.min(start + FAR_PIECE))];
            fingerprint = key.extend(fingerprint, bytes);
        }
        Ok(fingerprint)
    }

    /// The bytes of a piece of the image.
    fn far_piece(&mut self, context: &Context<'a, B>, piece: u64) -> io::Result<&[u8]> {
        let place = &mut self.far[piece as usize % FAR_PIECES];
        if place.as_ref().is_none_or(|(known, _)| *known != piece) {
            let start = piece * FAR_PIECE;
            let end = context.image.length().min(start + FAR_PIECE);
            *place = Some((piece, context.image.window(start..end)?));
        }
        Ok(place.as_ref().map_or(&[], |(_, bytes)| bytes))
    }

    /// Chooses among the placements that nothing found later can overlap, if all of that begins at `certain` or later, and
    /// verifies the choice. Returns it in the order of the image, with the offset before which it is final. If too many
    /// placements wait, the choice is made among all that begin before `scanned`.
    pub fn take(
        &mut self,
        context: &Context<'a, B>,
        runs: &mut Runs,
        certain: u64,
        scanned: u64,
    ) -> io::Result<(Vec<Match>, u64)> {
        let is_cut = self.placements.len() > MOST_WAITING;
        let until = if is_cut { u64::MAX } else { certain };
        let (mut clusters, limit) = take_clusters(&mut self.placements, &mut self.runs, until);
        loop {
            let chosen =
                clusters.iter().map(|cluster| runs.choose(context, cluster)).collect::<io::Result<Vec<_>>>()?;
            let chosen: Vec<Placement> = chosen.into_iter().flatten().collect();
            let assumption = |&Placement { start, length, part }: &Placement| Assumption {
                start,
                candidates: vec![(length, vec![part])],
            };
            let assumptions: Vec<Assumption> = chosen.iter().map(assumption).collect();
            let verdicts = context.verify(&assumptions, &context.view())?;
            let matches: Vec<Match> = verdicts.into_iter().flatten().collect();
            if matches.len() == chosen.len() {
                let end = matches.last().map_or(0, Match::end);
                return Ok((matches, if is_cut { end.max(scanned).max(certain) } else { limit }));
            }
            // This happens only if a file has changed since it was read, or, practically never, if fingerprints collide.
            let proven: HashSet<PartId> = matches.iter().map(|found| found.part).collect();
            let refuted: HashSet<PartId> =
                chosen.iter().map(|placement| placement.part).filter(|part| !proven.contains(part)).collect();
            let is_left = |placement: &Placement| !refuted.contains(&placement.part);
            clusters.iter_mut().for_each(|cluster| cluster.matches.retain(is_left));
        }
    }
}
