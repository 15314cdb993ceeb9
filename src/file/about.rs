//! Messages about files: each names its file once, although the errors in them may name it too.

use jigdo::escaped_path;
use std::fmt::Display;
use std::path::Path;

/// The text of an error about the file at `path`: `path: error`. An error that begins with that path already stays as it
/// is.
pub fn about(path: &Path, error: &dyn Display) -> String {
    let (path, text) = (escaped_path(&path).to_string(), error.to_string());
    let is_named = text.strip_prefix(&path).is_some_and(|rest| rest.starts_with([':', ' ']));
    if is_named { text } else { format!("{path}: {text}") }
}

/// The text of an error without the path at its start, for messages that name the file themselves.
pub fn without_path(path: &Path, error: &dyn Display) -> String {
    let text = error.to_string();
    let rest = text.strip_prefix(&escaped_path(&path).to_string()).and_then(|rest| rest.strip_prefix(": "));
    rest.map_or(text.clone(), str::to_owned)
}

/// The line about what is called `name`: `name: text`. If the text names it after its first words too, as in `failed:
/// name: error`, it is left out there.
pub fn line(name: &str, text: &str) -> String {
    let again = format!("{name}: ");
    let is_again = |at: usize| !name.is_empty() && (at == 0 || text[..at].ends_with(": "));
    match text.find(&again).filter(|&at| is_again(at)) {
        Some(at) => format!("{name}: {}{}", &text[..at], &text[at + again.len()..]),
        None => format!("{name}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_its_file_once() {
        let path = Path::new("a/disc.iso");
        assert_eq!(about(path, &"no space"), "a/disc.iso: no space");
        assert_eq!(about(path, &"a/disc.iso: no space"), "a/disc.iso: no space");
        assert_eq!(about(path, &"a/disc.iso is not there"), "a/disc.iso is not there");
        assert_eq!(about(path, &"a/disc.iso.tmp: no space"), "a/disc.iso: a/disc.iso.tmp: no space");
        assert_eq!(without_path(path, &"a/disc.iso: no space"), "no space");
        assert_eq!(without_path(path, &"no space: a/disc.iso: x"), "no space: a/disc.iso: x");
        assert_eq!(line("disc.iso", "complete"), "disc.iso: complete");
        assert_eq!(line("disc.iso", "failed: disc.iso: no space"), "disc.iso: failed: no space");
        assert_eq!(line("disc.iso", "failed: a/disc.iso: no space"), "disc.iso: failed: a/disc.iso: no space");
        assert_eq!(line("", "failed: x"), ": failed: x");
    }
}
