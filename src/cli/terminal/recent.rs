//! The speed of a task of late: what it did in the last seconds, not since it began.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back the speed looks.
const WINDOW: Duration = Duration::from_secs(5);

/// What was done at some moments.
pub struct Recent(VecDeque<(Instant, u64)>);

impl Recent {
    /// Nothing was done before `begun`.
    pub fn new(begun: Instant) -> Self {
        Self(VecDeque::from([(begun, 0)]))
    }

    /// Remembers what is done now, and returns how much was done per second since the last moment before the window.
    pub fn speed(&mut self, now: Instant, done: u64) -> f64 {
        self.0.push_back((now, done));
        while self.0.get(1).is_some_and(|(moment, _)| now.saturating_duration_since(*moment) >= WINDOW) {
            self.0.pop_front();
        }
        let (moment, before) = self.0[0];
        let seconds = now.saturating_duration_since(moment).as_secs_f64();
        if seconds > 0.0 { done.saturating_sub(before) as f64 / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_that_of_the_last_seconds() {
        let begun = Instant::now();
        let mut recent = Recent::new(begun);
        let mut at = |seconds: u64, done: u64| recent.speed(begun + Duration::from_secs(seconds), done);
        assert!(at(0, 0).abs() < 0.01);
        assert!((at(2, 200) - 100.0).abs() < 0.01);
        assert!((at(6, 600) - 100.0).abs() < 0.01);
        // It stands still, and the time left becomes unknown.
        assert!(at(10, 600) < 100.0);
        assert!(at(16, 600).abs() < 0.01);
        // One that is seldom asked looks back to the last time.
        assert!((at(26, 700) - 10.0).abs() < 0.01);
        assert!(recent.0.len() < 4);
    }
}
