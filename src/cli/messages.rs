//! The errors and warnings of a run, for a report that is written at its end.

use parking_lot::Mutex;

/// The most messages of each kind that are kept.
const MOST: usize = 1000;

/// What was said so far; `None` while nobody asks for it.
static KEPT: Mutex<Option<Messages>> = Mutex::new(None);

/// Errors and warnings, in the order in which they were printed.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
}

/// Keeps what is said from now on.
pub fn keep() {
    KEPT.lock().get_or_insert_default();
}

/// What was said so far.
pub fn kept() -> Messages {
    KEPT.lock().clone().unwrap_or_default()
}

/// Keeps an error.
pub fn error(text: &str) {
    add(text, |messages| &mut messages.errors);
}

/// Keeps a warning.
pub fn warning(text: &str) {
    add(text, |messages| &mut messages.warnings);
}

fn add(text: &str, kind: impl Fn(&mut Messages) -> &mut Vec<String>) {
    let mut kept = KEPT.lock();
    let Some(list) = kept.as_mut().map(kind) else { return };
    match list.len() {
        ..MOST => list.push(text.to_owned()),
        MOST => list.push("there were more, which are not listed here".to_owned()),
        _ => {}
    }
}
