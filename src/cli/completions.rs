//! `jigpress completions`: a script that lets a shell complete the command line.

use std::io::{self, Write as _};

/// Prints a script that lets a shell complete jigpress's command line.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// Prints the script.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &Args) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "jigpress", &mut script);
    io::stdout().write_all(&script)
}
