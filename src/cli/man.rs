//! `jigpress man`: the manual page, followed by those of the commands.

use std::io::{self, Write as _};

/// Prints the page.
///
/// # Errors
/// When standard output cannot be written.
pub fn run() -> io::Result<()> {
    let mut page = Vec::new();
    let mut command = super::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    append(&command, "JIGPRESS", &mut page)?;
    io::stdout().write_all(&page)
}

/// Appends the sections of a command's subcommands.
fn append(command: &clap::Command, name: &str, page: &mut Vec<u8>) -> io::Result<()> {
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        let man = clap_mangen::Man::new(subcommand.clone());
        let name = format!("{name} {}", subcommand.get_name().to_uppercase());
        writeln!(page, ".SH \"{name}\"")?;
        man.render_description_section(page)?;
        man.render_options_section(page)?;
        append(subcommand, &name, page)?;
    }
    Ok(())
}
