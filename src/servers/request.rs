//! Updates of jigdo files, their options, and why they fail.

use std::io;
use std::path::PathBuf;

use jigdo::escaped_path;

use super::change::{Change, ChangeError};
use crate::output;
use crate::set::JigdoFile;

/// A jigdo file with the change to make in it.
#[derive(Debug, Clone)]
pub struct Update<'a> {
    /// The file as it is now.
    pub file: JigdoFile,
    /// What changes in it.
    pub change: &'a Change,
}

/// How updates are made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Only report what would change.
    pub dry_run: bool,
    /// Jigdo files keep their modification times.
    pub keep_mtime: bool,
    /// A shell command that signs the SUMS file `$1`.
    pub sign_command: Option<&'a str>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum UpdateError {
    #[error("{}", first_errors(.0))]
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
    #[error("its name is not UTF-8 or contains a control character, so the change cannot be recorded; rename it")]
    Name,
    #[error("it changed during this run; run again")]
    Changed,
    #[error("it is a link, which would be replaced; put the file itself there")]
    NoFile,
}

/// The errors of the first files, one per line.
fn first_errors(files: &[(PathBuf, FileError)]) -> String {
    const SHOWN: usize = 20;
    let line = |(path, error): &(PathBuf, FileError)| format!("{}: {error}\n", escaped_path(&path));
    let mut text: String = files.iter().take(SHOWN).map(line).collect();
    if files.len() > SHOWN {
        text += &format!("and {} more\n", files.len() - SHOWN);
    }
    text + "nothing was changed"
}
