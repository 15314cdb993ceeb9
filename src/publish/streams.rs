//! The whole-file sums of all images in work, side by side.
//!
//! A sum is one chain from the image's first byte to its last, which no number of threads makes faster; but a thread
//! can advance many chains at the speed of one. So the images give windows, in order, and go on; where enough of them
//! have given one, a task takes a window of each into their sums. An image that is far ahead of its sums waits for
//! them, and then fewer are enough.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rayon::Scope;

use crate::digest::{self, Algorithm, Hasher};
use crate::image::Mapped;
use crate::matcher::Bytes as _;

/// How much of a stream one task takes, in bytes.
const PIECE: u64 = 32 << 20;

/// The sums of all images in work.
pub struct Streams {
    /// How many threads there are for everything.
    threads: usize,
    open: Mutex<Open>,
    /// A window has been summed.
    advanced: Condvar,
}

/// The streams of each algorithm, by their numbers.
#[derive(Default)]
struct Open {
    streams: BTreeMap<Algorithm, BTreeMap<usize, Stream>>,
    next_number: usize,
}

/// One sum of one image.
struct Stream {
    image: Arc<Mapped>,
    /// `None` while a task has it.
    hasher: Option<Hasher>,
    waiting: VecDeque<Range<u64>>,
    /// Whether somebody waits for this stream to advance.
    is_awaited: bool,
    spent: Duration,
    error: Option<io::Error>,
}

/// What a task takes from a stream.
struct Piece {
    number: usize,
    image: Arc<Mapped>,
    hasher: Hasher,
    range: Range<u64>,
}

impl Stream {
    fn is_ready(&self) -> bool {
        self.hasher.is_some() && !self.waiting.is_empty()
    }
}

impl Open {
    /// The next pieces of one algorithm that are worth a task.
    fn take_due(&mut self, threads: usize) -> Option<(Algorithm, Vec<Piece>)> {
        self.streams.iter_mut().find_map(|(&algorithm, streams)| {
            let most = digest::streams_at_once(algorithm);
            // More at a time cost less each, but take longer. Half of the threads are enough for sums: the other half
            // has the parts to look for.
            let enough = (2 * streams.len()).div_ceil(threads).clamp(1, most);
            let mut ready: Vec<_> = streams.iter_mut().filter(|(_, stream)| stream.is_ready()).collect();
            if ready.len() < enough && !ready.iter().any(|(_, stream)| stream.is_awaited) {
                return None;
            }
            ready.sort_by_key(|(_, stream)| !stream.is_awaited);
            let piece = |(&number, stream): (&usize, &mut Stream)| {
                let (image, hasher) = (Arc::clone(&stream.image), stream.hasher.take()?);
                Some(Piece { number, image, hasher, range: stream.waiting.pop_front()? })
            };
            let pieces: Vec<Piece> = ready.into_iter().take(most).filter_map(piece).collect();
            (!pieces.is_empty()).then_some((algorithm, pieces))
        })
    }
}

impl Streams {
    /// No sums yet, for a run with this many threads.
    pub fn new(threads: usize) -> Self {
        Self { threads, open: Mutex::default(), advanced: Condvar::new() }
    }

    /// Begins the sums of an image.
    pub fn open<'s>(&'s self, image: &Arc<Mapped>, algorithms: &BTreeSet<Algorithm>) -> ImageSums<'s> {
        let mut open = self.lock();
        let number = open.next_number;
        open.next_number += 1;
        for &algorithm in algorithms {
            let stream = Stream {
                image: Arc::clone(image),
                hasher: Some(Hasher::new(algorithm)),
                waiting: VecDeque::new(),
                is_awaited: false,
                spent: Duration::ZERO,
                error: None,
            };
            open.streams.entry(algorithm).or_default().insert(number, stream);
        }
        ImageSums { streams: self, number, algorithms: algorithms.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a task for all pieces that are worth one.
    fn start<'s>(&'s self, scope: &Scope<'s>, open: &mut Open) {
        while let Some((algorithm, pieces)) = open.take_due(self.threads) {
            scope.spawn(move |scope| self.advance(scope, algorithm, pieces));
        }
    }

    /// Takes the pieces into their sums.
    fn advance<'s>(&'s self, scope: &Scope<'s>, algorithm: Algorithm, mut pieces: Vec<Piece>) {
        let start = Instant::now();
        let windows: Vec<_> = pieces.iter().map(|piece| (Arc::clone(&piece.image), piece.range.clone())).collect();
        let windows: Vec<_> = windows.iter().map(|(image, range)| image.window(range.clone())).collect();
        let mut updates: Vec<(&mut Hasher, &[u8])> = Vec::with_capacity(pieces.len());
        for (piece, window) in pieces.iter_mut().zip(&windows) {
            updates.push((&mut piece.hasher, window.as_deref().unwrap_or_default()));
        }
        digest::update_all(&mut updates);
        let (spent, bytes) =
            (start.elapsed(), pieces.iter().map(|piece| piece.range.end - piece.range.start).sum::<u64>());
        let errors: Vec<_> = windows.into_iter().map(Result::err).collect();

        let mut open = self.lock();
        for (piece, error) in pieces.into_iter().zip(errors) {
            // The work on the image may have ended early.
            let Some(stream) = open.streams.get_mut(&algorithm).and_then(|of| of.get_mut(&piece.number)) else {
                continue;
            };
            stream.hasher = Some(piece.hasher);
            stream.spent += spent.mul_f64((piece.range.end - piece.range.start) as f64 / bytes.max(1) as f64);
            stream.error = stream.error.take().or(error);
        }
        self.start(scope, &mut open);
        self.advanced.notify_all();
    }
}

/// The sums of one image.
pub struct ImageSums<'s> {
    streams: &'s Streams,
    number: usize,
    algorithms: BTreeSet<Algorithm>,
}

impl<'s> ImageSums<'s> {
    /// Gives the image's next window. Waits while more of the image waits than the window has.
    pub fn push(&self, scope: &Scope<'s>, window: Range<u64>) {
        let most = (window.end - window.start).div_ceil(PIECE) as usize;
        let mut open = self.wait(scope, |stream| stream.waiting.len() <= most);
        let pieces = || window.clone().step_by(PIECE as usize).map(|start| start..window.end.min(start + PIECE));
        self.of(&mut open).for_each(|stream| stream.waiting.extend(pieces()));
        self.streams.start(scope, &mut open);
    }

    /// The sums of all windows, and the time that they took.
    ///
    /// # Errors
    /// When a window of the image cannot be had.
    pub fn finish(self, scope: &Scope<'s>) -> io::Result<(BTreeMap<Algorithm, Vec<u8>>, Duration)> {
        let mut open = self.wait(scope, |stream| stream.waiting.is_empty() && stream.hasher.is_some());
        let (mut sums, mut spent) = (BTreeMap::new(), Duration::ZERO);
        for &algorithm in &self.algorithms {
            let stream = open.streams.get_mut(&algorithm).and_then(|of| of.remove(&self.number));
            let Stream { hasher, spent: of_stream, error, .. } = stream.expect("a stream stays until it is closed");
            if let Some(error) = error {
                return Err(error);
            }
            sums.insert(algorithm, hasher.expect("no task has it").finish());
            spent += of_stream;
        }
        Ok((sums, spent))
    }

    /// Waits until all streams of the image are as wanted.
    fn wait(&self, scope: &Scope<'s>, is_done: impl Fn(&Stream) -> bool) -> MutexGuard<'s, Open> {
        let mut open = self.streams.lock();
        loop {
            let mut is_all_done = true;
            for stream in self.of(&mut open) {
                stream.is_awaited = !is_done(stream);
                is_all_done &= !stream.is_awaited;
            }
            if is_all_done {
                return open;
            }
            self.streams.start(scope, &mut open);
            open = self.streams.advanced.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn of<'o>(&self, open: &'o mut Open) -> impl Iterator<Item = &'o mut Stream> + use<'o> {
        let number = self.number;
        open.streams.values_mut().filter_map(move |of| of.get_mut(&number))
    }
}

impl Drop for ImageSums<'_> {
    fn drop(&mut self) {
        // Work that ends early leaves its streams behind.
        let mut open = self.streams.lock();
        open.streams.values_mut().for_each(|of| drop(of.remove(&self.number)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn noise(seed: u64, length: u64) -> Vec<u8> {
        (0..length).map(|at| ((at ^ seed << 33).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 29) as u8).collect()
    }

    fn image(bytes: &[u8]) -> (tempfile::NamedTempFile, Arc<Mapped>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mapped = Mapped::open(file.path()).unwrap();
        (file, Arc::new(mapped))
    }

    fn sum(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    fn sums_in_windows<'s>(
        streams: &'s Streams,
        scope: &Scope<'s>,
        image: &Arc<Mapped>,
        window: u64,
    ) -> BTreeMap<Algorithm, Vec<u8>> {
        let sums = streams.open(image, &Algorithm::ALL.into());
        for start in (0..image.length()).step_by(window as usize) {
            sums.push(scope, start..image.length().min(start + window));
        }
        sums.finish(scope).unwrap().0
    }

    #[test]
    fn images_of_any_lengths_get_the_sums_of_their_bytes_with_any_number_of_threads() {
        let lengths = (0..20).map(|number| [0, 1, 1000, 65_536, 300_001][number as usize % 5] * (number / 5 + 1));
        let images: Vec<_> = lengths.enumerate().map(|(seed, length)| noise(seed as u64, length)).collect();
        let files: Vec<_> = images.iter().map(|bytes| image(bytes)).collect();
        for threads in [1, 2, 5] {
            let streams = Streams::new(threads);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let sums: Vec<_> = pool.in_place_scope(|scope| {
                std::thread::scope(|drivers| {
                    let streams = &streams;
                    let drive = |(number, (_, mapped)): (usize, &(_, Arc<Mapped>))| {
                        let (mapped, window) = (Arc::clone(mapped), [4096, 20_000, 1 << 20][number % 3]);
                        drivers.spawn(move || sums_in_windows(streams, scope, &mapped, window))
                    };
                    let drivers: Vec<_> = files.iter().enumerate().map(drive).collect();
                    drivers.into_iter().map(|driver| driver.join().unwrap()).collect()
                })
            });
            for (bytes, sums) in images.iter().zip(sums) {
                let expected = Algorithm::ALL.map(|algorithm| (algorithm, sum(algorithm, bytes)));
                assert_eq!(sums, expected.into());
            }
        }
    }

    #[test]
    fn work_that_ends_early_holds_up_nobody() {
        let (bytes, other) = (noise(1, 100_000), noise(2, 50_000));
        let ((_file, left), (_other, kept)) = (image(&bytes), image(&other));
        let md5 = BTreeSet::from([Algorithm::Md5]);
        let streams = Streams::new(2);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let sums = pool.in_place_scope(|scope| {
            let (left, kept) = (streams.open(&left, &md5), streams.open(&kept, &md5));
            left.push(scope, 0..10_000);
            kept.push(scope, 0..50_000);
            drop(left);
            kept.finish(scope).unwrap().0
        });
        assert_eq!(sums, BTreeMap::from([(Algorithm::Md5, sum(Algorithm::Md5, &other))]));
    }
}
