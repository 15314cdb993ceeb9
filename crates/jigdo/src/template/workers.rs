//! Who does the work of a template that can be done in parallel. This crate starts no threads: callers bring theirs.

use std::sync::OnceLock;

/// Does pieces of work that do not depend on each other, in any order, in as many threads as it likes.
///
/// With rayon, `run` is `(0..count).into_par_iter().for_each(work)`.
pub trait Workers {
    /// Calls `work` once with each number below `count`, and returns when all calls have returned.
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync));

    /// The results of `work` for each of `items`, in their order.
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

/// The calling thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sequential;

impl Workers for Sequential {
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(work);
    }
}
