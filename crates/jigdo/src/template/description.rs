//! The entries of a description: one for each area of the image, then one for the image itself.
//!
//! An `image.tmp` ends with the same entries. There a part may also be marked as already written.

use std::io::Read;

use super::{Area, DESCRIPTION_HEAD, Description, Error, ImageEntry, MAX_LENGTH, u48, u48_bytes};
use crate::{Checksum, Rsync64, Sum};

/// The shortest description that other readers accept, in bytes, from its id to its second length.
pub const MIN_LENGTH: u64 = 45;

/// The longest description that other readers accept, in bytes.
pub const MAX_DESCRIPTION_LENGTH: u64 = 256 << 20;

/// The largest number of areas in one description. Each takes 56 bytes of memory. The largest archives have half as
/// many files.
pub const MAX_AREAS: usize = 4 << 20;

const UNMATCHED: u8 = 2;
const PART_MD5_WITHOUT_RSYNC64: u8 = 3;
const PART_MD5: u8 = 6;
const PART_SHA256: u8 = 9;
const WRITTEN_MD5: u8 = 7;
const WRITTEN_SHA256: u8 = 10;
const IMAGE_MD5_WITHOUT_BLOCK_LENGTH: u8 = 1;
const IMAGE_MD5: u8 = 5;
const IMAGE_SHA256: u8 = 8;

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// An area. In an `image.tmp`, a part that has not been written yet.
    Area(Area),
    /// A part that has already been written. Only in an `image.tmp`.
    Written(Area),
    /// The image; must come last.
    Image(ImageEntry),
}

/// Reads the entries in the next `length` bytes of `input`, and passes each to `take` with the offset where it begins.
///
/// `offset` is the position of `input` in its file: errors name offsets in the file.
///
/// # Errors
///
/// [`Error::UnknownEntry`], [`Error::Truncated`] if the last entry is cut off, and the errors of `input` and `take`.
pub fn read_entries(
    input: impl Read,
    offset: u64,
    length: u64,
    mut take: impl FnMut(u64, Entry) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut bytes = Bytes { input, offset, end: offset + length };
    while bytes.offset < bytes.end {
        let start = bytes.offset;
        take(start, bytes.entry(start)?)?;
    }
    Ok(())
}

/// Collects the entries of a template's description.
///
/// # Errors
///
/// Those of [`read_entries`], and an error for each way in which entries can contradict one another.
pub(super) fn read(input: impl Read, offset: u64, length: u64) -> Result<Description, Error> {
    collect(input, offset, length, |offset| Err(Error::WrittenPart { offset })).map(|(description, _)| description)
}

/// Collects the entries of an `image.tmp`, and returns for each area whether it is a part that has been written.
///
/// # Errors
///
/// As for [`read`].
pub(super) fn read_marked(input: impl Read, offset: u64, length: u64) -> Result<(Description, Vec<bool>), Error> {
    collect(input, offset, length, |_| Ok(()))
}

/// `may_be_written` receives the offset of each entry that is marked as written, and may refuse it.
fn collect(
    input: impl Read,
    offset: u64,
    length: u64,
    may_be_written: impl Fn(u64) -> Result<(), Error>,
) -> Result<(Description, Vec<bool>), Error> {
    let (mut areas, mut written) = (Vec::new(), Vec::new());
    let mut image = None;
    let mut total = 0u64;
    let mut checksum = None;
    read_entries(input, offset, length, |offset, entry| {
        if image.is_some() {
            return Err(match entry {
                Entry::Image(_) => Error::SecondImage { offset },
                _ => Error::AreaAfterImage { offset },
            });
        }
        let sum = match entry {
            Entry::Area(Area::Unmatched { .. }) | Entry::Written(Area::Unmatched { .. }) => None,
            Entry::Area(Area::Part { sum, .. }) | Entry::Written(Area::Part { sum, .. }) => Some(sum),
            Entry::Image(entry) => Some(entry.sum),
        };
        let is_written = matches!(entry, Entry::Written(_));
        if is_written {
            may_be_written(offset)?;
        }
        if let Some(kind) = sum.map(|sum| sum.checksum())
            && *checksum.get_or_insert(kind) != kind
        {
            return Err(Error::MixedChecksums { offset });
        }
        match entry {
            Entry::Image(entry) => image = Some((offset, entry)),
            Entry::Area(area) | Entry::Written(area) => {
                // No overflow: the number of areas and their lengths are limited.
                total += area.length();
                if areas.len() == MAX_AREAS {
                    return Err(Error::TooManyAreas { offset });
                }
                areas.push(area);
                written.push(is_written);
            }
        }
        Ok(())
    })?;
    let (entry_offset, image) = image.ok_or(Error::NoImage { offset: offset + length })?;
    if total != image.length {
        return Err(Error::AreasDoNotAddUp { offset: entry_offset, areas: total, image: image.length });
    }
    Ok((Description { areas, image }, written))
}

/// The bytes of a whole description, from its id to its second length.
///
/// The lengths must be at most [`MAX_LENGTH`], and those of the areas must add up to the image's.
pub(super) fn encode(description: &Description) -> Vec<u8> {
    encode_marked(description, |_| false)
}

/// The same, with the parts marked as written for which `is_written` is true. It receives the area's number, from 0.
pub(super) fn encode_marked(description: &Description, is_written: impl Fn(usize) -> bool) -> Vec<u8> {
    let mut entries = Vec::with_capacity(description.areas.len() * 32 + 64);
    for (number, area) in description.areas.iter().enumerate() {
        encode_area(area, is_written(number), &mut entries);
    }
    let mut image = Vec::with_capacity(64);
    encode_image(&description.image, &mut image);
    // An empty image has no areas, and with an MD5 its description is shorter than other readers accept. An empty area
    // makes it long enough.
    let length_of = |entries: &[u8], image: &[u8]| DESCRIPTION_HEAD + (entries.len() + image.len()) as u64 + 6;
    if length_of(&entries, &image) < MIN_LENGTH {
        encode_area(&Area::Unmatched { length: 0 }, false, &mut entries);
    }
    let length = u48_bytes(length_of(&entries, &image));
    [&super::DESCRIPTION_ID[..], &length, &entries, &image, &length].concat()
}

fn encode_area(area: &Area, is_written: bool, out: &mut Vec<u8>) {
    debug_assert!(area.length() <= MAX_LENGTH);
    let length = u48_bytes(area.length());
    let (kind, rsync64, sum) = match area {
        Area::Unmatched { .. } => (UNMATCHED, None, None),
        Area::Part { rsync64: None, sum: sum @ Sum::Md5(_), .. } if !is_written => {
            (PART_MD5_WITHOUT_RSYNC64, None, Some(sum))
        }
        Area::Part { rsync64, sum, .. } => {
            let kind = match (sum.checksum(), is_written) {
                (Checksum::Md5, false) => PART_MD5,
                (Checksum::Md5, true) => WRITTEN_MD5,
                (Checksum::Sha256, false) => PART_SHA256,
                (Checksum::Sha256, true) => WRITTEN_SHA256,
            };
            (kind, Some(rsync64.unwrap_or_default()), Some(sum))
        }
    };
    out.push(kind);
    out.extend_from_slice(&length);
    out.extend(rsync64.map(Rsync64::to_bytes).iter().flatten());
    out.extend_from_slice(sum.map_or(&[], Sum::as_bytes));
}

fn encode_image(image: &ImageEntry, out: &mut Vec<u8>) {
    debug_assert!(image.length <= MAX_LENGTH);
    let (kind, block_length) = match (image.sum.checksum(), image.block_length) {
        (Checksum::Md5, None) => (IMAGE_MD5_WITHOUT_BLOCK_LENGTH, None),
        (Checksum::Md5, block_length) => (IMAGE_MD5, block_length),
        (Checksum::Sha256, block_length) => (IMAGE_SHA256, Some(block_length.unwrap_or_default())),
    };
    out.push(kind);
    out.extend_from_slice(&u48_bytes(image.length));
    out.extend_from_slice(image.sum.as_bytes());
    out.extend(block_length.map(u32::to_le_bytes).iter().flatten());
}

/// The bytes of the entries, which end at `end`.
struct Bytes<R> {
    input: R,
    offset: u64,
    end: u64,
}

impl<R: Read> Bytes<R> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        if self.end - self.offset < N as u64 {
            return Err(Error::Truncated { offset: self.end, what: "an entry of the description" });
        }
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        self.offset += N as u64;
        Ok(bytes)
    }

    fn length(&mut self) -> Result<u64, Error> {
        self.take().map(u48)
    }

    fn rsync64(&mut self) -> Result<Option<Rsync64>, Error> {
        self.take().map(Rsync64::from_bytes).map(Some)
    }

    fn md5(&mut self) -> Result<Sum, Error> {
        self.take().map(Sum::Md5)
    }

    fn sha256(&mut self) -> Result<Sum, Error> {
        self.take().map(Sum::Sha256)
    }

    fn block_length(&mut self) -> Result<Option<u32>, Error> {
        self.take().map(u32::from_le_bytes).map(Some)
    }

    /// The entry that begins here, at `offset`.
    fn entry(&mut self, offset: u64) -> Result<Entry, Error> {
        let [kind] = self.take()?;
        // The fields of a struct expression are read in the order in which they are written here.
        Ok(match kind {
            UNMATCHED => Entry::Area(Area::Unmatched { length: self.length()? }),
            PART_MD5_WITHOUT_RSYNC64 => {
                Entry::Area(Area::Part { length: self.length()?, rsync64: None, sum: self.md5()? })
            }
            PART_MD5 => Entry::Area(Area::Part { length: self.length()?, rsync64: self.rsync64()?, sum: self.md5()? }),
            PART_SHA256 => {
                Entry::Area(Area::Part { length: self.length()?, rsync64: self.rsync64()?, sum: self.sha256()? })
            }
            WRITTEN_MD5 => {
                Entry::Written(Area::Part { length: self.length()?, rsync64: self.rsync64()?, sum: self.md5()? })
            }
            WRITTEN_SHA256 => {
                Entry::Written(Area::Part { length: self.length()?, rsync64: self.rsync64()?, sum: self.sha256()? })
            }
            IMAGE_MD5_WITHOUT_BLOCK_LENGTH => {
                Entry::Image(ImageEntry { length: self.length()?, sum: self.md5()?, block_length: None })
            }
            IMAGE_MD5 => Entry::Image(ImageEntry {
                length: self.length()?,
                sum: self.md5()?,
                block_length: self.block_length()?,
            }),
            IMAGE_SHA256 => Entry::Image(ImageEntry {
                length: self.length()?,
                sum: self.sha256()?,
                block_length: self.block_length()?,
            }),
            kind => return Err(Error::UnknownEntry { offset, kind }),
        })
    }
}
