//! A file that a command writes besides what it prints.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::Failure;

/// Opened before anything is done: what cannot be written is known in time.
pub struct OutputFile {
    file: File,
    path: PathBuf,
    /// The option that named it.
    option: &'static str,
    /// The file that takes its place once it is whole. `None` where the path is no regular file's, but a pipe's or a
    /// device's: these are written to.
    staged: Option<PathBuf>,
}

impl OutputFile {
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

    /// Writes the file so that a reader sees the old one or the new one.
    pub fn write(mut self, text: &str) -> Result<(), Failure> {
        let written = self.file.write_all(text.as_bytes()).and_then(|()| match self.staged.take() {
            Some(staged) => std::fs::rename(staged, &self.path),
            None => Ok(()),
        });
        written.map_err(|error| failed(&self.path, self.option, &error))
    }
}

impl Drop for OutputFile {
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
