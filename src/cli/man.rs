//! `jigpress man`: the manual page, the commands' own pages behind it.

use std::io::{self, Write as _};

/// Prints the page.
///
/// # Errors
/// Standard output cannot be written.
pub fn run() -> io::Result<()> {
    let mut page = Vec::new();
    let mut command = super::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        let man = clap_mangen::Man::new(subcommand.clone());
        writeln!(page, ".SH \"JIGPRESS {}\"", subcommand.get_name().to_uppercase())?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    io::stdout().write_all(&page)
}
