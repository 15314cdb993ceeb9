//! Content hashes, which prove that a region of an image is a mirror file.
//!
//! In sets of format 1.x it is MD5, the sum that they carry: in lanes it is faster than any other hash, and a set proves
//! no more of a part than its MD5 anyway. In sets of format 2.0 it is BLAKE3. SHA-256 would do there too, but even in
//! lanes it is slower than a single BLAKE3, which uses the lanes for the branches of its own tree.

use jigdo::{Checksum, hex};
use serde::{Deserialize, Serialize};

use super::Hasher;

/// The content hash of some bytes. Bytes with the same hash are as certainly the same as those with the same sum of the
/// format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Content {
    /// For sets whose sums are MD5.
    Md5([u8; 16]),
    /// For sets whose sums are SHA-256.
    Blake3([u8; 32]),
}

/// Lower-case hexadecimal.
impl From<Content> for String {
    fn from(content: Content) -> Self {
        hex(content.as_bytes())
    }
}

impl TryFrom<String> for Content {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digit = |at: usize| text.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(digit).collect();
        let bytes = bytes.unwrap_or_default();
        let content = Checksum::ALL.into_iter().find_map(|checksum| Self::from_bytes(checksum, &bytes));
        content.ok_or("it is not a content hash")
    }
}

impl Content {
    /// The hash of `data`, for sets whose sums are `checksum`.
    pub fn of(checksum: Checksum, data: &[u8]) -> Self {
        let mut hasher = Self::hasher(checksum);
        hasher.update(data);
        Self::from_bytes(checksum, &hasher.finish()).expect("the hash is of this kind")
    }

    /// The hash of the first `length` bytes of `data` for each of `lengths`, which must ascend and not exceed the data's
    /// length.
    pub fn of_beginnings(checksum: Checksum, data: &[u8], lengths: impl IntoIterator<Item = usize>) -> Vec<Self> {
        let (mut hasher, mut done) = (Self::hasher(checksum), 0);
        let content = |length| {
            hasher.update(&data[done..length]);
            done = length;
            Self::from_bytes(checksum, &hasher.clone().finish()).expect("the hash is of this kind")
        };
        lengths.into_iter().map(content).collect()
    }

    /// A hasher for content hashes of sets whose sums are `checksum`.
    pub fn hasher(checksum: Checksum) -> Hasher {
        match checksum {
            Checksum::Md5 => Hasher::new(checksum.into()),
            Checksum::Sha256 => Hasher::blake3(),
        }
    }

    /// A hash from its bytes, of which there must be 16 (MD5) or 32 (BLAKE3); `None` otherwise.
    pub fn from_bytes(checksum: Checksum, bytes: &[u8]) -> Option<Self> {
        match checksum {
            Checksum::Md5 => bytes.try_into().ok().map(Self::Md5),
            Checksum::Sha256 => bytes.try_into().ok().map(Self::Blake3),
        }
    }

    /// The 16 or 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Md5(bytes) => bytes,
            Self::Blake3(bytes) => bytes,
        }
    }

    /// The checksum of the sets that it is for.
    pub fn checksum(&self) -> Checksum {
        match self {
            Self::Md5(_) => Checksum::Md5,
            Self::Blake3(_) => Checksum::Sha256,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_have_the_hashes_of_their_bytes() {
        let data = testing::noise(1, 10_000);
        let lengths = [0, 1, 1024, 1024, 5000, 10_000];
        for checksum in Checksum::ALL {
            let expected: Vec<_> = lengths.iter().map(|&length| Content::of(checksum, &data[..length])).collect();
            assert_eq!(Content::of_beginnings(checksum, &data, lengths), expected);
        }
    }

    #[test]
    fn a_hash_is_written_and_read() {
        for checksum in Checksum::ALL {
            let content = Content::of(checksum, b"x");
            let json = serde_json::to_string(&content).unwrap();
            assert_eq!(serde_json::from_str::<Content>(&json).unwrap(), content);
            for wrong in ["", "00", "é", &json[1..json.len() - 3], &json] {
                assert!(Content::try_from(wrong.to_owned()).is_err(), "{wrong}");
            }
        }
    }

    #[test]
    fn the_hashes_are_md5_and_blake3() {
        let empty = Checksum::ALL.map(|checksum| String::from(Content::of(checksum, b"")));
        let expected =
            ["d41d8cd98f00b204e9800998ecf8427e", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"];
        assert_eq!(empty, expected);
    }
}
