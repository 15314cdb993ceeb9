//! Files that options name for what a command finds out. They are opened before anything is done, so that one that
//! cannot be written is known in time.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::Failure;

/// A file that an option names.
pub struct WholeFile {
    file: File,
    path: PathBuf,
    option: &'static str,
    /// The file that takes the other's place once it is whole. `None` where the path is no regular file's, but a
    /// pipe's or a device's: these are written to.
    staged: Option<PathBuf>,
}

impl WholeFile {
    /// Opens what `option` names.
    pub fn create(path: &Path, option: &'static str) -> Result<Self, Failure> {
        let is_special = path.metadata().is_ok_and(|found| !found.is_file());
        let staged = (!is_special).then(|| {
            let mut staged = path.as_os_str().to_owned();
            staged.push(".new");
            PathBuf::from(staged)
        });
        let file = match &staged {
            Some(staged) => File::create(staged),
            None => File::options().write(true).open(path),
        };
        let file = file.map_err(|error| failed(path, option, &error))?;
        Ok(Self { file, path: path.to_owned(), option, staged })
    }

    /// Writes `text` so that a reader sees the old one or the new one.
    pub fn write(mut self, text: &str) -> Result<(), Failure> {
        let written = self.file.write_all(text.as_bytes()).and_then(|()| match self.staged.take() {
            Some(staged) => std::fs::rename(staged, &self.path),
            None => Ok(()),
        });
        written.map_err(|error| failed(&self.path, self.option, &error))
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if let Some(staged) = &self.staged {
            let _ = std::fs::remove_file(staged);
        }
    }
}

fn failed(path: &Path, option: &str, error: &std::io::Error) -> Failure {
    Failure::Nothing(format!(
        "{}: {error}; check space and permissions there, or name another {option}",
        path.display()
    ))
}
