//! Signatures beside SUMS files: which there are, and making them anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::file::Stamp;

/// What the names of detached signatures have behind the name of the file that they sign.
const SUFFIXES: [&str; 3] = [".sign", ".gpg", ".asc"];

/// The signatures beside a file.
pub fn signatures(file: &Path) -> Vec<PathBuf> {
    let with = |suffix: &&str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    SUFFIXES.iter().map(with).filter(|path| path.exists()).collect()
}

/// Signs a file that changed, if there is a command for it. Adds the signatures that are still those of the file as it
/// was to `stale`, and what went wrong to `failures`.
pub fn sign(file: &Path, command: Option<&str>, stale: &mut Vec<PathBuf>, failures: &mut Vec<String>) {
    let stamp = |path: &PathBuf| fs::metadata(path).ok().map(|found| Stamp::of(&found));
    let before: Vec<_> = signatures(file).into_iter().map(|path| (stamp(&path), path)).collect();
    if let Some(command) = command {
        // As find and xargs do it: the file is an argument, so that nothing in its name is taken for a command.
        // Standard output is for results.
        let mut sign = Command::new("sh");
        sign.arg("-c").arg(command).arg("jigpress").arg(file).stdout(std::io::stderr());
        let status = sign.status();
        let failed = match status {
            Ok(status) if status.success() => None,
            Ok(status) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        };
        failures.extend(failed.map(|how| format!("{}: the command that signs it failed: {how}", file.display())));
    }
    stale.extend(before.into_iter().filter(|(before, path)| stamp(path) == *before).map(|(_, path)| path));
}
