//! Mirrors and images as the fuzzer's bytes describe them.
//!
//! An image of random bytes would never contain a part. So files and images are put together from pieces that are likely
//! to occur again: ranges of a few streams of noise, runs, patterns, and files that were made before.

use std::ops::Range;

use arbitrary::{Arbitrary, Result, Unstructured};
use jigdo::Checksum;
use jigdo::template::Compression;

/// The most files that a mirror has.
const MAX_FILES: usize = 16;

/// The longest file, in blocks.
const MAX_FILE: usize = 16;

/// The longest image, in blocks.
const MAX_IMAGE: usize = 64;

/// A mirror, an image, and what is done with them.
#[derive(Debug, Arbitrary)]
pub struct Case {
    /// In bytes.
    #[arbitrary(with = |input: &mut Unstructured| input.choose(&[256, 257, 1000, 1024, 4096]).copied())]
    pub block_length: u32,
    #[arbitrary(with = |input: &mut Unstructured| input.choose(&[Checksum::Md5, Checksum::Sha256]).copied())]
    pub checksum: Checksum,
    #[arbitrary(with = |input: &mut Unstructured| input.choose(&[Compression::Gzip, Compression::Bzip2]).copied())]
    pub compression: Compression,
    #[arbitrary(with = |input: &mut Unstructured| input.int_in_range(0..=9))]
    pub level: u8,
    pub compress_jigdo: bool,
    /// One part that cannot be read, by its number, if there is a part of that number.
    pub lost: Option<u8>,
    files: Vec<Vec<Piece>>,
    image: Vec<Piece>,
    /// How far the search advances at a time, in bytes less one; the last one again and again.
    pub steps: Vec<u16>,
    pub texts: Texts,
}

/// What the jigdo file says besides sums. Much of it cannot be written; the plain words that stand in for it then are
/// enough to find the parts.
#[derive(Debug, Arbitrary)]
pub struct Texts {
    /// Where the parts are, in their order.
    pub names: Vec<Name>,
    pub filename: String,
    pub short_info: Option<String>,
    pub comment: Option<String>,
}

/// Where a part is.
#[derive(Debug, Arbitrary)]
pub struct Name {
    pub label: String,
    pub path: String,
    pub url: String,
    pub try_last: bool,
}

/// A piece of a file or an image.
#[derive(Debug)]
enum Piece {
    /// A whole file made before, as an archive has it.
    File(u8),
    /// A range of a file made before.
    Cut {
        file: u8,
        from: Length,
        length: Length,
    },
    /// A range of one of a few streams of noise: two such pieces may overlap, or follow one another.
    Noise {
        stream: u8,
        from: Length,
        length: Length,
    },
    Run {
        byte: u8,
        length: Length,
    },
    /// A range of a short pattern that is repeated.
    Pattern {
        seed: u8,
        period: u16,
        phase: u8,
        length: Length,
    },
    /// Four bytes that add the same to a rolling sum turned round or not.
    Twin {
        turned: bool,
    },
    Byte(u8),
}

/// By hand, because a derived one would take four bytes to choose a variant.
impl<'a> Arbitrary<'a> for Piece {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match input.int_in_range(0..=6)? {
            0 => Self::Byte(input.arbitrary()?),
            1 => Self::File(input.arbitrary()?),
            2 => Self::Cut { file: input.arbitrary()?, from: input.arbitrary()?, length: input.arbitrary()? },
            3 => Self::Noise { stream: input.arbitrary()?, from: input.arbitrary()?, length: input.arbitrary()? },
            4 => Self::Run { byte: input.arbitrary()?, length: input.arbitrary()? },
            5 => Self::Pattern {
                seed: input.arbitrary()?,
                period: input.arbitrary()?,
                phase: input.arbitrary()?,
                length: input.arbitrary()?,
            },
            _ => Self::Twin { turned: input.arbitrary()? },
        })
    }
}

/// A length of up to four blocks, near a multiple of the longest period that counts as short.
#[derive(Debug, Clone, Copy, Arbitrary)]
struct Length {
    eighths: u8,
    more: i8,
}

impl Length {
    fn bytes(self, block_length: usize) -> usize {
        let eighths = usize::from(self.eighths % 33) * (block_length / 8);
        eighths.saturating_add_signed(isize::from(self.more))
    }
}

impl Case {
    /// The files of the mirror. Those shorter than a block cannot be matched.
    pub fn files(&self) -> Vec<Vec<u8>> {
        let mut files = Vec::new();
        for pieces in self.files.iter().take(MAX_FILES) {
            let file = self.put_together(pieces, &files, MAX_FILE);
            files.push(file);
        }
        files
    }

    /// The image, of a mirror with these files.
    pub fn image(&self, files: &[Vec<u8>]) -> Vec<u8> {
        self.put_together(&self.image, files, MAX_IMAGE)
    }

    fn put_together(&self, pieces: &[Piece], files: &[Vec<u8>], most_blocks: usize) -> Vec<u8> {
        let most = most_blocks * self.block_length as usize;
        let mut bytes = Vec::new();
        for piece in pieces {
            piece.append_to(&mut bytes, files, self.block_length as usize);
            if bytes.len() >= most {
                break;
            }
        }
        bytes.truncate(most);
        bytes
    }
}

impl Piece {
    fn append_to(&self, bytes: &mut Vec<u8>, files: &[Vec<u8>], block_length: usize) {
        let range = |from: Length, length: Length| {
            let from = from.bytes(block_length);
            from..from + length.bytes(block_length)
        };
        match *self {
            Self::File(file) => bytes.extend_from_slice(chosen(files, file)),
            Self::Cut { file, from, length } => {
                bytes.extend_from_slice(within(chosen(files, file), range(from, length)))
            }
            Self::Noise { stream, from, length } => {
                let range = range(from, length);
                bytes.extend_from_slice(&noise(stream % 4, range.end)[range]);
            }
            Self::Run { byte, length } => bytes.resize(bytes.len() + length.bytes(block_length), byte),
            Self::Pattern { seed, period, phase, length } => {
                // Up to twice as long as what still counts as short.
                let pattern = noise(4 + seed % 4, 1 + usize::from(period) % (block_length / 4));
                let length = length.bytes(block_length);
                bytes.extend(pattern.iter().cycle().skip(usize::from(phase)).take(length));
            }
            Self::Twin { turned } => bytes.extend_from_slice(if turned { b"baab" } else { b"abba" }),
            Self::Byte(byte) => bytes.push(byte),
        }
    }
}

/// The file with this number, as often as it takes to count through all of them.
fn chosen(files: &[Vec<u8>], number: u8) -> &[u8] {
    if files.is_empty() { &[] } else { &files[usize::from(number) % files.len()] }
}

/// As much of `range` as `bytes` have.
fn within(bytes: &[u8], range: Range<usize>) -> &[u8] {
    &bytes[range.start.min(bytes.len())..range.end.min(bytes.len())]
}

/// Pseudo-random bytes that depend on `seed`.
fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut state = (u64::from(seed) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(byte).take(length).collect()
}
