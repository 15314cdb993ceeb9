//! Where the servers, the parts' labels and the includes are in a jigdo file's text, so that they can be changed without
//! touching anything else.
//!
//! Lines are parsed by the rules of [`Jigdo::read`](super::Jigdo::read). For lines of `[Parts]` in the form that all tools
//! write, which are nearly all lines of most files, a much faster check replaces the parser.

use std::ops::Range;

use bstr::{BStr, BString, ByteSlice as _};

use super::reader::{Error, Parser, Section};
use super::text::line_of;
use super::writer::{PART_LINE_LIMIT, WriteError, check_label, server_line};
use super::{Location, MAX_LINE, Server, words};

/// The places in a text. Ranges of lines are in bytes, and include the line's end.
#[derive(Debug, Default)]
pub struct Outline {
    /// The lines of `[Servers]`, in order.
    pub servers: Vec<ServerLine>,
    /// The `[Include]` lines, in order.
    pub includes: Vec<IncludeLine>,
    /// The labels of parts, in the order in which they first occur, each with the number of lines that have it.
    pub labels: Vec<(BString, u64)>,
    /// The lines of the parts whose labels were requested, in order.
    pub parts: Vec<PartLine>,
    /// Where a server can be added, in bytes: after the last server, or after the last `[Servers]` if no server follows
    /// it. `None` without such a section.
    pub servers_end: Option<usize>,
    /// Whether lines end with a carriage return and a newline.
    pub has_carriage_returns: bool,
}

/// A line of `[Servers]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLine {
    /// Where the line is in the text.
    pub line: Range<usize>,
    /// The server's label.
    pub label: BString,
    /// The server.
    pub server: Server,
}

/// An `[Include]` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncludeLine {
    /// Where the line is in the text.
    pub line: Range<usize>,
    /// The URL of the included file.
    pub url: BString,
}

/// A line of `[Parts]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartLine {
    /// Where the line is in the text.
    pub line: Range<usize>,
    /// The part's location.
    pub location: Location,
}

impl Outline {
    /// Finds the places in `text`, including the lines of the parts whose labels are in `parts_of`.
    ///
    /// # Errors
    ///
    /// As for [`Jigdo::read`](super::Jigdo::read).
    pub fn new(text: &[u8], parts_of: &[&BStr]) -> Result<Self, Error> {
        let mut outline = Self::default();
        let mut parser = Parser::default();
        // Parts are sorted by their labels: the last one's is nearly always the next one's.
        let mut last_label = 0;
        let mut ends = memchr::memchr_iter(b'\n', text).map(|at| at + 1);
        let mut start = 0;
        while start < text.len() {
            let end = ends.next().unwrap_or(text.len());
            parser.line += 1;
            if (end - start) as u64 > MAX_LINE {
                return Err(Error::LongLine { line: parser.line });
            }
            let line = &text[start..end];
            let may_be_usual = parser.section == Section::Parts && parts_of.is_empty();
            match may_be_usual.then(|| usual_label(line)).flatten() {
                Some(label) => outline.count(label, &mut last_label),
                None => outline.line(&mut parser, start, line, parts_of, &mut last_label)?,
            }
            start = end;
        }
        parser.finish()?;
        Ok(outline)
    }

    /// The line end of this text.
    pub fn line_end(&self) -> &'static str {
        if self.has_carriage_returns { "\r\n" } else { "\n" }
    }

    /// Parses a line, and records what it contains.
    fn line(
        &mut self,
        parser: &mut Parser,
        start: usize,
        line: &[u8],
        parts_of: &[&BStr],
        last_label: &mut usize,
    ) -> Result<(), Error> {
        let mut text = line;
        if parser.line == 1 {
            self.has_carriage_returns = line.ends_with(b"\r\n");
            text = line_of(1, line);
        }
        let text = text.trim_ascii();
        let range = start..start + line.len();
        parser.line(text)?;
        let jigdo = &mut parser.jigdo;
        let has_server = !jigdo.servers.is_empty();
        if let Some((label, server)) = jigdo.servers.pop() {
            self.servers.push(ServerLine { line: range.clone(), label, server });
        }
        if let Some(url) = jigdo.includes.pop() {
            self.includes.push(IncludeLine { line: range.clone(), url });
        }
        if let Some((_, location)) = jigdo.parts.pop() {
            self.count(&location.label, last_label);
            if parts_of.contains(&location.label.as_bstr()) {
                self.parts.push(PartLine { line: range.clone(), location });
            }
        }
        if has_server || (parser.section == Section::Servers && text.starts_with(b"[")) {
            self.servers_end = Some(range.end);
        }
        Ok(())
    }

    fn count(&mut self, label: &[u8], last: &mut usize) {
        if self.labels.get(*last).is_none_or(|(known, _)| known != label) {
            let place = self.labels.iter().position(|(known, _)| known == label);
            *last = place.unwrap_or_else(|| {
                self.labels.push((label.into(), 0));
                self.labels.len() - 1
            });
        }
        self.labels[*last].1 += 1;
    }
}

impl PartLine {
    /// The line, which is in `text`, with another label. Its quoting and what follows the location stay, unless the quotes
    /// enclose only a part of the label.
    ///
    /// # Errors
    ///
    /// The line would be too long for jigit-mkimage. The value is its length, in bytes.
    pub fn relabelled(&self, text: &[u8], label: &[u8]) -> Result<BString, usize> {
        let line = &text[self.line.clone()];
        let changed = relabelled_value(line, &self.location.label, label).unwrap_or_else(|| {
            let location = Location { label: label.into(), path: self.location.path.clone() };
            let end = &line[line.trim_end_with(|end| matches!(end, '\r' | '\n')).len()..];
            let key = line.find_byte(b'=').map_or(0, |equals| equals + 1);
            [&line[..key], &words::quote(&location.text()), end].concat().into()
        });
        let length = changed.trim_ascii_end().len();
        if length >= PART_LINE_LIMIT { Err(length) } else { Ok(changed) }
    }
}

impl ServerLine {
    /// The line, which is in `text`, with its label replaced by `new_label`, and also the label that the server itself
    /// begins with, if any. Quoting, options and comments stay, unless quotes enclose only a part of a label.
    ///
    /// # Errors
    ///
    /// A label that the line cannot hold.
    pub fn relabelled(&self, text: &[u8], new_label: impl Fn(&BStr) -> BString) -> Result<(BString, Self), WriteError> {
        let mut changed = self.clone();
        changed.label = new_label(self.label.as_bstr());
        check_label(&changed.label)?;
        let line = &text[self.line.clone()];
        let mut text = BString::from(line.replacen(&self.label, &changed.label, 1));
        let url = Location::parse(&self.server.url);
        let label = new_label(url.label.as_bstr());
        if label != url.label {
            changed.server.url = Location { label: label.clone(), path: url.path.clone() }.text();
            text = match relabelled_value(&text, &url.label, &label) {
                Some(text) => text,
                None => server_line(&changed.label, &changed.server)?,
            };
        }
        Ok((text, changed))
    }
}

/// A line whose value begins with the label `old`, perhaps after a quote, with the label `new` in its place.
fn relabelled_value(line: &[u8], old: &[u8], new: &[u8]) -> Option<BString> {
    let value = &line[line.find_byte(b'=')? + 1..];
    let written = value.trim_start_with(|start| matches!(start, ' ' | '\t' | '"' | '\''));
    let rest = written.strip_prefix(old).filter(|rest| rest.starts_with(b":"))?;
    Some([&line[..line.len() - written.len()], new, rest].concat().into())
}

/// The six bits of each character of base64, and 64 for every other byte.
const BASE64: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut table = [64; 256];
    let mut value = 0;
    while value < alphabet.len() {
        table[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    table
};

/// The label in a line of `[Parts]` in the usual form: a sum, `=`, and a location without quotes that needs none. `None`
/// for every other line, valid or not.
fn usual_label(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // The last character of a sum has unused bits, which must be 0.
    let (length, unused) = match (line.get(22), line.get(43)) {
        (Some(b'='), _) => (22, 0b1111),
        (_, Some(b'=')) => (43, 0b11),
        _ => return None,
    };
    let (key, value) = (&line[..length], &line[length + 1..]);
    let is_sum = key.iter().fold(0, |all, &byte| all | BASE64[byte as usize]) < 64;
    let is_exact = BASE64[key[length - 1] as usize] & unused == 0;
    let ends_plainly = |end: Option<&u8>| end.is_some_and(|byte| !byte.is_ascii_whitespace());
    let is_plain = ends_plainly(value.first())
        && ends_plainly(value.last())
        && memchr::memchr3(b'"', b'\'', b'\\', value).is_none()
        && memchr::memchr3(b' ', b'#', b'\t', value).is_none();
    if !is_sum || !is_exact || !is_plain {
        return None;
    }
    Some(memchr::memchr(b':', value).map_or(&value[..0], |colon| &value[..colon]))
}

#[cfg(test)]
mod tests {
    use super::super::Jigdo;
    use super::*;
    use proptest::prelude::*;

    const MD5: &str = "nXb3pOcG17eayxE_uI2UCA";
    const SHA256: &str = "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg";

    fn outline(text: &str) -> Outline {
        Outline::new(text.as_bytes(), &[]).unwrap()
    }

    fn label(label: &str) -> &BStr {
        BStr::new(label)
    }

    #[test]
    fn lines_of_servers_and_includes_have_their_places() {
        let text = "[Servers]\r\n A = 'http://a/' # one\n\n[Include http://i/]\n[Servers]\nB=A:x --try-last\n# end\n\n";
        let found = outline(text);
        let lines: Vec<_> =
            found.servers.iter().map(|line| (&text[line.line.clone()], line.label.to_string())).collect();
        assert_eq!(lines, [(" A = 'http://a/' # one\n", "A".to_owned()), ("B=A:x --try-last\n", "B".to_owned())]);
        assert!(found.servers[1].server.try_last && found.has_carriage_returns);
        assert_eq!(&text[found.includes[0].line.clone()], "[Include http://i/]\n");
        assert_eq!(found.servers_end, Some(text.len() - "# end\n\n".len()));
    }

    #[test]
    fn labels_of_parts_are_counted_however_they_are_written() {
        let text = format!(
            "[Parts]\n{MD5}=B:x\n{SHA256}=A:x y\n {MD5} = \"A:z\"\n{MD5}=A:q#r\n{MD5}=plain\n{MD5}=http://h/p\n"
        );
        let expected = [("B", 1), ("A", 3), ("", 1), ("http", 1)];
        assert_eq!(outline(&text).labels, expected.map(|(label, count)| (BString::from(label), count)));
    }

    #[test]
    fn a_label_is_changed_and_the_rest_of_its_line_is_not() {
        for (value, changed) in [
            ("A:x", "New:x"),
            (" 'A:x y'  # why", " 'New:x y'  # why"),
            ("\"A:x \\\"\"", "\"New:x \\\"\""),
            ("A:x y", "New:x y"),
            ("'A':x", "New:x"),
            ("\"A\":'x y'", "\"New:x y\""),
        ] {
            let text = format!("[Parts]\n{MD5}={value}\n");
            let found = Outline::new(text.as_bytes(), &[label("A")]).unwrap();
            let relabelled = found.parts[0].relabelled(text.as_bytes(), b"New").unwrap();
            assert_eq!(relabelled, format!("{MD5}={changed}\n"));
        }
        let text = format!("[Parts]\n{MD5}=A:{}\n", "x".repeat(2020));
        let found = Outline::new(text.as_bytes(), &[label("A")]).unwrap();
        assert_eq!(found.parts[0].relabelled(text.as_bytes(), b"Newer"), Err(2049));
    }

    #[test]
    fn a_servers_labels_are_changed_and_the_rest_of_its_line_is_not() {
        let new_label = |label: &BStr| if label == "A" { "New".into() } else { label.to_owned() };
        for (line, changed) in [
            ("A=http://a/ # A", "New=http://a/ # A"),
            (" A = 'A:x' --try-last", " New = 'New:x' --try-last"),
            ("B=A:x", "B=New:x"),
            ("B='A':x --try-last", "B=New:x --try-last"),
        ] {
            let text = format!("[Servers]\n{line}\n");
            let (text, server) = outline(&text).servers[0].relabelled(text.as_bytes(), new_label).unwrap();
            assert_eq!(text, format!("{changed}\n"));
            let read = outline(&format!("[Servers]\n{text}")).servers.remove(0);
            assert_eq!((server.label, server.server), (read.label, read.server));
        }
    }

    #[test]
    fn what_is_malformed_is_refused_with_its_line() {
        for (text, message) in [
            ("[Parts]\nzzz=A:x".to_owned(), "line 2: \"zzz\" is not the base64"),
            (format!("[Parts]\n{}B=A:x", &MD5[..21]), "line 2: "),
            (format!("[Parts]\n{MD5}=A:x\n{MD5}=\n"), "line 3: nothing follows"),
            ("[Servers\n".to_owned(), "line 1: the name of the section has no closing ]"),
            ("text\n".to_owned(), "no sections"),
        ] {
            let error = Outline::new(text.as_bytes(), &[]).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    /// Lines that are right, wrong, and nearly either.
    fn arbitrary_text() -> impl Strategy<Value = String> {
        let sum = prop_oneof![
            3 => Just(MD5.to_owned()),
            3 => Just(SHA256.to_owned()),
            1 => "[a-zA-Z0-9_+-]{21,23}",
            1 => "[a-z=]{43}",
        ];
        let value = r#"(A|B|'A'|Longer|http)?:?[a-z/]{0,3}[ #"'\\=a-z\t\r]{0,2}"#;
        let line = prop_oneof![
            6 => (sum, value).prop_map(|(sum, value)| format!("{sum}={value}")),
            2 => r"[AB] ?=(http://x/|B:|A:y/)( --try-last)?",
            1 => r"\[(Image|Parts|Servers|Jigdo|Include x|Comment)\]",
            1 => "(Generator=(libjte|jigpress)|#? ?|Filename=x|Template=y)",
        ];
        prop::collection::vec(line, 0..8).prop_map(|lines| format!("[Parts]\n{}", lines.join("\n")))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_outline_says_what_the_reader_says(text in arbitrary_text(), asks: bool) {
            let asked: &[&BStr] = if asks { &[label("A")] } else { &[] };
            match (Jigdo::read(text.as_bytes()), Outline::new(text.as_bytes(), asked)) {
                (Ok(jigdo), Ok(outline)) => {
                    let servers: Vec<_> = outline.servers.into_iter().map(|line| (line.label, line.server)).collect();
                    prop_assert_eq!(servers, jigdo.servers);
                    let includes: Vec<_> = outline.includes.into_iter().map(|line| line.url).collect();
                    prop_assert_eq!(includes, jigdo.includes);
                    let named = |label: &BStr| jigdo.parts.iter().filter(|(_, location)| location.label == label).count();
                    for (label, count) in &outline.labels {
                        prop_assert_eq!(named(label.as_bstr()) as u64, *count);
                    }
                    prop_assert_eq!(outline.labels.iter().map(|(_, count)| *count as usize).sum::<usize>(), jigdo.parts.len());
                    prop_assert_eq!(outline.parts.len(), if asks { named(label("A")) } else { 0 });
                }
                (Err(read), Err(outline)) => prop_assert_eq!(read.to_string(), outline.to_string()),
                (read, outline) => prop_assert!(false, "{:?} and {:?}", read, outline.map(|outline| outline.labels)),
            }
        }
    }
}
