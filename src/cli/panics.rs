//! What people see of a fault of this program: what happened, where, and what to report.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{PanicHookInfo, catch_unwind, set_hook};
use std::process::ExitCode;

use super::{NOTHING, terminal};
use crate::panics;

/// Where faults are reported.
const ISSUES: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/issues");

/// Runs the program. If it panics as a whole, nothing more could be done.
pub fn guarded(run: fn() -> ExitCode) -> ExitCode {
    set_hook(Box::new(report));
    catch_unwind(run).unwrap_or_else(|_| ExitCode::from(NOTHING))
}

fn report(info: &PanicHookInfo<'_>) {
    terminal::clear_bars();
    terminal::error(format_args!("{}", text(info)));
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        terminal::say(format_args!("{backtrace}"));
    }
}

fn text(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map_or_else(String::new, |place| format!(" ({}:{})", place.file(), place.line()));
    format!(
        "this is a fault of jigpress, not yours: {}{place}; please report this line, the command, and the version, {}, at \
         {ISSUES}",
        panics::message(info.payload()),
        env!("CARGO_PKG_VERSION"),
    )
}
