//! A file that appears complete or not at all.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A file that is written beside its destination. Unless it is [finished](StagedFile::finish), it is deleted.
pub struct StagedFile {
    file: File,
    path: PathBuf,
    /// The file that is renamed to the destination. `None` if the destination is a pipe or a device, which is written
    /// directly.
    staged: Option<PathBuf>,
}

impl StagedFile {
    /// Creates a file for the destination `path`.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        // A symbolic link stays; its target is replaced.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let is_special = path.metadata().is_ok_and(|found| !found.is_file());
        let staged = (!is_special).then(|| {
            let mut staged = path.as_os_str().to_owned();
            staged.push(".new");
            PathBuf::from(staged)
        });
        let file = match &staged {
            Some(staged) => File::create(staged)?,
            None => File::options().write(true).open(&path)?,
        };
        Ok(Self { file, path, staged })
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
    pub fn finish(mut self) -> io::Result<()> {
        let Some(staged) = self.staged.take() else { return Ok(()) };
        let placed = self.file.sync_all().and_then(|()| std::fs::rename(&staged, &self.path));
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
