//! A jigdo file to which images, parts and servers are added. All its lines stay as they are, comments included, except
//! those of `[Parts]`: these become one sorted section at the end.

use std::collections::{BTreeSet, HashSet};
use std::io::Read;

use bstr::{BString, ByteSlice as _, ByteVec as _};

use super::reader::shown;
use super::text::{for_each_line, line_of};
use super::words::{self, quote_simply};
use super::writer::{HEADER, check_label, part_entry, printable, push_image, template_sum_key};
use super::{Error, Image, Location, WriteError};
use crate::Sum;
use crate::base64;

/// A jigdo file in the making, new or existing. [`Draft::default`] is an empty one.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// All lines but those of parts, without their line ends.
    lines: Vec<BString>,
    /// The entries of `[Parts]` in jigdo-file's order: each value followed by its key, and the value's length.
    parts: BTreeSet<(BString, usize)>,
    keys: HashSet<BString>,
}

/// The kinds of lines.
enum Line<'a> {
    /// The name of a section; empty if it is malformed.
    Section(&'a [u8]),
    /// A key and its value.
    Entry(&'a [u8], &'a [u8]),
    /// Empty, a comment, or malformed.
    Other,
}

impl<'a> Line<'a> {
    fn of(line: &'a [u8]) -> Self {
        let line = line.trim_ascii();
        if let Some(name) = line.strip_prefix(b"[") {
            let is_end = |after: &[u8]| matches!(after.trim_ascii().first(), None | Some(b'#'));
            let name = name.split_once_str("]").filter(|(_, after)| is_end(after));
            return Self::Section(name.map_or(b"", |(name, _)| name.trim_ascii()));
        }
        match line.split_once_str("=") {
            Some((key, value)) if !line.starts_with(b"#") => Self::Entry(key.trim_ascii(), value.trim_ascii()),
            _ => Self::Other,
        }
    }
}

impl Draft {
    /// Reads an existing file, compressed or not. Parts with the same sum and the same value become one.
    ///
    /// A line of `[Parts]` that is not an entry is left out, and passed to `complain` as an error.
    ///
    /// # Errors
    ///
    /// The input cannot be read or inflated, or is too long.
    pub fn read(input: impl Read, mut complain: impl FnMut(Error)) -> Result<Self, Error> {
        let mut draft = Self::default();
        let mut in_parts = false;
        for_each_line(input, |number, line| {
            let line = line_of(number, line).trim_end_with(|end| end == '\r');
            match Line::of(line) {
                Line::Section(name) => {
                    in_parts = name == b"Parts";
                    if !in_parts {
                        draft.lines.push(line.into());
                    }
                }
                Line::Entry(key, value) if in_parts => draft.insert(key.into(), value.into()),
                Line::Other if in_parts && line.trim_ascii().is_empty() => {}
                Line::Other if in_parts && !line.trim_ascii().starts_with(b"#") => {
                    complain(Error::NotAnEntry { line: number, text: shown(line) });
                }
                _ => draft.lines.push(line.into()),
            }
            Ok(())
        })?;
        Ok(draft)
    }

    fn insert(&mut self, key: BString, value: BString) {
        let length = value.len();
        self.parts.insert(([value, key.clone()].concat().into(), length));
        self.keys.insert(key);
    }

    /// Every label that has a server or a part in the file.
    pub fn labels(&self) -> BTreeSet<BString> {
        let servers = self.entries("Servers").map(|(_, label, _)| BString::from(label));
        let location = |value: &[u8]| words::split(value).ok()?.into_iter().next();
        let parts = self.parts.iter().filter_map(|(entry, length)| location(&entry[..*length]));
        servers
            .chain(parts.map(|location| Location::parse(&location).label))
            .filter(|label| !label.is_empty())
            .collect()
    }

    /// Whether the file has a location for the part with this sum.
    pub fn has_part(&self, sum: &Sum) -> bool {
        self.keys.contains(base64::encode(sum.as_bytes()).as_bytes())
    }

    /// Adds a location of a part.
    ///
    /// # Errors
    ///
    /// The format cannot hold it.
    pub fn add_part(&mut self, sum: &Sum, location: &Location) -> Result<(), WriteError> {
        let (key, value) = part_entry(sum, location, quote_simply)?;
        self.insert(key.into(), value);
        Ok(())
    }

    /// Writes the template's sum into the first `[Image]` entry for it that has no value. Returns whether there was one.
    pub fn fill_template_sum(&mut self, sum: &Sum) -> bool {
        let wanted = template_sum_key(sum);
        let mut entries = self.entries("Image");
        let Some(at) = entries.find(|(_, key, value)| *key == wanted.as_bytes() && value.is_empty()).map(|(at, ..)| at)
        else {
            return false;
        };
        drop(entries);
        let line = &mut self.lines[at];
        let value = line.find_byte(b'=').map_or(line.len(), |at| at + 1);
        line.insert_str(value, base64::encode(sum.as_bytes()));
        true
    }

    /// Adds an `[Image]` section after all others.
    ///
    /// # Errors
    ///
    /// The format cannot hold what it says.
    pub fn add_image(&mut self, image: &Image) -> Result<(), WriteError> {
        let mut text = BString::default();
        push_image(&mut text, image)?;
        self.close_section();
        self.lines.extend(text.trim_ascii_start().lines().map(BString::from));
        Ok(())
    }

    /// Adds a server of a label to the last `[Servers]` section, which is created if needed, unless the file already has
    /// this entry. `value` is written as it is, so it must be quoted already.
    ///
    /// # Errors
    ///
    /// The format cannot hold the label or the value.
    pub fn add_server(&mut self, label: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), WriteError> {
        let (label, value) = (label.as_ref(), value.as_ref());
        check_label(label)?;
        if !value.is_empty() {
            printable("a server", value)?;
        }
        if self.entries("Servers").any(|(_, known, has)| (known, has) == (label, value)) {
            return Ok(());
        }
        self.need_servers();
        let is_section = |line: &BString| matches!(Line::of(line), Line::Section(b"Servers"));
        let section = self.lines.iter().rposition(is_section).expect("there is one now");
        let entries = self.entries("Servers").map(|(at, ..)| at).filter(|&at| at > section);
        let next = entries.last().unwrap_or(section) + 1;
        self.lines.insert(next, [label, b"=", value].concat().into());
        Ok(())
    }

    /// Adds a `[Servers]` section if there is none.
    pub fn need_servers(&mut self) {
        if !self.has_section("Servers") {
            self.close_section();
            self.lines.push("[Servers]".into());
        }
    }

    /// The file's text. If it has no `[Jigdo]` section yet, one is added, with this version of the format (such as
    /// `1.2`) and this generator.
    pub fn to_text(&self, version: &str, generator: &str) -> BString {
        let mut text = BString::default();
        if self.lines.first().is_none_or(|line| !line.starts_with(b"# JigsawDownload")) {
            text.push_str(HEADER);
            text.push(b'\n');
        }
        let mut missing =
            (!self.has_section("Jigdo")).then(|| format!("[Jigdo]\nVersion={version}\nGenerator={generator}\n"));
        for line in &self.lines {
            if matches!(Line::of(line), Line::Section(_))
                && let Some(section) = missing.take()
            {
                text.push_str(&section);
                text.push(b'\n');
            }
            text.push_str(line);
            text.push(b'\n');
        }
        text.push_str(missing.unwrap_or_default());
        if !text.ends_with(b"\n\n") {
            text.push(b'\n');
        }
        text.push_str("[Parts]\n");
        for (entry, length) in &self.parts {
            let (value, key) = entry.split_at(*length);
            [key, b"=", value, b"\n"].iter().for_each(|piece| text.push_str(piece));
        }
        text
    }

    fn has_section(&self, name: &str) -> bool {
        self.lines.iter().any(|line| matches!(Line::of(line), Line::Section(found) if found == name.as_bytes()))
    }

    /// The entries of all sections with this name: line number from 0, key and value.
    fn entries<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (usize, &'a [u8], &'a [u8])> {
        let mut is_inside = false;
        self.lines.iter().enumerate().filter_map(move |(at, line)| match Line::of(line) {
            Line::Section(found) => {
                is_inside = found == name.as_bytes();
                None
            }
            Line::Entry(key, value) => is_inside.then_some((at, key, value)),
            Line::Other => None,
        })
    }

    /// Adds an empty line after the last section, if there is any.
    fn close_section(&mut self) {
        if self.lines.last().is_some_and(|line| !line.trim_ascii().is_empty()) {
            self.lines.push(BString::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Jigdo;
    use super::*;
    use crate::Checksum;
    use proptest::prelude::*;

    const MD5: &str = "nXb3pOcG17eayxE_uI2UCA";

    fn draft(text: &str) -> Draft {
        Draft::read(text.as_bytes(), |error| panic!("{error}")).unwrap()
    }

    fn text(draft: &Draft) -> String {
        String::from_utf8(draft.to_text("1.2", "jigpress/1").into()).unwrap()
    }

    fn sum(seed: &[u8]) -> Sum {
        Sum::of(Checksum::Md5, seed)
    }

    fn image() -> Image {
        Image { filename: "a b".into(), template: "t".into(), ..Image::default() }
    }

    fn location(text: &str) -> Location {
        Location::parse(text)
    }

    const JIGDO: &str = "[Jigdo]\nVersion=1.2\nGenerator=jigpress/1\n\n";

    #[test]
    fn a_new_file_has_all_sections_in_their_order() {
        let mut draft = Draft::default();
        draft.add_image(&image()).unwrap();
        draft.need_servers();
        draft.add_server("A", "http://s/ --try-last").unwrap();
        for (seed, place) in [(&b"1"[..], "B:x"), (b"2", "A:y #z"), (b"3", "A:it's")] {
            draft.add_part(&sum(seed), &location(place)).unwrap();
        }
        let [x, y, z] = [&b"1"[..], b"2", b"3"].map(|seed| base64::encode(sum(seed).as_bytes()));
        let expected = format!(
            "{HEADER}\n{JIGDO}[Image]\nFilename=\"a b\"\nTemplate=t\n\n[Servers]\nA=http://s/ --try-last\n\n\
             [Parts]\n{z}=\"A:it's\"\n{y}='A:y #z'\n{x}=B:x\n"
        );
        assert_eq!(text(&draft), expected);
        let read = Jigdo::read(text(&draft).as_bytes()).unwrap();
        assert_eq!((read.parts.len(), read.servers.len()), (3, 1));
        assert_eq!(
            text(&Draft::default()),
            format!("{HEADER}\n{}\n[Parts]\n", JIGDO.trim_end_matches('\n').to_owned() + "\n")
        );
    }

    #[test]
    fn what_somebody_wrote_stays_and_parts_go_to_the_end() {
        let before = format!(
            "# JigsawDownload\n# mine\n\n[Jigdo]\nVersion=1.0\r\n[Parts]\n# why\n{MD5}=B:x --opt\n\n{MD5}=A:y # z\n\
             {MD5}=B:x --opt\n[Servers]\n\nA = http://s/\n# more\n\n[Comment]\nit's = so\n[Include http://i/]"
        );
        let mut draft = draft(&before);
        draft.add_server("A", "http://s/").unwrap();
        draft.add_server("C", "file:c/").unwrap();
        let expected = format!(
            "# JigsawDownload\n# mine\n\n[Jigdo]\nVersion=1.0\n# why\n[Servers]\n\nA = http://s/\nC=file:c/\n# more\n\n\
             [Comment]\nit's = so\n[Include http://i/]\n\n[Parts]\n{MD5}=A:y # z\n{MD5}=B:x --opt\n"
        );
        assert_eq!(text(&draft), expected);
        assert_eq!(draft.labels().into_iter().collect::<Vec<_>>(), ["A", "B", "C"]);
        assert!(draft.has_part(&Sum::from_bytes(Checksum::Md5, &base64::decode(MD5).unwrap()).unwrap()));
    }

    #[test]
    fn the_first_empty_template_sum_is_filled() {
        let before =
            "[Foo]\nTemplate-MD5Sum=\n[Image]\nTemplate-MD5Sum=x\nTemplate-SHA256Sum=\n[Image]\n Template-MD5Sum = \n";
        let (mut md5, mut sha256) = (draft(before), draft(before));
        assert!(md5.fill_template_sum(&sum(b"")) && !md5.fill_template_sum(&sum(b"")));
        assert!(text(&md5).contains(&format!(
            "x\nTemplate-SHA256Sum=\n[Image]\n Template-MD5Sum ={} \n",
            base64::encode(sum(b"").as_bytes())
        )));
        assert!(sha256.fill_template_sum(&Sum::of(Checksum::Sha256, b"")));
        assert!(!text(&sha256).contains("SHA256Sum=\n"));
        assert!(!draft("# no image\n").fill_template_sum(&sum(b"")));
    }

    #[test]
    fn a_file_without_the_usual_beginning_gets_it() {
        let merged = text(&draft("\n[Servers]\nA=x\n"));
        assert_eq!(merged, format!("{HEADER}\n\n{JIGDO}[Servers]\nA=x\n\n[Parts]\n"));
    }

    #[test]
    fn a_line_of_parts_that_is_none_is_left_out_with_a_complaint() {
        let mut complaints = Vec::new();
        let draft = Draft::read(&b"[Parts]\njunk\n"[..], |error| complaints.push(error.to_string())).unwrap();
        assert!(!text(&draft).contains("junk"));
        assert!(complaints[0].contains("line 2"), "{complaints:?}");
        let latin = Draft::read(&b"# \xff\n[Servers]\nL\xe4=x\n"[..], |_| ()).unwrap();
        assert!(latin.to_text("1.2", "x").contains_str(b"# \xff\n"));
        assert!(latin.labels().contains(&b"L\xe4"[..]));
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused() {
        let mut draft = Draft::default();
        assert!(draft.add_server("A B", "x").is_err());
        assert!(draft.add_server("A", "x\ny").is_err());
        assert!(draft.add_part(&sum(b""), &location("A:x\ny")).is_err());
        assert!(draft.add_image(&Image::default()).is_err());
    }

    proptest! {
        #[test]
        fn any_text_stays_what_it_is_once_it_is_in_order(
            text in r#"(\[(Image|Parts|Servers|Jigdo|Include x|Comment)\]|AAAAAAAAAAAAAAAAAAAAAA|[a-zA-Z='"\\# \r\n-]){0,80}"#
        ) {
            let once = self::text(&Draft::read(text.as_bytes(), |_| ()).unwrap());
            let twice = self::text(&draft(&once));
            prop_assert_eq!(&once, &twice);
            let parts = |text: &str| {
                let mut parts = Jigdo::read_leniently(text.as_bytes(), |_| ()).unwrap().parts;
                parts.sort();
                parts.dedup();
                parts
            };
            prop_assert_eq!(parts(&text), parts(&once));
        }
    }
}
