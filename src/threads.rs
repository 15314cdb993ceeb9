//! Threads that lead work and mostly wait. A process may have fewer threads than it asks for: work goes on with those that
//! there are.

use std::thread::Builder;

/// Runs `work` on `count` threads, of which the current one is the first, and returns when all are done. The threads are
/// expected to share a queue: where no more threads can be started, those that run do all the work.
pub fn on_threads(count: usize, work: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        for started in 1..count {
            if let Err(error) = Builder::new().spawn_scoped(scope, &work) {
                tracing::debug!(%error, started, wanted = count, "going on with fewer threads");
                break;
            }
        }
        work();
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn work_runs_on_each_thread_and_at_least_on_this_one() {
        for (count, expected) in [(0, 1), (1, 1), (5, 5)] {
            let runs = AtomicUsize::new(0);
            on_threads(count, || {
                runs.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(runs.into_inner(), expected);
        }
    }
}
