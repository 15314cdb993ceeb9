//! The sums of all images in work and of their parts, side by side.
//!
//! An image's own sum is a chain from its first byte to its last, and each part's sum is one; but a thread can advance
//! many chains at the speed of one. So images give their windows, in order, and go on; a thread takes a window of each
//! into their sums and into those of the parts in them, all in one go, as soon as all images have one, or one of them
//! cannot go on before.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jigdo::{Algorithm, Checksum, Sum};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::window::{Origin, Segment, Window};
use crate::digest::{self, Hasher};

/// How many windows of an image may wait to be summed.
const MOST_WAITING: usize = 2;

/// The sums of all images in work.
pub(super) struct Summing {
    /// How many threads sum.
    threads: usize,
    state: Mutex<Images>,
    /// Some windows are due.
    due: Condvar,
}

#[derive(Default)]
struct Images {
    open: BTreeMap<usize, Open>,
    next_number: usize,
    is_over: bool,
}

/// An image in work.
struct Open {
    /// `None` while a thread has them.
    sums: Option<Sums>,
    waiting: VecDeque<Arc<Window>>,
    /// Whether the image's work waits for its sums.
    is_awaited: bool,
    /// They have advanced.
    advanced: Arc<Condvar>,
}

/// The sums of one image, as far as they have come.
struct Sums {
    /// What the sum of each area should be that is a part.
    expected: Arc<[Option<Sum>]>,
    checksum: Checksum,
    image: Option<Hasher>,
    /// The part that goes on in the next window.
    part: Option<Hasher>,
    wrong: Vec<WrongSum>,
}

/// A part whose bytes had another sum than they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrongSum {
    /// The area's place among the plan's.
    pub area: usize,
    pub found: Sum,
}

/// What came of an image's sums.
pub(super) struct Summed {
    /// The image's own; `None` if it was not asked for, or has gaps.
    pub image: Option<Sum>,
    /// In the order of the image.
    pub wrong: Vec<WrongSum>,
}

impl Summing {
    /// No sums yet; so many threads will call [`Summing::work`].
    pub fn new(threads: usize) -> Self {
        Self { threads, state: Mutex::default(), due: Condvar::new() }
    }

    /// Begins the sums of an image. `expected` has the sum of each area that is a part.
    pub fn open(&self, checksum: Checksum, expected: Arc<[Option<Sum>]>, with_image: bool) -> ImageSums<'_> {
        let image = with_image.then(|| Hasher::new(checksum.into()));
        let sums = Some(Sums { expected, checksum, image, part: None, wrong: Vec::new() });
        let mut state = self.lock();
        let number = state.next_number;
        state.next_number += 1;
        let advanced = Arc::new(Condvar::new());
        let open = Open { sums, waiting: VecDeque::new(), is_awaited: false, advanced: Arc::clone(&advanced) };
        state.open.insert(number, open);
        ImageSums { summing: self, number, advanced }
    }

    /// Sums until [`Summing::end`] was called.
    pub fn work(&self) {
        let mut state = self.lock();
        while !state.is_over {
            let mut batch = state.take_due(self.threads);
            if batch.is_empty() {
                self.due.wait(&mut state);
                continue;
            }
            self.wake(&state);
            drop(state);
            advance(&mut batch);
            state = self.lock();
            for (number, sums, window) in batch {
                // Its memory is free again before anybody waits for some.
                drop(window);
                // The work on the image may have ended early.
                if let Some(open) = state.open.get_mut(&number) {
                    open.sums = Some(sums);
                    open.advanced.notify_all();
                }
            }
        }
    }

    /// Wakes a thread that sums, if there is work for one.
    fn wake(&self, state: &Images) {
        if state.is_due(self.threads) {
            self.due.notify_one();
        }
    }

    /// Lets the threads that sum return.
    pub fn end(&self) {
        self.lock().is_over = true;
        self.due.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Images> {
        self.state.lock()
    }
}

impl Open {
    fn is_ready(&self) -> bool {
        self.sums.is_some() && !self.waiting.is_empty()
    }
}

impl Images {
    /// How many windows are worth a thread's while.
    fn enough(&self, threads: usize) -> usize {
        let most = digest::streams_at_once(Algorithm::Md5);
        self.open.len().div_ceil(threads).clamp(1, most)
    }

    fn is_due(&self, threads: usize) -> bool {
        let ready = || self.open.values().filter(|open| open.is_ready());
        ready().count() >= self.enough(threads) || ready().any(|open| open.is_awaited)
    }

    /// The next windows that are worth a thread's while, one of an image, with the sums that they go into.
    fn take_due(&mut self, threads: usize) -> Vec<(usize, Sums, Arc<Window>)> {
        if !self.is_due(threads) {
            return Vec::new();
        }
        let enough = self.enough(threads);
        let mut due: Vec<_> = self.open.iter_mut().filter(|(_, open)| open.is_ready()).collect();
        due.sort_by_key(|(_, open)| !open.is_awaited);
        let taken = due.into_iter().take(enough);
        taken.filter_map(|(&number, open)| Some((number, open.sums.take()?, open.waiting.pop_front()?))).collect()
    }
}

/// Takes each window into the sums of its image and its parts.
fn advance(batch: &mut [(usize, Sums, Arc<Window>)]) {
    // The parts of each window: those that go on in it, and those that begin there.
    let hashers_of = |(_, sums, window): &mut (usize, Sums, Arc<Window>)| {
        let parts = window.segments.iter().filter(|segment| is_summed(segment.origin));
        let hasher = |segment: &Segment| {
            let going_on = if segment.is_first { None } else { sums.part.take() };
            going_on.unwrap_or_else(|| Hasher::new(Algorithm::from(sums.checksum)))
        };
        parts.map(hasher).collect::<Vec<_>>()
    };
    let mut hashers: Vec<Vec<Hasher>> = batch.iter_mut().map(hashers_of).collect();
    let mut updates: Vec<(&mut Hasher, &[u8])> = Vec::new();
    for ((_, sums, window), hashers) in batch.iter_mut().zip(&mut hashers) {
        if window.segments.iter().any(|segment| segment.origin == Origin::Gap) {
            sums.image = None;
        }
        updates.extend(sums.image.as_mut().map(|image| (image, &window[..])));
        let parts = window.segments.iter().filter(|segment| is_summed(segment.origin));
        updates.extend(hashers.iter_mut().zip(parts).map(|(hasher, part)| (hasher, &window[part.at.clone()])));
    }
    digest::update_all(&mut updates);
    for ((_, sums, window), hashers) in batch.iter_mut().zip(hashers) {
        let parts = window.segments.iter().filter(|segment| is_summed(segment.origin));
        for (segment, hasher) in parts.zip(hashers) {
            if segment.is_last {
                sums.compare(segment.area, hasher);
            } else {
                sums.part = Some(hasher);
            }
        }
    }
}

fn is_summed(origin: Origin) -> bool {
    matches!(origin, Origin::Place | Origin::Output)
}

impl Sums {
    fn compare(&mut self, area: usize, hasher: Hasher) {
        let found = finish(self.checksum, hasher);
        if self.expected[area].is_some_and(|expected| expected != found) {
            self.wrong.push(WrongSum { area, found });
        }
    }
}

fn finish(checksum: Checksum, hasher: Hasher) -> Sum {
    Sum::from_bytes(checksum, &hasher.finish()).expect("a hasher gives as many bytes as its sum has")
}

/// The sums of one image.
pub(super) struct ImageSums<'a> {
    summing: &'a Summing,
    number: usize,
    advanced: Arc<Condvar>,
}

impl ImageSums<'_> {
    /// Gives the image's next window. Waits while enough of the image waits to be summed.
    pub fn push(&self, window: Arc<Window>) {
        let mut state = self.wait(|open| open.waiting.len() < MOST_WAITING);
        if let Some(open) = state.open.get_mut(&self.number) {
            open.waiting.push_back(window);
        }
        self.summing.wake(&state);
    }

    /// The sums of all windows.
    pub fn finish(self) -> Summed {
        let mut state = self.wait(|open| open.waiting.is_empty() && open.sums.is_some());
        let sums = state.open.get_mut(&self.number).and_then(|open| open.sums.take());
        let Sums { checksum, image, wrong, .. } = sums.expect("the sums are back, and stay until they are closed");
        Summed { image: image.map(|hasher| finish(checksum, hasher)), wrong }
    }

    fn wait(&self, is_done: impl Fn(&Open) -> bool) -> MutexGuard<'_, Images> {
        let mut state = self.summing.lock();
        while let Some(open) = state.open.get_mut(&self.number) {
            open.is_awaited = !is_done(open);
            if !open.is_awaited {
                break;
            }
            self.summing.wake(&state);
            self.advanced.wait(&mut state);
        }
        state
    }
}

impl Drop for ImageSums<'_> {
    fn drop(&mut self) {
        let mut state = self.summing.lock();
        state.open.remove(&self.number);
        // Others may have waited for this image to give a window.
        self.summing.wake(&state);
    }
}
