//! Jigdo files: where the template of an image and each of its parts can be downloaded.
//!
//! The text has sections like an INI file. It is bytes: old files have Latin-1 in it, and the path of a part is whatever
//! its mirror's file system has. [`Jigdo::read`] accepts what the tools in use write, gzip-compressed or not;
//! [`Jigdo::to_text`] writes what all of them read. To change an existing file, use [`Unpacked`] for its text and
//! [`Outline`] for the places in it; to add parts to one, use [`Draft`].

mod draft;
mod guess;
mod outline;
mod reader;
mod resolve;
mod text;
mod unpacked;
mod words;
mod writer;

pub use draft::Draft;
pub use guess::looks_like;
pub use outline::{IncludeLine, Outline, PartLine, ServerLine};
pub use reader::Error;
pub use resolve::ResolveError;
pub use text::{MAX_LINE, MAX_TEXT};
pub use unpacked::{Edit, Unpacked};
pub use words::{BadQuoting, quote_simply, split as split_words};
pub use writer::{WriteError, check_label, fits_part_line, gzip, include_line, server_line};

use std::collections::BTreeMap;
use std::fmt;

use bstr::{BStr, BString, ByteSlice as _};

use crate::{Algorithm, Sum, escaped, hex};

/// What a jigdo file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Jigdo {
    /// `Version` of `[Jigdo]`: `1.x` for MD5, `2.0` for SHA-256.
    pub version: Option<BString>,
    /// `Generator` of `[Jigdo]`: the program that wrote it, as `name/version`.
    pub generator: Option<BString>,
    /// The `[Image]` sections, in order. Most files have one; those that are only meant to be included have none. All
    /// images of a file share its parts and servers.
    pub images: Vec<Image>,
    /// `[Parts]`, in order. A sum that occurs several times has several locations.
    pub parts: Vec<(Sum, Location)>,
    /// `[Servers]`, in order: each with its label. A label that occurs several times has several servers.
    pub servers: Vec<(BString, Server)>,
    /// The URLs of `[Include]` lines, in order.
    pub includes: Vec<BString>,
}

/// What a jigdo file says of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// The name under which to save the image, as written. It may begin with `stdio:`: see [`Image::file_name`].
    pub filename: BString,
    /// The URL of the template, absolute or relative to the jigdo file's own.
    pub template: BString,
    /// The template's sum. If the file has both kinds, the SHA-256.
    pub template_sum: Option<Sum>,
    /// One line of at most 200 characters. Quotes in it are literal.
    pub short_info: Option<BString>,
    /// One line of at most 5000 characters, in which `<br/>` breaks lines. Quotes in it are literal.
    pub info: Option<BString>,
    /// The comments between the section's lines, without `#` and the white space around them.
    pub comments: Vec<BString>,
}

impl Jigdo {
    /// Whether its version is higher than those that are known, up to 2.x. A version that is no number is taken as known.
    pub fn is_newer(&self) -> bool {
        let version = self.version.as_ref().map_or(&[][..], |version| version.as_slice());
        let digits = version.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(version.len());
        let major = std::str::from_utf8(&version[..digits]).unwrap_or_default();
        // More digits than a number can have are a high version.
        digits > 0 && major.parse().map_or(true, |major: u64| major > reader::MAX_VERSION)
    }
}

impl Image {
    /// The entry that the section lacks, of those without which it describes no image: `Filename` and `Template`.
    pub fn missing_entry(&self) -> Option<&'static str> {
        let entries = [("Filename", &self.filename), ("Template", &self.template)];
        entries.into_iter().find(|(_, value)| value.is_empty()).map(|(key, _)| key)
    }

    /// The filename without the `stdio:` that xorriso puts before it.
    pub fn file_name(&self) -> &BStr {
        self.filename.strip_prefix(b"stdio:").unwrap_or(&self.filename).as_bstr()
    }

    /// The image's sums in the comments, in hexadecimal: see [`image_sum_comment`].
    pub fn sums(&self) -> BTreeMap<Algorithm, String> {
        let sum = |comment: &BString| {
            let words: Vec<&str> = comment.to_str().ok()?.split_whitespace().collect();
            let ["Image", "Hex", kind, sum] = words[..] else { return None };
            let is_kind = |algorithm: &Algorithm| kind.eq_ignore_ascii_case(&format!("{}Sum", algorithm.name()));
            Some((Algorithm::ALL.into_iter().find(is_kind)?, sum.to_owned()))
        };
        self.comments.iter().filter_map(sum).collect()
    }
}

/// Where a part is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// The text before the first colon: a label of `[Servers]`, or a URL's scheme. Empty if there is no colon.
    pub label: BString,
    /// The text after it: a path below the label's servers.
    pub path: BString,
}

impl Location {
    /// The location in `text`, which must be unquoted already.
    pub fn parse(text: &(impl AsRef<[u8]> + ?Sized)) -> Self {
        let text = text.as_ref();
        match text.split_once_str(":") {
            Some((label, path)) if !label.is_empty() => Self { label: label.into(), path: path.into() },
            _ => Self { label: BString::default(), path: text.into() },
        }
    }

    /// The location as a jigdo file has it, unquoted: `label:path`, or the path alone.
    pub fn text(&self) -> BString {
        let colon = if self.label.is_empty() { "" } else { ":" };
        [&*self.label, colon.as_bytes(), &self.path].concat().into()
    }

    /// The path without redundant components such as `./`. `None` if it may leave the label's tree, or cannot be that
    /// of a file.
    pub fn plain_path(&self) -> Option<BString> {
        let names = || self.path.split_str("/");
        if self.path.starts_with(b"/") || self.path.contains(&0) || names().any(|name| name == b"..") {
            return None;
        }
        // A path that ends so is that of a directory.
        if matches!(names().last(), None | Some(b"" | b".")) {
            return None;
        }
        Some(bstr::join("/", names().filter(|name| !matches!(*name, b"" | b"."))).into())
    }
}

/// For people: as [`Location::text`], but [escaped].
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.label.is_empty() { "" } else { ":" };
        write!(f, "{}{colon}{}", escaped(&self.label), escaped(&self.path))
    }
}

/// One server of a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// The prefix of the path: a URL, or another label with a path.
    pub url: BString,
    /// Whether to try it only after the label's other servers have failed.
    pub try_last: bool,
}

/// Whether the text before a location's first colon is the scheme of a URL instead of a label.
pub fn is_scheme(label: impl AsRef<[u8]>) -> bool {
    let schemes = [&b"http"[..], b"https", b"ftp", b"ftps", b"file", b"rsync"];
    schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case(label.as_ref()))
}

/// The comment from which Debian's `imagesums` takes the image's sum instead of reading the image.
///
/// That script expects exactly one space before the algorithm.
pub fn image_sum_comment(algorithm: Algorithm, sum: &[u8]) -> String {
    format!("Image Hex {}Sum {}", algorithm.name(), hex(sum))
}

/// The comment that states the image's length in bytes.
pub fn image_size_comment(bytes: u64) -> String {
    format!("Image size {bytes} bytes")
}

/// The comment that states a sum of the template.
pub fn template_sum_comment(algorithm: Algorithm, sum: &[u8]) -> String {
    format!("Template Hex {}Sum {}", algorithm.name(), hex(sum))
}

/// The comment that states the template's length in bytes.
pub fn template_size_comment(bytes: u64) -> String {
    format!("Template size {bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_their_tree_are_told_from_those_that_do_not() {
        let plain = |path: &[u8]| Location { label: "A".into(), path: path.into() }.plain_path();
        for path in [&b"../x"[..], b"/etc/passwd", b"pool/../../x", b"a/..", b"", b".", b"a/", b"a/.", b"a\0b"] {
            assert_eq!(plain(path), None, "{path:?}");
        }
        for (path, expected) in [
            (&b"pool/x"[..], &b"pool/x"[..]),
            (b"./pool//x", b"pool/x"),
            (b"a/./b", b"a/b"),
            (b"..a/b", b"..a/b"),
            (b"K\xe4se/\xff", b"K\xe4se/\xff"),
        ] {
            assert_eq!(plain(path).unwrap(), expected);
        }
    }

    #[test]
    fn a_location_is_bytes_and_is_shown_escaped() {
        let location = Location::parse(b"L\xe4bel:p\xf6ol/\x1b:x");
        assert_eq!((&location.label[..], &location.path[..]), (&b"L\xe4bel"[..], &b"p\xf6ol/\x1b:x"[..]));
        assert_eq!(location.text(), &b"L\xe4bel:p\xf6ol/\x1b:x"[..]);
        assert_eq!(location.to_string(), "L\\xe4bel:p\\xf6ol/\\u{1b}:x");
    }
}
