//! A file that appears complete or not at all.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::mode;
use crate::file::{create_anew, staging_path};

/// A file that is written beside its destination. Unless it is [finished](StagedFile::finish), it is deleted.
pub struct StagedFile {
    file: File,
    path: PathBuf,
    /// The file that is renamed to the destination. `None` if the destination is a pipe or a device, which is written
    /// directly.
    staged: Option<PathBuf>,
}

impl StagedFile {
    /// Creates a file for the destination `path`. If that is a pipe, this waits for a reader.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::create_with(path, |path| File::options().write(true).open(path))
    }

    /// The same, without waiting for a reader of a pipe.
    ///
    /// # Errors
    /// When it cannot be created, or the pipe [lacks a reader](Self::lacks_reader).
    pub fn create_at_once(path: &Path) -> io::Result<Self> {
        Self::create_with(path, |path| {
            let file = File::options().write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
            // Only opening must not wait: a reader may be slow.
            rustix::fs::fcntl_setfl(&file, rustix::fs::fcntl_getfl(&file)? - rustix::fs::OFlags::NONBLOCK)?;
            Ok(file)
        })
    }

    /// Whether this is the error of opening a pipe that nobody reads.
    pub fn lacks_reader(error: &io::Error) -> bool {
        error.raw_os_error() == Some(libc::ENXIO)
    }

    fn create_with(path: &Path, open_special: impl FnOnce(&Path) -> io::Result<File>) -> io::Result<Self> {
        // A symbolic link stays; its target is replaced.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let is_special = path.metadata().is_ok_and(|found| !found.is_file());
        let staged = (!is_special).then(|| staging_path(&path, "", ".new"));
        let file = match &staged {
            Some(staged) => {
                let file = create_anew(staged)?;
                mode::keep(&file, &path);
                file
            }
            None => open_special(&path)?,
        };
        Ok(Self { file, path, staged })
    }

    /// Lets everyone read the file, unless it replaces one, whose permissions and owner it has.
    pub fn publish(&self) {
        if self.staged.is_some() {
            let _ = mode::settle(&self.file, &self.path, None);
        }
    }

    /// The file to write to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where the written bytes can be read back; `None` if they cannot.
    pub fn staged(&self) -> Option<&Path> {
        self.staged.as_deref()
    }

    /// Moves the file to its destination: a reader sees the old file or the new one.
    ///
    /// # Errors
    /// When it cannot be synced or renamed.
    pub fn finish(self) -> io::Result<()> {
        if self.staged.is_some() {
            self.file.sync_all()?;
        }
        self.finish_unsynced()
    }

    /// The same, without waiting for the disk: for when there is no time to wait.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn finish_unsynced(mut self) -> io::Result<()> {
        let Some(staged) = self.staged.take() else { return Ok(()) };
        let placed = std::fs::rename(&staged, &self.path);
        if placed.is_err() {
            self.staged = Some(staged);
        }
        placed
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if let Some(staged) = &self.staged {
            let _ = std::fs::remove_file(staged);
        }
    }
}
