//! The lines of `jigdo-file list-template`: one for each entry of an image's description.

use std::io::{self, Write};

use jigdo::base64;
use jigdo::template::Area;
use jigdo::template::description::Entry;
use jigdo::{Checksum, Rsync64, Sum};

/// How sums are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    Base64,
    Hex,
}

impl Notation {
    fn sum(self, sum: &Sum) -> String {
        match self {
            Self::Base64 => base64::encode(sum.as_bytes()),
            Self::Hex => sum.to_string(),
        }
    }

    /// The column of a rolling sum, with its leading space.
    fn rsync64(self, sum: Rsync64) -> String {
        match self {
            Self::Base64 => format!("  {}", base64::encode(&sum.to_bytes())),
            Self::Hex => format!(" {}", jigdo::hex(&sum.to_bytes())),
        }
    }
}

/// Writes the line of an entry. `offset` is its place in the image, in bytes.
pub fn write_entry(out: &mut dyn Write, offset: u64, entry: &Entry, notation: Notation) -> io::Result<()> {
    match entry {
        Entry::Area(Area::Unmatched { length }) | Entry::Written(Area::Unmatched { length }) => {
            writeln!(out, "{:<17} {offset:>12} {length:>12}", "in-template")
        }
        Entry::Area(area @ Area::Part { sum, .. }) => {
            let kind = match sum.checksum() {
                Checksum::Md5 => "need-file-md5    ",
                Checksum::Sha256 => "need-file-sha256 ",
            };
            write_part(out, kind, offset, area, notation)
        }
        Entry::Written(area @ Area::Part { sum, .. }) => {
            // One space less than the others, as jigdo-file prints it.
            let kind = match sum.checksum() {
                Checksum::Md5 => "have-file       ",
                Checksum::Sha256 => "have-file-sha256",
            };
            write_part(out, kind, offset, area, notation)
        }
        Entry::Image(image) => {
            let kind = match image.sum.checksum() {
                Checksum::Md5 => "image-info-md5",
                Checksum::Sha256 => "image-info-sha256",
            };
            let (length, block) = (image.length, image.block_length.unwrap_or(0));
            writeln!(out, "{kind:<17} {length:>12} {block:>12} {:>46}", notation.sum(&image.sum))
        }
    }
}

fn write_part(out: &mut dyn Write, kind: &str, offset: u64, area: &Area, notation: Notation) -> io::Result<()> {
    let Area::Part { length, rsync64, sum } = area else { return Ok(()) };
    let rsync64 = notation.rsync64(rsync64.unwrap_or_default());
    writeln!(out, "{kind} {offset:>12} {length:>12} {:>46}{rsync64}", notation.sum(sum))
}
