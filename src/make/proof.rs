//! Proves a staged set: reads its files back and compares them with what was found in the image.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::ops::Range;
use std::path::Path;

use jigdo::Sum;
use jigdo::jigdo_file::Jigdo;
use jigdo::template::{self, Template};
use rayon::prelude::*;

use crate::file::Bytes as _;
use crate::file::Mapped;
use crate::matcher::{Area, Layout};

/// How many bytes are compared at a time.
const WINDOW: u64 = 1 << 20;

/// How many bytes one thread compares in a row.
const GROUP: u64 = 16 << 20;

/// Reads a staged template and compares it with the image, its layout and its sum.
///
/// # Errors
/// A description of what differs.
pub fn prove_template(path: &Path, image: &Mapped, layout: &Layout, sum: Sum) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let template = Template::read(BufReader::new(&file)).map_err(|error| error.to_string())?;
    let entry = &template.description.image;
    if entry.length != image.length() || entry.sum != sum {
        return Err("the template describes another image".to_owned());
    }
    // The description of an empty image may have an empty area, because some readers require one.
    let areas = template.description.areas.iter().filter(|area| area.length() > 0);
    let same = |(area, found): (&template::Area, &Area)| match (area, found) {
        (template::Area::Unmatched { length }, Area::Unmatched(range)) => *length == range.end - range.start,
        (template::Area::Part { length, sum, .. }, Area::Part(part)) => *length == part.length && *sum == part.sum,
        _ => false,
    };
    if areas.clone().count() != layout.areas.len() || !areas.zip(&layout.areas).all(same) {
        return Err("the template's areas are not those found in the image".to_owned());
    }
    let groups = groups_of_unmatched(layout);
    let compare = |group: &Vec<Chunk>| compare_unmatched(group, path, &template, image);
    groups.par_iter().map(compare).collect()
}

/// A range of unmatched data.
struct Chunk {
    /// Its offset in the template's unmatched data.
    offset: u64,
    /// Its place in the image.
    range: Range<u64>,
}

/// All unmatched data, in groups to compare in parallel.
fn groups_of_unmatched(layout: &Layout) -> Vec<Vec<Chunk>> {
    let (mut groups, mut group, mut offset) = (Vec::new(), Vec::new(), 0);
    for area in &layout.areas {
        let Area::Unmatched(range) = area else { continue };
        for start in range.clone().step_by(WINDOW as usize) {
            let range = start..range.end.min(start + WINDOW);
            let length = range.end - range.start;
            group.push(Chunk { offset, range });
            offset += length;
            if offset >= (groups.len() as u64 + 1) * GROUP {
                groups.push(std::mem::take(&mut group));
            }
        }
    }
    groups.push(group);
    groups
}

/// An error unless the template holds the image's unmatched data.
fn compare_unmatched(
    group: &[Chunk],
    path: &Path,
    template: &Template<impl Read + Seek>,
    image: &Mapped,
) -> Result<(), String> {
    let Some(Chunk { offset, .. }) = group.first() else { return Ok(()) };
    let mut file = BufReader::new(File::open(path).map_err(|error| error.to_string())?);
    let mut unmatched = template.unmatched_in(&mut file);
    unmatched.seek_to(*offset).map_err(|error| error.to_string())?;
    let mut buffer = vec![0; WINDOW as usize];
    image.advise_random();
    for Chunk { range, .. } in group {
        image.prefetch(range.clone());
        let window = image.window(range.clone()).map_err(|error| error.to_string())?;
        let buffer = &mut buffer[..window.len()];
        unmatched.read_exact(buffer).map_err(|error| error.to_string())?;
        if *buffer != *window {
            return Err(format!("the template's unmatched data differ from the image after offset {}", range.start));
        }
    }
    Ok(())
}

/// Reads a staged jigdo file and compares it with the image's layout and the template's sum.
///
/// # Errors
/// A description of what differs.
pub fn prove_jigdo(path: &Path, layout: &Layout, sum_of_template: Sum) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let jigdo = Jigdo::read(BufReader::new(file)).map_err(|error| error.to_string())?;
    let named_sum = jigdo.images.first().and_then(|image| image.template_sum);
    if named_sum != Some(sum_of_template) {
        return Err("the jigdo file does not have the template's sum".to_owned());
    }
    let named: HashSet<Sum> = jigdo.parts.iter().map(|(sum, _)| *sum).collect();
    match layout.parts().find(|part| !named.contains(&part.sum)) {
        Some(part) => Err(format!("the jigdo file does not name the part at offset {}", part.start)),
        None => Ok(()),
    }
}
