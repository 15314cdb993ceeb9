//! The scan: finds the blocks of a range of bytes that parts have.
//!
//! It finds the anchors of the bytes, and looks up the sum of a block only where a part has an anchor with the same key
//! at the same offset. Where that is not enough it rolls over the bytes, that is, looks up the sums of all blocks: in
//! stretches without anchors, if there are parts whose blocks have none, and where known anchors are too frequent. Each
//! byte is rolled over at most once, whatever the bytes are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;

use jigdo::RSYNC64_TABLE as TABLE;
use jigdo::Rsync64;

use super::PartId;
use super::anchors::{Anchors, BATCH, Positions, WINDOW, key};
use super::head::{Head, repetition};
use super::table::SignatureTable;

/// The most blocks that are looked up one by one because of anchors in a batch.
const MOST_PLACES: usize = BATCH / 64;

/// The fewest positions without an anchor, and not less than 16 blocks, that are rolled over before the end of such a
/// stretch is known.
const PIECE: usize = 1 << 16;

/// The blocks of a range of bytes that parts have, in order: where they begin, and these parts. A different block with the
/// same sum may or may not be among them.
pub struct Hits<'t, 'b> {
    table: &'t SignatureTable,
    bytes: &'b [u8],
    anchors: Anchors,
    /// Blocks that begin before this need no lookup any more.
    next: usize,
    /// Where the blocks begin that are being looked up.
    current: Range<usize>,
    /// Where the blocks begin that are still to be looked up: start and end of each range.
    due: BinaryHeap<Reverse<(usize, usize)>>,
    /// The sum of the last block that was looked up, and where that begins.
    sum: Option<(usize, Rsync64)>,
    /// The last sum that was looked up, and the parts that have it. Where blocks collide, the same sum is frequent.
    last: Option<(Rsync64, &'t [PartId])>,
    /// The anchors before this position are known.
    scanned: usize,
    /// The position after the last anchor.
    bare: usize,
    places: Positions,
}

impl<'t, 'b> Hits<'t, 'b> {
    /// Those that begin at `from` or later.
    pub fn new(table: &'t SignatureTable, bytes: &'b [u8], from: usize) -> Self {
        Self {
            table,
            bytes,
            anchors: Anchors::new(table.block_length()),
            next: from,
            current: from..from,
            due: BinaryHeap::new(),
            sum: None,
            last: None,
            scanned: from,
            bare: from,
            places: Positions::default(),
        }
    }

    /// The same for a table whose parts have no known anchors: every block is looked up.
    pub fn rolling(table: &'t SignatureTable, bytes: &'b [u8]) -> Self {
        let mut hits = Self::new(table, bytes, 0);
        hits.scanned = usize::MAX;
        let end = hits.end();
        hits.due = (0..end).step_by(PIECE).map(|start| Reverse((start, end.min(start + PIECE)))).collect();
        hits
    }

    /// Skips the blocks that begin before `from`.
    #[inline]
    pub fn skip_to(&mut self, from: usize) {
        self.next = self.next.max(from);
        self.current.start = self.current.start.max(from);
        self.scanned = self.scanned.max(from);
        self.bare = self.bare.max(from);
    }

    fn block(&self) -> usize {
        self.table.block_length() as usize
    }

    /// The end of the offsets at which blocks can begin.
    fn end(&self) -> usize {
        (self.bytes.len() + 1).saturating_sub(self.block())
    }

    /// The parts that have a block with this sum; `None` if there are none.
    fn parts(&mut self, sum: Rsync64) -> Option<&'t [PartId]> {
        let last = match self.last {
            Some(last) if last.0 == sum => last,
            _ => *self.last.insert((sum, self.table.parts(sum))),
        };
        (!last.1.is_empty()).then_some(last.1)
    }

    /// The cheapest sum from which to roll on to the block at `at`, and where its block begins: at `at`, or one byte
    /// before it.
    fn sum_before(&self, at: usize) -> (usize, Rsync64) {
        let block = self.block();
        match self.sum {
            Some((known, mut sum)) if known < at && at - known <= block / 2 => {
                let (fronts, backs) = (&self.bytes[known..at - 1], &self.bytes[known + block..at - 1 + block]);
                fronts.iter().zip(backs).for_each(|(&front, &back)| sum.roll(front, back, block as u32));
                (at - 1, sum)
            }
            _ => (at, Rsync64::of(&self.bytes[at..at + block])),
        }
    }

    /// Looks up the current blocks until it finds one that parts have.
    fn look_up(&mut self) -> Option<(usize, &'t [PartId])> {
        let Range { start, end } = self.current.clone();
        if start >= end {
            return None;
        }
        let (table, block) = (self.table, self.block());
        let (mut at, mut sum) = self.sum_before(start);
        let mut found = if at == start { self.parts(sum) } else { None };
        let fronts = &self.bytes[at..if found.is_some() { at } else { end - 1 }];
        for (&front, &back) in fronts.iter().zip(&self.bytes[at + block..]) {
            let dropped = TABLE[front as usize];
            sum.hi = sum.hi.wrapping_sub(table.block_length().wrapping_mul(dropped));
            sum.lo = sum.lo.wrapping_add(TABLE[back as usize].wrapping_sub(dropped));
            sum.hi = sum.hi.wrapping_add(sum.lo);
            at += 1;
            if table.may_have(sum) {
                found = self.parts(sum);
                if found.is_some() {
                    break;
                }
            }
        }
        self.sum = Some((at, sum));
        self.next = at + 1;
        self.current.start = at + 1;
        found.map(|parts| (at, parts))
    }

    /// Makes the next blocks that are due the current ones. `false` if there are none, or others may still become due
    /// before them.
    fn take_due(&mut self) -> bool {
        let is_done = self.scanned == usize::MAX;
        let settled =
            if is_done { usize::MAX } else { self.scanned.saturating_sub(self.table.anchors().longest_offset()) };
        let Some(&Reverse((start, end))) = self.due.peek().filter(|Reverse((start, _))| *start < settled) else {
            return false;
        };
        self.due.pop();
        self.current = start.max(self.next)..end;
        let block = self.block();
        if self.current.len() > block {
            // Runs of one byte, if no part has such a block, are skipped at the speed of memory.
            let constant = repetition(&self.bytes[self.current.start..end - 1 + block], 1);
            let first = &self.bytes[self.current.start..][..block];
            if constant >= 2 * block && self.parts(Rsync64::of(first)).is_none() {
                self.current.start += constant + 1 - block;
            }
        }
        true
    }

    /// Finds the anchors of the next batch, and the blocks that become due because of them. `false` if there are no more
    /// bytes.
    fn scan(&mut self) -> bool {
        if self.scanned == usize::MAX {
            return false;
        }
        let from = self.scanned;
        let mut places = std::mem::take(&mut self.places);
        let found = self.anchors.find(self.bytes, from, &mut places);
        self.scanned = found.unwrap_or(usize::MAX);
        if !self.table.anchors().are_all() {
            self.look_between(from, &places);
        }
        if found.is_some() {
            self.look_at(from, &places);
        }
        self.places = places;
        true
    }

    /// Makes all blocks due that have no anchor, now that the anchors of the batch at `from` are known.
    fn look_between(&mut self, from: usize, places: &Positions) {
        // The last position in a block at which an anchor's window fits.
        let room = self.block() - WINDOW;
        let due = &mut self.due;
        if self.scanned == usize::MAX {
            let end = (self.bytes.len() + 1).saturating_sub(self.table.block_length() as usize);
            due.extend((self.bare < end).then_some(Reverse((self.bare, end))));
            return;
        }
        for &place in places.as_slice() {
            let at = from + usize::from(place);
            if at > self.bare + room {
                due.push(Reverse((self.bare, at - room)));
            }
            self.bare = at + 1;
        }
        if self.scanned - self.bare > PIECE.max(16 * room) + room {
            due.push(Reverse((self.bare, self.scanned - room)));
            self.bare = self.scanned - room;
        }
    }

    /// Makes the blocks due that parts may have because of the anchors at `places` of the batch at `from`.
    fn look_at(&mut self, from: usize, places: &Positions) {
        let known = self.table.anchors();
        let mut left = MOST_PLACES;
        for &place in places.as_slice() {
            let at = from + usize::from(place);
            let key = key(self.bytes, at);
            if !known.may_have(key) {
                continue;
            }
            for offset in known.offsets(key, |part| self.table.signature(PartId(part)).features.anchor) {
                if left == 0 {
                    let first = from.saturating_sub(known.longest_offset());
                    self.due.push(Reverse((first, self.scanned.min(self.end()))));
                    return;
                }
                left -= 1;
                let start = at.wrapping_sub(offset);
                if (self.next..self.end()).contains(&start) {
                    self.due.push(Reverse((start, start + 1)));
                }
            }
        }
    }
}

impl SignatureTable {
    /// The blocks of `bytes` that begin at `from` or later and that parts have, in order.
    pub fn hits<'t, 'b>(&'t self, bytes: &'b [u8], from: usize) -> Hits<'t, 'b> {
        Hits::new(self, bytes, from)
    }

    /// The same as [`SignatureTable::inner`], searched for in the content of `part` if it is not known yet.
    pub fn learn_inner(&self, part: PartId, bytes: &[u8]) -> Arc<[u64]> {
        if let Some(known) = self.inner(part) {
            return known;
        }
        let mut offsets = Vec::new();
        let mut hits = self.hits(bytes, 1);
        while let Some((at, parts)) = hits.next() {
            if let Some(length) = self.run_at(&bytes[at..], parts) {
                hits.skip_to(at + length + 1 - self.block_length() as usize);
            } else if parts.iter().any(|&part| matches!(self.signature(part).features.head, Head::Block { .. })) {
                offsets.push(at as u64);
            }
        }
        self.remember_inner(part, offsets)
    }
}

impl<'t> Iterator for Hits<'t, '_> {
    type Item = (usize, &'t [PartId]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(hit) = self.look_up() {
                return Some(hit);
            }
            if !self.take_due() && !self.scan() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matcher::head::{Features, HeadFinder};
    use crate::matcher::{PartId, Signature};
    use proptest::prelude::*;
    use testing::noise;

    const BLOCK: usize = 256;

    fn table(parts: &[Vec<u8>]) -> SignatureTable {
        let signature = |part: &Vec<u8>| {
            let mut finder = HeadFinder::new(BLOCK as u32);
            finder.push(part);
            Signature { length: part.len() as u64, features: finder.finish().unwrap() }
        };
        SignatureTable::new(BLOCK as u32, parts.iter().map(signature).collect())
    }

    /// The block under whose sum the table knows a part.
    fn block<'p>(table: &SignatureTable, parts: &'p [Vec<u8>], part: usize) -> &'p [u8] {
        let offset = match table.signature(PartId(part as u32)).features.head {
            Head::Block { offset, .. } => offset as usize,
            Head::Periodic { .. } => 0,
        };
        &parts[part][offset..][..BLOCK]
    }

    /// Every block with the sum of parts, and whether it is one of theirs.
    fn rolled(table: &SignatureTable, parts: &[Vec<u8>], bytes: &[u8]) -> Vec<(usize, Vec<PartId>, bool)> {
        let hit = |(at, window): (usize, &[u8])| {
            let found = table.parts(Rsync64::of(window));
            let is_one = found.iter().any(|part| block(table, parts, part.0 as usize) == window);
            (!found.is_empty()).then(|| (at, found.to_vec(), is_one))
        };
        bytes.windows(BLOCK).enumerate().filter_map(hit).collect()
    }

    /// Bytes of a kind, as many as asked for.
    #[derive(Debug, Clone)]
    enum Kind {
        Noise,
        /// Words of one sum, though not of the same bytes.
        Woven,
        /// So little in them that there are few anchors, or none.
        Sparse,
        /// A pattern again and again.
        Pattern(Vec<u8>),
    }

    fn kind() -> impl Strategy<Value = Kind> {
        let sparse = vec![Kind::Pattern(vec![0]), Kind::Pattern(vec![7]), Kind::Sparse, Kind::Woven];
        prop_oneof![
            2 => Just(Kind::Noise),
            2 => prop::sample::select(sparse),
            1 => prop::collection::vec(any::<u8>(), 1..100).prop_map(Kind::Pattern),
        ]
    }

    fn make(kind: &Kind, seed: u64, length: usize) -> Vec<u8> {
        let noise = noise(seed, length);
        match kind {
            Kind::Noise => noise,
            Kind::Woven => {
                let order = |byte: &u8| if byte & 1 == 0 { *b"abba" } else { *b"baab" };
                noise.iter().flat_map(order).take(length).collect()
            }
            Kind::Sparse => noise.iter().map(|&byte| u8::from(byte < 8)).collect(),
            Kind::Pattern(unit) => unit.iter().copied().cycle().take(length).collect(),
        }
    }

    #[derive(Debug, Clone)]
    enum Piece {
        Bytes(Kind, usize),
        /// A part's bytes from an offset on, again and again.
        Part(prop::sample::Index, usize, usize, usize),
    }

    fn piece() -> impl Strategy<Value = Piece> {
        prop_oneof![
            (kind(), 0usize..1500).prop_map(|(kind, length)| Piece::Bytes(kind, length)),
            (any::<prop::sample::Index>(), 0usize..20, 100usize..700, 1usize..8)
                .prop_map(|(part, from, length, times)| Piece::Part(part, from, length, times)),
        ]
    }

    fn parts() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let part = prop::collection::vec((kind(), 0usize..400), 1..4);
        prop::collection::vec(part, 1..8).prop_map(|parts| {
            let bytes = |((kind, length), seed): ((Kind, usize), u64)| make(&kind, seed, length);
            let part = |(pieces, seed): (Vec<_>, u64)| -> Vec<u8> {
                pieces.into_iter().zip(seed * 3..).flat_map(bytes).chain(noise(seed, BLOCK)).collect()
            };
            parts.into_iter().zip(0..).map(part).collect()
        })
    }

    fn image(parts: &[Vec<u8>], pieces: &[Piece]) -> Vec<u8> {
        let bytes = |(piece, seed): (&Piece, u64)| match piece {
            Piece::Bytes(kind, length) => make(kind, seed, *length),
            Piece::Part(part, from, length, times) => {
                let part: &Vec<u8> = part.get(parts);
                part[*from..part.len().min(from + length)].repeat(*times)
            }
        };
        pieces.iter().zip(100..).flat_map(bytes).collect()
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_rolling_finds(
            parts in parts(),
            pieces in prop::collection::vec(piece(), 0..12),
            steps in prop::collection::vec(0usize..900, 0..20),
        ) {
            let bytes = image(&parts, &pieces);
            let table = table(&parts);
            let expected = rolled(&table, &parts, &bytes);
            let from = steps.first().copied().unwrap_or(0);
            let mut hits = Hits::new(&table, &bytes, from);
            let mut steps = steps.into_iter().skip(1);
            let mut next = from;
            loop {
                let found = hits.next();
                let end = found.map_or(bytes.len().max(next), |(at, _)| at);
                prop_assert!(next <= end);
                let between = expected.iter().filter(|(at, ..)| (next..end).contains(at));
                for (at, _, is_one) in between {
                    prop_assert!(!is_one, "{at} was skipped");
                }
                let Some((at, parts)) = found else { break };
                let is_expected = |(other, of, _): &(usize, Vec<PartId>, bool)| *other == at && of == parts;
                prop_assert!(expected.iter().any(is_expected), "nothing is at {at}");
                next = at + 1;
                if let Some(step) = steps.next() {
                    next = at + step.max(1);
                    hits.skip_to(next);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn where_anchors_are_not_known_every_block_is_found(
            parts in parts(),
            pieces in prop::collection::vec(piece(), 0..12),
        ) {
            let bytes = image(&parts, &pieces);
            let known = table(&parts);
            let forget = |part: usize| {
                let signature = *known.signature(PartId(part as u32));
                Signature { features: Features { anchor: None, ..signature.features }, ..signature }
            };
            let table = SignatureTable::new(BLOCK as u32, (0..parts.len()).map(forget).collect());
            let expected: Vec<_> = rolled(&table, &parts, &bytes).into_iter().map(|(at, parts, _)| (at, parts)).collect();
            let found: Vec<_> = Hits::rolling(&table, &bytes).map(|(at, parts)| (at, parts.to_vec())).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_table_without_parts_finds_nothing() {
        assert_eq!(SignatureTable::new(256, Vec::new()).hits(&[0; 1000], 0).next(), None);
    }

    #[test]
    fn long_stretches_without_anchors_are_looked_through() {
        let sparse: Vec<u8> = noise(5, 300).iter().map(|&byte| u8::from(byte < 2)).collect();
        let part = [b"\0\x01\0\0\0".repeat(60), sparse.clone()].concat();
        let parts = [part.clone(), vec![0; 300]];
        let table = table(&parts);
        let bytes = [vec![9; 200_000], part.clone(), vec![9; 100_000], part, vec![9; 70_000]].concat();
        let found: Vec<_> = table.hits(&bytes, 0).map(|(at, _)| at).collect();
        let expected: Vec<_> = rolled(&table, &parts, &bytes).iter().map(|hit| hit.0).collect();
        assert!(!expected.is_empty() && found == expected, "{found:?} {expected:?}");
    }
}
