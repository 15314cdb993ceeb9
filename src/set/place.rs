//! Where a jigdo file's texts lead: URLs and paths, absolute or relative to the file itself.

use std::path::{Path, PathBuf};

use jigdo::jigdo_file::{Location, is_scheme};
use url::Url;

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    File(PathBuf),
    Web(Url),
}

/// Why a text leads nowhere that can be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPlace {
    #[error("no server is known for label \"{0}\"")]
    Label(String),
    #[error("only http:, https:, file: and paths can be checked, not {0}:")]
    Scheme(String),
    #[error("{url} is no URL: {source}")]
    Url { url: String, source: url::ParseError },
}

impl Place {
    /// Where `text` leads, if it stands in the file at `origin`.
    ///
    /// As programs that download do, paths are taken as they are: `%` begins an escape in a URL and is a character in a
    /// path, and a space becomes `%20` in a URL.
    pub fn of(text: &str, origin: &Self) -> Result<Self, BadPlace> {
        let scheme = Location::parse(text).label;
        let bad_url = |source| BadPlace::Url { url: text.to_owned(), source };
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => Url::parse(text).map(Self::Web).map_err(bad_url),
            "file" => {
                let path = &text["file:".len()..];
                // Behind two slashes comes the host, which may be left out.
                let hosts = ["//localhost/", "///"];
                let below = hosts.iter().find_map(|host| path.strip_prefix(host)).map(|path| format!("/{path}"));
                Ok(Self::File(beside(origin, Path::new(below.as_deref().unwrap_or(path)))))
            }
            _ if is_scheme(&scheme) => Err(BadPlace::Scheme(scheme)),
            // A slash before the colon makes a path of it.
            _ if !scheme.is_empty() && !scheme.contains('/') => Err(BadPlace::Label(scheme)),
            _ => match origin {
                Self::Web(url) => url.join(text).map(Self::Web).map_err(bad_url),
                Self::File(_) => Ok(Self::File(beside(origin, Path::new(text)))),
            },
        }
    }
}

/// A path that may be relative to the directory of the file at `origin`.
fn beside(origin: &Place, path: &Path) -> PathBuf {
    match origin {
        Place::File(file) => file.parent().unwrap_or(Path::new("")).join(path),
        Place::Web(_) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_lead_where_programs_that_download_go() {
        let file = Place::File("/sets/a.jigdo".into());
        let web = Place::Web(Url::parse("http://h/sets/a.jigdo").unwrap());
        let at = |text: &str, origin: &Place| match Place::of(text, origin).unwrap() {
            Place::File(path) => path.display().to_string(),
            Place::Web(url) => url.to_string(),
        };
        for (text, place) in [
            ("http://x/a b%3a.deb", "http://x/a%20b%3a.deb"),
            ("HTTPS://x/", "https://x/"),
            ("file:///srv/x y%20", "/srv/x y%20"),
            ("file://localhost/srv/x", "/srv/x"),
            ("file:/srv/x", "/srv/x"),
            ("file:x", "/sets/x"),
            ("../m/x", "/sets/../m/x"),
            ("/srv/x", "/srv/x"),
            ("dir/a:b", "/sets/dir/a:b"),
        ] {
            assert_eq!(at(text, &file), place);
        }
        assert_eq!(at("b.jigdo", &web), "http://h/sets/b.jigdo");
        for text in ["ftp://x/", "Debian:x", "http://"] {
            assert!(Place::of(text, &file).is_err(), "{text}");
        }
    }
}
