//! rsync64, jigdo's rolling checksum: two 32-bit words over a window of bytes.
//!
//! With `T` the table and a window of `n` bytes `b`, `lo` is the sum of `T[b[i]]` and `hi` the sum of
//! `(n - i) * T[b[i]]`, both modulo 2^32. Both are linear in the table's words, so the window moves by one
//! byte in constant time.

use crate::rsync64_table::TABLE;

/// The checksum of a window of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Rsync64 {
    /// The sum of the window's table words.
    pub lo: u32,
    /// The sum of `lo` after each byte.
    pub hi: u32,
}

impl Rsync64 {
    /// The checksum of `window`.
    pub fn of(window: &[u8]) -> Self {
        let mut sum = Self::default();
        for &byte in window {
            sum.push(byte);
        }
        sum
    }

    /// Adds `byte` at the window's end, which grows by one.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) {
        self.lo = self.lo.wrapping_add(TABLE[byte as usize]);
        self.hi = self.hi.wrapping_add(self.lo);
    }

    /// Moves a window of `length` bytes by one: `front`, its first byte, goes, and `back` is added at its end.
    #[inline(always)]
    pub fn roll(&mut self, front: u8, back: u8, length: u32) {
        let front = TABLE[front as usize];
        self.hi = self.hi.wrapping_sub(length.wrapping_mul(front));
        self.lo = self.lo.wrapping_sub(front).wrapping_add(TABLE[back as usize]);
        self.hi = self.hi.wrapping_add(self.lo);
    }

    /// The eight bytes that templates store: `lo`, then `hi`, both little-endian.
    pub fn to_bytes(self) -> [u8; 8] {
        self.to_u64().to_le_bytes()
    }

    /// The checksum that templates store as these eight bytes.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self::from_u64(u64::from_le_bytes(bytes))
    }

    /// Both words in one, `lo` in the lower half.
    #[inline(always)]
    pub fn to_u64(self) -> u64 {
        u64::from(self.hi) << 32 | u64::from(self.lo)
    }

    /// The inverse of [`Rsync64::to_u64`].
    pub fn from_u64(word: u64) -> Self {
        Self { lo: word as u32, hi: (word >> 32) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_sum_of_a_vectors_first_block_is_the_one_that_jigdo_file_wrote() {
        let part = std::fs::read("../../testdata/vectors/mirror/pool/a/alpha_1.0_all.deb").unwrap();
        let sum = Rsync64::of(&part[..1024]);
        assert_eq!(crate::base64::encode(&sum.to_bytes()), "7yGbyGqy09U");
    }

    proptest! {
        #[test]
        fn rolling_gives_what_summing_the_moved_window_gives(bytes in prop::collection::vec(any::<u8>(), 40..200), length in 1usize..40) {
            let mut rolled = Rsync64::of(&bytes[..length]);
            for at in 1..=bytes.len() - length {
                rolled.roll(bytes[at - 1], bytes[at + length - 1], length as u32);
                prop_assert_eq!(rolled, Rsync64::of(&bytes[at..at + length]));
            }
        }
    }
}
