//! How the bars look: a row for each task, within the width and height of the terminal.

use std::time::Duration;

use console::{Alignment, pad_str, truncate_str};

use crate::progress::{Binary, Unit};

/// Speed and time left are shown only after a task has run for this long.
const SETTLED: Duration = Duration::from_secs(2);

/// The current state of a task. Lengths are in its unit.
pub struct Row {
    pub name: String,
    pub unit: Unit,
    pub is_child: bool,
    pub done: u64,
    pub skipped: u64,
    pub total: Option<u64>,
    /// How many of its children have ended, and how many it has.
    pub children: Option<(u64, u64)>,
    pub elapsed: Duration,
}

/// The widths of a row's columns, in characters.
struct Columns {
    name: usize,
    bar: usize,
    /// The width of the whole row. The last column stays free, because some terminals wrap after it.
    all: usize,
}

impl Columns {
    fn of(width: usize) -> Self {
        let (name, bar) = match width {
            100.. => (34, 30),
            75.. => (24, 14),
            60.. => (20, 8),
            40.. => (16, 0),
            _ => (width / 3, 0),
        };
        Self { name, bar, all: width.saturating_sub(1) }
    }
}

/// The lines for these tasks.
pub fn frame(rows: &[Row], width: usize, height: usize) -> Vec<String> {
    let columns = Columns::of(width);
    // One line stays free for the cursor.
    let room = height.saturating_sub(1).max(1);
    let shown = if rows.len() <= room { rows.len() } else { room - 1 };
    let mut lines: Vec<String> = rows[..shown].iter().map(|row| row.line(&columns)).collect();
    if shown < rows.len() {
        lines.push(cut(&format!("    and {} more", rows.len() - shown), columns.all));
    }
    lines
}

fn cut(text: &str, width: usize) -> String {
    truncate_str(text.trim_end(), width, "…").into_owned()
}

/// The name, or its end if there is no room for all of it: images of a release differ in the end.
fn tail(name: &str, width: usize) -> String {
    match name.chars().count().saturating_sub(width) {
        0 => name.to_owned(),
        more => std::iter::once('…').chain(name.chars().skip(more + 1)).collect(),
    }
}

impl Row {
    fn line(&self, columns: &Columns) -> String {
        let indent = if self.is_child { "    " } else { "  " };
        // Children are indented, which leaves less room for their names.
        let room = (columns.name + 2).saturating_sub(indent.len());
        let mut line = format!("{indent}{}", pad_str(&tail(&self.title(), room), room, Alignment::Left, None));
        let bar = self.bar(columns.bar);
        let left = self.left().map(|left| format!("{} left", time(left)));
        let speed = self.speed().map(|speed| format!("{}/s", Binary(speed)));
        for piece in [bar, self.position(), left, speed.filter(|_| self.unit == Unit::Bytes)].into_iter().flatten() {
            let with = format!("{line}  {piece}");
            if console::measure_text_width(&with) <= columns.all {
                line = with;
            }
        }
        cut(&line, columns.all)
    }

    /// Its name, or how many of its children have ended.
    fn title(&self) -> String {
        match self.children {
            Some((ended, children)) => format!("{ended} of {children} images"),
            None => self.name.rsplit('/').next().unwrap_or(&self.name).to_owned(),
        }
    }

    fn share(&self) -> Option<f64> {
        let total = self.total.filter(|&total| total > 0)?;
        Some(((self.done + self.skipped) as f64 / total as f64).min(1.0))
    }

    fn bar(&self, width: usize) -> Option<String> {
        let share = self.share().filter(|_| width > 0)?;
        let full = (share * width as f64) as usize;
        let head = if full < width { "╸" } else { "" };
        let rest = " ".repeat(width - full - head.chars().count());
        Some(format!("{}{head}{rest}", "━".repeat(full)))
    }

    /// How much is done.
    fn position(&self) -> Option<String> {
        let done = self.done + self.skipped;
        match (self.unit, self.total) {
            (Unit::Bytes, _) => Some(format!("{:>3} %", (self.share()? * 100.0) as u64)),
            (Unit::Items, Some(0)) => None,
            (Unit::Items, Some(total)) => Some(format!("{done} of {total}")),
            (Unit::Items, None) => Some(format!("{done} found")),
        }
    }

    /// How much is done per second. Unknown once everything has been read: proving and publishing have no speed.
    fn speed(&self) -> Option<u64> {
        let is_at_end = self.share().is_some_and(|share| share >= 1.0);
        let is_known = self.elapsed >= SETTLED && self.done > 0 && !is_at_end;
        is_known.then(|| (self.done as f64 / self.elapsed.as_secs_f64()) as u64)
    }

    /// How long the rest will take. Only parents show it, for all their children together.
    fn left(&self) -> Option<Duration> {
        let speed = self.speed().filter(|&speed| speed > 0 && !self.is_child)?;
        let rest = self.total?.saturating_sub(self.done + self.skipped);
        Some(Duration::from_secs(rest / speed))
    }
}

/// A duration for people.
fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ ..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        seconds => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let images = Row {
            name: "all images".into(),
            unit: Unit::Bytes,
            is_child: false,
            done: 10 << 30,
            skipped: 0,
            total: Some(40 << 30),
            children: Some((3, 40)),
            elapsed: Duration::from_secs(100),
        };
        let image = |name: &str| Row {
            name: name.into(),
            is_child: true,
            done: 300 << 20,
            total: Some(650 << 20),
            children: None,
            elapsed: Duration::from_secs(3),
            ..images_like(&images)
        };
        let (short, long) = (image("a"), image("x/debian-13.1.0-amd64-with-a-very-long-name-DVD-1.iso"));
        vec![images, short, long]
    }

    fn images_like(row: &Row) -> Row {
        Row { name: row.name.clone(), ..*row }
    }

    #[test]
    fn rows_fit_every_width() {
        for width in [1, 20, 39, 40, 60, 79, 80, 100, 120, 300] {
            for line in frame(&rows(), width, 24) {
                assert!(console::measure_text_width(&line) < width.max(2), "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn rows_say_what_matters_at_each_width() {
        let first = |width| frame(&rows(), width, 24).remove(0);
        let wide = format!(
            "  3 of 40 images{}  {}╸{}   25 %  5m 00s left  102.40 MiB/s",
            " ".repeat(20),
            "━".repeat(7),
            " ".repeat(22)
        );
        assert_eq!(first(120), wide);
        assert_eq!(
            first(80),
            format!("  3 of 40 images{}  ━━━╸{}   25 %  5m 00s left  102.40 MiB/s", " ".repeat(10), " ".repeat(10))
        );
        assert_eq!(first(40), "  3 of 40 images     25 %  5m 00s left");
        let images = frame(&rows(), 80, 24);
        assert_eq!(images[1], format!("    a{}  ━━━━━━╸{}   46 %  100.00 MiB/s", " ".repeat(21), " ".repeat(7)));
        assert!(images[2].starts_with("    …y-long-name-DVD-1.iso  ━"), "{}", images[2]);
    }

    #[test]
    fn nothing_is_said_before_it_is_known() {
        let row = Row { done: 0, elapsed: Duration::from_secs(9), ..images_like(&rows()[0]) };
        let lines = frame(&[row], 80, 24);
        assert!(lines[0].ends_with("0 %") && !lines[0].contains("/s"), "{lines:?}");
        let young = Row { elapsed: Duration::from_millis(300), ..images_like(&rows()[0]) };
        assert!(frame(&[young], 80, 24)[0].ends_with("25 %"));
        let empty = Row { done: 0, total: Some(0), children: None, ..images_like(&rows()[0]) };
        assert_eq!(frame(&[empty], 80, 24), ["  all images"]);
    }

    #[test]
    fn more_tasks_than_lines_are_counted() {
        let many: Vec<Row> = (0..30).map(|_| images_like(&rows()[1])).collect();
        let lines = frame(&many, 80, 24);
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (23, "    and 8 more"));
    }
}
