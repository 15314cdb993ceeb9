//! Random mirrors and images assembled from them: what is published is rebuilt bit for bit, and no part that was cut in
//! whole is missed.

use crate::common::release::Place;
use jigpress::manifest;
use jigpress::progress::Silent;
use jigpress::publish::report::Ledger;
use jigpress::publish::{Options, Pruning, publish};
use proptest::prelude::*;
use testing::noise;

/// A piece of an image.
#[derive(Debug, Clone)]
enum Piece {
    /// Bytes of the image's own.
    Own { seed: u64, length: usize },
    /// A run of one byte.
    Run { byte: u8, length: usize },
    /// The whole part of this number, modulo the number of parts.
    Part(usize),
    /// The first bytes of a part, which are no match.
    Torn { part: usize, length: usize },
}

#[derive(Debug, Clone)]
struct Case {
    /// The seeds, lengths and runs of equal bytes in front of the parts.
    parts: Vec<(u64, usize, usize)>,
    images: Vec<Vec<Piece>>,
    settings: String,
    min_length: usize,
    jobs: usize,
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        2 => (any::<u64>(), 0..3000usize).prop_map(|(seed, length)| Piece::Own { seed, length }),
        1 => (any::<u8>(), 0..5000usize).prop_map(|(byte, length)| Piece::Run { byte, length }),
        4 => (0..100usize).prop_map(Piece::Part),
        1 => (0..100usize, 1..4000usize).prop_map(|(part, length)| Piece::Torn { part, length }),
    ]
}

prop_compose! {
    fn settings()(
        checksum in prop::sample::select(vec!["md5", "sha256"]),
        (compression, level) in prop::sample::select(vec![("gzip", 0), ("gzip", 1), ("gzip", 9), ("bzip2", 1), ("bzip2", 9)]),
        min_length in prop::sample::select(vec![256, 257, 1000, 1024, 4096]),
        compress_jigdo in any::<bool>(),
    ) -> (String, usize) {
        let settings = format!(
            "{{checksum: {checksum}, compression: {compression}, level: {level}, min_length: {min_length}, compress_jigdo: {compress_jigdo}}}"
        );
        (settings, min_length)
    }
}

prop_compose! {
    fn case()(
        parts in prop::collection::vec((any::<u64>(), 1..9000usize, prop_oneof![3 => Just(0usize), 1 => 1..3000usize]), 1..12),
        images in prop::collection::vec(prop::collection::vec(piece(), 0..14), 1..4),
        (settings, min_length) in settings(),
        jobs in 1..4usize,
    ) -> Case {
        Case { parts, images, settings, min_length, jobs }
    }
}

fn part(&(seed, length, run): &(u64, usize, usize)) -> Vec<u8> {
    [vec![0; run], noise(seed, length)].concat()
}

fn check(case: &Case) -> Result<(), TestCaseError> {
    let place = Place::new();
    let parts: Vec<Vec<u8>> = case.parts.iter().map(part).collect();
    for (number, part) in parts.iter().enumerate() {
        place.write(&format!("{}/{number}.deb", if number % 2 == 0 { "a" } else { "b" }), part);
    }
    place.write("b/more.deb", &noise(3, 5000));
    let mut cut_in = Vec::new();
    for (number, pieces) in case.images.iter().enumerate() {
        let (mut image, mut whole, mut shortest) = (Vec::new(), 0, u64::MAX);
        for piece in pieces {
            match piece {
                Piece::Own { seed, length } => image.extend(noise(*seed, *length)),
                Piece::Run { byte, length } => image.extend(vec![*byte; *length]),
                Piece::Part(part) => {
                    let part = &parts[part % parts.len()];
                    if part.len() >= case.min_length {
                        whole += part.len() as u64;
                        shortest = shortest.min(part.len() as u64);
                    }
                    image.extend(part);
                }
                Piece::Torn { part, length } => {
                    let part = &parts[part % parts.len()];
                    image.extend(&part[..part.len().min(*length) - 1]);
                }
            }
        }
        place.write(&format!("img/{number}.img"), &image);
        // Where all of it could be matched, a part is left out.
        let most = if whole == image.len() as u64 { whole.saturating_sub(shortest) } else { whole };
        cut_in.push((image, most));
    }
    let manifest = format!(
        "release: r\nmirrors: {{A: {{path: a, servers: [http://a/]}}, B: {{path: b, servers: [http://b/]}}}}\ndefaults: {}\nimages: [{{path: img/*.img, output: out}}]\n",
        case.settings
    );
    let manifest = place.write("release.yaml", manifest.as_bytes());
    let releases = manifest::load_all(&[manifest], &[]).unwrap();
    let (index, ledger) = (place.path("index.sqlite"), Ledger::default());
    let options = Options {
        index: &index,
        jobs: case.jobs,
        dry_run: false,
        paranoid: false,
        sign_command: None,
        pruning: Pruning::List,
        ledger: &ledger,
    };
    let report = publish(&releases, &options, &Silent).unwrap().report;
    for (number, (found, (image, whole))) in report.images.iter().zip(&cut_in).enumerate() {
        let set = found.set.as_ref();
        prop_assert!(set.is_some(), "image {number}: {:?}", found.error);
        let matched = set.map_or(0, |set| set.matched_bytes);
        prop_assert!(matched >= *whole, "image {number}: {matched} bytes matched of {whole}");
        let rebuilt = place.rebuilt("out", &number.to_string(), &[("A", "a"), ("B", "b")]);
        prop_assert!(rebuilt == *image, "image {number} is rebuilt bit for bit");
    }
    Ok(())
}

/// As many cases as `PROPTEST_CASES` says, or 32.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(32);
    ProptestConfig { cases, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_is_cut_in_is_found_and_every_image_is_rebuilt(case in case()) {
        check(&case)?;
    }
}
