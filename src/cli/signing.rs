//! The option that signs SUMS files, and what is printed about their signatures.

use super::terminal;
use crate::output::signing::StaleSignature;
use jigdo::escaped_path;

/// How SUMS files are signed.
#[derive(Debug, Clone, clap::Args)]
pub struct SigningArgs {
    /// Run this shell command for each SUMS file that changed, with its path as "$1":
    /// `gpg --batch --yes -abo "$1.sign" "$1"`. Without it, stale signatures are listed.
    #[arg(long, value_name = "COMMAND")]
    sign_command: Option<String>,
}

impl SigningArgs {
    pub fn command(&self) -> Option<&str> {
        self.sign_command.as_deref()
    }
}

/// Prints which signatures are stale, or will be, and what went wrong.
pub fn report_signatures(stale: &[StaleSignature], failures: &[String], dry_run: bool) {
    let now = if dry_run { "would be" } else { "is" };
    for StaleSignature { path, is_orphan } in stale {
        let why = match is_orphan {
            true => "the file that it signs was removed; remove it too",
            false => "the file that it signs changed; sign that again",
        };
        terminal::warn(format_args!("{} {now} stale: {why}", escaped_path(&path)));
    }
    failures.iter().for_each(|failure| terminal::error(format_args!("{failure}")));
}
