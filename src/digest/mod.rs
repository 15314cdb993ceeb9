//! Checksums: the strong sums that sets and SUMS files carry, and the rolling one that finds parts.
//! Everything here takes slices and gives values; it knows no files.

#[allow(unsafe_code)]
mod md5_lanes;
pub mod rsync64;
mod rsync64_table;

pub use md5_lanes::Job;
pub use rsync64::Rsync64;

use std::fmt;

use rayon::prelude::*;
use sha2::Digest as _;

/// A whole-file checksum algorithm, as SUMS files and jigdo comments name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
        match checksum {
            Checksum::Md5 => Self::Md5(md5::Md5::digest(data).into()),
            Checksum::Sha256 => Self::Sha256(sha2::Sha256::digest(data).into()),
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

/// For each job the strong sums of its data's first bytes, in the order of its lengths. Each byte is read once.
///
/// Many MD5s are computed at once in one thread, and all of them in rayon's.
pub fn sums(checksum: Checksum, jobs: &[Job<'_>]) -> Vec<Vec<Sum>> {
    match checksum {
        Checksum::Md5 => {
            // With fewer, a thread's lanes would not be full.
            let sums = |jobs: &[Job<'_>]| md5_lanes::sums(jobs);
            let sums = jobs.par_chunks(JOBS_OF_A_THREAD).flat_map_iter(sums);
            sums.map(|sums| sums.into_iter().map(Sum::Md5).collect()).collect()
        }
        Checksum::Sha256 => jobs.par_iter().map(sha256_sums).collect(),
    }
}

/// How many MD5 jobs one thread takes at a time: enough for its lanes to be full most of the time.
const JOBS_OF_A_THREAD: usize = 32;

fn sha256_sums(job: &Job<'_>) -> Vec<Sum> {
    let mut state = sha2::Sha256::new();
    let mut from = 0;
    let sum_to = |&length: &usize| {
        state.update(&job.data[from..length]);
        from = length;
        Sum::Sha256(state.clone().finalize().into())
    };
    job.lengths.iter().map(sum_to).collect()
}

/// Lower-case hexadecimal of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}

/// A sum in the making, fed piece by piece.
#[derive(Clone)]
pub enum Hasher {
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// A hasher that has seen nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Md5 => Self::Md5(Default::default()),
            Algorithm::Sha1 => Self::Sha1(Default::default()),
            Algorithm::Sha256 => Self::Sha256(Default::default()),
            Algorithm::Sha512 => Self::Sha512(Default::default()),
        }
    }

    /// Adds `data` to what is summed.
    pub fn update(&mut self, data: &[u8]) {
        match self {
            Self::Md5(state) => state.update(data),
            Self::Sha1(state) => state.update(data),
            Self::Sha256(state) => state.update(data),
            Self::Sha512(state) => state.update(data),
        }
    }

    /// The sum's bytes: 16, 20, 32 or 64.
    pub fn finish(self) -> Vec<u8> {
        match self {
            Self::Md5(state) => state.finalize().to_vec(),
            Self::Sha1(state) => state.finalize().to_vec(),
            Self::Sha256(state) => state.finalize().to_vec(),
            Self::Sha512(state) => state.finalize().to_vec(),
        }
    }
}
