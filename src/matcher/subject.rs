//! What a search is about: an image and the parts that it may have.

use std::io;
use std::ops::Range;

use rayon::ThreadPool;

use super::head::Head;
use super::reach::Reach;
use super::table::SignatureTable;
use super::{PartId, PartSums};
use crate::file::Bytes;

/// How many bytes are looked at together outside of the window at hand.
pub const STRETCH: u64 = 4 << 20;

/// An image, the parts that are searched for in it, and where more of these can be known.
pub struct Subject<'a, B: Bytes + ?Sized> {
    pub table: &'a SignatureTable,
    pub image: &'a B,
    pub sums: &'a dyn PartSums,
    /// Where the work is done; in this thread if there is none.
    pub pool: Option<&'a ThreadPool>,
}

impl<B: Bytes + ?Sized> Clone for Subject<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Bytes + ?Sized> Copy for Subject<'_, B> {}

impl<'a, B: Bytes + ?Sized> Subject<'a, B> {
    /// Does work in the pool. The thread that leads the search only waits, for that and for hashes.
    pub fn work<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// The block length, in bytes.
    pub fn block(&self) -> u64 {
        self.table.block_length().into()
    }

    /// A part's length, in bytes.
    pub fn length(&self, part: PartId) -> u64 {
        self.table.signature(part).length
    }

    /// Whether a part is periodic as a whole.
    pub fn is_periodic(&self, part: PartId) -> bool {
        matches!(self.table.signature(part).marks.head, Head::Periodic { .. })
    }

    /// Where the scan goes on behind a part, or a run, that ends at `end`: the next part may begin in its last bytes.
    pub fn behind(&self, end: u64) -> u64 {
        (end + 1).saturating_sub(self.block())
    }

    /// The image's bytes, none of which are at hand.
    pub fn reach(&self) -> Reach<'a, B> {
        Reach { image: self.image, window: &[], window_start: 0 }
    }

    /// Gives each block that begins in `stretch` and that parts have to `take`, which says from where on to look for
    /// the next one. Gives the offset where the last look ended, which may be beyond the stretch.
    pub fn each_hit(
        &self,
        stretch: Range<u64>,
        reach: &Reach<'_, B>,
        mut take: impl FnMut(u64, &'a [PartId]) -> io::Result<u64>,
    ) -> io::Result<u64> {
        let mut at = stretch.start;
        while at < stretch.end {
            let end = (reach.end_at_hand(at) + 1).saturating_sub(self.block());
            let end = if end > at { stretch.end.min(end) } else { stretch.end.min(at + STRETCH) };
            let bytes = reach.bytes(at..end + self.block() - 1)?;
            at += self.each_hit_in(&bytes, |offset, parts| Ok(take(at + offset, parts)? - at))?;
        }
        Ok(at)
    }

    /// The same for all blocks of `bytes`; offsets are from the first of these.
    fn each_hit_in(&self, bytes: &[u8], mut take: impl FnMut(u64, &'a [PartId]) -> io::Result<u64>) -> io::Result<u64> {
        let mut hits = self.table.hits(bytes, 0);
        let mut at = 0;
        while let Some((offset, parts)) = hits.next() {
            at = take(offset as u64, parts)?;
            if at >= bytes.len() as u64 {
                return Ok(at);
            }
            hits.go_on(at as usize);
        }
        Ok(at.max((bytes.len() + 1).saturating_sub(self.block() as usize) as u64))
    }
}
