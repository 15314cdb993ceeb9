//! Whether an image is the one that a template describes, and if not, where it differs.

use jigdo::escaped_path;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use jigdo::Sum;
use jigdo::template::{Area, Template};

use super::Error;
use super::fill::Visit;
use super::image_output::Output;
use super::part::Part;
use super::pass::{Shared, pass};
use super::plan::{Plan, What};
use crate::file;
use crate::progress::{Begin, Progress, Task};

/// How many bytes of unmatched data are compared at a time.
pub(super) const PIECE: u64 = 1 << 20;

/// The result of comparing an image with its template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The length in bytes and the sum of the image that the template describes.
    pub length: u64,
    /// The sum of the image according to the template.
    pub sum: Sum,
    /// The image's own length in bytes. `None` if it is longer than it should be and was not read to its end.
    pub found_length: Option<u64>,
    /// The image's own sum; `None` if its length is wrong.
    pub found_sum: Option<Sum>,
    /// The areas that are wrong, in the order of the image. Empty if the length is wrong.
    pub wrong: Vec<WrongArea>,
}

/// An area of an image with wrong content. Offset and length are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongArea {
    /// Where the area begins in the image.
    pub offset: u64,
    /// How long the area is.
    pub length: u64,
    /// The part that belongs there; `None` for unmatched data.
    pub part: Option<Part>,
}

impl Verified {
    /// Whether the image is the one that the template describes.
    pub fn is_right(&self) -> bool {
        self.found_sum == Some(self.sum)
    }
}

/// Compares the image at `path`, a file or a block device, with `template`. An image of the wrong length is not read.
///
/// # Errors
/// The image or the template cannot be read.
pub fn verify_image<R: Read + Seek + Send>(
    path: &Path,
    template: &mut Template<R>,
    progress: &dyn Progress,
) -> Result<Verified, Error> {
    let unreadable = |source| Error::ReadBack { path: path.to_owned(), offset: 0, source };
    let file = File::open(path).map_err(unreadable)?;
    let found_length = file::length(&file).map_err(unreadable)?;
    let mut plan = Plan::new(&template.description, None);
    let (length, sum) = (plan.image.length, plan.image.sum);
    let mut verified = Verified { length, sum, found_length: Some(found_length), found_sum: None, wrong: Vec::new() };
    if found_length != length {
        return Ok(verified);
    }
    let name = escaped_path(&path).to_string();
    let task = Task::begin(progress, Begin::bytes("image", &name).total(length));
    let image = Output::Image { path: path.to_owned(), file };
    let shared = Shared::new(1, progress).map_err(Error::Threads)?;
    let passed = pass(&task, &mut plan, template, &image, Visit::Back, &shared)?;
    verified.found_sum = passed.image;
    let wrong_part = |&area: &usize| {
        let area = &plan.areas[area];
        let part = match area.what {
            What::Part { number, .. } => Some(plan.parts[number].part),
            What::Unmatched => None,
        };
        WrongArea { offset: area.offset, length: area.length, part }
    };
    verified.wrong = passed.wrong.iter().map(wrong_part).collect();
    if !verified.is_right() {
        verified.wrong.extend(wrong_unmatched(&image, template)?);
        verified.wrong.sort_by_key(|area| area.offset);
    }
    let summary = if verified.is_right() { "right" } else { "not the image that the template describes" };
    task.end(summary);
    Ok(verified)
}

/// The areas of unmatched data that differ from the template's.
fn wrong_unmatched<R: Read + Seek>(image: &Output<'_>, template: &mut Template<R>) -> Result<Vec<WrongArea>, Error> {
    let areas: Vec<(u64, Area)> = template.description.with_offsets().map(|(offset, area)| (offset, *area)).collect();
    let mut unmatched = template.unmatched();
    let (mut theirs, mut ours) = (vec![0; PIECE as usize], vec![0; PIECE as usize]);
    let mut wrong = Vec::new();
    for (offset, area) in areas {
        let Area::Unmatched { length } = area else { continue };
        let mut is_right = true;
        for start in (offset..offset + length).step_by(PIECE as usize) {
            let piece = (offset + length - start).min(PIECE) as usize;
            let (theirs, ours) = (&mut theirs[..piece], &mut ours[..piece]);
            unmatched.read_exact(theirs).map_err(|source| Error::Unmatched { offset: start, source })?;
            image.read(ours, start)?;
            is_right &= theirs == ours;
        }
        if !is_right {
            wrong.push(WrongArea { offset, length, part: None });
        }
    }
    Ok(wrong)
}
