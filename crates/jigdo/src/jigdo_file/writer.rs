//! Writes jigdo files in the one form that jigdo-file, jigdo-lite and jigit-mkimage all read.
//!
//! jigit-mkimage needs a certain first line, an empty line after the parts, and lines of parts shorter than 2048 bytes.
//! jigdo-lite reads `[Image]` line by line in a shell, without unquoting.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::words::quote;
use super::{Image, Jigdo, Location, Server};
use crate::base64;
use crate::{Algorithm, Sum};

/// A line of `[Parts]` must be shorter than this, in bytes. jigit-mkimage reads a longer one as two.
pub(super) const PART_LINE_LIMIT: usize = 2048;

/// The beginning of every jigdo file: jigit-mkimage reads no other.
pub(super) const HEADER: &str =
    "# JigsawDownload\n# See <https://www.einval.com/~steve/software/jigdo/> for details about jigdo\n";

/// The longest short information, in characters.
const MAX_SHORT_INFO: usize = 200;

/// The longest information, in characters.
const MAX_INFO: usize = 5000;

/// What a jigdo file cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum WriteError {
    #[error("{what} {text:?} has a control character, which a jigdo file cannot hold")]
    ControlCharacter { what: &'static str, text: String },
    #[error("{what} is empty")]
    Empty { what: &'static str },
    #[error("{what} {text:?} begins or ends with white space, which a reader would drop")]
    OuterSpace { what: &'static str, text: String },
    #[error("{what} has {length} characters, but may have at most {limit}")]
    TooLong { what: &'static str, length: usize, limit: usize },
    #[error("the line of part {location:?} has {length} bytes, but must have fewer than {PART_LINE_LIMIT}")]
    PartLine { location: String, length: usize },
    #[error(
        "label {0:?} cannot be told from the rest of its line: it is empty, or has a colon, an equals sign, white space, a quote, a backslash, # or ["
    )]
    Label(String),
    #[error("path {0:?} has no label, so what stands before its colon would be taken for one")]
    Unlabelled(String),
    #[error("the [Include] URL {0:?} has a space, which must be written as %20, or a ], which must be %5D")]
    Include(String),
}

impl Jigdo {
    /// The text of the file.
    ///
    /// # Errors
    ///
    /// The first value that the format cannot hold.
    pub fn to_text(&self) -> Result<String, WriteError> {
        let mut text = String::from(HEADER);
        if self.version.is_some() || self.generator.is_some() {
            text.push_str("\n[Jigdo]\n");
            for (key, value) in [("Version", &self.version), ("Generator", &self.generator)] {
                if let Some(value) = value {
                    push_entry(&mut text, key, &quote(printable(key, value)?));
                }
            }
        }
        if let Some(image) = &self.image {
            push_image(&mut text, image)?;
        }
        text.push_str("\n[Parts]\n");
        for (sum, location) in &self.parts {
            push_part(&mut text, sum, location)?;
        }
        text.push_str("\n[Servers]\n");
        for (label, server) in &self.servers {
            text.push_str(&server_line(label, server)?);
        }
        if !self.includes.is_empty() {
            text.push('\n');
        }
        for url in &self.includes {
            text.push_str(&include_line(url)?);
        }
        Ok(text)
    }
}

/// Compresses `text` to one gzip member. The bytes depend on `text` alone: the header has no name and no time.
///
/// A compressed jigdo file keeps its name: readers tell it by its content.
///
/// # Errors
///
/// None in practice: the output is in memory.
pub fn gzip(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder =
        flate2::GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

/// Appends an empty line and the section of `image`.
pub(super) fn push_image(text: &mut String, image: &Image) -> Result<(), WriteError> {
    text.push_str("\n[Image]\n");
    push_entry(text, "Filename", &quote(printable("the image's filename", &image.filename)?));
    push_entry(text, "Template", &quote(printable("the template's URL", &image.template)?));
    if let Some(sum) = &image.template_sum {
        push_entry(text, &template_sum_key(sum), &base64::encode(sum.as_bytes()));
    }
    for (key, value, limit) in [("ShortInfo", &image.short_info, MAX_SHORT_INFO), ("Info", &image.info, MAX_INFO)] {
        if let Some(value) = value {
            push_entry(text, key, info(key, value, limit)?);
        }
    }
    for comment in &image.comments {
        push(text, format_args!("# {}\n", trimmed("a comment", printable("a comment", comment)?)?));
    }
    Ok(())
}

/// The key of the entry for a template's sum of this kind.
pub(super) fn template_sum_key(sum: &Sum) -> String {
    format!("Template-{}Sum", Algorithm::from(sum.checksum()).name())
}

fn push_part(text: &mut String, sum: &Sum, location: &Location) -> Result<(), WriteError> {
    let (key, value) = part_entry(sum, location, quote)?;
    push_entry(text, &key, &value);
    Ok(())
}

/// The key and the value of a part's entry. `quote` quotes the value.
pub(super) fn part_entry(
    sum: &Sum,
    location: &Location,
    quote: fn(&str) -> String,
) -> Result<(String, String), WriteError> {
    printable("the path", &location.path)?;
    if location.label.is_empty() {
        if location.path.contains(':') {
            return Err(WriteError::Unlabelled(location.path.clone()));
        }
    } else {
        check_label(&location.label)?;
    }
    let location = location.to_string();
    let (key, value) = (base64::encode(sum.as_bytes()), quote(&location));
    let length = key.len() + 1 + value.len();
    if length >= PART_LINE_LIMIT { Err(WriteError::PartLine { location, length }) } else { Ok((key, value)) }
}

/// The line of `[Servers]` for one server of `label`, with its line end.
///
/// # Errors
///
/// A label or a URL that a line cannot hold.
pub fn server_line(label: &str, server: &Server) -> Result<String, WriteError> {
    check_label(label)?;
    let url = quote(printable("a server's URL", &server.url)?);
    let option = if server.try_last { " --try-last" } else { "" };
    Ok(format!("{label}={url}{option}\n"))
}

/// The line that includes another jigdo file, with its line end.
///
/// # Errors
///
/// A URL that such a line cannot hold.
pub fn include_line(url: &str) -> Result<String, WriteError> {
    let url = printable("an [Include] URL", url)?;
    if url.contains([' ', ']']) {
        return Err(WriteError::Include(url.to_owned()));
    }
    Ok(format!("[Include {url}]\n"))
}

fn push_entry(text: &mut String, key: &str, value: &str) {
    push(text, format_args!("{key}={value}\n"));
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a String takes every write");
}

/// `text`, unless it is empty or has control characters.
pub(super) fn printable<'a>(what: &'static str, text: &'a str) -> Result<&'a str, WriteError> {
    if text.is_empty() {
        return Err(WriteError::Empty { what });
    }
    if text.contains(char::is_control) {
        return Err(WriteError::ControlCharacter { what, text: text.to_owned() });
    }
    Ok(text)
}

/// `text`, unless readers that trim lines would change it.
fn trimmed<'a>(what: &'static str, text: &'a str) -> Result<&'a str, WriteError> {
    if text.trim_ascii() == text { Ok(text) } else { Err(WriteError::OuterSpace { what, text: text.to_owned() }) }
}

/// The value of an entry that readers neither split nor unquote, which may have at most `limit` characters.
fn info<'a>(key: &'static str, value: &'a str, limit: usize) -> Result<&'a str, WriteError> {
    let length = value.chars().count();
    if length > limit {
        return Err(WriteError::TooLong { what: key, length, limit });
    }
    trimmed(key, printable(key, value)?)
}

/// Checks whether a line can hold this label.
///
/// # Errors
///
/// The label is empty, or has a character that would end it early.
pub fn check_label(label: &str) -> Result<(), WriteError> {
    let ends_early = |character: char| {
        character.is_whitespace()
            || character.is_control()
            || [':', '=', '#', '"', '\'', '\\', '['].contains(&character)
    };
    if label.is_empty() || label.contains(ends_early) { Err(WriteError::Label(label.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::{image_size_comment, image_sum_comment};
    use super::*;
    use crate::Checksum;
    use proptest::prelude::*;

    fn image() -> Image {
        Image { filename: "a.iso".to_owned(), template: "a.template".to_owned(), ..Image::default() }
    }

    fn part(path: &str) -> (Sum, Location) {
        (Sum::of(Checksum::Md5, path.as_bytes()), Location { label: "A".to_owned(), path: path.to_owned() })
    }

    #[test]
    fn the_text_is_laid_out_as_every_reader_wants_it() {
        let sum = Sum::of(Checksum::Sha256, b"template");
        let comments = vec![image_sum_comment(Algorithm::Md5, &[0xab; 16]), image_size_comment(17)];
        let server = |url: &str, try_last| ("A".to_owned(), Server { url: url.to_owned(), try_last });
        let jigdo = Jigdo {
            version: Some("2.0".to_owned()),
            generator: Some("jigpress/1".to_owned()),
            image: Some(Image {
                template_sum: Some(sum),
                short_info: Some("it's # one".to_owned()),
                comments,
                ..image()
            }),
            parts: vec![part("pool/x y.deb")],
            servers: vec![server("http://s/", false), server("http://t/", true)],
            includes: vec!["http://i/j.jigdo".to_owned()],
        };
        let template_sum = base64::encode(sum.as_bytes());
        let part_sum = base64::encode(jigdo.parts[0].0.as_bytes());
        let expected = format!(
            "# JigsawDownload
# See <https://www.einval.com/~steve/software/jigdo/> for details about jigdo

[Jigdo]
Version=2.0
Generator=jigpress/1

[Image]
Filename=a.iso
Template=a.template
Template-SHA256Sum={template_sum}
ShortInfo=it's # one
# Image Hex MD5Sum abababababababababababababababab
# Image size 17 bytes

[Parts]
{part_sum}=\"A:pool/x y.deb\"

[Servers]
A=http://s/
A=http://t/ --try-last

[Include http://i/j.jigdo]
"
        );
        assert_eq!(jigdo.to_text().unwrap(), expected);
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused() {
        let with_image = |image| Jigdo { image: Some(image), ..Jigdo::default() }.to_text().unwrap_err().to_string();
        let with_path = |path: &str| Jigdo { parts: vec![part(path)], ..Jigdo::default() }.to_text();
        assert!(with_image(Image { filename: "a\nb".to_owned(), ..image() }).contains("control character"));
        assert!(with_image(Image { short_info: Some("ä".repeat(201)), ..image() }).contains("201 characters"));
        assert!(with_image(Image { info: Some("ä".repeat(5001)), ..image() }).contains("5001 characters"));
        assert!(with_image(Image { info: Some(" a".to_owned()), ..image() }).contains("white space"));
        assert!(with_image(Image { info: Some("a\nb".to_owned()), ..image() }).contains("control character"));
        assert!(with_path("a\nb").unwrap_err().to_string().contains("control character"));
        assert!(with_path("").unwrap_err().to_string().contains("empty"));
        // The sum and the label take 25 bytes.
        assert!(with_path(&"x".repeat(2047 - 25)).is_ok());
        assert!(with_path(&"x".repeat(2048 - 25)).unwrap_err().to_string().contains("2048 bytes"));
        let location = Location { label: "A B".to_owned(), path: "x".to_owned() };
        let jigdo = Jigdo { parts: vec![(part("x").0, location)], ..Jigdo::default() };
        assert!(jigdo.to_text().unwrap_err().to_string().contains("\"A B\""));
        let jigdo = Jigdo { includes: vec!["http://a b".to_owned()], ..Jigdo::default() };
        assert!(jigdo.to_text().unwrap_err().to_string().contains("%20"));
    }

    #[test]
    fn compressing_gives_the_same_bytes_every_time() {
        let first = gzip("text").unwrap();
        assert_eq!(first, gzip("text").unwrap());
        assert_eq!(first[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
    }

    fn arbitrary_jigdo() -> impl Strategy<Value = Jigdo> {
        let nasty = r#"[a-z/ #"'\\=:;$`\[\]äß漢]{1,30}"#;
        let url = r#"https?://[a-z #"'\\äß]{1,20}/"#;
        let info = prop::option::of(r#"[a-z#"'\\ä]([a-z #"'\\ä<>/]{0,30}[a-z#"'\\ä])?"#);
        let sum = (any::<bool>(), any::<u64>()).prop_map(|(sha256, seed)| {
            Sum::of(if sha256 { Checksum::Sha256 } else { Checksum::Md5 }, &seed.to_le_bytes())
        });
        let image = (nasty, nasty, prop::option::of(sum.clone()), info.clone(), info).prop_map(
            |(filename, template, template_sum, short_info, info)| Image {
                filename,
                template,
                template_sum,
                short_info,
                info,
                comments: vec![image_size_comment(5)],
            },
        );
        let location = ("[A-Z][a-zä]{0,5}", nasty).prop_map(|(label, path)| Location { label, path });
        let server = (url, any::<bool>()).prop_map(|(url, try_last)| Server { url, try_last });
        (
            prop::option::of(image),
            prop::collection::vec((sum, location), 0..10),
            prop::collection::vec(("[A-Z][a-zä]{0,5}", server), 0..5),
            prop::collection::vec("http://[a-z#'/]{1,20}", 0..3),
        )
            .prop_map(|(image, parts, servers, includes)| Jigdo {
                version: Some("2.0".to_owned()),
                generator: Some("jigpress/0.1.0".to_owned()),
                image,
                parts,
                servers,
                includes,
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(jigdo in arbitrary_jigdo(), packed: bool) {
            let text = jigdo.to_text().unwrap();
            let bytes = if packed { gzip(&text).unwrap() } else { text.into_bytes() };
            prop_assert_eq!(Jigdo::read(&*bytes).unwrap(), jigdo);
        }
    }
}
