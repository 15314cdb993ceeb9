//! One task for all images of a run that works on some of them at a time.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Begin, Meter, Progress};

/// A listener that shows the tasks `images` of one run, one after the other, as a single one to another listener.
pub struct AllImages<'a> {
    progress: &'a dyn Progress,
    run: Mutex<Run<'a>>,
}

/// What is known of the run.
#[derive(Default)]
struct Run<'a> {
    /// How many images it has.
    images: u64,
    meter: Option<Arc<dyn Meter + 'a>>,
    /// How many images were begun, or need not be.
    seen: u64,
    /// The length of those that were begun.
    bytes: u64,
}

impl<'a> AllImages<'a> {
    /// Shows the run to `progress`.
    pub fn new(progress: &'a dyn Progress) -> Self {
        Self { progress, run: Mutex::default() }
    }

    /// Sets how many images the run has. To be called before the first of them begins.
    pub fn set_images(&self, images: usize) {
        self.run.lock().images = images as u64;
    }
}

impl Drop for AllImages<'_> {
    fn drop(&mut self) {
        if let Some(meter) = self.run.get_mut().meter.take() {
            meter.end("");
        }
    }
}

impl Progress for AllImages<'_> {
    fn begin<'b>(&'b self, task: &Begin<'_>) -> Arc<dyn Meter + 'b> {
        if task.kind != "images" {
            return self.progress.begin(task);
        }
        let mut run = self.run.lock();
        run.seen += task.children.unwrap_or(0);
        run.bytes += task.total.unwrap_or(0);
        let images = run.images.max(run.seen);
        let total = run.expected_bytes();
        let meter = match &run.meter {
            Some(meter) => {
                meter.set_total(total);
                Arc::clone(meter)
            }
            None => {
                let meter = self.progress.begin(&task.total(total).children(images as usize));
                // Those that need not be begun have ended.
                (0..run.seen - task.children.unwrap_or(0)).for_each(|_| meter.child_ended());
                Arc::clone(run.meter.insert(meter))
            }
        };
        Arc::new(Group { meter })
    }

    fn note(&self, text: &str) {
        self.progress.note(text);
    }

    fn warn(&self, text: &str) {
        self.progress.warn(text);
    }

    fn not_needed(&self, images: usize) {
        let mut run = self.run.lock();
        run.seen += images as u64;
        if let Some(meter) = &run.meter {
            (0..images).for_each(|_| meter.child_ended());
        }
    }
}

impl Run<'_> {
    /// The length of all images, if those to come are like those before them.
    fn expected_bytes(&self) -> u64 {
        let to_come = self.images.saturating_sub(self.seen);
        self.bytes + (self.bytes as f64 / self.seen.max(1) as f64 * to_come as f64) as u64
    }
}

/// Some of the images. Their lengths are known to the run, which goes on when they are done.
struct Group<'a> {
    meter: Arc<dyn Meter + 'a>,
}

impl Meter for Group<'_> {
    fn advance(&self, by: u64) {
        self.meter.advance(by);
    }

    fn skip(&self, by: u64) {
        self.meter.skip(by);
    }

    fn child_ended(&self) {
        self.meter.child_ended();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Recorder, Task};
    use super::*;

    #[test]
    fn groups_of_images_are_shown_as_one_task() {
        let recorder = Recorder::default();
        let all = AllImages::new(&recorder);
        all.set_images(5);
        all.not_needed(1);
        let group = |children: usize, bytes: u64| {
            let images = Task::begin(&all, Begin::bytes("images", "all images").total(bytes).children(children));
            for _ in 0..children {
                let image = images.child(Begin::bytes("image", "one").total(bytes / children as u64));
                image.advance(bytes / children as u64);
            }
        };
        group(2, 60);
        // 60 bytes in three images so far, and two images to come.
        assert_eq!(recorder.tasks_of("images")[0].total, Some(100));
        group(2, 20);
        drop(all);
        let tasks = recorder.tasks_of("images");
        assert_eq!((tasks.len(), tasks[0].total, tasks[0].advanced), (1, Some(80), 80));
        assert_eq!((tasks[0].children, tasks[0].is_over, tasks[0].ends), (5, true, 1));
        assert_eq!(recorder.tasks_of("image").len(), 4);
    }
}
