//! The servers in published jigdo files: show them, change them, and check whether they still have the parts.
//!
//! | module | does |
//! |---|---|
//! | `show` | summarises labels and servers |
//! | `change` | turns a change into the edits of one file's text |
//! | `release` | the servers that a manifest's published sets should have |
//! | `request` | updates, their options and errors |
//! | `directory` | a locked directory with its SUMS files |
//! | `update`, `prepare` | change many files together, and the SUMS files beside them |
//! | `direct` | writes files past the page cache |
//! | [`check`] | whether servers have the parts |

mod change;
pub mod check;
mod direct;
mod directory;
mod prepare;
mod release;
mod request;
mod show;
mod update;

pub use change::{Change, ChangeError, Mode};
pub use release::{Published, published, servers_of};
pub use request::{FileError, Options, Update, UpdateError};
pub use show::{LabelSummary, ServerSummary, Shown, show};
pub use update::{Changed, Outcome, update};

use std::str::FromStr;

use jigdo::jigdo_file::{BadQuoting, Server, check_label, is_scheme, split_words};

/// A label with a server, as typed: `Label=URL`, or `Label=URL --try-last`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledServer {
    /// What comes before `=`.
    pub label: String,
    /// What comes after it.
    pub server: Server,
}

/// Why a text is not a label with a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum BadServer {
    #[error("write it as Label=URL, or as 'Label=URL --try-last'")]
    NoUrl,
    #[error("\"{0}\" cannot be a label: use letters, digits, \"-\" and \"_\"")]
    Label(String),
    #[error("the only option of a server is --try-last, not \"{0}\"")]
    Option(String),
    #[error("{0}")]
    Quoting(#[from] BadQuoting),
}

impl FromStr for LabelledServer {
    type Err = BadServer;

    fn from_str(text: &str) -> Result<Self, BadServer> {
        let (label, value) = text.split_once('=').ok_or(BadServer::NoUrl)?;
        let label = parse_label(label)?;
        let mut words = split_words(value)?.into_iter();
        let url = words.next().filter(|url| !url.is_empty()).ok_or(BadServer::NoUrl)?;
        let mut try_last = false;
        for option in words {
            match option.as_str() {
                "--try-last" => try_last = true,
                _ => return Err(BadServer::Option(option)),
            }
        }
        Ok(Self { label, server: Server { url: with_slash(url), try_last } })
    }
}

/// Parses a label that a jigdo file can hold and that is not a URL scheme.
///
/// # Errors
/// It is neither.
pub fn parse_label(label: &str) -> Result<String, BadServer> {
    match check_label(label) {
        Ok(()) if !is_scheme(label) => Ok(label.to_owned()),
        _ => Err(BadServer::Label(label.to_owned())),
    }
}

/// The renaming of a label, as typed: `Old=New`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relabel(pub String, pub String);

impl FromStr for Relabel {
    type Err = BadServer;

    fn from_str(text: &str) -> Result<Self, BadServer> {
        let (old, new) = text.split_once('=').ok_or_else(|| BadServer::Label(text.to_owned()))?;
        Ok(Self(parse_label(old)?, parse_label(new)?))
    }
}

/// The URL in a form that paths can be appended to: with a slash at its end, unless it is a bare label or has a query.
fn with_slash(mut url: String) -> String {
    let is_label = url.find(':') == Some(url.len() - 1);
    if !url.ends_with('/') && !url.contains('?') && !is_label {
        url.push('/');
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<(String, String, bool), BadServer> {
        let LabelledServer { label, server } = text.parse()?;
        Ok((label, server.url, server.try_last))
    }

    #[test]
    fn servers_are_read_as_they_are_typed() {
        for (text, url, try_last) in [
            ("A=http://a/", "http://a/", false),
            ("A=http://a --try-last", "http://a/", true),
            ("A=http://a/?p=", "http://a/?p=", false),
            ("A=B:", "B:", false),
            ("A=B:x", "B:x/", false),
            ("A='/srv/my mirror'", "/srv/my mirror/", false),
        ] {
            assert_eq!(parsed(text), Ok(("A".to_owned(), url.to_owned(), try_last)), "{text}");
        }
    }

    #[test]
    fn what_is_no_label_with_a_server_is_refused() {
        for text in ["", "A", "A=", "=http://a/", "A B=http://a/", "http=//a/", "A=http://a/ --last", "A='x"] {
            assert!(parsed(text).is_err(), "{text}");
        }
        assert!("A".parse::<Relabel>().is_err() && "A=file".parse::<Relabel>().is_err());
    }
}
