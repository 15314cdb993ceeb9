use super::pieces::{compress, is_zeros};
use super::*;
use crate::template::Template;
use proptest::prelude::*;
use std::io::{Cursor, Read as _};
use testing::noise;

fn image_entry(checksum: Checksum, length: u64) -> ImageEntry {
    ImageEntry { length, sum: Sum::of(checksum, b"not checked here"), block_length: Some(1024) }
}

/// A template of `data` alone, handed over in slices of `cut` bytes.
fn template_of(data: &[u8], cut: usize, options: Options) -> Vec<u8> {
    let image = image_entry(options.checksum, data.len() as u64);
    let mut writer = Writer::new(Vec::new(), options).unwrap();
    for slice in data.chunks(cut) {
        writer.unmatched(slice).unwrap();
    }
    writer.finish(image).unwrap()
}

fn unmatched_of(template: Vec<u8>) -> Vec<u8> {
    let mut data = Vec::new();
    Template::read(Cursor::new(template)).unwrap().unmatched().read_to_end(&mut data).unwrap();
    data
}
fn text(length: usize) -> Vec<u8> {
    (0u32..).flat_map(|line| format!("line {line} of many\n").into_bytes()).take(length).collect()
}

#[test]
fn every_compression_and_level_gives_the_data_back() {
    let data = [text(2_100_000), noise(1, 300_000)].concat();
    for compression in [Compression::Gzip, Compression::Bzip2] {
        for level in [0, 1, 6, 9] {
            let options = Options { compression, level, ..Options::new(Checksum::Sha256, "test/1.0") };
            assert!(unmatched_of(template_of(&data, data.len(), options)) == data, "{compression:?} {level}");
        }
    }
}

#[test]
fn the_cut_of_the_calls_and_the_number_of_threads_change_nothing() {
    let data = text(5_000_000);
    for compression in [Compression::Gzip, Compression::Bzip2] {
        let options = Options { compression, level: 1, ..Options::new(Checksum::Md5, "test/1.0") };
        let whole = template_of(&data, data.len(), options.clone());
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| template_of(&data, 999_983, options.clone())) == whole);
        }
    }
}

#[test]
fn data_that_do_not_compress_are_stored() {
    let data = noise(1, 3 << 20);
    for compression in [Compression::Gzip, Compression::Bzip2] {
        let options = Options { compression, ..Options::new(Checksum::Sha256, "test/1.0") };
        let template = template_of(&data, data.len(), options);
        let overhead = template.len() - data.len();
        assert!(overhead < 4 * 300 + 200, "{overhead} bytes more than the data");
        // The second byte of a zlib stream says how hard its writer tried: not at all.
        let first = &Template::read(Cursor::new(&template)).unwrap().pieces[0];
        assert_eq!(first.compression, Compression::Gzip);
        assert_eq!(template[first.offset as usize + 17] >> 6, 0);
        assert_eq!(unmatched_of(template), data);
    }
}

#[test]
fn a_little_text_in_a_piece_of_noise_is_squeezed() {
    let mut data = noise(1, GZIP_PIECE);
    data[500_000..540_000].copy_from_slice(&text(40_000));
    let template = template_of(&data, data.len(), Options::new(Checksum::Sha256, "test/1.0"));
    assert!(template.len() < GZIP_PIECE - 30_000);
}

#[test]
fn pieces_of_zeros_are_compressed_like_any_other() {
    for (compression, level) in [(Compression::Gzip, 9), (Compression::Gzip, 0), (Compression::Bzip2, 1)] {
        let options = Options { compression, level, ..Options::new(Checksum::Sha256, "test/1.0") };
        let mut data = vec![0; 5 * options.piece_length() + 10];
        data[2 * options.piece_length() + 1] = 1;
        let bytes = template_of(&data, 999_983, options.clone());
        let pieces = Template::read(Cursor::new(&bytes)).unwrap().pieces;
        assert_eq!(pieces.len(), 6);
        for (piece, data) in pieces.iter().zip(data.chunks(options.piece_length())) {
            let stream = &bytes[(piece.offset + PIECE_HEAD) as usize..(piece.offset + piece.length) as usize];
            assert!(stream == compress(data, true, &options, level.into()).unwrap().stream);
        }
        assert!(unmatched_of(bytes) == data);
    }
}

#[test]
fn a_single_byte_that_is_not_zero_is_seen() {
    for length in [0, 1, 4095, 4096, 4097, 100_000] {
        let mut piece = vec![0; length];
        assert!(is_zeros(&piece));
        for at in [0, length / 2, length.saturating_sub(1)] {
            if let Some(byte) = piece.get_mut(at) {
                *byte = 1;
                assert!(!is_zeros(&piece), "{at} of {length}");
                piece[at] = 0;
            }
        }
    }
}

#[test]
fn the_version_follows_the_checksum() {
    for (checksum, version) in [(Checksum::Md5, "1.2"), (Checksum::Sha256, "2.0")] {
        let template =
            Template::read(Cursor::new(template_of(b"data", 1, Options::new(checksum, "test/1.0")))).unwrap();
        assert_eq!(template.version, version);
        assert_eq!(template.creator, "test/1.0");
    }
}

#[test]
fn an_empty_image_has_a_template_that_other_readers_take() {
    for checksum in [Checksum::Md5, Checksum::Sha256] {
        let bytes = template_of(b"", 1, Options::new(checksum, "test/1.0"));
        let template = Template::read(Cursor::new(&bytes)).unwrap();
        assert_eq!(template.description.image.length, 0);
        assert!(template.pieces.is_empty());
    }
}

#[test]
fn what_a_template_cannot_hold_is_refused() {
    fn refused<T>(result: io::Result<T>) -> String {
        let error = result.err().expect("must be refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        error.to_string()
    }
    let writer = || Writer::new(Vec::new(), Options::new(Checksum::Md5, "test/1.0")).unwrap();
    let md5 = Sum::of(Checksum::Md5, b"");
    let sha256 = Sum::of(Checksum::Sha256, b"");

    assert!(refused(writer().part(0, Rsync64::default(), md5)).contains("no bytes"));
    assert!(refused(writer().part(1, Rsync64::default(), sha256)).contains("Sha256 sum"));
    assert!(refused(writer().finish(image_entry(Checksum::Sha256, 0))).contains("Sha256 sum"));
    assert!(refused(writer().finish(image_entry(Checksum::Md5, 1))).contains("add up to 0"));
    assert!(refused(writer().part(MAX_LENGTH + 1, Rsync64::default(), md5)).contains("281474976710655"));
    let mut full = writer();
    full.part(MAX_LENGTH, Rsync64::default(), md5).unwrap();
    assert!(refused(full.unmatched(b"x")).contains("281474976710655"));
    assert!(full.finish(image_entry(Checksum::Md5, MAX_LENGTH)).is_ok());

    let options = || Options::new(Checksum::Md5, "test/1.0");
    assert!(refused(Writer::new(Vec::new(), Options { level: 10, ..options() })).contains("level 10"));
    let comment = "two\nlines".to_owned();
    assert!(refused(Writer::new(Vec::new(), Options { comment, ..options() })).contains("control"));
}

#[test]
fn unmatched_data_can_be_read_from_any_offset() {
    let data = text(3_500_000);
    let options = Options { level: 1, ..Options::new(Checksum::Md5, "test/1.0") };
    let mut template = Template::read(Cursor::new(template_of(&data, data.len(), options))).unwrap();
    let mut unmatched = template.unmatched();
    for offset in [0, 1, 2 << 20, (1 << 20) - 1, 3_499_990, 3_500_000, 9_999_999, 5] {
        unmatched.seek_to(offset).unwrap();
        let mut read = Vec::new();
        unmatched.by_ref().take(20).read_to_end(&mut read).unwrap();
        let start = data.len().min(offset as usize);
        assert_eq!(read, data[start..data.len().min(start + 20)], "offset {offset}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_back(
        areas in prop::collection::vec((any::<bool>(), 1usize..3000, any::<u64>()), 0..20),
        checksum in prop_oneof![Just(Checksum::Md5), Just(Checksum::Sha256)],
        compression in prop_oneof![Just(Compression::Gzip), Just(Compression::Bzip2)],
    ) {
        let mut writer = Writer::new(Vec::new(), Options { compression, ..Options::new(checksum, "test/1.0") }).unwrap();
        let mut data = Vec::new();
        let mut expected: Vec<Area> = Vec::new();
        for &(is_part, length, seed) in &areas {
            if is_part {
                let (rsync64, sum) = (Rsync64::from_u64(seed), Sum::of(checksum, &seed.to_le_bytes()));
                writer.part(length as u64, rsync64, sum).unwrap();
                expected.push(Area::Part { length: length as u64, rsync64: Some(rsync64), sum });
            } else {
                let bytes = vec![seed as u8; length];
                writer.unmatched(&bytes).unwrap();
                data.extend_from_slice(&bytes);
                match expected.last_mut() {
                    Some(Area::Unmatched { length: last }) => *last += length as u64,
                    _ => expected.push(Area::Unmatched { length: length as u64 }),
                }
            }
        }
        let image = image_entry(checksum, areas.iter().map(|area| area.1 as u64).sum());
        let written = writer.finish(image).unwrap();
        let mut template = Template::read(Cursor::new(written)).unwrap();
        if image.length > 0 {
            prop_assert_eq!(&template.description, &Description { areas: expected, image });
        }
        let mut read = Vec::new();
        template.unmatched().read_to_end(&mut read).unwrap();
        prop_assert_eq!(read, data);
    }
}
