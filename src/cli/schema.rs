//! `jigpress schema`: the manifest's JSON Schema on standard output.

use std::io::{self, Write as _};

/// Prints the schema.
///
/// # Errors
/// When standard output cannot be written.
pub fn run() -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &crate::manifest::schema())?;
    writeln!(out)
}
