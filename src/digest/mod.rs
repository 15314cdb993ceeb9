//! Checksums: the strong sums that sets and SUMS files carry, and the rolling one that finds parts.
//! Everything here takes bytes and gives values; it knows no files.

mod content;
mod hasher;
#[allow(unsafe_code)]
mod lanes;
mod md5;
pub mod rsync64;
mod rsync64_table;
mod sha2;
mod stream;

pub use content::Content;
pub use hasher::{Hasher, update_all, update_full};
pub use rsync64::Rsync64;

use std::fmt;
use std::io::{self, Read};
use std::sync::LazyLock;

use lanes::free_lanes;
use md5::Md5;
use sha2::{Sha256, Sha512};
use stream::BlockHash;

use serde::{Deserialize, Serialize};

/// A whole-file checksum algorithm, as SUMS files and jigdo comments name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

impl Algorithm {
    /// Every algorithm, in the order in which sums are listed.
    pub const ALL: [Self; 4] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512];

    /// The name as the field writes it: `MD5`, `SHA1`, `SHA256`, `SHA512`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }
}

/// The strong checksum of a set's parts and image, which tells the two generations of the format apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Checksum {
    /// Format 1.x.
    Md5,
    /// Format 2.0.
    Sha256,
}

impl Checksum {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Md5, Self::Sha256];
}

impl From<Checksum> for Algorithm {
    fn from(checksum: Checksum) -> Self {
        match checksum {
            Checksum::Md5 => Self::Md5,
            Checksum::Sha256 => Self::Sha256,
        }
    }
}

/// The strong sum of a part or an image.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sum {
    Md5([u8; 16]),
    Sha256([u8; 32]),
}

impl Sum {
    /// The algorithm that made it.
    pub fn checksum(&self) -> Checksum {
        match self {
            Self::Md5(_) => Checksum::Md5,
            Self::Sha256(_) => Checksum::Sha256,
        }
    }

    /// The 16 or 32 bytes of the sum.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Md5(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        }
    }

    /// A sum of the given kind from its bytes; `None` if there are not exactly as many as the kind has.
    pub fn from_bytes(checksum: Checksum, bytes: &[u8]) -> Option<Self> {
        match checksum {
            Checksum::Md5 => bytes.try_into().ok().map(Self::Md5),
            Checksum::Sha256 => bytes.try_into().ok().map(Self::Sha256),
        }
    }

    /// The sum of `data`.
    pub fn of(checksum: Checksum, data: &[u8]) -> Self {
        Self::from_bytes(checksum, &Hasher::sum(checksum.into(), data)).expect("the sum is of this kind")
    }

    /// The sum of all that `input` gives.
    pub fn of_reader(checksum: Checksum, mut input: impl Read) -> io::Result<Self> {
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
        Ok(Self::from_bytes(checksum, &hasher.finish()).expect("the sum is of this kind"))
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(self.as_bytes()))
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", Algorithm::from(self.checksum()).name())
    }
}

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
    static STREAMS: LazyLock<[usize; 3]> = LazyLock::new(|| [of::<Md5>(), of::<Sha256>(), of::<Sha512>()]);
    match algorithm {
        Algorithm::Md5 => STREAMS[0],
        Algorithm::Sha1 => 1,
        Algorithm::Sha256 => STREAMS[1],
        Algorithm::Sha512 => STREAMS[2],
    }
}

/// Lower-case hexadecimal of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}
