//! Signatures beside SUMS files: which are stale because the file changed, and signing it again.

use jigdo::escaped_path;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::file::Stamp;

/// What detached signatures append to the name of the file that they sign.
const SUFFIXES: [&str; 3] = [".sign", ".gpg", ".asc"];

/// A signature of what its file was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleSignature {
    /// The signature's file.
    pub path: PathBuf,
    /// Whether the file that it signs is gone.
    pub is_orphan: bool,
}

/// What became of the signatures of files that changed.
#[derive(Debug, Default)]
pub struct Signatures {
    /// Those that are still of what the files were before.
    pub stale: Vec<StaleSignature>,
    /// What went wrong while files were signed.
    pub failures: Vec<String>,
}

impl Signatures {
    /// Signs a file that changed or is gone, if it is there and there is a command for it.
    pub fn sign(&mut self, file: &Path, command: Option<&str>) {
        let stamp = |path: &PathBuf| fs::metadata(path).ok().map(|found| Stamp::of(&found));
        let before: Vec<_> = signatures(file).into_iter().map(|path| (stamp(&path), path)).collect();
        let is_orphan = !file.exists();
        if let Some(command) = command.filter(|_| !is_orphan) {
            self.failures.extend(run(command, file));
        }
        let stale = before.into_iter().filter(|(before, path)| stamp(path) == *before);
        self.stale.extend(stale.map(|(_, path)| StaleSignature { path, is_orphan }));
    }

    /// Notes the signatures that a change of this file would make stale.
    pub fn foresee(&mut self, file: &Path) {
        self.stale.extend(signatures(file).into_iter().map(|path| StaleSignature { path, is_orphan: false }));
    }
}

/// The signatures beside a file.
fn signatures(file: &Path) -> Vec<PathBuf> {
    let with = |suffix: &&str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    SUFFIXES.iter().map(with).filter(|path| path.exists()).collect()
}

/// Runs the command that signs a file. Returns what went wrong.
fn run(command: &str, file: &Path) -> Option<String> {
    // The file is an argument, so the shell never interprets its name; its path is absolute, so no command takes it for
    // an option. Standard output is for results.
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let mut sign = Command::new("sh");
    sign.arg("-c").arg(command).arg("jigpress").arg(absolute).stdout(std::io::stderr());
    let how = match sign.status() {
        Ok(status) if status.success() => return None,
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    Some(format!("{}: the command that signs it failed: {how}", escaped_path(&file)))
}
