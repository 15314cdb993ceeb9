//! The strong sums of files, read from their bytes, many files side by side.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::FileError;
use super::read::{Reading, has_stamp};
use crate::digest::{self, Checksum, Content, ContentHasher, Hasher, Sum};
use crate::matcher::PartSum;
use crate::stamp::Stamp;

/// What is known of a file's bytes, all from one read of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    pub md5: Option<[u8; 16]>,
    pub sha256: Option<[u8; 32]>,
    pub content: Option<[u8; 32]>,
}

impl Sums {
    /// The content hash and the sum of the given kind, if both are known.
    pub fn part(&self, checksum: Checksum) -> Option<PartSum> {
        Some(PartSum { content: self.content()?, sum: self.sum(checksum)? })
    }

    /// What the index keeps beside a sum, so that one that is damaged there is not taken for the file's: a wrong one
    /// would be published. `None` where the sum, or the content hash with which it was found, is not known.
    pub fn check(&self, checksum: Checksum) -> Option<i64> {
        let mut hasher = ContentHasher::default();
        hasher.update(&self.content?);
        hasher.update(self.sum(checksum)?.as_bytes());
        hasher.finish().0.first_chunk().copied().map(i64::from_le_bytes)
    }

    /// Those sums of a row of the index whose checks are right.
    pub fn checked(self, md5_check: Option<i64>, sha256_check: Option<i64>) -> Self {
        let is_right = |checksum, check: Option<i64>| check.is_some() && check == self.check(checksum);
        Self {
            md5: self.md5.filter(|_| is_right(Checksum::Md5, md5_check)),
            sha256: self.sha256.filter(|_| is_right(Checksum::Sha256, sha256_check)),
            content: self.content,
        }
    }

    /// The content hash, if it is known.
    pub fn content(&self) -> Option<Content> {
        self.content.map(Content)
    }

    fn sum(&self, checksum: Checksum) -> Option<Sum> {
        match checksum {
            Checksum::Md5 => self.md5.map(Sum::Md5),
            Checksum::Sha256 => self.sha256.map(Sum::Sha256),
        }
    }

    fn set(&mut self, sum: Sum) {
        match sum {
            Sum::Md5(bytes) => self.md5 = Some(bytes),
            Sum::Sha256(bytes) => self.sha256 = Some(bytes),
        }
    }
}

/// How many files a thread reads side by side: as many as its lanes take.
const SIDE_BY_SIDE: usize = 16;

/// With fewer files than this, another thread is not worth its while.
const FEW: usize = 8;

/// How much is read of a file at a time: of all together, what a core's own cache holds.
const PIECE: usize = 64 << 10;

/// A file whose sums are wanted.
pub struct Wanted<'a> {
    pub path: PathBuf,
    pub stamp: &'a Stamp,
}

/// Reads files, and gives each file's number and sums to `take` as soon as they are known, in any order, from many
/// threads. A file that changes under the reader is read again if it came to rest as its stamp says.
pub fn read_sums(
    files: &[Wanted<'_>],
    checksums: &[Checksum],
    take: impl Fn(usize, Result<Sums, FileError>) + Sync + Send,
) {
    // The longest first, so that the lanes run dry at about the same time.
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|&number| files[number].stamp.size);
    let waiting = Mutex::new(order);
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let threads = rayon::current_num_threads().min(files.len().div_ceil(FEW));
    (0..threads).into_par_iter().with_max_len(1).for_each(|_| {
        let mut lanes: Vec<Lane> = Vec::new();
        loop {
            while lanes.len() < SIDE_BY_SIDE
                && let Some(number) = next()
            {
                match Lane::open(number, &files[number], checksums) {
                    Ok(lane) => lanes.push(lane),
                    Err(error) => take(number, Err(error)),
                }
            }
            if lanes.is_empty() {
                return;
            }
            advance(&mut lanes, files, checksums, &take);
        }
    });
}

/// A file that is being read.
struct Lane<'a> {
    number: usize,
    reading: Reading<'a>,
    hashers: Vec<Hasher>,
    content: ContentHasher,
    buffer: Vec<u8>,
    /// How much of the buffer was read last.
    filled: usize,
    /// Whether it is read for the second time.
    is_again: bool,
}

impl<'a> Lane<'a> {
    fn open(number: usize, file: &'a Wanted<'a>, checksums: &[Checksum]) -> Result<Self, FileError> {
        Ok(Self {
            number,
            reading: Reading::open(&file.path, file.stamp)?,
            hashers: hashers(checksums),
            content: ContentHasher::default(),
            buffer: vec![0; PIECE],
            filled: 0,
            is_again: false,
        })
    }

    fn sums(&mut self, checksums: &[Checksum]) -> Sums {
        let mut sums = Sums { content: Some(self.content.finish().0), ..Sums::default() };
        for (hasher, &checksum) in self.hashers.drain(..).zip(checksums) {
            sums.set(Sum::from_bytes(checksum, &hasher.finish()).expect("the sum is of this kind"));
        }
        sums
    }

    /// Begins again with a file that changed meanwhile, unless it did so before, or is not what it should be.
    fn again(&mut self, file: &'a Wanted<'a>, checksums: &[Checksum]) -> bool {
        if self.is_again || !has_stamp(&file.path, file.stamp) {
            return false;
        }
        let Ok(reading) = Reading::open(&file.path, file.stamp) else { return false };
        (self.reading, self.hashers, self.is_again) = (reading, hashers(checksums), true);
        self.content = ContentHasher::default();
        true
    }
}

fn hashers(checksums: &[Checksum]) -> Vec<Hasher> {
    checksums.iter().map(|&checksum| Hasher::new(checksum.into())).collect()
}

/// Takes the next piece of each file into its sums; files that end leave their lanes.
fn advance<'a>(
    lanes: &mut Vec<Lane<'a>>,
    files: &'a [Wanted<'a>],
    checksums: &[Checksum],
    take: impl Fn(usize, Result<Sums, FileError>),
) {
    lanes.retain_mut(|lane| match lane.reading.fill(&mut lane.buffer) {
        Ok(0) => {
            take(lane.number, Ok(lane.sums(checksums)));
            false
        }
        Ok(filled) => {
            lane.content.update(&lane.buffer[..filled]);
            lane.filled = filled;
            true
        }
        Err(FileError::Changed { .. }) if lane.again(&files[lane.number], checksums) => {
            lane.filled = 0;
            true
        }
        Err(error) => {
            take(lane.number, Err(error));
            false
        }
    });
    let mut updates: Vec<(&mut Hasher, &[u8])> = Vec::new();
    for Lane { hashers, buffer, filled, .. } in lanes {
        updates.extend(hashers.iter_mut().map(|hasher| (hasher, &buffer[..*filled])));
    }
    digest::update_all(&mut updates);
}
