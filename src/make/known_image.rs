//! An image with what an earlier run found out about it: its sums, and the hashes of the parts in it. While the image is
//! unchanged, none of this is hashed again, whatever changes in the mirrors.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jigdo::{Algorithm, Checksum};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::digest::Content;
use crate::file::Stamp;
use crate::file::{Bytes, Region};
use crate::file::{Mapped, Window};
use crate::summing::{Engine, Request, Source, Ticket};

/// What a run found out about an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// The image's stamp when it was read.
    pub image: Stamp,
    /// Whole-file sums.
    pub sums: BTreeMap<Algorithm, Vec<u8>>,
    /// Byte ranges with the hashes of their content.
    pub contents: Vec<(Range<u64>, Content)>,
}

/// An image with the facts known about it.
pub struct KnownImage<'a> {
    /// The image's bytes.
    pub mapped: Arc<Mapped>,
    engine: &'a Engine,
    sums: BTreeMap<Algorithm, Vec<u8>>,
    contents: HashMap<Range<u64>, Content>,
    hashing: Mutex<Hashing>,
}

/// The cost of hashing regions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hashing {
    /// CPU time: their share of the lanes' time.
    pub spent: Duration,
    /// How long the search waited for them.
    pub waited: Duration,
    pub bytes: u64,
}

impl<'a> KnownImage<'a> {
    /// The image with these facts, if they are about this version of it.
    pub fn new(mapped: Arc<Mapped>, known: Option<ImageFacts>, engine: &'a Engine) -> Self {
        let known = known.filter(|known| known.image == mapped.stamp());
        let (sums, contents) = known.map(|known| (known.sums, known.contents)).unwrap_or_default();
        let contents = contents.into_iter().collect();
        Self { mapped, engine, sums, contents, hashing: Mutex::default() }
    }

    /// The image's sum, if it is known.
    pub fn sum(&self, algorithm: Algorithm) -> Option<&Vec<u8>> {
        self.sums.get(&algorithm)
    }

    /// What hashing regions in lanes has cost so far.
    pub fn hashing(&self) -> Hashing {
        *self.hashing.lock()
    }

    fn known_contents(&self, checksum: Checksum, region: &Region) -> Option<Vec<Content>> {
        let known = |&end: &u64| self.contents.get(&(region.start..end)).copied();
        let is_of_kind = |content: &Content| content.checksum() == checksum;
        region.ends.iter().map(|end| known(end).filter(is_of_kind)).collect()
    }

    /// The MD5s of regions, hashed in lanes.
    fn hash(&self, regions: &[&Region]) -> io::Result<Vec<Vec<Content>>> {
        let request = |region: &&Region| Request {
            source: Source::Open(Arc::clone(&self.mapped)),
            start: region.start,
            ends: region.ends.clone(),
            hashers: vec![Content::hasher(Checksum::Md5)],
        };
        let start = Instant::now();
        let tickets = self.engine.sum(regions.iter().map(request));
        self.engine.wait_idle(&tickets);
        let mut hashing = self.hashing.lock();
        hashing.waited += start.elapsed();
        hashing.spent += tickets.iter().map(|ticket| ticket.spent()).sum::<Duration>();
        hashing.bytes += regions.iter().filter_map(|region| Some(region.ends.last()? - region.start)).sum::<u64>();
        let content = |sums: &Vec<Vec<u8>>| Content::from_bytes(Checksum::Md5, &sums[0]).expect("it is an MD5");
        let contents = |ticket: &Arc<Ticket>| match ticket.sums().expect("it was waited for") {
            Ok(sums) => Ok(sums.iter().map(content).collect()),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        tickets.iter().map(contents).collect()
    }
}

impl Bytes for KnownImage<'_> {
    type Window<'b>
        = Window<'b>
    where
        Self: 'b;

    fn length(&self) -> u64 {
        self.mapped.length()
    }

    fn window(&self, range: Range<u64>) -> io::Result<Window<'_>> {
        // Only the unknown bytes of a known image are read.
        match self.contents.is_empty() {
            true => self.mapped.window(range),
            false => Ok(self.mapped.lazy_window(range)),
        }
    }

    fn contents(&self, checksum: Checksum, regions: &[Region]) -> io::Result<Vec<Option<Vec<Content>>>> {
        let mut contents: Vec<_> = regions.iter().map(|region| self.known_contents(checksum, region)).collect();
        // BLAKE3 is just as fast over windows.
        if checksum == Checksum::Md5 {
            let unknown: Vec<usize> = (0..regions.len()).filter(|&number| contents[number].is_none()).collect();
            let hashed = self.hash(&unknown.iter().map(|&number| &regions[number]).collect::<Vec<_>>())?;
            unknown.into_iter().zip(hashed).for_each(|(number, hashed)| contents[number] = Some(hashed));
        }
        Ok(contents)
    }
}
