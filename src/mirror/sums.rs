//! The strong sums of files.

use jigdo::{Checksum, Sum};

use crate::digest::{Content, Hasher};
use crate::matcher::PartSum;

/// The known sums of a file, all from one read of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// For sets whose sums are MD5; `None`: not known yet.
    pub md5: Option<[u8; 16]>,
    /// For sets whose sums are SHA-256; `None`: not known yet.
    pub sha256: Option<[u8; 32]>,
    /// The content hash for sets whose sums are SHA-256. For the others it is the MD5.
    pub blake3: Option<[u8; 32]>,
}

impl Sums {
    /// The hashers for sums of these kinds and their content hashes.
    pub(super) fn hashers(checksums: &[Checksum]) -> Vec<Hasher> {
        let strong = checksums.iter().map(|&checksum| Hasher::new(checksum.into()));
        let blake3 = checksums.contains(&Checksum::Sha256).then(Hasher::blake3);
        strong.chain(blake3).collect()
    }

    /// From the results of [`Sums::hashers`], in their order.
    pub(super) fn of(checksums: &[Checksum], sums: &[Vec<u8>]) -> Self {
        let mut found = Self::default();
        for (&checksum, sum) in checksums.iter().zip(sums) {
            match Sum::from_bytes(checksum, sum).expect("the sum is of this kind") {
                Sum::Md5(bytes) => found.md5 = Some(bytes),
                Sum::Sha256(bytes) => found.sha256 = Some(bytes),
            }
        }
        found.blake3 = sums.get(checksums.len()).and_then(|sum| sum.as_slice().try_into().ok());
        found
    }

    /// The content hash and the sum of the given kind, if both are known.
    pub fn part(&self, checksum: Checksum) -> Option<PartSum> {
        Some(PartSum { content: self.content(checksum)?, sum: self.sum(checksum)? })
    }

    /// The content hash for sets whose sums are `checksum`, if it is known.
    pub fn content(&self, checksum: Checksum) -> Option<Content> {
        match checksum {
            Checksum::Md5 => self.md5.map(Content::Md5),
            Checksum::Sha256 => self.blake3.map(Content::Blake3),
        }
    }

    /// A check value that the index stores beside each sum, so that a damaged sum is never published. `None` if the sum,
    /// or the content hash that belongs to it, is not known.
    pub fn check(&self, checksum: Checksum) -> Option<i64> {
        let PartSum { content, sum } = self.part(checksum)?;
        let check = Content::of(Checksum::Sha256, &[content.as_bytes(), sum.as_bytes()].concat());
        check.as_bytes().first_chunk().copied().map(i64::from_le_bytes)
    }

    /// The sums of a row of the index, without those whose check value is wrong.
    #[must_use]
    pub fn checked(self, md5_check: Option<i64>, sha256_check: Option<i64>) -> Self {
        let is_right = |checksum, check: Option<i64>| check.is_some() && check == self.check(checksum);
        Self {
            md5: self.md5.filter(|_| is_right(Checksum::Md5, md5_check)),
            sha256: self.sha256.filter(|_| is_right(Checksum::Sha256, sha256_check)),
            blake3: self.blake3,
        }
    }

    fn sum(&self, checksum: Checksum) -> Option<Sum> {
        match checksum {
            Checksum::Md5 => self.md5.map(Sum::Md5),
            Checksum::Sha256 => self.sha256.map(Sum::Sha256),
        }
    }
}
