//! Windows: pieces of an image in memory, on their way from where they are read to their sums and to the output. Each
//! image may have a few at a time, so that reading never runs far ahead of summing and writing.

use std::io;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytes::Bytes;
use memmap2::{Advice, MmapMut};
use parking_lot::{Condvar, Mutex};

/// How long a window is, in bytes: long enough for disks, short enough for a core's share of the cache.
pub(super) const WINDOW: usize = 2 << 20;

/// What direct input and output wants offsets, lengths and addresses to be multiples of, in bytes.
pub(super) const BLOCK: usize = 4096;

/// How many windows of an image exist at a time: one that is filled, one that is summed, and two between them. A window
/// that is still being written counts too.
const MOST_WINDOWS: usize = 4;

/// Memory for windows, which is reused: getting it from the system takes longer than filling it.
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
                // Only advice.
                let _ = memory.advise(Advice::HugePage);
                Ok(memory)
            }
        }
    }
}

/// The windows of one image.
pub(super) struct Windows(Arc<Lent>);

/// Counts the windows of one image.
struct Lent {
    pool: Arc<Pool>,
    count: Mutex<usize>,
    /// Notified when a window is released.
    released: Condvar,
}

impl Windows {
    /// None yet; their memory is this pool's.
    pub fn new(pool: &Arc<Pool>) -> Self {
        Self(Arc::new(Lent { pool: Arc::clone(pool), count: Mutex::new(0), released: Condvar::new() }))
    }

    /// An empty window with room for [`WINDOW`] bytes. Waits while the image has as many windows as it may have.
    ///
    /// # Errors
    /// There is no memory.
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

/// Bytes of an image, usually a stretch of it.
pub(super) struct Window {
    /// What the bytes are, one segment after the other.
    pub segments: Vec<Segment>,
    length: usize,
    /// Begins at a page, so that disks can read it directly. It returns to the pool when the window is dropped.
    memory: Option<MmapMut>,
    lent: Arc<Lent>,
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

    /// The next `length` bytes, to be filled by the caller. They belong to the window after [`Window::add`].
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

    /// Fills up the last block with zeros, which are not part of the window.
    pub fn pad(&mut self) {
        let padding = self.length.next_multiple_of(BLOCK) - self.length;
        self.next(padding).fill(0);
    }

    /// The window's bytes and the zeros that fill up the last block, after [`Window::pad`].
    pub fn padded(&self) -> &[u8] {
        let end = self.length.next_multiple_of(BLOCK);
        &self.memory.as_ref().expect("a window has its memory until it goes")[..end]
    }

    /// Where the window begins in the image, in bytes, if it is a stretch of it.
    pub fn offset(&self) -> u64 {
        self.segments.first().map_or(0, |segment| segment.offset)
    }
}

impl Window {
    /// The bytes of a window, which keep it from being released.
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
            // The first one is not released before its bytes are.
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
