//! Inflates the unmatched data of templates.

use std::io::{self, Read, Seek, SeekFrom};

use super::reader::{Error, Piece};
use super::{Compression, PIECE_HEAD};

/// How many bytes of compressed data are read at a time.
const INPUT_BUFFER: usize = 64 << 10;

/// The longest piece that is inflated as a whole and kept, in bytes, uncompressed.
const LONGEST_REMEMBERED: u64 = 2 << 20;

/// Reads unmatched data, uncompressed. Holds one decompressor and a few megabytes of buffers, however long the pieces
/// are.
///
/// Reading fails with an [`Error`] inside an [`io::Error`] if a piece is corrupt, inflates to more or less than it
/// states, or has bytes after its compressed data. The bytes of a long piece are returned before its end is checked.
pub struct Unmatched<'a, R> {
    input: &'a mut R,
    pieces: &'a [Piece],
    /// The number of the piece to open after the current one.
    next: usize,
    /// The piece that is being inflated, unless it is `last`.
    open: Option<OpenPiece>,
    last: Remembered,
    /// How many bytes at the end of `last` have not been returned yet.
    left: usize,
}

impl<'a, R: Read + Seek> Unmatched<'a, R> {
    pub(super) fn new(input: &'a mut R, pieces: &'a [Piece]) -> Self {
        Self { input, pieces, next: 0, open: None, last: Remembered::default(), left: 0 }
    }

    /// Seeks to `offset` in the stream of unmatched data, in bytes. Beyond the end, reading returns no bytes.
    /// At most one piece is inflated to get there.
    ///
    /// # Errors
    ///
    /// As for reading.
    pub fn seek_to(&mut self, offset: u64) -> io::Result<()> {
        (self.open, self.left) = (None, 0);
        self.next = self.pieces.partition_point(|piece| piece.unmatched_offset + piece.unmatched_length <= offset);
        if let Some(piece) = self.pieces.get(self.next) {
            let skipped = offset - piece.unmatched_offset;
            io::copy(&mut self.take(skipped), &mut io::sink())?;
        }
        Ok(())
    }

    fn open_next(&mut self) -> io::Result<()> {
        let piece = self.pieces[self.next];
        self.input.seek(SeekFrom::Start(piece.offset + PIECE_HEAD))?;
        if Remembered::takes(&piece) {
            self.last.take(piece, self.input)?;
            self.left = self.last.data.len();
        } else {
            self.open = Some(OpenPiece::new(piece));
        }
        self.next += 1;
        Ok(())
    }
}

impl<R: Read + Seek> Read for Unmatched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.left > 0 {
                let read = (&self.last.data[self.last.data.len() - self.left..]).read(buffer)?;
                self.left -= read;
                return Ok(read);
            }
            if let Some(open) = &mut self.open {
                let read = open.read(self.input, buffer)?;
                if open.ended {
                    self.open = None;
                }
                if read > 0 {
                    return Ok(read);
                }
            } else if self.next < self.pieces.len() {
                self.open_next()?;
            } else {
                return Ok(0);
            }
        }
    }
}

/// The last short piece. A long run of equal bytes makes many equal pieces, which need inflating only once.
#[derive(Default)]
struct Remembered {
    compression: Option<Compression>,
    stream: Vec<u8>,
    /// What `stream` inflates to.
    data: Vec<u8>,
}

impl Remembered {
    /// Whether the piece is short enough.
    fn takes(piece: &Piece) -> bool {
        piece.length - PIECE_HEAD <= INPUT_BUFFER as u64 && piece.unmatched_length <= LONGEST_REMEMBERED
    }

    /// Becomes `piece`, whose compressed data are read from `input`.
    fn take(&mut self, piece: Piece, input: &mut impl Read) -> io::Result<()> {
        let mut stream = vec![0; (piece.length - PIECE_HEAD) as usize];
        input.read_exact(&mut stream)?;
        let same_length = self.data.len() as u64 == piece.unmatched_length;
        if same_length && self.compression == Some(piece.compression) && self.stream == stream {
            return Ok(());
        }
        self.compression = None;
        self.data.resize(piece.unmatched_length as usize, 0);
        let mut given = 0;
        let mut open = OpenPiece::new(piece);
        while !open.ended {
            given += open.read(&mut &*stream, &mut self.data[given..])?;
        }
        (self.compression, self.stream) = (Some(piece.compression), stream);
        Ok(())
    }
}

/// A piece that is being inflated.
struct OpenPiece {
    piece: Piece,
    decoder: Decoder,
    /// Compressed bytes that have been read but not inflated: `buffer[used..filled]`.
    buffer: Vec<u8>,
    used: usize,
    filled: usize,
    /// Compressed bytes that have not been read yet.
    unread: u64,
    inflated: u64,
    /// The compressed stream has ended, and was as long as it should be.
    ended: bool,
}

impl OpenPiece {
    fn new(piece: Piece) -> Self {
        let decoder = match piece.compression {
            Compression::Gzip => Decoder::Gzip(flate2::Decompress::new(true)),
            Compression::Bzip2 => Decoder::Bzip2(bzip2::Decompress::new(false)),
        };
        let unread = piece.length - PIECE_HEAD;
        let buffer = vec![0; INPUT_BUFFER.min(unread as usize)];
        Self { piece, decoder, buffer, used: 0, filled: 0, unread, inflated: 0, ended: false }
    }

    /// Inflates into `output`, which must not be empty. Returns 0 only at the piece's end. Once the last byte is
    /// there, checks that the piece ends with it.
    fn read(&mut self, input: &mut impl Read, output: &mut [u8]) -> Result<usize, Error> {
        let offset = self.piece.offset;
        let length = self.piece.unmatched_length;
        let wanted = usize::try_from(length - self.inflated).unwrap_or(usize::MAX).min(output.len());
        let mut given = 0;
        while given == 0 || self.inflated == length {
            if self.used == self.filled && self.unread > 0 {
                self.fill(input)?;
            }
            // Room for one byte too many, so that a stream that is too long is noticed.
            let mut excess = [0];
            let room = if self.inflated < length { &mut output[..wanted] } else { &mut excess[..] };
            let step = self
                .decoder
                .step(&self.buffer[self.used..self.filled], room)
                .map_err(|reason| Error::Corrupt { offset, compression: self.piece.compression, reason })?;
            self.used += step.consumed;
            if self.inflated == length && step.produced > 0 {
                return Err(Error::InflatesToMore { offset, length });
            }
            self.inflated += step.produced as u64;
            given += step.produced;
            if step.ended {
                return self.end().map(|()| given);
            }
            let no_input = self.used == self.filled && self.unread == 0;
            if step.consumed == 0 && step.produced == 0 {
                let reason = if no_input { "they end too early" } else { "they cannot be decompressed" };
                return Err(Error::Corrupt { offset, compression: self.piece.compression, reason: reason.into() });
            }
        }
        Ok(given)
    }

    fn fill(&mut self, input: &mut impl Read) -> Result<(), Error> {
        let wanted = self.buffer.len().min(usize::try_from(self.unread).unwrap_or(usize::MAX));
        input.read_exact(&mut self.buffer[..wanted])?;
        self.used = 0;
        self.filled = wanted;
        self.unread -= wanted as u64;
        Ok(())
    }

    /// Checks the piece after its compressed stream has ended.
    fn end(&mut self) -> Result<(), Error> {
        let Piece { offset, unmatched_length: length, .. } = self.piece;
        if self.inflated < length {
            return Err(Error::InflatesToLess { offset, inflated: self.inflated, length });
        }
        let trailing = (self.filled - self.used) as u64 + self.unread;
        if trailing > 0 {
            return Err(Error::TrailingBytes { offset, trailing });
        }
        self.ended = true;
        Ok(())
    }
}

enum Decoder {
    Gzip(flate2::Decompress),
    Bzip2(bzip2::Decompress),
}

/// What one call of a decompressor did.
struct Step {
    consumed: usize,
    produced: usize,
    /// The compressed stream has ended.
    ended: bool,
}

impl Decoder {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, String> {
        let (before, after, ended) = match self {
            Self::Gzip(decoder) => {
                let before = (decoder.total_in(), decoder.total_out());
                let status = decoder
                    .decompress(input, output, flate2::FlushDecompress::None)
                    .map_err(|error| error.to_string())?;
                (before, (decoder.total_in(), decoder.total_out()), status == flate2::Status::StreamEnd)
            }
            Self::Bzip2(decoder) => {
                let before = (decoder.total_in(), decoder.total_out());
                let status = decoder.decompress(input, output).map_err(|error| error.to_string())?;
                (before, (decoder.total_in(), decoder.total_out()), status == bzip2::Status::StreamEnd)
            }
        };
        Ok(Step { consumed: (after.0 - before.0) as usize, produced: (after.1 - before.1) as usize, ended })
    }
}
