//! The state of one hash, and the update of many of them in lanes.

use super::lanes::{self, Chain, Kernel, Until};

/// A hash that processes its input block by block, the last of which ends with the input's length.
pub(super) trait BlockHash: 'static {
    /// The state, which each block changes.
    type Words: Copy;
    /// The length of a block in bytes: at most [`LONGEST_BLOCK`].
    const BLOCK: usize;
    /// The state before the first block.
    const START: Self::Words;
    /// The kernels of this machine: see [`lanes::run`].
    fn kernels() -> &'static [Kernel<Self::Words>];
    /// The last eight bytes of the last block, which have the input's length in bits. An eighth of the block is reserved
    /// for the length; the bytes before these are zeros.
    fn length_field(bits: u64) -> [u8; 8];
    /// The sum's bytes, from the last state.
    fn sum(words: &Self::Words) -> Vec<u8>;
}

/// The length of the longest block of any hash, in bytes.
const LONGEST_BLOCK: usize = 128;

/// The whole blocks at the start of `data`.
fn whole_blocks<H: BlockHash>(data: &[u8]) -> &[u8] {
    &data[..data.len() - data.len() % H::BLOCK]
}

/// The state of a hash whose input comes piece by piece.
pub(super) struct Stream<H: BlockHash> {
    /// The state after the last whole block.
    words: H::Words,
    /// The bytes after the last whole block.
    rest: [u8; LONGEST_BLOCK],
    /// How many bytes have come so far.
    length: u64,
}

impl<H: BlockHash> Clone for Stream<H> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<H: BlockHash> Stream<H> {
    pub fn new() -> Self {
        Self { words: H::START, rest: [0; LONGEST_BLOCK], length: 0 }
    }

    pub fn update(&mut self, data: &[u8]) {
        let data = self.fill_block(data);
        self.compress(whole_blocks::<H>(data));
        self.keep_rest(data);
    }

    /// Processes whole blocks.
    fn compress(&mut self, blocks: &[u8]) {
        if !blocks.is_empty() {
            (H::kernels()[0].run)(std::slice::from_mut(&mut self.words), &[blocks]);
        }
    }

    /// How many bytes are in `rest`.
    fn waiting(&self) -> usize {
        (self.length % H::BLOCK as u64) as usize
    }

    /// Completes the block in `rest` with the first bytes of `data`. Returns the remaining ones.
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

    /// Counts `data`, whose whole blocks have been processed, and keeps the bytes after these.
    fn keep_rest(&mut self, data: &[u8]) {
        let rest = &data[whole_blocks::<H>(data).len()..];
        self.rest[..rest.len()].copy_from_slice(rest);
        self.length += data.len() as u64;
    }

    /// The sum of all bytes.
    pub fn finish(mut self) -> Vec<u8> {
        let waiting = self.waiting();
        let mut last = [0; 2 * LONGEST_BLOCK];
        last[..waiting].copy_from_slice(&self.rest[..waiting]);
        last[waiting] = 0x80;
        let length = (waiting + 1 + H::BLOCK / 8).next_multiple_of(H::BLOCK);
        last[length - size_of::<u64>()..length].copy_from_slice(&H::length_field(self.length.wrapping_mul(8)));
        self.compress(&last[..length]);
        H::sum(&self.words)
    }
}

/// Adds the data to the stream in each pair, the whole blocks of all of them in lanes, until `until`. Returns how many
/// bytes were added to each.
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
