//! Jigdo files: where the template of an image and each of its parts can be downloaded.
//!
//! The text has sections like an INI file. [`Jigdo::read`] accepts what the tools in use write, gzip-compressed or not;
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
pub use writer::{WriteError, check_label, gzip, include_line, server_line};

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::{Algorithm, Sum, hex};

/// What a jigdo file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Jigdo {
    /// `Version` of `[Jigdo]`: `1.x` for MD5, `2.0` for SHA-256.
    pub version: Option<String>,
    /// `Generator` of `[Jigdo]`: the program that wrote it, as `name/version`.
    pub generator: Option<String>,
    /// The first `[Image]` section. Files that are only meant to be included have none.
    pub image: Option<Image>,
    /// `[Parts]`, in order. A sum that occurs several times has several locations.
    pub parts: Vec<(Sum, Location)>,
    /// `[Servers]`, in order: each with its label. A label that occurs several times has several servers.
    pub servers: Vec<(String, Server)>,
    /// The URLs of `[Include]` lines, in order.
    pub includes: Vec<String>,
}

/// What a jigdo file says of its image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// The name under which to save the image, as written. It may begin with `stdio:`: see [`Image::file_name`].
    pub filename: String,
    /// The URL of the template, absolute or relative to the jigdo file's own.
    pub template: String,
    /// The template's sum. If the file has both kinds, the SHA-256.
    pub template_sum: Option<Sum>,
    /// One line of at most 200 characters. Quotes in it are literal.
    pub short_info: Option<String>,
    /// One line of at most 5000 characters, in which `<br/>` breaks lines. Quotes in it are literal.
    pub info: Option<String>,
    /// The comments between the section's lines, without `#` and the white space around them.
    pub comments: Vec<String>,
}

impl Image {
    /// The filename without the `stdio:` that xorriso puts before it.
    pub fn file_name(&self) -> &str {
        self.filename.strip_prefix("stdio:").unwrap_or(&self.filename)
    }

    /// The image's sums in the comments, in hexadecimal: see [`image_sum_comment`].
    pub fn sums(&self) -> BTreeMap<Algorithm, String> {
        let sum = |comment: &String| {
            let words: Vec<&str> = comment.split_whitespace().collect();
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
    pub label: String,
    /// The text after it: a path below the label's servers.
    pub path: String,
}

impl Location {
    /// The location in `text`, which must be unquoted already.
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((label, path)) if !label.is_empty() => Self { label: label.to_owned(), path: path.to_owned() },
            _ => Self { label: String::new(), path: text.to_owned() },
        }
    }

    /// The path without redundant components such as `./`. `None` if it may leave the label's tree, or cannot be that
    /// of a file.
    pub fn plain_path(&self) -> Option<String> {
        let is_plain = |name: &str| !matches!(name, "" | "." | "..");
        if self.path.split('/').all(is_plain) && !self.path.contains('\0') {
            return Some(self.path.clone());
        }
        let mut plain = PathBuf::new();
        for component in Path::new(&self.path).components() {
            match component {
                Component::Normal(name) => plain.push(name),
                Component::CurDir => {}
                _ => return None,
            }
        }
        let is_file = !self.path.ends_with('/') && !self.path.contains('\0') && !plain.as_os_str().is_empty();
        is_file.then(|| plain.to_str().map(str::to_owned)).flatten()
    }
}

/// `label:path`, or the path alone.
impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.label.is_empty() { f.write_str(&self.path) } else { write!(f, "{}:{}", self.label, self.path) }
    }
}

/// One server of a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// The prefix of the path: a URL, or another label with a path.
    pub url: String,
    /// Whether to try it only after the label's other servers have failed.
    pub try_last: bool,
}

/// Whether the text before a location's first colon is the scheme of a URL instead of a label.
pub fn is_scheme(label: &str) -> bool {
    ["http", "https", "ftp", "ftps", "file", "rsync"].iter().any(|scheme| scheme.eq_ignore_ascii_case(label))
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
        let plain = |path: &str| Location { label: "A".to_owned(), path: path.to_owned() }.plain_path();
        for path in ["../x", "/etc/passwd", "pool/../../x", "a/..", "", ".", "a/", "a\0b"] {
            assert_eq!(plain(path), None, "{path}");
        }
        for (path, expected) in [("pool/x", "pool/x"), ("./pool//x", "pool/x"), ("a/./b", "a/b"), ("..a/b", "..a/b")] {
            assert_eq!(plain(path).as_deref(), Some(expected));
        }
    }
}
