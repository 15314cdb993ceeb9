//! Whether an image that can be read only once, such as one from a pipe, is the one that a template describes.

use jigdo::escaped_path;
use std::io::{self, Read, Seek};
use std::path::Path;

use jigdo::Sum;
use jigdo::template::{Area, Template};

use super::part::Part;
use super::verify::PIECE;
use super::{Error, Verified, WrongArea};
use crate::digest::{Hasher, update_all};
use crate::progress::{Begin, Progress, Task};

/// Compares the image that `image` yields with `template`. No more is read than one byte after the end that it should
/// have. `path` is what messages call it.
///
/// # Errors
/// The image or the template cannot be read.
pub fn verify_stream<R: Read + Seek>(
    path: &Path,
    image: &mut dyn Read,
    template: &mut Template<R>,
    progress: &dyn Progress,
) -> Result<Verified, Error> {
    let described = template.description.image;
    let areas: Vec<(u64, Area)> = template.description.with_offsets().map(|(offset, area)| (offset, *area)).collect();
    let name = escaped_path(&path).to_string();
    let task = Task::begin(progress, Begin::bytes("image", &name).total(described.length));
    let mut verified = Verified {
        length: described.length,
        sum: described.sum,
        found_length: Some(described.length),
        found_sum: None,
        wrong: Vec::new(),
    };
    let mut unmatched = template.unmatched();
    let mut whole = Hasher::new(described.sum.checksum().into());
    let (mut ours, mut theirs) = (vec![0; PIECE as usize], vec![0; PIECE as usize]);
    let unreadable = |offset| move |source| Error::ReadBack { path: path.to_owned(), offset, source };
    for (start, area) in areas {
        let part = Part::of(&area, described.block_length);
        let mut of_part = part.map(|part| Hasher::new(part.sum.checksum().into()));
        let mut is_right = true;
        let end = start + area.length();
        for offset in (start..end).step_by(PIECE as usize) {
            let length = (end - offset).min(PIECE) as usize;
            let read = read_most(image, &mut ours[..length]).map_err(unreadable(offset))?;
            if read < length {
                let found_length = Some(offset + read as u64);
                task.end("it is too short");
                return Ok(Verified { found_length, wrong: Vec::new(), ..verified });
            }
            let piece = &ours[..length];
            match &mut of_part {
                Some(of_part) => update_all(&mut [(&mut whole, piece), (of_part, piece)]),
                None => {
                    whole.update(piece);
                    let theirs = &mut theirs[..length];
                    unmatched.read_exact(theirs).map_err(|source| Error::Unmatched { offset, source })?;
                    is_right &= theirs == piece;
                }
            }
            task.advance_to(offset + length as u64);
        }
        if let (Some(part), Some(of_part)) = (part, of_part) {
            is_right = Sum::from_bytes(part.sum.checksum(), &of_part.finish()) == Some(part.sum);
        }
        if !is_right {
            verified.wrong.push(WrongArea { offset: start, length: area.length(), part });
        }
    }
    if read_most(image, &mut [0]).map_err(unreadable(described.length))? > 0 {
        task.end("it is too long");
        return Ok(Verified { found_length: None, wrong: Vec::new(), ..verified });
    }
    verified.found_sum = Sum::from_bytes(described.sum.checksum(), &whole.finish());
    if verified.is_right() {
        // As in an image that is read from a file, the sum of the whole decides.
        verified.wrong.clear();
    }
    task.end(if verified.is_right() { "right" } else { "not the image that the template describes" });
    Ok(verified)
}

/// Fills the buffer as far as there are bytes. Returns how many there were.
fn read_most(image: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match image.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
