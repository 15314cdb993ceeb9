//! What a person sees while a run is at work: progress bars on a terminal, lines in a log.

use std::collections::HashMap;
use std::fmt;
use std::io::{IsTerminal as _, Write as _};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

use crate::progress::{Event, Progress};

/// Writes a line to standard error. That nobody reads it any more must not end a run, as it would with `eprintln`.
pub fn say(line: fmt::Arguments<'_>) {
    let _ = std::io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// The listener for a run: bars if standard error is a terminal, lines if it is not; warnings only if `quiet`.
pub fn listener(quiet: bool) -> Box<dyn Progress> {
    if quiet {
        Box::new(Warnings)
    } else if std::io::stderr().is_terminal() {
        Box::new(Bars::new())
    } else {
        Box::new(Log)
    }
}

/// Tells warnings, and nothing else.
struct Warnings;

impl Progress for Warnings {
    fn report(&self, event: Event<'_>) {
        if let Event::Warning(text) = event {
            say(format_args!("jigpress: warning: {text}"));
        }
    }
}

/// One line for what is done.
struct Log;

impl Progress for Log {
    fn report(&self, event: Event<'_>) {
        match event {
            Event::MirrorDone { files, bytes } => {
                say(format_args!("jigpress: mirrors: {files} files, {}", indicatif::BinaryBytes(bytes)));
            }
            Event::ImageDone { name, summary, .. } if !summary.is_empty() => {
                say(format_args!("jigpress: {name}: {summary}"));
            }
            event => Warnings.report(event),
        }
    }
}

/// A bar for the mirrors; then one for all images, and one for each in work.
struct Bars {
    all: MultiProgress,
    mirror: ProgressBar,
    batch: ProgressBar,
    images: Mutex<HashMap<usize, ProgressBar>>,
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates here are well-formed").progress_chars("━╸ ")
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::new();
        let mirror = all.add(ProgressBar::new_spinner());
        mirror.set_style(style("{spinner} mirrors: {msg}"));
        // It is not drawn before it gets its place, behind the mirrors.
        let batch = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        batch.set_style(style(
            "  {msg:<34!} {bar:30.green} {percent:>3} % {binary_bytes_per_sec:>14}, {eta} left, {total_bytes} in all",
        ));
        Self { all, mirror, batch, images: Mutex::default() }
    }

    fn images(&self) -> parking_lot::MutexGuard<'_, HashMap<usize, ProgressBar>> {
        self.images.lock()
    }
}

impl Progress for Bars {
    fn report(&self, event: Event<'_>) {
        match event {
            Event::MirrorWalked { files } => {
                self.mirror.set_message(format!("{files} files found"));
                self.mirror.tick();
            }
            Event::MirrorToRead { files } => {
                self.mirror.reset();
                self.mirror.set_message("mirrors");
                self.mirror.set_length(files);
                self.mirror
                    .set_style(style("  {msg:<34!} {bar:30.green} {percent:>3} %  {pos} of {len} files, {eta} left"));
            }
            Event::MirrorRead => self.mirror.inc(1),
            Event::MirrorDone { files, bytes } => {
                self.mirror.finish_and_clear();
                let _ = self.all.println(format!("mirrors: {files} files, {}", indicatif::BinaryBytes(bytes)));
            }
            Event::BatchStarted { bytes } => {
                self.all.add(self.batch.clone());
                self.batch.set_message("all images");
                self.batch.set_length(bytes);
            }
            Event::ImageStarted { image, name, bytes } => {
                let bar = self.all.add(ProgressBar::new(bytes));
                bar.set_style(style("  {msg:<34!} {bar:30} {percent:>3} % {binary_bytes_per_sec:>14}, {eta} left"));
                bar.set_message(name.rsplit('/').next().unwrap_or(name).to_owned());
                self.images().insert(image, bar);
            }
            Event::ImageAdvanced { image, offset } => {
                if let Some(bar) = self.images().get(&image) {
                    self.batch.inc(offset.saturating_sub(bar.position()));
                    bar.set_position(offset);
                }
            }
            Event::ImageDone { image, name, summary } => {
                if let Some(bar) = self.images().remove(&image) {
                    self.batch.inc(bar.length().unwrap_or(0).saturating_sub(bar.position()));
                    bar.finish_and_clear();
                }
                if !summary.is_empty() {
                    let _ = self.all.println(format!("{name}: {summary}"));
                }
            }
            Event::BatchDone => self.batch.finish_and_clear(),
            Event::Note(text) => {
                let _ = self.all.println(text);
            }
            Event::PartsToCheck { parts } => {
                self.mirror.reset();
                self.mirror.set_message("parts");
                self.mirror.set_length(parts);
                self.mirror
                    .set_style(style("  {msg:<34!} {bar:30} {percent:>3} %  {pos} of {len} asked for, {eta} left"));
            }
            Event::PartChecked => self.mirror.inc(1),
            Event::CheckDone => self.mirror.finish_and_clear(),
            Event::Warning(text) => {
                let _ = self.all.println(format!("warning: {text}"));
            }
        }
    }
}
