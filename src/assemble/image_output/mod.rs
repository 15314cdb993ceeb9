//! Where the bytes of an image go.

mod clones;
mod file;
mod holes;

pub(super) use file::ImageFile;

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use parking_lot::Mutex;

use super::Error;
use super::window::Window;

/// Where the bytes of an image go.
pub(super) enum Output<'a> {
    /// Nowhere: they are only looked at.
    Nowhere,
    File(ImageFile),
    Stream(Mutex<&'a mut (dyn Write + Send)>),
    /// The image is there already, and only read.
    Image {
        path: PathBuf,
        file: File,
    },
}

impl Output<'_> {
    /// Writes what is new in a window.
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

    /// Reads what is there from `offset` on.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        let (file, path) = match self {
            Self::File(file) => (&file.file, file.path()),
            Self::Image { file, path } => (file, &**path),
            Self::Nowhere | Self::Stream(_) => unreachable!("only what is in a file is read back"),
        };
        file.read_exact_at(buffer, offset).map_err(|source| Error::ReadBack { path: path.to_owned(), offset, source })
    }
}
