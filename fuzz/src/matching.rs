//! Runs the matcher on a case, and checks the layout against what must be true of every layout, and against a slow and
//! obviously correct reference that tries every part at every offset.

use jigdo::{Checksum, Rsync64};
use jigpress::matcher::{
    Area, Head, HeadFinder, Layout, Match, PartId, PartSum, PartSums, Search, Signature, SignatureTable, cover, search,
};

use crate::case::Case;

/// The most work for the reference, in comparisons and bytes compared.
const MOST_WORK: usize = 48 << 20;

/// The most steps of a search before it advances to the image's end.
const MOST_STEPS: usize = 200;

/// The parts of a mirror, in memory.
pub struct Parts {
    pub contents: Vec<Vec<u8>>,
    pub signatures: Vec<Signature>,
    /// `None` for the one that cannot be read.
    sums: Vec<Option<PartSum>>,
    block_length: u32,
    checksum: Checksum,
}

impl PartSums for Parts {
    fn checksum(&self) -> Checksum {
        self.checksum
    }

    fn sums(&self, parts: &[PartId]) -> Vec<Option<PartSum>> {
        parts.iter().map(|part| self.sums[part.0 as usize]).collect()
    }

    fn read(&self, part: PartId, take: &mut dyn FnMut(&[u8])) {
        if self.sums[part.0 as usize].is_some() {
            take(&self.contents[part.0 as usize]);
        }
    }
}

impl Parts {
    /// Those of `files` that are long enough to be matched.
    pub fn new(case: &Case, files: Vec<Vec<u8>>) -> Self {
        let contents: Vec<_> = files.into_iter().filter(|file| file.len() >= case.block_length as usize).collect();
        let signatures = contents.iter().map(|content| signature(content, case.block_length)).collect();
        let lost = case.lost.map(usize::from);
        let sum =
            |(number, content): (usize, &Vec<u8>)| (Some(number) != lost).then(|| PartSum::of(case.checksum, content));
        let sums = contents.iter().enumerate().map(sum).collect();
        Self { contents, signatures, sums, block_length: case.block_length, checksum: case.checksum }
    }

    /// The rolling sum of a part's first block.
    pub fn first(&self, part: PartId) -> Rsync64 {
        self.signatures[part.0 as usize].features.first
    }

    fn is_periodic(&self, part: PartId) -> bool {
        matches!(self.signatures[part.0 as usize].features.head, Head::Periodic { .. })
    }

    fn ids(&self) -> impl Iterator<Item = PartId> {
        (0..).map(PartId).take(self.contents.len())
    }
}

fn signature(content: &[u8], block_length: u32) -> Signature {
    let mut finder = HeadFinder::new(block_length);
    // In pieces of an odd length, as short reads would give them.
    content.chunks(999).any(|piece| finder.push(piece));
    let features = finder.finish().expect("a part has a block at least");
    Signature { length: content.len() as u64, features }
}

/// The layout of `image`, which is the same however far the search advances at a time.
///
/// # Panics
/// When anything is wrong with it.
pub fn checked_layout(case: &Case, parts: &Parts, image: &[u8]) -> Layout {
    let table = SignatureTable::new(parts.block_length, parts.signatures.clone());
    let layout = search(&table, image, parts).expect("an image in memory can be read");
    assert_consistent(&layout, parts, image);
    let stepwise = search_stepwise(&table, image, parts, case);
    assert_consistent(&stepwise, parts, image);
    assert_eq!(stepwise, layout, "the steps of the search matter");
    let thorough = Search::thorough(&table, image, parts).advance(image.len() as u64);
    let thorough = Layout { areas: thorough.expect("an image in memory can be read") };
    assert_consistent(&thorough, parts, image);
    let any_is_periodic = parts.ids().any(|part| parts.is_periodic(part));
    if any_is_periodic {
        assert_eq!(thorough.matched(), layout.matched(), "{thorough:?} covers other than {layout:?}");
    } else {
        assert_eq!(thorough, layout, "the way of the search matters");
    }
    if let Some(reference) = reference(parts, image) {
        if any_is_periodic {
            // Which bytes of a run they cover is the matcher's choice, but they never displace more than they cover.
            assert!(layout.matched() >= reference.matched(), "{layout:?} covers less than {reference:?}");
        } else {
            assert_eq!(layout, reference, "the reference is right");
        }
    }
    layout
}

fn search_stepwise(table: &SignatureTable, image: &[u8], parts: &Parts, case: &Case) -> Layout {
    let mut search = Search::new(table, image, parts);
    let mut layout = Layout::default();
    let mut until = 0;
    let last = case.steps.last().copied().unwrap_or(u16::MAX);
    for step in case.steps.iter().copied().chain(std::iter::repeat(last)).take(MOST_STEPS) {
        until += u64::from(step) + 1;
        search.advance(until).expect("an image in memory can be read").into_iter().for_each(|area| layout.push(area));
        if until >= image.len() as u64 {
            return layout;
        }
    }
    search.advance(image.len() as u64).expect("as above").into_iter().for_each(|area| layout.push(area));
    layout
}

/// Areas follow one another without gaps, unmatched ones are neither empty nor neighbours, and every part's bytes are
/// those of the image.
fn assert_consistent(layout: &Layout, parts: &Parts, image: &[u8]) {
    let mut at = 0;
    let mut after_unmatched = false;
    for area in &layout.areas {
        let (start, end, is_unmatched) = match area {
            Area::Unmatched(range) => (range.start, range.end, true),
            Area::Part(part) => {
                let content = &parts.contents[part.part.0 as usize];
                assert!(image[part.start as usize..part.end() as usize] == content[..], "{part:?} is not there");
                assert_eq!(Some(part.sum), parts.sums[part.part.0 as usize].map(|known| known.sum));
                (part.start, part.end(), false)
            }
        };
        assert_eq!(start, at, "a gap, or areas that overlap: {layout:?}");
        assert!(end > start && !(after_unmatched && is_unmatched), "{area:?} should be part of another area");
        (at, after_unmatched) = (end, is_unmatched);
    }
    assert_eq!(at, image.len() as u64, "the layout is not as long as the image");
}

/// Every part that is not periodic and can be read at every offset, then the cover; `None` if that is too much work.
fn reference(parts: &Parts, image: &[u8]) -> Option<Layout> {
    let mut work = 0;
    let mut matches = Vec::new();
    for part in parts.ids().filter(|&part| !parts.is_periodic(part)) {
        let content = &parts.contents[part.0 as usize];
        let Some(PartSum { sum, .. }) = parts.sums[part.0 as usize] else { continue };
        // At nearly every offset, eight bytes tell, and comparing that many takes no call that the fuzzer records.
        let (first, front) = (content.first_chunk::<8>(), &content[..64]);
        for start in 0..(image.len() + 1).saturating_sub(content.len()) {
            work += 1;
            let here = &image[start..];
            if here.first_chunk() == first && here.starts_with(front) {
                work += content.len();
                if here.starts_with(content) {
                    matches.push(Match { start: start as u64, length: content.len() as u64, part, sum });
                }
            }
            if work > MOST_WORK {
                return None;
            }
        }
    }
    Some(lay_out(&cover(&mut matches), image.len() as u64))
}

fn lay_out(chosen: &[Match], image_length: u64) -> Layout {
    let mut layout = Layout::default();
    let mut at = 0;
    for part in chosen {
        layout.push(Area::Unmatched(at..part.start));
        layout.push(Area::Part(*part));
        at = part.end();
    }
    layout.push(Area::Unmatched(at..image_length));
    layout
}
