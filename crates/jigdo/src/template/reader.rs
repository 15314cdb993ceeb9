//! Reads templates. Every length that a file states is checked against the file's own before it is used, so a hostile
//! file costs at most a few times its size in memory.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use bstr::{BString, ByteSlice as _};

use super::Unmatched;
use super::description::{self, MAX_AREAS, MAX_DESCRIPTION_LENGTH, MIN_LENGTH};
use super::{Compression, DESCRIPTION_HEAD, DESCRIPTION_ID, Description, MAGIC, MAX_LENGTH, PIECE_HEAD, u48};
use crate::escaped;

/// The longest header that is read, in bytes. Real ones have about 150.
const MAX_HEADER: u64 = 64 << 10;

/// What is wrong with a template. Offsets are in bytes from the template's start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum Error {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("this is not a template: it does not begin with \"JigsawDownload template\"")]
    NotATemplate,
    #[error("the template has version \"{}\"; only 1.x and 2.x are known", escaped(.0))]
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
        "offset {offset}: a piece of compressed data states a length of {length} bytes, but only {available} are left"
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
    #[error("offset {offset}: the description begins here, but the image before it should have {image} bytes")]
    NotAfterImage { offset: u64, image: u64 },
    #[error("offset {offset}: the image has {image} bytes, but its areas add up to {areas}")]
    AreasDoNotAddUp { offset: u64, areas: u64, image: u64 },
    #[error("the template carries {pieces} bytes of unmatched data, but its areas need {areas}")]
    UnmatchedDoesNotAddUp { pieces: u64, areas: u64 },
    #[error("offset {offset}: this piece's {compression} data are corrupt: {reason}", compression = .compression.name())]
    Corrupt { offset: u64, compression: Compression, reason: String },
    #[error("offset {offset}: this piece inflates to more than the {length} bytes that it states")]
    InflatesToMore { offset: u64, length: u64 },
    #[error("offset {offset}: this piece inflates to {inflated} bytes, but states {length}")]
    InflatesToLess { offset: u64, inflated: u64, length: u64 },
    #[error("offset {offset}: this piece has {trailing} bytes after the end of its compressed data")]
    TrailingBytes { offset: u64, trailing: u64 },
}

/// Wraps the error in an [`io::Error`] of kind `InvalidData`, as [`Unmatched`] returns it.
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
    /// How its data are compressed.
    pub compression: Compression,
}

/// A template that has been read and found consistent. Its compressed data are only read, and checked, by
/// [`Template::unmatched`].
#[derive(Debug)]
pub struct Template<R> {
    /// As the header says: `1.0` to `1.2`, or `2.0`. May be anything else that is not newer than `2`.
    pub version: String,
    /// The program that wrote it, without white space around it.
    pub creator: BString,
    /// The header's second line, without white space around it.
    pub comment: BString,
    /// The pieces of unmatched data, in image order.
    pub pieces: Vec<Piece>,
    /// The image's areas, its length and its sum.
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

    /// Reads the unmatched data of the whole image, uncompressed, from their start.
    pub fn unmatched(&mut self) -> Unmatched<'_, R> {
        Unmatched::new(&mut self.input, &self.pieces)
    }

    /// The same through another `input` with the same bytes, so that several threads can read at once.
    pub fn unmatched_in<'a, I: Read + Seek>(&'a self, input: &'a mut I) -> Unmatched<'a, I> {
        Unmatched::new(input, &self.pieces)
    }
}

struct Header {
    version: String,
    creator: BString,
    comment: BString,
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
        let first = first[MAGIC.len()..].trim_ascii();
        let (version, creator) = first.split_once_str(" ").unwrap_or((first, b""));
        let version = version.to_str_lossy();
        // Whether there is something new in it is seen by its entries. jigdo-file does not look at the version at all.
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_some_and(|major| major > 2) {
            return Err(Error::UnknownVersion(version.into_owned()));
        }
        Ok(Self {
            version: version.into_owned(),
            creator: creator.trim_ascii().into(),
            comment: comment.trim_ascii().into(),
            length,
        })
    }
}

/// Where the description begins, and how long it is. It is at the end of the file, after at least `header` bytes.
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
        // An empty piece is refused too: no compressed stream is that short.
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

/// Reads the next `N` bytes. They belong to `what`, which begins at `offset`.
fn take<const N: usize>(input: &mut impl Read, offset: u64, what: &'static str) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Truncated { offset, what },
        _ => Error::Io(error),
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
