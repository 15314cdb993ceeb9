//! Bytes that are looked at through windows, whatever holds them.

use std::io;
use std::ops::{Deref, Range};

use jigdo::Checksum;

use crate::digest::Content;

/// Ranges of bytes that begin at one offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    pub start: u64,
    /// The offsets behind the last byte of each, ascending.
    pub ends: Vec<u64>,
}

/// Bytes that are looked at through windows.
pub trait Bytes: Sync {
    /// A range of the bytes.
    type Window<'a>: Deref<Target = [u8]> + Send + Sync
    where
        Self: 'a;

    /// How many there are.
    fn length(&self) -> u64;

    /// Those in `range`; an error if they cannot be read, or some of them do not exist.
    fn window(&self, range: Range<u64>) -> io::Result<Self::Window<'_>>;

    /// The content hashes of regions, of the kind for sets whose sums are `checksum`, where they can be had better than
    /// by hashing a window.
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
