//! Progress for people: bars on a terminal, lines elsewhere. [`clear_bars`] removes the bars at once, as before an exit.

mod frame;
mod recent;
mod screen;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::logging::is_json;
pub use super::logging::{error, note, say, visible, visible_bytes, warn};
use crate::progress::{Begin, Meter, Progress, Unit};
use frame::Row;
use recent::Recent;
use screen::Form;
pub use screen::{close as clear_bars, print};

/// The listener for a run: bars if standard error is a terminal, or a line from time to time if its cursor cannot be
/// moved; elsewhere lines for results, and only warnings if `quiet`.
pub fn listener(quiet: bool) -> Box<dyn Progress> {
    if quiet {
        Box::new(Lines { has_notes: false })
    } else if std::io::stderr().is_terminal() && !is_json() {
        let form = if has_cursor() { Form::Bars } else { Form::Lines };
        Box::new(Tasks(Arc::new(Running { form, gauges: Mutex::default(), is_shown: Mutex::new(false) })))
    } else {
        Box::new(Lines { has_notes: true })
    }
}

/// Whether the cursor of the terminal can be moved, judging by `TERM`.
fn has_cursor() -> bool {
    std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// A line for each warning, and for each task that ends with an outcome.
struct Lines {
    has_notes: bool,
}

impl Progress for Lines {
    fn begin<'a>(&'a self, task: &Begin<'_>) -> Arc<dyn Meter + 'a> {
        match self.has_notes {
            true => Arc::new(Line(Mutex::new(task.name.to_owned()))),
            false => Arc::new(()),
        }
    }

    fn note(&self, text: &str) {
        if self.has_notes {
            note(format_args!("{text}"));
        }
    }

    fn warn(&self, text: &str) {
        warn(format_args!("{text}"));
    }
}

/// A task's name.
struct Line(Mutex<String>);

impl Meter for Line {
    fn rename(&self, name: &str) {
        name.clone_into(&mut self.0.lock());
    }

    fn end(&self, outcome: &str) {
        say_outcome(&self.0.lock(), outcome);
    }
}

fn say_outcome(name: &str, outcome: &str) {
    if !outcome.is_empty() {
        note(format_args!("{}", crate::file::line(name, outcome)));
    }
}

/// Shows the running tasks. Children come after their parents.
struct Tasks(Arc<Running>);

/// The running tasks, in the order in which they began.
struct Running {
    form: Form,
    gauges: Mutex<Vec<Arc<Gauge>>>,
    is_shown: Mutex<bool>,
}

/// A task's progress.
struct Gauge {
    tasks: Arc<Running>,
    name: Mutex<String>,
    unit: Unit,
    is_child: bool,
    children: Option<u64>,
    begun: Instant,
    recent: Mutex<Recent>,
    done: AtomicU64,
    skipped: AtomicU64,
    /// [`UNKNOWN`] if not known.
    total: AtomicU64,
    ended: AtomicU64,
}

const UNKNOWN: u64 = u64::MAX;

impl Progress for Tasks {
    fn begin<'a>(&'a self, task: &Begin<'_>) -> Arc<dyn Meter + 'a> {
        let gauge = Arc::new(Gauge {
            tasks: Arc::clone(&self.0),
            name: Mutex::new(visible(task.name)),
            unit: task.unit,
            is_child: task.is_child,
            children: task.children,
            begun: Instant::now(),
            recent: Mutex::new(Recent::new(Instant::now())),
            done: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            total: AtomicU64::new(task.total.unwrap_or(UNKNOWN)),
            ended: AtomicU64::new(0),
        });
        self.0.add(Arc::clone(&gauge));
        gauge
    }

    fn note(&self, text: &str) {
        note(format_args!("{text}"));
    }

    fn warn(&self, text: &str) {
        warn(format_args!("{text}"));
    }
}

impl Running {
    /// Adds a task, and shows them all if nothing is shown.
    fn add(self: &Arc<Self>, gauge: Arc<Gauge>) {
        let mut is_shown = self.is_shown.lock();
        self.gauges.lock().push(gauge);
        if !std::mem::replace(&mut *is_shown, true) {
            let running = Arc::downgrade(self);
            let lines =
                move |width, height| running.upgrade().map_or_else(Vec::new, |running| running.lines(width, height));
            screen::show(self.form, Box::new(lines));
        }
    }

    fn lines(&self, width: usize, height: usize) -> Vec<String> {
        let rows: Vec<Row> = self.gauges.lock().iter().map(|gauge| gauge.row()).collect();
        match self.form {
            Form::Bars => frame::frame(&rows, width, height),
            Form::Lines => frame::plain(&rows),
        }
    }

    /// Removes a task, and what is shown with the last one.
    fn remove(&self, gauge: &Gauge) {
        let mut is_shown = self.is_shown.lock();
        let is_last = {
            let mut gauges = self.gauges.lock();
            gauges.retain(|other| !std::ptr::eq(Arc::as_ptr(other), gauge));
            gauges.is_empty()
        };
        if is_last && std::mem::replace(&mut *is_shown, false) {
            screen::hide();
        }
    }
}

impl Gauge {
    fn row(&self) -> Row {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Row {
            name: self.name.lock().clone(),
            unit: self.unit,
            is_child: self.is_child,
            done: load(&self.done),
            skipped: load(&self.skipped),
            total: Some(load(&self.total)).filter(|&total| total != UNKNOWN),
            children: self.children.map(|children| {
                let ended = load(&self.ended);
                (ended, children.max(ended))
            }),
            elapsed: self.begun.elapsed(),
            speed: self.recent.lock().speed(Instant::now(), load(&self.done)),
        }
    }
}

impl Meter for Gauge {
    fn advance(&self, by: u64) {
        self.done.fetch_add(by, Ordering::Relaxed);
    }

    fn skip(&self, by: u64) {
        self.skipped.fetch_add(by, Ordering::Relaxed);
    }

    fn set_total(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    fn rename(&self, name: &str) {
        *self.name.lock() = visible(name);
    }

    fn child_ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self, outcome: &str) {
        self.tasks.remove(self);
        let name = self.name.lock().clone();
        say_outcome(&name, outcome);
    }
}
