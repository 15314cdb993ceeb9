//! A hash in the making, and many of them side by side.

use super::lanes::{self, Chain, Kernel, Until};

/// A hash that goes over its input block by block, and ends with a block that has the length.
pub(super) trait BlockHash: 'static {
    /// What a block changes.
    type Words: Copy;
    /// Bytes of a block: at most [`MOST_BLOCK`].
    const BLOCK: usize;
    /// Before the first block.
    const START: Self::Words;
    /// How this machine computes blocks: see [`lanes::run`].
    fn kernels() -> &'static [Kernel<Self::Words>];
    /// The length of the input, in bits, as the last block has it at its end. Zeros stand before it: an eighth of a
    /// block is for the length.
    fn length_field(bits: u64) -> [u8; 8];
    /// The sum that these words stand for.
    fn sum(words: &Self::Words) -> Vec<u8>;
}

/// Bytes of the largest block of any hash.
const MOST_BLOCK: usize = 128;

/// As many of the first bytes of `data` as are whole blocks.
fn whole_blocks<H: BlockHash>(data: &[u8]) -> &[u8] {
    &data[..data.len() - data.len() % H::BLOCK]
}

/// A hash in the making.
pub(super) struct Stream<H: BlockHash> {
    /// After the last whole block.
    words: H::Words,
    /// What came behind the last whole block.
    rest: [u8; MOST_BLOCK],
    /// How many bytes came.
    length: u64,
}

impl<H: BlockHash> Clone for Stream<H> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<H: BlockHash> Stream<H> {
    pub fn new() -> Self {
        Self { words: H::START, rest: [0; MOST_BLOCK], length: 0 }
    }

    pub fn update(&mut self, data: &[u8]) {
        let data = self.fill_block(data);
        self.compress(whole_blocks::<H>(data));
        self.keep_rest(data);
    }

    /// Takes whole blocks into the words.
    fn compress(&mut self, blocks: &[u8]) {
        if !blocks.is_empty() {
            (H::kernels()[0].run)(std::slice::from_mut(&mut self.words), &[blocks]);
        }
    }

    /// How many bytes wait in `rest`.
    fn waiting(&self) -> usize {
        (self.length % H::BLOCK as u64) as usize
    }

    /// Completes the block that waits with the first of `data`; gives what is left.
    fn fill_block<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        let waiting = self.waiting();
        if waiting == 0 {
            return data;
        }
        let (first, left) = data.split_at(data.len().min(H::BLOCK - waiting));
        self.rest[waiting..][..first.len()].copy_from_slice(first);
        self.length += first.len() as u64;
        if self.waiting() == 0 {
            let block = self.rest;
            self.compress(&block[..H::BLOCK]);
        }
        left
    }

    /// Counts `data`, whose whole blocks are in the words, and keeps what is behind these.
    fn keep_rest(&mut self, data: &[u8]) {
        let rest = &data[whole_blocks::<H>(data).len()..];
        self.rest[..rest.len()].copy_from_slice(rest);
        self.length += data.len() as u64;
    }

    /// The sum of all that came.
    pub fn finish(mut self) -> Vec<u8> {
        let waiting = self.waiting();
        let mut last = [0; 2 * MOST_BLOCK];
        last[..waiting].copy_from_slice(&self.rest[..waiting]);
        last[waiting] = 0x80;
        let length = (waiting + 1 + H::BLOCK / 8).next_multiple_of(H::BLOCK);
        last[length - size_of::<u64>()..length].copy_from_slice(&H::length_field(self.length.wrapping_mul(8)));
        self.compress(&last[..length]);
        H::sum(&self.words)
    }
}

/// Adds to each stream what comes with it, the whole blocks of all of them side by side, as far as `until` says. Gives
/// how many bytes of each were taken.
pub(super) fn update_all<H: BlockHash>(mut updates: Vec<(&mut Stream<H>, &[u8])>, until: Until) -> Vec<usize> {
    let mut taken: Vec<usize> = updates.iter().map(|(_, data)| data.len()).collect();
    for (stream, data) in &mut updates {
        *data = stream.fill_block(data);
    }
    let chains: Vec<_> =
        updates.iter().map(|(stream, data)| Chain { start: stream.words, blocks: whole_blocks::<H>(data) }).collect();
    lanes::run(H::kernels(), &chains, until, |chain, words, done| {
        let (stream, data) = &mut updates[chain];
        stream.words = words;
        if done < chains[chain].blocks.len() {
            taken[chain] -= data.len() - done;
            *data = &data[..done];
        }
    });
    for (stream, data) in updates {
        stream.keep_rest(data);
    }
    taken
}
