//! Writes templates. Where unmatched data are cut into pieces depends on these data alone, so the template depends
//! neither on how they arrive nor on the number of threads that compress them.

mod pieces;

use std::io::{self, Write};
use std::sync::OnceLock;

use pieces::{BEST_LEVEL, BLOCK, Compressed, Cut, LITTLE, SHORTEST_STORED, compress_once};

use super::workers::{Sequential, Workers};
use super::{Area, Compression, Description, ImageEntry, MAGIC, MAX_LENGTH, PIECE_HEAD, description, u48_bytes};
use crate::{Checksum, Rsync64, Sum};

/// The longest piece of unmatched data that zlib compresses, in bytes, uncompressed.
///
/// Every piece begins with an empty window, which costs a few hundred bytes; a reader that seeks inflates half a piece
/// on average. For real discs with 13 MB of text, pieces of 1 MiB make the template 1.1 KB longer, and pieces of 4 MiB
/// at most 0.6 KB shorter.
pub const GZIP_PIECE: usize = 2 << 20;

/// A piece that bzip2 compresses fits into one block of its level with this many bytes to spare, because bzip2's
/// run-length coding comes first and may make the data longer.
const BZIP2_SLACK: usize = 50;

/// How a template is written, and what its header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The checksum of the parts and the image. MD5 makes a template of version 1.2, SHA-256 one of version 2.0.
    pub checksum: Checksum,
    /// How unmatched data are compressed. Data that do not compress are stored by zlib in any case.
    pub compression: Compression,
    /// From 0 to 9. With gzip, 0 stores; bzip2 has no level below 1, so 0 means 1.
    pub level: u8,
    /// The program that writes the template, as `name/version`: at most 1000 bytes, without control characters.
    pub creator: String,
    /// The second line of the template: at most 1000 bytes, without control characters.
    pub comment: String,
    /// How many pieces, of up to 2 MiB each, are collected and then compressed in parallel: at least 1. More of them
    /// keep more threads busy and take more memory. The template does not depend on it.
    pub pieces_at_once: usize,
}

impl Options {
    /// Gzip at level 9, 16 pieces at once, and a comment with jigdo's home page. `creator` is the program that writes
    /// the template, as `name/version`.
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

    /// The longest piece, in bytes, uncompressed: a whole number of blocks.
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

/// What cannot be written into a template. [`Writer`] returns it inside an [`io::Error`] of kind `InvalidInput`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum WriteError {
    #[error("compression level {0} is not one of 0 to 9")]
    Level(u8),
    #[error("{0:?} cannot be in a template's header: it has control characters or is longer than 1000 bytes")]
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

/// An upper bound, in bytes, for the length of the template of an image of `image` bytes. Data that do not compress
/// become a little longer.
pub fn longest_template(image: u64) -> u64 {
    image + image / 8 + description::MAX_DESCRIPTION_LENGTH + (1 << 20)
}

/// Writes one template: takes the image's areas in order, then the image's entry.
///
/// Holds at most [`Options::pieces_at_once`] pieces of unmatched data in memory.
pub struct Writer<W, P = Sequential> {
    out: W,
    workers: P,
    options: Options,
    piece_length: usize,
    /// Unmatched data that have not been written yet.
    pending: Vec<u8>,
    pending_limit: usize,
    /// For the first of their whole blocks whether each compresses.
    compressible: Vec<bool>,
    /// Whether the last block that was examined for repetitions has any.
    repeats: bool,
    /// How many blocks were written.
    written_blocks: usize,
    /// A whole piece of zeros, compressed once: images may have gigabytes of them.
    zeros: OnceLock<Compressed>,
    areas: Vec<Area>,
    /// Of the areas so far, in bytes.
    length: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the header to `out`. All work is done by the calling thread.
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
        // A piece can only be ended after the writer has seen what follows it.
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

    /// Adds the next bytes of the image, which no part covers. Successive calls make one area.
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

    /// Adds a part, which is the next `length` bytes of the image and has this sum. `rsync64` is that of its first
    /// block.
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

    /// Flushes the output. Unmatched data that the writer still holds are not written.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Writes all unmatched data that the writer still holds; no more may follow. [`Writer::finish`] does the same, but
    /// needs the image's sum: this way the data are compressed before the sum is known.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn end_of_unmatched(&mut self) -> io::Result<()> {
        self.write_pieces(true)
    }

    /// The output.
    pub fn out(&self) -> &W {
        &self.out
    }

    /// Writes what is left and the description, flushes the output and returns it.
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

    /// Compresses and writes the pending pieces. One that may still grow is only written at the end of the data.
    fn write_pieces(&mut self, is_end: bool) -> io::Result<()> {
        self.examine_blocks();
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
}

#[cfg(test)]
mod tests;
