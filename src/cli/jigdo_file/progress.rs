//! What a command tells while it works.

use std::io::IsTerminal as _;
use std::sync::Arc;

use super::options::{Options, Report};
use super::say;
use crate::cli::terminal;
use crate::progress::{Begin, Meter, Progress};

/// The listener that `--report` asks for: bars where they are wanted and standard error is a terminal, else lines.
pub fn listener(options: &Options) -> Box<dyn Progress> {
    match options.report {
        Report::Default if std::io::stderr().is_terminal() => terminal::listener(false),
        Report::Default | Report::NoProgress => Box::new(Lines { has_notes: true }),
        Report::Quiet | Report::Grep => Box::new(Lines { has_notes: false }),
    }
}

/// A line for each warning, and for each note if these are wanted.
struct Lines {
    has_notes: bool,
}

impl Progress for Lines {
    fn begin<'a>(&'a self, _: &Begin<'_>) -> Arc<dyn Meter + 'a> {
        Arc::new(())
    }

    fn note(&self, text: &str) {
        if self.has_notes {
            say(format_args!("{text}"));
        }
    }

    fn warn(&self, text: &str) {
        say(format_args!("{text}"));
    }
}
