//! How the bars look: a row for each task, within the width and height of the terminal.

use std::time::Duration;

use console::{Alignment, measure_text_width, pad_str, truncate_str};

use crate::progress::{Binary, Unit, counted};

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
    /// How much was done per second of late.
    pub speed: f64,
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
            24.. => ((width / 3).max(10), 0),
            _ => (width / 2, 0),
        };
        Self { name, bar, all: width.saturating_sub(1) }
    }
}

/// The lines for these tasks.
pub fn frame(rows: &[Row], width: usize, height: usize) -> Vec<String> {
    let columns = Columns::of(width);
    // At most half of the screen: a terminal that is made half as wide wraps the lines, and must not scroll then.
    let room = (height / 2).max(height.saturating_sub(1).min(4)).max(1);
    let shown = if rows.len() <= room { rows.len() } else { room - 1 };
    let titles = titles(&rows[..shown], &columns);
    let mut lines: Vec<String> =
        rows[..shown].iter().zip(titles).map(|(row, title)| row.line(&title, &columns)).collect();
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
    if measure_text_width(name) <= width {
        return name.to_owned();
    }
    let mut rest = name.chars();
    // Characters may be two columns wide, or none.
    while measure_text_width(rest.as_str()) >= width && rest.next().is_some() {}
    format!("…{}", rest.as_str())
}

/// The rows' names in the room for them. Where the ends of two are the same, such as `.iso`, what comes before is shown.
fn titles(rows: &[Row], columns: &Columns) -> Vec<String> {
    let whole: Vec<String> = rows.iter().map(Row::title).collect();
    let shown: Vec<String> = rows.iter().zip(&whole).map(|(row, title)| tail(title, row.room(columns))).collect();
    let title = |number: usize| {
        let (title, row) = (&whole[number], &rows[number]);
        let alike = whole.iter().zip(&shown).filter(|(other, end)| **end == shown[number] && *other != title);
        let shared = alike.map(|(other, _)| shared_end(title, other)).max().unwrap_or(0);
        tail(&title[..title.len() - shared], row.room(columns))
    };
    (0..rows.len()).map(title).collect()
}

/// The length of the end that two names share, in bytes.
fn shared_end(one: &str, other: &str) -> usize {
    let pairs = one.chars().rev().zip(other.chars().rev());
    pairs.take_while(|(one, other)| one == other).map(|(one, _)| one.len_utf8()).sum()
}

/// A line for each task that is not part of another, for terminals that cannot draw.
pub fn plain(rows: &[Row]) -> Vec<String> {
    rows.iter().filter(|row| !row.is_child).map(Row::plain).collect()
}

impl Row {
    fn indent(&self) -> &'static str {
        if self.is_child { "    " } else { "  " }
    }

    /// The room for its name. Children are indented, which leaves less.
    fn room(&self, columns: &Columns) -> usize {
        (columns.name + 2).saturating_sub(self.indent().len())
    }

    fn line(&self, title: &str, columns: &Columns) -> String {
        let mut line = format!("{}{}", self.indent(), pad_str(title, self.room(columns), Alignment::Left, None));
        let bar = self.bar(columns.bar);
        let [position, left, speed] = self.numbers();
        for piece in [bar, position, left, speed].into_iter().flatten() {
            let with = format!("{line}  {piece}");
            if measure_text_width(&with) <= columns.all {
                line = with;
            }
        }
        cut(&line, columns.all)
    }

    /// The line without columns and bar.
    fn plain(&self) -> String {
        let numbers: Vec<String> =
            self.numbers().into_iter().flatten().map(|text| text.trim_start().to_owned()).collect();
        let separator = if numbers.is_empty() { "" } else { ": " };
        format!("{}{separator}{}", self.title(), numbers.join(", "))
    }

    /// How much is done, the time left, and the speed, as far as they are known and mean something.
    fn numbers(&self) -> [Option<String>; 3] {
        let left = self.left().map(|left| format!("{} left", time(left)));
        let speed = self.speed().map(|speed| format!("{}/s", Binary(speed)));
        [self.position(), left, speed.filter(|_| self.unit == Unit::Bytes && self.speed > 0.0)]
    }

    /// Its name, or how many of its children have ended.
    fn title(&self) -> String {
        match self.children {
            Some((ended, children)) => format!("{ended} of {}", counted(children, "image")),
            None => {
                let name = self.name.rsplit('/').next().unwrap_or(&self.name);
                // A name must not control the terminal.
                name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
            }
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

    /// How much is done per second of late. Unknown once everything has been read: proving and publishing have no speed.
    fn speed(&self) -> Option<u64> {
        let is_at_end = self.share().is_some_and(|share| share >= 1.0);
        let is_known = self.elapsed >= SETTLED && self.done > 0 && !is_at_end;
        is_known.then_some(self.speed as u64)
    }

    /// How long the rest will take: at least a second, as long as there is a rest, and unknown while nothing moves. Only
    /// parents show it, for all their children together.
    fn left(&self) -> Option<Duration> {
        self.speed().filter(|_| self.speed > 0.0 && !self.is_child)?;
        let rest = self.total?.saturating_sub(self.done + self.skipped);
        // The longest that is said is a year.
        let seconds = (rest as f64 / self.speed).ceil().clamp(1.0, 365.0 * 86400.0);
        (rest > 0).then(|| Duration::from_secs_f64(seconds))
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
            speed: f64::from(100 << 20) * 1.024,
        };
        let image = |name: &str| Row {
            name: name.into(),
            is_child: true,
            done: 300 << 20,
            total: Some(650 << 20),
            children: None,
            elapsed: Duration::from_secs(3),
            speed: f64::from(100 << 20),
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
                assert!(measure_text_width(&line) < width.max(2), "{width}: {line:?}");
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
    fn no_time_is_left_only_when_nothing_is_left_to_do() {
        let left = |done: u64, speed: f64| {
            let row = Row { done, total: Some(1000), children: None, speed, ..images_like(&rows()[0]) };
            row.left().map(|left| left.as_secs())
        };
        assert_eq!(left(900, 10.0), Some(10));
        assert_eq!(left(999, 1e9), Some(1));
        assert_eq!(left(999, 0.5), Some(2));
        assert_eq!(left(900, 0.0), None);
        assert_eq!(left(1000, 1e9), None);
        assert!(left(0, 10.0).is_none() && left(1, 1e-300).is_some());
    }

    #[test]
    fn names_that_end_alike_show_where_they_differ() {
        let named = |name: &str| Row { name: name.into(), ..images_like(&rows()[1]) };
        let rows = ["debian-13-amd64-DVD-1.iso", "debian-13-amd64-DVD-2.iso", "debian-13-arm64-DVD-1.iso"].map(named);
        let lines = frame(&rows, 20, 24);
        assert_eq!(lines[1].split_whitespace().next(), Some("…D-2.iso"), "{lines:?}");
        let names: std::collections::BTreeSet<_> = lines.iter().map(|line| line[..14].to_owned()).collect();
        assert_eq!(names.len(), 3, "{lines:?}");
        assert!(frame(&rows, 100, 24)[0].starts_with("    debian-13-amd64-DVD-1.iso  "));
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
    fn names_of_wide_characters_and_control_characters_fit_too() {
        let names = ["光盘映像".repeat(20), "x\u{301}".repeat(60), "a\x1b[2Jb\nc\td".repeat(9)];
        for width in [1, 20, 40, 80, 200] {
            for name in &names {
                let row = Row { name: name.clone(), ..images_like(&rows()[1]) };
                let [line] = &frame(&[row], width, 24)[..] else { panic!() };
                assert!(measure_text_width(line) < width.max(2), "{width}: {line:?}");
                assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
    }

    #[test]
    fn terminals_that_cannot_draw_get_a_line_for_the_whole() {
        assert_eq!(plain(&rows()), ["3 of 40 images: 25 %, 5m 00s left, 102.40 MiB/s"]);
        let one = Row { children: Some((0, 1)), done: 0, ..images_like(&rows()[0]) };
        assert_eq!(plain(&[one]), ["0 of 1 image: 0 %"]);
    }

    #[test]
    fn more_tasks_than_lines_are_counted() {
        let many: Vec<Row> = (0..30).map(|_| images_like(&rows()[1])).collect();
        let lines = frame(&many, 80, 24);
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (12, "    and 19 more"));
        assert_eq!(frame(&many, 80, 5).len(), 4);
        assert_eq!(frame(&many, 80, 1), ["    and 30 more"]);
    }
}
