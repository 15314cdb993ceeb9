//! Fingerprints: two ranges of bytes have equal ones if they are equal, and next to never if they are not.
//!
//! A fingerprint is a polynomial with the bytes as coefficients, evaluated at two secret points of the field of 2^61 - 1
//! elements. The fingerprint of a range follows in constant time from those of the beginnings that end where the range
//! begins and ends, which no strong sum offers. The author of an image or a part cannot know the points, and so cannot
//! make ranges collide, as is easy with rsync64. Fingerprints only guide the search: every match is verified.

use std::hash::BuildHasher as _;
use std::hash::RandomState;

use rayon::prelude::*;

const PRIME: u64 = (1 << 61) - 1;

/// How many bytes one step of the evaluation takes.
const STEP: usize = 8;

/// How many bytes of a long range one thread evaluates at a time.
const CHUNK: usize = 1 << 18;

/// The fingerprint of a range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Fingerprint([u64; 2]);

/// The secret points. Only fingerprints with the same key can be compared.
pub struct Key {
    /// Of each point the powers 0 to `STEP`.
    powers: [[u64; STEP + 1]; 2],
    /// For each word of a glance, where in a block it is, as a share of 2^64, and what it is multiplied by.
    glance: [(u64, u64); 16],
}

/// The value below the prime that is congruent to `value`, which must be below 2^124.
#[inline(always)]
fn reduce(value: u128) -> u64 {
    let fold = (value as u64 & PRIME) + (value >> 61) as u64;
    let fold = (fold & PRIME) + (fold >> 61);
    if fold >= PRIME { fold - PRIME } else { fold }
}

#[inline(always)]
fn multiply(a: u64, b: u64) -> u64 {
    reduce(u128::from(a) * u128::from(b))
}

impl Key {
    /// A key that nobody can predict.
    pub fn random() -> Self {
        // The standard library's hash tables are keyed against hostile input from the system's source of randomness.
        let random = || RandomState::new().hash_one(0u8) % (PRIME - 2) + 2;
        let powers = [random(), random()].map(|point| {
            let mut powers = [1; STEP + 1];
            for power in 1..=STEP {
                powers[power] = multiply(powers[power - 1], point);
            }
            powers
        });
        Self { powers, glance: std::array::from_fn(|_| (random() << 3, random() | 1)) }
    }

    /// A glance at `words` words, at most 16, of blocks of this length in bytes.
    pub fn glance(&self, block_length: u32, words: usize) -> Glance {
        let places = u128::from(block_length).saturating_sub(8) + 1;
        let word = |&(share, factor): &(u64, u64)| (((u128::from(share) * places) >> 64) as usize, factor);
        Glance { words: self.glance.iter().take(words).map(word).collect() }
    }

    /// The fingerprint of the bytes of `front`, followed by `bytes`.
    pub fn extend(&self, front: Fingerprint, bytes: &[u8]) -> Fingerprint {
        let (steps, rest) = bytes.as_chunks::<STEP>();
        let mut at = front.0;
        for step in steps {
            for (at, powers) in at.iter_mut().zip(&self.powers) {
                let products = step.iter().zip(powers[..STEP].iter().rev());
                let sum: u128 = products.map(|(&byte, &power)| u128::from(byte) * u128::from(power)).sum();
                *at = reduce(u128::from(*at) * u128::from(powers[STEP]) + sum);
            }
        }
        for &byte in rest {
            for (at, powers) in at.iter_mut().zip(&self.powers) {
                *at = reduce(u128::from(*at) * u128::from(powers[1]) + u128::from(byte));
            }
        }
        Fingerprint(at)
    }

    /// The form in which [`Key::join`] and [`Key::cut`] take a length in bytes.
    pub fn shift(&self, mut length: u64) -> Fingerprint {
        let mut squares = self.powers.map(|powers| powers[1]);
        let mut shift = [1; 2];
        while length > 0 {
            for (shift, square) in shift.iter_mut().zip(&mut squares) {
                if length & 1 != 0 {
                    *shift = multiply(*shift, *square);
                }
                *square = multiply(*square, *square);
            }
            length >>= 1;
        }
        Fingerprint(shift)
    }

    /// The fingerprint of two consecutive ranges, with the shift of the second one's length.
    #[allow(clippy::unused_self, reason = "the fingerprints must be of this key")]
    pub fn join(&self, front: Fingerprint, back: Fingerprint, shift: Fingerprint) -> Fingerprint {
        Fingerprint(std::array::from_fn(|point| {
            reduce(u128::from(front.0[point]) * u128::from(shift.0[point]) + u128::from(back.0[point]))
        }))
    }

    /// The fingerprint of the rest of `whole` after `front`, with the shift of the rest's length.
    #[allow(clippy::unused_self, reason = "the fingerprints must be of this key")]
    pub fn cut(&self, whole: Fingerprint, front: Fingerprint, shift: Fingerprint) -> Fingerprint {
        Fingerprint(std::array::from_fn(|point| {
            let moved = multiply(front.0[point], shift.0[point]);
            reduce(u128::from(whole.0[point]) + u128::from(PRIME - moved))
        }))
    }
}

/// A hash of a few words at secret places of a block, which distinguishes most blocks.
pub struct Glance {
    /// Where in a block each word is, in bytes, and what it is multiplied by.
    words: Box<[(usize, u64)]>,
}

impl Glance {
    /// The hash of the words of `block` at these places.
    pub fn at(&self, block: &[u8]) -> u64 {
        let word = |&(place, factor): &(usize, u64)| {
            let word = block[place..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
            (word ^ (word >> 32)).wrapping_mul(factor)
        };
        self.words.iter().map(word).fold(0, |all, word| all.rotate_left(5) ^ word)
    }
}

/// The fingerprints of a sequence's beginnings whose lengths are multiples of a spacing. All lengths are in bytes.
pub struct Samples {
    spacing: usize,
    fingerprints: Vec<Fingerprint>,
}

impl Samples {
    /// The samples of a sequence that will be `length` bytes long, of which no bytes have come yet. In the end they take
    /// a quarter of the memory of a short sequence, and at most 32 MiB for any.
    pub fn new(length: u64) -> Self {
        let spacing = (length >> 21).next_power_of_two().max(64) as usize;
        let mut fingerprints = Vec::with_capacity((length / spacing as u64) as usize + 1);
        fingerprints.push(Fingerprint::default());
        Self { spacing, fingerprints }
    }

    /// The spacing of the lengths.
    pub fn spacing(&self) -> usize {
        self.spacing
    }

    /// How many bytes were pushed, down to a multiple of the spacing.
    pub fn length(&self) -> u64 {
        (self.fingerprints.len() as u64 - 1) * self.spacing as u64
    }

    /// Except at the sequence's end, the number of bytes pushed at a time must be a multiple of this.
    pub fn chunk(&self) -> usize {
        CHUNK.max(self.spacing)
    }

    /// Takes the sequence's next bytes.
    pub fn push(&mut self, key: &Key, bytes: &[u8]) {
        let of_stretch = |stretch: &[u8]| {
            let mut at = Fingerprint::default();
            let next = |piece| {
                at = key.extend(at, piece);
                at
            };
            stretch.chunks_exact(self.spacing).map(next).collect::<Vec<_>>()
        };
        let stretches: Vec<_> = bytes.par_chunks(self.chunk()).map(of_stretch).collect();
        let one = key.shift(self.spacing as u64);
        for stretch in stretches {
            let mut front = self.fingerprints[self.fingerprints.len() - 1];
            for back in stretch {
                front = key.join(front, Fingerprint::default(), one);
                self.fingerprints.push(key.join(front, back, Fingerprint([1; 2])));
            }
        }
    }

    /// The longest beginning of at most `length` bytes whose fingerprint is known: its length and that.
    pub fn before(&self, length: u64) -> (u64, Fingerprint) {
        let sample = (length / self.spacing as u64).min(self.fingerprints.len() as u64 - 1);
        (sample * self.spacing as u64, self.fingerprints[sample as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_range_has_the_fingerprint_of_its_bytes_wherever_it_stands(
            bytes in prop::collection::vec(any::<u8>(), 0..3000),
            cuts in any::<[prop::sample::Index; 2]>(),
        ) {
            let key = Key::random();
            let mut cuts = cuts.map(|cut| cut.index(bytes.len() + 1));
            cuts.sort_unstable();
            let [start, end] = cuts;
            let of = |bytes| key.extend(Fingerprint::default(), bytes);
            let shift = key.shift((end - start) as u64);
            let range = key.cut(of(&bytes[..end]), of(&bytes[..start]), shift);
            prop_assert_eq!(range, of(&bytes[start..end]));
            prop_assert_eq!(key.join(of(&bytes[..start]), range, shift), of(&bytes[..end]));
        }
    }

    #[test]
    fn samples_are_those_of_the_beginnings() {
        let key = Key::random();
        let bytes = testing::noise(1, 1_000_000);
        let mut samples = Samples::new(bytes.len() as u64);
        let cut = samples.chunk();
        samples.push(&key, &bytes[..cut]);
        samples.push(&key, &bytes[cut..]);
        assert_eq!(samples.length(), 1_000_000);
        for length in [0, 63, 64, 262_144, 262_208, 700_001, 1_000_000] {
            let (known, fingerprint) = samples.before(length);
            assert!(known <= length && length - known < 64);
            assert_eq!(fingerprint, key.extend(Fingerprint::default(), &bytes[..known as usize]));
        }
    }

    #[test]
    fn other_bytes_have_another_fingerprint() {
        let key = Key::random();
        let of = |bytes: &[u8]| key.extend(Fingerprint::default(), bytes);
        assert_ne!(of(b"packages"), of(b"packagse"));
        assert_ne!(of(&[255; 100]), of(&[254; 100]));
    }
}
