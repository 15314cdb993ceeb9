//! The text of a manifest, its lines, and the corrections of it that let the parser go on after a mistake.

use super::super::problem::Position;

/// A text with corrections.
pub(super) struct Source {
    text: String,
    shifts: Vec<Shift>,
}

/// A replacement of some of a line's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Correction {
    /// The bytes that are replaced. They are on one line.
    pub from: usize,
    pub to: usize,
    pub with: String,
}

/// How much a correction has moved what follows on its line.
struct Shift {
    line: u64,
    /// The first column, after the correction, that has moved.
    column: u64,
    by: i64,
}

impl Source {
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), shifts: Vec::new() }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_corrected(&self) -> bool {
        !self.shifts.is_empty()
    }

    /// The place and the message of the first character that YAML does not allow anywhere.
    pub fn forbidden_character(&self) -> Option<(Position, String)> {
        let is_allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{85}') || !c.is_control();
        let offset = self.text.find(|c: char| !is_allowed(c) || c == '\u{feff}')?;
        let found = self.text[offset..].chars().next()?;
        let message = match found {
            '\0' => "the manifest contains a zero byte; save it as plain text in UTF-8".to_owned(),
            '\u{feff}' => "a byte order mark may only be at the start of the manifest; remove this one".to_owned(),
            found => format!("the manifest contains the control character U+{:04X}; remove it", u32::from(found)),
        };
        Some((self.position(offset), message))
    }

    /// Applies a correction.
    pub fn correct(&mut self, correction: Correction) {
        let Correction { from, to, with } = correction;
        let count = |text: &str| text.chars().count() as i64;
        let by = count(&with) - count(&self.text[from..to]);
        let start = self.position(from);
        let column = start.column + with.chars().count() as u64;
        self.text.replace_range(from..to, &with);
        if by != 0 {
            self.shifts.push(Shift { line: start.line, column, by });
        }
    }

    /// Where something at `place` of the corrected text is in the text as written.
    pub fn original(&self, mut place: Position) -> Position {
        for shift in self.shifts.iter().rev() {
            if shift.line == place.line && place.column >= shift.column {
                place.column = place.column.saturating_add_signed(-shift.by).max(1);
            }
        }
        place
    }

    /// The place of the character at byte `offset`.
    pub fn position(&self, offset: usize) -> Position {
        let start = self.line_start(offset);
        let before = &self.text[..start];
        let breaks = before
            .bytes()
            .enumerate()
            .filter(|&(at, byte)| byte == b'\n' || (byte == b'\r' && before.as_bytes().get(at + 1) != Some(&b'\n')));
        Position { line: breaks.count() as u64 + 1, column: self.text[start..offset].chars().count() as u64 + 1 }
    }

    /// Where the line of byte `offset` begins.
    pub fn line_start(&self, offset: usize) -> usize {
        self.text[..offset].rfind(['\n', '\r']).map_or(0, |newline| newline + 1)
    }

    /// Where the line of byte `offset` ends, before its line break.
    pub fn line_end(&self, offset: usize) -> usize {
        self.text[offset..].find(['\n', '\r']).map_or(self.text.len(), |newline| offset + newline)
    }

    /// Where the content of the line that begins at `start` ends: before a comment and the white space around it.
    pub fn content_end(&self, start: usize) -> usize {
        let line = &self.text[start..self.line_end(start)];
        let mut quote = None;
        let mut last = ' ';
        let mut end = line.len();
        for (at, c) in line.char_indices() {
            match quote {
                None if c == '#' && last.is_whitespace() => {
                    end = at;
                    break;
                }
                None if matches!(c, '"' | '\'') && !last.is_alphanumeric() => quote = Some(c),
                Some(open) if open == c => quote = None,
                _ => {}
            }
            last = c;
        }
        // A quote that is never closed hides no comment.
        start + line[..end].trim_end().len()
    }

    /// Where the nearest line above that has content begins.
    pub fn line_above(&self, line_start: usize) -> Option<usize> {
        let mut start = line_start;
        while start > 0 {
            start = self.line_start(start - 1);
            if self.content_end(start) > start {
                return Some(start);
            }
        }
        None
    }

    /// The white space at the start of a line, in bytes.
    pub fn indentation(&self, line_start: usize) -> usize {
        let line = &self.text[line_start..self.line_end(line_start)];
        line.len() - line.trim_start_matches([' ', '\t']).len()
    }

    /// Where the content of a line begins, after its indentation and the dashes of lists.
    pub fn content_start(&self, line_start: usize) -> usize {
        let mut at = line_start + self.indentation(line_start);
        while let Some(rest) = self.text[at..].strip_prefix('-') {
            let blanks = rest.len() - rest.trim_start_matches(' ').len();
            if blanks == 0 {
                break;
            }
            at += 1 + blanks;
        }
        at
    }
}
