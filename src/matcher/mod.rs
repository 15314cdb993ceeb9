//! Finds the parts of a mirror in an image: every part whose bytes occur there, and the cover of the image with the
//! most bytes.
//!
//! `docs/matcher.md` explains the whole on a page. A [`SignatureTable`] knows one block of each part. A
//! [`Search`] goes over the image with it in one of two ways, which find the same: the quick way assumes the
//! longest part whose block it meets, jumps behind it, and verifies what it assumed; the thorough way, taken where too
//! many assumptions are wrong, asks fingerprints at every block that parts have. `cover` chooses among the matches
//! that overlap. Nothing here knows files: an image is [`Bytes`], parts are reached through [`PartSums`].

mod anchors;
mod cover;
mod fingerprint;
mod first_blocks;
mod head;
mod prefixes;
mod quick;
mod reach;
mod run;
mod runs;
mod scan;
mod search;
mod subject;
mod table;
mod thorough;
mod verify;

pub use anchors::Anchor;
pub use first_blocks::{Beginning, FirstBlocks};
pub use head::{Head, HeadFinder, Marks};
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

/// What the search must know of a part beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// In bytes; at least the block length.
    pub length: u64,
    pub marks: Marks,
}

impl Signature {
    /// The signature of a part of `length` bytes of which nothing is known but the sum of its first block: see
    /// [`FirstBlocks`].
    pub fn of_first_block(length: u64, rsync64: Rsync64) -> Self {
        Self { length, marks: Marks { head: Head::Block { offset: 0, rsync64 }, first: rsync64, anchor: None } }
    }
}

/// What proves that a part stands in an image, and what is recorded then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartSum {
    pub content: Content,
    /// Of the same bytes, read at the same time.
    pub sum: Sum,
}

impl PartSum {
    /// Both of a part's bytes.
    pub fn of(checksum: Checksum, bytes: &[u8]) -> Self {
        Self { content: Content::of(checksum, bytes), sum: Sum::of(checksum, bytes) }
    }
}

/// Gives what must be known of parts beyond their signatures, reading the parts if it must.
pub trait PartSums: Sync {
    /// What the sums are.
    fn checksum(&self) -> Checksum;

    /// Says that the sums of these parts will be asked for soon.
    fn prefetch(&self, _parts: &[PartId]) {}

    /// The sums of each of these parts; `None` for one that cannot be had, which then is not matched.
    fn sums(&self, parts: &[PartId]) -> Vec<Option<PartSum>>;

    /// Gives a part's bytes to `take`, unless they cannot be had. Only asked for where sums do not tell enough.
    fn read(&self, part: PartId, take: &mut dyn FnMut(&[u8]));
}

/// A part proven to stand at an offset of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Match {
    /// The offset in the image, in bytes.
    pub start: u64,
    /// The part's length, in bytes.
    pub length: u64,
    pub part: PartId,
    pub sum: Sum,
}

impl Match {
    /// The offset behind the part's last byte.
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
    Part(Match),
}

/// The image as a sequence of areas, without gaps; unmatched ones never touch each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
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
