//! One hash in the making, and those of many pieces of data at a time.

use super::lanes::{self, Chain, Kernel, Stops};

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
    /// How many streams this machine takes at a time.
    fn most_lanes() -> usize {
        Self::kernels().last().map_or(1, |kernel| kernel.lanes)
    }
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
    pub fn finish(self) -> Vec<u8> {
        let ending = Ending::<H> { words: self.words, rest: &self.rest[..self.waiting()], length: self.length };
        H::sum(&finish(&[ending])[0])
    }
}

/// Adds to each stream what comes with it, the whole blocks of all of them side by side.
pub(super) fn update_all<H: BlockHash>(mut updates: Vec<(&mut Stream<H>, &[u8])>) {
    for (stream, data) in &mut updates {
        *data = stream.fill_block(data);
    }
    let chains: Vec<_> = updates
        .iter()
        .map(|(stream, data)| Chain { start: stream.words, blocks: whole_blocks::<H>(data), stops: Stops::End })
        .collect();
    lanes::run(H::kernels(), H::BLOCK, &chains, |chain, _, words| updates[chain].0.words = words);
    for (stream, data) in updates {
        stream.keep_rest(data);
    }
}

/// A hash all of whose whole blocks are done.
struct Ending<'a, H: BlockHash> {
    words: H::Words,
    /// The bytes behind the last whole block.
    rest: &'a [u8],
    /// Of the input, in bytes.
    length: u64,
}

/// The words after the end of each hash, in their order.
fn finish<H: BlockHash>(endings: &[Ending<'_, H>]) -> Vec<H::Words> {
    let mut words: Vec<H::Words> = endings.iter().map(|ending| ending.words).collect();
    let last: Vec<_> = endings.iter().map(Ending::last_blocks).collect();
    let chains = words.iter().zip(&last).map(|(&start, (bytes, length))| Chain {
        start,
        blocks: &bytes[..*length],
        stops: Stops::End,
    });
    let chains: Vec<_> = chains.collect();
    lanes::run(H::kernels(), H::BLOCK, &chains, |chain, _, state| words[chain] = state);
    words
}

impl<H: BlockHash> Ending<'_, H> {
    /// The one or two blocks that end the input, and how many bytes they have.
    fn last_blocks(&self) -> ([u8; 2 * MOST_BLOCK], usize) {
        let mut bytes = [0; 2 * MOST_BLOCK];
        bytes[..self.rest.len()].copy_from_slice(self.rest);
        bytes[self.rest.len()] = 0x80;
        let length = (self.rest.len() + 1 + H::BLOCK / 8).next_multiple_of(H::BLOCK);
        bytes[length - size_of::<u64>()..length].copy_from_slice(&H::length_field(self.length.wrapping_mul(8)));
        (bytes, length)
    }
}

/// What is to be summed.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    pub data: &'a [u8],
    /// Sums are taken of this many first bytes, each; they ascend, and none is greater than the data's length.
    pub lengths: &'a [usize],
}

/// The words after the end of each of the jobs' first bytes, by job, then in the order of its lengths.
pub(super) fn prefixes<H: BlockHash>(jobs: &[Job<'_>]) -> Vec<H::Words> {
    let mut endings = Vec::new();
    let mut firsts = Vec::with_capacity(jobs.len());
    for job in jobs {
        firsts.push(endings.len());
        endings.extend(job.lengths.iter().map(|&length| Ending::<H> {
            words: H::START,
            rest: &job.data[length - length % H::BLOCK..length],
            length: length as u64,
        }));
    }
    let chains: Vec<_> =
        jobs.iter().map(|job| Chain { start: H::START, blocks: job.data, stops: Stops::Within(job.lengths) }).collect();
    lanes::run(H::kernels(), H::BLOCK, &chains, |chain, stop, state| endings[firsts[chain] + stop].words = state);
    finish(&endings)
}

#[cfg(test)]
mod tests {
    use super::super::{Checksum, Sum, sums};
    use super::*;
    use proptest::prelude::*;
    use sha1::digest::Digest as _;

    fn oracle(checksum: Checksum, data: &[u8]) -> Sum {
        match checksum {
            Checksum::Md5 => Sum::Md5(::md5::Md5::digest(data).into()),
            Checksum::Sha256 => Sum::Sha256(::sha2::Sha256::digest(data).into()),
        }
    }

    proptest! {
        #[test]
        fn the_first_bytes_of_every_job_have_the_sums_of_the_oracle(
            cuts in prop::collection::vec((0usize..900, prop::collection::vec(0usize..5000, 0..4)), 0..70)
        ) {
            let data: Vec<u8> = (0..5000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
            let lengths = |(start, lengths): &(usize, Vec<usize>)| {
                let mut lengths: Vec<usize> = lengths.iter().map(|length| length % (data.len() - start + 1)).collect();
                lengths.sort_unstable();
                lengths
            };
            let lengths: Vec<Vec<usize>> = cuts.iter().map(lengths).collect();
            let jobs: Vec<Job> =
                cuts.iter().zip(&lengths).map(|((start, _), lengths)| Job { data: &data[*start..], lengths }).collect();
            for checksum in [Checksum::Md5, Checksum::Sha256] {
                let expected: Vec<Vec<Sum>> = jobs
                    .iter()
                    .map(|job| job.lengths.iter().map(|&length| oracle(checksum, &job.data[..length])).collect())
                    .collect();
                prop_assert_eq!(sums(checksum, &jobs), expected);
            }
        }
    }
}
