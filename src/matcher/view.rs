//! An image's bytes, from the current window or from the image itself.

use std::io;
use std::ops::{Deref, Range};

use crate::file::Bytes;

/// The current window of an image, and the image for all bytes outside of it.
pub struct ImageView<'a, B: Bytes + ?Sized> {
    pub image: &'a B,
    /// A window of the image, and where it begins.
    pub window: &'a [u8],
    pub window_start: u64,
}

/// A range of an image's bytes, borrowed from the current window or from a window of its own.
pub enum ViewBytes<'a, B: Bytes + ?Sized + 'a> {
    InWindow(&'a [u8]),
    Mapped(B::Window<'a>),
}

impl<'a, B: Bytes + ?Sized + 'a> Deref for ViewBytes<'a, B> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::InWindow(bytes) => bytes,
            Self::Mapped(window) => window,
        }
    }
}

impl<'a, B: Bytes + ?Sized> ImageView<'a, B> {
    /// The end of the current window if `at` is in it; 0 otherwise.
    pub fn end_in_window(&self, at: u64) -> u64 {
        let end = self.window_start + self.window.len() as u64;
        if (self.window_start..end).contains(&at) { end } else { 0 }
    }

    /// The image's bytes in `range`.
    pub fn bytes(&self, range: Range<u64>) -> io::Result<ViewBytes<'a, B>> {
        if range.start >= self.window_start && range.end <= self.window_start + self.window.len() as u64 {
            let index = |offset: u64| (offset - self.window_start) as usize;
            return Ok(ViewBytes::InWindow(&self.window[index(range.start)..index(range.end)]));
        }
        self.image.window(range).map(ViewBytes::Mapped)
    }
}
