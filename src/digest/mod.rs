//! Computes sums, many side by side in the lanes of vector registers.
//! Everything here takes bytes and returns values; it knows no files.

mod content;
mod hasher;
#[allow(unsafe_code)]
mod lanes;
mod md5;
mod sha2;
mod stream;

pub use content::Content;
pub use hasher::{Hasher, update_all, update_full};

use std::io::{self, Read};
use std::sync::LazyLock;

use jigdo::{Algorithm, Checksum, Sum};

use lanes::free_lanes;
use md5::Md5;
use sha2::{Sha256, Sha512};
use stream::BlockHash;

/// How many streams [`update_all`] takes on together at the least cost for each. On a machine with narrower vectors they
/// go one half after the other, which costs no more than twice a half.
pub fn streams_at_once(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Md5 | Algorithm::Sha256 => 16,
        Algorithm::Sha1 => 1,
        Algorithm::Sha512 => 8,
    }
}

/// How many streams [`update_all`] takes on together in hardly more time than one alone.
pub fn streams_for_free(algorithm: Algorithm) -> usize {
    fn of<H: BlockHash>() -> usize {
        free_lanes(H::kernels(), H::START, H::BLOCK)
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

/// The sum of all that `input` has left to read.
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
