//! Syntax errors in words, with what to write instead, and a correction of the text where there is only one likely one.

use granit_parser::ErrorKind;

use super::super::problem::Position;
use super::source::{Correction, Source};
use super::tree::{OpenCollection, SyntaxError, Tree};

/// What is wrong, where, and how reading can go on.
pub(super) struct Diagnosis {
    pub place: Position,
    pub message: String,
    pub correction: Option<Correction>,
}

/// Says what is wrong where the parser stopped.
pub(super) fn diagnose(source: &Source, error: &SyntaxError, tree: &Tree) -> Diagnosis {
    let at = Error { source, text: source.text(), offset: error.offset, kind: &error.kind, tree };
    if let Some(diagnosis) = at.missing_comma_of_json() {
        return diagnosis;
    }
    match &error.kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar
        | ErrorKind::TabAtBlockScalarStart => at.tab(),
        ErrorKind::UnclosedQuotedScalar => at.unclosed_quote(error.offset),
        ErrorKind::InvalidQuotedScalarIndent | ErrorKind::DocumentIndicatorInQuotedScalar => {
            at.unclosed_quote(at.quote_before().unwrap_or(error.offset))
        }
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => at.after_quote(),
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidLowSurrogateHexEscape
        | ErrorKind::InvalidLowSurrogate
        | ErrorKind::MissingLowSurrogate
        | ErrorKind::UnpairedLowSurrogate
        | ErrorKind::InvalidUnicodeEscape => at.bad_escape(),
        ErrorKind::MappingValueNotAllowed => at.second_colon(),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => at.no_colon(source.line_start(error.offset)),
        ErrorKind::UnexpectedCharacter { character: '%' | '@' | '`' } => at.needs_quotes(error.offset),
        ErrorKind::BlockSequenceEntryNotAllowed => at.list_beside_key(),
        ErrorKind::MisplacedFlowCollectionEnd => at.closes_nothing(),
        ErrorKind::MismatchedFlowCollectionEnd { .. } => at.mismatched(),
        ErrorKind::UnclosedFlowCollection { open } if at.unclosed(source.line_start(error.offset)).is_none() => {
            at.unclosed_at_end(*open)
        }
        ErrorKind::InvalidBlockScalarHeader
        | ErrorKind::MappingKeyNotAllowed
        | ErrorKind::MissingAnchorOrAliasName
        | ErrorKind::InvalidTagTerminator
        | ErrorKind::MissingTagUri
        | ErrorKind::UndeclaredTagHandle
        | ErrorKind::UnclosedVerbatimTag
        | ErrorKind::InvalidTagEscape
        | ErrorKind::ExpectedTagBang => at.needs_quotes(at.value_before()),
        _ => at.structure(),
    }
}

struct Error<'a> {
    source: &'a Source,
    text: &'a str,
    offset: usize,
    kind: &'a ErrorKind,
    tree: &'a Tree,
}

impl Error<'_> {
    fn diagnosis(&self, offset: usize, message: String, correction: Option<Correction>) -> Diagnosis {
        Diagnosis { place: self.source.position(offset), message, correction }
    }

    /// A comma that JSON lacks. A YAML parser only notices far away, where a bracket is missing.
    fn missing_comma_of_json(&self) -> Option<Diagnosis> {
        if !self.text.trim_start().starts_with('{') {
            return None;
        }
        let error = serde_json::from_str::<serde::de::IgnoredAny>(self.text).err()?;
        if !error.to_string().starts_with("expected `,` or") {
            return None;
        }
        let line: usize = self.text.split_inclusive('\n').take(error.line() - 1).map(str::len).sum();
        let next = line + error.column().checked_sub(1)?;
        let before = self.text.get(..next)?.trim_end().len();
        let is_quote = self.text[next..].starts_with('"');
        let what = self.text[next..self.source.line_end(next)].split_inclusive('"').take(2).collect::<String>();
        let message = match is_quote {
            true => format!("a comma is missing before {what}"),
            false => "a comma is missing before this".to_owned(),
        };
        Some(self.diagnosis(next, message, Some(Correction { from: before, to: before, with: ",".to_owned() })))
    }

    /// Errors of structure: something is where nothing of its kind can be.
    fn structure(&self) -> Diagnosis {
        let line = self.source.line_start(self.offset);
        if let Some(open) = self.unclosed(line) {
            return self.unclosed_bracket(open, line);
        }
        if let Some(last) = &self.tree.last
            && !last.is_quoted
            && last.start >= line
            && last.end <= self.offset
            && self.text[last.end..self.offset].trim().is_empty()
        {
            return self.text_after(last.start, last.end);
        }
        let is_at_content = self.offset == line + self.source.indentation(line);
        let is_block = self.tree.open.iter().all(|open| !open.is_flow);
        if is_at_content && is_block && self.offset < self.text.len() {
            return self.indentation(line);
        }
        self.other()
    }

    fn other(&self) -> Diagnosis {
        self.diagnosis(self.offset, format!("not valid YAML: {}", self.kind), None)
    }

    /// The innermost collection in brackets that was open before the line of the error, or at the end of the text.
    fn unclosed(&self, line: usize) -> Option<&OpenCollection> {
        let is_end =
            self.text[self.offset..].trim().is_empty() || matches!(self.kind, ErrorKind::UnclosedFlowCollection { .. });
        self.tree.open.iter().rev().find(|open| open.is_flow && (open.start < line || is_end))
    }

    fn unclosed_bracket(&self, open: &OpenCollection, line: usize) -> Diagnosis {
        let brackets: String = self.tree.open.iter().rev().filter(|open| open.is_flow).map(closing).collect();
        let is_end = matches!(self.kind, ErrorKind::UnclosedFlowCollection { .. });
        let end = match is_end {
            true => self.text.trim_end().len(),
            false => self.source.line_above(line).map_or(self.offset, |above| self.source.content_end(above)),
        };
        self.never_closed(open.start, closing(open), end.max(open.start + 1), brackets)
    }

    /// A bracket that another kind of bracket closes.
    fn mismatched(&self) -> Diagnosis {
        let mut brackets = Vec::new();
        for (at, c) in self.text[self.offset..].char_indices() {
            match c {
                '[' => brackets.push(']'),
                '{' => brackets.push('}'),
                ']' | '}' if brackets.last() == Some(&c) => drop(brackets.pop()),
                ']' | '}' => {
                    let Some(close) = brackets.pop() else { break };
                    return self.never_closed(self.offset, close, self.offset + at, close.to_string());
                }
                _ => {}
            }
        }
        self.other()
    }

    /// A bracket that the scanner found unclosed at the end of the text.
    fn unclosed_at_end(&self, open: char) -> Diagnosis {
        let line = self.source.line_start(self.offset);
        let end = self.source.content_end(line).max(self.offset + 1);
        let mut brackets = Vec::new();
        for c in self.text[line..end].chars() {
            match c {
                '[' => brackets.push(']'),
                '{' => brackets.push('}'),
                ']' | '}' => drop(brackets.pop()),
                _ => {}
            }
        }
        let below = self.text[self.source.line_end(self.offset)..].trim_start();
        let first = below.lines().next().unwrap_or_default();
        let closes_here = first.starts_with("- ") || first.contains(": ") || first.trim_end().ends_with(':');
        let end = if closes_here { end } else { self.text.trim_end().len().max(end) };
        let close = if open == '[' { ']' } else { '}' };
        self.never_closed(self.offset, close, end, brackets.iter().rev().collect())
    }

    fn never_closed(&self, start: usize, close: char, end: usize, brackets: String) -> Diagnosis {
        let open = if close == ']' { '[' } else { '{' };
        let message = format!("this \"{open}\" is never closed; write \"{close}\" where it ends");
        self.diagnosis(start, message, Some(Correction { from: end, to: end, with: brackets }))
    }

    /// Text after a value that looked complete, as in `{arch}/x`.
    fn text_after(&self, start: usize, end: usize) -> Diagnosis {
        let next = self.text[self.offset..].chars().next();
        let is_flow = self.is_flow();
        let scalar = !self.text[start..].starts_with(['{', '[', '*', '&', '!']);
        if is_flow && next == Some(':') && scalar {
            let words = &self.text[start..end];
            let key = words.rsplit(' ').next().unwrap_or(words);
            let before = words[..words.len() - key.len()].trim_end();
            if !before.is_empty() {
                let comma = start + before.len();
                let message = format!("a comma is missing before \"{key}\", or the text before it needs quotes");
                let correction = Correction { from: comma, to: comma, with: ",".to_owned() };
                return self.diagnosis(start + words.len() - key.len(), message, Some(correction));
            }
        }
        self.needs_quotes(start)
    }

    fn is_flow(&self) -> bool {
        self.tree.open.iter().any(|open| open.is_flow)
    }

    /// Where the text that begins at `start` ends, as a person would see it.
    fn value_end(&self, start: usize) -> usize {
        let line_end = self.source.content_end(self.source.line_start(start)).max(start);
        if !self.is_flow() {
            return line_end;
        }
        let mut depth = 0_usize;
        for (at, c) in self.text[start..line_end].char_indices() {
            match c {
                '{' | '[' => depth += 1,
                '}' | ']' | ',' if depth == 0 => return start + self.text[start..start + at].trim_end().len(),
                '}' | ']' => depth -= 1,
                _ => {}
            }
        }
        line_end
    }

    /// Where the value that contains the error begins.
    fn value_before(&self) -> usize {
        let line = self.source.line_start(self.offset);
        let content = self.source.content_start(line);
        let before = &self.text[content.min(self.offset)..self.offset];
        let separators: &[&str] = if self.is_flow() { &[": ", "{", "[", ", "] } else { &[": "] };
        let after = separators.iter().filter_map(|separator| Some(before.rfind(separator)? + separator.len())).max();
        let start = content.min(self.offset) + after.unwrap_or(0);
        let text = &self.text[start..self.source.line_end(start)];
        start + text.len() - text.trim_start().len()
    }

    /// A text that must be quoted, because of the character that it begins with.
    fn needs_quotes(&self, start: usize) -> Diagnosis {
        let end = self.value_end(start);
        let value = &self.text[start..end];
        let Some(first) = value.chars().next() else { return self.other() };
        let quoted = quote(value);
        let why = match first {
            '{' => "an unquoted \"{\" begins a mapping",
            '[' => "an unquoted \"[\" begins a list",
            '*' => "an unquoted \"*\" refers to an anchor",
            '&' => "an unquoted \"&\" begins an anchor",
            '!' => "an unquoted \"!\" begins a tag",
            '|' | '>' => "an unquoted \"|\" or \">\" begins a text on the lines below",
            '%' | '@' | '`' => "no unquoted text may begin with \"%\", \"@\" or \"`\"",
            '?' => "an unquoted \"? \" begins a key",
            _ => "",
        };
        let message = match why {
            "" => format!("this text needs quotes: {quoted}"),
            why => format!("{why}; quote the text: {quoted}"),
        };
        self.diagnosis(start, message, Some(Correction { from: start, to: end, with: quoted }))
    }

    /// A tab where spaces indent.
    fn tab(&self) -> Diagnosis {
        let here = self.source.line_start(self.offset);
        let is_tabbed = |line: usize| self.text[line..line + self.source.indentation(line)].contains('\t');
        let below = self.source.line_end(self.offset);
        let next = (below + self.text[below..].len() - self.text[below..].trim_start_matches(['\r', '\n']).len())
            .min(self.text.len());
        let Some(line) = [here, next].into_iter().find(|&line| is_tabbed(line)) else { return self.other() };
        let to = line + self.source.indentation(line);
        let tab = line + self.text[line..to].find('\t').unwrap_or(0);
        let width = self.likely_indentation(line, to);
        let message = "a tab indents this line; YAML takes only spaces, so replace it".to_owned();
        self.diagnosis(tab, message, Some(Correction { from: line, to, with: " ".repeat(width) }))
    }

    /// How many spaces probably belong before the content at `to` of a line: what a line above with the same white space
    /// has, else what fits the line above.
    fn likely_indentation(&self, line: usize, to: usize) -> usize {
        let Some(above) = self.source.line_above(line) else { return 0 };
        let indentation = self.source.indentation(above);
        let content = self.source.content_start(above) - above;
        let opens = self.text[..self.source.content_end(above)].ends_with(':');
        match (opens, self.text[to..].starts_with("- ")) {
            (true, _) => content + 2,
            (false, true) if content > indentation => indentation,
            (false, _) => content,
        }
    }

    fn unclosed_quote(&self, start: usize) -> Diagnosis {
        let quote = self.text[start..].chars().next().unwrap_or('"');
        let end = self.source.line_end(start);
        let end = start + self.text[start..end].trim_end().len();
        let message = format!("this quote is never closed; write {quote} where the text ends");
        let correction = Correction { from: end, to: end, with: quote.to_string() };
        // A quote before a key may belong anywhere.
        let is_key =
            start == self.source.content_start(self.source.line_start(start)) && self.text[start..end].contains(": ");
        self.diagnosis(start, message, (!is_key).then_some(correction))
    }

    /// The quote that begins the text before the error.
    fn quote_before(&self) -> Option<usize> {
        let from = self.tree.last.as_ref().map_or(0, |last| last.end).min(self.offset);
        self.text[from..self.offset].find(['"', '\'']).map(|at| from + at)
    }

    /// Text after the quote that closes another.
    fn after_quote(&self) -> Diagnosis {
        let Some(start) = self.quote_before() else { return self.other() };
        if self.source.line_start(start) != self.source.line_start(self.offset) {
            return self.unclosed_quote(start);
        }
        let end = self.value_end(start).max(self.offset);
        let mark = &self.text[start..=start];
        let value = &self.text[start + 1..end];
        let inner = match value.strip_suffix(mark) {
            Some(inner) => inner.to_owned(),
            None => value.replace(mark, ""),
        };
        let quoted = quote(&inner);
        let message = format!("text follows the quote that closes this one; quote the whole text once: {quoted}");
        self.diagnosis(start, message, Some(Correction { from: start, to: end, with: quoted }))
    }

    fn bad_escape(&self) -> Diagnosis {
        let start = self.offset;
        if !self.text[start..].starts_with('"') {
            return self.other();
        }
        let line_end = self.source.line_end(start);
        let Some(length) = self.text[start + 1..line_end].find('"') else { return self.unclosed_quote(start) };
        let value = &self.text[start + 1..start + 1 + length];
        let single = format!("'{}'", value.replace('\'', "''"));
        let message = format!(
            "between double quotes, \"\\\" begins an escape such as \\n, and there is none of this kind; to write a \"\\\", \
             use single quotes: {single}"
        );
        let correction = Correction { from: start, to: start + length + 2, with: single };
        self.diagnosis(start, message, Some(correction))
    }

    /// A colon where a key cannot be: a second one on a line, or one on a line that continues the text above.
    fn second_colon(&self) -> Diagnosis {
        let line = self.source.line_start(self.offset);
        let content = self.source.content_start(line);
        let first = self.text[content..self.offset].find(": ").map(|at| content + at + 2);
        if let Some(value) = first {
            let value = value + self.text[value..].len() - self.text[value..].trim_start_matches(' ').len();
            let end = self.value_end(value);
            let quoted = quote(&self.text[value..end]);
            let message = format!("a second \": \" on this line; quote the text that contains it: {quoted}");
            return self.diagnosis(self.offset, message, Some(Correction { from: value, to: end, with: quoted }));
        }
        let Some(above) = self.source.line_above(line) else { return self.other() };
        let has_key = |line: usize| {
            let text = &self.text[self.source.content_start(line)..self.source.content_end(line)];
            text.contains(": ") || text.ends_with(':')
        };
        match has_key(above) {
            true => self.indentation(line),
            false => self.no_colon(above),
        }
    }

    /// A line without a colon after its key.
    fn no_colon(&self, line: usize) -> Diagnosis {
        let start = self.source.content_start(line);
        let end = self.source.content_end(line).max(start);
        let text = &self.text[start..end];
        let is_word = |c: char| c.is_alphanumeric() || "_-.+".contains(c);
        let key = &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())];
        let rest = &text[key.len()..];
        if key.is_empty() {
            return self.diagnosis(start, "this line has no key; write KEY: VALUE".to_owned(), None);
        }
        let value = rest.strip_prefix(':').unwrap_or(rest).trim_start();
        let with = format!("{key}:{}{value}", if value.is_empty() { "" } else { " " });
        let what = match rest.starts_with(':') {
            true => "a space is missing after the colon",
            false => "a colon is missing after the key",
        };
        let message = format!("{what}; write {}", with.trim_end());
        self.diagnosis(start, message, Some(Correction { from: start, to: end, with }))
    }

    /// A line whose indentation fits none above.
    fn indentation(&self, line: usize) -> Diagnosis {
        let spaces = self.source.indentation(line);
        let content = line + spaces;
        let list = self.tree.open.last().filter(|open| open.is_list && open.place.column == spaces as u64 + 1);
        if list.is_some() && !self.text[content..].starts_with('-') {
            let message = "a list stands in these columns, and its entries begin with \"- \"; indent this line deeper, or \
                           write the dash";
            return self.diagnosis(content, message.to_owned(), None);
        }
        let above = self.source.line_above(line);
        let levels = above.map(|above| {
            let mut levels: Vec<usize> = self.tree.open.iter().map(|open| open.place.column as usize - 1).collect();
            levels.extend([self.source.indentation(above), self.source.content_start(above) - above]);
            levels.sort_unstable();
            levels.dedup();
            levels
        });
        let levels = levels.unwrap_or_default();
        let is_below_value = above.is_some_and(|above| {
            let text = &self.text[self.source.content_start(above)..self.source.content_end(above)];
            spaces > self.source.content_start(above) - above && text.contains(": ")
        });
        // Of two as near, the deeper: the keys of a list's entry.
        let nearest = levels.iter().rev().min_by_key(|level| level.abs_diff(spaces)).copied();
        let Some(nearest) = nearest.filter(|&nearest| nearest != spaces) else { return self.other() };
        let words = levels.iter().map(ToString::to_string).collect::<Vec<_>>();
        let words = match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => words.concat(),
        };
        let unit = if words == "1" { "space" } else { "spaces" };
        let why = match is_below_value {
            true => "the line above has a value, so nothing can belong to it".to_owned(),
            false => format!("the indentation of this line, {spaces}, fits no line above"),
        };
        let message = format!("{why}; indent this line by {words} {unit}");
        self.diagnosis(content, message, Some(Correction { from: line, to: content, with: " ".repeat(nearest) }))
    }

    /// A list that begins beside its key.
    fn list_beside_key(&self) -> Diagnosis {
        let end = self.value_end(self.offset);
        let item = self.text[self.offset..end].trim_start_matches('-').trim();
        let message = format!("a list may not begin beside its key; write it on the lines below, or as [{item}]");
        let is_plain = !item.contains([',', '[', ']', '{', '}', ':']);
        let correction = Correction { from: self.offset, to: end, with: format!("[{item}]") };
        self.diagnosis(self.offset, message, is_plain.then_some(correction))
    }

    fn closes_nothing(&self) -> Diagnosis {
        let start = self.value_before();
        let end = self.source.content_end(self.source.line_start(start)).max(self.offset + 1);
        let quoted = quote(&self.text[start..end]);
        let Some(bracket) = self.text[self.offset..].chars().next() else { return self.other() };
        let message = format!("this \"{bracket}\" closes nothing; if it belongs to the text, quote it: {quoted}");
        self.diagnosis(self.offset, message, Some(Correction { from: start, to: end, with: quoted }))
    }
}

fn closing(open: &OpenCollection) -> char {
    if open.is_list { ']' } else { '}' }
}

/// The text in quotes: double ones, unless something in it would be an escape there.
fn quote(text: &str) -> String {
    match text.contains(['"', '\\']) {
        true => format!("'{}'", text.replace('\'', "''")),
        false => format!("\"{text}\""),
    }
}
