//! A file's strong sums, read from its bytes.

use std::ops::ControlFlow;
use std::path::Path;

use super::{FileError, read};
use crate::digest::{Algorithm, Checksum, Hasher, Sum};
use crate::stamp::Stamp;

/// Both strong sums of a file, from one read of it: whichever a set needs, the file is not read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    pub md5: [u8; 16],
    pub sha256: [u8; 32],
}

impl Sums {
    /// The sum of the given kind.
    pub fn sum(&self, checksum: Checksum) -> Sum {
        match checksum {
            Checksum::Md5 => Sum::Md5(self.md5),
            Checksum::Sha256 => Sum::Sha256(self.sha256),
        }
    }
}

/// A buffer that fits into a core's own cache, so that the second algorithm finds the bytes there.
pub fn buffer() -> Vec<u8> {
    vec![0; 128 * 1024]
}

/// The sums of the file at `path`. A file that changes under the reader is read again if it came to rest as `stamp` says.
pub fn read_sums(path: &Path, stamp: &Stamp, buffer: &mut [u8]) -> Result<Sums, FileError> {
    match read_once(path, stamp, buffer) {
        Err(FileError::Changed { .. }) if read::has_stamp(path, stamp) => read_once(path, stamp, buffer),
        result => result,
    }
}

fn read_once(path: &Path, stamp: &Stamp, buffer: &mut [u8]) -> Result<Sums, FileError> {
    let mut hashers = [Hasher::new(Algorithm::Md5), Hasher::new(Algorithm::Sha256)];
    read::read(path, stamp, buffer, |piece| {
        hashers.iter_mut().for_each(|hasher| hasher.update(piece));
        ControlFlow::Continue(())
    })?;
    let [md5, sha256] = hashers.map(Hasher::finish);
    Ok(Sums {
        md5: md5.try_into().expect("an MD5 has 16 bytes"),
        sha256: sha256.try_into().expect("a SHA-256 has 32 bytes"),
    })
}
