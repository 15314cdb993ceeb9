//! The sums of a whole file by several algorithms, computed while the file is read or written.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jigdo::{Algorithm, Checksum, Sum};

use crate::file::Mapped;
use crate::summing::{Engine, Stream};

/// A file's sums.
pub type Sums = BTreeMap<Algorithm, Vec<u8>>;

/// Sums that are being computed: see [`Stream`].
pub struct Streams(BTreeMap<Algorithm, Stream>);

impl Streams {
    /// Begins these sums.
    pub fn new(engine: &Engine, file: &Arc<Mapped>, algorithms: &BTreeSet<Algorithm>) -> Self {
        let stream = |&algorithm| (algorithm, engine.stream(file, algorithm));
        Self(algorithms.iter().map(stream).collect())
    }

    /// Allows summing the file's bytes up to this offset.
    pub fn allow(&self, limit: u64) {
        self.0.values().for_each(|stream| stream.allow(limit));
    }

    /// The offset that all sums have reached; `None` if there are no sums.
    pub fn position(&self) -> Option<u64> {
        self.0.values().map(Stream::position).min()
    }

    /// Waits until all sums have reached this offset, which must be allowed.
    pub fn wait_for(&self, offset: u64) {
        self.0.values().for_each(|stream| stream.wait_for(offset));
    }

    /// The sums of all bytes that are allowed, and the time that they took.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn finish(self) -> io::Result<(Sums, Duration)> {
        let (mut sums, mut spent) = (Sums::new(), Duration::ZERO);
        for (algorithm, stream) in self.0 {
            let (sum, of_stream) = stream.finish()?;
            sums.insert(algorithm, sum);
            spent += of_stream;
        }
        Ok((sums, spent))
    }
}

/// The sum by this algorithm, which `sums` must contain.
pub fn set_sum(sums: &Sums, checksum: Checksum) -> Sum {
    let sum = sums.get(&checksum.into()).and_then(|bytes| Sum::from_bytes(checksum, bytes));
    sum.expect("a set's own checksum is always computed")
}
