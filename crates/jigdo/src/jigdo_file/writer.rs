//! Writes jigdo files in the one form that jigdo-file, jigdo-lite and jigit-mkimage all read.
//!
//! jigit-mkimage needs a certain first line, an empty line after the parts, and lines of parts shorter than 2048 bytes.
//! jigdo-lite reads `[Image]` line by line in a shell, without unquoting.

use std::io::{self, Write as _};

use bstr::{BString, ByteSlice as _, ByteVec as _};

use super::words::quote;
use super::{Image, Jigdo, Location, Server};
use crate::base64;
use crate::{Algorithm, Checksum, Sum, escaped};

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
    #[error("{what} \"{text}\" has a control character, which a jigdo file cannot hold", text = escaped(.text))]
    ControlCharacter { what: &'static str, text: BString },
    #[error("{what} is empty")]
    Empty { what: &'static str },
    #[error("{what} \"{text}\" begins or ends with white space, which a reader would drop", text = escaped(.text))]
    OuterSpace { what: &'static str, text: BString },
    #[error("{what} has {length} characters, but may have at most {limit}")]
    TooLong { what: &'static str, length: usize, limit: usize },
    #[error("the line of part \"{location}\" has {length} bytes, but must have fewer than {PART_LINE_LIMIT}")]
    PartLine { location: Location, length: usize },
    #[error(
        "label \"{label}\" cannot be told from the rest of its line: it is empty, or has a colon, an equals sign, white space, a quote, a backslash, # or [",
        label = escaped(.0)
    )]
    Label(BString),
    #[error("path \"{}\" has no label, so what stands before its colon would be taken for one", escaped(.0))]
    Unlabelled(BString),
    #[error(
        "the [Include] URL \"{}\" has a space, which must be written as %20, or a ], which must be %5D",
        escaped(.0)
    )]
    Include(BString),
}

impl Jigdo {
    /// The text of the file.
    ///
    /// # Errors
    ///
    /// The first value that the format cannot hold.
    pub fn to_text(&self) -> Result<BString, WriteError> {
        let mut text = BString::from(HEADER);
        if self.version.is_some() || self.generator.is_some() {
            text.push_str(b"\n[Jigdo]\n");
            for (key, value) in [("Version", &self.version), ("Generator", &self.generator)] {
                if let Some(value) = value {
                    push_entry(&mut text, key, &quote(printable(key, value)?));
                }
            }
        }
        for image in &self.images {
            push_image(&mut text, image)?;
        }
        text.push_str(b"\n[Parts]\n");
        for (sum, location) in &self.parts {
            push_part(&mut text, sum, location)?;
        }
        text.push_str(b"\n[Servers]\n");
        for (label, server) in &self.servers {
            text.push_str(&server_line(label, server)?);
        }
        if !self.includes.is_empty() {
            text.push(b'\n');
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
pub fn gzip(text: &(impl AsRef<[u8]> + ?Sized)) -> io::Result<Vec<u8>> {
    let mut encoder =
        flate2::GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_ref())?;
    encoder.finish()
}

/// Appends an empty line and the section of `image`.
pub(super) fn push_image(text: &mut BString, image: &Image) -> Result<(), WriteError> {
    text.push_str(b"\n[Image]\n");
    push_entry(text, "Filename", &quote(printable("the image's filename", &image.filename)?));
    push_entry(text, "Template", &quote(printable("the template's URL", &image.template)?));
    if let Some(sum) = &image.template_sum {
        push_entry(text, &template_sum_key(sum), base64::encode(sum.as_bytes()).as_bytes());
    }
    for (key, value, limit) in [("ShortInfo", &image.short_info, MAX_SHORT_INFO), ("Info", &image.info, MAX_INFO)] {
        if let Some(value) = value {
            push_entry(text, key, info(key, value, limit)?);
        }
    }
    for comment in &image.comments {
        let comment = trimmed("a comment", printable("a comment", comment)?)?;
        [b"# ", comment, b"\n"].iter().for_each(|piece| text.push_str(piece));
    }
    Ok(())
}

/// The key of the entry for a template's sum of this kind.
pub(super) fn template_sum_key(sum: &Sum) -> String {
    format!("Template-{}Sum", Algorithm::from(sum.checksum()).name())
}

fn push_part(text: &mut BString, sum: &Sum, location: &Location) -> Result<(), WriteError> {
    let (key, value) = part_entry(sum, location, quote)?;
    push_entry(text, &key, &value);
    Ok(())
}

/// The key and the value of a part's entry. `quote` quotes the value.
pub(super) fn part_entry(
    sum: &Sum,
    location: &Location,
    quote: fn(&[u8]) -> BString,
) -> Result<(String, BString), WriteError> {
    printable("the path", &location.path)?;
    if location.label.is_empty() {
        if location.path.contains(&b':') {
            return Err(WriteError::Unlabelled(location.path.clone()));
        }
    } else {
        check_label(&location.label)?;
    }
    let (key, value) = (base64::encode(sum.as_bytes()), quote(&location.text()));
    let length = key.len() + 1 + value.len();
    match length >= PART_LINE_LIMIT {
        true => Err(WriteError::PartLine { location: location.clone(), length }),
        false => Ok((key, value)),
    }
}

/// Whether the line of a part with this label and path, and a sum of this kind, is short enough for every reader:
/// jigit-mkimage reads lines of 2048 bytes and more as two.
pub fn fits_part_line(checksum: Checksum, label: &[u8], path: &[u8]) -> bool {
    // The longest key, the marks between, and every character escaped.
    const MOST_ADDED: usize = 64;
    let shortest = label.len() + path.len();
    if 2 * shortest + MOST_ADDED < PART_LINE_LIMIT {
        return true;
    }
    let location = Location { label: label.into(), path: path.into() };
    let entry = part_entry(&Sum::of(checksum, b""), &location, quote);
    !matches!(entry, Err(WriteError::PartLine { .. }))
}

/// The line of `[Servers]` for one server of `label`, with its line end.
///
/// # Errors
///
/// A label or a URL that a line cannot hold.
pub fn server_line(label: impl AsRef<[u8]>, server: &Server) -> Result<BString, WriteError> {
    let label = label.as_ref();
    check_label(label)?;
    let url = quote(printable("a server's URL", &server.url)?);
    let option = if server.try_last { " --try-last" } else { "" };
    Ok([label, b"=", &url, option.as_bytes(), b"\n"].concat().into())
}

/// The line that includes another jigdo file, with its line end.
///
/// # Errors
///
/// A URL that such a line cannot hold.
pub fn include_line(url: impl AsRef<[u8]>) -> Result<BString, WriteError> {
    let url = printable("an [Include] URL", url.as_ref())?;
    if url.find_byteset(b" ]").is_some() {
        return Err(WriteError::Include(url.into()));
    }
    Ok([b"[Include ", url, b"]\n"].concat().into())
}

fn push_entry(text: &mut BString, key: &str, value: &[u8]) {
    [key.as_bytes(), b"=", value, b"\n"].iter().for_each(|piece| text.push_str(piece));
}

/// `text`, unless it is empty or has control characters.
pub(super) fn printable<'a>(what: &'static str, text: &'a [u8]) -> Result<&'a [u8], WriteError> {
    if text.is_empty() {
        return Err(WriteError::Empty { what });
    }
    if has_control(text) {
        return Err(WriteError::ControlCharacter { what, text: text.into() });
    }
    Ok(text)
}

/// Whether there is a control character. In bytes that are not UTF-8, only those of ASCII are known.
fn has_control(text: &[u8]) -> bool {
    text.utf8_chunks().any(|chunk| chunk.valid().contains(char::is_control))
}

/// `text`, unless readers that trim lines would change it.
fn trimmed<'a>(what: &'static str, text: &'a [u8]) -> Result<&'a [u8], WriteError> {
    if text.trim_ascii() == text { Ok(text) } else { Err(WriteError::OuterSpace { what, text: text.into() }) }
}

/// The value of an entry that readers neither split nor unquote, which may have at most `limit` characters.
fn info<'a>(key: &'static str, value: &'a [u8], limit: usize) -> Result<&'a [u8], WriteError> {
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
pub fn check_label(label: impl AsRef<[u8]>) -> Result<(), WriteError> {
    let label = label.as_ref();
    let ends_early = label.find_byteset(b":=#\"'\\[").is_some()
        || has_control(label)
        || label.utf8_chunks().any(|chunk| chunk.valid().contains(char::is_whitespace));
    if label.is_empty() || ends_early { Err(WriteError::Label(label.into())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::{image_size_comment, image_sum_comment};
    use super::*;
    use proptest::prelude::*;

    fn image() -> Image {
        Image { filename: "a.iso".into(), template: "a.template".into(), ..Image::default() }
    }

    fn part(path: &str) -> (Sum, Location) {
        (Sum::of(Checksum::Md5, path.as_bytes()), Location { label: "A".into(), path: path.into() })
    }

    #[test]
    fn the_text_is_laid_out_as_every_reader_wants_it() {
        let sum = Sum::of(Checksum::Sha256, b"template");
        let comments = vec![image_sum_comment(Algorithm::Md5, &[0xab; 16]).into(), image_size_comment(17).into()];
        let server = |url: &str, try_last| ("A".into(), Server { url: url.into(), try_last });
        let jigdo = Jigdo {
            version: Some("2.0".into()),
            generator: Some("jigpress/1".into()),
            images: vec![Image { template_sum: Some(sum), short_info: Some("it's # one".into()), comments, ..image() }],
            parts: vec![part("pool/x y.deb")],
            servers: vec![server("http://s/", false), server("http://t/", true)],
            includes: vec!["http://i/j.jigdo".into()],
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
        let with_image = |image| Jigdo { images: vec![image], ..Jigdo::default() }.to_text().unwrap_err().to_string();
        let with_path = |path: &str| Jigdo { parts: vec![part(path)], ..Jigdo::default() }.to_text();
        assert!(with_image(Image { filename: "a\nb".into(), ..image() }).contains("control character"));
        assert!(with_image(Image { short_info: Some("ä".repeat(201).into()), ..image() }).contains("201 characters"));
        assert!(with_image(Image { info: Some("ä".repeat(5001).into()), ..image() }).contains("5001 characters"));
        assert!(with_image(Image { info: Some(" a".into()), ..image() }).contains("white space"));
        assert!(with_image(Image { info: Some("a\nb".into()), ..image() }).contains("control character"));
        assert!(with_path("a\nb").unwrap_err().to_string().contains("control character"));
        assert!(with_path("").unwrap_err().to_string().contains("empty"));
        // The sum and the label take 25 bytes.
        assert!(with_path(&"x".repeat(2047 - 25)).is_ok());
        assert!(with_path(&"x".repeat(2048 - 25)).unwrap_err().to_string().contains("2048 bytes"));
        let location = Location { label: "A B".into(), path: "x".into() };
        let jigdo = Jigdo { parts: vec![(part("x").0, location)], ..Jigdo::default() };
        assert!(jigdo.to_text().unwrap_err().to_string().contains("\"A B\""));
        let jigdo = Jigdo { includes: vec!["http://a b".into()], ..Jigdo::default() };
        assert!(jigdo.to_text().unwrap_err().to_string().contains("%20"));
    }

    #[test]
    fn it_is_known_beforehand_which_part_lines_are_too_long() {
        let fits = |checksum, label: &str, path: String| {
            let location = Location { label: label.into(), path: path.into() };
            let parts = vec![(Sum::of(checksum, b""), location.clone())];
            let is_written = Jigdo { parts, ..Jigdo::default() }.to_text().is_ok();
            assert_eq!(fits_part_line(checksum, &location.label, &location.path), is_written, "{location:?}");
            is_written
        };
        for (checksum, key) in [(Checksum::Md5, 22), (Checksum::Sha256, 43)] {
            for label in ["A", "Debian"] {
                let most = 2047 - key - label.len() - 2;
                // What is quoted has two quotes, and escaped characters count twice.
                for (path, room) in [("x", most), ("ä", most), (" ", most - 2), ("\"", (most - 2) / 2)] {
                    let count = room / path.len();
                    assert!(fits(checksum, label, path.repeat(count)), "{checksum:?} {label} {path}");
                    assert!(!fits(checksum, label, path.repeat(count + 1)), "{checksum:?} {label} {path}");
                }
            }
            assert!(fits(checksum, "A", "x".repeat(900)));
        }
    }

    #[test]
    fn compressing_gives_the_same_bytes_every_time() {
        let first = gzip("text").unwrap();
        assert_eq!(first, gzip("text").unwrap());
        assert_eq!(first[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
    }

    fn bytes(regex: &str) -> impl Strategy<Value = BString> + Clone + use<> {
        std::sync::Arc::new(prop::string::bytes_regex(regex).unwrap().prop_map(BString::from))
    }

    fn arbitrary_jigdo() -> impl Strategy<Value = Jigdo> {
        // Bytes from Latin-1 as well.
        let nasty = bytes(r#"(?s-u:[a-z/ #"'\\=:;$`\[\]\xe4\xdf\xfe\xff]|ä|漢){1,30}"#);
        let url = bytes(r#"https?://(?s-u:[a-z #"'\\\xe4]){1,20}/"#);
        let word = bytes(r"[A-Z](?s-u:[a-z\xe4]|ä){0,5}");
        let info = r#"(?s-u:[a-z#"'\\\xe4])((?s-u:[a-z #"'\\<>/\xe4]|ä){0,30}(?s-u:[a-z#"'\\\xe4]))?"#;
        let info = prop::option::of(bytes(info));
        let sum = (any::<bool>(), any::<u64>()).prop_map(|(sha256, seed)| {
            Sum::of(if sha256 { Checksum::Sha256 } else { Checksum::Md5 }, &seed.to_le_bytes())
        });
        let image = (nasty.clone(), nasty.clone(), prop::option::of(sum.clone()), info.clone(), info).prop_map(
            |(filename, template, template_sum, short_info, info)| Image {
                filename,
                template,
                template_sum,
                short_info,
                info,
                comments: vec![image_size_comment(5).into()],
            },
        );
        let location = (word.clone(), nasty).prop_map(|(label, path)| Location { label, path });
        let server = (url, any::<bool>()).prop_map(|(url, try_last)| Server { url, try_last });
        (
            prop::collection::vec(image, 0..3),
            prop::collection::vec((sum, location), 0..10),
            prop::collection::vec((word, server), 0..5),
            prop::collection::vec(bytes(r"http://(?s-u:[a-z#'/\xe4]){1,20}"), 0..3),
        )
            .prop_map(|(images, parts, servers, includes)| Jigdo {
                version: Some("2.0".into()),
                generator: Some("jigpress/0.1.0".into()),
                images,
                parts,
                servers,
                includes,
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(jigdo in arbitrary_jigdo(), packed: bool) {
            let text = jigdo.to_text().unwrap();
            let bytes = if packed { gzip(&text).unwrap() } else { text.into() };
            prop_assert_eq!(Jigdo::read(&*bytes).unwrap(), jigdo);
        }
    }
}
