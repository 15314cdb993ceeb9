//! What a template contains: its pieces, and the areas of its image.

use std::io::{self, Write};

use jigdo::bstr::BString;
use jigdo::escaped;
use jigdo::template::description::Entry;
use jigdo::template::{Area, Description, Piece, Template};
use serde::Serialize;

use super::super::description_lines::{Notation, write_entry};
use super::areas::{AreaView, ImageView, percent};
use crate::json;
use crate::progress::counted;

#[derive(Serialize)]
pub struct TemplateView {
    version: String,
    #[serde(serialize_with = "json::foreign")]
    creator: BString,
    #[serde(serialize_with = "json::foreign")]
    comment: BString,
    pieces: Vec<PieceView>,
    areas: Vec<AreaView>,
    image: ImageView,
    totals: Totals,
    #[serde(skip)]
    description: Description,
}

#[derive(Serialize)]
struct PieceView {
    offset: u64,
    length: u64,
    compression: &'static str,
    unmatched_offset: u64,
    unmatched_length: u64,
}

/// Lengths are in bytes.
#[derive(Serialize)]
struct Totals {
    parts: usize,
    part_bytes: u64,
    unmatched_areas: usize,
    unmatched_bytes: u64,
    pieces: usize,
    piece_bytes: u64,
}

impl TemplateView {
    pub fn new<R>(template: &Template<R>) -> Self {
        let Description { areas, image } = &template.description;
        let piece = |piece: &Piece| PieceView {
            offset: piece.offset,
            length: piece.length,
            compression: piece.compression.name(),
            unmatched_offset: piece.unmatched_offset,
            unmatched_length: piece.unmatched_length,
        };
        let area = |(offset, area): (u64, &Area)| AreaView::new(offset, area, None);
        let parts = areas.iter().filter(|area| matches!(area, Area::Part { .. })).count();
        let unmatched_bytes = template.description.unmatched_length();
        Self {
            version: template.version.clone(),
            creator: template.creator.clone(),
            comment: template.comment.clone(),
            pieces: template.pieces.iter().map(piece).collect(),
            areas: template.description.with_offsets().map(area).collect(),
            image: (&template.description).into(),
            totals: Totals {
                parts,
                part_bytes: image.length - unmatched_bytes,
                unmatched_areas: areas.len() - parts,
                unmatched_bytes,
                pieces: template.pieces.len(),
                piece_bytes: template.pieces.iter().map(|piece| piece.length).sum(),
            },
            description: template.description.clone(),
        }
    }

    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "Template of version {} by {}", escaped(&self.version), escaped(&self.creator))?;
        writeln!(out, "{}", escaped(&self.comment))?;
        writeln!(
            out,
            "\nPieces of unmatched data: offset, length and kind in the template; offset and length of the data"
        )?;
        for piece in &self.pieces {
            let PieceView { offset, length, compression, unmatched_offset, unmatched_length } = piece;
            writeln!(out, "{offset:>12} {length:>12}  {compression:<6} {unmatched_offset:>12} {unmatched_length:>12}")?;
        }
        writeln!(
            out,
            "\nAreas of the image: offset, length, sum, rsync64 of the first block; then length, block length and sum of the image"
        )?;
        for (offset, area) in self.description.with_offsets() {
            write_entry(out, offset, &Entry::Area(*area), Notation::Base64)?;
        }
        write_entry(out, 0, &Entry::Image(self.description.image), Notation::Base64)?;
        let Totals { parts, part_bytes, unmatched_areas, unmatched_bytes, pieces, piece_bytes } = self.totals;
        let percent = |bytes| percent(bytes, self.image.length);
        writeln!(out, "\nTotals")?;
        writeln!(
            out,
            "{part_bytes:>12} bytes in {}, {:.2} % of the image",
            counted(parts, "part"),
            percent(part_bytes)
        )?;
        writeln!(
            out,
            "{unmatched_bytes:>12} bytes in {} of unmatched data, {:.2} % of the image",
            counted(unmatched_areas, "area"),
            percent(unmatched_bytes)
        )?;
        writeln!(out, "{piece_bytes:>12} bytes in {} in the template carry them", counted(pieces, "piece"))
    }
}
