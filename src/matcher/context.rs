//! What all steps of a search share: the image and the parts that it may have.

use std::io;
use std::ops::Range;

use rayon::ThreadPool;

use super::head::Head;
use super::table::SignatureTable;
use super::view::ImageView;
use super::{PartId, PartSums};
use crate::file::Bytes;

/// How many bytes are examined at a time outside of the current window.
pub const CHUNK: u64 = 4 << 20;

/// An image, the parts that are searched for in it, and their sums.
pub struct Context<'a, B: Bytes + ?Sized> {
    pub table: &'a SignatureTable,
    pub image: &'a B,
    pub sums: &'a dyn PartSums,
    /// The pool in which the work is done; `None` for the calling thread.
    pub pool: Option<&'a ThreadPool>,
}

impl<B: Bytes + ?Sized> Clone for Context<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Bytes + ?Sized> Copy for Context<'_, B> {}

impl<'a, B: Bytes + ?Sized> Context<'a, B> {
    /// Runs `work` in the pool. The calling thread only waits, for this and for hashes.
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
        matches!(self.table.signature(part).features.head, Head::Periodic { .. })
    }

    /// Where the scan resumes after a part, or a run, that ends at `end`: the next part may overlap its last bytes.
    pub fn resume_after(&self, end: u64) -> u64 {
        (end + 1).saturating_sub(self.block())
    }

    /// A view of the image without a window.
    pub fn view(&self) -> ImageView<'a, B> {
        ImageView { image: self.image, window: &[], window_start: 0 }
    }

    /// Passes each block that begins in `stretch` and belongs to parts to `take`, which returns the offset from which to
    /// look for the next one. Returns the offset where the search ended, which may be beyond the stretch.
    pub fn each_hit(
        &self,
        stretch: Range<u64>,
        view: &ImageView<'_, B>,
        mut take: impl FnMut(u64, &'a [PartId]) -> io::Result<u64>,
    ) -> io::Result<u64> {
        let mut at = stretch.start;
        while at < stretch.end {
            let end = (view.end_in_window(at) + 1).saturating_sub(self.block());
            let end = if end > at { stretch.end.min(end) } else { stretch.end.min(at + CHUNK) };
            let bytes = view.bytes(at..end + self.block() - 1)?;
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
            hits.skip_to(at as usize);
        }
        Ok(at.max((bytes.len() + 1).saturating_sub(self.block() as usize) as u64))
    }
}
