//! Windows: pieces of an image in memory, on their way from where they are read to their sums and to the output.

use std::ops::{Deref, Range};
use std::sync::Arc;

use memmap2::{Advice, MmapMut};
use parking_lot::Mutex;

/// How long a window is, in bytes: long enough for disks, short enough for a core's share of the cache.
pub(super) const WINDOW: usize = 2 << 20;

/// What direct input and output wants offsets, lengths and addresses to be multiples of, in bytes.
pub(super) const BLOCK: usize = 4096;

/// Memory for windows, which is used again: to get it fresh from the system takes longer than to fill it.
#[derive(Default)]
pub(super) struct Pool {
    free: Mutex<Vec<MmapMut>>,
}

impl Pool {
    /// An empty window with room for [`WINDOW`] bytes.
    ///
    /// # Errors
    /// There is no memory.
    pub fn window(self: &Arc<Self>) -> std::io::Result<Window> {
        let free = self.lock().pop();
        let memory = match free {
            Some(memory) => memory,
            None => {
                let memory = MmapMut::map_anon(WINDOW)?;
                // Only advice.
                let _ = memory.advise(Advice::HugePage);
                memory
            }
        };
        Ok(Window { segments: Vec::new(), length: 0, memory: Some(memory), pool: Arc::clone(self) })
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, Vec<MmapMut>> {
        self.free.lock()
    }
}

/// Bytes of an image, usually a stretch of it.
pub(super) struct Window {
    /// What the bytes are, one segment behind the other.
    pub segments: Vec<Segment>,
    length: usize,
    /// Page by page, so that disks can read it directly. It goes back to the pool with the window.
    memory: Option<MmapMut>,
    pool: Arc<Pool>,
}

/// A stretch of a window that belongs to one area.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// The area's place among the plan's.
    pub area: usize,
    /// Where the segment begins in the image, in bytes.
    pub offset: u64,
    /// Where it is in the window.
    pub at: Range<usize>,
    pub origin: Origin,
    /// Whether the area begins with it, and whether it ends with it.
    pub is_first: bool,
    pub is_last: bool,
}

/// Where the bytes of a segment are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Unmatched data, from the template.
    Template,
    /// A part, from one of its places.
    Place,
    /// A part that was in the output already, and was read back.
    Output,
    /// Nowhere: they are zeros, and not the image's.
    Gap,
}

impl Window {
    /// How many more bytes have room.
    pub fn room(&self) -> usize {
        WINDOW - self.length
    }

    /// The next `length` bytes, which are to be filled. They are the window's once [`Window::add`] was called.
    pub fn next(&mut self, length: usize) -> &mut [u8] {
        let start = self.length;
        let memory = self.memory.as_mut().expect("a window has its memory until it goes");
        &mut memory[start..start + length]
    }

    /// Adds the bytes that were filled; `segment` makes a segment of where they are.
    pub fn add(&mut self, length: usize, segment: impl FnOnce(Range<usize>) -> Segment) {
        let at = self.length..self.length + length;
        self.length = at.end;
        self.segments.push(segment(at));
    }

    /// Fills up the last block with zeros, which do not count.
    pub fn pad(&mut self) {
        let padding = self.length.next_multiple_of(BLOCK) - self.length;
        self.next(padding).fill(0);
    }

    /// The window's bytes with those that fill up the last block, once [`Window::pad`] was called.
    pub fn padded(&self) -> &[u8] {
        let end = self.length.next_multiple_of(BLOCK);
        &self.memory.as_ref().expect("a window has its memory until it goes")[..end]
    }

    /// Where the window begins in the image, in bytes, if it is a stretch of it.
    pub fn offset(&self) -> u64 {
        self.segments.first().map_or(0, |segment| segment.offset)
    }
}

impl Deref for Window {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory.as_ref().expect("a window has its memory until it goes")[..self.length]
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.pool.lock().push(memory);
        }
    }
}
