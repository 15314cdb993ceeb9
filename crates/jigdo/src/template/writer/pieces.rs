//! Cuts unmatched data into pieces, of which those that do not compress are stored, and compresses the others.

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::OnceLock;

use libdeflater::{CompressionLvl, Compressor};

use super::super::Compression;
use super::super::workers::Workers;
use super::{Options, Writer};

impl<W: Write, P: Workers> Writer<W, P> {
    /// Examines the pending blocks that have not been examined yet.
    pub(super) fn examine_blocks(&mut self) {
        let known = self.compressible.len();
        let (first, pending) = (self.written_blocks + known, &self.pending[known * BLOCK..]);
        let blocks: Vec<_> = pending.chunks_exact(BLOCK).zip(first..).collect();
        for findings in self.workers.map(&blocks, |(block, number)| examine(block, *number)) {
            if let Some(repeats) = findings.repeats {
                self.repeats = repeats;
            }
            self.compressible.push(findings.has_frequent_bytes || self.repeats);
        }
    }

    /// Cuts the pending data into pieces that are stored and pieces that are compressed. Unless the data end here, a last
    /// piece that may still grow is left out.
    pub(super) fn cut(&self, is_end: bool) -> Vec<Cut> {
        let all = self.compressible.len();
        let most = self.piece_length / BLOCK;
        // How many of the blocks from `start` on do not compress, up to a piece's length.
        let stored_from = |start: usize| {
            let blocks = &self.compressible[start..all.min(start + most)];
            blocks.iter().position(|&is_compressible| is_compressible).unwrap_or(blocks.len())
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
                    // Too few for a piece of their own.
                    stored => end += stored,
                }
            }
            let end = end.min(start + most);
            // Blocks that are still to come may change where this piece ends.
            if !is_end && end + SHORTEST_STORED / BLOCK > all {
                break;
            }
            pieces.push(Cut { bytes: start * BLOCK..end * BLOCK, is_compressible });
            start = end;
        }
        let rest = all * BLOCK..self.pending.len();
        if is_end && !rest.is_empty() {
            match pieces.last_mut() {
                // Less than a block is never examined, and may compress.
                Some(last) if last.is_compressible && last.bytes.len() < self.piece_length => last.bytes.end = rest.end,
                _ => pieces.push(Cut { bytes: rest, is_compressible: true }),
            }
        }
        pieces
    }
}

/// A piece of the pending data.
pub(super) struct Cut {
    pub(super) bytes: Range<usize>,
    pub(super) is_compressible: bool,
}

/// A piece as it is written.
#[derive(Clone)]
pub(super) struct Compressed {
    pub(super) compression: Compression,
    pub(super) stream: Vec<u8>,
}

/// Compresses one piece. A whole piece of zeros is compressed once, and kept in `zeros`.
pub(super) fn compress_once<'a>(
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

/// Whether all bytes are 0, as fast as memory is read: images may have gigabytes of zeros.
pub(super) fn is_zeros(piece: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    piece.chunks(ZEROS.len()).all(|block| *block == ZEROS[..block.len()])
}

/// Compresses one piece. The result depends on its bytes alone, not on what comes before or after.
///
/// A piece that does not compress is stored. Only zlib can do that, and readers handle a mixture of compressions.
pub(super) fn compress(piece: &[u8], is_compressible: bool, options: &Options, level: i32) -> io::Result<Compressed> {
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

/// libdeflate's level for a template that has little to compress, in place of 9. Level 9 makes shorter streams than
/// zlib's own, which older tools write, but sometimes longer ones of short data. Level 10 avoids that, and is four times
/// as slow.
pub(super) const BEST_LEVEL: i32 = 10;

/// A template with fewer bytes of unmatched data than this has little to compress.
pub(super) const LITTLE: usize = 1 << 20;

/// `data` as one zlib stream, made by libdeflate. Level 0 stores.
fn zlib(data: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let level = CompressionLvl::new(level).map_err(|error| io::Error::other(format!("{error:?}")))?;
    let mut compressor = Compressor::new(level);
    let mut compressed = vec![0; compressor.zlib_compress_bound(data.len())];
    let length = compressor.zlib_compress(data, &mut compressed).map_err(io::Error::other)?;
    compressed.truncate(length);
    Ok(compressed)
}

/// The length in bytes of the blocks in which data are examined for whether they compress.
pub(super) const BLOCK: usize = 16 << 10;

/// The fewest bytes that are worth a stored piece of their own: it costs about 30 bytes for its head, and the next piece
/// begins with an empty window.
pub(super) const SHORTEST_STORED: usize = 4 * BLOCK;

/// What decides whether compressing a block is worth the time.
struct Findings {
    /// Some of its bytes are more frequent than others.
    has_frequent_bytes: bool,
    /// Whether it has repetitions. In data that look random these are rare, so only every eighth block is examined for
    /// them, and decides for those after it.
    repeats: Option<bool>,
}

/// Examines the block with this number.
fn examine(block: &[u8], number: usize) -> Findings {
    let has_frequent_bytes = bits_per_byte(block) < 7.97;
    Findings { has_frequent_bytes, repeats: number.is_multiple_of(8).then(|| !has_frequent_bytes && repeats(block)) }
}

/// The entropy of the byte frequencies in `block`: 8 if all bytes are equally frequent. 16 KiB of random bytes have 7.985
/// to 7.992.
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

/// Whether fast compression makes `block` shorter by more than a hundredth.
fn repeats(block: &[u8]) -> bool {
    zlib(block, 1).is_ok_and(|compressed| compressed.len() < block.len() - block.len() / 100)
}
