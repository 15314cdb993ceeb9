//! Progress for people: bars on a terminal, lines elsewhere.

mod frame;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use parking_lot::Mutex;

pub use super::logging::{error, note, say, warn};
use super::logging::{is_json, set_bars};
use crate::progress::{Begin, Meter, Progress, Unit};
use frame::Row;

/// How often the bars are drawn.
const TICK: Duration = Duration::from_millis(100);

/// The listener for a run: bars if standard error is a terminal with a movable cursor, lines otherwise, and only
/// warnings if `quiet`.
pub fn listener(quiet: bool) -> Box<dyn Progress> {
    if quiet {
        Box::new(Lines { has_notes: false })
    } else if std::io::stderr().is_terminal() && has_cursor() && !is_json() {
        Box::new(Bars::default())
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
        note(format_args!("{name}: {outcome}"));
    }
}

/// A row for each running task. Children come after their parents.
#[derive(Default)]
struct Bars(Arc<Tasks>);

/// The running tasks, in the order in which they began, and the bars if there are any.
#[derive(Default)]
struct Tasks {
    running: Mutex<Vec<Arc<Gauge>>>,
    bars: Mutex<Option<ProgressBar>>,
}

/// A task's progress.
struct Gauge {
    tasks: Arc<Tasks>,
    name: Mutex<String>,
    unit: Unit,
    is_child: bool,
    children: Option<u64>,
    begun: Instant,
    done: AtomicU64,
    skipped: AtomicU64,
    /// [`UNKNOWN`] if not known.
    total: AtomicU64,
    ended: AtomicU64,
}

const UNKNOWN: u64 = u64::MAX;

impl Progress for Bars {
    fn begin<'a>(&'a self, task: &Begin<'_>) -> Arc<dyn Meter + 'a> {
        let gauge = Arc::new(Gauge {
            tasks: Arc::clone(&self.0),
            name: Mutex::new(task.name.to_owned()),
            unit: task.unit,
            is_child: task.is_child,
            children: task.children,
            begun: Instant::now(),
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

impl Tasks {
    /// Adds a task and shows bars if there are none. A timer draws them.
    fn add(self: &Arc<Self>, gauge: Arc<Gauge>) {
        let mut bars = self.bars.lock();
        self.running.lock().push(gauge);
        if bars.is_some() {
            return;
        }
        let tasks = Arc::downgrade(self);
        let draw = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            if let Some(tasks) = tasks.upgrade() {
                let (height, width) = console_size();
                let _ = out.write_str(&tasks.frame(width, height).join("\n"));
            }
        };
        let style = ProgressStyle::with_template("{frame}").expect("the template is well-formed");
        let shown = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        shown.set_style(style.with_key("frame", draw));
        shown.enable_steady_tick(TICK);
        set_bars(Some(shown.clone()));
        *bars = Some(shown);
    }

    fn frame(&self, width: usize, height: usize) -> Vec<String> {
        let rows: Vec<Row> = self.running.lock().iter().map(|gauge| gauge.row()).collect();
        frame::frame(&rows, width, height)
    }

    /// Removes a task, and the bars with the last one.
    fn remove(&self, gauge: &Gauge) {
        let mut bars = self.bars.lock();
        let is_last = {
            let mut running = self.running.lock();
            running.retain(|other| !std::ptr::eq(Arc::as_ptr(other), gauge));
            running.is_empty()
        };
        if let Some(bars) = bars.take_if(|_| is_last) {
            set_bars(None);
            bars.finish_and_clear();
        }
    }
}

/// Rows and columns of the terminal.
fn console_size() -> (usize, usize) {
    let (height, width) = console::Term::stderr().size();
    (height.into(), width.into())
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
            children: self.children.map(|children| (load(&self.ended), children)),
            elapsed: self.begun.elapsed(),
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
        name.clone_into(&mut self.name.lock());
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
