//! A file that a command writes: it takes its place whole, or not at all.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A file in the making, beside its place. Unless it is [finished](StagedFile::finish), nothing is left of it.
pub struct StagedFile {
    file: File,
    path: PathBuf,
    /// The file that takes the place once it is whole. `None` where the path is no regular file's, but a pipe's or a
    /// device's: these are written to.
    staged: Option<PathBuf>,
}

impl StagedFile {
    /// Begins the file that is to be at `path`.
    pub fn create(path: &Path) -> io::Result<Self> {
        // Where a symbolic link stands, what it leads to is meant.
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

    /// Where what was written can be read back; `None` if it cannot.
    pub fn staged(&self) -> Option<&Path> {
        self.staged.as_deref()
    }

    /// Puts the file in its place, so that a reader sees the old one or the new one.
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
