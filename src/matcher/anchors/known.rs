//! The anchors of the blocks that parts have: from the key of an anchor to the offsets at which blocks have it.

use std::num::NonZeroU32;

use super::Anchor;

/// About how many anchors share a bucket.
const IN_A_BUCKET: usize = 4;

/// The anchors of some blocks. Blocks are numbered; callers pass a function that returns the anchor of each.
pub struct KnownAnchors {
    /// One block for each different anchor, in the order of these.
    blocks: Box<[u32]>,
    /// Where in `blocks` the keys of each bucket, that is, with the same top bits, begin; finally where the last one ends.
    starts: Box<[u32]>,
    /// How many bits of a key are below those.
    start_shift: u32,
    /// A Bloom filter: a key sets two bits of one word.
    filter: Box<[u64]>,
    /// How many bits of a key are below those that choose the word.
    filter_shift: u32,
    longest_offset: usize,
    are_all: bool,
}

impl KnownAnchors {
    /// The anchors of `count` blocks. `anchor` returns that of a block, by its number; `None` if it has none.
    pub fn new(count: u32, anchor: impl Fn(u32) -> Option<Anchor>) -> Self {
        let mut blocks: Vec<u32> = (0..count).filter(|&block| anchor(block).is_some()).collect();
        let are_all = blocks.len() == count as usize;
        blocks.sort_unstable_by_key(|&block| anchor(block));
        blocks.dedup_by_key(|block| anchor(*block));

        let anchors = || blocks.iter().filter_map(|&block| anchor(block));
        let longest_offset = anchors().map(|anchor| anchor.offset as usize).max().unwrap_or(0);
        let words = (blocks.len() / 2).next_power_of_two().clamp(1 << 6, 1 << 20);
        let filter_shift = u32::BITS - words.trailing_zeros();
        let mut filter = vec![0; words].into_boxed_slice();
        for Anchor { key, .. } in anchors() {
            let (word, bits) = place(key, filter_shift);
            filter[word] |= bits;
        }

        let buckets = (blocks.len() / IN_A_BUCKET).next_power_of_two();
        let start_shift = u32::BITS - buckets.trailing_zeros();
        let mut starts = vec![0; buckets + 1].into_boxed_slice();
        for Anchor { key, .. } in anchors() {
            starts[bucket(key, start_shift) + 1] += 1;
        }
        for bucket in 0..buckets {
            starts[bucket + 1] += starts[bucket];
        }
        let blocks = blocks.into_boxed_slice();
        Self { blocks, starts, start_shift, filter, filter_shift, longest_offset, are_all }
    }

    /// Whether every block has an anchor.
    pub fn are_all(&self) -> bool {
        self.are_all
    }

    /// The longest distance of an anchor from its block's first byte.
    pub fn longest_offset(&self) -> usize {
        self.longest_offset
    }

    /// Whether a block may have an anchor with this key. For one of a hundred keys that no block has this is true too.
    #[inline(always)]
    pub fn may_have(&self, key: NonZeroU32) -> bool {
        let (word, bits) = place(key, self.filter_shift);
        self.filter[word] & bits == bits
    }

    /// The offsets at which blocks have an anchor with this key. `anchor` returns that of a block.
    pub fn offsets(&self, key: NonZeroU32, anchor: impl Fn(u32) -> Option<Anchor>) -> impl Iterator<Item = usize> {
        let bucket = bucket(key, self.start_shift);
        let blocks = &self.blocks[self.starts[bucket] as usize..self.starts[bucket + 1] as usize];
        let first = blocks.partition_point(|&block| anchor(block).is_some_and(|anchor| anchor.key < key));
        let anchors = blocks[first..].iter().map_while(move |&block| anchor(block));
        anchors.take_while(move |anchor| anchor.key == key).map(|anchor| anchor.offset as usize)
    }
}

/// The bucket of a key.
fn bucket(key: NonZeroU32, shift: u32) -> usize {
    (u64::from(key.get()) >> shift) as usize
}

/// The filter's word for a key, and its bits in that.
#[inline(always)]
fn place(key: NonZeroU32, shift: u32) -> (usize, u64) {
    let key = key.get();
    ((key >> shift) as usize, 1 << (key & 63) | 1 << (key >> 6 & 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_offsets_of_a_key_are_those_of_the_blocks_that_have_it(
            anchors in prop::collection::vec(prop::option::of((1u32..40, 0u32..5)), 0..100),
            far in any::<u32>(),
        ) {
            let anchor = |(key, offset): (u32, u32)| Anchor {
                key: NonZeroU32::new(key.wrapping_mul(far | 1)).unwrap_or(NonZeroU32::MIN),
                offset,
            };
            let anchors: Vec<_> = anchors.into_iter().map(|known| known.map(anchor)).collect();
            let known = KnownAnchors::new(anchors.len() as u32, |block| anchors[block as usize]);
            prop_assert_eq!(known.are_all(), anchors.iter().all(Option::is_some));
            for key in (0..60).filter_map(|key: u32| NonZeroU32::new(key.wrapping_mul(far | 1))) {
                let mut expected: Vec<_> =
                    anchors.iter().flatten().filter(|anchor| anchor.key == key).map(|anchor| anchor.offset as usize).collect();
                expected.sort_unstable();
                expected.dedup();
                prop_assert!(expected.is_empty() || known.may_have(key));
                let offsets: Vec<_> = known.offsets(key, |block| anchors[block as usize]).collect();
                prop_assert_eq!(offsets, expected);
            }
        }
    }
}
