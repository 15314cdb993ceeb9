//! Resolves the URLs and paths in jigdo files and on command lines, absolute or relative to the file that has them.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use jigdo::bstr::{BString, ByteSlice as _};
use jigdo::jigdo_file::{Location, is_scheme};
use jigdo::{escaped, escaped_path};
use url::Url;

/// The place of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// On this machine.
    File(PathBuf),
    /// On the web, by `http:` or `https:`.
    Web(Url),
}

/// Why a text is not a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum BadPlace {
    #[error("no server is known for label \"{}\"", escaped(.0))]
    Label(BString),
    #[error("only http:, https:, file: and paths can be read, not {}:", escaped(.0))]
    Scheme(BString),
    #[error("{url} is not a URL: {source}", url = escaped(.url))]
    Url { url: BString, source: url::ParseError },
    #[error(
        "{url} is on the host \"{host}\", but file: URLs can only name files of this machine; write file:///path",
        url = escaped(.url), host = escaped(.host)
    )]
    OtherHost { url: BString, host: BString },
    #[error("{} is a local file, which a jigdo file from the web may not name", escaped(.0))]
    LocalFromWeb(BString),
    #[error("\"{}\" contains a zero byte, which a path cannot have", escaped(.0))]
    ZeroByte(BString),
}

impl Place {
    /// Resolves `text` as part of the jigdo file at `origin`.
    ///
    /// As in download programs, `%` begins an escape in a web URL, but is an ordinary character in a path and in a `file:`
    /// URL; in a web URL, a space becomes `%20`, and a byte that is not UTF-8 such as `%E4`.
    ///
    /// # Errors
    ///
    /// The text is a location with a label, a URL that cannot be read, or a local file although `origin` is on the web:
    /// jigdo files from the web must never name files of this machine.
    pub fn of(text: &(impl AsRef<[u8]> + ?Sized), origin: &Self) -> Result<Self, BadPlace> {
        let text = text.as_ref();
        if let Some(path) = file_url(text) {
            return match origin {
                Self::File(file) => Ok(Self::File(beside(file, &path?))),
                Self::Web(_) => Err(BadPlace::LocalFromWeb(text.into())),
            };
        }
        let scheme = Location::parse(text).label;
        let bad_url = |source| BadPlace::Url { url: text.into(), source };
        match scheme.to_ascii_lowercase().as_slice() {
            b"http" | b"https" => Url::parse(&encoded(text)).map(Self::Web).map_err(bad_url),
            _ if is_scheme(&scheme) => Err(BadPlace::Scheme(scheme)),
            // A slash before the colon makes it a path.
            _ if !scheme.is_empty() && !scheme.contains(&b'/') => Err(BadPlace::Label(scheme)),
            _ => match origin {
                Self::Web(url) => url.join(&encoded(text)).map(Self::Web).map_err(bad_url),
                Self::File(file) => Ok(Self::File(beside(file, &checked(text, text)?))),
            },
        }
    }
}

/// A text as a URL: bytes that are not UTF-8 are escaped, and what the parser would drop or take for a slash, as browsers
/// do: white space, control characters, and backslashes. The parser escapes the rest.
fn encoded(text: &[u8]) -> String {
    let mut url = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\0'..=' ' | '\\' | '\x7f' => url.push_str(&format!("%{:02X}", character as u8)),
                _ => url.push(character),
            }
        }
        chunk.invalid().iter().for_each(|byte| url.push_str(&format!("%{byte:02X}")));
    }
    url
}

/// For people: paths, [escaped], and URLs.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => escaped_path(path).fmt(f),
            Self::Web(url) => escaped(url.as_str()).fmt(f),
        }
    }
}

/// The path in a `file:` URL, absolute or relative: `file:/x`, `file:///x`, `file://localhost/x`, `file:x`. `None` if
/// `text` is no `file:` URL.
pub fn file_url(text: &(impl AsRef<[u8]> + ?Sized)) -> Option<Result<PathBuf, BadPlace>> {
    let text = text.as_ref();
    let (scheme, rest) = text.split_once_str(":")?;
    scheme.eq_ignore_ascii_case(b"file").then(|| {
        let Some(below) = rest.strip_prefix(b"//") else { return checked(rest, text) };
        // The host is between `//` and the next slash. It may be empty.
        let (host, path) = below.split_at(below.find_byte(b'/').unwrap_or(below.len()));
        if host.is_empty() || host.eq_ignore_ascii_case(b"localhost") {
            return checked(if path.is_empty() { b"/" } else { path }, text);
        }
        Err(BadPlace::OtherHost { url: text.into(), host: host.into() })
    })
}

/// Checks that `path`, a part of `text`, can be a path.
fn checked(path: &[u8], text: &[u8]) -> Result<PathBuf, BadPlace> {
    if path.contains(&0) { Err(BadPlace::ZeroByte(text.into())) } else { Ok(OsStr::from_bytes(path).into()) }
}

/// Resolves a path that may be relative to the directory of `file`.
fn beside(file: &Path, path: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Place {
        Place::File("/sets/a.jigdo".into())
    }

    fn web() -> Place {
        Place::Web(Url::parse("http://h/sets/a.jigdo").unwrap())
    }

    #[test]
    fn texts_are_resolved_as_download_programs_do() {
        let at = |text: &str, origin: &Place| Place::of(text, origin).unwrap().to_string();
        for (text, place) in [
            ("http://x/a b%3a.deb", "http://x/a%20b%3a.deb"),
            ("HTTPS://x/", "https://x/"),
            ("file:///srv/x y%20", "/srv/x y%20"),
            ("file://localhost/srv/x", "/srv/x"),
            ("FILE://LocalHost/srv/x", "/srv/x"),
            ("file:/srv/x", "/srv/x"),
            ("file:////srv/x", "//srv/x"),
            ("file:///srv//x", "/srv//x"),
            ("file:///", "/"),
            ("file://localhost/", "/"),
            ("file://localhost", "/"),
            ("file://", "/"),
            ("file:x", "/sets/x"),
            ("file:./x", "/sets/./x"),
            ("file:../x", "/sets/../x"),
            ("file:", "/sets/"),
            ("../m/x", "/sets/../m/x"),
            ("a//b", "/sets/a//b"),
            ("a%20b", "/sets/a%20b"),
            ("/srv/x", "/srv/x"),
            ("//srv/x", "//srv/x"),
            ("dir/a:b", "/sets/dir/a:b"),
            (":x", "/sets/:x"),
            ("filex", "/sets/filex"),
        ] {
            assert_eq!(at(text, &file()), place, "{text}");
        }
        assert_eq!(at("x", &Place::File("a.jigdo".into())), "x");
        for text in ["ftp://x/", "Debian:x", "http://"] {
            assert!(Place::of(text, &file()).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_a_path_here_and_escaped_on_the_web() {
        let path = Place::of(b"K\xe4se", &file()).unwrap();
        assert_eq!(path, Place::File(OsStr::from_bytes(b"/sets/K\xe4se").into()));
        assert_eq!(path.to_string(), "/sets/K\\xe4se");
        let path = Place::of(b"file:/\xff", &file()).unwrap();
        assert_eq!(path, Place::File(OsStr::from_bytes(b"/\xff").into()));
        assert_eq!(Place::of(b"http://x/K\xe4 \xc3\xa4", &file()).unwrap().to_string(), "http://x/K%E4%20%C3%A4");
        assert_eq!(Place::of("http://x/a\\b\tc ", &file()).unwrap().to_string(), "http://x/a%5Cb%09c%20");
        assert_eq!(Place::of(b"K\xe4se", &web()).unwrap().to_string(), "http://h/sets/K%E4se");
    }

    #[test]
    fn what_a_file_from_the_web_names_is_on_the_web() {
        for (text, url) in [
            ("b.jigdo", "http://h/sets/b.jigdo"),
            ("../b c.jigdo", "http://h/b%20c.jigdo"),
            ("/srv/x", "http://h/srv/x"),
            ("//other/x", "http://other/x"),
            ("https://x/y", "https://x/y"),
        ] {
            assert_eq!(Place::of(text, &web()).unwrap().to_string(), url, "{text}");
        }
        for text in ["file:x", "file:/etc/passwd", "file:///etc/passwd", "FILE://localhost/etc/passwd", "file://h/x"] {
            assert!(matches!(Place::of(text, &web()), Err(BadPlace::LocalFromWeb(_))), "{text}");
        }
    }

    #[test]
    fn file_urls_lead_to_this_machine_only() {
        for (text, host) in
            [("file://other/x", "other"), ("file://other", "other"), ("file://localhost.x/", "localhost.x")]
        {
            let error = Place::of(text, &file()).unwrap_err();
            assert_eq!(error, BadPlace::OtherHost { url: text.into(), host: host.into() });
            assert!(error.to_string().contains("file:///path"), "{error}");
        }
        for text in ["file:/a\0b", "a\0b"] {
            assert!(matches!(Place::of(text, &file()), Err(BadPlace::ZeroByte(_))), "{text:?}");
        }
    }

    #[test]
    fn only_file_urls_are_file_urls() {
        for text in ["/srv/x", "srv", "http://x/", "files:/x", "a/file:/x", ""] {
            assert_eq!(file_url(text), None, "{text}");
        }
        assert_eq!(file_url("file:x"), Some(Ok("x".into())));
    }
}
