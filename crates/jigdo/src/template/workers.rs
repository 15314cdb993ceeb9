//! How the compression of a template is spread over threads. This crate starts none: callers bring theirs.

use std::sync::OnceLock;

/// Runs tasks that do not depend on each other, in any order and on any number of threads.
///
/// With rayon:
///
/// ```
#[doc = include_str!("../examples/workers.rs")]
/// ```
pub trait Workers {
    /// Calls `work` once with each number below `count`. Returns after all these calls have returned.
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync));

    /// Calls `work` with each of `items` through [`Workers::run`], and returns the results in the order of the items.
    fn map<'a, T: Sync, R: Send + Sync>(&self, items: &'a [T], work: impl Fn(&'a T) -> R + Sync) -> Vec<R>
    where
        Self: Sized,
    {
        let results: Vec<OnceLock<R>> = items.iter().map(|_| OnceLock::new()).collect();
        self.run(items.len(), &|number| {
            results[number].get_or_init(|| work(&items[number]));
        });
        let done = items.iter().zip(results);
        done.map(|(item, result)| result.into_inner().unwrap_or_else(|| work(item))).collect()
    }
}

/// Runs all tasks in the calling thread, one after the other.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sequential;

impl Workers for Sequential {
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(work);
    }
}
