//! Files that options such as `--report` name for results. They are opened first, so that a file that cannot be written is
//! an error before any work is done.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::Failure;
use crate::output::StagedFile;

/// A file that an option names.
pub struct WholeFile {
    output: StagedFile,
    path: PathBuf,
    option: &'static str,
}

impl WholeFile {
    /// Opens the file that `option` names.
    pub fn create(path: &Path, option: &'static str) -> Result<Self, Failure> {
        let output = StagedFile::create(path).map_err(|error| failed(path, option, &error))?;
        Ok(Self { output, path: path.to_owned(), option })
    }

    /// Writes `text`. A reader sees the old file or the new one.
    pub fn write(self, text: &str) -> Result<(), Failure> {
        let Self { output, path, option } = self;
        let written = output.file().write_all(text.as_bytes()).and_then(|()| output.finish());
        written.map_err(|error| failed(&path, option, &error))
    }
}

fn failed(path: &Path, option: &str, error: &io::Error) -> Failure {
    Failure::Nothing(format!(
        "{}: {error}; check space and permissions there, or name another {option}",
        path.display()
    ))
}
