//! The strong sums that sets and SUMS files carry.

use std::fmt::{self, Write as _};

use md5::Md5;
use sha2::{Digest as _, Sha256};

/// A whole-file checksum algorithm, as SUMS files and jigdo comments name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Algorithm {
    /// MD5 (RFC 1321): 16 bytes.
    Md5,
    /// SHA-1 (FIPS 180-4): 20 bytes.
    Sha1,
    /// SHA-256 (FIPS 180-4): 32 bytes.
    Sha256,
    /// SHA-512 (FIPS 180-4): 64 bytes.
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
    /// In sets of format 1.x.
    Md5([u8; 16]),
    /// In sets of format 2.0.
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

    /// A sum of the given kind from its bytes; `None` unless there are exactly 16 or 32 of them, as the kind has.
    pub fn from_bytes(checksum: Checksum, bytes: &[u8]) -> Option<Self> {
        match checksum {
            Checksum::Md5 => bytes.try_into().ok().map(Self::Md5),
            Checksum::Sha256 => bytes.try_into().ok().map(Self::Sha256),
        }
    }

    /// The sum of `data`.
    pub fn of(checksum: Checksum, data: &[u8]) -> Self {
        match checksum {
            Checksum::Md5 => Self::Md5(Md5::digest(data).into()),
            Checksum::Sha256 => Self::Sha256(Sha256::digest(data).into()),
        }
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

/// Lower-case hexadecimal of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}
