//! Writes an image's areas into its template.

use std::io::{self, Write};
use std::path::Path;

use jigdo::{Rsync64, template};

use super::{Error, PoolWorkers};
use crate::file::Bytes as _;
use crate::file::Mapped;
use crate::matcher::Area;
use crate::output;

/// How much unmatched data is written to the template at a time, in bytes.
const CHUNK: u64 = 16 << 20;

/// Writes areas to a template. The paths are for error messages.
pub struct AreaWriter<'a> {
    /// The length of a part's first block, in bytes.
    pub block_length: u32,
    pub image_path: &'a Path,
    pub template: &'a Path,
}

impl AreaWriter<'_> {
    /// Writes these areas of `image`, which follow those written so far.
    ///
    /// # Errors
    /// When the image cannot be read or the template cannot be written.
    pub fn write(
        &self,
        writer: &mut template::Writer<impl Write, PoolWorkers>,
        image: &Mapped,
        areas: &[Area],
    ) -> Result<(), Error> {
        let unreadable = |source| Error::Image { path: self.image_path.to_owned(), source };
        let failed = |source: io::Error| output::Error::Write { path: self.template.to_owned(), source };
        for area in areas {
            match area {
                Area::Part(part) => {
                    // The image has the part's bytes, which this run has proven. What the index says of its first block
                    // may be damaged, and jigdo-file refuses a part if this sum is wrong.
                    let first = image.window(part.start..part.start + u64::from(self.block_length));
                    let first = Rsync64::of(&first.map_err(unreadable)?);
                    writer.part(part.length, first, part.sum).map_err(failed)?;
                }
                Area::Unmatched(range) => {
                    for start in range.clone().step_by(CHUNK as usize) {
                        let window = image.window(start..range.end.min(start + CHUNK));
                        writer.unmatched(&window.map_err(unreadable)?).map_err(failed)?;
                    }
                }
            }
        }
        Ok(())
    }
}
