//! Templates: the image as a sequence of areas, with the unmatched data compressed.
//!
//! A template has a header of three lines, the unmatched data in pieces that are compressed one by one, and a
//! description of the image. [`Writer`] makes one from areas in image order. [`Template`] reads one from any input
//! that can seek. All integers in it are little-endian; most have 48 bits.

pub mod description;
mod reader;
mod tmp;
mod unmatched;
mod workers;
mod writer;

pub use reader::{Error, Piece, Template};
pub use tmp::Tmp;
pub use unmatched::Unmatched;
pub use workers::{Sequential, Workers};
pub use writer::{Options, WriteError, Writer, longest_template};

use crate::{Rsync64, Sum};

/// The words that every template begins with.
pub const MAGIC: &[u8] = b"JigsawDownload template ";

/// The largest length that a template can state, in bytes: its lengths have 48 bits.
pub const MAX_LENGTH: u64 = (1 << 48) - 1;

/// A contiguous range of the image. Areas follow one another without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Area {
    /// Bytes that no part covers; the template carries them.
    Unmatched {
        /// In bytes, at most [`MAX_LENGTH`].
        length: u64,
    },
    /// The whole content of one file of a mirror.
    Part {
        /// In bytes, at most [`MAX_LENGTH`].
        length: u64,
        /// The rolling checksum of the part's first block; `None` in templates of version 1.0.
        rsync64: Option<Rsync64>,
        /// The strong sum of the whole part.
        sum: Sum,
    },
}

impl Area {
    /// The area's length, in bytes.
    pub fn length(&self) -> u64 {
        match *self {
            Self::Unmatched { length } | Self::Part { length, .. } => length,
        }
    }
}

/// What a template says of the image as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageEntry {
    /// In bytes, at most [`MAX_LENGTH`].
    pub length: u64,
    /// The strong sum of the whole image.
    pub sum: Sum,
    /// The length in bytes of the block that parts' rsync64 sums cover; `None` in templates of version 1.0.
    pub block_length: Option<u32>,
}

/// The image as a template describes it. The areas' lengths add up to the image's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// In image order.
    pub areas: Vec<Area>,
    /// The image's length and sum.
    pub image: ImageEntry,
}

impl Description {
    /// How many bytes of the image are unmatched data.
    pub fn unmatched_length(&self) -> u64 {
        self.areas.iter().filter(|area| matches!(area, Area::Unmatched { .. })).map(Area::length).sum()
    }

    /// Every area with its offset in the image, in bytes, in image order.
    pub fn with_offsets(&self) -> impl Iterator<Item = (u64, &Area)> {
        self.areas.iter().scan(0, |next, area| {
            let offset = *next;
            *next += area.length();
            Some((offset, area))
        })
    }
}

/// How pieces of unmatched data are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compression {
    /// One zlib stream (RFC 1950) a piece. `jigdo-file`'s options call it gzip, so it has that name here too.
    Gzip,
    /// One bzip2 stream a piece.
    Bzip2,
}

impl Compression {
    /// The four bytes that introduce a piece.
    pub fn id(self) -> [u8; 4] {
        match self {
            Self::Gzip => *b"DATA",
            Self::Bzip2 => *b"BZIP",
        }
    }

    /// The inverse of [`Compression::id`].
    pub fn from_id(id: [u8; 4]) -> Option<Self> {
        [Self::Gzip, Self::Bzip2].into_iter().find(|compression| compression.id() == id)
    }

    /// `gzip` or `bzip2`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
        }
    }
}

/// The four bytes that introduce the description.
const DESCRIPTION_ID: [u8; 4] = *b"DESC";

/// The length of what introduces a description, its id and its length, in bytes.
const DESCRIPTION_HEAD: u64 = 10;

/// The length of what introduces a piece, its id and its two lengths, in bytes.
const PIECE_HEAD: u64 = 16;

/// The six bytes of a 48-bit integer.
///
/// `value` must be at most [`MAX_LENGTH`]; higher bits are lost.
fn u48_bytes(value: u64) -> [u8; 6] {
    let [a, b, c, d, e, f, ..] = value.to_le_bytes();
    [a, b, c, d, e, f]
}

/// The 48-bit integer of six bytes.
fn u48([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_takes_as_much_memory_as_the_limit_on_their_number_assumes() {
        assert_eq!(size_of::<Area>(), 56);
    }
}
