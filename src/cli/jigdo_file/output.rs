//! A file of a set that a command writes: a staged file, or standard output.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Error;
use super::names::STANDARD;
use crate::output::StagedFile;

/// Where a file of the set is written.
pub enum Output {
    Standard,
    File(StagedFile, PathBuf),
}

impl Output {
    /// Opens the output for the destination `path`.
    pub fn create(path: &Path) -> Result<Self, Error> {
        if path.as_os_str() == STANDARD {
            return Ok(Self::Standard);
        }
        let file = StagedFile::create(path).map_err(|source| Error::Output { path: path.to_owned(), source })?;
        Ok(Self::File(file, path.to_owned()))
    }

    /// Where the written bytes can be read back; `None` if they cannot.
    pub fn staged(&self) -> Option<&Path> {
        match self {
            Self::Standard => None,
            Self::File(file, _) => file.staged(),
        }
    }

    pub fn writer(&self) -> Box<dyn Write + Send + '_> {
        match self {
            Self::Standard => Box::new(io::stdout()),
            Self::File(file, _) => Box::new(file.file()),
        }
    }

    pub fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut writer = self.writer();
        writer.write_all(bytes).and_then(|()| writer.flush()).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> Error {
        match self {
            Self::Standard => Error::Standard(source),
            Self::File(_, path) => Error::Output { path: path.clone(), source },
        }
    }

    /// Moves the file to its destination.
    pub fn finish(self) -> Result<(), Error> {
        match self {
            Self::Standard => Ok(()),
            Self::File(file, path) => file.finish().map_err(|source| Error::Output { path, source }),
        }
    }
}
