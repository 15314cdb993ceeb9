//! What a command tells while it works.

use std::io::IsTerminal as _;

use super::options::{Options, Report};
use super::say;
use crate::cli::terminal;
use crate::progress::{Event, Progress};

/// The listener that `--report` asks for: bars where they are wanted and standard error is a terminal, else warnings.
pub fn listener(options: &Options) -> Box<dyn Progress> {
    if options.report == Report::Default && std::io::stderr().is_terminal() {
        terminal::listener(false)
    } else {
        Box::new(Warnings)
    }
}

struct Warnings;

impl Progress for Warnings {
    fn report(&self, event: Event<'_>) {
        if let Event::Warning(text) = event {
            say(format_args!("{text}"));
        }
    }
}
