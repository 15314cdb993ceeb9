//! The head of a part: the block by which the scan finds it.
//!
//! Usually that is the first block. But a block with a short period occurs at nearly every offset of a similar run in an
//! image, which makes it useless. In this case the head is a block around the first byte that breaks the repetition,
//! with a quarter of the block before that byte. A part in which nothing breaks the repetition is periodic as a whole.

use jigdo::Rsync64;

use super::anchors::{Anchor, Anchors};

/// The features of a part's content by which the scan finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Features {
    /// Where the part's signature is taken.
    pub head: Head,
    /// The sum of the first block.
    pub first: Rsync64,
    /// The anchor of the head's block, or of the first one of a part that is periodic as a whole. `None` if that block
    /// has none.
    pub anchor: Option<Anchor>,
}

/// Where a part's signature is taken. All offsets and lengths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Head {
    /// The sum of the block at `offset`, which does not repeat itself. If `offset` is not 0, what is before the block does,
    /// together with the block's first quarter.
    Block {
        /// Where the block begins in the part.
        offset: u64,
        /// The block's sum.
        rsync64: Rsync64,
    },
    /// The whole part repeats its first `period` bytes.
    Periodic {
        /// The length of what is repeated; at least 1.
        period: u32,
    },
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

/// How many of the first bytes are a repetition of the first `period` of them, these included.
pub fn repetition(bytes: &[u8], period: usize) -> usize {
    let Some(later) = bytes.get(period..) else { return bytes.len() };
    // Whole pieces are compared at the speed of memory. Only in the one that differs are bytes compared one by one.
    let pieces = || bytes.chunks(4096).zip(later.chunks(4096));
    let equal = pieces().take_while(|(earlier, later)| earlier[..later.len()] == **later).count();
    let rest = pieces().nth(equal).map_or(0, |(earlier, later)| {
        earlier.iter().zip(later).take_while(|(earlier, later)| earlier == later).count()
    });
    (period + equal * 4096 + rest).min(bytes.len())
}

/// Finds the head of a part whose bytes are pushed in order.
pub struct HeadFinder {
    block_length: usize,
    anchors: Anchors,
    /// The last `block_length` bytes pushed, or fewer at the start.
    tail: Vec<u8>,
    /// How many bytes were pushed.
    length: u64,
    /// The part's features if its first block is the head.
    first: Option<Features>,
    period: u32,
    /// After the repetition was broken, how many bytes of the head's block are still missing.
    wanted: Option<usize>,
    found: Option<Features>,
}

impl HeadFinder {
    /// A finder for blocks of `block_length` bytes.
    pub fn new(block_length: u32) -> Self {
        let anchors = Anchors::new(block_length);
        let block_length = block_length as usize;
        let tail = Vec::with_capacity(block_length);
        Self { block_length, anchors, tail, length: 0, first: None, period: 0, wanted: None, found: None }
    }

    /// Takes the part's next bytes. Returns true when the head is known and no more bytes are needed.
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
            let (anchor, period) = (self.anchors.best_of(&self.tail), period(&self.tail));
            let head = period.map_or(Head::Block { offset: 0, rsync64 }, |period| Head::Periodic { period });
            self.first = Some(Features { head, first: rsync64, anchor });
            match period {
                None => self.found = self.first,
                Some(period) => self.period = period,
            }
        }
        if self.found.is_none() {
            self.follow(bytes);
        }
        self.found.is_some()
    }

    /// Takes zeros as the part's next bytes. Only the first of them are looked at, however many there are.
    pub fn push_zeros(&mut self, count: u64) -> bool {
        let looked_at = count.min(2 * self.block_length as u64);
        if self.push(&vec![0; looked_at as usize]) {
            return true;
        }
        // After two blocks of zeros, either the head is known or the whole part is zeros so far: more zeros change nothing
        // but its length.
        self.length += count - looked_at;
        false
    }

    /// Looks for the first byte that differs from the one a period before it, then takes what follows it.
    fn follow(&mut self, mut bytes: &[u8]) {
        if self.wanted.is_none() {
            let period = self.period as usize;
            let before = &self.tail[self.block_length - period..];
            let near = bytes.iter().zip(before).take_while(|(byte, earlier)| byte == earlier).count();
            let equal = if near < period { near } else { repetition(bytes, period) };
            let kept = bytes.len().min(equal + 1);
            self.keep(&bytes[..kept]);
            if equal < kept {
                self.wanted = Some(self.block_length - self.block_length / 4 - 1);
                bytes = &bytes[kept..];
            }
        }
        if let Some(wanted) = self.wanted {
            let kept = bytes.len().min(wanted);
            self.keep(&bytes[..kept]);
            self.wanted = Some(wanted - kept);
            if kept == wanted {
                self.found = self.last_block();
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(self.block_length)..]);
        self.tail.drain(..self.tail.len() - self.block_length);
        self.length += bytes.len() as u64;
    }

    /// The last block, in which the byte that breaks the repetition comes after at least the first quarter. It cannot have
    /// a short period of its own: that would be one of the repetition before the byte too (Fine and Wilf), and the
    /// byte would not break that.
    fn last_block(&self) -> Option<Features> {
        let offset = self.length - self.block_length as u64;
        let head = Head::Block { offset, rsync64: Rsync64::of(&self.tail) };
        let anchor = self.anchors.best_of(&self.tail);
        self.first.map(|Features { first, .. }| Features { head, first, anchor })
    }

    /// The part's features. To be called after its last byte, or when `push` has returned true. `None` for a part that is
    /// shorter than a block.
    pub fn finish(self) -> Option<Features> {
        match self.wanted {
            _ if self.found.is_some() => self.found,
            Some(_) => self.last_block(),
            None => self.first,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(bytes: &[u8], pieces: usize) -> Option<Features> {
        let mut finder = HeadFinder::new(256);
        for piece in bytes.chunks(pieces) {
            if finder.push(piece) {
                break;
            }
        }
        finder.finish()
    }

    #[test]
    fn a_part_shorter_than_a_block_has_no_head() {
        assert_eq!(features(&testing::noise(1, 255), 100), None);
    }

    #[test]
    fn the_head_is_the_first_block_where_that_does_not_repeat_itself() {
        let part = testing::noise(1, 1000);
        let rsync64 = Rsync64::of(&part[..256]);
        let anchor = Anchors::new(256).best_of(&part[..256]);
        let expected = Features { head: Head::Block { offset: 0, rsync64 }, first: rsync64, anchor };
        assert_eq!(features(&part, 100), Some(expected));
    }

    #[test]
    fn the_head_is_around_the_first_byte_that_breaks_the_repetition_however_the_bytes_are_cut() {
        for (period, behind) in [(1, 500), (2, 500), (7, 191), (7, 190), (32, 10), (32, 0)] {
            let run: Vec<u8> = testing::noise(1, period).into_iter().cycle().take(1280).collect();
            let part = [run.clone(), vec![!run[1280 - period]], testing::noise(1, behind)].concat();
            let offset = (1280 - 64).min(part.len() - 256);
            let block = &part[offset..offset + 256];
            let head = Head::Block { offset: offset as u64, rsync64: Rsync64::of(block) };
            let anchor = Anchors::new(256).best_of(block);
            let expected = Features { head, first: Rsync64::of(&part[..256]), anchor };
            for pieces in [1, 3, 255, 256, 257, 5000] {
                assert_eq!(features(&part, pieces), Some(expected), "{period} {pieces}");
            }
        }
    }

    #[test]
    fn zeros_are_the_same_whether_they_are_read_or_not() {
        let (zeros, noise) = (vec![0; 5000], testing::noise(1, 700));
        for (before, after) in [(0, 700), (100, 700), (300, 0), (0, 0), (0, 10), (700, 5), (256, 700)] {
            for count in [1, 100, 255, 256, 511, 512, 513, 5000] {
                for before in [&noise[..before], &zeros[..before]] {
                    let mut finder = HeadFinder::new(256);
                    let _ = finder.push(before) || finder.push_zeros(count) || finder.push(&noise[..after]);
                    let whole = [before, &zeros[..count as usize], &noise[..after]].concat();
                    assert_eq!(finder.finish(), features(&whole, 5000), "{} {count} {after}", before.len());
                }
            }
        }
    }

    #[test]
    fn a_repetition_is_measured_to_its_last_byte() {
        for (period, length) in [(1, 4096), (1, 4097), (3, 5), (3, 9000), (5, 8192), (5, 8197)] {
            let mut bytes: Vec<u8> = testing::noise(1, period).into_iter().cycle().take(length).collect();
            assert_eq!(repetition(&bytes, period), length);
            bytes.push(!bytes[length - period]);
            bytes.extend([0; 10]);
            assert_eq!(repetition(&bytes, period), length);
        }
        assert_eq!(repetition(&[1, 2], 3), 2);
    }

    #[test]
    fn a_part_that_nothing_breaks_is_periodic() {
        let part = [1, 2, 3].repeat(500);
        let first = Rsync64::of(&part[..256]);
        let anchor = Anchors::new(256).best_of(&part[..256]);
        assert_eq!(features(&part, 64), Some(Features { head: Head::Periodic { period: 3 }, first, anchor }));
        assert_eq!(features(&[0; 256], 64).unwrap().head, Head::Periodic { period: 1 });
    }
}
