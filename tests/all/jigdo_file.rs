//! jigdo-file as a lower bound: whatever it finds in an image, in either of its matching modes, jigpress finds too. Where
//! jigpress finds more, `docs/jigdo-file-differences.md` says why, and one test here shows each kind of difference.
//! What needs jigdo-file is skipped without it, except where `JIGPRESS_PEERS=required`.

use crate::common::sets::{MD5, Matching, Release, Settings, corpus};
use crate::common::{installed, text};
use testing::noise;

/// How many mirrors are generated, each with a few images; many more than by default take minutes.
const GENERATED: &str = "JIGPRESS_GENERATED";

/// Sets as they are made the fastest: how they are compressed has no part in what is matched.
const STORED: Settings = Settings { level: 0, ..MD5 };

/// Compares what is left unmatched in each image. Gives in how many cases jigpress leaves less.
fn check_lower_bound(release: &Release) -> usize {
    let mut better = 0;
    for set in release.publish(STORED) {
        // Where an image is nothing but parts, jigdo-file makes a template that it cannot read.
        let ours = set.unmatched_bytes() - set.left_out_bytes();
        for matching in Matching::BOTH {
            let theirs = release.unmatched_by_jigdo_file(&set.image, STORED, matching);
            assert!(ours <= theirs, "{}: {ours} bytes unmatched, {theirs} by jigdo-file, {matching:?}", set.what());
            better += usize::from(ours < theirs);
        }
    }
    better
}

#[test]
fn jigdo_file_finds_no_more_in_images_of_packages() {
    if let Some(release) = corpus().filter(|_| installed(&["jigdo-file"])) {
        check_lower_bound(&release);
    }
}

/// A generator of the same numbers for each seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % end
    }

    fn noise(&mut self, longest: usize) -> Vec<u8> {
        let length = self.below(longest + 1);
        noise(self.0, length)
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// The first bytes of one of `parts`, at least one.
    fn cut(&mut self, parts: &[Vec<u8>]) -> Vec<u8> {
        let part = self.one_of(parts);
        part[..=self.below(part.len())].to_vec()
    }

    /// A part that is made of earlier ones or is like them, but for the first ones, which are noise.
    fn part(&mut self, parts: &[Vec<u8>], kinds: usize) -> Vec<u8> {
        let kind = if parts.len() < 3 { 0 } else { self.below(kinds) };
        match kind {
            0 => [noise(self.0, 1024), self.noise(9000)].concat(),
            1 => [noise(self.0, 66_000), self.noise(100_000)].concat(),
            2 => [self.cut(parts), self.noise(3000)].concat(),
            3 => [self.noise(3000), self.one_of(parts).clone(), self.noise(3000)].concat(),
            4 => [self.one_of(parts).clone(), self.noise(200), self.one_of(parts).clone()].concat(),
            5 => [vec![0; self.below(5000)], self.noise(4000)].concat(),
            6 => [self.cut(parts), vec![0; self.below(3000)]].concat(),
            7 => text(self.0, 1024 + self.below(9000)),
            _ => vec![0; 1024 + self.below(3000)],
        }
    }

    fn piece(&mut self, parts: &[Vec<u8>]) -> Vec<u8> {
        match self.below(10) {
            0..5 => self.one_of(parts).clone(),
            5 => self.one_of(parts).repeat(1 + self.below(3)),
            6 => self.cut(parts),
            7 => {
                let part = self.one_of(parts);
                part[self.below(part.len())..].to_vec()
            }
            8 => vec![0; self.below(6000)],
            _ => self.noise(3000),
        }
    }
}

/// How many kinds of parts there are, without those that are nothing but zeros.
const KINDS: usize = 8;

/// A mirror of parts that are made of each other, and images of them in which some are cut.
fn generated(seed: u64, kinds: usize) -> Release {
    let mut random = Random::new(seed);
    let release = Release::empty();
    let mut parts = Vec::new();
    for number in 0..4 + random.below(8) {
        let part = random.part(&parts, kinds);
        release.add_part(&format!("{number}.deb"), &part);
        parts.push(part);
        parts.retain(|part| !part.is_empty());
    }
    for number in 0..4 {
        let pieces: Vec<_> = (0..=random.below(9)).map(|_| random.piece(&parts)).collect();
        release.add_image(&format!("{seed}-{number}.img"), &pieces.iter().map(|piece| &piece[..]).collect::<Vec<_>>());
    }
    release
}

fn check_generated(kinds: usize) {
    if !installed(&["jigdo-file"]) {
        return;
    }
    let mirrors = std::env::var(GENERATED).map_or(16, |count| count.parse().expect(GENERATED));
    let better: usize = (0..mirrors).map(|seed| check_lower_bound(&generated(seed, kinds))).sum();
    println!("jigpress leaves less unmatched in {better} of {} cases", mirrors * 8);
    assert!(better > 0, "these images are too plain to show a difference");
}

#[test]
fn jigdo_file_finds_no_more_in_generated_images() {
    check_generated(KINDS);
}

#[test]
fn jigdo_file_finds_no_more_in_generated_images_with_parts_of_zeros() {
    check_generated(KINDS + 1);
}

#[test]
fn jigdo_file_finds_no_more_where_a_part_of_zeros_stands_behind_one_that_ends_with_zeros() {
    let (front, back) = around();
    let (ends, zeros) = ([noise(1, 1500), vec![0; 1024]].concat(), vec![0; 2000]);
    expect_unmatched(&[&ends, &zeros], &[&front, &ends, &zeros, &back], 1000, [1000, 1000]);
}

/// Publishes an image of these pieces and expects how many bytes are unmatched: by jigpress, and by jigdo-file, first
/// with greedy matching.
#[track_caller]
fn expect_unmatched(parts: &[&[u8]], image: &[&[u8]], ours: u64, theirs: [u64; 2]) {
    let release = Release::empty();
    for (number, part) in parts.iter().enumerate() {
        release.add_part(&format!("{number}.deb"), part);
    }
    release.add_image("pieces.img", image);
    let set = release.publish(STORED).pop().unwrap();
    assert_eq!(set.unmatched_bytes(), ours, "by jigpress");
    if installed(&["jigdo-file"]) {
        let by_jigdo_file =
            Matching::BOTH.map(|matching| release.unmatched_by_jigdo_file(&set.image, STORED, matching));
        assert_eq!(by_jigdo_file, theirs, "by jigdo-file, {:?}", Matching::BOTH);
    }
}

/// What stands around the parts in the images: 500 bytes before and 500 behind.
fn around() -> (Vec<u8>, Vec<u8>) {
    (noise(90, 500), noise(91, 500))
}

#[test]
fn a_part_that_begins_with_zeros_is_found_behind_zeros() {
    let (front, back) = around();
    let part = [vec![0; 1024], noise(1, 3000)].concat();
    let image = |zeros| [&front[..], &vec![0; zeros], &part, &back].concat();
    expect_unmatched(&[&part], &[&image(2047)], 3047, [3047, 3047]);
    expect_unmatched(&[&part], &[&image(2048)], 3048, [7072, 7072]);
}

#[test]
fn a_part_is_found_behind_zeros_where_another_one_begins_with_zeros() {
    let (front, back) = around();
    let (zeros_first, part) = ([vec![0; 3000], noise(1, 3000)].concat(), noise(2, 5000));
    let image = |zeros| [&front[..], &vec![0; zeros], &part, &back].concat();
    expect_unmatched(&[&part, &zeros_first], &[&image(3070)], 4070, [4070, 4070]);
    expect_unmatched(&[&part, &zeros_first], &[&image(3071)], 4071, [9071, 9071]);
    expect_unmatched(&[&part], &[&image(3071)], 4071, [4071, 4071]);
}

#[test]
fn a_part_is_found_that_has_another_one_inside() {
    let (front, back) = around();
    let inner = noise(1, 1024);
    let outer = [noise(2, 1), inner.clone()].concat();
    expect_unmatched(&[&inner, &outer], &[&front, &outer, &back], 1000, [1001, 1000]);
    let outer = [noise(3, 70_000), inner.clone(), noise(4, 3000)].concat();
    expect_unmatched(&[&inner, &outer], &[&front, &outer, &back], 1000, [74_000, 1000]);
}

#[test]
fn a_part_is_found_that_begins_with_another_one() {
    let (front, back) = around();
    let first = noise(1, 1024);
    for rest in [1, 5000] {
        let whole = [first.clone(), noise(2, rest)].concat();
        let theirs = 1000 + rest as u64;
        expect_unmatched(&[&first, &whole], &[&front, &whole, &back], 1000, [theirs, theirs]);
    }
}

#[test]
fn of_parts_that_overlap_those_with_the_most_bytes_are_found() {
    let (front, back) = around();
    for (before, shared, behind) in [(1024, 1, 1025), (1024, 1024, 20_000)] {
        let (before, shared, behind) = (noise(1, before), noise(2, shared), noise(3, behind));
        let (left, right) = ([&before[..], &shared].concat(), [&shared[..], &behind].concat());
        let image = [&front[..], &before, &shared, &behind, &back].concat();
        let (ours, theirs) = (1000 + before.len() as u64, 1000 + behind.len() as u64);
        expect_unmatched(&[&left, &right], &[&image], ours, [theirs, theirs]);
        // The one that ends first is what jigdo-file takes, so it may be right by chance.
        let image = [&front[..], &behind, &shared, &before, &back].concat();
        let (left, right) = ([&behind[..], &shared].concat(), [&shared[..], &before].concat());
        expect_unmatched(&[&left, &right], &[&image], ours, [ours, ours]);
    }
}

#[test]
fn a_part_is_found_where_a_longer_one_begins_and_is_cut() {
    let (front, back) = around();
    let (part, begun) = (noise(1, 1024), noise(2, 1024));
    let longer = [begun.clone(), noise(3, 1024)].concat();
    expect_unmatched(&[&part, &longer], &[&front, &begun, &part, &back], 2024, [2024, 3048]);
    // A part has to be as long as the first checksum of the longer one reaches, so this one is not hidden by it.
    let longer = [begun.clone(), noise(3, 1023)].concat();
    expect_unmatched(&[&part, &longer], &[&front, &begun, &part, &back], 2024, [2024, 2024]);
}

#[test]
fn parts_are_found_in_an_image_that_ends_inside_of_another_one() {
    let (part, cut) = (noise(1, 1024), noise(2, 1025));
    let begun = &cut[..1024];
    // jigdo-file aborts, so all bytes of the image count.
    expect_unmatched(&[&part, &cut], &[&part, begun], 1024, [2048, 2048]);
    expect_unmatched(&[&part, &cut], &[&part, b"x", begun], 1025, [1025, 1025]);
    expect_unmatched(&[&part, &cut], &[&part, begun, b"x"], 1025, [1025, 1025]);
    let long = noise(3, 200_000);
    let image = [&part[..], b"x", &long[..140_000]].concat();
    expect_unmatched(&[&part, &long], &[&image], 140_001, [141_025, 141_025]);
}
