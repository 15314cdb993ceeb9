//! What is already where an image is to go, and whether it may be replaced.
//!
//! Anybody can write any name into a jigdo file. So a file gives way to an image only if an earlier run made it, if it has
//! a part of the image, as an old version of the image does, or if it is the beginning of the image.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use jigdo::template::{Area, Description};
use jigdo::{Checksum, Sum};

use super::super::source::{OldImages, Source as _, begins_like};
use super::super::{Part, PartPlace};
use super::known::KnownFiles;
use crate::digest::Hasher;
use crate::file::{Stamp, is_too_long, kind};
use crate::progress::Progress;
use crate::set::FileTemplate;
use crate::summing::{Request, Source};

/// How many places are summed at a time until one has its part.
const AT_ONCE: usize = 16;

/// Why no image can go there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("it is {what}, which no image replaces; move it away")]
    InTheWay { what: &'static str },
    #[error("it is a symbolic link that leads nowhere; remove it, or use --force to replace it")]
    LeadsNowhere,
    #[error("its name is too long for a file here; shorten Filename= in the jigdo file")]
    LongName,
    #[error("it cannot be told whether it is there: {0}; check the directory and its permissions")]
    Unknown(#[source] io::Error),
    #[error("it cannot be read: {0}; check its permissions and its disk, or use --force to replace it")]
    Unreadable(#[source] io::Error),
    #[error(
        "it is another file: no earlier run made it, and it has no part of this image; rename it, or use --force to \
         replace it"
    )]
    Foreign,
}

/// The stamp of the file at `image`; `None` if nothing is there.
///
/// # Errors
/// There is something that is no file. With `force`, a link that leads nowhere is nothing.
pub(super) fn look(image: &Path, force: bool) -> Result<Option<Stamp>, Error> {
    let found = match fs::metadata(image) {
        Ok(found) => found,
        // Whatever is wrong with the directory is said when it is created.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_link = fs::symlink_metadata(image).is_ok_and(|found| found.is_symlink());
            return if is_link && !force { Err(Error::LeadsNowhere) } else { Ok(None) };
        }
        Err(error) if is_too_long(&error) => return Err(Error::LongName),
        Err(error) => return Err(Error::Unknown(error)),
    };
    if found.is_file() { Ok(Some(Stamp::of(&found))) } else { Err(Error::InTheWay { what: kind(found.file_type()) }) }
}

/// Checks that the file at `path`, which is not the image of `template`, may be replaced by it.
///
/// # Errors
/// It may not, or cannot be read.
pub(super) fn check_replaceable(
    path: &Path,
    stamp: Stamp,
    template: &mut FileTemplate,
    known: &KnownFiles<'_>,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let may_be_replaced = stamp.size == 0
        || known.is_made(path, stamp)
        || is_beginning(path, stamp.size, template).map_err(Error::Unreadable)?
        || has_part(path, stamp, &template.description, known, progress);
    if may_be_replaced { Ok(()) } else { Err(Error::Foreign) }
}

/// Whether a file of this length is the beginning of the image, as far as the first unmatched data tell, and too short to
/// have the part after these.
fn is_beginning(path: &Path, length: u64, template: &mut FileTemplate) -> io::Result<bool> {
    let mut areas = template.description.areas.iter();
    let (unmatched, part) = match areas.next() {
        Some(Area::Unmatched { length }) => (*length, areas.next().map_or(0, Area::length)),
        Some(Area::Part { .. }) | None => return Ok(false),
    };
    if length >= (unmatched + part).min(template.description.image.length) {
        return Ok(false);
    }
    let mut file = File::open(path)?.take(unmatched.min(length));
    let mut expected = template.unmatched();
    let (mut ours, mut theirs) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut ours)?;
        if read == 0 {
            return Ok(true);
        }
        expected.read_exact(&mut theirs[..read])?;
        if ours[..read] != theirs[..read] {
            return Ok(false);
        }
    }
}

/// Whether the file has a part of the image: where the image has it, or anywhere else. A file that is nothing but a part
/// is a file of the disc, and not an old image.
fn has_part(
    path: &Path,
    stamp: Stamp,
    description: &Description,
    known: &KnownFiles<'_>,
    progress: &dyn Progress,
) -> bool {
    let block_length = description.image.block_length;
    let of_area = |(offset, area): (u64, &Area)| Some((offset, Part::of(area, block_length)?));
    let parts = || description.with_offsets().filter_map(of_area).filter(|(_, part)| part.length > 0);
    let is_inside = |&(offset, part): &(u64, Part)| {
        let is_whole = offset == 0 && part.length == stamp.size;
        !is_whole && offset.checked_add(part.length).is_some_and(|end| end <= stamp.size)
    };
    let begins = |&(offset, part): &(u64, Part)| begins_like(&PartPlace::Inside { file: path.into(), offset }, &part);
    let at_their_places = parts().filter(is_inside).filter(begins);
    if any_is_right(path, stamp, at_their_places, known) {
        return true;
    }
    let mut seen = HashSet::new();
    let parts: Vec<Part> = parts().map(|(_, part)| part).filter(|part| seen.insert(*part)).collect();
    let found = OldImages::new(vec![path.to_owned()], progress).find(&parts);
    let elsewhere = parts.into_iter().zip(found).flat_map(|(part, places)| {
        places.into_iter().filter_map(move |place| match place {
            PartPlace::Inside { offset, .. } => Some((offset, part)),
            PartPlace::File(_) | PartPlace::Memory(_) => None,
        })
    });
    any_is_right(path, stamp, elsewhere.filter(is_inside), known)
}

/// Whether the file has any of these parts at its offset.
fn any_is_right(
    path: &Path,
    stamp: Stamp,
    candidates: impl Iterator<Item = (u64, Part)>,
    known: &KnownFiles<'_>,
) -> bool {
    let mut candidates = candidates.peekable();
    while candidates.peek().is_some() {
        let some: Vec<(u64, Part)> = candidates.by_ref().take(AT_ONCE).collect();
        let request = |&(offset, part): &(u64, Part)| Request {
            source: Source::closed(path.to_owned(), stamp),
            start: offset,
            ends: vec![offset + part.length],
            hashers: vec![Hasher::new(part.sum.checksum().into())],
        };
        let tickets = known.engine().sum(some.iter().map(request));
        known.engine().wait_idle(&tickets);
        let is_right = |((_, part), ticket): (&(u64, Part), &std::sync::Arc<crate::summing::Ticket>)| {
            let sums = ticket.sums().expect("it was waited for").as_ref().ok();
            sums.is_some_and(|sums| is_sum(part.sum, &sums[0][0]))
        };
        if some.iter().zip(&tickets).any(is_right) {
            return true;
        }
    }
    false
}

fn is_sum(expected: Sum, found: &[u8]) -> bool {
    let checksum: Checksum = expected.checksum();
    Sum::from_bytes(checksum, found) == Some(expected)
}
