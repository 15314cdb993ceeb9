//! Computes sums, many at once in the lanes of vector registers.
//! Everything here takes bytes and returns values; it knows no files.

mod content;
mod hasher;
#[allow(unsafe_code, reason = "kernels are made of intrinsics and of pointers into many streams")]
mod lanes;
mod md5;
mod sha2;
mod stream;

pub use content::Content;
pub use hasher::{Hasher, update_all, update_while_full};

use std::io::{self, Read};
use std::sync::LazyLock;

use jigdo::{Algorithm, Checksum, Sum};

use lanes::lanes_in_time_of_one;
use md5::Md5;
use sha2::{Sha256, Sha512};
use stream::BlockHash;

/// The number of streams for which [`update_all`] costs the least per stream. On a machine with narrower vectors they are
/// processed half by half, which costs no more than two halves would.
pub fn streams_at_once(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Md5 | Algorithm::Sha256 => 16,
        Algorithm::Sha1 => 1,
        Algorithm::Sha512 => 8,
    }
}

/// How many streams [`update_all`] processes together in hardly more time than one alone.
pub fn streams_in_time_of_one(algorithm: Algorithm) -> usize {
    fn of<H: BlockHash>() -> usize {
        lanes_in_time_of_one(H::kernels(), H::START, H::BLOCK)
    }
    static STREAMS: LazyLock<[usize; 3]> = LazyLock::new(|| {
        let [md5, sha256, sha512] = [of::<Md5>(), of::<Sha256>(), of::<Sha512>()];
        tracing::debug!(md5, sha256, sha512, "streams that are summed in the time of one");
        [md5, sha256, sha512]
    });
    match algorithm {
        Algorithm::Md5 => STREAMS[0],
        Algorithm::Sha1 => 1,
        Algorithm::Sha256 => STREAMS[1],
        Algorithm::Sha512 => STREAMS[2],
    }
}

/// The sum of everything that is left to read from `input`.
///
/// # Errors
/// `input` cannot be read.
pub fn sum_of_reader(checksum: Checksum, mut input: impl Read) -> io::Result<Sum> {
    let mut hasher = Hasher::new(checksum.into());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Sum::from_bytes(checksum, &hasher.finish()).expect("the sum is of this kind"))
}
