//! SIGINT, SIGTERM and SIGHUP end a run within a second: the bars go, a line says what happened, files such as that of
//! `--report` are completed with what is known, and the process dies by the signal, so that shells and service managers
//! see it.
//!
//! Nothing else needs to be put in order. Killed runs leave whole files and a list of what is left to do, and the next run
//! goes on from there. So nothing here waits long for a lock that a working thread may hold.

use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, signal_name};

use super::{logging, messages, terminal, whole_file};

/// The signals that end a run.
const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// How long the process goes on after a signal, at most.
const PATIENCE: Duration = Duration::from_millis(800);

/// A signal that ended the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interruption {
    /// As in `SIGTERM`.
    pub signal: &'static str,
    /// The exit status as shells see it.
    pub exit_code: u8,
}

/// Begins to wait for signals. `remark` ends the line that says that the run was interrupted.
pub fn begin(remark: &'static str) {
    let ignored = ignored();
    // What was started with nohup, or in the background of a script, stays deaf.
    let wanted = SIGNALS.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
    // If this fails, the process dies by the signal all the same.
    let Ok(mut signals) = Signals::new(wanted) else { return };
    let wait = move || {
        if let Some(signal) = signals.forever().next() {
            end(signal, remark);
        }
    };
    let _ = thread::Builder::new().name("signals".to_owned()).spawn(wait);
}

/// The signals that the process was started to ignore, a bit for each, from 1 on.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Ends the process.
fn end(signal: i32, remark: &str) {
    let deadline = Instant::now() + PATIENCE;
    let name = signal_name(signal).unwrap_or("a signal");
    let interruption = Interruption { signal: name, exit_code: 128 + signal as u8 };
    let line = format!("interrupted by {name}{remark}");
    messages::error(&line);
    // Side by side, because each may hang: the terminal may be stopped, the file's disk may be busy.
    let (ended, wait) = mpsc::channel();
    let files_ended = ended.clone();
    let end_files = move || {
        whole_file::interrupt_all(interruption);
        let _ = files_ended.send(());
    };
    let say = move || {
        terminal::clear_bars();
        logging::print_error(&line);
        let _ = ended.send(());
    };
    let _ = thread::Builder::new().spawn(end_files);
    let _ = thread::Builder::new().spawn(say);
    for _ in 0..2 {
        let _ = wait.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
    let _ = emulate_default_handler(signal);
}

/// Waits until the process has died by a signal that was caught.
pub fn wait_for_death() -> ! {
    loop {
        thread::park();
    }
}
