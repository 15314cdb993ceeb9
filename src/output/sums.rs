//! SUMS files such as `MD5SUMS` and `SHA256SUMS`: the only reader and editor of them.
//!
//! It reads the lines of coreutils (`sum  name`, `sum *name`, with `--tag` `MD5 (name) = sum`), of BSD (`sum name`) and
//! of OpenSSL (`MD5(name)= sum`). All bytes are kept, so an edit changes only the lines that it is about. Names are bytes.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::ops::Range;

use jigdo::Algorithm;

use super::{Change, Error, OutputDirectory, mode};
use crate::file::read_regular;

/// The longest SUMS file that is read, in bytes. That is about half a million lines.
pub const LONGEST: u64 = 64 << 20;

/// The name of the SUMS file for this algorithm.
pub fn file_name(algorithm: Algorithm) -> String {
    format!("{}SUMS", algorithm.name())
}

/// Stages the directory's SUMS file for this algorithm as `update` leaves it, with these permissions if there are any.
/// Returns the change to commit; `None` if the published file is up to date. A file without lines is removed.
///
/// # Errors
/// When the published file cannot be read, or the new one cannot be written.
pub fn stage(
    directory: &OutputDirectory,
    algorithm: Algorithm,
    mode: Option<u32>,
    update: impl FnOnce(&mut SumsFile),
) -> Result<Option<Change>, Error> {
    let name = file_name(algorithm);
    let path = directory.published(&name);
    let failed = |source| Error::Write { path: path.clone(), source };
    let before = match read_regular(&path, LONGEST) {
        Ok((_, text)) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let mut sums = SumsFile::parse(algorithm, before.as_deref().unwrap_or_default());
    update(&mut sums);
    let text = sums.text();
    match before {
        Some(before) if before == text => {
            mode.map_or(Ok(()), |mode| mode::change(&path, mode)).map_err(failed)?;
            Ok(None)
        }
        None if sums.is_empty() => Ok(None),
        Some(_) if sums.is_empty() => Ok(Some(Change::Remove(name))),
        _ => {
            let mut file = directory.stage_with_mode(&name, mode)?;
            file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
            Ok(Some(Change::Publish(name)))
        }
    }
}

/// The lines of a SUMS file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SumsFile {
    /// The algorithm of the lines that name none.
    algorithm: Algorithm,
    lines: Vec<Line>,
}

/// A line of a SUMS file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// All of it, with its end.
    bytes: Vec<u8>,
    /// What it says.
    pub content: Content,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing: it is empty or a comment.
    Nothing,
    /// A file's sum.
    Entry(Entry),
    /// It cannot be read.
    Malformed,
}

/// The sum of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file's name, without escapes.
    pub name: Vec<u8>,
    /// `None` if the line names an algorithm that is not one of [`Algorithm::ALL`].
    pub algorithm: Option<Algorithm>,
    /// Where the line has the sum.
    sum: Range<usize>,
    /// Where the line has the name, with its escapes.
    raw_name: Range<usize>,
    /// Where the backslash is, or would be, that says that the name has escapes.
    escape: usize,
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit<'a> {
    /// The line stays as it is.
    Keep,
    /// The line gets this sum, in hexadecimal.
    Sum(&'a str),
    /// The line goes.
    Remove,
}

impl SumsFile {
    /// Parses the SUMS file of this algorithm.
    pub fn parse(algorithm: Algorithm, text: &[u8]) -> Self {
        let lines = text.split_inclusive(|&byte| byte == b'\n');
        Self { algorithm, lines: lines.map(|line| Line::parse(line.to_owned(), algorithm)).collect() }
    }

    /// All lines, in order.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }

    /// The lines that have sums, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.lines.iter().filter_map(Line::entry)
    }

    /// Edits the lines that have sums, which `edit` is asked about by the file's [plain name](Entry::plain_name) and the
    /// line's algorithm.
    pub fn edit<'a>(&mut self, edit: impl Fn(&[u8], Option<Algorithm>) -> Edit<'a>) {
        let algorithm = self.algorithm;
        self.lines.retain_mut(|line| {
            let wanted = line.entry().map_or(Edit::Keep, |entry| edit(entry.plain_name(), entry.algorithm));
            match wanted {
                Edit::Keep => true,
                Edit::Sum(sum) => {
                    line.set_sum(sum, algorithm);
                    true
                }
                Edit::Remove => false,
            }
        });
    }

    /// Adds lines for the files that have none of this algorithm, given by name with their sums in hexadecimal. They look
    /// like the lines beside them. If the lines are ordered by name they stay so, else the new ones come last.
    pub fn add<'a>(&mut self, sums: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let own = self.entries().filter(|entry| entry.algorithm == Some(self.algorithm));
        let listed: BTreeSet<Vec<u8>> = own.map(|entry| entry.plain_name().to_owned()).collect();
        let is_sorted = self.entries().map(Entry::plain_name).is_sorted();
        for (name, sum) in sums.into_iter().filter(|(name, _)| !listed.contains(name.as_bytes())) {
            let place = self.place_of(name.as_bytes(), is_sorted);
            self.insert(place, name, sum);
        }
    }

    /// Where the line of a new file belongs.
    fn place_of(&self, name: &[u8], is_sorted: bool) -> usize {
        let greater = |line: &Line| line.entry().is_some_and(|entry| entry.plain_name() > name);
        let before_greater = self.lines.iter().position(greater).filter(|_| is_sorted);
        let after_last = || self.lines.iter().rposition(|line| line.entry().is_some()).map(|last| last + 1);
        before_greater.or_else(after_last).unwrap_or(self.lines.len())
    }

    fn insert(&mut self, place: usize, name: &str, sum: &str) {
        let end: &[u8] = match self.lines.first() {
            Some(line) if line.bytes.ends_with(b"\r\n") => b"\r\n",
            _ => b"\n",
        };
        let own = |line: &&Line| line.entry().is_some_and(|entry| entry.algorithm == Some(self.algorithm));
        let (before, after) = self.lines.split_at(place);
        let model = before.iter().rev().find(own).or_else(|| after.iter().find(own));
        let alike = model.and_then(|model| model.with(name, sum, self.algorithm));
        let mut line = alike.unwrap_or_else(|| Line::plain(name, sum, self.algorithm));
        line.complete(end);
        if let Some(previous) = place.checked_sub(1) {
            self.lines[previous].complete(end);
        }
        self.lines.insert(place, line);
    }

    /// Whether there are no lines.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The file's content.
    pub fn text(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| &line.bytes).copied().collect()
    }
}

impl Line {
    fn parse(bytes: Vec<u8>, algorithm: Algorithm) -> Self {
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let content = match line.iter().find(|&&byte| !is_blank(byte)) {
            None => Content::Nothing,
            Some(_) if line.starts_with(b"#") => Content::Nothing,
            Some(_) => Entry::parse(line, algorithm).map_or(Content::Malformed, Content::Entry),
        };
        Self { bytes, content }
    }

    /// As coreutils writes it.
    fn plain(name: &str, sum: &str, algorithm: Algorithm) -> Self {
        let escaped = escape(name);
        let mark = if escaped == name { "" } else { "\\" };
        Self::parse(format!("{mark}{sum}  {escaped}").into_bytes(), algorithm)
    }

    /// A line that looks like this one. `None` if this one has no sum, or such a line would mean another name.
    fn with(&self, name: &str, sum: &str, algorithm: Algorithm) -> Option<Self> {
        let entry = self.entry()?;
        let dot = if self.bytes[entry.raw_name.clone()].starts_with(b"./") { "./" } else { "" };
        let escaped = format!("{dot}{}", escape(name));
        let has_escapes = escape(name) != name;
        let mut pieces = [(&entry.sum, sum), (&entry.raw_name, &escaped)];
        pieces.sort_by_key(|(place, _)| place.start);
        let mut bytes = self.bytes[..entry.escape].to_owned();
        bytes.extend(has_escapes.then_some(b'\\'));
        let mut done = entry.escape + usize::from(self.bytes[entry.escape] == b'\\');
        for (place, new) in pieces {
            bytes.extend_from_slice(&self.bytes[done..place.start]);
            bytes.extend_from_slice(new.as_bytes());
            done = place.end;
        }
        bytes.extend_from_slice(&self.bytes[done..]);
        Some(Self::parse(bytes, algorithm))
            .filter(|line| line.entry().is_some_and(|entry| entry.plain_name() == name.as_bytes()))
    }

    /// What it says of a file.
    pub fn entry(&self) -> Option<&Entry> {
        match &self.content {
            Content::Entry(entry) => Some(entry),
            Content::Nothing | Content::Malformed => None,
        }
    }

    /// The sum of an entry of this line, in hexadecimal, as the line has it.
    pub fn sum(&self, entry: &Entry) -> String {
        String::from_utf8_lossy(&self.bytes[entry.sum.clone()]).into_owned()
    }

    fn set_sum(&mut self, sum: &str, algorithm: Algorithm) {
        let Content::Entry(entry) = &self.content else { return };
        if !self.bytes[entry.sum.clone()].eq_ignore_ascii_case(sum.as_bytes()) {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.splice(entry.sum.clone(), sum.bytes());
            *self = Self::parse(bytes, algorithm);
        }
    }

    /// Adds the line's end if it is missing.
    fn complete(&mut self, end: &[u8]) {
        if !self.bytes.ends_with(b"\n") {
            self.bytes.extend_from_slice(end);
        }
    }
}

impl Entry {
    /// Parses a line without its end.
    fn parse(line: &[u8], algorithm: Algorithm) -> Option<Self> {
        let escape = line.iter().position(|&byte| !is_blank(byte))?;
        let has_escapes = line[escape] == b'\\';
        let start = escape + usize::from(has_escapes);
        let plain = plain(line, start).map(|(sum, name)| (Some(algorithm), sum, name));
        let (algorithm, sum, raw_name) = plain.or_else(|| tagged(line, start))?;
        let raw = &line[raw_name.clone()];
        let name = if has_escapes { unescape(raw)? } else { raw.to_owned() };
        Some(Self { name, algorithm, sum, raw_name, escape })
    }

    /// The name without `./` before it.
    pub fn plain_name(&self) -> &[u8] {
        let mut name = &*self.name;
        while let Some(rest) = name.strip_prefix(b"./").filter(|rest| !rest.is_empty() && rest[0] != b'/') {
            name = rest;
        }
        name
    }
}

/// Where a line has its sum and its name: `sum  name`, `sum *name` or `sum name`.
fn plain(line: &[u8], start: usize) -> Option<(Range<usize>, Range<usize>)> {
    let length = line[start..].iter().position(|byte| !byte.is_ascii_hexdigit())?;
    let sum = start..start + length;
    let name = line.get(sum.end + 1..).filter(|name| is_blank(line[sum.end]) && !name.is_empty())?;
    // A name of one character has no mark before it.
    let mark = usize::from(name.len() > 1 && matches!(name[0], b' ' | b'*'));
    is_sum(&line[sum.clone()]).then(|| (sum.clone(), sum.end + 1 + mark..line.len()))
}

/// The algorithm, and where a line has its sum and its name: `MD5 (name) = sum`, with or without these spaces.
fn tagged(line: &[u8], start: usize) -> Option<(Option<Algorithm>, Range<usize>, Range<usize>)> {
    let open = start + line[start..].iter().position(|&byte| byte == b'(')?;
    let close = line.iter().rposition(|&byte| byte == b')').filter(|&close| close > open + 1)?;
    let tag = line[start..open].strip_suffix(b" ").unwrap_or(&line[start..open]);
    let is_tag = !tag.is_empty() && tag.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-/".contains(byte));
    let skip_blanks = |from: usize| from + line[from..].iter().take_while(|&&byte| is_blank(byte)).count();
    let equals = skip_blanks(close + 1);
    let sum = line.get(equals).filter(|&&byte| byte == b'=').map(|_| skip_blanks(equals + 1)..line.len())?;
    let algorithm = Algorithm::ALL.into_iter().find(|known| is_named(*known, tag));
    (is_tag && is_sum(&line[sum.clone()])).then_some((algorithm, sum, open + 1..close))
}

/// Whether this is the algorithm's name. OpenSSL 3 writes `SHA2-256` for `SHA256`.
fn is_named(algorithm: Algorithm, tag: &[u8]) -> bool {
    let sha2 = tag.strip_prefix(b"SHA2-").map(|bits| [b"SHA", bits].concat());
    algorithm.name().as_bytes() == sha2.as_deref().unwrap_or(tag)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_sum(text: &[u8]) -> bool {
    text.len() >= 32 && text.iter().all(u8::is_ascii_hexdigit)
}

fn escape(name: &str) -> String {
    name.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
}

/// Undoes the escapes. `None` if there are others than those of coreutils.
fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = name.iter();
    let mut plain = Vec::with_capacity(name.len());
    while let Some(&byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b'\\' => b'\\',
                _ => return None,
            },
            other => other,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    const OLD: &str = "d41d8cd98f00b204e9800998ecf8427e";
    const NEW: &str = "900150983cd24fb0d6963f7d28e17f72";

    fn parse(text: impl AsRef<[u8]>) -> SumsFile {
        SumsFile::parse(Algorithm::Md5, text.as_ref())
    }

    /// The file with these sums, as `publish` sets them.
    fn with(text: impl AsRef<[u8]>, sums: &[(&str, &str)]) -> String {
        let mut file = parse(text);
        set(&mut file, sums);
        String::from_utf8(file.text()).unwrap()
    }

    fn set(file: &mut SumsFile, sums: &[(&str, &str)]) {
        file.edit(|name, algorithm| {
            let known = sums.iter().find(|(known, _)| known.as_bytes() == name && algorithm == Some(Algorithm::Md5));
            known.map_or(Edit::Keep, |(_, sum)| Edit::Sum(sum))
        });
        file.add(sums.iter().copied());
    }

    fn remove(file: &mut SumsFile, gone: &str) {
        file.edit(|name, _| if name == gone.as_bytes() { Edit::Remove } else { Edit::Keep });
    }

    #[test]
    fn lines_of_other_files_stay_and_new_ones_are_ordered_by_name() {
        let mut file = parse(format!("{OLD} *a.iso\n{OLD}  c.iso\n# by hand\n"));
        set(&mut file, &[("b.iso", NEW), ("c.iso", NEW), ("d.iso", NEW)]);
        let expected = format!("{OLD} *a.iso\n{NEW} *b.iso\n{NEW}  c.iso\n{NEW}  d.iso\n# by hand\n");
        assert_eq!(file.text(), expected.as_bytes());
        remove(&mut file, "a.iso");
        assert_eq!(file.text(), &expected.as_bytes()[expected.find('\n').unwrap() + 1..]);
        assert_eq!(with("", &[("b", OLD), ("a", NEW)]), format!("{NEW}  a\n{OLD}  b\n"));
    }

    #[test]
    fn a_sums_file_is_staged_only_if_it_changes() {
        let place = tempfile::tempdir().unwrap();
        let out = OutputDirectory::open(place.path()).unwrap();
        let name = || file_name(Algorithm::Md5);
        let stage = |update: &dyn Fn(&mut SumsFile)| stage(&out, Algorithm::Md5, None, update).unwrap();
        assert_eq!(stage(&|_| ()), None);
        assert_eq!(stage(&|file| set(file, &[("a.iso", OLD)])), Some(Change::Publish(name())));
        out.commit(&[Change::Publish(name())]).unwrap();
        assert_eq!(stage(&|file| set(file, &[("a.iso", OLD)])), None);
        assert_eq!(stage(&|file| remove(file, "a.iso")), Some(Change::Remove(name())));
    }

    #[test]
    fn a_name_with_a_backslash_is_escaped_as_md5sum_does() {
        let text = with("", &[("a\\b c.iso", OLD)]);
        assert_eq!(text, format!("\\{OLD}  a\\\\b c.iso\n"));
        assert_eq!(parse(&text).entries().next().unwrap().name, b"a\\b c.iso");
    }

    #[test]
    fn sums_change_and_all_else_stays() {
        let text = format!(
            "# mine\r\n{OLD} *b.iso\n{OLD}  ./a.jigdo\nMD5 (c d.jigdo) = {OLD}\nMD5 (e) = {OLD}\n\\{OLD}  f\\\\g"
        );
        let sums = [("a.jigdo", NEW), ("c d.jigdo", NEW), ("f\\g", NEW)];
        let expected = text.replace(&format!("{OLD}  ./a"), &format!("{NEW}  ./a"));
        let expected = expected.replace(&format!("c d.jigdo) = {OLD}"), &format!("c d.jigdo) = {NEW}"));
        let expected = expected.replace(&format!("{OLD}  f"), &format!("{NEW}  f"));
        assert_eq!(with(&text, &sums), expected);
        let file = parse(&text);
        let names: Vec<_> = file.entries().map(|entry| String::from_utf8_lossy(entry.plain_name())).collect();
        assert_eq!(names, ["b.iso", "a.jigdo", "c d.jigdo", "e", "f\\g"]);
    }

    #[test]
    fn lines_of_names_that_are_no_text_or_no_line_stay_as_they_are() {
        let foreign = [
            &b"d41d8cd98f00b204e9800998ecf8427e  b\xfccher.iso\n"[..],
            format!("\\{OLD}  a\\nb\n<html>\n\n \nSM3 (x) = {OLD}{OLD}\ncut").as_bytes(),
        ]
        .concat();
        assert_eq!(parse(&foreign).text(), foreign);
        let mut file = parse(&foreign);
        set(&mut file, &[("z.iso", NEW)]);
        assert!(file.text().starts_with(&foreign[..foreign.len() - 3]));
        assert_eq!(file.lines().filter(|line| line.content == Content::Malformed).count(), 2);
    }

    #[test]
    fn new_lines_look_like_those_beside_them() {
        for (line, new) in [
            ("{OLD}  ./b\n", "{NEW}  ./c\\d\n"),
            ("{OLD} *b\r\n", "{NEW} *c\\d\r\n"),
            ("{OLD} b\n", "{NEW} c\\d\n"),
            ("MD5 (b) = {OLD}\n", "MD5 (c\\d) = {NEW}\n"),
            ("MD5(./b)= {OLD}\r\n", "MD5(./c\\d)= {NEW}\r\n"),
        ] {
            let filled = |text: &str| text.replace("{OLD}", OLD).replace("{NEW}", NEW);
            let (first, line, new) = (filled(&line.replace('b', "a")), filled(line), filled(new));
            let (plain, escaped) = (new.replace('\\', ""), format!("\\{}", new.replace('\\', "\\\\")));
            assert_eq!(with(&line, &[("cd", NEW)]), format!("{line}{plain}"));
            assert_eq!(with(&line, &[("c\\d", NEW)]), format!("{line}{escaped}"));
            // The last line may lack its end.
            let whole = format!("{first}{line}");
            let cut = whole.trim_end();
            assert_eq!(with(cut, &[("cd", NEW)]), format!("{whole}{plain}"));
            assert_eq!(with(cut, &[("b", OLD)]), cut);
        }
        // With one space only, this name would be read with a mark.
        assert_eq!(with(format!("{OLD} b\n"), &[("*c", NEW)]), format!("{NEW}  *c\n{OLD} b\n"));
        assert_eq!(with(format!("{OLD}  b\n{OLD}  a\n"), &[("aa", NEW)]), format!("{OLD}  b\n{OLD}  a\n{NEW}  aa\n"));
    }

    /// Lines about the empty file `a`: whether they can be read, and whether md5sum reads them.
    const LINES: &[(&str, bool, bool)] = &[
        ("{}  a", true, true),
        ("{} *a", true, true),
        ("{} a", true, true),
        ("{}\ta", true, true),
        ("{}  ./a", true, true),
        (" \t{}  a", true, true),
        ("{}  a\r", true, true),
        ("\\{}  a", true, true),
        ("MD5 (a) = {}", true, true),
        ("MD5(a)= {}", true, true),
        ("MD5 (a)={}", true, true),
        ("\\MD5 (a) = {}\r", true, true),
        ("  MD5 (a)  =  {}", true, true),
        // Here md5sum reads the lines of its own algorithm only.
        ("BLAKE2b-128 (a) = {}", true, false),
        ("MD5  (a) = {}", false, false),
        ("MD5 (a) = {} ", false, false),
        ("MD5 (a = {}", false, false),
        ("MD5 (a) {}", false, false),
        ("\\{}  a\\x", false, false),
        ("\\{}  a\\", false, false),
        ("{}", false, false),
        ("{} ", false, false),
        ("{}a", false, false),
        ("x{}  a", false, false),
        ("0{}", false, false),
        ("a {}", false, false),
        ("<html>", false, false),
        ("d41d8cd98f00b204  a", false, false),
        ("\u{feff}{}  a", false, false),
    ];

    #[test]
    fn lines_are_read_as_md5sum_reads_them() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("a"), "").unwrap();
        for &(line, is_read, md5sum_reads) in LINES {
            let line = line.replace("{}", OLD);
            let file = parse(&line);
            assert_eq!(file.text(), line.as_bytes());
            let entry = file.entries().next();
            assert_eq!(entry.map(Entry::plain_name), is_read.then_some(&b"a"[..]), "{line:?}");
            fs::write(place.path().join("MD5SUMS"), format!("{line}\n")).unwrap();
            let mut md5sum = Command::new("md5sum");
            md5sum.args(["--check", "--status", "--strict", "MD5SUMS"]).current_dir(place.path());
            if let Ok(status) = md5sum.stderr(std::process::Stdio::null()).status() {
                assert_eq!(status.success(), md5sum_reads, "{line:?}");
            }
        }
    }

    #[test]
    fn escaped_names_are_those_of_the_files() {
        let file = parse(format!("\\{OLD}  a\\nb\\r\\\\\n{OLD}  a\\b\n\\MD5 (a\\n)) = {OLD}\n"));
        let names: Vec<_> = file.entries().map(|entry| &*entry.name).collect();
        assert_eq!(names, [&b"a\nb\r\\"[..], b"a\\b", b"a\n)"]);
    }
}
