//! `jigpress completions`: a completion script for a shell.

use std::io::{self, Write as _};

/// Prints a completion script for a shell.
///
/// Exit codes: 0 success; 2 the command line is wrong; 3 the script could not be written.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// Prints the script.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &Args) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "jigpress", &mut script);
    io::stdout().write_all(&script)
}
