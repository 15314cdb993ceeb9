//! Checks that parts are where they should be. Places are summed in parallel, each once, however many sets need it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use bytes::Bytes;
use jigdo::{Checksum, Sum};

use crate::assemble::{Error, Part, PartPlace, Reason};
use crate::digest::Hasher;
use crate::file::Stamp;
use crate::progress::{Begin, Progress, Task};
use crate::summing::{Engine, Request, Source, Ticket};

/// A part and the places where it should be, the best first.
pub type Wanted = (Part, Vec<PartPlace>);

/// The result for a part.
#[derive(Debug, Default)]
pub struct Checked {
    /// Whether one of the places has it.
    pub is_right: bool,
    /// The places that do not have it, and why.
    pub refused: Vec<(PartPlace, Reason)>,
}

/// Checks the places of each part until one is right. Returns the results in the order of the parts.
///
/// # Errors
/// No threads can be started.
pub fn check(wanted: &[Wanted], threads: usize, progress: &dyn Progress) -> Result<Vec<Checked>, Error> {
    let mut checked: Vec<Checked> = wanted.iter().map(|_| Checked::default()).collect();
    if wanted.is_empty() {
        return Ok(checked);
    }
    let bytes = wanted.iter().map(|(part, _)| part.length).sum();
    let task = Task::begin(progress, Begin::bytes("parts", "parts").total(bytes));
    let mut reader = Reader::new(wanted, threads)?;
    // The longest parts are summed first, so they are waited for first.
    let mut left: Vec<usize> = (0..wanted.len()).collect();
    left.sort_by_key(|&number| Reverse(wanted[number].0.length));
    for tier in 0.. {
        left.retain(|&number| !checked[number].is_right && tier < wanted[number].1.len());
        if left.is_empty() {
            break;
        }
        let candidates = left.iter().map(|&number| (&wanted[number].1[tier], &wanted[number].0));
        for (&number, reading) in left.iter().zip(reader.read(candidates)) {
            let (part, places) = &wanted[number];
            let compared = reading.and_then(|reading| reader.compare(part, &reading));
            match compared.and_then(|()| check_first_block(part, &places[tier])) {
                Ok(()) => checked[number].is_right = true,
                Err(reason) => checked[number].refused.push((places[tier].clone(), reason)),
            }
            if checked[number].is_right || tier + 1 == places.len() {
                task.advance(part.length);
            }
        }
    }
    Ok(checked)
}

/// That the template has the right sum of the part's first block: jigdo-file refuses the part if not.
fn check_first_block(part: &Part, place: &PartPlace) -> Result<(), Reason> {
    let begins = part.first_block.map_or(Ok(true), |block| block.begins(place, part.length))?;
    if begins { Ok(()) } else { Err(Reason::FirstBlock) }
}

/// Bytes that may be a part: a place and a length.
type Candidate = (PartPlace, u64);

/// Sums the bytes at places, each place once.
struct Reader {
    engine: Engine,
    /// The kinds of sums that parts need of these bytes.
    checksums: HashMap<Candidate, BTreeSet<Checksum>>,
    readings: HashMap<Candidate, Reading>,
}

/// The sums of the bytes at a place. They may not be ready yet.
#[derive(Clone)]
struct Reading {
    checksums: BTreeSet<Checksum>,
    ticket: Arc<Ticket>,
}

impl Reader {
    fn new(wanted: &[Wanted], threads: usize) -> Result<Self, Error> {
        let engine = Engine::with_own_threads(threads).map_err(Error::Threads)?;
        let mut checksums: HashMap<Candidate, BTreeSet<Checksum>> = HashMap::new();
        for (part, places) in wanted {
            for place in places {
                checksums.entry((place.clone(), part.length)).or_default().insert(part.sum.checksum());
            }
        }
        Ok(Self { engine, checksums, readings: HashMap::new() })
    }

    /// Starts to read each place, unless that has started before, or the place clearly does not have its part.
    fn read<'a>(
        &mut self,
        candidates: impl Iterator<Item = (&'a PartPlace, &'a Part)>,
    ) -> Vec<Result<Reading, Reason>> {
        let mut requests: HashMap<Candidate, Request> = HashMap::new();
        let mut begin = |(place, part): (&PartPlace, &Part)| {
            let candidate = (place.clone(), part.length);
            if !self.readings.contains_key(&candidate) && !requests.contains_key(&candidate) {
                let hashers = self.checksums[&candidate].iter().map(|&checksum| Hasher::new(checksum.into()));
                let request = request(place, part.length, hashers.collect())?;
                requests.insert(candidate.clone(), request);
            }
            Ok(candidate)
        };
        let begun: Vec<Result<Candidate, Reason>> = candidates.map(&mut begin).collect();
        let (candidates, requests): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        for (candidate, ticket) in candidates.into_iter().zip(self.engine.sum(requests)) {
            let checksums = self.checksums[&candidate].clone();
            self.readings.insert(candidate, Reading { checksums, ticket });
        }
        begun.into_iter().map(|begun| Ok(self.readings[&begun?].clone())).collect()
    }

    /// Waits for a reading and compares it with the part's sum.
    fn compare(&self, part: &Part, reading: &Reading) -> Result<(), Reason> {
        self.engine.wait_idle(std::slice::from_ref(&reading.ticket));
        let sums = match reading.ticket.sums().expect("it was waited for") {
            Ok(sums) => &sums[0],
            Err(error) => return Err(io::Error::new(error.kind(), error.to_string()).into()),
        };
        let mut found = reading.checksums.iter().zip(sums).filter_map(|(&kind, sum)| Sum::from_bytes(kind, sum));
        let found = found.find(|found| found.checksum() == part.sum.checksum()).expect("it was requested");
        if found == part.sum { Ok(()) } else { Err(Reason::Sum { found }) }
    }
}

/// A request for `length` bytes at a place; an error if they cannot be there.
fn request(place: &PartPlace, length: u64, hashers: Vec<Hasher>) -> Result<Request, Reason> {
    let (source, start) = match place {
        PartPlace::File(path) => (closed(path, Some(length))?, 0),
        PartPlace::Inside { file, offset } => (closed(file, None)?, *offset),
        PartPlace::Memory(bytes) if bytes.len() as u64 == length => {
            (Source::Memory(Bytes::from_owner(Arc::clone(bytes))), 0)
        }
        PartPlace::Memory(bytes) => return Err(Reason::Length { expected: length, found: bytes.len() as u64 }),
    };
    Ok(Request { source, start, ends: vec![start.saturating_add(length)], hashers })
}

/// The file at `path`, which must have `length` bytes if that is set.
fn closed(path: &Path, length: Option<u64>) -> Result<Source, Reason> {
    let metadata = fs::metadata(path)?;
    let found = metadata.len();
    match length {
        _ if !metadata.is_file() => Err(Reason::NotAFile),
        Some(expected) if expected != found => Err(Reason::Length { expected, found }),
        _ => Ok(Source::closed(path.to_owned(), Stamp::of(&metadata))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use testing::noise;

    fn part(checksum: Checksum, bytes: &[u8]) -> Part {
        Part { sum: Sum::of(checksum, bytes), length: bytes.len() as u64, first_block: None }
    }

    #[test]
    fn parts_are_looked_for_at_one_place_after_the_other() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str, bytes: &[u8]| {
            let path = directory.path().join(name);
            fs::write(&path, bytes).unwrap();
            PartPlace::file(&path)
        };
        let (right, wrong) = (noise(1, 3_000_000), noise(2, 3_000_000));
        let files = [place("right", &right), place("wrong", &wrong), place("short", &right[1..])];
        let [at_right, at_wrong, at_short] = files.clone();
        let (directory, missing) = (PartPlace::file(directory.path()), PartPlace::file(Path::new("/nonexistent")));
        let inside = |offset| match &at_right {
            PartPlace::File(file) => PartPlace::Inside { file: Arc::clone(file), offset },
            other => panic!("{other}"),
        };
        let (md5, sha256) = (part(Checksum::Md5, &right), part(Checksum::Sha256, &right));
        let wanted = [
            (md5, vec![at_right.clone()]),
            (md5, vec![at_short, directory, missing, at_wrong.clone(), at_right.clone()]),
            (sha256, vec![at_wrong, at_right.clone()]),
            (part(Checksum::Md5, &wrong), vec![at_right.clone()]),
            (part(Checksum::Sha256, &right[1000..2000]), vec![inside(999), inside(2_999_001), inside(1000)]),
            (md5, vec![PartPlace::Memory(wrong.into()), PartPlace::Memory(right.into())]),
            (part(Checksum::Md5, b""), Vec::new()),
        ];
        for threads in [1, 3] {
            let checked = check(&wanted, threads, &Silent).unwrap();
            let is_right: Vec<bool> = checked.iter().map(|checked| checked.is_right).collect();
            assert_eq!(is_right, [true, true, true, false, true, true, false]);
            let reasons =
                |number: usize| -> Vec<&Reason> { checked[number].refused.iter().map(|(_, reason)| reason).collect() };
            assert!(matches!(
                reasons(1)[..],
                [
                    Reason::Length { expected: 3_000_000, found: 2_999_999 },
                    Reason::NotAFile,
                    Reason::Io(_),
                    Reason::Sum { .. }
                ]
            ));
            assert!(matches!(reasons(2)[..], [Reason::Sum { .. }]) && matches!(reasons(3)[..], [Reason::Sum { .. }]));
            assert!(matches!(reasons(4)[..], [Reason::Sum { .. }, Reason::Io(_)]));
            assert!(matches!(reasons(5)[..], [Reason::Sum { found }] if *found != md5.sum));
            assert!(reasons(0).is_empty() && reasons(6).is_empty());
        }
    }
}
