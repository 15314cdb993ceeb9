//! Hashers of every algorithm, and of BLAKE3.

use sha1::Digest as _;

use super::Algorithm;
use super::lanes::Until;
use super::md5::Md5;
use super::sha2::{Sha256, Sha512};
use super::stream::{self, Stream};

/// Computes a sum from bytes that come piece by piece.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Md5(Stream<Md5>),
    Sha1(sha1::Sha1),
    Sha256(Stream<Sha256>),
    Sha512(Stream<Sha512>),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    /// A hasher that has received no bytes yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Md5 => State::Md5(Stream::new()),
            Algorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
            Algorithm::Sha256 => State::Sha256(Stream::new()),
            Algorithm::Sha512 => State::Sha512(Stream::new()),
        })
    }

    /// A hasher whose sum is BLAKE3, which sets and SUMS files do not carry.
    pub fn blake3() -> Self {
        Self(State::Blake3(Box::default()))
    }

    /// The sum of `data`.
    pub fn sum(algorithm: Algorithm, data: &[u8]) -> Vec<u8> {
        let mut hasher = Self::new(algorithm);
        hasher.update(data);
        hasher.finish()
    }

    /// The algorithm that it computes; `None` for BLAKE3.
    pub fn algorithm(&self) -> Option<Algorithm> {
        match self.0 {
            State::Md5(_) => Some(Algorithm::Md5),
            State::Sha1(_) => Some(Algorithm::Sha1),
            State::Sha256(_) => Some(Algorithm::Sha256),
            State::Sha512(_) => Some(Algorithm::Sha512),
            State::Blake3(_) => None,
        }
    }

    /// Adds the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            State::Md5(stream) => stream.update(data),
            State::Sha1(state) => state.update(data),
            State::Sha256(stream) => stream.update(data),
            State::Sha512(stream) => stream.update(data),
            State::Blake3(hasher) => {
                hasher.update(data);
            }
        }
    }

    /// The sum's bytes: 16, 20, 32 or 64.
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            State::Md5(stream) => stream.finish(),
            State::Sha1(state) => state.finalize().to_vec(),
            State::Sha256(stream) => stream.finish(),
            State::Sha512(stream) => stream.finish(),
            State::Blake3(hasher) => hasher.finalize().as_bytes().to_vec(),
        }
    }
}

/// Adds the data to the hasher in each pair, in this thread. Hashers of the same algorithm are updated in lanes, which is
/// several times faster than one after the other. The hashers may be in any state, and the data may have any lengths.
pub fn update_all(updates: &mut [(&mut Hasher, &[u8])]) {
    let (mut md5, mut sha256, mut sha512) = (Vec::new(), Vec::new(), Vec::new());
    for (hasher, data) in updates {
        match &mut hasher.0 {
            State::Md5(stream) => md5.push((stream, *data)),
            State::Sha256(stream) => sha256.push((stream, *data)),
            State::Sha512(stream) => sha512.push((stream, *data)),
            State::Sha1(state) => state.update(data),
            State::Blake3(hasher) => {
                hasher.update(data);
            }
        }
    }
    stream::update_all(md5, Until::AllDone);
    stream::update_all(sha256, Until::AllDone);
    stream::update_all(sha512, Until::AllDone);
}

/// The same for hashers of one algorithm, but stops when one of them has all its data and no other can take its lane:
/// what is left may be added more cheaply together with others. Returns how many bytes were added to each.
pub fn update_while_full(updates: &mut [(&mut Hasher, &[u8])]) -> Vec<usize> {
    macro_rules! of_kind {
        ($kind:ident) => {{
            let streams = updates.iter_mut().map(|update| match &mut update.0.0 {
                State::$kind(stream) => (stream, update.1),
                _ => unreachable!("all are of one algorithm"),
            });
            stream::update_all(streams.collect(), Until::LaneIdle)
        }};
    }
    match updates.first().and_then(|(first, _)| first.algorithm()) {
        Some(Algorithm::Md5) => of_kind!(Md5),
        Some(Algorithm::Sha256) => of_kind!(Sha256),
        Some(Algorithm::Sha512) => of_kind!(Sha512),
        Some(Algorithm::Sha1) | None => {
            update_all(updates);
            updates.iter().map(|(_, data)| data.len()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha1::digest::Digest;

    fn oracle(algorithm: Algorithm, data: &[u8]) -> Vec<u8> {
        match algorithm {
            Algorithm::Md5 => ::md5::Md5::digest(data).to_vec(),
            Algorithm::Sha1 => sha1::Sha1::digest(data).to_vec(),
            Algorithm::Sha256 => ::sha2::Sha256::digest(data).to_vec(),
            Algorithm::Sha512 => ::sha2::Sha512::digest(data).to_vec(),
        }
    }

    proptest! {
        #[test]
        fn a_hasher_has_the_sum_of_the_bytes_of_its_pieces(
            data in prop::collection::vec(any::<u8>(), 300),
            pieces in prop::collection::vec(0usize..300, 0..8)
        ) {
            for algorithm in Algorithm::ALL {
                let (mut hasher, mut seen) = (Hasher::new(algorithm), Vec::new());
                for &piece in &pieces {
                    hasher.update(&data[..piece]);
                    seen.extend_from_slice(&data[..piece]);
                }
                prop_assert_eq!(hasher.finish(), oracle(algorithm, &seen));
            }
        }

        #[test]
        fn hashers_that_are_updated_while_lanes_are_full_have_the_sums_of_the_bytes_that_they_took(
            algorithm in prop::sample::select(&Algorithm::ALL[..]),
            lengths in prop::collection::vec(0usize..1000, 1..40),
        ) {
            let data = testing::noise(1, 1000);
            let mut hashers: Vec<_> = lengths.iter().map(|_| Hasher::new(algorithm)).collect();
            let mut left: Vec<&[u8]> = lengths.iter().map(|&length| &data[..length]).collect();
            while left.iter().any(|left| !left.is_empty()) {
                let mut updates: Vec<_> = hashers.iter_mut().zip(left.iter().copied()).collect();
                let taken = update_while_full(&mut updates);
                prop_assert!(taken.iter().any(|&taken| taken > 0));
                left.iter_mut().zip(taken).for_each(|(left, taken)| *left = &left[taken..]);
            }
            for (hasher, length) in hashers.into_iter().zip(lengths) {
                prop_assert_eq!(hasher.finish(), oracle(algorithm, &data[..length]));
            }
        }

        #[test]
        fn hashers_that_are_updated_together_have_the_sums_of_the_oracle(
            algorithms in prop::collection::vec(prop::sample::select(&Algorithm::ALL[..]), 1..60),
            rounds in prop::collection::vec(prop::collection::vec(prop::option::of(0usize..1000), 60), 0..4)
        ) {
            let data = testing::noise(1, 1000);
            let mut hashers: Vec<_> = algorithms.iter().map(|&algorithm| Hasher::new(algorithm)).collect();
            let mut seen = vec![Vec::new(); hashers.len()];
            for pieces in &rounds {
                let pieces = pieces.iter().map(|piece| piece.map(|length| &data[data.len() - length..]));
                let mut updates = Vec::new();
                for ((hasher, seen), piece) in hashers.iter_mut().zip(&mut seen).zip(pieces) {
                    if let Some(piece) = piece {
                        seen.extend_from_slice(piece);
                        updates.push((hasher, piece));
                    }
                }
                update_all(&mut updates);
            }
            for ((hasher, algorithm), seen) in hashers.into_iter().zip(algorithms).zip(&seen) {
                prop_assert_eq!(hasher.finish(), oracle(algorithm, seen));
            }
        }
    }
}
