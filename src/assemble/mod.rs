//! Puts an image together again: unmatched data from its template, parts from wherever a [`PartSource`] finds them.
//! Every part is checked against its sum while it is written, and the image against its own at the end.

mod local;

pub use local::{LocalError, LocalParts};

use std::io::{self, Read, Seek, Write};

use crate::digest::{Algorithm, Hasher, Sum};
use crate::format::template::{Area, Template};

/// How much is copied at once, in bytes.
const BUFFER: usize = 256 << 10;

/// Where parts come from.
pub trait PartSource {
    /// The content of the part with this sum and this length in bytes; `None` if it is nowhere to be found.
    ///
    /// The content need not have been checked: whoever reads it does that.
    ///
    /// # Errors
    ///
    /// The part should be there, but cannot be read.
    fn open(&self, sum: &Sum, length: u64) -> io::Result<Option<Box<dyn Read + '_>>>;
}

/// Why an image could not be put together. Offsets and lengths are in bytes of the image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the template's unmatched data for offset {offset} of the image: {error}")]
    Unmatched { offset: u64, error: io::Error },
    #[error("the template's unmatched data end early, at offset {offset} of the image")]
    UnmatchedEnds { offset: u64 },
    #[error("no file is known for part {sum:?} at offset {offset} of the image")]
    MissingPart { offset: u64, sum: Sum },
    #[error("cannot read part {sum:?} at offset {offset} of the image: {error}")]
    Part { offset: u64, sum: Sum, error: io::Error },
    #[error("part {sum:?} at offset {offset} of the image should have {length} bytes, but its file has {found}")]
    PartLength { offset: u64, sum: Sum, length: u64, found: Found },
    #[error("part {expected:?} at offset {offset} of the image has another sum: its file has {found:?}")]
    PartSum { offset: u64, expected: Sum, found: Sum },
    #[error("cannot write the image at offset {offset}: {error}")]
    Write { offset: u64, error: io::Error },
    #[error("the image has another sum than the template says: {found:?} instead of {expected:?}")]
    ImageSum { expected: Sum, found: Sum },
}

/// The length of a file that is not as long as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// So many bytes.
    Only(u64),
    /// It goes on behind the part's length.
    More,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Only(bytes) => write!(f, "{bytes}"),
            Self::More => f.write_str("more"),
        }
    }
}

/// What was put together. Lengths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assembled {
    /// Of the image.
    pub length: u64,
    /// Of the image; the one that the template says.
    pub sum: Sum,
    /// How many parts were written, those that occur again included.
    pub parts: u64,
    /// How much of the image came from the template.
    pub unmatched: u64,
}

/// Writes the image that `template` describes to `out`, from start to end, and flushes it.
///
/// # Errors
///
/// The first thing that is missing or not as the template says. What has been written by then may contain the
/// wrong bytes of that part.
pub fn assemble<R: Read + Seek>(
    template: &mut Template<R>,
    parts: &dyn PartSource,
    out: &mut dyn Write,
) -> Result<Assembled, Error> {
    let areas = template.description.areas.clone();
    let image = template.description.image;
    let mut unmatched = template.unmatched();
    let mut target = Target::new(out, image.sum);
    let mut counts = Assembled { length: image.length, sum: image.sum, parts: 0, unmatched: 0 };
    for area in &areas {
        match *area {
            Area::Unmatched { length } => {
                write_unmatched(&mut target, &mut unmatched, length)?;
                counts.unmatched += length;
            }
            Area::Part { length, sum, .. } => {
                write_part(&mut target, parts, length, sum)?;
                counts.parts += 1;
            }
        }
    }
    // Nothing is left of the stream, but reading on checks the end of its last piece.
    let offset = target.offset;
    unmatched.read(&mut [0]).map_err(|error| Error::Unmatched { offset, error })?;
    target.finish()?;
    Ok(counts)
}

fn write_unmatched(target: &mut Target<'_>, unmatched: &mut dyn Read, length: u64) -> Result<(), Error> {
    let end = target.offset + length;
    while target.offset < end {
        let offset = target.offset;
        let read = target.read_from(unmatched, end - offset).map_err(|error| Error::Unmatched { offset, error })?;
        if read == 0 {
            return Err(Error::UnmatchedEnds { offset });
        }
        target.write(read)?;
    }
    Ok(())
}

fn write_part(target: &mut Target<'_>, parts: &dyn PartSource, length: u64, sum: Sum) -> Result<(), Error> {
    let offset = target.offset;
    let broken = |error| Error::Part { offset, sum, error };
    let mut content = parts.open(&sum, length).map_err(broken)?.ok_or(Error::MissingPart { offset, sum })?;
    let mut hasher = Hasher::new(sum.checksum().into());
    let end = offset + length;
    while target.offset < end {
        let read = target.read_from(&mut *content, end - target.offset).map_err(broken)?;
        if read == 0 {
            let found = Found::Only(target.offset - offset);
            return Err(Error::PartLength { offset, sum, length, found });
        }
        hasher.update(&target.buffer[..read]);
        target.write(read)?;
    }
    if target.read_from(&mut *content, 1).map_err(broken)? > 0 {
        return Err(Error::PartLength { offset, sum, length, found: Found::More });
    }
    let found = finish(hasher, sum);
    if found == sum { Ok(()) } else { Err(Error::PartSum { offset, expected: sum, found }) }
}

/// The sum in `hasher`, which is of the same kind as `expected`.
fn finish(hasher: Hasher, expected: Sum) -> Sum {
    Sum::from_bytes(expected.checksum(), &hasher.finish()).expect("a hasher gives as many bytes as its sum has")
}

/// The image as it grows.
struct Target<'a> {
    out: &'a mut dyn Write,
    expected: Sum,
    hasher: Hasher,
    offset: u64,
    buffer: Vec<u8>,
}

impl<'a> Target<'a> {
    fn new(out: &'a mut dyn Write, expected: Sum) -> Self {
        let hasher = Hasher::new(Algorithm::from(expected.checksum()));
        Self { out, expected, hasher, offset: 0, buffer: vec![0; BUFFER] }
    }

    /// Fills the start of the buffer with `limit` bytes of `input`, or fewer; says with how many.
    fn read_from(&mut self, input: &mut dyn Read, limit: u64) -> io::Result<usize> {
        let limit = usize::try_from(limit).unwrap_or(BUFFER).min(BUFFER);
        loop {
            match input.read(&mut self.buffer[..limit]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Writes the first `length` bytes of the buffer.
    fn write(&mut self, length: usize) -> Result<(), Error> {
        let bytes = &self.buffer[..length];
        self.out.write_all(bytes).map_err(|error| Error::Write { offset: self.offset, error })?;
        self.hasher.update(bytes);
        self.offset += length as u64;
        Ok(())
    }

    fn finish(self) -> Result<(), Error> {
        let Self { out, expected, hasher, offset, .. } = self;
        out.flush().map_err(|error| Error::Write { offset, error })?;
        let found = finish(hasher, expected);
        if found == expected { Ok(()) } else { Err(Error::ImageSum { expected, found }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Checksum, Rsync64};
    use crate::format::template::{ImageEntry, Options, Writer};
    use std::io::Cursor;

    const PART: &[u8] = b"the content of a part";

    fn sum(data: &[u8]) -> Sum {
        Sum::of(Checksum::Sha256, data)
    }

    /// A part in memory, which may differ from what its sum says.
    struct OnePart(Option<&'static [u8]>);

    impl PartSource for OnePart {
        fn open(&self, asked: &Sum, length: u64) -> io::Result<Option<Box<dyn Read + '_>>> {
            assert_eq!((*asked, length), (sum(PART), PART.len() as u64));
            Ok(self.0.map(|content| Box::new(content) as Box<dyn Read>))
        }
    }

    fn assembled(part: Option<&'static [u8]>, image_sum: Sum) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::new(Vec::new(), Options::new(Checksum::Sha256)).unwrap();
        writer.unmatched(b"before ").unwrap();
        writer.part(PART.len() as u64, Rsync64::default(), sum(PART)).unwrap();
        writer.unmatched(b" after").unwrap();
        let image = ImageEntry { length: 13 + PART.len() as u64, sum: image_sum, block_length: Some(1024) };
        let template = writer.finish(image).unwrap();
        let mut out = Vec::new();
        assemble(&mut Template::read(Cursor::new(template)).unwrap(), &OnePart(part), &mut out).map(|_| out)
    }

    #[test]
    fn the_image_is_put_together_from_unmatched_data_and_parts() {
        let image = [b"before ", PART, b" after"].concat();
        assert_eq!(assembled(Some(PART), sum(&image)).unwrap(), image);
    }

    #[test]
    fn what_is_wrong_is_named_with_the_offset_in_the_image() {
        let hex = sum(PART).to_string();
        for (part, message) in [
            (None, "no file is known for part"),
            (Some(&b"the content of a PART"[..]), "has another sum"),
            (Some(&b"the content"[..]), "should have 21 bytes, but its file has 11"),
            (Some(&b"the content of a part and more"[..]), "should have 21 bytes, but its file has more"),
        ] {
            let error = assembled(part, sum(b"")).unwrap_err().to_string();
            assert!(error.contains(message) && error.contains("offset 7 ") && error.contains(&hex), "{error}");
        }
        let error = assembled(Some(PART), sum(b"another image")).unwrap_err().to_string();
        assert!(error.starts_with("the image has another sum"), "{error}");
    }
}
