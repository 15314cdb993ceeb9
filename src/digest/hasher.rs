//! Sums in the making, of any algorithm.

use sha1::Digest as _;

use super::Algorithm;
use super::md5::Md5;
use super::sha2::{Sha256, Sha512};
use super::stream::{self, Stream};

/// A sum in the making, fed piece by piece.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Md5(Stream<Md5>),
    Sha1(sha1::Sha1),
    Sha256(Stream<Sha256>),
    Sha512(Stream<Sha512>),
}

impl Hasher {
    /// A hasher that has seen nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Md5 => State::Md5(Stream::new()),
            Algorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
            Algorithm::Sha256 => State::Sha256(Stream::new()),
            Algorithm::Sha512 => State::Sha512(Stream::new()),
        })
    }

    /// Adds `data` to what is summed.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            State::Md5(stream) => stream.update(data),
            State::Sha1(state) => state.update(data),
            State::Sha256(stream) => stream.update(data),
            State::Sha512(stream) => stream.update(data),
        }
    }

    /// The sum's bytes: 16, 20, 32 or 64.
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            State::Md5(stream) => stream.finish(),
            State::Sha1(state) => state.finalize().to_vec(),
            State::Sha256(stream) => stream.finish(),
            State::Sha512(stream) => stream.finish(),
        }
    }
}

/// Adds to each hasher the data that comes with it, in this thread: those of one algorithm go side by side, which is
/// several times faster than one after the other. The hashers may be in any state, and the data of any lengths.
pub fn update_all(updates: &mut [(&mut Hasher, &[u8])]) {
    let (mut md5, mut sha256, mut sha512) = (Vec::new(), Vec::new(), Vec::new());
    for (hasher, data) in updates {
        match &mut hasher.0 {
            State::Md5(stream) => md5.push((stream, *data)),
            State::Sha256(stream) => sha256.push((stream, *data)),
            State::Sha512(stream) => sha512.push((stream, *data)),
            State::Sha1(state) => state.update(data),
        }
    }
    stream::update_all(md5);
    stream::update_all(sha256);
    stream::update_all(sha512);
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
        fn hashers_that_are_updated_together_have_the_sums_of_the_oracle(
            algorithms in prop::collection::vec(prop::sample::select(&Algorithm::ALL[..]), 1..60),
            rounds in prop::collection::vec(prop::collection::vec(prop::option::of(0usize..1000), 60), 0..4)
        ) {
            let data: Vec<u8> = (0..1000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
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
