//! Reads jigdo files line by line.

use std::io::{self, Read};

use bstr::{BString, ByteSlice as _};

use super::text::{MAX_LINE, MAX_TEXT, for_each_line, line_of};
use super::words;
use super::{Image, Jigdo, Location, Server};
use crate::base64;
use crate::{Algorithm, Checksum, Sum, escaped};

/// The highest major version of jigdo files that is known.
pub const MAX_VERSION: u64 = 2;

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
    #[error("this is not a jigdo file: it has no sections")]
    NoSections,
    #[error("line {line}: the name of the section has no closing ]")]
    OpenSection { line: u64 },
    #[error("line {line}: \"{text}\" follows the section's name", text = escaped(.text))]
    AfterSection { line: u64, text: BString },
    #[error("line {line}: [Include] without a URL")]
    EmptyInclude { line: u64 },
    #[error("line {line}: \"{text}\" is not an entry: it has no =", text = escaped(.text))]
    NotAnEntry { line: u64, text: BString },
    #[error(
        "line {line}: \"{key}\" is not the base64 of an MD5 (22 characters) or a SHA-256 (43 characters)",
        key = escaped(.key)
    )]
    BadSum { line: u64, key: BString },
    #[error(
        "line {line}: \"{value}\" is not the base64 of a {name} sum",
        value = escaped(.value), name = Algorithm::from(*.checksum).name()
    )]
    BadTemplateSum { line: u64, value: BString, checksum: Checksum },
    #[error("line {line}: nothing follows {key}=", key = escaped(.key))]
    EmptyValue { line: u64, key: BString },
    #[error("line {line}: it has version {version}, and only versions up to {MAX_VERSION}.x are known; get a newer program", version = escaped(.version))]
    Newer { line: u64, version: BString },
    #[error("line {line}: the [Image] section has no entry {key}")]
    MissingEntry { line: u64, key: &'static str },
}

impl Jigdo {
    /// Reads a jigdo file, gzip-compressed or not.
    ///
    /// Unknown sections and entries are skipped, and so are entries after an `[Include]` line. libjte quotes nothing, so
    /// a value is taken literally if libjte wrote the file, if the value has further words that are not options, or if a
    /// quote in it is never closed. An image that lacks an entry is an error only if all do: see
    /// [`Image::missing_entry`].
    ///
    /// # Errors
    ///
    /// Whatever is malformed, with its line; a version that is not known; a text longer than [`MAX_TEXT`], a line longer than [`MAX_LINE`].
    pub fn read(input: impl Read) -> Result<Self, Error> {
        let mut parser = Parser::default();
        for_each_line(input, |number, line| parser.take(number, line))?;
        parser.finish()
    }

    /// The same as jigdo-file reads it: what is malformed is skipped, a line, or all lines of a section whose name cannot
    /// be read, and each error is passed to `complain`. Missing entries of an image are no error. A value ends after its
    /// first word, unless libjte wrote the file; the end of a line closes a quote.
    ///
    /// # Errors
    ///
    /// The input cannot be read or inflated, or is too long.
    pub fn read_leniently(input: impl Read, mut complain: impl FnMut(Error)) -> Result<Self, Error> {
        let mut parser = Parser { as_jigdo_file: true, ..Parser::default() };
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
    /// Values are read as jigdo-file reads them.
    as_jigdo_file: bool,
    seen_section: bool,
    pub jigdo: Jigdo,
    /// The lines where the images' sections begin.
    image_lines: Vec<u64>,
}

#[derive(Default, Clone, Copy, PartialEq)]
pub(super) enum Section {
    #[default]
    None,
    Jigdo,
    Image,
    Parts,
    Servers,
    /// Comments, and sections that are not known.
    Ignored,
}

impl Parser {
    /// Parses a line as it is in the text.
    fn take(&mut self, number: u64, line: &[u8]) -> Result<(), Error> {
        self.line = number;
        self.line(line_of(number, line).trim_ascii())
    }

    /// Parses a line without the white space around it.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Error> {
        if let Some(name) = line.strip_prefix(b"[") {
            return self.section(name);
        }
        if let Some(comment) = line.strip_prefix(b"#") {
            self.comment(comment.trim_ascii());
            return Ok(());
        }
        if line.is_empty() || self.section == Section::Ignored {
            return Ok(());
        }
        let number = self.line;
        if self.section == Section::None {
            return Err(Error::NoSections);
        }
        let (key, value) =
            line.split_once_str("=").ok_or_else(|| Error::NotAnEntry { line: number, text: shown(line) })?;
        let (key, value) = (key.trim_ascii(), value.trim_ascii());
        match self.section {
            Section::Jigdo => self.jigdo_entry(key, value),
            Section::Image => self.image_entry(key, value),
            Section::Parts => self.part(key, value),
            Section::Servers => {
                self.server(key, value);
                Ok(())
            }
            Section::None | Section::Ignored => Ok(()),
        }
    }

    /// Parses what follows the `[` of a section's line.
    fn section(&mut self, name: &[u8]) -> Result<(), Error> {
        let line = self.line;
        // If the name is malformed, nobody knows which section was meant.
        self.section = Section::Ignored;
        let (name, after) = name.split_once_str("]").ok_or(Error::OpenSection { line })?;
        let after = after.trim_ascii();
        if !after.is_empty() && !after.starts_with(b"#") {
            return Err(Error::AfterSection { line, text: shown(after) });
        }
        self.seen_section = true;
        let name = name.trim_ascii();
        let includes = |rest: &&[u8]| matches!(rest.first(), None | Some(b' ' | b'\t'));
        if let Some(url) = name.strip_prefix(b"Include").filter(includes) {
            let url = url.trim_ascii();
            if url.is_empty() {
                return Err(Error::EmptyInclude { line });
            }
            self.jigdo.includes.push(url.into());
            // It ends the section before it and begins no other. jigdo-file ignores entries that follow.
            return Ok(());
        }
        self.section = match name {
            b"Jigdo" => Section::Jigdo,
            b"Parts" => Section::Parts,
            b"Servers" => Section::Servers,
            b"Image" => {
                self.jigdo.images.push(Image::default());
                self.image_lines.push(line);
                Section::Image
            }
            _ => Section::Ignored,
        };
        Ok(())
    }

    fn comment(&mut self, comment: &[u8]) {
        if self.section == Section::Image
            && !comment.is_empty()
            && let Some(image) = self.jigdo.images.last_mut()
        {
            image.comments.push(comment.into());
        }
    }

    fn jigdo_entry(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let word = self.words(value).into_iter().next();
        match key {
            b"Version" if self.jigdo.version.is_none() => self.jigdo.version = word,
            b"Generator" if self.jigdo.generator.is_none() => self.jigdo.generator = word,
            _ => return Ok(()),
        }
        // What a newer version changed is not known, so nothing in it can be relied on. A lenient reader's caller decides.
        match &self.jigdo.version {
            Some(version) if key == b"Version" && !self.as_jigdo_file && self.jigdo.is_newer() => {
                Err(Error::Newer { line: self.line, version: shown(version) })
            }
            _ => Ok(()),
        }
    }

    fn image_entry(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let text = || Some(BString::from(value)).filter(|value| !value.is_empty());
        let (location, sum) = match key {
            b"Filename" | b"Template" => (self.location(value).unwrap_or_default(), None),
            b"Template-MD5Sum" => (BString::default(), self.template_sum(value, Checksum::Md5)?),
            b"Template-SHA256Sum" => (BString::default(), self.template_sum(value, Checksum::Sha256)?),
            _ => Default::default(),
        };
        let Some(image) = self.jigdo.images.last_mut() else { return Ok(()) };
        match key {
            b"Filename" if image.filename.is_empty() => image.filename = location,
            b"Template" if image.template.is_empty() => image.template = location,
            b"Template-MD5Sum" => image.template_sum = image.template_sum.or(sum),
            b"Template-SHA256Sum" => image.template_sum = sum.or(image.template_sum),
            b"ShortInfo" if image.short_info.is_none() => image.short_info = text(),
            b"Info" if image.info.is_none() => image.info = text(),
            _ => {}
        }
        Ok(())
    }

    fn template_sum(&self, value: &[u8], checksum: Checksum) -> Result<Option<Sum>, Error> {
        let Some(word) = self.words(value).into_iter().next() else { return Ok(None) };
        let sum = base64::decode(&word).and_then(|bytes| Sum::from_bytes(checksum, &bytes));
        sum.map(Some).ok_or(Error::BadTemplateSum { line: self.line, value: shown(&word), checksum })
    }

    fn part(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let line = self.line;
        let bytes = base64::decode(key).unwrap_or_default();
        let sum = Sum::from_bytes(Checksum::Md5, &bytes)
            .or_else(|| Sum::from_bytes(Checksum::Sha256, &bytes))
            .ok_or_else(|| Error::BadSum { line, key: shown(key) })?;
        let location = self.location(value).ok_or_else(|| Error::EmptyValue { line, key: key.into() })?;
        self.jigdo.parts.push((sum, Location::parse(&location)));
        Ok(())
    }

    fn server(&mut self, label: &[u8], value: &[u8]) {
        let mut words = self.words(value).into_iter();
        // Without a URL, paths are relative to the jigdo file.
        let url = words.next().unwrap_or_default();
        let try_last = words.any(|option| option == "--try-last");
        self.jigdo.servers.push((label.into(), Server { url, try_last }));
    }

    /// The words of `value`. A value in which a quote is never closed was not quoted by whoever wrote it: it is one word.
    fn words(&self, value: &[u8]) -> Vec<BString> {
        match self.as_jigdo_file {
            true => words::split_as_jigdo_file(value),
            false => words::split(value).unwrap_or_else(|_| vec![value.into()]),
        }
    }

    /// The location or name in `value`; `None` if it is empty.
    pub fn location(&self, value: &[u8]) -> Option<BString> {
        let as_it_stands = || BString::from(value);
        let mut words = self.words(value);
        let location = if self.quotes_nothing() && !matches!(value.first(), Some(b'"' | b'\'')) {
            as_it_stands()
        } else {
            match words.get(1) {
                Some(second) if !second.starts_with(b"--") && !self.as_jigdo_file => as_it_stands(),
                _ if words.is_empty() => return None,
                _ => words.swap_remove(0),
            }
        };
        Some(location).filter(|location| !location.is_empty())
    }

    /// Whether the file was written by libjte, or by JTE, its predecessor.
    pub fn quotes_nothing(&self) -> bool {
        self.jigdo.generator.as_ref().is_some_and(|name| name.to_ascii_lowercase().contains_str("jte"))
    }

    /// Checks what is only known after the last line, and returns the whole file.
    pub fn finish(self) -> Result<Jigdo, Error> {
        if !self.seen_section {
            return Err(Error::NoSections);
        }
        let missing = self.jigdo.images.iter().map(Image::missing_entry);
        let mut incomplete = missing.zip(&self.image_lines);
        // An image that lacks an entry does not hold up the others.
        if let Some((Some(key), &line)) = incomplete.clone().next()
            && incomplete.all(|(missing, _)| missing.is_some())
        {
            return Err(Error::MissingEntry { line, key });
        }
        Ok(self.jigdo)
    }
}

/// The start of `text`, for a message.
pub(super) fn shown(text: &[u8]) -> BString {
    text[..text.len().min(100)].into()
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
        let paths: Vec<_> = jigdo.parts.iter().map(|(_, location)| location.path.to_string()).collect();
        assert_eq!(paths, ["one", "two"]);
        assert_eq!(jigdo.includes, ["http://x/y.jigdo"]);
        assert_eq!(jigdo.version.unwrap(), "1.2");
        let servers: Vec<_> =
            jigdo.servers.iter().map(|(_, server)| (server.url.to_string(), server.try_last)).collect();
        assert_eq!(servers, [("http://s/".to_owned(), false), ("http://t/".to_owned(), true)]);
    }

    #[test]
    fn every_image_counts_and_its_comments_are_kept() {
        let jigdo = read(&format!(
            "[Image]\n# Image size 5 bytes\nFilename=\"a b\"\nTemplate=t\nShortInfo='it's # so'\n#\n\
             Template-MD5Sum=lgIU-53Te-jV6NyA1A36Rg \n[Image]\n# one\nFilename=c\nInfo=more\nTemplate=u\n\
             [Parts]\n{MD5}=A:x\n[Image]\nTemplate=v\nFilename=d\n"
        ));
        let [first, second, third] = &jigdo.images[..] else { panic!("{:?}", jigdo.images) };
        assert_eq!((&first.filename, &first.info), (&"a b".into(), &None));
        assert_eq!(first.short_info.as_ref().unwrap(), "'it's # so'");
        assert_eq!(first.comments, ["Image size 5 bytes"]);
        assert!(first.template_sum.is_some() && second.template_sum.is_none());
        assert_eq!((&second.filename, &second.template), (&"c".into(), &"u".into()));
        assert_eq!(second.info.as_ref().unwrap(), "more");
        assert_eq!(second.comments, ["one"]);
        assert_eq!((&third.filename, &third.template, jigdo.parts.len()), (&"d".into(), &"v".into(), 1));
    }

    #[test]
    fn an_image_that_lacks_an_entry_does_not_hold_up_the_others() {
        let jigdo = read("[Image]\nTemplate=t\n[Image]\nFilename=a\nTemplate=u\n[Image]\nFilename=b\nTemplate=\n");
        let missing: Vec<_> = jigdo.images.iter().map(Image::missing_entry).collect();
        assert_eq!(missing, [Some("Filename"), None, Some("Template")]);
    }

    #[test]
    fn known_versions_are_read_and_a_lenient_reader_leaves_newer_ones_to_its_caller() {
        for version in ["1.0", "1.2", "2.0", "2.9", "2", "", "x", "-1", "2.x"] {
            assert!(!read(&format!("[Jigdo]\nVersion={version}\n")).is_newer(), "{version}");
        }
        let text = "[Jigdo]\nVersion=3.0\n";
        assert!(Jigdo::read_leniently(text.as_bytes(), |error| panic!("{error}")).unwrap().is_newer());
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
    fn a_value_that_nobody_quoted_is_taken_as_it_stands_or_as_jigdo_file_takes_it() {
        for (value, ours, as_jigdo_file) in [
            ("A:it's", "A:it's", "A:its"),
            ("\"A:x", "\"A:x", "A:x"),
            ("A:x\\", "A:x\\", "A:x"),
            ("A:x y", "A:x y", "A:x"),
            ("A:x # y", "A:x", "A:x"),
        ] {
            assert_eq!(location(value), ours);
            let text = format!("[Parts]\n{MD5}={value}\n");
            let read = Jigdo::read_leniently(text.as_bytes(), |error| panic!("{error}")).unwrap();
            assert_eq!(read.parts[0].1.text(), as_jigdo_file);
        }
    }

    #[test]
    fn a_label_without_a_url_has_its_paths_beside_the_jigdo_file() {
        let jigdo = read(&format!("[Parts]\n{MD5}=A:x/y\n[Servers]\nA=\nA= # here\n[Include i]\nA=http://no/\n"));
        assert_eq!(jigdo.urls(&jigdo.parts[0].1).unwrap(), ["x/y", "x/y"]);
    }

    #[test]
    fn texts_that_are_not_utf8_are_read() {
        let text = format!(
            "[J\u{e4}]\n[Jigdo]\nGenerator=K\u{e4}\n[Image]\n# \u{fc}\nFilename=\u{e4}\nTemplate='\u{f6} t'\nInfo=\u{df}\n[Parts]\n\
             {MD5}=\u{e4}:\"\u{f6} x\"\n[Servers]\n\u{e4}=http://\u{fc}/\n[Include \u{dc}]\n"
        );
        let latin1: Vec<u8> = text.chars().map(|character| character as u8).collect();
        for bytes in [gzip(&latin1).unwrap(), latin1] {
            let jigdo = Jigdo::read(&*bytes).unwrap();
            let image = &jigdo.images[0];
            assert_eq!((&image.filename[..], &image.template[..]), (&b"\xe4"[..], &b"\xf6 t"[..]));
            assert_eq!((&image.info.as_ref().unwrap()[..], &image.comments[0][..]), (&b"\xdf"[..], &b"\xfc"[..]));
            assert_eq!(jigdo.generator.as_ref().unwrap(), &b"K\xe4"[..]);
            assert_eq!(jigdo.urls(&jigdo.parts[0].1).unwrap(), [&b"http://\xfc/\xf6 x"[..]]);
            assert_eq!(jigdo.includes, [&b"\xdc"[..]]);
        }
    }

    #[test]
    fn what_follows_a_gzip_member_is_read_if_it_is_text_and_ignored_as_gzip_ignores_it_if_not() {
        let packed = gzip(&format!("[Parts]\n{MD5}=A:x\n")).unwrap();
        let more = gzip(&format!("{MD5}=A:y\n")).unwrap();
        for (after, parts) in [
            (&[0; 512][..], 1),
            (b"\0garbage", 1),
            (b"\x01\x02\x03", 1),
            (&more, 2),
            (&[&[0; 100][..], &more].concat(), 2),
            (b"# text\n[Servers]\n", 1),
        ] {
            let file = [&packed, after].concat();
            assert_eq!(Jigdo::read(&*file).unwrap().parts.len(), parts, "{after:?}");
        }
    }

    #[test]
    fn what_libjte_wrote_is_taken_as_it_stands() {
        let jigdo = read(&format!(
            "[Jigdo]\nGenerator=libjte-2.0.0\n[Image]\nFilename=stdio:it's.iso\nTemplate=t\n[Parts]\n\
             {MD5}=Debian:a #1 \"b\" it's\\.deb\n[Servers]\nDebian=http://s/ --try-last\n"
        ));
        assert_eq!(jigdo.parts[0].1.path, "a #1 \"b\" it's\\.deb");
        assert_eq!(jigdo.images[0].file_name(), "it's.iso");
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
            (format!("{image}junk\n"), "line 4: \"junk\" is not an entry"),
            (format!("{image}Template-MD5Sum=abc"), "line 4: \"abc\" is not the base64 of a MD5"),
            ("\n[Image]\nFilename=a\n".to_owned(), "line 2: the [Image] section has no entry Template"),
            ("[Image]\nTemplate=a\n".to_owned(), "line 1: the [Image] section has no entry Filename"),
            (
                "[Image]\nFilename=a\n[Image]\nTemplate=b\n".to_owned(),
                "line 1: the [Image] section has no entry Template",
            ),
            (format!("{image}[Jigdo]\nVersion=3.0\n"), "line 5: it has version 3.0"),
            ("[Jigdo]\nVersion='99' # x\n".to_owned(), "line 2: it has version 99"),
            ("[Jigdo]\nVersion=99999999999999999999999.1\n".to_owned(), "line 2: it has version"),
            ("[Parts]\nzzz=A:x".to_owned(), "line 2: \"zzz\" is not the base64"),
            (format!("[Parts]\n{MD5}="), "line 2: nothing follows"),
        ] {
            let error = refused(&text);
            assert!(error.contains(message), "{text:?}: {error}");
        }
        assert!(refused(b"[Parts]\n\nab\xff").contains("line 3: \"ab\\xff\" is not an entry"));
        let mut cut = gzip(&format!("{image}# {}\n", MD5.repeat(50))).unwrap();
        cut.truncate(cut.len() - 9);
        assert!(refused(cut).contains("gzip-compressed data are corrupt"));
    }

    #[test]
    fn a_lenient_reader_passes_over_what_is_malformed() {
        let text = format!(
            "junk\n[Parts]\n{MD5}=A:x\nabc=A:y\n[Servers] x\nA=http://no/\n[Servers]\nA=http://s/\nB\n[Image]\n"
        );
        let mut lines = Vec::new();
        let complain = |error: Error| lines.push(error.to_string());
        let jigdo = Jigdo::read_leniently(&*[text.as_bytes(), b"Info=\xff"].concat(), complain).unwrap();
        assert_eq!((jigdo.parts.len(), jigdo.servers.len()), (1, 1));
        let numbers: Vec<_> = lines.iter().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(numbers, ["this is not a jigdo file", "line 4", "line 5", "line 9"]);
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
