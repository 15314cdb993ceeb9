//! Where the bytes of an image are written.

mod clones;
mod file;
mod holes;
mod names;

pub(super) use file::ImageFile;

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use parking_lot::Mutex;

use super::Error;
use super::window::Window;

/// Where the bytes of an image are written.
pub(super) enum Output<'a> {
    /// Nowhere: the bytes are only checked.
    Nowhere,
    File(ImageFile),
    Stream(Mutex<&'a mut (dyn Write + Send)>),
    /// An existing image, which is only read.
    Image {
        path: PathBuf,
        file: File,
    },
}

impl Output<'_> {
    /// Writes the new bytes of a window.
    pub fn write(&self, window: &Window) -> Result<(), Error> {
        match self {
            Self::Nowhere | Self::Image { .. } => Ok(()),
            Self::File(file) => file.write(window),
            Self::Stream(out) => {
                let mut out = out.lock();
                out.write_all(window).map_err(|source| Error::Stream { offset: window.offset(), source })
            }
        }
    }

    /// Reads back what is at `offset`.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        let (file, path) = match self {
            Self::File(file) => (&file.file, file.path()),
            Self::Image { file, path } => (file, &**path),
            Self::Nowhere | Self::Stream(_) => unreachable!("only what is in a file is read back"),
        };
        file.read_exact_at(buffer, offset).map_err(|source| Error::ReadBack { path: path.to_owned(), offset, source })
    }
}
