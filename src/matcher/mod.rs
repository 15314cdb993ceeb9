//! Finds the parts of a mirror in an image: every part whose bytes occur there, and the cover of the image with the
//! most bytes.
//!
//! `docs/matcher.md` explains it all on one page. A [`SignatureTable`] has one block of each part. A [`Search`] looks for
//! these blocks in the image in one of two ways, with the same result. The quick way assumes the longest part whose block
//! it finds, jumps to the part's end, and verifies the assumption; where too many assumptions are wrong, the thorough way
//! checks fingerprints at every block instead. `cover` chooses among matches that overlap. Nothing here knows files: an
//! image is [`Bytes`](crate::file::Bytes), and parts are reached through [`PartSums`].

mod anchors;
mod context;
mod cover;
mod fingerprint;
mod first_blocks;
mod head;
mod prefixes;
mod quick;
mod run;
mod runs;
mod scan;
mod search;
mod table;
mod thorough;
mod verify;
mod view;

pub use anchors::Anchor;
pub use first_blocks::{Beginning, FirstBlocks};
pub use head::{Features, Head, HeadFinder};
pub use search::{Search, search};
pub use table::SignatureTable;

// What tests, benchmarks and fuzzing hold the search to.
#[doc(hidden)]
pub use anchors::{Anchors, WINDOW};
#[doc(hidden)]
pub use cover::cover;

use std::ops::Range;

use jigdo::{Checksum, Rsync64, Sum};

use crate::digest::Content;

/// A part, by its place in the order of preference: of equal parts, the one with the lower number is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartId(pub u32);

/// What the search must know about a part in advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// In bytes; at least the block length.
    pub length: u64,
    /// What the scan looks for.
    pub features: Features,
}

impl Signature {
    /// The signature of a part of `length` bytes of which only the sum of the first block is known: see [`FirstBlocks`].
    pub fn of_first_block(length: u64, rsync64: Rsync64) -> Self {
        Self { length, features: Features { head: Head::Block { offset: 0, rsync64 }, first: rsync64, anchor: None } }
    }
}

/// What proves that a part is in an image, and what is recorded if it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartSum {
    /// The hash that is compared with the image's bytes.
    pub content: Content,
    /// Of the same bytes, read at the same time.
    pub sum: Sum,
}

impl PartSum {
    /// Both sums of a part with these bytes.
    pub fn of(checksum: Checksum, bytes: &[u8]) -> Self {
        Self { content: Content::of(checksum, bytes), sum: Sum::of(checksum, bytes) }
    }
}

/// Supplies what must be known about parts beyond their signatures. It may have to read them for that.
pub trait PartSums: Sync {
    /// The checksum of the sets that the parts are for.
    fn checksum(&self) -> Checksum;

    /// Starts to compute the sums of these parts in the background, as they will be needed soon.
    fn prefetch(&self, _parts: &[PartId]) {}

    /// The sums of each of these parts; `None` for a part that cannot be read, which then is not matched.
    fn sums(&self, parts: &[PartId]) -> Vec<Option<PartSum>>;

    /// Passes a part's bytes to `take`, unless they cannot be read. Only called where sums are not enough.
    fn read(&self, part: PartId, take: &mut dyn FnMut(&[u8]));
}

/// A part that was proven to be at an offset of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Match {
    /// The offset in the image, in bytes.
    pub start: u64,
    /// The part's length, in bytes.
    pub length: u64,
    /// The part.
    pub part: PartId,
    /// The part's sum, as the template will have it.
    pub sum: Sum,
}

impl Match {
    /// The offset after the part's last byte.
    pub fn end(&self) -> u64 {
        self.start + self.length
    }
}

impl cover::Placed for Match {
    fn placement(&self) -> cover::Placement {
        cover::Placement { start: self.start, length: self.length, part: self.part }
    }
}

/// A stretch of the image, as the template will describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Area {
    /// Nothing covers these bytes.
    Unmatched(Range<u64>),
    /// A part covers these bytes.
    Part(Match),
}

/// The image as a sequence of areas, without gaps; unmatched ones never touch each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// The areas, in the order of the image.
    pub areas: Vec<Area>,
}

impl Layout {
    /// Adds an area at the end; unmatched data that continues the last area is joined to it.
    pub fn push(&mut self, area: Area) {
        match (self.areas.last_mut(), &area) {
            (Some(Area::Unmatched(last)), Area::Unmatched(next)) if last.end == next.start => last.end = next.end,
            (_, Area::Unmatched(range)) if range.is_empty() => {}
            _ => self.areas.push(area),
        }
    }

    /// The parts, in the order of the image.
    pub fn parts(&self) -> impl Iterator<Item = &Match> {
        self.areas.iter().filter_map(|area| match area {
            Area::Part(part) => Some(part),
            Area::Unmatched(_) => None,
        })
    }

    /// How many bytes parts cover.
    pub fn matched(&self) -> u64 {
        self.parts().map(|part| part.length).sum()
    }
}
