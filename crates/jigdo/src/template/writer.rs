//! Writes templates. Where unmatched data are cut into pieces depends on nothing but these data, so what is written
//! depends neither on how they arrive nor on how many threads compress them.

mod pieces;

use std::io::{self, Write};
use std::sync::OnceLock;

use pieces::{BEST_LEVEL, BLOCK, Compressed, Cut, LITTLE, SHORTEST_STORED, compress_once};

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
}

#[cfg(test)]
mod tests;
