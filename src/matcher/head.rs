//! The head of a part: which of its blocks the scan looks for.
//!
//! Usually that is the first block. A block that is one byte repeated, or a short period, occurs at nearly every
//! offset of a like run in an image, so it finds nothing: the head then is the block that ends with the first byte
//! that breaks the repetition. A part that nothing breaks is periodic as a whole.

use crate::digest::Rsync64;

/// Where a part's signature is taken. All offsets and lengths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Head {
    /// The block at `offset` does not repeat itself; this is its sum.
    Block { offset: u64, rsync64: Rsync64 },
    /// The whole part repeats its first `period` bytes.
    Periodic { period: u32 },
}

/// The longest period, in bytes, that counts as short in a block of `block_length` bytes.
pub fn longest_period(block_length: u32) -> u32 {
    block_length / 8
}

/// The shortest period of `block`, if it is short.
pub fn period(block: &[u8]) -> Option<u32> {
    let longest = longest_period(block.len() as u32) as usize;
    // Nearly every comparison ends at its first bytes.
    let repeats = |period: usize| block[period..] == block[..block.len() - period];
    (1..=longest).find(|&period| repeats(period)).map(|period| period as u32)
}

/// Finds the head of a part whose bytes are pushed in order.
pub struct HeadFinder {
    block_length: usize,
    /// The last `block_length` bytes pushed, or fewer at the start.
    tail: Vec<u8>,
    /// How many bytes were pushed.
    length: u64,
    /// The sum of the first block.
    first: Option<Rsync64>,
    period: u32,
    found: Option<Head>,
}

impl HeadFinder {
    /// A finder for blocks of `block_length` bytes.
    pub fn new(block_length: u32) -> Self {
        let block_length = block_length as usize;
        Self { block_length, tail: Vec::with_capacity(block_length), length: 0, first: None, period: 0, found: None }
    }

    /// Takes the part's next bytes. `true` once the head is known and no more bytes are needed.
    pub fn push(&mut self, mut bytes: &[u8]) -> bool {
        if self.found.is_some() {
            return true;
        }
        if self.first.is_none() {
            let taken = bytes.len().min(self.block_length - self.tail.len());
            self.tail.extend_from_slice(&bytes[..taken]);
            self.length += taken as u64;
            bytes = &bytes[taken..];
            if self.tail.len() < self.block_length {
                return false;
            }
            let rsync64 = Rsync64::of(&self.tail);
            self.first = Some(rsync64);
            match period(&self.tail) {
                None => self.found = Some(Head::Block { offset: 0, rsync64 }),
                Some(period) => self.period = period,
            }
        }
        if self.found.is_none() {
            self.follow(bytes);
        }
        self.found.is_some()
    }

    /// Looks for the first byte that differs from the one a period before it.
    fn follow(&mut self, bytes: &[u8]) {
        let period = self.period as usize;
        let before = &self.tail[self.block_length - period..];
        let broken = (0..bytes.len()).find(|&at| {
            let earlier = if at < period { before[at] } else { bytes[at - period] };
            bytes[at] != earlier
        });
        let kept = broken.map_or(bytes.len(), |at| at + 1);
        let from = kept.saturating_sub(self.block_length);
        self.tail.extend_from_slice(&bytes[from..kept]);
        self.tail.drain(..self.tail.len() - self.block_length);
        self.length += kept as u64;
        if broken.is_some() {
            // This block cannot have a short period of its own: it would be one of the repetition before it too
            // (Fine and Wilf), and its last byte would not break that.
            let offset = self.length - self.block_length as u64;
            self.found = Some(Head::Block { offset, rsync64: Rsync64::of(&self.tail) });
        }
    }

    /// The head and the sum of the first block, after the last byte, or as soon as `push` said that no more is
    /// needed. `None` for a part shorter than the block length.
    pub fn finish(self) -> Option<(Head, Rsync64)> {
        let head = self.found.unwrap_or(Head::Periodic { period: self.period });
        self.first.map(|first| (head, first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(bytes: &[u8], pieces: usize) -> Option<(Head, Rsync64)> {
        let mut finder = HeadFinder::new(256);
        for piece in bytes.chunks(pieces) {
            if finder.push(piece) {
                break;
            }
        }
        finder.finish()
    }

    fn noise(length: usize) -> Vec<u8> {
        (0..length as u32).map(|at| (at.wrapping_mul(2654435761) >> 13) as u8).collect()
    }

    #[test]
    fn a_part_shorter_than_a_block_has_no_head() {
        assert_eq!(head(&noise(255), 100), None);
    }

    #[test]
    fn the_head_is_the_first_block_where_that_does_not_repeat_itself() {
        let part = noise(1000);
        let rsync64 = Rsync64::of(&part[..256]);
        assert_eq!(head(&part, 100), Some((Head::Block { offset: 0, rsync64 }, rsync64)));
    }

    #[test]
    fn the_head_ends_with_the_first_byte_that_breaks_the_repetition_however_the_bytes_are_cut() {
        for period in [1, 2, 7, 32] {
            let mut part = noise(period).repeat(40);
            part.resize(1280, 0);
            let run: Vec<u8> = noise(period).into_iter().cycle().take(1280).collect();
            part = [run.clone(), vec![!run[1280 - period]], noise(500)].concat();
            let expected = Head::Block { offset: 1281 - 256, rsync64: Rsync64::of(&part[1281 - 256..1281]) };
            for pieces in [1, 3, 255, 256, 257, 5000] {
                assert_eq!(head(&part, pieces), Some((expected, Rsync64::of(&part[..256]))), "{period} {pieces}");
            }
        }
    }

    #[test]
    fn a_part_that_nothing_breaks_is_periodic() {
        let part = [1, 2, 3].repeat(500);
        assert_eq!(head(&part, 64).unwrap().0, Head::Periodic { period: 3 });
        assert_eq!(head(&[0; 256], 64).unwrap().0, Head::Periodic { period: 1 });
    }
}
