//! What a half-assembled image contains: the areas of the image, and which of its parts are written.

use std::io::{self, Write};

use jigdo::template::description::Entry;
use jigdo::template::{Area, Tmp};
use serde::Serialize;

use super::super::description_lines::{Notation, write_entry};
use super::areas::{AreaView, ImageView, percent};

#[derive(Serialize)]
pub struct TmpView {
    areas: Vec<AreaView>,
    image: ImageView,
    totals: Totals,
    #[serde(skip)]
    tmp: Tmp,
}

/// Lengths are in bytes.
#[derive(Serialize)]
struct Totals {
    parts: usize,
    part_bytes: u64,
    written_parts: usize,
    written_part_bytes: u64,
    missing_parts: usize,
    missing_part_bytes: u64,
    unmatched_areas: usize,
    unmatched_bytes: u64,
}

impl TmpView {
    pub fn new(tmp: &Tmp) -> Self {
        let description = &tmp.description;
        let count = |is_wanted: &dyn Fn(&Area, bool) -> bool| {
            let wanted =
                description.areas.iter().zip(&tmp.written).filter(|(area, written)| is_wanted(area, **written));
            wanted.fold((0, 0), |(count, bytes), (area, _)| (count + 1, bytes + area.length()))
        };
        let is_part = |area: &Area| matches!(area, Area::Part { .. });
        let (parts, part_bytes) = count(&|area, _| is_part(area));
        let (written_parts, written_part_bytes) = count(&|area, written| is_part(area) && written);
        let (unmatched_areas, unmatched_bytes) = count(&|area, _| !is_part(area));
        let areas = description.with_offsets().zip(&tmp.written);
        Self {
            areas: areas.map(|((offset, area), &written)| AreaView::new(offset, area, Some(written))).collect(),
            image: description.into(),
            totals: Totals {
                parts,
                part_bytes,
                written_parts,
                written_part_bytes,
                missing_parts: parts - written_parts,
                missing_part_bytes: part_bytes - written_part_bytes,
                unmatched_areas,
                unmatched_bytes,
            },
            tmp: tmp.clone(),
        }
    }

    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "Half-assembled image")?;
        writeln!(
            out,
            "\nAreas of the image: offset, length, sum, rsync64 of the first block; then length, block length and sum of the image"
        )?;
        for ((offset, area), &is_written) in self.tmp.description.with_offsets().zip(&self.tmp.written) {
            let entry = if is_written { Entry::Written(*area) } else { Entry::Area(*area) };
            write_entry(out, offset, &entry, Notation::Base64)?;
        }
        write_entry(out, 0, &Entry::Image(self.tmp.description.image), Notation::Base64)?;
        writeln!(out, "\nTotals")?;
        let totals = &self.totals;
        for (bytes, count, what) in [
            (totals.written_part_bytes, totals.written_parts, "parts that are there (have-file)"),
            (totals.missing_part_bytes, totals.missing_parts, "parts that are missing (need-file)"),
            (totals.unmatched_bytes, totals.unmatched_areas, "areas of unmatched data"),
        ] {
            writeln!(
                out,
                "{bytes:>12} bytes in {count} {what}, {:.2} % of the image",
                percent(bytes, self.image.length)
            )?;
        }
        Ok(())
    }
}
