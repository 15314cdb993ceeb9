//! Writes templates. Where unmatched data are cut into pieces depends on nothing but these data, so what is written
//! depends neither on how they arrive nor on how many threads compress them.

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::OnceLock;

use libdeflater::{CompressionLvl, Compressor};

use super::workers::{Sequential, Workers};
use super::{Area, Compression, Description, ImageEntry, MAGIC, MAX_LENGTH, PIECE_HEAD, description, u48_bytes};
use crate::{Checksum, Rsync64, Sum};

/// The most that a piece of unmatched data has that zlib compresses, in bytes, uncompressed.
///
/// Every piece begins with an empty window, which costs some hundred bytes; every reader that seeks inflates half a
/// piece on average. With pieces of 1 MiB the templates of real discs, whose texts have 13 MB, are 1.1 KB longer, with
/// pieces of 4 MiB at most 0.6 KB shorter.
pub const GZIP_PIECE: usize = 2 << 20;

/// A piece that bzip2 compresses fits into one block of its level with this many bytes to spare: its own run-length
/// coding comes first, and may make data longer.
const BZIP2_SLACK: usize = 50;

/// What goes into a template besides areas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What sums the parts and the image have: MD5 makes a template of version 1.2, SHA-256 one of 2.0.
    pub checksum: Checksum,
    pub compression: Compression,
    /// 0 to 9. With gzip, 0 stores; bzip2 has no level below 1, so there 0 means 1.
    pub level: u8,
    /// The program and its version, as `name/version`.
    pub creator: String,
    /// The second line of the template.
    pub comment: String,
    /// How many pieces wait until they are compressed, side by side: memory against threads. The template does not
    /// depend on it.
    pub pieces_at_once: usize,
}

impl Options {
    /// Gzip at level 9, written by the program `creator`, which is its name and version as `name/version`.
    pub fn new(checksum: Checksum, creator: impl Into<String>) -> Self {
        Self {
            checksum,
            compression: Compression::Gzip,
            level: 9,
            creator: creator.into(),
            comment: "See https://www.einval.com/~steve/software/jigdo/ for details about jigdo.".to_owned(),
            pieces_at_once: 16,
        }
    }

    /// How many uncompressed bytes a piece has at most: whole blocks.
    fn piece_length(&self) -> usize {
        match self.compression {
            Compression::Gzip => GZIP_PIECE,
            Compression::Bzip2 => (self.bzip2_level() as usize * 100_000 - BZIP2_SLACK) / BLOCK * BLOCK,
        }
    }

    fn bzip2_level(&self) -> u32 {
        u32::from(self.level.max(1))
    }
}

/// What cannot be written into a template. [`Writer`] gives it inside an [`io::Error`] of kind `InvalidInput`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    #[error("compression level {0} is not one of 0 to 9")]
    Level(u8),
    #[error("{0:?} cannot be in a template's header: it has control characters or is too long")]
    HeaderText(String),
    #[error("an image of more than {MAX_LENGTH} bytes cannot be described by a template")]
    ImageTooLong,
    #[error("a part of no bytes at offset {offset} of the image")]
    EmptyPart { offset: u64 },
    #[error("a {found:?} sum in a template whose sums are {expected:?}")]
    Checksum { expected: Checksum, found: Checksum },
    #[error("the image has {image} bytes, but its areas add up to {areas}")]
    AreasDoNotAddUp { areas: u64, image: u64 },
    #[error("the description of {areas} areas is longer than other programs read")]
    TooManyAreas { areas: usize },
}

impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

/// No template of an image of so many bytes is longer than this: what does not compress becomes a little longer.
pub fn most_bytes(image: u64) -> u64 {
    image + image / 8 + description::MAX_DESCRIPTION_LENGTH + (1 << 20)
}

/// A template in the making. Takes the image's areas in order, then the image's entry.
///
/// Keeps [`Options::pieces_at_once`] pieces of unmatched data at most.
pub struct Writer<W, P = Sequential> {
    out: W,
    workers: P,
    options: Options,
    piece_length: usize,
    /// Unmatched data that are not written yet.
    pending: Vec<u8>,
    pending_limit: usize,
    /// For each of their whole blocks whether it compresses, as far as that was looked at.
    compressible: Vec<bool>,
    /// Whether the last block repeated itself that was looked at for that.
    repeats: bool,
    /// How many blocks were written.
    written_blocks: usize,
    /// A whole piece of zeros. Images may have gigabytes of them, which would all be compressed to the same.
    zeros: OnceLock<Compressed>,
    areas: Vec<Area>,
    /// Of the areas so far, in bytes.
    length: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the header to `out`. Everything is done by the calling thread.
    ///
    /// # Errors
    ///
    /// [`WriteError::Level`], [`WriteError::HeaderText`], and errors of `out`.
    pub fn new(out: W, options: Options) -> io::Result<Self> {
        Self::with_workers(out, options, Sequential)
    }
}

impl<W: Write, P: Workers> Writer<W, P> {
    /// Writes the header to `out`. Pieces are compressed by `workers`.
    ///
    /// # Errors
    ///
    /// [`WriteError::Level`], [`WriteError::HeaderText`], and errors of `out`.
    pub fn with_workers(mut out: W, options: Options, workers: P) -> io::Result<Self> {
        if options.level > 9 {
            return Err(WriteError::Level(options.level).into());
        }
        for text in [&options.creator, &options.comment] {
            if text.contains(char::is_control) || text.len() > 1000 {
                return Err(WriteError::HeaderText(text.clone()).into());
            }
        }
        let version = match options.checksum {
            Checksum::Md5 => "1.2",
            Checksum::Sha256 => "2.0",
        };
        out.write_all(MAGIC)?;
        write!(out, "{version} {}\r\n{}\r\n\r\n", options.creator, options.comment)?;
        let piece_length = options.piece_length();
        // To end a piece, the writer must have seen what is behind it.
        let pending_limit = piece_length * options.pieces_at_once.max(1) + SHORTEST_STORED;
        Ok(Self {
            out,
            workers,
            options,
            piece_length,
            pending: Vec::new(),
            pending_limit,
            compressible: Vec::new(),
            repeats: false,
            written_blocks: 0,
            zeros: OnceLock::new(),
            areas: Vec::new(),
            length: 0,
        })
    }

    /// The next bytes of the image, which no part covers. Calls that follow one another make one area.
    ///
    /// # Errors
    ///
    /// [`WriteError::ImageTooLong`], and errors of the output.
    pub fn unmatched(&mut self, mut data: &[u8]) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        self.advance(data.len() as u64)?;
        match self.areas.last_mut() {
            Some(Area::Unmatched { length }) => *length += data.len() as u64,
            _ => self.areas.push(Area::Unmatched { length: data.len() as u64 }),
        }
        while !data.is_empty() {
            let (taken, rest) = data.split_at(data.len().min(self.pending_limit - self.pending.len()));
            self.pending.extend_from_slice(taken);
            data = rest;
            if self.pending.len() == self.pending_limit {
                self.write_pieces(false)?;
            }
        }
        Ok(())
    }

    /// The next `length` bytes of the image are a part with this sum; `rsync64` is of its first block.
    ///
    /// # Errors
    ///
    /// [`WriteError::EmptyPart`], [`WriteError::Checksum`], [`WriteError::ImageTooLong`].
    pub fn part(&mut self, length: u64, rsync64: Rsync64, sum: Sum) -> io::Result<()> {
        if length == 0 {
            return Err(WriteError::EmptyPart { offset: self.length }.into());
        }
        self.check_kind(&sum)?;
        self.advance(length)?;
        self.areas.push(Area::Part { length, rsync64: Some(rsync64), sum });
        Ok(())
    }

    /// Flushes the output. Unmatched data may wait that are not written yet.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Writes all unmatched data: there are no more. To be called while the image's sum is not known yet, which
    /// [`Writer::finish`] needs.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn end_of_unmatched(&mut self) -> io::Result<()> {
        self.write_pieces(true)
    }

    /// Where the template goes.
    pub fn out(&self) -> &W {
        &self.out
    }

    /// Writes what is left and the description, flushes the output and gives it back.
    ///
    /// # Errors
    ///
    /// [`WriteError::AreasDoNotAddUp`], [`WriteError::Checksum`], [`WriteError::TooManyAreas`], and errors of the
    /// output.
    pub fn finish(mut self, image: ImageEntry) -> io::Result<W> {
        self.check_kind(&image.sum)?;
        if image.length != self.length {
            return Err(WriteError::AreasDoNotAddUp { areas: self.length, image: image.length }.into());
        }
        let areas = self.areas.len();
        let description = description::encode(&Description { areas: std::mem::take(&mut self.areas), image });
        if description.len() as u64 > description::MAX_DESCRIPTION_LENGTH || areas > description::MAX_AREAS {
            return Err(WriteError::TooManyAreas { areas }.into());
        }
        self.write_pieces(true)?;
        self.out.write_all(&description)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn advance(&mut self, length: u64) -> Result<(), WriteError> {
        let sum = self.length.checked_add(length).filter(|&sum| sum <= MAX_LENGTH);
        self.length = sum.ok_or(WriteError::ImageTooLong)?;
        Ok(())
    }

    fn check_kind(&self, sum: &Sum) -> Result<(), WriteError> {
        let (expected, found) = (self.options.checksum, sum.checksum());
        if expected == found { Ok(()) } else { Err(WriteError::Checksum { expected, found }) }
    }

    /// Compresses the pieces that are pending and writes them; those that may yet be longer only at the end of the data.
    fn write_pieces(&mut self, is_end: bool) -> io::Result<()> {
        self.look_at_blocks();
        let is_all = is_end && self.written_blocks == 0 && self.pending.len() < LITTLE;
        let level = if is_all && self.options.level == 9 { BEST_LEVEL } else { self.options.level.into() };
        let pieces = self.cut(is_end);
        let (pending, options, zeros) = (&self.pending, &self.options, &self.zeros);
        let compress =
            |piece: &Cut| compress_once(&pending[piece.bytes.clone()], piece.is_compressible, options, level, zeros);
        let compressed = self.workers.map(&pieces, compress);
        for (piece, compressed) in pieces.iter().zip(compressed) {
            let Compressed { compression, stream } = &*compressed?;
            self.out.write_all(&compression.id())?;
            self.out.write_all(&u48_bytes(PIECE_HEAD + stream.len() as u64))?;
            self.out.write_all(&u48_bytes(piece.bytes.len() as u64))?;
            self.out.write_all(stream)?;
        }
        let written = pieces.last().map_or(0, |piece| piece.bytes.end);
        self.pending.drain(..written);
        self.compressible.drain(..written / BLOCK);
        self.written_blocks += written / BLOCK;
        Ok(())
    }

    /// Finds out which of the pending blocks compress, those that it was not found out of before.
    fn look_at_blocks(&mut self) {
        let known = self.compressible.len();
        let (first, pending) = (self.written_blocks + known, &self.pending[known * BLOCK..]);
        let blocks: Vec<_> = pending.chunks_exact(BLOCK).zip(first..).collect();
        for look in self.workers.map(&blocks, |(block, number)| look(block, *number)) {
            if let Some(repeats) = look.repeats {
                self.repeats = repeats;
            }
            self.compressible.push(look.has_frequent_bytes || self.repeats);
        }
    }

    /// Cuts what is pending into pieces that are stored and pieces that are compressed. The last one is left out unless
    /// the data end, if more of them could make it longer.
    fn cut(&self, is_end: bool) -> Vec<Cut> {
        let all = self.compressible.len();
        let most = self.piece_length / BLOCK;
        // How many of the blocks from `start` on do not compress, up to a piece's length.
        let stored_from = |start: usize| {
            let stretch = &self.compressible[start..all.min(start + most)];
            stretch.iter().position(|&is_compressible| is_compressible).unwrap_or(stretch.len())
        };
        let is_long = |start, length| length >= SHORTEST_STORED / BLOCK || (is_end && start + length == all);
        let mut pieces = Vec::new();
        let mut start = 0;
        while start < all {
            let stored = stored_from(start);
            let is_compressible = !is_long(start, stored);
            let mut end = start + if is_compressible { 0 } else { stored };
            while is_compressible && end < all.min(start + most) {
                match stored_from(end) {
                    0 => end += 1,
                    stored if is_long(end, stored) => break,
                    // Too few to be worth a piece of their own.
                    stored => end += stored,
                }
            }
            let end = end.min(start + most);
            // Blocks that are not there yet may decide otherwise.
            if !is_end && end + SHORTEST_STORED / BLOCK > all {
                break;
            }
            pieces.push(Cut { bytes: start * BLOCK..end * BLOCK, is_compressible });
            start = end;
        }
        let rest = all * BLOCK..self.pending.len();
        if is_end && !rest.is_empty() {
            match pieces.last_mut() {
                // Less than a block may compress.
                Some(last) if last.is_compressible && last.bytes.len() < self.piece_length => last.bytes.end = rest.end,
                _ => pieces.push(Cut { bytes: rest, is_compressible: true }),
            }
        }
        pieces
    }
}

/// A piece of the pending data.
struct Cut {
    bytes: Range<usize>,
    is_compressible: bool,
}

/// A piece as it is written.
#[derive(Clone)]
struct Compressed {
    compression: Compression,
    stream: Vec<u8>,
}

/// What becomes of `piece`; of a whole one of zeros, what `zeros` remembers.
fn compress_once<'a>(
    piece: &[u8],
    is_compressible: bool,
    options: &Options,
    level: i32,
    zeros: &'a OnceLock<Compressed>,
) -> io::Result<Cow<'a, Compressed>> {
    if piece.len() < options.piece_length() || !is_zeros(piece) {
        return compress(piece, is_compressible, options, level).map(Cow::Owned);
    }
    if let Some(compressed) = zeros.get() {
        return Ok(Cow::Borrowed(compressed));
    }
    let compressed = compress(piece, is_compressible, options, level)?;
    Ok(Cow::Borrowed(zeros.get_or_init(|| compressed)))
}

/// At the speed of memory, because there may be that many.
fn is_zeros(piece: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    piece.chunks(ZEROS.len()).all(|block| *block == ZEROS[..block.len()])
}

/// Compresses one piece; the result is the same for the same bytes, whatever comes before or after.
///
/// What does not compress is stored. Only zlib can do that, and readers take each piece as it says it is.
fn compress(piece: &[u8], is_compressible: bool, options: &Options, level: i32) -> io::Result<Compressed> {
    if !is_compressible {
        return Ok(Compressed { compression: Compression::Gzip, stream: zlib(piece, 0)? });
    }
    let stream = match options.compression {
        Compression::Gzip => zlib(piece, level)?,
        Compression::Bzip2 => {
            let room = Vec::with_capacity(piece.len() / 2);
            let mut encoder = bzip2::write::BzEncoder::new(room, bzip2::Compression::new(options.bzip2_level()));
            encoder.write_all(piece)?;
            encoder.finish()?
        }
    };
    Ok(Compressed { compression: options.compression, stream })
}

/// libdeflate's level for a template that has little to compress. There level 9, whose streams are otherwise shorter than
/// those of zlib's own, which the tools of old write, makes longer ones sometimes; and it is four times as slow.
const BEST_LEVEL: i32 = 10;

/// Less than this is little, in bytes.
const LITTLE: usize = 1 << 20;

/// `data` as one zlib stream by libdeflate. Its level 0 stores.
fn zlib(data: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let level = CompressionLvl::new(level).map_err(|error| io::Error::other(format!("{error:?}")))?;
    let mut compressor = Compressor::new(level);
    let mut compressed = vec![0; compressor.zlib_compress_bound(data.len())];
    let length = compressor.zlib_compress(data, &mut compressed).map_err(io::Error::other)?;
    compressed.truncate(length);
    Ok(compressed)
}

/// Data are looked at in blocks of this many bytes, to tell what compresses from what does not.
const BLOCK: usize = 16 << 10;

/// So many bytes are worth a piece of their own that is stored: its head takes some 30, and what follows begins anew.
const SHORTEST_STORED: usize = 4 * BLOCK;

/// What tells whether compression is worth its time for a block.
struct Look {
    /// Some of its bytes are more frequent than others.
    has_frequent_bytes: bool,
    /// Whether some of what it has repeats itself. Repetitions of bytes that are random otherwise are rare, and looked
    /// for in every eighth block only, which stands for those behind it.
    repeats: Option<bool>,
}

/// Looks at the block with this number.
fn look(block: &[u8], number: usize) -> Look {
    let has_frequent_bytes = bits_per_byte(block) < 7.97;
    Look { has_frequent_bytes, repeats: number.is_multiple_of(8).then(|| !has_frequent_bytes && repeats(block)) }
}

/// The entropy of the frequencies of bytes in `block`: 8 if all are equally frequent. 16 KiB of random bytes have
/// 7.985 to 7.992.
fn bits_per_byte(block: &[u8]) -> f64 {
    let mut counts = [[0u32; 256]; 2];
    for pair in block.chunks_exact(2) {
        counts[0][usize::from(pair[0])] += 1;
        counts[1][usize::from(pair[1])] += 1;
    }
    let total = (block.len() / 2 * 2) as f64;
    let [even, odd] = counts;
    let weighted = even.iter().zip(odd).map(|(even, odd)| f64::from(even + odd)).filter(|&count| count > 0.0);
    -weighted.map(|count| count / total * (count / total).log2()).sum::<f64>()
}

/// Whether a fast compression makes `block` shorter by a hundredth.
fn repeats(block: &[u8]) -> bool {
    zlib(block, 1).is_ok_and(|compressed| compressed.len() < block.len() - block.len() / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Template;
    use proptest::prelude::*;
    use std::io::{Cursor, Read as _};

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

    /// Bytes that no compressor makes shorter.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        std::iter::repeat_with(&mut next).take(length).collect()
    }

    fn text(length: usize) -> Vec<u8> {
        (0u32..).flat_map(|line| format!("line {line} of many\n").into_bytes()).take(length).collect()
    }

    #[test]
    fn every_compression_and_level_gives_the_data_back() {
        let data = [text(2_100_000), noise(300_000)].concat();
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
        let data = noise(3 << 20);
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
        let mut data = noise(GZIP_PIECE);
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
            assert!(template.creator.starts_with("jigpress/"));
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
}
