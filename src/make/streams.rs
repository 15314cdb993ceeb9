//! The sums of a whole file, one for each algorithm that is wanted, in the making.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jigdo::{Algorithm, Checksum, Sum};

use crate::file::Mapped;
use crate::summing::{Engine, Stream};

/// A file's sums.
pub type Sums = BTreeMap<Algorithm, Vec<u8>>;

/// The sums of a file in the making: see [`Stream`].
pub struct Streams(BTreeMap<Algorithm, Stream>);

impl Streams {
    /// Sums of nothing yet.
    pub fn new(engine: &Engine, file: &Arc<Mapped>, algorithms: &BTreeSet<Algorithm>) -> Self {
        let stream = |&algorithm| (algorithm, engine.stream(file, algorithm));
        Self(algorithms.iter().map(stream).collect())
    }

    /// Allows to sum the file's bytes up to this offset.
    pub fn allow(&self, limit: u64) {
        self.0.values().for_each(|stream| stream.allow(limit));
    }

    /// The offset up to which the file is in all of its sums; `None` if there are none.
    pub fn position(&self) -> Option<u64> {
        self.0.values().map(Stream::position).min()
    }

    /// Waits until the file is summed up to this offset, which must be allowed.
    pub fn wait_for(&self, offset: u64) {
        self.0.values().for_each(|stream| stream.wait_for(offset));
    }

    /// The sums of all bytes that are allowed, and the time that they took.
    ///
    /// # Errors
    /// When some of the file cannot be read.
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

/// The sum of this kind among `sums`, which must have it.
pub fn set_sum(sums: &Sums, checksum: Checksum) -> Sum {
    let sum = sums.get(&checksum.into()).and_then(|bytes| Sum::from_bytes(checksum, bytes));
    sum.expect("a set's own checksum is always computed")
}
