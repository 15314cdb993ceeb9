//! Windows: buffers with pieces of an image, which are summed and written after they are read. An image has only a few
//! at a time, so reading never runs far ahead of summing and writing.

use std::io;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytes::Bytes;
use memmap2::{Advice, MmapMut};
use parking_lot::{Condvar, Mutex};

/// The length of a window in bytes: long enough for disks, short enough for a core's share of the cache.
pub(super) const WINDOW: usize = 2 << 20;

/// The alignment of offsets, lengths and addresses that direct I/O requires, in bytes.
pub(super) const BLOCK: usize = 4096;

/// How many windows an image has at most: one being filled, one being summed, and two between them. Windows that are
/// still being written count too.
const MOST_WINDOWS: usize = 4;

/// Memory for windows. It is reused, because getting it from the system takes longer than filling it.
#[derive(Default)]
pub(super) struct Pool {
    free: Mutex<Vec<MmapMut>>,
}

impl Pool {
    fn memory(&self) -> io::Result<MmapMut> {
        let free = self.free.lock().pop();
        match free {
            Some(memory) => Ok(memory),
            None => {
                let memory = MmapMut::map_anon(WINDOW)?;
                // This is only a hint.
                let _ = memory.advise(Advice::HugePage);
                Ok(memory)
            }
        }
    }
}

/// The windows of one image.
pub(super) struct Windows(Arc<Lent>);

/// Counts the windows that one image has.
struct Lent {
    pool: Arc<Pool>,
    count: Mutex<usize>,
    /// Notified when a window is released.
    released: Condvar,
}

impl Windows {
    /// Starts with no windows. Their memory comes from `pool`.
    pub fn new(pool: &Arc<Pool>) -> Self {
        Self(Arc::new(Lent { pool: Arc::clone(pool), count: Mutex::new(0), released: Condvar::new() }))
    }

    /// Returns an empty window with room for [`WINDOW`] bytes. Waits while the image has as many windows as it may.
    ///
    /// # Errors
    /// Memory cannot be allocated.
    pub fn next(&self) -> io::Result<Window> {
        let mut count = self.0.count.lock();
        while *count >= MOST_WINDOWS {
            self.0.released.wait(&mut count);
        }
        let memory = Some(self.0.pool.memory()?);
        *count += 1;
        Ok(Window { segments: Vec::new(), length: 0, memory, lent: Arc::clone(&self.0) })
    }
}

/// Bytes of an image, usually contiguous.
pub(super) struct Window {
    /// What the bytes are, one segment after the other.
    pub segments: Vec<Segment>,
    length: usize,
    /// Aligned to a page for direct I/O. Returns to the pool when the window is dropped.
    memory: Option<MmapMut>,
    lent: Arc<Lent>,
}

/// The bytes of a window that belong to one area.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// The area's index in the plan.
    pub area: usize,
    /// The segment's offset in the image, in bytes.
    pub offset: u64,
    /// The segment's range in the window.
    pub at: Range<usize>,
    pub origin: Origin,
    /// Whether the segment is the first of its area, and whether it is the last.
    pub is_first: bool,
    pub is_last: bool,
}

/// Where the bytes of a segment come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Unmatched data, from the template.
    Template,
    /// A part, from one of its places.
    PartPlace,
    /// Bytes that were already in the output and were read back.
    Output,
    /// Nowhere: zeros in place of bytes that are missing.
    Gap,
}

impl Window {
    /// How many more bytes fit.
    pub fn room(&self) -> usize {
        WINDOW - self.length
    }

    /// The next `length` bytes, for the caller to fill and then to add with [`Window::add`].
    pub fn next(&mut self, length: usize) -> &mut [u8] {
        let start = self.length;
        let memory = self.memory.as_mut().expect("a window has its memory until it goes");
        &mut memory[start..start + length]
    }

    /// Adds the bytes that were filled. `segment` makes a segment from their range.
    pub fn add(&mut self, length: usize, segment: impl FnOnce(Range<usize>) -> Segment) {
        let at = self.length..self.length + length;
        self.length = at.end;
        self.segments.push(segment(at));
    }

    /// Pads the last block with zeros, which are not part of the window.
    pub fn pad(&mut self) {
        let padding = self.length.next_multiple_of(BLOCK) - self.length;
        self.next(padding).fill(0);
    }

    /// The window's bytes and the zeros after them. Call [`Window::pad`] first.
    pub fn padded(&self) -> &[u8] {
        let end = self.length.next_multiple_of(BLOCK);
        &self.memory.as_ref().expect("a window has its memory until it goes")[..end]
    }

    /// The window's offset in the image, in bytes. Meaningful only if its bytes are contiguous there.
    pub fn offset(&self) -> u64 {
        self.segments.first().map_or(0, |segment| segment.offset)
    }
}

impl Window {
    /// The bytes of a window. The window is not released before they are dropped.
    pub fn bytes(window: &Arc<Self>) -> Bytes {
        struct Shared(Arc<Window>);
        impl AsRef<[u8]> for Shared {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        Bytes::from_owner(Shared(Arc::clone(window)))
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
            self.lent.pool.free.lock().push(memory);
        }
        *self.lent.count.lock() -= 1;
        self.lent.released.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_few_windows_at_a_time_and_gets_another_when_one_is_released() {
        let pool = Arc::new(Pool::default());
        let (windows, other) = (Windows::new(&pool), Windows::new(&pool));
        let mut held: Vec<_> = (0..MOST_WINDOWS).map(|_| Arc::new(windows.next().unwrap())).collect();
        other.next().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| windows.next().map(drop));
            let bytes = Window::bytes(&held[0]);
            drop(held.pop());
            waiting.join().unwrap().unwrap();
            held.clear();
            // The first window is not released before its bytes are.
            let again: Vec<_> = (1..MOST_WINDOWS).map(|_| windows.next().unwrap()).collect();
            let waiting = scope.spawn(|| windows.next().map(drop));
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!waiting.is_finished());
            drop(bytes);
            waiting.join().unwrap().unwrap();
            drop(again);
        });
        assert!(pool.free.lock().len() <= MOST_WINDOWS + 1);
    }
}
