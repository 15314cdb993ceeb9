//! Files that are summed while they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use crate::digest::{Algorithm, Checksum, Hasher, Sum};

/// Whole-file sums.
pub type Sums = BTreeMap<Algorithm, Vec<u8>>;

/// Bytes that are summed on their way.
pub struct Summed<W> {
    pub out: W,
    pub hashers: BTreeMap<Algorithm, Hasher>,
    /// How many bytes there were.
    pub length: u64,
}

impl<W> Summed<W> {
    /// Sums of these kinds, of what will be written to `out`.
    pub fn new(out: W, algorithms: &BTreeSet<Algorithm>) -> Self {
        Self { out, hashers: hashers(algorithms), length: 0 }
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hashers.values_mut().for_each(|hasher| hasher.update(&bytes[..count]));
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn hashers(algorithms: &BTreeSet<Algorithm>) -> BTreeMap<Algorithm, Hasher> {
    algorithms.iter().map(|&algorithm| (algorithm, Hasher::new(algorithm))).collect()
}

/// What these hashers have seen.
pub fn finish(hashers: BTreeMap<Algorithm, Hasher>) -> Sums {
    hashers.into_iter().map(|(algorithm, hasher)| (algorithm, hasher.finish())).collect()
}

/// The sum of this kind among `sums`, which must have it.
pub fn set_sum(sums: &Sums, checksum: Checksum) -> Sum {
    let sum = sums.get(&checksum.into()).and_then(|bytes| Sum::from_bytes(checksum, bytes));
    sum.expect("a set's own checksum is always computed")
}
