//! The matcher against a reference that is slow and obviously right: every part at every offset.

use jigdo::{Checksum, Sum};
use jigpress::matcher::{
    Area, Features, Head, HeadFinder, Layout, Match, PartId, PartSum, PartSums, Search, Signature, SignatureTable,
    cover, search,
};
use proptest::prelude::*;
use testing::noise;

/// The block length of tests in which it does not matter, in bytes.
const BLOCK: u32 = 256;

/// Parts held in memory.
struct Parts {
    block_length: u32,
    contents: Vec<Vec<u8>>,
}

impl PartSums for Parts {
    fn checksum(&self) -> Checksum {
        Checksum::Md5
    }

    fn sums(&self, parts: &[PartId]) -> Vec<Option<PartSum>> {
        parts.iter().map(|part| Some(PartSum::of(Checksum::Md5, &self.contents[part.0 as usize]))).collect()
    }

    fn read(&self, part: PartId, take: &mut dyn FnMut(&[u8])) {
        take(&self.contents[part.0 as usize]);
    }
}

impl Parts {
    /// The parts among `parts` that are long enough to be matched.
    fn with_block_length(block_length: u32, parts: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let contents = parts.into_iter().filter(|part| part.len() >= block_length as usize).collect();
        Self { block_length, contents }
    }

    fn new(parts: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self::with_block_length(BLOCK, parts)
    }

    fn table(&self) -> SignatureTable {
        let signature = |part: &Vec<u8>| {
            let mut finder = HeadFinder::new(self.block_length);
            finder.push(part);
            Signature { length: part.len() as u64, features: finder.finish().unwrap() }
        };
        SignatureTable::new(self.block_length, self.contents.iter().map(signature).collect())
    }

    fn search(&self, image: &[u8]) -> Layout {
        search(&self.table(), image, self).unwrap()
    }

    fn search_in_steps(&self, image: &[u8], step: u64) -> Layout {
        let table = self.table();
        let mut search = Search::new(&table, image, self);
        let mut layout = Layout::default();
        let mut until = 0;
        loop {
            search.advance(until).unwrap().into_iter().for_each(|area| layout.push(area));
            if until >= image.len() as u64 {
                return layout;
            }
            until += step;
        }
    }

    fn search_thoroughly(&self, image: &[u8]) -> Layout {
        let areas = Search::thorough(&self.table(), image, self).advance(image.len() as u64).unwrap();
        Layout { areas }
    }
}

/// Every part at every offset, then the cover.
fn reference(parts: &Parts, image: &[u8]) -> Layout {
    let mut matches = Vec::new();
    for (part, id) in parts.contents.iter().zip(0..) {
        for start in 0..=image.len().saturating_sub(part.len()) {
            if image[start..].starts_with(part) {
                let sum = Sum::of(Checksum::Md5, part);
                matches.push(Match { start: start as u64, length: part.len() as u64, part: PartId(id), sum });
            }
        }
    }
    let mut layout = Layout::default();
    let mut at = 0;
    for part in cover(&mut matches) {
        layout.push(Area::Unmatched(at..part.start));
        at = part.end();
        layout.push(Area::Part(part));
    }
    layout.push(Area::Unmatched(at..image.len() as u64));
    layout
}

fn assert_consistent(layout: &Layout, parts: &Parts, image: &[u8]) {
    let mut at = 0;
    for area in &layout.areas {
        match area {
            Area::Unmatched(range) => {
                assert_eq!(range.start, at);
                at = range.end;
            }
            Area::Part(part) => {
                assert_eq!(part.start, at);
                assert_eq!(&image[at as usize..part.end() as usize], &parts.contents[part.part.0 as usize][..]);
                at = part.end();
            }
        }
    }
    assert_eq!(at, image.len() as u64);
}

/// Bytes of which any four may stand in another order, or not, depending on `seed`, while every block that begins at a
/// multiple of four has the same rsync64: `abba` and `baab` have the same sums.
fn woven(seed: u64, length: usize) -> Vec<u8> {
    let order = |byte: &u8| if byte & 1 == 0 { *b"abba" } else { *b"baab" };
    noise(seed, length.div_ceil(4)).iter().flat_map(order).take(length).collect()
}

/// How a part is made of others before it. All lengths are in 256ths of a block.
#[derive(Debug, Clone)]
enum Recipe {
    Noise(usize),
    /// Runs of one byte or of a short pattern before and behind the noise.
    Padded {
        before: usize,
        period: usize,
        noise: usize,
        behind: usize,
    },
    /// The first bytes of an earlier part, and then other ones.
    Lookalike {
        of: prop::sample::Index,
        keep: usize,
        noise: usize,
    },
    /// Earlier parts with something between them.
    Archive {
        of: Vec<prop::sample::Index>,
        between: usize,
    },
    Copy {
        of: prop::sample::Index,
    },
    /// The first bytes of an earlier part again and again: too many for a short period.
    Repeat {
        of: prop::sample::Index,
        unit: usize,
        times: usize,
    },
    /// An earlier part with another last byte.
    LastByte {
        of: prop::sample::Index,
    },
    /// What has the same sum as other such parts, but not the same bytes.
    Woven(usize),
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        (200usize..1500).prop_map(Recipe::Noise),
        (0usize..900, 1usize..8, 100usize..600, 0usize..500)
            .prop_map(|(before, period, noise, behind)| Recipe::Padded { before, period, noise, behind }),
        (index(), 1usize..1200, 1usize..400).prop_map(|(of, keep, noise)| Recipe::Lookalike { of, keep, noise }),
        (prop::collection::vec(index(), 1..4), 0usize..100).prop_map(|(of, between)| Recipe::Archive { of, between }),
        index().prop_map(|of| Recipe::Copy { of }),
        (index(), 40usize..256, 2usize..8).prop_map(|(of, unit, times)| Recipe::Repeat { of, unit, times }),
        index().prop_map(|of| Recipe::LastByte { of }),
        (200usize..1500).prop_map(Recipe::Woven),
    ]
}

fn is_periodic(part: &[u8], block_length: u32) -> bool {
    let mut finder = HeadFinder::new(block_length);
    finder.push(part);
    matches!(finder.finish(), Some(Features { head: Head::Periodic { .. }, .. }))
}

fn cook(recipes: &[Recipe], block_length: u32) -> Parts {
    let scale = block_length as usize / 256;
    let noise = |seed, length| noise(seed, length * scale);
    let mut parts: Vec<Vec<u8>> = vec![noise(1, 700)];
    for (recipe, seed) in recipes.iter().zip(2..) {
        let part = match recipe {
            Recipe::Noise(length) => noise(seed, *length),
            Recipe::Padded { before, period, noise: length, behind } => {
                let pattern = if *period == 1 { vec![0] } else { noise(seed + 1000, *period) };
                let before = pattern.into_iter().cycle().take(*before * scale);
                before.chain(noise(seed, *length)).chain(std::iter::repeat_n(0, *behind * scale)).collect()
            }
            Recipe::Lookalike { of, keep, noise: length } => {
                let of = of.get(&parts);
                [&of[..of.len().min(*keep * scale)], &noise(seed, *length)].concat()
            }
            Recipe::Archive { of, between } => {
                of.iter().flat_map(|of| [of.get(&parts).clone(), noise(seed, *between)].concat()).collect()
            }
            Recipe::Copy { of } => of.get(&parts).clone(),
            Recipe::Repeat { of, unit, times } => {
                let of = of.get(&parts);
                of[..of.len().min(unit * scale)].repeat(*times)
            }
            Recipe::LastByte { of } => {
                let mut part = of.get(&parts).clone();
                part.last_mut().into_iter().for_each(|last| *last ^= 1);
                part
            }
            Recipe::Woven(length) => woven(seed, *length * scale),
        };
        parts.push(part);
    }
    // These fill runs from their fronts, which need not be the best cover.
    parts.retain(|part| !is_periodic(part, block_length));
    Parts::with_block_length(block_length, parts)
}

/// A piece of an image. All lengths are in 256ths of a block.
#[derive(Debug, Clone)]
enum Piece {
    Part(prop::sample::Index),
    /// The first bytes of a part only.
    Cut(prop::sample::Index, usize),
    Noise(usize),
    Zeros(usize),
    /// The first bytes of a part again and again.
    Repeat(prop::sample::Index, usize, usize),
    Woven(usize),
}

fn piece() -> impl Strategy<Value = Piece> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => index().prop_map(Piece::Part),
        1 => (index(), 1usize..1500).prop_map(|(part, length)| Piece::Cut(part, length)),
        2 => (0usize..600).prop_map(Piece::Noise),
        2 => (0usize..1200).prop_map(Piece::Zeros),
        1 => (index(), 40usize..300, 2usize..12).prop_map(|(part, unit, times)| Piece::Repeat(part, unit, times)),
        1 => (0usize..900).prop_map(Piece::Woven),
    ]
}

fn lay_out(pieces: &[Piece], parts: &Parts) -> Vec<u8> {
    let scale = parts.block_length as usize / 256;
    let mut image = Vec::new();
    for (piece, seed) in pieces.iter().zip(500..) {
        let bytes = |part: &prop::sample::Index| part.get::<Vec<u8>>(&parts.contents).as_slice();
        match piece {
            Piece::Part(part) => image.extend_from_slice(bytes(part)),
            Piece::Cut(part, length) => image.extend(bytes(part).iter().take(*length * scale)),
            Piece::Noise(length) => image.extend(noise(seed, *length * scale)),
            Piece::Zeros(length) => image.extend(std::iter::repeat_n(0, *length * scale)),
            Piece::Repeat(part, unit, times) => {
                let part = bytes(part);
                image.extend(part[..part.len().min(unit * scale)].repeat(*times));
            }
            Piece::Woven(length) => image.extend(woven(seed, *length * scale)),
        }
    }
    image
}

fn block_length() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![256, 512, 1024, 4096])
}

proptest! {
    #[test]
    fn the_layout_is_the_references(
        recipes in prop::collection::vec(recipe(), 0..10),
        pieces in prop::collection::vec(piece(), 0..12),
        block_length in block_length(),
    ) {
        let parts = cook(&recipes, block_length);
        let image = lay_out(&pieces, &parts);
        let layout = parts.search(&image);
        assert_consistent(&layout, &parts, &image);
        prop_assert_eq!(&layout, &reference(&parts, &image));
        prop_assert_eq!(parts.search_thoroughly(&image), layout);
    }

    #[test]
    fn the_layout_does_not_depend_on_how_far_the_search_advances_at_a_time(
        recipes in prop::collection::vec(recipe(), 0..10),
        pieces in prop::collection::vec(piece(), 0..12),
        block_length in block_length(),
        step in 1u64..3000,
    ) {
        let parts = cook(&recipes, block_length);
        let image = lay_out(&pieces, &parts);
        prop_assert_eq!(parts.search_in_steps(&image, step), parts.search(&image));
    }
}

fn repetition() -> impl Strategy<Value = Repetition> {
    (0usize..3, 0usize..20, 1usize..1500).prop_map(|(pattern, phase, length)| Repetition { pattern, phase, length })
}

/// A range of a short pattern that is repeated.
#[derive(Debug, Clone)]
struct Repetition {
    pattern: usize,
    phase: usize,
    length: usize,
}

impl Repetition {
    fn bytes(&self) -> Vec<u8> {
        let pattern: &[u8] = [&b"\0"[..], b"abc", b"\0\x01\0\0"][self.pattern];
        pattern.iter().copied().cycle().skip(self.phase).take(self.length).collect()
    }
}

proptest! {
    #[test]
    fn no_part_that_is_periodic_is_left_in_what_is_unmatched(
        parts in prop::collection::vec(repetition(), 1..8),
        runs in prop::collection::vec(repetition(), 0..8),
        step in 1u64..3000,
    ) {
        let parts = Parts::new(parts.iter().map(Repetition::bytes).chain([noise(7, 300)]));
        let pieces = runs.iter().zip(0..).map(|(run, seed)| [run.bytes(), noise(seed, run.phase)].concat());
        let image: Vec<u8> = pieces.flatten().chain(noise(7, 300)).collect();
        let layout = parts.search(&image);
        assert_consistent(&layout, &parts, &image);
        for area in &layout.areas {
            let Area::Unmatched(range) = area else { continue };
            let unmatched = &image[range.start as usize..range.end as usize];
            for part in &parts.contents {
                prop_assert!(!unmatched.windows(part.len()).any(|window| window == part), "{range:?}");
            }
        }
        prop_assert_eq!(&parts.search_thoroughly(&image), &layout);
        prop_assert_eq!(parts.search_in_steps(&image, step), layout);
    }
}

#[test]
fn parts_whose_blocks_have_one_sum_are_told_apart() {
    let parts = Parts::new((0..20).map(|seed| woven(seed, 1000)));
    let image = [noise(1, 77), woven(7, 1000), woven(30, 5000), woven(11, 1000), woven(11, 999)].concat();
    let layout = parts.search(&image);
    assert_eq!(layout.parts().map(|part| (part.start, part.part.0)).collect::<Vec<_>>(), [(77, 7), (6077, 11)]);
    assert_eq!(parts.search_thoroughly(&image), layout);
}

#[test]
fn a_search_in_which_too_much_is_hashed_in_vain_finds_the_same() {
    let unit = noise(1, 1000);
    let part = [unit.repeat(1000), noise(2, 1000)].concat();
    let parts = Parts::new([part.clone(), noise(3, 5000)]);
    let image = [noise(3, 5000), unit.repeat(4000), part.clone(), noise(4, 100), part, unit.repeat(1000)].concat();
    let found: Vec<_> = parts.search(&image).parts().map(|part| (part.start, part.part.0)).collect();
    assert_eq!(found, [(0, 1), (4_005_000, 0), (5_006_100, 0)]);
}

#[test]
fn a_part_whose_first_blocks_are_zeros_is_found_behind_zeros() {
    let part = [vec![0; 3000], noise(1, 1000)].concat();
    let image = [noise(2, 100), vec![0; 777], part.clone(), vec![0; 50]].concat();
    let layout = Parts::new([part]).search(&image);
    assert_eq!(layout.parts().map(|part| part.start).collect::<Vec<_>>(), [877]);
}

#[test]
fn parts_that_are_one_byte_repeated_fill_a_run_the_longest_first() {
    let parts = Parts::new([vec![0; 300], vec![0; 1000], vec![7; 400]]);
    let image = [noise(1, 50), vec![0; 2310], noise(2, 50), vec![7; 399]].concat();
    let layout = parts.search(&image);
    assert_consistent(&layout, &parts, &image);
    let found: Vec<_> = layout.parts().map(|part| (part.start, part.length)).collect();
    assert_eq!(found, [(50, 1000), (1050, 1000), (2050, 300)]);
}

#[test]
fn a_part_that_is_a_short_period_repeated_is_found_in_a_run_of_it() {
    let parts = Parts::new([b"abc".repeat(200)]);
    let image = [noise(1, 50), b"bcabc".to_vec(), b"abc".repeat(450), noise(2, 50)].concat();
    let layout = parts.search(&image);
    assert_consistent(&layout, &parts, &image);
    assert_eq!(layout.matched(), 1200);
}

#[test]
fn a_run_is_filled_with_the_parts_that_cover_the_most_of_it() {
    let parts = Parts::new([vec![0; 400], vec![0; 300]]);
    let image = [noise(1, 50), vec![0; 600], noise(2, 50)].concat();
    assert_eq!(parts.search(&image).matched(), 600);
}

#[test]
fn a_part_of_zeros_is_found_behind_a_part_that_ends_with_zeros() {
    let parts = Parts::new([[noise(1, 300), vec![0; 256]].concat(), vec![0; 500]]);
    let image = [noise(2, 50), noise(1, 300), vec![0; 756], noise(3, 50)].concat();
    assert_eq!(parts.search(&image).matched(), 1056);
}

#[test]
fn images_shorter_than_a_block_are_unmatched() {
    let parts = Parts::new([noise(1, 1000)]);
    assert_eq!(parts.search(&[]).areas, []);
    assert_eq!(parts.search(&noise(1, 255)).areas, [Area::Unmatched(0..255)]);
}

#[test]
fn a_part_may_be_the_whole_image_or_end_with_it() {
    let part = noise(1, 1000);
    let parts = Parts::new([part.clone()]);
    assert_eq!(parts.search(&part).matched(), 1000);
    assert_eq!(parts.search(&[noise(2, 333), part].concat()).matched(), 1000);
}

#[test]
fn of_equal_parts_the_preferred_one_is_recorded() {
    let part = noise(1, 1000);
    let layout = Parts::new([noise(3, 500), part.clone(), part.clone()]).search(&part);
    assert_eq!(layout.parts().map(|part| part.part).collect::<Vec<_>>(), [PartId(1)]);
}

#[test]
fn a_part_whose_sum_cannot_be_had_is_not_matched_and_hides_no_other() {
    struct Without(Parts, PartId);
    impl PartSums for Without {
        fn checksum(&self) -> Checksum {
            self.0.checksum()
        }

        fn sums(&self, parts: &[PartId]) -> Vec<Option<PartSum>> {
            self.0.sums(parts).into_iter().zip(parts).map(|(sum, part)| sum.filter(|_| *part != self.1)).collect()
        }

        fn read(&self, part: PartId, take: &mut dyn FnMut(&[u8])) {
            self.0.read(part, take);
        }
    }
    let short = noise(1, 1000);
    let long = [short.clone(), noise(2, 1000)].concat();
    let parts = Parts::new([long.clone(), short]);
    let table = parts.table();
    let without = Without(parts, PartId(0));
    let layout = search(&table, &long[..], &without).unwrap();
    assert_eq!(layout.parts().map(|part| part.part).collect::<Vec<_>>(), [PartId(1)]);
}

#[test]
fn the_part_of_the_vectors_that_jigdo_file_misses_is_found() {
    let vectors = std::path::Path::new("testdata/vectors");
    let names = ["pool/a/zerohead.img", "pool/a/alpha_1.0_all.deb", "pool/b/delta-copy_amd64.deb"];
    let parts = names.map(|name| std::fs::read(vectors.join("mirror").join(name)).unwrap());
    let image = std::fs::read(vectors.join("plain.img")).unwrap();
    let parts = Parts::with_block_length(1024, parts);
    let layout = parts.search(&image);
    assert_consistent(&layout, &parts, &image);
    let found: Vec<_> = layout.parts().map(|part| (part.start, part.part.0)).collect();
    assert_eq!(found, [(5054, 1), (138_784, 2), (293_816, 0), (301_816, 2)]);
}

#[test]
fn a_run_is_filled_also_where_it_begins_inside_of_another_part() {
    let parts = Parts::new([[noise(1, 300), vec![0; 700]].concat(), vec![0; 1500]]);
    let image = [noise(1, 300), vec![0; 2000], noise(2, 300)].concat();
    let layout = parts.search(&image);
    assert_eq!(layout.parts().map(|part| (part.start, part.length)).collect::<Vec<_>>(), [(300, 1500)]);
    assert_eq!(parts.search_thoroughly(&image), layout);
}
