//! Content hashes: what proves that a region of an image is a mirror file.
//!
//! A strong sum would prove it too, but is one chain of steps from the first byte to the last. BLAKE3 is a tree, whose
//! branches a core computes side by side, so that one file alone is hashed as fast as many together.

use serde::{Deserialize, Serialize};

/// The BLAKE3 of some bytes. Bytes with the same one are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Content(pub [u8; 32]);

/// Lower-case hexadecimal.
impl From<Content> for String {
    fn from(content: Content) -> Self {
        blake3::Hash::from(content.0).to_hex().to_string()
    }
}

impl TryFrom<String> for Content {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        blake3::Hash::from_hex(&text).map(|hash| Self(hash.into())).map_err(|_| "it is no content hash")
    }
}

impl Content {
    /// The hash of `data`.
    pub fn of(data: &[u8]) -> Self {
        Self(blake3::hash(data).into())
    }

    /// The hashes of the first bytes of `data`, as many as each of `lengths` says; these ascend, and none is greater
    /// than the data's length.
    pub fn of_beginnings(data: &[u8], lengths: impl IntoIterator<Item = usize>) -> Vec<Self> {
        let (mut hasher, mut done) = (ContentHasher::default(), 0);
        let content = |length| {
            hasher.update(&data[done..length]);
            done = length;
            hasher.finish()
        };
        lengths.into_iter().map(content).collect()
    }
}

/// A content hash in the making.
#[derive(Clone, Default)]
pub struct ContentHasher(blake3::Hasher);

impl ContentHasher {
    /// Adds `data` to what is hashed.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The hash of all that came.
    pub fn finish(&self) -> Content {
        Content(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_have_the_hashes_of_their_bytes() {
        let data: Vec<u8> = (0..10_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 9) as u8).collect();
        let lengths = [0, 1, 1024, 1024, 5000, 10_000];
        let expected: Vec<_> = lengths.iter().map(|&length| Content::of(&data[..length])).collect();
        assert_eq!(Content::of_beginnings(&data, lengths), expected);
    }

    #[test]
    fn a_hash_is_written_and_read() {
        let content = Content::of(b"x");
        let json = serde_json::to_string(&content).unwrap();
        assert_eq!(serde_json::from_str::<Content>(&json).unwrap(), content);
        for wrong in ["", "00", &json[1..64], &json] {
            assert!(Content::try_from(wrong.to_owned()).is_err());
        }
    }

    #[test]
    fn the_hash_is_blake3() {
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(super::super::hex(&Content::of(b"").0), empty);
    }
}
