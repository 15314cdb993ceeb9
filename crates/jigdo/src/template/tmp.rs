//! `image.tmp`, the state of a half-assembled image: the image's bytes, in which parts may still be missing, followed by
//! the template's description, in which the parts that are present are marked as written.

use std::io::{BufReader, Read, Seek, SeekFrom};

use super::reader::{Error, locate_description};
use super::{Area, DESCRIPTION_HEAD, Description, description};

/// What follows the bytes of a half-assembled image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmp {
    /// As in the template.
    pub description: Description,
    /// For each area whether it is a part that has been written. Unmatched data are always present.
    pub written: Vec<bool>,
}

impl Tmp {
    /// Reads the state at the end of an `image.tmp`.
    ///
    /// # Errors
    ///
    /// Whatever is malformed, with its offset in the file, and errors of `input`.
    pub fn read(mut input: impl Read + Seek) -> Result<Self, Error> {
        let file_length = input.seek(SeekFrom::End(0))?;
        let (start, length) = locate_description(&mut input, 0, file_length)?;
        let entries = start + DESCRIPTION_HEAD;
        input.seek(SeekFrom::Start(entries))?;
        let entries = description::read_marked(BufReader::new(input), entries, length - DESCRIPTION_HEAD - 6)?;
        let (description, written) = entries;
        if description.image.length != start {
            return Err(Error::NotAfterImage { offset: start, image: description.image.length });
        }
        Ok(Self { description, written })
    }

    /// The bytes that follow the image's.
    pub fn to_bytes(&self) -> Vec<u8> {
        description::encode_marked(&self.description, |area| self.written.get(area).copied().unwrap_or(false))
    }

    /// For each area of the template that this [belongs to](Tmp::is_of), whether it is a part that has been written.
    pub fn written_areas(&self, template: &Description) -> Vec<bool> {
        let ours = self.description.areas.iter().zip(&self.written).filter(|(area, _)| area.length() > 0);
        let mut ours = ours.map(|(_, &written)| written);
        let written = |area: &Area| area.length() > 0 && ours.next().unwrap_or(false);
        template.areas.iter().map(written).collect()
    }

    /// Whether this is the state of the image that a template describes. Version 1.0 has neither rsync64 sums nor a
    /// block length, so these may be missing from `template`. Empty areas are ignored.
    pub fn is_of(&self, template: &Description) -> bool {
        let areas = |of: &Description| of.areas.iter().filter(|area| area.length() > 0).copied().collect::<Vec<_>>();
        let (ours, theirs) = (areas(&self.description), areas(template));
        let same = |(ours, theirs): (&Area, &Area)| match (ours, theirs) {
            (Area::Part { length, sum, .. }, Area::Part { length: of, rsync64: None, sum: other }) => {
                (length, sum) == (of, other)
            }
            (ours, theirs) => ours == theirs,
        };
        let (image, other) = (&self.description.image, &template.image);
        (image.length, image.sum) == (other.length, other.sum)
            && ours.len() == theirs.len()
            && ours.iter().zip(&theirs).all(same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::ImageEntry;
    use crate::{Checksum, Rsync64, Sum};
    use std::io::Cursor;

    fn part(content: &[u8]) -> Area {
        let sum = Sum::of(Checksum::Sha256, content);
        Area::Part { length: content.len() as u64, rsync64: Some(Rsync64::of(content)), sum }
    }

    fn tmp() -> Tmp {
        let areas = vec![part(b"one"), Area::Unmatched { length: 2 }, part(b"three")];
        let image = ImageEntry { length: 10, sum: Sum::of(Checksum::Sha256, b""), block_length: Some(1024) };
        Tmp { description: Description { areas, image }, written: vec![false, false, true] }
    }

    #[test]
    fn what_is_written_after_an_image_is_read_back() {
        let file = [&b"\0\0\0xxthree"[..], &tmp().to_bytes()].concat();
        let read = Tmp::read(Cursor::new(file)).unwrap();
        assert_eq!(read, tmp());
        assert!(read.is_of(&tmp().description));
    }

    #[test]
    fn the_state_of_another_image_is_told_from_this_one() {
        let mut other = tmp();
        other.description.areas[0] = part(b"two");
        assert!(!tmp().is_of(&other.description));
        let mut longer = tmp().description;
        longer.areas.push(Area::Unmatched { length: 1 });
        assert!(!tmp().is_of(&longer));
        longer.areas[3] = Area::Unmatched { length: 0 };
        assert!(tmp().is_of(&longer));
        longer.areas.rotate_right(1);
        assert_eq!(tmp().written_areas(&longer), [false, false, false, true]);
    }

    #[test]
    fn a_file_that_is_cut_or_of_another_length_is_refused() {
        let file = [&b"\0\0\0xxthree"[..], &tmp().to_bytes()].concat();
        assert!(Tmp::read(Cursor::new(&file[..file.len() - 1])).is_err());
        assert!(Tmp::read(Cursor::new(&b"too short"[..])).is_err());
        let error = Tmp::read(Cursor::new(&file[1..])).unwrap_err().to_string();
        assert!(error.starts_with("offset 9: "), "{error}");
    }
}
