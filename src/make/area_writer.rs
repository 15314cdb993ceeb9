//! Writes an image's areas into its template.

use std::io::{self, Write};
use std::path::Path;

use jigdo::template;

use super::selection::Selection;
use super::{Error, PoolWorkers};
use crate::file::Bytes as _;
use crate::file::Mapped;
use crate::matcher::Area;
use crate::output;

/// How much unmatched data is written to the template at a time, in bytes.
const CHUNK: u64 = 16 << 20;

/// Writes areas to a template. The paths are for error messages.
pub struct AreaWriter<'a> {
    pub selection: &'a Selection,
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
        let failed = |source: io::Error| output::Error::Write { path: self.template.to_owned(), source };
        for area in areas {
            match area {
                Area::Part(part) => {
                    let first = self.selection.first_block(part.part);
                    writer.part(part.length, first, part.sum).map_err(failed)?;
                }
                Area::Unmatched(range) => {
                    for start in range.clone().step_by(CHUNK as usize) {
                        let window = image.window(start..range.end.min(start + CHUNK));
                        let window =
                            window.map_err(|source| Error::Image { path: self.image_path.to_owned(), source })?;
                        writer.unmatched(&window).map_err(failed)?;
                    }
                }
            }
        }
        Ok(())
    }
}
