//! The thorough way through an image: every block that parts have is looked at, and fingerprints tell which of them
//! stand there. Nothing is assumed, so nothing is hashed in vain: only what was chosen is verified at the end. What it
//! costs hardly depends on what the image and the parts have in common.

use std::collections::HashSet;
use std::io;
use std::ops::Range;

use super::cover::{Placement, take_clusters};
use super::fingerprint::{Fingerprint, Samples};
use super::prefixes::Member;
use super::reach::Reach;
use super::run::Run;
use super::runs::{Runs, run_start};
use super::subject::{STRETCH, Subject};
use super::verify::Assumption;
use super::{Match, PartId};
use crate::file::Bytes;

/// How many placements wait for a choice at the most. Where more overlap, one after the other, the choice is made in
/// pieces.
pub const MOST_WAITING: usize = 1 << 20;

/// How many parts are placed around one block at the most, the longest: these are beginnings of each other, or differ
/// in the length of the run that they begin with.
pub const MOST_AT_A_BLOCK: usize = 16;

/// How many bytes of the image behind the window are looked at together for the ends of fingerprints, and how many
/// such pieces are kept.
const FAR_PIECE: u64 = 1 << 18;
const FAR_PIECES: usize = 256;

/// What the thorough way has found so far.
pub struct Thorough<'a, B: Bytes + ?Sized + 'a> {
    /// The image's fingerprints from this offset on.
    start: u64,
    samples: Samples,
    far: Vec<Option<(u64, B::Window<'a>)>>,
    placements: Vec<Placement>,
    /// The runs that periodic parts were placed in.
    runs: Vec<Run>,
    /// The fingerprint of the image's bytes up to the block that was looked up last.
    front: (u64, Fingerprint),
}

impl<'a, B: Bytes + ?Sized> Thorough<'a, B> {
    /// The thorough way from the offset `start` on.
    pub fn new(subject: &Subject<'a, B>, start: u64) -> Self {
        Self {
            start,
            samples: Samples::new(subject.image.length() - start),
            far: (0..FAR_PIECES).map(|_| None).collect(),
            placements: Vec::new(),
            runs: Vec::new(),
            front: (start, Fingerprint::default()),
        }
    }

    /// Looks at the blocks that begin in `range`, until too much waits for a choice; gives the offset from which on
    /// nothing was looked at. Parts that begin before `settled` are left out.
    pub fn search(
        &mut self,
        subject: &Subject<'a, B>,
        runs: &mut Runs,
        range: Range<u64>,
        settled: u64,
        reach: &Reach<'_, B>,
    ) -> io::Result<u64> {
        let end = range.end;
        let mut stopped = None;
        let looked = subject.each_hit(range, reach, |position, parts| {
            if self.placements.len() > MOST_WAITING {
                stopped = Some(position);
                return Ok(end);
            }
            let Some(filled) = runs.fill(subject, position, parts, settled, reach)? else {
                self.look_up(subject, position, parts, settled, reach)?;
                return Ok(position + 1);
            };
            self.placements.extend(filled.matches.into_iter().map(Placement::from));
            self.runs.push(filled.run);
            Ok(filled.next)
        })?;
        Ok(stopped.unwrap_or(looked))
    }

    /// Places those of `parts` that stand around the block at `position`.
    fn look_up(
        &mut self,
        subject: &Subject<'a, B>,
        position: u64,
        parts: &[PartId],
        settled: u64,
        reach: &Reach<'_, B>,
    ) -> io::Result<()> {
        let prefixes = subject.table.prefixes(parts, subject.sums);
        let key = subject.table.fingerprints();
        let block = position..position + subject.block();
        let is_other = block.end <= reach.end_at_hand(position) && !prefixes.may_begin(&reach.bytes(block)?);
        // Where the choice was made in pieces, it may have gone beyond what was looked at.
        if is_other || position < settled {
            return Ok(());
        }
        let available = (subject.image.length() - position).min(prefixes.longest());
        self.sample(subject, position + available)?;
        let front = self.front(subject, position, reach)?;
        let of_first = |length, shift| {
            let whole = self.fingerprint(subject, position + length, reach)?;
            Ok(key.cut(whole, front, shift))
        };
        let mut left = MOST_AT_A_BLOCK;
        let longest = prefixes.longest_of(available, of_first)?;
        for (length, members) in prefixes.down_from(longest).take(MOST_AT_A_BLOCK) {
            // They have one body, so in front of it they repeat the same bytes, the first of them the most.
            let Member { lead: most, period, .. } = members[0];
            let from = position.saturating_sub(most).max(settled);
            let repeated = position - run_start(reach, from, position, period.into())?;
            let fitting = &members[members.partition_point(|member| member.lead > repeated)..];
            for &Member { lead, part, .. } in fitting.iter().take(left) {
                self.placements.push(Placement { start: position - lead, length: lead + length, part });
            }
            left -= fitting.len().min(left);
        }
        Ok(())
    }

    /// Takes the image's fingerprints as far as a range that ends at `end` needs them.
    fn sample(&mut self, subject: &Subject<'a, B>, end: u64) -> io::Result<()> {
        let stretch = STRETCH.max(self.samples.stretch() as u64);
        loop {
            let known = self.start + self.samples.length();
            if end < known + self.samples.spacing() as u64 {
                return Ok(());
            }
            let next = subject.image.length().min(known + stretch);
            self.samples.push(subject.table.fingerprints(), &subject.image.window(known..next)?);
        }
    }

    /// The fingerprint of the image's bytes up to `position`, which is usually close behind the last one.
    fn front(&mut self, subject: &Subject<'a, B>, position: u64, reach: &Reach<'_, B>) -> io::Result<Fingerprint> {
        let (known, fingerprint) = self.front;
        let is_close = (known..known + self.samples.spacing() as u64 / 2).contains(&position);
        let front = match is_close && position <= reach.end_at_hand(known) {
            true => subject.table.fingerprints().extend(fingerprint, &reach.bytes(known..position)?),
            false => self.fingerprint(subject, position, reach)?,
        };
        self.front = (position, front);
        Ok(front)
    }

    /// The fingerprint of the image's bytes up to `end`.
    fn fingerprint(&mut self, subject: &Subject<'a, B>, end: u64, reach: &Reach<'_, B>) -> io::Result<Fingerprint> {
        let (known, mut fingerprint) = self.samples.before(end - self.start);
        let key = subject.table.fingerprints();
        let rest = self.start + known..end;
        if rest.end <= reach.end_at_hand(rest.start) {
            return Ok(key.extend(fingerprint, &reach.bytes(rest)?));
        }
        for piece in rest.start / FAR_PIECE..rest.end.div_ceil(FAR_PIECE) {
            let start = piece * FAR_PIECE;
            let index = |offset: u64| (offset - start) as usize;
            let bytes = self.far_piece(subject, piece)?;
            let bytes = &bytes[index(rest.start.max(start))..index(rest.end.min(start + FAR_PIECE))];
            fingerprint = key.extend(fingerprint, bytes);
        }
        Ok(fingerprint)
    }

    /// The bytes of a piece of the image.
    fn far_piece(&mut self, subject: &Subject<'a, B>, piece: u64) -> io::Result<&[u8]> {
        let place = &mut self.far[piece as usize % FAR_PIECES];
        if place.as_ref().is_none_or(|(known, _)| *known != piece) {
            let start = piece * FAR_PIECE;
            let end = subject.image.length().min(start + FAR_PIECE);
            *place = Some((piece, subject.image.window(start..end)?));
        }
        Ok(place.as_ref().map_or(&[], |(_, bytes)| bytes))
    }

    /// The matches that are chosen among those that nothing found later can have to do with, if that begins at
    /// `certain` or later: in the order of the image, with the offset before which all was chosen. Where too much
    /// waits, the choice is made among all that begins before `scanned`.
    pub fn take(
        &mut self,
        subject: &Subject<'a, B>,
        runs: &mut Runs,
        certain: u64,
        scanned: u64,
    ) -> io::Result<(Vec<Match>, u64)> {
        let is_cut = self.placements.len() > MOST_WAITING;
        let until = if is_cut { u64::MAX } else { certain };
        let (mut clusters, limit) = take_clusters(&mut self.placements, &mut self.runs, until);
        loop {
            let chosen =
                clusters.iter().map(|cluster| runs.choose(subject, cluster)).collect::<io::Result<Vec<_>>>()?;
            let chosen: Vec<Placement> = chosen.into_iter().flatten().collect();
            let assumption = |&Placement { start, length, part }: &Placement| Assumption {
                start,
                candidates: vec![(length, vec![part])],
            };
            let assumptions: Vec<Assumption> = chosen.iter().map(assumption).collect();
            let verdicts = subject.verify(&assumptions, &subject.reach())?;
            let matches: Vec<Match> = verdicts.into_iter().flatten().collect();
            if matches.len() == chosen.len() {
                let end = matches.last().map_or(0, Match::end);
                return Ok((matches, if is_cut { end.max(scanned).max(certain) } else { limit }));
            }
            // Only a file that is no longer what it was when it was read, or as good as never an accident of
            // fingerprints, comes here.
            let proven: HashSet<PartId> = matches.iter().map(|found| found.part).collect();
            let refuted: HashSet<PartId> =
                chosen.iter().map(|placement| placement.part).filter(|part| !proven.contains(part)).collect();
            let is_left = |placement: &Placement| !refuted.contains(&placement.part);
            clusters.iter_mut().for_each(|cluster| cluster.matches.retain(is_left));
        }
    }
}
