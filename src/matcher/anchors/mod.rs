//! Anchors: positions that are selected by the bytes there, so that the same bytes have the same anchors everywhere.
//!
//! A block has the same anchors in an image as in the part that begins with it. So the scan need not examine each block:
//! it finds the image's anchors, which takes one multiplication per position, in lanes, and looks up only the blocks that
//! have a known anchor at the right offset.

mod known;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "a kernel is made of intrinsics")]
mod x86;

use std::num::NonZeroU32;
use std::sync::LazyLock;

pub use known::KnownAnchors;

/// The number of bytes, from the anchor on, that determine its key. The first four determine whether it is an anchor.
pub const WINDOW: usize = 8;

/// How many positions are examined at a time.
pub const BATCH: usize = 1 << 10;

/// Times 255 it is below the least product of an anchor.
const PRIME: u32 = 6_972_593;

/// Spreads four bytes over a word. -255 is the inverse of 0x01010101, so where the four are equal, their product is one
/// of them times the prime, too little for an anchor: runs of one byte have none.
const SPREAD: u32 = PRIME.wrapping_mul(255).wrapping_neg();

/// Spreads eight bytes over a word.
const KEY_SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// At least this many of the eight bytes of the anchor by which a block is known should be different, so that it is not an
/// anchor that many parts have.
const VARIETY: usize = 6;

/// An anchor of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Anchor {
    /// A hash of the bytes there.
    pub key: NonZeroU32,
    /// In bytes from the block's first.
    pub offset: u32,
}

/// What makes a position an anchor, among blocks of one length.
#[derive(Debug, Clone, Copy)]
pub struct Anchors {
    /// The product of an anchor's first four bytes, with a sign, is greater.
    above: i32,
}

/// Positions of anchors in a batch, ascending.
pub struct Positions {
    places: [u16; BATCH + AT_A_TIME],
    count: usize,
}

/// A kernel always writes this many places at once, even if fewer are valid.
const AT_A_TIME: usize = 4;

/// The bytes that a batch depends on.
type BatchBytes = [u8; BATCH + WINDOW - 1];

/// Finds the places in a batch whose product is above a limit, and returns their number.
type Kernel = fn(&BatchBytes, i32, &mut [u16; BATCH + AT_A_TIME]) -> usize;

impl Anchors {
    /// The rule for blocks of `block_length` bytes: on average 16 anchors in a block of noise. Longer blocks have more: at
    /// least one anchor in 256 bytes, as fewer would make nothing faster.
    pub fn new(block_length: u32) -> Self {
        let rate = (block_length / 16).clamp(16, 256);
        Self { above: i32::MAX - (u32::MAX / rate) as i32 }
    }

    /// The last anchor of `block` with enough different bytes, or else the last one, if there is any. The last, because
    /// many files begin alike and differ later.
    pub fn best_of(self, block: &[u8]) -> Option<Anchor> {
        let places = (0..(block.len() + 1).saturating_sub(WINDOW)).rev();
        let mut anchors = places.filter(|&at| is_above(&block[at..], self.above));
        let is_varied = |at: &usize| variety(&block[*at..][..WINDOW]) >= VARIETY;
        let last = anchors.next()?;
        let at = std::iter::once(last).chain(anchors).find(is_varied).unwrap_or(last);
        Some(Anchor { key: key(block, at), offset: at as u32 })
    }

    /// Finds the anchors among the `BATCH` positions of `bytes` from `from` on. Returns the position after the last one
    /// that was examined; `None` if there is none at which a window fits.
    pub fn find(self, bytes: &[u8], from: usize, found: &mut Positions) -> Option<usize> {
        static FASTEST: LazyLock<Kernel> = LazyLock::new(|| kernels()[0]);
        self.find_with(*FASTEST, bytes, from, found)
    }

    fn find_with(self, kernel: Kernel, bytes: &[u8], from: usize, found: &mut Positions) -> Option<usize> {
        let end = (bytes.len() + 1).saturating_sub(WINDOW).min(from + BATCH);
        if from >= end {
            return None;
        }
        if let Some(batch) = bytes[from..].first_chunk() {
            found.count = kernel(batch, self.above, &mut found.places);
        } else {
            let mut batch = [0; BATCH + WINDOW - 1];
            batch[..bytes.len() - from].copy_from_slice(&bytes[from..]);
            found.count = kernel(&batch, self.above, &mut found.places);
            found.count = found.as_slice().partition_point(|&place| from + usize::from(place) < end);
        }
        Some(end)
    }
}

impl Positions {
    /// Those of the last batch, from its first position on.
    pub fn as_slice(&self) -> &[u16] {
        &self.places[..self.count]
    }
}

impl Default for Positions {
    fn default() -> Self {
        Self { places: [0; BATCH + AT_A_TIME], count: 0 }
    }
}

/// The key of the window of `bytes` at `at`.
#[inline(always)]
pub fn key(bytes: &[u8], at: usize) -> NonZeroU32 {
    let window: [u8; WINDOW] = bytes[at..at + WINDOW].try_into().expect("a window has eight bytes");
    let key = u64::from_le_bytes(window).wrapping_mul(KEY_SPREAD) >> 32;
    NonZeroU32::new(key as u32).unwrap_or(NonZeroU32::MIN)
}

/// Whether the product of the first four bytes is above a limit.
#[inline(always)]
fn is_above(bytes: &[u8], above: i32) -> bool {
    let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    word.wrapping_mul(SPREAD) as i32 > above
}

/// How many different bytes there are.
fn variety(bytes: &[u8]) -> usize {
    let is_new = |&at: &usize| !bytes[..at].contains(&bytes[at]);
    (0..bytes.len()).filter(is_new).count()
}

/// All kernels that this machine can run, the fastest first.
fn kernels() -> Vec<Kernel> {
    #[cfg(target_arch = "x86_64")]
    let faster = x86::kernels();
    #[cfg(not(target_arch = "x86_64"))]
    let faster = [];
    faster.into_iter().chain([portable as Kernel]).collect()
}

fn portable(bytes: &BatchBytes, above: i32, places: &mut [u16; BATCH + AT_A_TIME]) -> usize {
    let mut count = 0;
    for first in (0..BATCH).step_by(64) {
        let window = &bytes[first..first + 67];
        let mask = (0..64).fold(0, |mask, at| mask | u64::from(is_above(&window[at..], above)) << at);
        write_places(mask, first, places, &mut count);
    }
    count
}

/// Writes the places of the bits that are set. Most words have few, but not always the same number, which must not cost a
/// branch misprediction each.
#[inline(always)]
fn write_places(mut mask: u64, first: usize, places: &mut [u16; BATCH + AT_A_TIME], count: &mut usize) {
    let end = *count + mask.count_ones() as usize;
    while let Some(chunk) = places[*count..].first_chunk_mut::<AT_A_TIME>() {
        for place in chunk {
            *place = first as u16 + mask.trailing_zeros() as u16;
            mask &= mask.wrapping_sub(1);
        }
        *count += AT_A_TIME;
        if *count >= end {
            break;
        }
    }
    *count = end;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places_of(kernel: Kernel, anchors: Anchors, bytes: &[u8]) -> Vec<usize> {
        let (mut found, mut all, mut from) = (Positions::default(), Vec::new(), 0);
        while let Some(end) = anchors.find_with(kernel, bytes, from, &mut found) {
            all.extend(found.as_slice().iter().map(|&place| from + usize::from(place)));
            from = end;
        }
        all
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..3000),
            prop::collection::vec(prop::sample::select(b"\0\0\0\0\x01 etaoin".to_vec()), 0..3000),
            (prop::collection::vec(any::<u8>(), 1..20), 0usize..3000).prop_map(|(unit, length)| unit
                .into_iter()
                .cycle()
                .take(length)
                .collect()),
        ]
    }

    proptest! {
        #[test]
        fn every_kernel_finds_the_positions_with_a_great_product(
            bytes in bytes(),
            block_length in prop::sample::select(vec![256, 1024, 1 << 20]),
            above in prop::option::of(prop::sample::select(vec![i32::MIN, -1, i32::MAX - 1])),
        ) {
            let mut anchors = Anchors::new(block_length);
            anchors.above = above.unwrap_or(anchors.above);
            let positions = 0..(bytes.len() + 1).saturating_sub(WINDOW);
            let expected: Vec<_> = positions.filter(|&at| is_above(&bytes[at..], anchors.above)).collect();
            for kernel in kernels() {
                prop_assert_eq!(&places_of(kernel, anchors, &bytes), &expected);
            }
        }

        #[test]
        fn the_best_anchor_of_a_block_is_one_of_its_anchors(bytes in bytes()) {
            let anchors = Anchors::new(256);
            let places = places_of(portable, anchors, &bytes);
            match anchors.best_of(&bytes) {
                None => prop_assert!(places.is_empty()),
                Some(best) => {
                    prop_assert!(places.contains(&(best.offset as usize)));
                    prop_assert_eq!(best.key, key(&bytes, best.offset as usize));
                }
            }
        }
    }

    #[test]
    fn runs_of_one_byte_have_no_anchors() {
        for byte in 0..=255 {
            assert_eq!(Anchors::new(256).best_of(&[byte; 256]), None);
        }
    }

    #[test]
    fn noise_has_about_as_many_anchors_as_promised() {
        let bytes = testing::noise(1, 1 << 20);
        for (block_length, rate) in [(256, 16), (1024, 64), (4096, 256), (1 << 24, 256)] {
            let count = places_of(portable, Anchors::new(block_length), &bytes).len();
            assert!(count.abs_diff(bytes.len() / rate) < bytes.len() / rate / 4, "{block_length}: {count}");
        }
    }
}
