//! The trait of everything whose bytes can be read through windows.

use std::io;
use std::ops::{Deref, Range};

use jigdo::Checksum;

use crate::digest::Content;

/// Ranges of bytes that begin at the same offset. All offsets are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Where all of them begin.
    pub start: u64,
    /// Where each range ends, exclusively, in ascending order.
    pub ends: Vec<u64>,
}

/// Bytes that are read through windows.
pub trait Bytes: Sync {
    /// A range of the bytes, in memory.
    type Window<'a>: Deref<Target = [u8]> + Send + Sync
    where
        Self: 'a;

    /// How many bytes there are.
    fn length(&self) -> u64;

    /// The bytes in `range`.
    ///
    /// # Errors
    /// When they cannot be read, or `range` goes beyond the end.
    fn window(&self, range: Range<u64>) -> io::Result<Self::Window<'_>>;

    /// The content hashes of each range of `regions`, of the kind for sets whose sums are `checksum`; `None` for a region
    /// that the caller must hash itself, through a window. An implementation may know a faster way.
    ///
    /// # Errors
    /// When a region cannot be read.
    fn contents(&self, _checksum: Checksum, regions: &[Region]) -> io::Result<Vec<Option<Vec<Content>>>> {
        Ok(vec![None; regions.len()])
    }
}

impl Bytes for [u8] {
    type Window<'a> = &'a [u8];

    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn window(&self, range: Range<u64>) -> io::Result<&[u8]> {
        let index = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        self.get(index(range.start)..index(range.end)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
