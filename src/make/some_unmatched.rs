//! Makes sure that a template has unmatched data: where an image is nothing but parts, one of them is left out.
//!
//! jigdo-file crashes, up to 0.8.1 at least, when it rebuilds an image whose template has no unmatched data. It needs a
//! byte of it, but parts are whole files, so a part has to go. The shortest one does. Shorter files may be in it in turn:
//! they become parts, so that a copy of an installer in the mirror costs little if the mirror also has its contents.

use jigdo::escaped_path;
use std::io;
use std::ops::Range;

use jigdo::Checksum;

use super::image_pass::ImagePass;
use super::known_image::KnownImage;
use super::selection::{Selection, SelectionSums};
use crate::digest::Content;
use crate::file::Window;
use crate::file::{Bytes, Region};
use crate::matcher::{Area, Layout, Match, Search};

/// The areas that are found before the first unmatched data. They are held back, because they may still change.
#[derive(Default)]
pub struct HeldBack {
    areas: Vec<Area>,
    /// Whether unmatched data were found.
    is_over: bool,
}

impl HeldBack {
    /// Takes the next areas. Returns those that are certain.
    pub fn pass(&mut self, areas: Vec<Area>) -> Vec<Area> {
        if self.is_over {
            return areas;
        }
        self.is_over = areas.iter().any(is_unmatched);
        self.areas.extend(areas);
        if self.is_over { std::mem::take(&mut self.areas) } else { Vec::new() }
    }

    /// Whether the image is nothing but parts.
    pub fn is_all_parts(&self) -> bool {
        !self.is_over
    }
}

fn is_unmatched(area: &Area) -> bool {
    matches!(area, Area::Unmatched(_))
}

impl ImagePass<'_> {
    /// A layout with unmatched data, from one of parts only. An image of no bytes stays as it is.
    pub(super) fn leave_some_unmatched(&self, mut layout: Layout) -> io::Result<Layout> {
        // Each time, the shortest part is at most half as long as before.
        while !layout.areas.iter().any(is_unmatched) {
            let Some(&shortest) = layout.parts().min_by_key(|part| part.length) else { break };
            tracing::debug!(
                image = %escaped_path(&self.path),
                offset = shortest.start,
                bytes = shortest.length,
                "left unmatched, because the image is nothing but parts"
            );
            let inside = self.search_inside(&shortest)?;
            let mut areas = Layout::default();
            for area in layout.areas {
                match area {
                    Area::Part(part) if part == shortest => inside.iter().cloned().for_each(|area| areas.push(area)),
                    area => areas.push(area),
                }
            }
            layout = areas;
        }
        Ok(layout)
    }

    /// The areas of the bytes that a part covers, with shorter parts only.
    fn search_inside(&self, part: &Match) -> io::Result<Vec<Area>> {
        let range = part.start..part.end();
        let shorter = self.selection.parts_shorter_than(part.length);
        let files = shorter.iter().map(|&part| self.selection.file(part));
        let selection = Selection::of_files(self.catalogue, self.selection.table.block_length(), files);
        let sums =
            SelectionSums::new(&selection, self.catalogue, self.image.mapped.stamp(), self.checksum, self.progress);
        let slice = Slice { image: self.image, range: range.clone() };
        let mut search = Search::new(&selection.table, &slice, &sums).in_pool(self.pool);
        let (mut areas, mut offset) = (Vec::new(), 0);
        while offset < slice.length() {
            let end = slice.length().min(offset + self.window);
            areas.extend(search.advance(end)?);
            self.image.mapped.release(range.start..range.start + offset);
            offset = end;
        }
        let in_image = |area| match area {
            Area::Unmatched(found) => Area::Unmatched(range.start + found.start..range.start + found.end),
            Area::Part(found) => {
                let Match { start, part, .. } = found;
                Area::Part(Match { start: range.start + start, part: shorter[part.0 as usize], ..found })
            }
        };
        Ok(areas.into_iter().map(in_image).collect())
    }
}

/// A range of an image.
struct Slice<'a> {
    image: &'a KnownImage<'a>,
    range: Range<u64>,
}

impl Bytes for Slice<'_> {
    type Window<'b>
        = Window<'b>
    where
        Self: 'b;

    fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn window(&self, range: Range<u64>) -> io::Result<Window<'_>> {
        self.image.window(self.range.start + range.start..self.range.start + range.end)
    }

    fn contents(&self, checksum: Checksum, regions: &[Region]) -> io::Result<Vec<Option<Vec<Content>>>> {
        let first = self.range.start;
        let in_image = |region: &Region| Region {
            start: first + region.start,
            ends: region.ends.iter().map(|end| first + end).collect(),
        };
        self.image.contents(checksum, &regions.iter().map(in_image).collect::<Vec<_>>())
    }
}
