//! What is known of an image from an earlier run: its sums, and what stands where. As long as the image is what it was,
//! nothing of it that is known is hashed again, whatever has changed in the mirrors.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::{Algorithm, Content};
use crate::image::{Mapped, Window};
use crate::matcher::Bytes;
use crate::stamp::Stamp;

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Of the image that it is known of.
    pub image: Stamp,
    /// Whole-file sums.
    pub sums: BTreeMap<Algorithm, Vec<u8>>,
    /// Ranges with the hashes of their content.
    pub contents: Vec<(Range<u64>, Content)>,
}

/// An image with what is known of it.
pub struct Image {
    pub mapped: Arc<Mapped>,
    sums: BTreeMap<Algorithm, Vec<u8>>,
    contents: HashMap<Range<u64>, Content>,
}

impl Image {
    /// The image, with what is known of it if that is of the same one.
    pub fn new(mapped: Mapped, known: Option<Known>) -> Self {
        let known = known.filter(|known| known.image == mapped.stamp());
        let (sums, contents) = known.map(|known| (known.sums, known.contents)).unwrap_or_default();
        Self { mapped: Arc::new(mapped), sums, contents: contents.into_iter().collect() }
    }

    /// The image's sum, if it is known.
    pub fn sum(&self, algorithm: Algorithm) -> Option<&Vec<u8>> {
        self.sums.get(&algorithm)
    }
}

impl Bytes for Image {
    type Window<'a> = Window<'a>;

    fn length(&self) -> u64 {
        self.mapped.length()
    }

    fn window(&self, range: Range<u64>) -> io::Result<Window<'_>> {
        self.mapped.window(range)
    }

    fn known_content(&self, range: Range<u64>) -> Option<Content> {
        self.contents.get(&range).copied()
    }
}
