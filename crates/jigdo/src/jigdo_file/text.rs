//! The text of jigdo files: plain, gzip-compressed, or a sequence of pieces of both kinds.
//!
//! Lines are taken one by one from the text as it inflates, so a hostile file costs no more memory than what is kept of
//! its lines.

use std::io::{self, BufRead as _, BufReader, Read};

use super::Error;

/// The longest text that is read, in bytes, uncompressed: more than the sums and paths of two million parts.
pub const MAX_TEXT: u64 = 256 << 20;

/// The longest line that is read, in bytes.
pub const MAX_LINE: u64 = 1 << 20;

/// The first bytes of every gzip member: the last one says that it is compressed with deflate, as all are.
pub const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// Passes every line of a jigdo file, compressed or not, to `take`, with its number and without its line end.
///
/// # Errors
///
/// The input cannot be read or inflated, the text or a line is too long; and the errors of `take`.
pub fn for_each_line(input: impl Read, mut take: impl FnMut(u64, &[u8]) -> Result<(), Error>) -> Result<(), Error> {
    let mut bytes = Vec::new();
    input.take(MAX_TEXT + 1).read_to_end(&mut bytes).map_err(|source| Error::Io { line: 1, source })?;
    if bytes.len() as u64 > MAX_TEXT {
        return Err(Error::TooLong);
    }
    let mut text = BufReader::new(Text { rest: &bytes, piece: None });
    let mut line = Vec::new();
    let mut length = 0;
    for number in 1.. {
        line.clear();
        let read = (&mut text)
            .take(MAX_LINE + 1)
            .read_until(b'\n', &mut line)
            .map_err(|source| Error::Corrupt { line: number, source })? as u64;
        length += read;
        if read == 0 {
            break;
        }
        if read > MAX_LINE {
            return Err(Error::LongLine { line: number });
        }
        if length > MAX_TEXT {
            return Err(Error::TooLong);
        }
        take(number, line.strip_suffix(b"\n").unwrap_or(&line))?;
    }
    Ok(())
}

/// The line with this number, without the byte order mark that the first one may begin with.
pub fn line_of(number: u64, line: &[u8]) -> &[u8] {
    match number {
        1 => line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line),
        _ => line,
    }
}

/// What follows a gzip member and is to be read: another one, or text. Zeros, which fill up blocks, and other bytes that
/// are no text are ignored, as gzip(1) ignores them.
pub fn after_member(rest: &[u8]) -> &[u8] {
    let zeros = rest.iter().take_while(|&&byte| byte == 0).count();
    let rest = &rest[zeros..];
    let is_text = |byte: &u8| !byte.is_ascii_control() || byte.is_ascii_whitespace();
    let (start, _) = split_plain(rest);
    let start = &start[..start.len().min(64)];
    match rest.starts_with(&GZIP_MAGIC) || (zeros == 0 && start.iter().all(is_text)) {
        true => rest,
        false => &[],
    }
}

/// The uncompressed text of plain and gzip-compressed pieces.
struct Text<'a> {
    /// What follows the current piece.
    rest: &'a [u8],
    piece: Option<TextPiece<'a>>,
}

enum TextPiece<'a> {
    Plain(&'a [u8]),
    Gzip(Box<flate2::bufread::GzDecoder<&'a [u8]>>),
}

impl Text<'_> {
    fn open_next(&mut self) {
        let bytes = self.rest;
        if bytes.starts_with(&GZIP_MAGIC) {
            self.piece = Some(TextPiece::Gzip(Box::new(flate2::bufread::GzDecoder::new(bytes))));
        } else {
            let (plain, rest) = split_plain(bytes);
            self.piece = Some(TextPiece::Plain(plain));
            self.rest = rest;
        }
    }
}

/// The plain text at the start of `bytes`, and the rest from the next gzip member on.
pub fn split_plain(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memmem::find(bytes, &GZIP_MAGIC).unwrap_or(bytes.len());
    bytes.split_at(end)
}

impl Read for Text<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match &mut self.piece {
                Some(TextPiece::Plain(plain)) => plain.read(buffer)?,
                Some(TextPiece::Gzip(decoder)) => {
                    let read = decoder.read(buffer)?;
                    if read == 0 {
                        self.rest = after_member(decoder.get_ref());
                    }
                    read
                }
                None => 0,
            };
            if read > 0 || self.rest.is_empty() {
                return Ok(read);
            }
            self.open_next();
        }
    }
}
