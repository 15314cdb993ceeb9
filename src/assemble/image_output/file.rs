//! The file that becomes an image. It is written under a temporary name and renamed when it is complete.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use jigdo::template::{Description, Tmp};

use super::clones::Clones;
use super::holes::{data, without};
use super::names::{create, is_same, open, open_locked, rename, tmp_path};
use crate::assemble::window::{Origin, Window};
use crate::assemble::{Error, Replaces};
use crate::file::{Stamp, staging_path};
use crate::output::mode;

/// A file that becomes an image.
///
/// A new file is written window by window, with direct I/O where the file system supports it: the image must be on the
/// disk before it gets its name, and other data stay in the page cache. If the file already has some of the image, only
/// new bytes are written.
pub struct ImageFile {
    /// The image's name.
    image: PathBuf,
    /// The temporary name under which the file is written.
    working: PathBuf,
    pub file: File,
    /// The same file, opened for direct I/O.
    direct: Option<File>,
    is_direct: AtomicBool,
    /// Whether it has nothing of the image yet.
    is_new: bool,
    is_sparse: bool,
    clones: Clones,
    /// Whether the file stays when this is dropped.
    stays: bool,
}

impl ImageFile {
    /// Creates a file that becomes the image at `path`. With `is_sparse`, long runs of zeros become holes.
    pub fn create(path: &Path, is_sparse: bool) -> Result<Self, Error> {
        let working = staging_path(path, ".", ".jigpress");
        let file = create(&working)?;
        let direct = open(&working, OpenOptions::new().write(true), libc::O_DIRECT);
        let direct = direct.ok().filter(|direct| direct.metadata().is_ok_and(|found| is_same(&found, &file)));
        Ok(Self {
            image: path.to_owned(),
            is_direct: AtomicBool::new(direct.is_some()),
            direct,
            file,
            is_new: true,
            is_sparse,
            clones: Clones::new(&working),
            working,
            stays: false,
        })
    }

    /// Opens the half-assembled image that an earlier run or jigdo-file left beside `path`, and reads its state; `None`
    /// if there is none.
    ///
    /// # Errors
    /// The file is not a half-assembled image, or not one of the image that `template` describes.
    pub fn resume(path: &Path, template: &Description) -> Result<Option<(Self, Tmp)>, Error> {
        let working = tmp_path(path);
        let Some(file) = open_locked(&working)? else { return Ok(None) };
        let tmp = Tmp::read(&file).map_err(|source| Error::NotATmp { path: working.clone(), source })?;
        if !tmp.is_of(template) {
            return Err(Error::OtherTmp { path: working });
        }
        let clones = Clones::none(&working);
        let image = path.to_owned();
        let is_direct = AtomicBool::new(false);
        let file = Self {
            image,
            working,
            file,
            direct: None,
            is_direct,
            is_new: false,
            is_sparse: false,
            clones,
            stays: true,
        };
        Ok(Some((file, tmp)))
    }

    /// The temporary name under which the file is written.
    pub fn path(&self) -> &Path {
        &self.working
    }

    /// Whether it is a half-assembled image of an earlier run.
    pub fn is_resumed(&self) -> bool {
        self.stays
    }

    /// The parts whose blocks may be shared with their files instead of being written.
    pub fn clones(&self) -> &Clones {
        &self.clones
    }

    /// Writes the new bytes of a window.
    pub fn write(&self, window: &Window) -> Result<(), Error> {
        if self.is_new { self.write_whole(window) } else { self.write_new(window) }
    }

    fn write_whole(&self, window: &Window) -> Result<(), Error> {
        let (bytes, offset) = (window.padded(), window.offset());
        let ranges = if self.is_sparse { data(bytes) } else { std::iter::once(0..bytes.len()).collect() };
        for range in without(ranges, &self.clones.in_range(offset, bytes.len())) {
            let offset = offset + range.start as u64;
            self.write_blocks(&bytes[range], offset).map_err(|error| Error::Write {
                path: self.working.clone(),
                offset,
                source: error,
            })?;
        }
        Ok(())
    }

    /// Writes whole blocks of a new file.
    fn write_blocks(&self, blocks: &[u8], offset: u64) -> io::Result<()> {
        if let Some(direct) = self.direct.as_ref().filter(|_| self.is_direct.load(Ordering::Relaxed)) {
            match direct.write_all_at(blocks, offset) {
                // A file system may open files for direct I/O and yet refuse to write, or refuse this block length.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.is_direct.store(false, Ordering::Relaxed);
                }
                result => return result,
            }
        }
        self.file.write_all_at(blocks, offset)
    }

    fn write_new(&self, window: &Window) -> Result<(), Error> {
        for segment in &window.segments {
            if matches!(segment.origin, Origin::Template | Origin::PartPlace) {
                self.file.write_all_at(&window[segment.at.clone()], segment.offset).map_err(|error| Error::Write {
                    path: self.working.clone(),
                    offset: segment.offset,
                    source: error,
                })?;
            }
        }
        Ok(())
    }

    /// Ends a pass over the image. Later passes write only new bytes. `wrong` has the indices of the areas whose bytes
    /// were wrong.
    pub fn end_pass(&mut self, length: u64, wrong: &[usize]) -> Result<(), Error> {
        if self.is_new {
            let failed = |source| Error::Output { path: self.working.clone(), source };
            self.clones.share_blocks(&self.file, wrong)?;
            self.file.set_len(length).map_err(failed)?;
            self.is_new = false;
        }
        Ok(())
    }

    /// Gives the complete file the image's name, and returns its stamp.
    pub fn finish(&mut self, length: u64, replaces: Replaces) -> Result<Stamp, Error> {
        let failed = |source| Error::Output { path: self.working.clone(), source };
        mode::keep(&self.file, &self.image);
        self.file.set_len(length).and_then(|()| self.file.sync_all()).map_err(failed)?;
        self.rename_to(&self.image.clone(), replaces)?;
        let failed = |source| Error::Output { path: self.image.clone(), source };
        Ok(Stamp::of(&self.file.metadata().map_err(failed)?))
    }

    /// Keeps the file as a half-assembled image and returns its path.
    pub fn leave(&mut self, tmp: &Tmp) -> Result<PathBuf, Error> {
        let failed = |source| Error::Output { path: self.working.clone(), source };
        // Parts must be on the disk before the state that marks them as written.
        self.file.sync_all().map_err(failed)?;
        let length = tmp.description.image.length;
        let bytes = tmp.to_bytes();
        let write = || {
            self.file.write_all_at(&bytes, length)?;
            self.file.set_len(length + bytes.len() as u64)?;
            self.file.sync_all()
        };
        write().map_err(failed)?;
        let path = tmp_path(&self.image);
        self.rename_to(&path, Replaces::Anything)?;
        Ok(path)
    }

    fn rename_to(&mut self, path: &Path, replaces: Replaces) -> Result<(), Error> {
        let failed = |source| Error::Output { path: path.to_owned(), source };
        if self.working != path {
            rename(&self.working, path, replaces)?;
        }
        self.stays = true;
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
    }
}

impl Drop for ImageFile {
    fn drop(&mut self) {
        if !self.stays {
            // A file that cannot be removed now is reused by the next run.
            let _ = fs::remove_file(&self.working);
        }
    }
}
