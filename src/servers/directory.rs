//! A directory whose jigdo files are updated: locked, with its SUMS files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use jigdo::Algorithm;

use super::request::{Options, UpdateError};
use crate::file::read_regular;
use crate::output::sums::{self, file_name};
use crate::output::{self, OutputDirectory};

/// A directory with jigdo files.
pub struct Directory {
    pub path: PathBuf,
    pub output: OutputDirectory,
    /// The indices of its files' updates.
    pub updates: Vec<usize>,
    pub sums: Vec<SumsFile>,
    /// Whether a file is staged there.
    pub has_staged: AtomicBool,
}

impl Directory {
    /// Opens and locks a directory. Finishes what a killed run left there, so its files must be read after this.
    ///
    /// `shown` is a path of it by which its files are named to people.
    pub fn open(path: &Path, shown: &Path, updates: Vec<usize>, options: &Options<'_>) -> Result<Self, UpdateError> {
        let output = match options.dry_run {
            true => OutputDirectory::unlocked(path)?,
            false => OutputDirectory::open(path)?,
        };
        let sums = SumsFile::all_in(shown)?;
        Ok(Self { path: path.to_owned(), output, updates, sums, has_staged: false.into() })
    }

    pub fn forget_staged(&self) {
        if self.has_staged.load(Ordering::Relaxed) {
            self.output.clean();
        }
    }
}

/// A SUMS file.
pub struct SumsFile {
    pub algorithm: Algorithm,
    pub path: PathBuf,
    pub text: Vec<u8>,
    pub parsed: sums::SumsFile,
    /// The plain names of the files that it lists, with the algorithms of their sums.
    pub listed: BTreeMap<Vec<u8>, BTreeSet<Algorithm>>,
    pub metadata: Metadata,
}

impl SumsFile {
    /// The SUMS files in a directory.
    pub fn all_in(directory: &Path) -> Result<Vec<Self>, UpdateError> {
        let mut all = Vec::new();
        for algorithm in Algorithm::ALL {
            let path = directory.join(file_name(algorithm));
            let read =
                || -> io::Result<_> { Ok((read_regular(&path, sums::LONGEST)?.1, fs::symlink_metadata(&path)?)) };
            match read() {
                Ok((text, metadata)) => {
                    let parsed = sums::SumsFile::parse(algorithm, &text);
                    let mut listed: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
                    for entry in parsed.entries() {
                        listed.entry(entry.plain_name().to_owned()).or_default().extend(entry.algorithm);
                    }
                    all.push(Self { algorithm, path, text, parsed, listed, metadata });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(output::Error::Write { path, source }.into()),
            }
        }
        Ok(all)
    }
}
