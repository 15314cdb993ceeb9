//! Sums in the making, of any algorithm.

use ::sha2::Sha512;
use sha1::Digest as _;

use super::Algorithm;
use super::md5::Md5;
use super::sha2::Sha256;
use super::stream::Stream;

/// A sum in the making, fed piece by piece.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Md5(Stream<Md5>),
    Sha1(sha1::Sha1),
    Sha256(Stream<Sha256>),
    Sha512(Sha512),
}

impl Hasher {
    /// A hasher that has seen nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Md5 => State::Md5(Stream::new()),
            Algorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
            Algorithm::Sha256 => State::Sha256(Stream::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Adds `data` to what is summed.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            State::Md5(stream) => stream.update(data),
            State::Sha1(state) => state.update(data),
            State::Sha256(stream) => stream.update(data),
            State::Sha512(state) => state.update(data),
        }
    }

    /// The sum's bytes: 16, 20, 32 or 64.
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            State::Md5(stream) => stream.finish(),
            State::Sha1(state) => state.finalize().to_vec(),
            State::Sha256(stream) => stream.finish(),
            State::Sha512(state) => state.finalize().to_vec(),
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
    }
}
