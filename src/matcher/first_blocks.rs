//! Where parts may begin if only the sums of their first blocks are known.

use std::ops::Range;

use super::PartId;
use super::head::{period, repetition};
use super::scan::Hits;
use super::table::SignatureTable;

/// The places in a range of bytes where first blocks of parts are, in order. A block that only has the sum of a part's
/// is among them.
pub struct FirstBlocks<'t, 'b> {
    bytes: &'b [u8],
    block_length: usize,
    hits: Hits<'t, 'b>,
}

/// Where parts may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning<'t> {
    /// The block, or the run of bytes that repeat themselves after a short period: the parts may begin with any block
    /// in it. Offsets are from the first of the bytes.
    pub range: Range<usize>,
    /// For a run, whether it begins where the range does; also true where too few bytes precede it to tell. `None` for a
    /// block that does not repeat itself.
    pub run_begins: Option<bool>,
    /// The longest first.
    pub parts: &'t [PartId],
}

impl<'t, 'b> FirstBlocks<'t, 'b> {
    /// Those in `bytes` that begin at `from` or later. The signatures in `table` are of first blocks: see
    /// [`Signature::of_first_block`](super::Signature::of_first_block).
    pub fn new(table: &'t SignatureTable, bytes: &'b [u8], from: usize) -> Self {
        let mut hits = Hits::rolling(table, bytes);
        hits.skip_to(from);
        Self { bytes, block_length: table.block_length() as usize, hits }
    }
}

impl<'t> Iterator for FirstBlocks<'t, '_> {
    type Item = Beginning<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        let (bytes, block) = (self.bytes, self.block_length);
        let (at, parts) = self.hits.next()?;
        let Some(period) = period(&bytes[at..at + block]).map(|period| period as usize) else {
            return Some(Beginning { range: at..at + block, run_begins: None, parts });
        };
        let end = at + repetition(&bytes[at..], period);
        let run_begins = at < period || bytes[at - 1] != bytes[at - 1 + period];
        self.hits.skip_to(end + 1 - block);
        Some(Beginning { range: at..end, run_begins: Some(run_begins), parts })
    }
}
