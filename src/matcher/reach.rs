//! An image's bytes, from the window at hand or from the image itself.

use std::io;
use std::ops::{Deref, Range};

use crate::file::Bytes;

/// The bytes of an image that are at hand, and the image for all others.
pub struct Reach<'a, B: Bytes + ?Sized> {
    pub image: &'a B,
    /// A window of the image, and where it begins.
    pub window: &'a [u8],
    pub window_start: u64,
}

/// A range of an image's bytes, borrowed from the window at hand or mapped for itself.
pub enum Stretch<'a, B: Bytes + ?Sized + 'a> {
    AtHand(&'a [u8]),
    Apart(B::Window<'a>),
}

impl<'a, B: Bytes + ?Sized + 'a> Deref for Stretch<'a, B> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::AtHand(bytes) => bytes,
            Self::Apart(window) => window,
        }
    }
}

impl<'a, B: Bytes + ?Sized> Reach<'a, B> {
    /// Up to which offset the bytes from `at` on are at hand; 0 if they are not.
    pub fn end_at_hand(&self, at: u64) -> u64 {
        let end = self.window_start + self.window.len() as u64;
        if (self.window_start..end).contains(&at) { end } else { 0 }
    }

    /// The image's bytes in `range`.
    pub fn bytes(&self, range: Range<u64>) -> io::Result<Stretch<'a, B>> {
        if range.start >= self.window_start && range.end <= self.window_start + self.window.len() as u64 {
            let index = |offset: u64| (offset - self.window_start) as usize;
            return Ok(Stretch::AtHand(&self.window[index(range.start)..index(range.end)]));
        }
        self.image.window(range).map(Stretch::Apart)
    }
}
