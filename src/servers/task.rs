//! What is asked of jigdo files, and why it cannot be done.

use std::io;
use std::path::PathBuf;

use super::change::{Change, ChangeError};
use crate::output;
use crate::set::JigdoFile;

/// A file, and what is to become of it.
#[derive(Debug, Clone)]
pub struct Task<'a> {
    /// The file as it is now.
    pub file: JigdoFile,
    /// What changes in it.
    pub change: &'a Change,
}

/// How changes are made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Only say what would change.
    pub dry_run: bool,
    /// Jigdo files keep their mtimes.
    pub keep_mtime: bool,
    /// A command of the shell that signs the SUMS file `$1`.
    pub sign_command: Option<&'a str>,
}

/// Why nothing was changed at all.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum SetError {
    #[error("{}", told(.0))]
    Files(Vec<(PathBuf, FileError)>),
    #[error("{0}; nothing was changed")]
    Output(#[from] output::Error),
}

/// Why a file cannot be changed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum FileError {
    #[error("{0}")]
    Change(#[from] ChangeError),
    #[error("{0}")]
    Read(#[from] io::Error),
    #[error("its name is not UTF-8 or has a line break, which the record of a change cannot hold; rename it")]
    Name,
    #[error("it changed during this run; run again")]
    Changed,
    #[error("it is no regular file, so that nothing can take its place")]
    NoFile,
}

/// The first of what is wrong with many files.
fn told(files: &[(PathBuf, FileError)]) -> String {
    const SHOWN: usize = 20;
    let line = |(path, error): &(PathBuf, FileError)| format!("{}: {error}\n", path.display());
    let mut text: String = files.iter().take(SHOWN).map(line).collect();
    if files.len() > SHOWN {
        text += &format!("and {} more\n", files.len() - SHOWN);
    }
    text + "nothing was changed"
}
