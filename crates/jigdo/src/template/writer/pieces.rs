//! Cuts unmatched data into pieces and compresses them.

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::OnceLock;

use libdeflater::{CompressionLvl, Compressor};

use super::super::Compression;
use super::super::workers::Workers;
use super::{Options, Writer};

impl<W: Write, P: Workers> Writer<W, P> {
    /// Finds out which of the pending blocks compress, those that it was not found out of before.
    pub(super) fn look_at_blocks(&mut self) {
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
    pub(super) fn cut(&self, is_end: bool) -> Vec<Cut> {
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

/// What becomes of `piece`; of a whole one of zeros, what `zeros` remembers.
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

/// At the speed of memory, because there may be that many.
pub(super) fn is_zeros(piece: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    piece.chunks(ZEROS.len()).all(|block| *block == ZEROS[..block.len()])
}

/// Compresses one piece; the result is the same for the same bytes, whatever comes before or after.
///
/// What does not compress is stored. Only zlib can do that, and readers take each piece as it says it is.
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

/// libdeflate's level for a template that has little to compress. There level 9, whose streams are otherwise shorter than
/// those of zlib's own, which the tools of old write, makes longer ones sometimes; and it is four times as slow.
pub(super) const BEST_LEVEL: i32 = 10;

/// Less than this is little, in bytes.
pub(super) const LITTLE: usize = 1 << 20;

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
pub(super) const BLOCK: usize = 16 << 10;

/// So many bytes are worth a piece of their own that is stored: its head takes some 30, and what follows begins anew.
pub(super) const SHORTEST_STORED: usize = 4 * BLOCK;

/// What tells whether compression is worth its time for a block.
pub(super) struct Look {
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
