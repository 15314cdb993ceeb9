//! A listener that records everything, for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::{Begin, Meter, Progress, Unit};

/// Records all tasks and messages.
#[derive(Debug, Default)]
pub struct Recorder {
    tasks: Mutex<Vec<Arc<Recording>>>,
    notes: Mutex<Vec<String>>,
    warnings: Mutex<Vec<String>>,
}

/// A snapshot of a task.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The kind of work; see [`Begin`].
    pub kind: &'static str,
    /// What it works on.
    pub name: String,
    /// The unit in which it advances.
    pub unit: Unit,
    /// How much there is to do, in its unit; `None`: not known.
    pub total: Option<u64>,
    /// Whether it is part of another task.
    pub is_child: bool,
    /// How much of it was done, and how much was skipped, in its unit.
    pub advanced: u64,
    /// How much of it was skipped, in its unit.
    pub skipped: u64,
    /// How many of its children have ended.
    pub children: u64,
    /// Whether it was ended.
    pub is_over: bool,
    /// How often it was ended; should be once.
    pub ends: u64,
    /// Its outcome in words; empty until it ends.
    pub outcome: String,
}

impl Recorder {
    /// The tasks, in the order in which they began.
    pub fn tasks(&self) -> Vec<Recorded> {
        self.tasks.lock().iter().map(|task| task.seen()).collect()
    }

    /// The tasks of a kind.
    pub fn tasks_of(&self, kind: &str) -> Vec<Recorded> {
        self.tasks().into_iter().filter(|task| task.kind == kind).collect()
    }

    /// The notes, in order.
    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().clone()
    }

    /// The warnings, in order.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().clone()
    }
}

impl Progress for Recorder {
    fn begin<'a>(&'a self, task: &Begin<'_>) -> Arc<dyn Meter + 'a> {
        let Begin { kind, name, unit, total, is_child, .. } = *task;
        let seen = Recorded {
            kind,
            name: name.to_owned(),
            unit,
            total,
            is_child,
            advanced: 0,
            skipped: 0,
            children: 0,
            is_over: false,
            ends: 0,
            outcome: String::new(),
        };
        let recording = Arc::new(Recording { seen: Mutex::new(seen), advanced: AtomicU64::new(0) });
        self.tasks.lock().push(Arc::clone(&recording));
        recording
    }

    fn note(&self, text: &str) {
        self.notes.lock().push(text.to_owned());
    }

    fn warn(&self, text: &str) {
        self.warnings.lock().push(text.to_owned());
    }
}

#[derive(Debug)]
struct Recording {
    seen: Mutex<Recorded>,
    advanced: AtomicU64,
}

impl Recording {
    fn seen(&self) -> Recorded {
        Recorded { advanced: self.advanced.load(Ordering::Relaxed), ..self.seen.lock().clone() }
    }
}

impl Meter for Recording {
    fn advance(&self, by: u64) {
        self.advanced.fetch_add(by, Ordering::Relaxed);
    }

    fn skip(&self, by: u64) {
        self.seen.lock().skipped += by;
    }

    fn set_total(&self, total: u64) {
        self.seen.lock().total = Some(total);
    }

    fn rename(&self, name: &str) {
        name.clone_into(&mut self.seen.lock().name);
    }

    fn child_ended(&self) {
        self.seen.lock().children += 1;
    }

    fn end(&self, outcome: &str) {
        let mut seen = self.seen.lock();
        seen.is_over = true;
        seen.ends += 1;
        outcome.clone_into(&mut seen.outcome);
    }
}
