//! What a search is about: an image and the parts that it may have.

use std::io;
use std::ops::Range;

use super::head::repetition;
use super::table::SignatureTable;
use super::verify::{Assumption, Reach, verify};
use super::{Bytes, Match, PartId, PartSums};
use crate::digest::Checksum;

/// How many bytes are looked at together outside of the window at hand.
pub const STRETCH: u64 = 4 << 20;

/// How many blocks are looked up between two looks at whether what follows is one byte repeated.
const PIECE: u64 = 1 << 16;

/// An image, the parts that are searched for in it, and where more of these can be known.
pub struct Subject<'a, B: Bytes + ?Sized> {
    pub table: &'a SignatureTable,
    pub image: &'a B,
    pub sums: &'a dyn PartSums,
    pub checksum: Checksum,
}

impl<B: Bytes + ?Sized> Clone for Subject<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Bytes + ?Sized> Copy for Subject<'_, B> {}

impl<'a, B: Bytes + ?Sized> Subject<'a, B> {
    /// The block length, in bytes.
    pub fn block(&self) -> u64 {
        self.table.block_length().into()
    }

    /// Where the scan goes on behind a part, or a run, that ends at `end`: the next part may begin in its last bytes.
    pub fn behind(&self, end: u64) -> u64 {
        (end + 1).saturating_sub(self.block())
    }

    /// The image's bytes, none of which are at hand.
    pub fn reach(&self) -> Reach<'a, B> {
        Reach { image: self.image, window: &[], window_start: 0 }
    }

    /// For each assumption the candidates that it holds for: see [`verify`].
    pub fn verify(&self, assumptions: &[Assumption], reach: &Reach<'_, B>) -> io::Result<Vec<Vec<Match>>> {
        verify(assumptions, reach, self.sums, self.checksum)
    }

    /// The first block that begins in `stretch` and that parts have: its offset, and these parts.
    pub fn next_hit(&self, stretch: Range<u64>, reach: &Reach<'_, B>) -> io::Result<Option<(u64, &'a [PartId])>> {
        let mut at = stretch.start;
        while at < stretch.end {
            let end = reach.end_at_hand(at).saturating_sub(self.block() - 1);
            let end = if end > at { stretch.end.min(end) } else { stretch.end.min(at + STRETCH) };
            let bytes = reach.bytes(at..end + self.block() - 1)?;
            if let Some((offset, parts)) = self.next_hit_in(&bytes) {
                return Ok(Some((at + offset as u64, parts)));
            }
            at = end;
        }
        Ok(None)
    }

    /// The first block of `bytes` that parts have.
    fn next_hit_in(&self, bytes: &[u8]) -> Option<(usize, &'a [PartId])> {
        let block = self.block() as usize;
        let piece = (PIECE as usize).max(16 * block);
        let mut at = 0;
        while at + block <= bytes.len() {
            let constant = repetition(&bytes[at..], 1);
            if constant >= piece && self.table.next(&bytes[at..at + block], 0).is_none() {
                at += constant + 1 - block;
                continue;
            }
            let end = bytes.len().min(at + piece + block - 1);
            if let Some((offset, parts)) = self.table.next(&bytes[at..end], 0) {
                return Some((at + offset, parts));
            }
            at = end + 1 - block;
        }
        None
    }
}
