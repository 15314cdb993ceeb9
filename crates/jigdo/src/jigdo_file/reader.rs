//! Reads jigdo files line by line.

use std::io::{self, Read};

use super::text::{MAX_LINE, MAX_TEXT, for_each_line, line_of};
use super::words::{self, BadQuoting};
use super::{Image, Jigdo, Location, Server};
use crate::base64;
use crate::{Algorithm, Checksum, Sum};

/// What is wrong with a jigdo file. Lines are counted from 1 in the uncompressed text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum Error {
    #[error("line {line}: {source}")]
    Io { line: u64, source: io::Error },
    #[error("line {line}: the gzip-compressed data are corrupt: {source}")]
    Corrupt { line: u64, source: io::Error },
    #[error("the text is longer than {MAX_TEXT} bytes")]
    TooLong,
    #[error("line {line}: the line is longer than {MAX_LINE} bytes")]
    LongLine { line: u64 },
    #[error("line {line}: byte {column} of the line is not UTF-8")]
    NotUtf8 { line: u64, column: usize },
    #[error("this is not a jigdo file: it has no sections")]
    NoSections,
    #[error("line {line}: the name of the section has no closing ]")]
    OpenSection { line: u64 },
    #[error("line {line}: {text:?} follows the section's name")]
    AfterSection { line: u64, text: String },
    #[error("line {line}: [Include] without a URL")]
    EmptyInclude { line: u64 },
    #[error("line {line}: an entry outside of any section")]
    OutsideSection { line: u64 },
    #[error("line {line}: {text:?} is not an entry: it has no =")]
    NotAnEntry { line: u64, text: String },
    #[error("line {line}: {source}")]
    BadQuoting { line: u64, source: BadQuoting },
    #[error("line {line}: {key:?} is not the base64 of an MD5 (22 characters) or a SHA-256 (43 characters)")]
    BadSum { line: u64, key: String },
    #[error("line {line}: {value:?} is not the base64 of a {name} sum", name = Algorithm::from(*.checksum).name())]
    BadTemplateSum { line: u64, value: String, checksum: Checksum },
    #[error("line {line}: nothing follows {key}=")]
    EmptyValue { line: u64, key: String },
    #[error("line {line}: the [Image] section has no entry {key}")]
    MissingEntry { line: u64, key: &'static str },
}

impl Jigdo {
    /// Reads a jigdo file, gzip-compressed or not.
    ///
    /// Unknown sections and entries are skipped. libjte quotes nothing, so a value is taken literally if libjte wrote
    /// the file, or if the value has further words that are not options.
    ///
    /// # Errors
    ///
    /// Whatever is malformed, with its line; a text longer than [`MAX_TEXT`], a line longer than [`MAX_LINE`].
    pub fn read(input: impl Read) -> Result<Self, Error> {
        let mut parser = Parser::default();
        for_each_line(input, |number, line| parser.take(number, line))?;
        parser.finish()
    }

    /// The same, but skips what is malformed: a line, or all lines of a section whose name cannot be read. Each error is
    /// passed to `complain`. Missing entries of an image are no error.
    ///
    /// # Errors
    ///
    /// The input cannot be read or inflated, or is too long.
    pub fn read_leniently(input: impl Read, mut complain: impl FnMut(Error)) -> Result<Self, Error> {
        let mut parser = Parser::default();
        for_each_line(input, |number, line| {
            if let Err(error) = parser.take(number, line) {
                complain(error);
            }
            Ok(())
        })?;
        Ok(parser.jigdo)
    }
}

/// Parses a jigdo file line by line.
#[derive(Default)]
pub(super) struct Parser {
    /// The number of the current line.
    pub line: u64,
    pub section: Section,
    seen_section: bool,
    pub jigdo: Jigdo,
    /// Where the first `[Image]` begins.
    image_line: u64,
}

#[derive(Default, Clone, Copy, PartialEq)]
pub(super) enum Section {
    #[default]
    None,
    Jigdo,
    Image,
    Parts,
    Servers,
    /// Comments, later images, and sections that are not known.
    Ignored,
}

impl Parser {
    /// Parses a line as it is in the text.
    fn take(&mut self, number: u64, line: &[u8]) -> Result<(), Error> {
        self.line = number;
        self.line(line_of(number, line)?.trim_ascii())
    }

    /// Parses a line without the white space around it.
    pub fn line(&mut self, line: &str) -> Result<(), Error> {
        if let Some(name) = line.strip_prefix('[') {
            return self.section(name);
        }
        if let Some(comment) = line.strip_prefix('#') {
            self.comment(comment.trim_ascii());
            return Ok(());
        }
        if line.is_empty() || self.section == Section::Ignored {
            return Ok(());
        }
        let number = self.line;
        if self.section == Section::None {
            // A file that is not a jigdo file at all gets the more helpful message.
            return Err(if self.seen_section { Error::OutsideSection { line: number } } else { Error::NoSections });
        }
        let (key, value) = line.split_once('=').ok_or_else(|| Error::NotAnEntry { line: number, text: shown(line) })?;
        let (key, value) = (key.trim_ascii(), value.trim_ascii());
        match self.section {
            Section::Jigdo => self.jigdo_entry(key, value),
            Section::Image => self.image_entry(key, value),
            Section::Parts => self.part(key, value),
            Section::Servers => self.server(key, value),
            Section::None | Section::Ignored => Ok(()),
        }
    }

    /// Parses what follows the `[` of a section's line.
    fn section(&mut self, name: &str) -> Result<(), Error> {
        let line = self.line;
        // If the name is malformed, nobody knows which section was meant.
        self.section = Section::Ignored;
        let (name, after) = name.split_once(']').ok_or(Error::OpenSection { line })?;
        let after = after.trim_ascii();
        if !after.is_empty() && !after.starts_with('#') {
            return Err(Error::AfterSection { line, text: shown(after) });
        }
        self.seen_section = true;
        let name = name.trim_ascii();
        if let Some(url) = name.strip_prefix("Include").filter(|url| url.is_empty() || url.starts_with([' ', '\t'])) {
            let url = url.trim_ascii();
            if url.is_empty() {
                return Err(Error::EmptyInclude { line });
            }
            self.jigdo.includes.push(url.to_owned());
            // It ends the section before it and begins no other.
            self.section = Section::None;
            return Ok(());
        }
        self.section = match name {
            "Jigdo" => Section::Jigdo,
            "Parts" => Section::Parts,
            "Servers" => Section::Servers,
            "Image" if self.jigdo.image.is_none() => {
                self.jigdo.image = Some(Image::default());
                self.image_line = line;
                Section::Image
            }
            _ => Section::Ignored,
        };
        Ok(())
    }

    fn comment(&mut self, comment: &str) {
        if self.section == Section::Image
            && !comment.is_empty()
            && let Some(image) = &mut self.jigdo.image
        {
            image.comments.push(comment.to_owned());
        }
    }

    fn jigdo_entry(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let word = self.words(value)?.into_iter().next();
        match key {
            "Version" if self.jigdo.version.is_none() => self.jigdo.version = word,
            "Generator" if self.jigdo.generator.is_none() => self.jigdo.generator = word,
            _ => {}
        }
        Ok(())
    }

    fn image_entry(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let text = || Some(value.to_owned()).filter(|value| !value.is_empty());
        let (location, sum) = match key {
            "Filename" | "Template" => (self.location(value)?.unwrap_or_default(), None),
            "Template-MD5Sum" => (String::new(), self.template_sum(value, Checksum::Md5)?),
            "Template-SHA256Sum" => (String::new(), self.template_sum(value, Checksum::Sha256)?),
            _ => Default::default(),
        };
        let Some(image) = &mut self.jigdo.image else { return Ok(()) };
        match key {
            "Filename" if image.filename.is_empty() => image.filename = location,
            "Template" if image.template.is_empty() => image.template = location,
            "Template-MD5Sum" => image.template_sum = image.template_sum.or(sum),
            "Template-SHA256Sum" => image.template_sum = sum.or(image.template_sum),
            "ShortInfo" if image.short_info.is_none() => image.short_info = text(),
            "Info" if image.info.is_none() => image.info = text(),
            _ => {}
        }
        Ok(())
    }

    fn template_sum(&self, value: &str, checksum: Checksum) -> Result<Option<Sum>, Error> {
        let Some(word) = self.words(value)?.into_iter().next() else { return Ok(None) };
        let sum = base64::decode(&word).and_then(|bytes| Sum::from_bytes(checksum, &bytes));
        sum.map(Some).ok_or(Error::BadTemplateSum { line: self.line, value: shown(&word), checksum })
    }

    fn part(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let line = self.line;
        let bytes = base64::decode(key).unwrap_or_default();
        let sum = Sum::from_bytes(Checksum::Md5, &bytes)
            .or_else(|| Sum::from_bytes(Checksum::Sha256, &bytes))
            .ok_or_else(|| Error::BadSum { line, key: shown(key) })?;
        let location = self.location(value)?.ok_or_else(|| Error::EmptyValue { line, key: key.to_owned() })?;
        self.jigdo.parts.push((sum, Location::parse(&location)));
        Ok(())
    }

    fn server(&mut self, label: &str, value: &str) -> Result<(), Error> {
        let mut words = self.words(value)?.into_iter();
        let empty = || Error::EmptyValue { line: self.line, key: shown(label) };
        let url = words.next().filter(|url| !url.is_empty()).ok_or_else(empty)?;
        let try_last = words.any(|option| option == "--try-last");
        self.jigdo.servers.push((label.to_owned(), Server { url, try_last }));
        Ok(())
    }

    fn words(&self, value: &str) -> Result<Vec<String>, Error> {
        words::split(value).map_err(|source| Error::BadQuoting { line: self.line, source })
    }

    /// The location or name in `value`; `None` if it is empty.
    pub fn location(&self, value: &str) -> Result<Option<String>, Error> {
        let as_it_stands = || Ok(Some(value.to_owned()).filter(|value| !value.is_empty()));
        if self.quotes_nothing() && !value.starts_with(['"', '\'']) {
            return as_it_stands();
        }
        let mut words = self.words(value)?;
        match words.get(1) {
            Some(second) if !second.starts_with("--") => as_it_stands(),
            _ if words.is_empty() => Ok(None),
            _ => Ok(Some(words.swap_remove(0)).filter(|word| !word.is_empty())),
        }
    }

    /// Whether the file was written by libjte, or by JTE, its predecessor.
    pub fn quotes_nothing(&self) -> bool {
        self.jigdo.generator.as_ref().is_some_and(|name| name.to_ascii_lowercase().contains("jte"))
    }

    /// Checks what is only known after the last line, and returns the whole file.
    pub fn finish(self) -> Result<Jigdo, Error> {
        if !self.seen_section {
            return Err(Error::NoSections);
        }
        if let Some(image) = &self.jigdo.image {
            for (key, value) in [("Filename", &image.filename), ("Template", &image.template)] {
                if value.is_empty() {
                    return Err(Error::MissingEntry { line: self.image_line, key });
                }
            }
        }
        Ok(self.jigdo)
    }
}

/// The start of `text`, for a message.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::super::writer::gzip;
    use super::*;
    use proptest::prelude::*;

    const MD5: &str = "nXb3pOcG17eayxE_uI2UCA";

    fn read(text: &str) -> Jigdo {
        Jigdo::read(text.as_bytes()).unwrap()
    }

    fn refused(text: impl AsRef<[u8]>) -> String {
        Jigdo::read(text.as_ref()).expect_err("must be refused").to_string()
    }

    /// The location that a file of one part gives it.
    fn location(value: &str) -> String {
        read(&format!("[Parts]\n{MD5}={value}\n")).parts[0].1.to_string()
    }

    #[test]
    fn sections_may_be_spaced_repeated_commented_and_unknown() {
        let jigdo = read(&format!(
            "\u{feff}# JigsawDownload\r\n [ Parts ] # first\r\n  {MD5} =  A:one \t\n[Comment]\nit's \"text\n\
             [Foo]\nnot an entry\n[Parts]\n{MD5}=A:two # here\n[Servers]\n A = http://s/\n[comment]\nx\n\
             [Include http://x/y.jigdo]\n[Servers]\nA=http://t/ --try-last\n[Jigdo]\nVersion=1.2"
        ));
        let paths: Vec<_> = jigdo.parts.iter().map(|(_, location)| &*location.path).collect();
        assert_eq!(paths, ["one", "two"]);
        assert_eq!(jigdo.includes, ["http://x/y.jigdo"]);
        assert_eq!(jigdo.version.as_deref(), Some("1.2"));
        let servers: Vec<_> = jigdo.servers.iter().map(|(_, server)| (&*server.url, server.try_last)).collect();
        assert_eq!(servers, [("http://s/", false), ("http://t/", true)]);
    }

    #[test]
    fn only_the_first_image_counts_and_its_comments_are_kept() {
        let image = read(
            "[Image]\n# Image size 5 bytes\nFilename=\"a b\"\nTemplate=t\nShortInfo='it's # so'\n#\n\
             Template-MD5Sum=lgIU-53Te-jV6NyA1A36Rg \n[Image]\n# no\nFilename=c\nInfo=no",
        )
        .image
        .unwrap();
        assert_eq!((&*image.filename, image.short_info.as_deref(), image.info), ("a b", Some("'it's # so'"), None));
        assert_eq!(image.comments, ["Image size 5 bytes"]);
        assert!(image.template_sum.is_some());
    }

    #[test]
    fn values_are_unquoted_and_unquoted_spaces_are_taken_as_they_stand() {
        assert_eq!(location("\"A:a \\\"b\\\" #1\""), "A:a \"b\" #1");
        assert_eq!(location("A:foo --later x"), "A:foo");
        assert_eq!(location("A:foo bar.deb"), "A:foo bar.deb");
        assert_eq!(location("A:foo#bar"), "A:foo");
        assert_eq!(location("http://some.where/x"), "http://some.where/x");
        assert_eq!(location("part0"), "part0");
    }

    #[test]
    fn what_libjte_wrote_is_taken_as_it_stands() {
        let jigdo = read(&format!(
            "[Jigdo]\nGenerator=libjte-2.0.0\n[Image]\nFilename=stdio:it's.iso\nTemplate=t\n[Parts]\n\
             {MD5}=Debian:a #1 \"b\" it's\\.deb\n[Servers]\nDebian=http://s/ --try-last\n"
        ));
        assert_eq!(jigdo.parts[0].1.path, "a #1 \"b\" it's\\.deb");
        assert_eq!(jigdo.image.as_ref().unwrap().file_name(), "it's.iso");
        assert!(jigdo.servers[0].1.try_last);
    }

    #[test]
    fn plain_and_compressed_pieces_follow_one_another_in_any_order() {
        let [a, b, c, d] = ["[Par", "ts]\n", &format!("{MD5}=A:x\n"), "[Servers]\nA=http://s/\n"];
        let pieces = [gzip(a).unwrap(), b.into(), gzip(c).unwrap(), gzip("").unwrap(), d.into()];
        let jigdo = Jigdo::read(&*pieces.concat()).unwrap();
        assert_eq!((jigdo.parts.len(), jigdo.servers.len()), (1, 1));
    }

    #[test]
    fn what_is_malformed_is_refused_with_its_line() {
        let image = "[Image]\nFilename=a\nTemplate=b\n";
        for (text, message) in [
            (String::new(), "no sections"),
            ("\x7fELF something".to_owned(), "no sections"),
            ("\n[Parts\n".to_owned(), "line 2: the name of the section has no closing ]"),
            ("[Parts] x\n".to_owned(), "line 1: \"x\" follows"),
            ("[Include ]\n".to_owned(), "line 1: [Include] without"),
            ("[Include a]\nb=c".to_owned(), "line 2: an entry outside of any section"),
            (format!("{image}junk\n"), "line 4: \"junk\" is not an entry"),
            (format!("{image}Template-MD5Sum=abc"), "line 4: \"abc\" is not the base64 of a MD5"),
            ("\n[Image]\nFilename=a\n".to_owned(), "line 2: the [Image] section has no entry Template"),
            ("[Image]\nTemplate=a\n".to_owned(), "line 1: the [Image] section has no entry Filename"),
            ("[Parts]\nzzz=A:x".to_owned(), "line 2: \"zzz\" is not the base64"),
            (format!("[Parts]\n{MD5}="), "line 2: nothing follows"),
            (format!("[Parts]\n{MD5}=\"A:x"), "line 2: the \" quote is never closed"),
            (format!("[Parts]\n{MD5}=A:it's"), "line 2: the ' quote is never closed"),
            (format!("[Parts]\n{MD5}=A:x\\"), "line 2: a backslash at the end"),
            ("[Servers]\nA=\n".to_owned(), "line 2: nothing follows A="),
        ] {
            let error = refused(&text);
            assert!(error.contains(message), "{text:?}: {error}");
        }
        assert!(refused(b"[Parts]\n\nab\xff").contains("line 3: byte 3 of the line is not UTF-8"));
        let mut cut = gzip(&format!("{image}# {}\n", MD5.repeat(50))).unwrap();
        cut.truncate(cut.len() - 9);
        assert!(refused(cut).contains("gzip-compressed data are corrupt"));
    }

    #[test]
    fn a_lenient_reader_passes_over_what_is_malformed() {
        let text = format!(
            "junk\n[Parts]\n{MD5}=A:x\nabc=A:y\n[Servers] x\nA=http://no/\n[Servers]\nA=http://s/\nB=\n[Image]\n"
        );
        let mut lines = Vec::new();
        let complain = |error: Error| lines.push(error.to_string());
        let jigdo = Jigdo::read_leniently(&*[text.as_bytes(), b"Info=\xff"].concat(), complain).unwrap();
        assert_eq!((jigdo.parts.len(), jigdo.servers.len()), (1, 1));
        let numbers: Vec<_> = lines.iter().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(numbers, ["this is not a jigdo file", "line 4", "line 5", "line 9", "line 11"]);
        assert!(Jigdo::read_leniently(&gzip(&text).unwrap()[..30], |_| ()).is_err());
    }

    #[test]
    fn bombs_are_refused() {
        let zeros = vec![b'0'; MAX_LINE as usize + 1];
        assert!(refused(&zeros).contains("line is longer than 1048576"));
        let line = format!("#{}\n", "x".repeat(1 << 19));
        let member = gzip(&line.repeat(16)).unwrap();
        assert!(refused(member.repeat(40)).contains("text is longer than 268435456"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn no_text_panics(text in r#"(\[(Image|Parts|Servers|Jigdo|Include x|Comment)\]|[a-zA-Z='"\\# \n-]){0,80}"#) {
            let _ = Jigdo::read(text.as_bytes());
        }

        #[test]
        fn no_mutation_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), packed: bool) {
            let text = include_str!("../../../../testdata/vectors/jigdo-file-v1-gzip.jigdo");
            let mut bytes = if packed { gzip(text).unwrap() } else { text.as_bytes().to_vec() };
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let _ = Jigdo::read(&*bytes);
        }
    }
}
