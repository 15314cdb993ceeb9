use super::*;
use crate::template::{Area, ImageEntry, Options, Writer, u48_bytes};
use crate::{Checksum, Rsync64, Sum};
use proptest::prelude::*;
use std::io::{Cursor, Write as _};

const HEADER: &[u8] = b"JigsawDownload template 1.2 test/1\r\n\r\n\r\n";

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn piece(length: u64, stream: &[u8]) -> Vec<u8> {
    [b"DATA", &u48_bytes(16 + stream.len() as u64)[..], &u48_bytes(length), stream].concat()
}

fn unmatched(length: u64) -> Vec<u8> {
    [&[2][..], &u48_bytes(length)].concat()
}

fn part(kind: u8, length: u64) -> Vec<u8> {
    let rest: &[u8] = match kind {
        3 => &[0; 16],
        6 | 7 => &[0; 24],
        _ => &[0; 40],
    };
    [&[kind][..], &u48_bytes(length), rest].concat()
}

fn image(length: u64) -> Vec<u8> {
    [&[5][..], &u48_bytes(length), &[0; 16], &1024u32.to_le_bytes()].concat()
}

fn old_image(length: u64) -> Vec<u8> {
    [&[1][..], &u48_bytes(length), &[0; 16]].concat()
}

fn description(entries: &[Vec<u8>]) -> Vec<u8> {
    let entries = entries.concat();
    let length = u48_bytes(16 + entries.len() as u64);
    [b"DESC", &length[..], &entries, &length].concat()
}

fn template(pieces: &[Vec<u8>], entries: &[Vec<u8>]) -> Vec<u8> {
    [HEADER, &pieces.concat(), &description(entries)].concat()
}

/// Everything that a reader may do with `bytes`.
fn read_all(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut template = Template::read(Cursor::new(bytes))?;
    // A mutated length may promise terabytes; a few megabytes of them say enough.
    let mut data = Vec::new();
    template.unmatched().take(16 << 20).read_to_end(&mut data)?;
    Ok(data)
}

fn refused(bytes: &[u8]) -> String {
    read_all(bytes).expect_err("must be refused").to_string()
}

#[test]
fn entries_that_contradict_one_another_are_refused_with_their_offset() {
    let data = piece(9, &zlib(b"unmatched"));
    let first = HEADER.len() + data.len() + 10;
    let cases: &[(&[Vec<u8>], usize, &str)] = &[
        (&[unmatched(9), part(6, 9)], first + 38, "without an image entry"),
        (&[unmatched(9), image(9), image(9)], first + 34, "second image entry"),
        (&[image(9), unmatched(9)], first + 27, "area after the image entry"),
        (&[unmatched(9), part(9, 1), image(10)], first + 54, "another kind of checksum"),
        (&[unmatched(9), part(7, 1), image(10)], first + 7, "written already"),
        (&[unmatched(9), part(10, 1), image(10)], first + 7, "written already"),
        (&[unmatched(9), part(11, 1), image(10)], first + 7, "unknown type 11"),
        (&[unmatched(9), image(10)], first + 7, "areas add up to 9"),
        (&[unmatched(9), part(6, 5), image(13)], first + 38, "areas add up to 14"),
        (&[unmatched(9), image(9), vec![2, 0]], first + 36, "middle of an entry"),
    ];
    for (entries, offset, text) in cases {
        let error = refused(&template(std::slice::from_ref(&data), entries));
        assert!(error.contains(text) && error.starts_with(&format!("offset {offset}:")), "{text}: {error}");
    }
}

#[test]
fn entries_that_other_readers_take_are_taken() {
    let data = piece(9, &zlib(b"unmatched"));
    let cases: &[&[Vec<u8>]] = &[
        &[unmatched(9), old_image(9)],
        &[unmatched(9), part(3, 70), old_image(79)],
        &[unmatched(0), unmatched(9), image(9)],
        &[unmatched(4), unmatched(5), image(9)],
        &[part(6, 0), unmatched(9), image(9)],
    ];
    for entries in cases {
        assert_eq!(read_all(&template(std::slice::from_ref(&data), entries)).unwrap(), b"unmatched");
    }
    let old = template(std::slice::from_ref(&data), cases[1]);
    let old = Template::read(Cursor::new(old)).unwrap().description;
    assert_eq!(old.image.block_length, None);
    assert!(matches!(old.areas[1], Area::Part { length: 70, rsync64: None, .. }));
}

#[test]
fn pieces_that_are_not_what_they_say_are_refused() {
    let stream = zlib(b"unmatched");
    let entries = [unmatched(9), image(9)];
    let offset = HEADER.len();
    let one = |piece: Vec<u8>| template(&[piece], &entries);
    let sized = |length, stream: &[u8]| template(&[piece(length, stream)], &[unmatched(length), image(length)]);
    let cases = [
        (sized(8, &stream), "inflates to more than the 8 bytes"),
        (sized(0, &stream), "inflates to more than the 0 bytes"),
        (sized(10, &stream), "inflates to 9 bytes, but states 10"),
        (sized(9, &[&stream[..], b"xy"].concat()), "2 bytes after the end"),
        (sized(9, &stream[..stream.len() - 1]), "end too early"),
        (sized(9, b"no zlib"), "corrupt"),
        (sized(9, b""), "states a length of 16 bytes"),
        (one([b"DATA", &u48_bytes(15)[..], &u48_bytes(9), b"x"].concat()), "states a length of 15 bytes"),
        (one([b"DATA", &u48_bytes(90)[..], &u48_bytes(9), b"x"].concat()), "states a length of 90 bytes, but only 17"),
        (one([b"WHAT", &u48_bytes(17)[..], &u48_bytes(9), b"x"].concat()), "neither compressed data nor"),
    ];
    for (bytes, text) in cases {
        let error = refused(&bytes);
        assert!(error.contains(text) && error.starts_with(&format!("offset {offset}:")), "{text}: {error}");
    }
    let error = refused(&template(&[piece(9, &stream), piece(9, &stream)], &entries));
    assert!(error.contains("carries 18 bytes") && error.contains("areas need 9"), "{error}");
    let error = refused(&template(&vec![piece((1 << 48) - 1, &stream); 2], &entries));
    assert!(error.contains("more than 281474976710655 bytes"), "{error}");
}

#[test]
fn pieces_that_repeat_or_nearly_repeat_an_earlier_one_are_read_as_they_are() {
    let (zeros, ones) = (vec![0; 300_000], vec![1; 300_000]);
    let short = &zeros[..299_999];
    let bzip2 = |data: &[u8]| {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
        encoder.write_all(data).unwrap();
        let stream = encoder.finish().unwrap();
        [b"BZIP", &u48_bytes(16 + stream.len() as u64)[..], &u48_bytes(data.len() as u64), &stream].concat()
    };
    let gzip = |data: &[u8]| piece(data.len() as u64, &zlib(data));
    let noise = testing::noise(1, 800_000);
    let data: Vec<&[u8]> = vec![&zeros, &zeros, &ones, &zeros, short, &noise, &zeros, b"", b"", &zeros, &zeros];
    let pieces: Vec<_> =
        data.iter().enumerate().map(|(at, data)| if at == 9 { bzip2(data) } else { gzip(data) }).collect();
    let length = data.concat().len() as u64;
    assert!(read_all(&template(&pieces, &[unmatched(length), image(length)])).unwrap() == data.concat());

    // The same stream, but another length than it has.
    let pieces = [gzip(&zeros), piece(300_001, &zlib(&zeros))];
    let error = refused(&template(&pieces, &[unmatched(600_001), image(600_001)]));
    let offset = HEADER.len() + pieces[0].len();
    assert!(error.starts_with(&format!("offset {offset}:")) && error.contains("300001"), "{error}");
}

#[test]
fn a_corrupt_piece_stays_corrupt_however_often_it_is_read() {
    let mut stream = zlib(&[5; 1000]);
    *stream.last_mut().unwrap() ^= 1;
    let bytes = template(&[piece(1000, &stream)], &[unmatched(1000), image(1000)]);
    let mut template = Template::read(Cursor::new(bytes)).unwrap();
    let mut data = template.unmatched();
    for _ in 0..3 {
        assert!(data.read_to_end(&mut Vec::new()).unwrap_err().to_string().contains("corrupt"));
    }
}

#[test]
fn a_description_that_is_not_where_it_should_be_is_refused() {
    let good = template(&[piece(9, &zlib(b"unmatched"))], &[unmatched(9), image(9)]);
    let start = good.len() - 50;
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        refused(&changed)
    };
    let last = good.len() - 6;
    assert!(with(last, &u48_bytes(44)).contains("44 bytes, but must be 45 to 268435456"));
    assert!(with(last, &u48_bytes((256 << 20) + 1)).contains("268435457 bytes, but must be"));
    assert!(with(last, &u48_bytes(good.len() as u64 - 10)).contains("must be 45 to"));
    assert!(with(last, &u48_bytes(49)).contains(&format!("offset {}: no description", start + 1)));
    assert!(with(start + 4, &u48_bytes(51)).contains("two lengths, 51 bytes here and 50 bytes"));
}

#[test]
fn headers_are_taken_as_loosely_as_they_are_written() {
    let rest = description(&[unmatched(0), image(0)]);
    let read = |header: &str| Template::read(Cursor::new([header.as_bytes(), &rest].concat()));
    let old = read("JigsawDownload template 1.0 libjte-2.0.0 \r\nsee there \r\n\r\n").unwrap();
    assert_eq!((&*old.version, old.creator, old.comment), ("1.0", "libjte-2.0.0".into(), "see there".into()));
    for version in ["1.1", "1", "1.999", "2.1 x", "0.9 x", "1.2a x", "\u{e4} x", " "] {
        assert!(read(&format!("JigsawDownload template {version}\n\n\n")).is_ok(), "{version}");
    }
    let bytes = [&b"JigsawDownload template 1.2 K\xe4se\r\n\xfc\r\n\r\n"[..], &rest].concat();
    let latin1 = Template::read(Cursor::new(bytes)).unwrap();
    assert_eq!((&latin1.creator[..], &latin1.comment[..]), (&b"K\xe4se"[..], &b"\xfc"[..]));
    for (header, text) in [
        ("", "not a template"),
        ("# JigsawDownload\n", "not a template"),
        ("JigsawDownload template 3.0 a/1\r\n\r\n\r\n", "version \"3.0\""),
        ("JigsawDownload template 1.2 a/1\r\n\r\nmore\r\n", "empty line"),
    ] {
        let error = read(header).unwrap_err().to_string();
        assert!(error.contains(text), "{header:?}: {error}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let whole = std::fs::read("../../testdata/vectors/libjte-v1.template").unwrap();
    for length in 0..whole.len() {
        assert!(Template::read(Cursor::new(&whole[..length])).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn a_piece_that_promises_terabytes_costs_no_memory() {
    let length = (1 << 48) - 1;
    let bomb = template(&[piece(length, &zlib(&vec![0; 1 << 20]))], &[unmatched(length), image(length)]);
    assert!(refused(&bomb).contains("inflates to 1048576 bytes"));
}

/// A template with both compressions' worth of structure, small enough to mutate often.
fn small_template(compression: Compression) -> Vec<u8> {
    let checksum = Checksum::Sha256;
    let mut writer = Writer::new(Vec::new(), Options { compression, ..Options::new(checksum, "test/1.0") }).unwrap();
    let sum = Sum::of(checksum, b"");
    writer.unmatched(b"some text, some more text").unwrap();
    writer.part(4000, Rsync64::default(), sum).unwrap();
    writer.unmatched(b"and the rest").unwrap();
    writer.finish(ImageEntry { length: 4037, sum, block_length: Some(1024) }).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_mutation_panics_or_hangs(
        bzip2: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = small_template(if bzip2 { Compression::Bzip2 } else { Compression::Gzip });
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = read_all(&bytes);
    }

    #[test]
    fn no_bytes_behind_a_header_panic_or_hang(
        pieces: Vec<u8>,
        entries in prop::collection::vec(any::<u8>(), 29..200),
    ) {
        let _ = read_all(&template(&[pieces], &[entries]));
    }
}
