//! Reads templates. Nothing in a file is believed before it is checked against the file's length, so a hostile one
//! costs no more memory than a few times its own size.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::description::{self, MAX_AREAS, MAX_DESCRIPTION_LENGTH, MIN_LENGTH};
use super::{Compression, DESCRIPTION_HEAD, DESCRIPTION_ID, Description, MAGIC, MAX_LENGTH, PIECE_HEAD, u48};

/// The longest header that is read, in bytes. Those in use have some 150.
const MAX_HEADER: u64 = 64 << 10;

/// How much compressed data is read at once, in bytes.
const INPUT_BUFFER: usize = 64 << 10;

/// The longest piece that is inflated at once and remembered, in bytes, uncompressed.
const LONGEST_REMEMBERED: u64 = 2 << 20;

/// What is wrong with a template. Offsets are in bytes from the template's start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("this is not a template: it does not begin with \"JigsawDownload template\"")]
    NotATemplate,
    #[error("the template has version {0:?}; only 1.x and 2.0 are known")]
    UnknownVersion(String),
    #[error("offset {offset}: the template ends in the middle of {what}")]
    Truncated { offset: u64, what: &'static str },
    #[error("the header does not end with an empty line after its second line, at offset {offset}")]
    BadHeader { offset: u64 },
    #[error(
        "offset {offset}: the description's length is {length} bytes, but must be {MIN_LENGTH} to {MAX_DESCRIPTION_LENGTH}"
    )]
    DescriptionLength { offset: u64, length: u64 },
    #[error("offset {offset}: no description begins here, where the length at the template's end says")]
    NoDescription { offset: u64 },
    #[error("offset {offset}: the description states two lengths, {first} bytes here and {last} bytes at its end")]
    DescriptionLengths { offset: u64, first: u64, last: u64 },
    #[error("offset {offset}: neither compressed data nor the description begins here")]
    UnknownPart { offset: u64 },
    #[error(
        "offset {offset}: a piece of compressed data says that it is {length} bytes long, but {available} are left"
    )]
    PieceLength { offset: u64, length: u64, available: u64 },
    #[error("offset {offset}: the pieces up to here have more than {MAX_LENGTH} bytes of unmatched data")]
    TooMuchUnmatched { offset: u64 },
    #[error("offset {offset}: unknown type {kind} of an entry in the description")]
    UnknownEntry { offset: u64, kind: u8 },
    #[error("offset {offset}: a part marked as written already, which only image.tmp files may have")]
    WrittenPart { offset: u64 },
    #[error("offset {offset}: a second image entry")]
    SecondImage { offset: u64 },
    #[error("offset {offset}: an area after the image entry, which must be last")]
    AreaAfterImage { offset: u64 },
    #[error("offset {offset}: the description ends without an image entry")]
    NoImage { offset: u64 },
    #[error("offset {offset}: an entry with another kind of checksum than the entries before it")]
    MixedChecksums { offset: u64 },
    #[error("offset {offset}: the description has more than {MAX_AREAS} areas")]
    TooManyAreas { offset: u64 },
    #[error("offset {offset}: the description begins here, behind as many bytes of an image that should have {image}")]
    NotBehindImage { offset: u64, image: u64 },
    #[error("offset {offset}: the image has {image} bytes, but its areas add up to {areas}")]
    AreasDoNotAddUp { offset: u64, areas: u64, image: u64 },
    #[error("the template carries {pieces} bytes of unmatched data, but its description speaks of {areas}")]
    UnmatchedDoesNotAddUp { pieces: u64, areas: u64 },
    #[error("offset {offset}: this piece's {compression} data are corrupt: {reason}", compression = .compression.name())]
    Corrupt { offset: u64, compression: Compression, reason: String },
    #[error("offset {offset}: this piece inflates to more than the {length} bytes that it says")]
    InflatesToMore { offset: u64, length: u64 },
    #[error("offset {offset}: this piece inflates to {inflated} bytes, but says that it has {length}")]
    InflatesToLess { offset: u64, inflated: u64, length: u64 },
    #[error("offset {offset}: this piece has {trailing} bytes behind the end of its compressed data")]
    TrailingBytes { offset: u64, trailing: u64 },
}

/// Inside an [`io::Error`] of kind `InvalidData`, as [`Unmatched`] gives it.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => error,
            error => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// A piece of the unmatched data. Offsets and lengths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins in the template.
    pub offset: u64,
    /// How long it is in the template, its head included.
    pub length: u64,
    /// Where its data begin in the stream of unmatched data.
    pub unmatched_offset: u64,
    /// How long its data are, uncompressed.
    pub unmatched_length: u64,
    pub compression: Compression,
}

/// A template that has been read and found consistent; only the compressed data themselves are still unseen.
#[derive(Debug)]
pub struct Template<R> {
    /// As the header says: `1.0` to `1.2`, or `2.0`.
    pub version: String,
    /// The program that wrote it, without white space around it.
    pub creator: String,
    /// The header's second line, without white space around it.
    pub comment: String,
    /// In image order.
    pub pieces: Vec<Piece>,
    pub description: Description,
    input: R,
}

impl<R: Read + Seek> Template<R> {
    /// Reads the header and the description from `input`, and finds the pieces.
    ///
    /// # Errors
    ///
    /// Whatever is malformed, with its offset, and errors of `input`.
    pub fn read(mut input: R) -> Result<Self, Error> {
        let file_length = input.seek(SeekFrom::End(0))?;
        input.rewind()?;
        let header = Header::read(&mut input)?;
        let (start, length) = locate_description(&mut input, header.length, file_length)?;
        let pieces = walk_pieces(&mut input, header.length, start)?;

        let entries = start + DESCRIPTION_HEAD;
        input.seek(SeekFrom::Start(entries))?;
        let description = description::read(BufReader::new(&mut input), entries, length - DESCRIPTION_HEAD - 6)?;

        let carried = pieces.last().map_or(0, |piece| piece.unmatched_offset + piece.unmatched_length);
        let described = description.unmatched_length();
        if carried != described {
            return Err(Error::UnmatchedDoesNotAddUp { pieces: carried, areas: described });
        }
        let Header { version, creator, comment, .. } = header;
        Ok(Self { version, creator, comment, pieces, description, input })
    }

    /// The unmatched data of the whole image, uncompressed, from their start.
    pub fn unmatched(&mut self) -> Unmatched<'_, R> {
        Unmatched::new(&mut self.input, &self.pieces)
    }

    /// The same by way of another input that gives the same bytes: so several can read at once.
    pub fn unmatched_in<'a, I: Read + Seek>(&'a self, input: &'a mut I) -> Unmatched<'a, I> {
        Unmatched::new(input, &self.pieces)
    }
}

struct Header {
    version: String,
    creator: String,
    comment: String,
    /// In bytes.
    length: u64,
}

impl Header {
    fn read(input: &mut impl Read) -> Result<Self, Error> {
        use io::BufRead as _;
        let mut input = BufReader::new(input.take(MAX_HEADER));
        let mut length = 0;
        let mut line = |what| -> Result<Vec<u8>, Error> {
            let mut line = Vec::new();
            length += input.read_until(b'\n', &mut line)? as u64;
            // The magic is looked for first: any file may lack line ends.
            if what == "the header's first line" && !line.starts_with(MAGIC) {
                return Err(Error::NotATemplate);
            }
            if line.pop() != Some(b'\n') {
                return Err(Error::Truncated { offset: length, what });
            }
            Ok(line)
        };
        let first = line("the header's first line")?;
        let comment = line("the header's second line")?;
        let empty = line("the header's third line")?;
        if !empty.trim_ascii().is_empty() {
            return Err(Error::BadHeader { offset: length });
        }
        let first = String::from_utf8_lossy(&first[MAGIC.len()..]);
        let (version, creator) = first.trim().split_once(' ').unwrap_or((first.trim(), ""));
        let known = matches!(version.split_once('.'), Some(("1", minor)) if minor.parse::<u8>().is_ok());
        if !known && version != "2.0" {
            return Err(Error::UnknownVersion(version.to_owned()));
        }
        Ok(Self {
            version: version.to_owned(),
            creator: creator.trim().to_owned(),
            comment: String::from_utf8_lossy(&comment).trim().to_owned(),
            length,
        })
    }
}

/// Where the description begins, and how long it is: at the end of the file, behind `header` bytes or more.
pub(super) fn locate_description(
    input: &mut (impl Read + Seek),
    header: u64,
    file_length: u64,
) -> Result<(u64, u64), Error> {
    let last_offset = file_length.saturating_sub(6).max(header);
    input.seek(SeekFrom::Start(last_offset))?;
    let last = u48(take(input, last_offset, "the description's length")?);
    if !(MIN_LENGTH..=MAX_DESCRIPTION_LENGTH).contains(&last) {
        return Err(Error::DescriptionLength { offset: last_offset, length: last });
    }
    let start = match file_length.checked_sub(last) {
        Some(start) if start >= header => start,
        _ => return Err(Error::DescriptionLength { offset: last_offset, length: last }),
    };
    input.seek(SeekFrom::Start(start))?;
    if take(input, start, "the description")? != DESCRIPTION_ID {
        return Err(Error::NoDescription { offset: start });
    }
    let first = u48(take(input, start, "the description")?);
    if first != last {
        return Err(Error::DescriptionLengths { offset: start, first, last });
    }
    Ok((start, last))
}

/// The pieces between `offset` and `end`, which they must fill.
fn walk_pieces(input: &mut (impl Read + Seek), mut offset: u64, end: u64) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    let mut unmatched_offset = 0u64;
    while offset < end {
        input.seek(SeekFrom::Start(offset))?;
        let compression = Compression::from_id(take(input, offset, "a piece")?).ok_or(Error::UnknownPart { offset })?;
        let length = u48(take(input, offset, "a piece")?);
        let unmatched_length = u48(take(input, offset, "a piece")?);
        // A piece without any compressed data is refused too: nothing can inflate from it.
        if length <= PIECE_HEAD || length > end - offset {
            return Err(Error::PieceLength { offset, length, available: end - offset });
        }
        pieces.push(Piece { offset, length, unmatched_offset, unmatched_length, compression });
        offset += length;
        // No overflow: both are of 48 bits.
        unmatched_offset += unmatched_length;
        if unmatched_offset > MAX_LENGTH {
            return Err(Error::TooMuchUnmatched { offset });
        }
    }
    Ok(pieces)
}

/// The next `N` bytes, which belong to `what`, which begins at `offset`.
fn take<const N: usize>(input: &mut impl Read, offset: u64, what: &'static str) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Truncated { offset, what },
        _ => Error::Io(error),
    })?;
    Ok(bytes)
}

/// The unmatched data, uncompressed. Holds one decompressor and small buffers, whatever the pieces' lengths.
///
/// Reading fails with an [`Error`] inside an [`io::Error`] if a piece is corrupt, inflates to more or less than it
/// says, or has bytes behind its compressed data. Bytes of a long piece are handed out before its end has been seen.
pub struct Unmatched<'a, R> {
    input: &'a mut R,
    pieces: &'a [Piece],
    /// The piece to open when the open one is at its end.
    next: usize,
    /// The piece that is being inflated, unless it is `last`.
    open: Option<OpenPiece>,
    last: Remembered,
    /// How many bytes at the end of `last` are still to be handed out.
    left: usize,
}

impl<'a, R: Read + Seek> Unmatched<'a, R> {
    fn new(input: &'a mut R, pieces: &'a [Piece]) -> Self {
        Self { input, pieces, next: 0, open: None, last: Remembered::default(), left: 0 }
    }

    /// Goes to `offset` in the stream of unmatched data, in bytes; behind the end, reading gives no bytes.
    /// Costs inflating at most one piece.
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

/// The last short piece. A long run of equal bytes makes many pieces that are the same, and inflated once.
#[derive(Default)]
struct Remembered {
    compression: Option<Compression>,
    stream: Vec<u8>,
    /// What `stream` inflates to.
    data: Vec<u8>,
}

impl Remembered {
    fn takes(piece: &Piece) -> bool {
        piece.length - PIECE_HEAD <= INPUT_BUFFER as u64 && piece.unmatched_length <= LONGEST_REMEMBERED
    }

    /// Becomes `piece`, whose compressed data `input` gives next.
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
    /// The compressed stream is over, and it was as long as it should be.
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

    /// Inflates into `output`, which must not be empty. Gives no bytes only at the piece's end. As soon as the last
    /// byte is there, checks that the piece ends with it.
    fn read(&mut self, input: &mut impl Read, output: &mut [u8]) -> Result<usize, Error> {
        let offset = self.piece.offset;
        let length = self.piece.unmatched_length;
        let wanted = usize::try_from(length - self.inflated).unwrap_or(usize::MAX).min(output.len());
        let mut given = 0;
        while given == 0 || self.inflated == length {
            if self.used == self.filled && self.unread > 0 {
                self.fill(input)?;
            }
            // One byte too many is room enough to notice it.
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
                let reason = if no_input { "they end too early" } else { "they lead nowhere" };
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

    /// Checks what is only known when the compressed stream is over.
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
    /// The compressed stream is over.
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

#[cfg(test)]
mod tests {
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
            (sized(10, &stream), "inflates to 9 bytes, but says that it has 10"),
            (sized(9, &[&stream[..], b"xy"].concat()), "2 bytes behind the end"),
            (sized(9, &stream[..stream.len() - 1]), "end too early"),
            (sized(9, b"no zlib"), "corrupt"),
            (sized(9, b""), "says that it is 16 bytes long"),
            (one([b"DATA", &u48_bytes(15)[..], &u48_bytes(9), b"x"].concat()), "says that it is 15 bytes long"),
            (one([b"DATA", &u48_bytes(90)[..], &u48_bytes(9), b"x"].concat()), "says that it is 90 bytes long, but 17"),
            (one([b"WHAT", &u48_bytes(17)[..], &u48_bytes(9), b"x"].concat()), "neither compressed data nor"),
        ];
        for (bytes, text) in cases {
            let error = refused(&bytes);
            assert!(error.contains(text) && error.starts_with(&format!("offset {offset}:")), "{text}: {error}");
        }
        let error = refused(&template(&[piece(9, &stream), piece(9, &stream)], &entries));
        assert!(error.contains("carries 18 bytes") && error.contains("speaks of 9"), "{error}");
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
        let noise: Vec<u8> = (0..200_000u32).flat_map(|at| at.wrapping_mul(0x9E37_79B9).to_be_bytes()).collect();
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
        assert_eq!((&*old.version, &*old.creator, &*old.comment), ("1.0", "libjte-2.0.0", "see there"));
        assert!(read("JigsawDownload template 1.1\n\n\n").is_ok());
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
        let mut writer =
            Writer::new(Vec::new(), Options { compression, ..Options::new(checksum, "test/1.0") }).unwrap();
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
}
