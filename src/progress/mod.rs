//! How the core reports its work: as tasks that begin, advance and end, and as messages.
//!
//! A task has a kind, a name and a unit. Listeners need to know nothing else, so a new command needs nothing new here.
//! The progress bars are one listener, log lines another, and tests use [`Recorder`].

mod all_images;
mod record;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub use all_images::AllImages;
pub use record::{Recorded, Recorder};

/// Listens to the core. Called from many threads.
pub trait Progress: Sync {
    /// A task begins. Returns the meter that receives its progress.
    fn begin<'a>(&'a self, task: &Begin<'_>) -> Arc<dyn Meter + 'a>;

    /// A finding that a person who watches may want to see.
    fn note(&self, text: &str);

    /// A problem that does not stop the run.
    fn warn(&self, text: &str);

    /// This many images of the run are done before any task of theirs begins.
    fn not_needed(&self, _images: usize) {}
}

/// Listens to one task. Called from many threads. `advance` is called often, so it must be cheap.
pub trait Meter: Send + Sync {
    /// The task advanced by this much, in its unit.
    fn advance(&self, _by: u64) {}

    /// This much of the task need not be done. It counts as done, but not for the speed.
    fn skip(&self, _by: u64) {}

    /// The length of the task, in its unit, is now known or known better.
    fn set_total(&self, _total: u64) {}

    /// The task has a new name.
    fn rename(&self, _name: &str) {}

    /// A task below this one has ended.
    fn child_ended(&self) {}

    /// The task is over. `outcome` says how it went; it may be empty. Called once, as the last call.
    fn end(&self, _outcome: &str) {}
}

/// What a task advances in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things that are counted, such as files or parts.
    Items,
}

/// A task that is about to begin.
///
/// | kind | what it is | unit |
/// |---|---|---|
/// | `walk` | walking mirror trees | files |
/// | `read` | reading mirror files that the index does not know | files |
/// | `images` | all images of a run, which are its children | bytes |
/// | `image` | one image | bytes |
/// | `parts` | summing the files that should be parts | bytes |
/// | `check` | asking servers for parts | parts |
#[derive(Debug, Clone, Copy)]
pub struct Begin<'a> {
    /// What is done, as a word for programs.
    pub kind: &'static str,
    /// What it is done to, for people.
    pub name: &'a str,
    /// The unit in which it advances.
    pub unit: Unit,
    /// Its length in its unit, if known.
    pub total: Option<u64>,
    /// The number of tasks below it, if known.
    pub children: Option<u64>,
    /// Whether it is below another task.
    pub is_child: bool,
}

impl<'a> Begin<'a> {
    /// A task that advances in bytes.
    pub fn bytes(kind: &'static str, name: &'a str) -> Self {
        Self { kind, name, unit: Unit::Bytes, total: None, children: None, is_child: false }
    }

    /// A task that advances in things that are counted.
    pub fn items(kind: &'static str, name: &'a str) -> Self {
        Self { unit: Unit::Items, ..Self::bytes(kind, name) }
    }

    /// Sets its length, in its unit.
    #[must_use]
    pub fn total(self, total: u64) -> Self {
        Self { total: Some(total), ..self }
    }

    /// Sets the number of tasks below it.
    #[must_use]
    pub fn children(self, children: usize) -> Self {
        Self { children: Some(children as u64), ..self }
    }
}

/// A running task. It ends when this is dropped.
pub struct Task<'a> {
    kind: &'static str,
    begun: Instant,
    progress: &'a dyn Progress,
    meter: Arc<dyn Meter + 'a>,
    parent: Option<Arc<dyn Meter + 'a>>,
    position: AtomicU64,
    /// [`UNKNOWN`] if it is not known.
    total: AtomicU64,
    is_over: bool,
}

const UNKNOWN: u64 = u64::MAX;

impl fmt::Debug for Task<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, position, total) = (self.kind, &self.position, &self.total);
        formatter.debug_struct("Task").field("kind", &kind).field("position", position).field("total", total).finish()
    }
}

impl<'a> Task<'a> {
    /// Begins a task without a parent.
    pub fn begin(progress: &'a dyn Progress, task: Begin<'_>) -> Self {
        Self::start(progress, task, None)
    }

    /// Begins a task below this one. This one advances with its children, so both must have the same unit.
    #[must_use]
    pub fn child(&self, task: Begin<'_>) -> Self {
        Self::start(self.progress, Begin { is_child: true, ..task }, Some(Arc::clone(&self.meter)))
    }

    fn start(progress: &'a dyn Progress, task: Begin<'_>, parent: Option<Arc<dyn Meter + 'a>>) -> Self {
        let Begin { kind, name, total, .. } = task;
        tracing::trace!(kind, name, total, "task begins");
        Self {
            kind,
            begun: Instant::now(),
            progress,
            meter: progress.begin(&task),
            parent,
            position: AtomicU64::new(0),
            total: AtomicU64::new(total.unwrap_or(UNKNOWN)),
            is_over: false,
        }
    }

    /// Advances the task by this much, in its unit.
    pub fn advance(&self, by: u64) {
        self.position.fetch_add(by, Ordering::Relaxed);
        self.pass_on(by);
    }

    /// Advances the task to this position, in its unit. Earlier positions have no effect.
    pub fn advance_to(&self, position: u64) {
        let before = self.position.fetch_max(position, Ordering::Relaxed);
        if before < position {
            self.pass_on(position - before);
        }
    }

    fn pass_on(&self, by: u64) {
        self.meter.advance(by);
        if let Some(parent) = &self.parent {
            parent.advance(by);
        }
    }

    /// Sets the length of the task, in its unit.
    pub fn set_total(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
        self.meter.set_total(total);
    }

    /// Renames the task.
    pub fn rename(&self, name: &str) {
        self.meter.rename(name);
    }

    /// Ends the task. `outcome` says how it went; it may be empty.
    pub fn end(mut self, outcome: &str) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: &str) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        if let Some(parent) = &self.parent {
            // The parent need not do what this task left undone.
            let total = Some(*self.total.get_mut()).filter(|&total| total != UNKNOWN);
            parent.skip(total.map_or(0, |total| total.saturating_sub(*self.position.get_mut())));
            parent.child_ended();
        }
        self.meter.end(outcome);
        let (kind, seconds) = (self.kind, self.begun.elapsed().as_secs_f64());
        tracing::debug!(kind, seconds, outcome, "task ended");
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        self.finish("");
    }
}

/// A number of bytes for people: `1.50 MiB`.
#[derive(Debug, Clone, Copy)]
pub struct Binary(pub u64);

impl fmt::Display for Binary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefixes = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        let (mut amount, mut prefix) = (self.0 as f64, "");
        for next in prefixes {
            if amount < 1024.0 {
                break;
            }
            (amount, prefix) = (amount / 1024.0, next);
        }
        let digits = if prefix.is_empty() { 0 } else { 2 };
        write!(formatter, "{amount:.digits$} {prefix}B")
    }
}

/// A number of things for people: `1 image`, `2 images`. `thing` is the singular of a word whose plural ends in s.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a>(pub u64, pub &'a str);

impl fmt::Display for Counted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, thing) = self;
        write!(formatter, "{count} {thing}{}", if *count == 1 { "" } else { "s" })
    }
}

/// [`Counted`], for any count.
pub fn counted(count: impl TryInto<u64>, thing: &str) -> Counted<'_> {
    Counted(count.try_into().unwrap_or(u64::MAX), thing)
}

/// Ignores everything.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

/// Ignores its task.
impl Meter for () {}

impl Progress for Silent {
    fn begin<'a>(&'a self, _: &Begin<'_>) -> Arc<dyn Meter + 'a> {
        Arc::new(())
    }

    fn note(&self, _: &str) {}

    fn warn(&self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_advances_with_its_children_and_skips_what_they_leave() {
        let recorder = Recorder::default();
        let images = Task::begin(&recorder, Begin::bytes("images", "all").total(30).children(2));
        let first = images.child(Begin::bytes("image", "first").total(20));
        first.advance_to(5);
        first.advance_to(3);
        first.advance(2);
        drop(first);
        images.child(Begin::bytes("image", "second").total(10)).end("unchanged");
        drop(images);
        let tasks = recorder.tasks();
        let seen = |task: &Recorded| (task.name.clone(), task.advanced, task.skipped, task.children, task.is_over);
        assert_eq!(seen(&tasks[0]), ("all".to_owned(), 7, 23, 2, true));
        assert_eq!(seen(&tasks[1]), ("first".to_owned(), 7, 0, 0, true));
        assert_eq!((tasks[2].outcome.as_str(), tasks[2].total, tasks[2].is_child), ("unchanged", Some(10), true));
    }

    #[test]
    fn a_task_is_renamed_gets_its_length_later_and_ends_once() {
        let recorder = Recorder::default();
        let task = Task::begin(&recorder, Begin::items("walk", "trees"));
        assert_eq!(recorder.tasks()[0].total, None);
        task.rename("mirrors");
        task.set_total(3);
        task.end("done");
        let tasks = recorder.tasks();
        let [Recorded { name, total: Some(3), outcome, unit: Unit::Items, ends: 1, .. }] = &tasks[..] else {
            panic!("{tasks:?}")
        };
        assert_eq!((name.as_str(), outcome.as_str()), ("mirrors", "done"));
    }

    #[test]
    fn one_thing_is_not_many() {
        let text = |count: usize| counted(count, "SUMS file").to_string();
        assert_eq!([text(0), text(1), text(2)], ["0 SUMS files", "1 SUMS file", "2 SUMS files"]);
    }

    #[test]
    fn threads_advance_a_task_side_by_side() {
        let recorder = Recorder::default();
        let task = Task::begin(&recorder, Begin::items("read", "files").total(8000));
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| (0..1000).for_each(|_| task.advance(1)));
            }
        });
        assert_eq!(recorder.tasks()[0].advanced, 8000);
    }
}
