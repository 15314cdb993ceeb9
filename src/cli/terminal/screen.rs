//! The lower end of the terminal: the bars, and messages above them.
//!
//! Between two frames, the cursor is at the beginning of the first one's first line. A terminal that is made narrower or
//! wider may wrap the lines below anew: the next frame overwrites them, and clears whatever is left of them.

use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often the bars are drawn.
const TICK: Duration = Duration::from_millis(100);
/// How often lines are printed where there are no bars, and how long it takes until the first ones are.
const PERIOD: Duration = Duration::from_secs(10);
const FIRST: Duration = Duration::from_secs(2);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lines that are drawn again and again, at the end of the screen.
    Bars,
    /// Lines that stay, from time to time.
    Lines,
}

/// Returns the lines of a frame, for a terminal of this width and height.
type Source = Box<dyn Fn(usize, usize) -> Vec<String> + Send>;

struct Screen {
    shown: Option<Shown>,
    /// Counts what was shown, so that a thread knows whether it still draws the right thing.
    number: u64,
    is_closed: bool,
}

struct Shown {
    form: Form,
    source: Source,
    is_drawn: bool,
    next_lines: Instant,
}

/// How long the lock is waited for, where a thread that panics may hold it itself.
const PATIENCE: Duration = Duration::from_secs(1);

static SCREEN: Mutex<Screen> = Mutex::new(Screen { shown: None, number: 0, is_closed: false });

/// Shows progress from now on; a thread draws it.
pub fn show(form: Form, source: Source) {
    let mut screen = SCREEN.lock();
    if screen.is_closed {
        return;
    }
    screen.number += 1;
    screen.shown = Some(Shown { form, source, is_drawn: false, next_lines: Instant::now() + FIRST });
    let number = screen.number;
    // Without a thread, nothing is shown.
    let _ = thread::Builder::new().name("progress".to_owned()).spawn(move || draw_while(number));
}

/// Draws while nothing else is shown.
fn draw_while(number: u64) {
    loop {
        thread::sleep(TICK);
        let mut screen = SCREEN.lock();
        if screen.number != number {
            return;
        }
        let Some(shown) = screen.shown.as_mut() else { return };
        let out = shown.draw();
        write(&out);
    }
}

/// Removes the bars, if there are any.
pub fn hide() {
    let mut screen = SCREEN.lock();
    if let Some(shown) = screen.shown.take() {
        write(shown.cleared());
    }
}

/// Removes the bars at once and for good. Any thread may call this, even while others report progress.
pub fn close() {
    // A thread that panics may hold the lock itself.
    if let Some(mut screen) = SCREEN.try_lock_for(PATIENCE) {
        screen.is_closed = true;
        if let Some(shown) = screen.shown.take() {
            write(shown.cleared());
        }
    }
}

/// Writes lines above the bars.
pub fn print(lines: &str) {
    let mut screen = SCREEN.try_lock_for(PATIENCE);
    match screen.as_mut().and_then(|screen| screen.shown.as_mut()).filter(|shown| shown.is_drawn) {
        Some(shown) => {
            let out = format!("{}{lines}{}", shown.cleared(), shown.draw());
            write(&out);
        }
        None => write(lines),
    }
}

/// There is nothing to do if nobody reads standard error any more.
fn write(out: &str) {
    if !out.is_empty() {
        let mut error = std::io::stderr().lock();
        let _ = error.write_all(out.as_bytes()).and_then(|()| error.flush());
    }
}

impl Shown {
    /// What removes the last frame, of which the cursor is at the beginning.
    fn cleared(&self) -> &'static str {
        if self.is_drawn { "\r\x1b[J" } else { "" }
    }

    /// What draws a frame, or prints the lines that are due.
    fn draw(&mut self) -> String {
        let (height, width) = console::Term::stderr().size();
        match self.form {
            Form::Bars => {
                let lines = (self.source)(width.into(), height.into());
                self.is_drawn = true;
                frame(&lines)
            }
            Form::Lines if Instant::now() < self.next_lines => String::new(),
            Form::Lines => {
                self.next_lines = Instant::now() + PERIOD;
                (self.source)(width.into(), height.into()).into_iter().map(|line| line + "\n").collect()
            }
        }
    }
}

/// The lines over those of the last frame, with the cursor back where it was. While they are written, the terminal does
/// not wrap: it may have become narrower than they are.
fn frame(lines: &[String]) -> String {
    let mut out = "\r\x1b[?7l".to_owned();
    for (number, line) in lines.iter().enumerate() {
        out += if number > 0 { "\n" } else { "" };
        out += line;
        out += "\x1b[K";
    }
    out += "\x1b[J\x1b[?7h";
    if lines.len() > 1 {
        out += &format!("\x1b[{}A", lines.len() - 1);
    }
    out + "\r"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_ends_where_the_frame_begins() {
        let lines = ["one", "two", "three"].map(str::to_owned);
        assert_eq!(frame(&lines), "\r\x1b[?7lone\x1b[K\ntwo\x1b[K\nthree\x1b[K\x1b[J\x1b[?7h\x1b[2A\r");
        assert_eq!(frame(&lines[..1]), "\r\x1b[?7lone\x1b[K\x1b[J\x1b[?7h\r");
        assert_eq!(frame(&[]), "\r\x1b[?7l\x1b[J\x1b[?7h\r");
    }
}
