//! The strong sums of files.

use jigdo::{Checksum, Sum};

use crate::digest::{Content, Hasher};
use crate::matcher::PartSum;

/// What is known of a file's bytes, all from one read of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    pub md5: Option<[u8; 16]>,
    pub sha256: Option<[u8; 32]>,
    /// The content hash of sets whose sums are SHA-256; that of the others is MD5.
    pub blake3: Option<[u8; 32]>,
}

impl Sums {
    /// What computes the sums of these kinds from a file's bytes, and their content hashes.
    pub(super) fn hashers(checksums: &[Checksum]) -> Vec<Hasher> {
        let strong = checksums.iter().map(|&checksum| Hasher::new(checksum.into()));
        let blake3 = checksums.contains(&Checksum::Sha256).then(Hasher::blake3);
        strong.chain(blake3).collect()
    }

    /// The sums, as [`Sums::hashers`] gave them.
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

    /// What the index keeps beside a sum, so that one that is damaged there is not taken for the file's: a wrong one
    /// would be published. `None` where the sum, or the content hash with which it was found, is not known.
    pub fn check(&self, checksum: Checksum) -> Option<i64> {
        let PartSum { content, sum } = self.part(checksum)?;
        let check = Content::of(Checksum::Sha256, &[content.as_bytes(), sum.as_bytes()].concat());
        check.as_bytes().first_chunk().copied().map(i64::from_le_bytes)
    }

    /// Those sums of a row of the index whose checks are right.
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
