//! The sums of one image and of its parts, computed window by window.
//!
//! The image is a stream, and so is every part that continues in another window. A part that lies in one window is a
//! request. The [`Engine`] sums all of them in parallel, for all images together.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use jigdo::{Algorithm, Checksum, Sum};

use super::window::{Origin, Segment, Window};
use crate::digest::Hasher;
use crate::summing::{Engine, Request, Source, Stream, Ticket};

/// The sums of one image.
pub(super) struct ImageSums<'a> {
    engine: &'a Engine,
    checksum: Checksum,
    /// The expected sum of each area that is a part.
    expected: Vec<Option<Sum>>,
    /// `None` if the image's own sum is not wanted or the image has gaps.
    image: Option<Stream>,
    /// The part that continues in the next window.
    part: Option<Stream>,
    /// The parts that have not been compared yet, with their areas, in the order of the image.
    pending: VecDeque<(usize, Arc<Ticket>)>,
    wrong: Vec<WrongSum>,
}

/// A part whose bytes have the wrong sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrongSum {
    /// The area's index in the plan.
    pub area: usize,
    pub found: Sum,
}

/// The result for an image.
pub(super) struct Summed {
    /// The image's own sum; `None` if it was not wanted or the image has gaps.
    pub image: Option<Sum>,
    /// In the order of the image.
    pub wrong: Vec<WrongSum>,
}

impl<'a> ImageSums<'a> {
    /// Begins the sums of an image. `expected` has the sum of each area that is a part.
    pub fn new(engine: &'a Engine, checksum: Checksum, expected: Vec<Option<Sum>>, with_image: bool) -> Self {
        let image = with_image.then(|| engine.stream_of_buffers(checksum.into()));
        Self { engine, checksum, expected, image, part: None, pending: VecDeque::new(), wrong: Vec::new() }
    }

    /// Adds the image's next window, which is released once it has been summed.
    pub fn push(&mut self, window: &Arc<Window>) {
        let bytes = Window::bytes(window);
        if window.segments.iter().any(|segment| segment.origin == Origin::Gap) {
            self.image = None;
        }
        if let Some(image) = &self.image {
            image.push(bytes.clone());
        }
        let mut whole = Vec::new();
        for segment in &window.segments {
            self.add(segment, &bytes, &mut whole);
        }
        let (places, requests): (Vec<usize>, Vec<Request>) = whole.into_iter().unzip();
        for (place, ticket) in places.into_iter().zip(self.engine.sum(requests)) {
            self.pending[place].1 = ticket;
        }
        self.compare_known();
    }

    /// Adds a segment of a window. Whole parts are requested together: they are added to `whole`, with their indices
    /// among the pending parts.
    fn add(&mut self, segment: &Segment, bytes: &Bytes, whole: &mut Vec<(usize, Request)>) {
        if segment.is_first || segment.origin == Origin::Gap {
            // The part before this one could not be read to its end.
            self.part = None;
        }
        if !matches!(segment.origin, Origin::PartPlace | Origin::Output) {
            return;
        }
        let bytes = bytes.slice(segment.at.clone());
        if segment.is_first && segment.is_last {
            whole.push((self.pending.len(), self.request(bytes)));
            self.pending.push_back((segment.area, Arc::default()));
            return;
        }
        let part = self.part.take().unwrap_or_else(|| self.engine.stream_of_buffers(self.algorithm()));
        part.push(bytes);
        if segment.is_last {
            self.pending.push_back((segment.area, part.end()));
        } else {
            self.part = Some(part);
        }
    }

    fn request(&self, bytes: Bytes) -> Request {
        let ends = vec![bytes.len() as u64];
        Request { source: Source::Memory(bytes), start: 0, ends, hashers: vec![Hasher::new(self.algorithm())] }
    }

    fn algorithm(&self) -> Algorithm {
        self.checksum.into()
    }

    /// Compares pending parts in order, up to the first whose sum is not known yet.
    fn compare_known(&mut self) {
        while let Some((area, found)) = self.first_known() {
            self.pending.pop_front();
            if self.expected[area].is_some_and(|expected| expected != found) {
                self.wrong.push(WrongSum { area, found });
            }
        }
    }

    /// The area and sum of the first pending part, if its sum is known.
    fn first_known(&self) -> Option<(usize, Sum)> {
        let (area, ticket) = self.pending.front()?;
        let sums = ticket.sums()?.as_ref().expect("bytes in memory can be read");
        Some((*area, self.sum(&sums[0].concat())))
    }

    fn sum(&self, bytes: &[u8]) -> Sum {
        Sum::from_bytes(self.checksum, bytes).expect("a hasher's sum is of its kind")
    }

    /// Waits for the sums of all windows.
    pub fn finish(mut self) -> Summed {
        let image = self.image.take().map(|image| image.finish().expect("bytes in memory can be read").0);
        let pending: Vec<_> = self.pending.iter().map(|(_, ticket)| Arc::clone(ticket)).collect();
        self.engine.wait_idle(&pending);
        self.compare_known();
        Summed { image: image.map(|image| self.sum(&image)), wrong: self.wrong }
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::{Pool, WINDOW, Windows};
    use super::*;
    use proptest::prelude::*;
    use testing::noise;

    /// Pushes windows that end at `cuts` in an image whose areas, all of them parts, end at `areas`.
    fn pass(sums: &mut ImageSums<'_>, pool: &Arc<Pool>, image: &[u8], cuts: &[usize], areas: &[usize]) {
        let windows = Windows::new(pool);
        let mut at = 0;
        for &end in cuts.iter().chain([&image.len()]) {
            while at < end {
                let mut window = windows.next().unwrap();
                while at < end && window.room() > 0 {
                    let area = areas.partition_point(|&area| area <= at);
                    let (start, area_end) = (area.checked_sub(1).map_or(0, |before| areas[before]), areas[area]);
                    let length = area_end.min(end).min(at + window.room()) - at;
                    window.next(length).copy_from_slice(&image[at..at + length]);
                    let (is_first, is_last, offset) = (at == start, at + length == area_end, at as u64);
                    window.add(length, |at| Segment { area, offset, at, origin: Origin::PartPlace, is_first, is_last });
                    at += length;
                }
                sums.push(&Arc::new(window));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn images_cut_anywhere_have_the_sums_of_the_oracle(
            lengths in prop::collection::vec(prop_oneof![1usize..2000, 1..4 * WINDOW], 1..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
            wrong in any::<prop::sample::Index>(),
            checksum in prop::sample::select(vec![Checksum::Md5, Checksum::Sha256]),
            (images, threads) in (1usize..5, 1usize..4),
        ) {
            let areas: Vec<usize> = lengths.iter().scan(0, |end, length| { *end += length; Some(*end) }).collect();
            let length = *areas.last().unwrap();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(length)).collect();
            cuts.sort_unstable();
            let wrong = wrong.index(lengths.len());
            let (engine, pool) = (Engine::with_own_threads(threads).unwrap(), Arc::new(Pool::default()));
            let check = |seed: usize| {
                let image = noise(seed as u64, length);
                let parts = lengths.iter().zip(&areas).map(|(length, end)| &image[end - length..*end]);
                let right: Vec<Sum> = parts.map(|part| Sum::of(checksum, part)).collect();
                let mut expected: Vec<Option<Sum>> = right.iter().copied().map(Some).collect();
                expected[wrong] = Some(Sum::of(checksum, b"something else"));
                let mut sums = ImageSums::new(&engine, checksum, expected, seed.is_multiple_of(2));
                pass(&mut sums, &pool, &image, &cuts, &areas);
                let summed = sums.finish();
                assert_eq!(summed.image, seed.is_multiple_of(2).then(|| Sum::of(checksum, &image)));
                assert_eq!(summed.wrong, [WrongSum { area: wrong, found: right[wrong] }]);
            };
            std::thread::scope(|scope| {
                (0..images).for_each(|seed| { scope.spawn(move || check(seed)); });
            });
        }
    }

    #[test]
    fn an_image_that_is_given_up_holds_up_no_other() {
        let (engine, pool) = (Engine::with_own_threads(1).unwrap(), Arc::new(Pool::default()));
        let image = noise(1, 5 * WINDOW);
        let (part, expected) = (image.len(), vec![Some(Sum::of(Checksum::Md5, &image))]);
        for _ in 0..5 {
            let mut left = ImageSums::new(&engine, Checksum::Md5, expected.clone(), true);
            pass(&mut left, &pool, &image[..3 * WINDOW], &[], &[part]);
        }
        let mut kept = ImageSums::new(&engine, Checksum::Md5, expected, true);
        pass(&mut kept, &pool, &image, &[1, 1000], &[part]);
        let summed = kept.finish();
        assert_eq!((summed.image, summed.wrong), (Some(Sum::of(Checksum::Md5, &image)), Vec::new()));
    }

    #[test]
    fn an_image_with_a_gap_has_no_sum_but_its_parts_have() {
        let (engine, pool) = (Engine::with_own_threads(1).unwrap(), Arc::new(Pool::default()));
        let expected = vec![None, Some(Sum::of(Checksum::Md5, b"part")), None];
        let mut sums = ImageSums::new(&engine, Checksum::Md5, expected, true);
        let mut window = Windows::new(&pool).next().unwrap();
        window.next(8).copy_from_slice(b"\0\0\0\0trap");
        for (area, at, origin) in [(0, 0..4, Origin::Gap), (1, 4..8, Origin::PartPlace)] {
            let segment = |at| Segment { area, offset: 0, at, origin, is_first: true, is_last: true };
            window.add(at.len(), segment);
        }
        sums.push(&Arc::new(window));
        let summed = sums.finish();
        assert_eq!(summed.image, None);
        assert_eq!(summed.wrong, [WrongSum { area: 1, found: Sum::of(Checksum::Md5, b"trap") }]);
    }
}
