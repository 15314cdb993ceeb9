//! SUMS files such as `MD5SUMS` and `SHA256SUMS`, in the format of `md5sum` and its siblings.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::ops::Range;

use jigdo::Algorithm;

use super::{Change, Error, OutputDirectory};

/// The name of the SUMS file for this algorithm.
pub fn file_name(algorithm: Algorithm) -> String {
    format!("{}SUMS", algorithm.name())
}

/// Stages the directory's SUMS file for this algorithm as `update` leaves it. Returns the change to commit; `None` if the
/// published file is up to date. A file without lines is removed.
///
/// # Errors
/// When the published file cannot be read, or the new one cannot be written.
pub fn stage(
    directory: &OutputDirectory,
    algorithm: Algorithm,
    update: impl FnOnce(&mut SumsFile),
) -> Result<Option<Change>, Error> {
    let name = file_name(algorithm);
    let path = directory.published(&name);
    let failed = |source| Error::Write { path: path.clone(), source };
    let before = match fs::read(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let mut sums = SumsFile::parse(before.as_deref().unwrap_or_default());
    update(&mut sums);
    let text = sums.text();
    match before {
        Some(before) if before == text => Ok(None),
        None if sums.is_empty() => Ok(None),
        Some(_) if sums.is_empty() => Ok(Some(Change::Remove(name))),
        _ => {
            let mut file = directory.stage(&name)?;
            file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
            Ok(Some(Change::Publish(name)))
        }
    }
}

/// The names of the files that a SUMS file lists, without a leading `./`.
pub fn listed(text: &[u8]) -> impl Iterator<Item = String> {
    text.split(|&byte| byte == b'\n').filter_map(|line| Some(plain_name(sum_of_line(line)?.1)))
}

/// A SUMS file with new sums, in hexadecimal, for some of the files that it lists. Everything else in it is kept.
pub fn with_sums(text: &[u8], sums: &BTreeMap<String, String>) -> Vec<u8> {
    let mut changed = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        match sum_of_line(bare).and_then(|(place, name)| Some((place, sums.get(&plain_name(name))?))) {
            Some((place, sum)) => {
                changed.extend([&line[..place.start], sum.as_bytes(), &line[place.end..]].concat());
            }
            None => changed.extend_from_slice(line),
        }
    }
    changed
}

fn plain_name(name: String) -> String {
    name.strip_prefix("./").map(str::to_owned).unwrap_or(name)
}

/// Where a line has its sum, and the file's name: `sum  name`, or `MD5 (name) = sum` as written by `--tag`.
fn sum_of_line(line: &[u8]) -> Option<(Range<usize>, String)> {
    let line = std::str::from_utf8(line).ok()?;
    if let Some((sum, name)) = parse_line(line) {
        let start = usize::from(line.starts_with('\\'));
        return Some((start..start + sum.len(), name));
    }
    let (head, sum) = line.rsplit_once(") = ")?;
    let (algorithm, name) = head.split_once(" (")?;
    let is_known = Algorithm::ALL.iter().any(|known| known.name() == algorithm);
    (is_known && is_sum(sum)).then(|| (line.len() - sum.len()..line.len(), name.to_owned()))
}

/// The lines of a SUMS file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SumsFile {
    /// Lines that are not a sum and a UTF-8 name. They are kept, and written first.
    others: Vec<Vec<u8>>,
    sums: BTreeMap<String, String>,
}

impl SumsFile {
    /// Parses a SUMS file. Lines that are not understood are kept as they are.
    pub fn parse(text: &[u8]) -> Self {
        let mut file = Self::default();
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            match std::str::from_utf8(line).ok().and_then(parse_line) {
                Some((sum, name)) => {
                    file.sums.insert(name, sum);
                }
                None => file.others.push(line.to_owned()),
            }
        }
        file
    }

    /// Sets the sum, in hexadecimal, of the file `name`.
    pub fn set(&mut self, name: &str, sum: &str) {
        self.sums.insert(name.to_owned(), sum.to_owned());
    }

    /// Removes the line of the file `name`.
    pub fn remove(&mut self, name: &str) {
        self.sums.remove(name);
    }

    /// The names with their sums, in hexadecimal, ordered by name.
    pub fn sums(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sums.iter().map(|(name, sum)| (&**name, &**sum))
    }

    /// Whether there are no lines.
    pub fn is_empty(&self) -> bool {
        self.others.is_empty() && self.sums.is_empty()
    }

    /// The file's content, ordered by name.
    pub fn text(&self) -> Vec<u8> {
        let others = self.others.iter().map(|line| [line, &b"\n"[..]].concat());
        others.chain(self.sums.iter().map(|(name, sum)| line(name, sum).into_bytes())).flatten().collect()
    }
}

/// A line as coreutils writes it: a backslash in the name is escaped, and the line then begins with one.
fn line(name: &str, sum: &str) -> String {
    match name.contains('\\') {
        true => format!("\\{sum}  {}\n", name.replace('\\', "\\\\")),
        false => format!("{sum}  {name}\n"),
    }
}

fn parse_line(line: &str) -> Option<(String, String)> {
    let (escaped, line) = line.strip_prefix('\\').map_or((false, line), |line| (true, line));
    let (sum, name) = line.split_once(' ')?;
    let name = name.strip_prefix([' ', '*'])?;
    let name = if escaped { unescape(name)? } else { name.to_owned() };
    (is_sum(sum) && !name.is_empty()).then(|| (sum.to_owned(), name))
}

fn is_sum(text: &str) -> bool {
    text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Undoes the escapes. `None` if there are others than the backslash's: such a name contains a line break, so it is not
/// one of our files.
fn unescape(name: &str) -> Option<String> {
    let mut pieces = name.split("\\\\");
    let is_plain = pieces.all(|piece| !piece.contains('\\'));
    is_plain.then(|| name.replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "d41d8cd98f00b204e9800998ecf8427e";
    const NEW: &str = "900150983cd24fb0d6963f7d28e17f72";

    #[test]
    fn lines_of_other_files_stay_and_all_are_ordered_by_name() {
        let mut file = SumsFile::parse(format!("{OLD}  c.iso\n{OLD} *a.iso\n# by hand\n").as_bytes());
        file.set("b.iso", NEW);
        file.set("c.iso", NEW);
        assert_eq!(file.text(), format!("# by hand\n{OLD}  a.iso\n{NEW}  b.iso\n{NEW}  c.iso\n").as_bytes());
        file.remove("a.iso");
        assert_eq!(file.text(), format!("# by hand\n{NEW}  b.iso\n{NEW}  c.iso\n").as_bytes());
    }

    #[test]
    fn a_sums_file_is_staged_only_if_it_changes() {
        let place = tempfile::tempdir().unwrap();
        let out = OutputDirectory::open(place.path()).unwrap();
        let name = || file_name(Algorithm::Md5);
        let stage = |update: &dyn Fn(&mut SumsFile)| stage(&out, Algorithm::Md5, update).unwrap();
        assert_eq!(stage(&|_| ()), None);
        assert_eq!(stage(&|file| file.set("a.iso", OLD)), Some(Change::Publish(name())));
        out.commit(&[Change::Publish(name())]).unwrap();
        assert_eq!(stage(&|file| file.set("a.iso", OLD)), None);
        assert_eq!(stage(&|file| file.remove("a.iso")), Some(Change::Remove(name())));
    }

    #[test]
    fn a_name_with_a_backslash_is_escaped_as_md5sum_does() {
        let mut file = SumsFile::default();
        file.set("a\\b c.iso", OLD);
        assert_eq!(file.text(), format!("\\{OLD}  a\\\\b c.iso\n").as_bytes());
        assert_eq!(SumsFile::parse(&file.text()), file);
    }

    #[test]
    fn sums_change_and_all_else_stays() {
        let text = format!(
            "# mine\r\n{OLD} *b.iso\n{OLD}  ./a.jigdo\nMD5 (c d.jigdo) = {OLD}\nMD5 (e) = {OLD}\n\\{OLD}  f\\\\g"
        );
        let sums = ["a.jigdo", "c d.jigdo", "f\\g"].map(|name| (name.to_owned(), NEW.to_owned()));
        let expected = text.replace(&format!("{OLD}  ./a"), &format!("{NEW}  ./a"));
        let expected = expected.replace(&format!("c d.jigdo) = {OLD}"), &format!("c d.jigdo) = {NEW}"));
        let expected = expected.replace(&format!("{OLD}  f"), &format!("{NEW}  f"));
        assert_eq!(String::from_utf8(with_sums(text.as_bytes(), &sums.into())).unwrap(), expected);
        let names: Vec<_> = listed(text.as_bytes()).collect();
        assert_eq!(names, ["b.iso", "a.jigdo", "c d.jigdo", "e", "f\\g"]);
    }

    #[test]
    fn lines_of_names_that_are_no_text_or_no_line_stay_as_they_are() {
        let foreign =
            [&b"d41d8cd98f00b204e9800998ecf8427e  b\xfccher.iso\n"[..], format!("\\{OLD}  a\\nb\n").as_bytes()]
                .concat();
        assert_eq!(SumsFile::parse(&foreign).text(), foreign);
    }
}
