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

use jigdo::bstr::ByteSlice as _;
use jigdo::jigdo_file::{Server, check_label, is_scheme};

use crate::manifest::{did_you_mean, server};
use crate::set::Tree;

/// A label with a server, as typed: `Label=URL`, or `Label=URL --try-last`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledServer {
    /// What comes before `=`.
    pub label: String,
    /// What comes after it. The URL ends in a slash, so that paths can be appended.
    pub server: Server,
    /// The URL as typed.
    pub typed: String,
}

/// Why a text is not a label with a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum BadServer {
    #[error("write it as Label=URL, or as 'Label=URL --try-last'")]
    NoUrl,
    #[error("\"{0}\" cannot be a label: use letters, digits, \"-\", \"_\", \".\" and \"+\"")]
    Label(String),
    #[error("\"{0}\" cannot be a label, because it is the scheme of a URL; write it as Label=URL")]
    Scheme(String),
    #[error("the only option of a server is --try-last, not \"{0}\"")]
    Option(String),
}

impl FromStr for LabelledServer {
    type Err = BadServer;

    fn from_str(text: &str) -> Result<Self, BadServer> {
        let (label, value) = text.split_once('=').ok_or(BadServer::NoUrl)?;
        let label = parse_label(label)?;
        let mut typed = value.trim();
        let mut try_last = false;
        // As in manifests, nothing in a URL is a quote or a comment.
        while let Some((before, option)) = typed.rsplit_once(char::is_whitespace) {
            match option {
                "--try-last" => try_last = true,
                option if option.starts_with("--") => return Err(BadServer::Option(option.to_owned())),
                _ => break,
            }
            typed = before.trim_end();
        }
        if typed.is_empty() || typed.starts_with("--") {
            return Err(BadServer::NoUrl);
        }
        let typed = typed.to_owned();
        Ok(Self { label, server: Server { url: server::with_slash(typed.clone()).into(), try_last }, typed })
    }
}

/// Parses a label that a jigdo file can hold and that is not a URL scheme.
///
/// # Errors
/// It is neither.
pub fn parse_label(label: &str) -> Result<String, BadServer> {
    match check_label(label) {
        Ok(()) if is_scheme(label) => Err(BadServer::Scheme(label.to_owned())),
        Ok(()) => Ok(label.to_owned()),
        Err(_) => Err(BadServer::Label(label.to_owned())),
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

/// Checks the URLs of servers that were typed: programs can download from each, and none leads back to its own label.
///
/// # Errors
/// The first that none can download from, with what to write.
pub fn check_typed_servers(servers: &[LabelledServer]) -> Result<(), String> {
    let labels: Vec<&str> = servers.iter().map(|given| given.label.as_str()).collect();
    let mut targets = Vec::new();
    for LabelledServer { label, typed, .. } in servers {
        match server::check(typed, &labels).map_err(|message| format!("--server {label}={typed}: {message}"))? {
            server::Target::Label(target) => targets.push((label.as_str(), target, typed)),
            server::Target::Web | server::Target::Directory => {}
        }
    }
    for &(label, target, typed) in &targets {
        let mut reached = vec![target];
        let mut next = 0;
        while let Some(&label) = reached.get(next) {
            next += 1;
            let further = targets.iter().filter(|(from, ..)| *from == label).map(|(_, to, _)| *to);
            let further: Vec<&str> = further.filter(|to| !reached.contains(to)).collect();
            reached.extend(further);
        }
        if reached.contains(&label) {
            return Err(format!("--server {label}={typed}: the servers of \"{label}\" lead back to itself"));
        }
    }
    Ok(())
}

/// Checks labels that were typed: at least one of the files must have each. So must a label that a server's URL refers
/// to, unless a server is given for it.
///
/// # Errors
/// The first label that no file has, with the nearest that they have.
pub fn check_typed_labels(
    files: &Tree,
    servers: &[LabelledServer],
    labels: &[String],
    relabel: &[Relabel],
) -> Result<(), String> {
    if servers.is_empty() && labels.is_empty() && relabel.is_empty() {
        return Ok(());
    }
    let shown = show(files);
    // What files that cannot be read have is not known, and they are reported anyway.
    if !shown.errors.is_empty() || shown.files == 0 {
        return Ok(());
    }
    // A label that is not UTF-8 cannot be typed.
    let in_files = shown.labels.iter().filter_map(|label| label.label.to_str().ok());
    let in_files: Vec<&str> = in_files.filter(|label| !label.is_empty()).collect();
    let check = |option: &str, label: &str, known: &[&str]| match known.contains(&label) {
        true => Ok(()),
        false => Err(format!("{option}: no file has the label \"{label}\"{}", hint(label, known))),
    };
    for Relabel(old, new) in relabel {
        check(&format!("--relabel {old}={new}"), old, &in_files)?;
    }
    let renamed = |label: &&str| relabel.iter().any(|Relabel(old, _)| old == label);
    let mut known: Vec<&str> = in_files.iter().copied().filter(|label| !renamed(label)).collect();
    known.extend(relabel.iter().map(|Relabel(_, new)| new.as_str()));
    for label in labels {
        check(&format!("--label {label}"), label, &known)?;
    }
    // A label to which a known one leads is known.
    let is_given = |label: &str| servers.iter().any(|given| given.label == label);
    let mut next = 0;
    while let Some(&label) = known.get(next) {
        next += 1;
        for LabelledServer { typed, .. } in servers.iter().filter(|given| given.label == label) {
            let Ok(server::Target::Label(target)) = server::check(typed, &[]) else { continue };
            if known.contains(&target) {
                continue;
            }
            if !is_given(target) {
                return Err(format!("--server {label}: {}", server::unknown_label(typed, target, &known)));
            }
            known.push(target);
        }
    }
    for LabelledServer { label, typed, .. } in servers {
        check(&format!("--server {label}={typed}"), label, &known)?;
    }
    Ok(())
}

/// The nearest label, or all if there are few.
fn hint(label: &str, known: &[&str]) -> String {
    const FEW: usize = 10;
    match did_you_mean(label, known.iter().copied()) {
        near if !near.is_empty() => near,
        _ if known.is_empty() => "; the files have no labels".to_owned(),
        _ if known.len() <= FEW => format!("; the labels are {}", known.join(", ")),
        _ => "; jigpress servers show lists the labels".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<(String, String, bool), BadServer> {
        let LabelledServer { label, server, .. } = text.parse()?;
        Ok((label, server.url.to_string(), server.try_last))
    }

    #[test]
    fn servers_are_read_as_they_are_typed() {
        for (text, url, try_last) in [
            ("A=http://a/", "http://a/", false),
            ("A=http://a --try-last", "http://a/", true),
            ("A=http://a/?p=", "http://a/?p=", false),
            ("A=B:", "B:", false),
            ("A=B:x", "B:x/", false),
            ("A=http://a/#x", "http://a/#x/", false),
            ("A=\"http://a/\"", "\"http://a/\"/", false),
            ("A=C:\\x", "C:\\x/", false),
            ("A=http:\\\\a  --try-last  --try-last ", "http:\\\\a/", true),
        ] {
            assert_eq!(parsed(text), Ok(("A".to_owned(), url.to_owned(), try_last)), "{text}");
        }
    }

    #[test]
    fn what_is_no_label_with_a_server_is_refused() {
        for text in ["", "A", "A=", "=http://a/", "A B=http://a/", "http=//a/", "A=http://a/ --last", "A=--try-last"] {
            assert!(parsed(text).is_err(), "{text}");
        }
        assert!("A".parse::<Relabel>().is_err() && "A=file".parse::<Relabel>().is_err());
    }

    #[test]
    fn servers_that_nobody_can_download_from_are_refused_as_they_were_typed() {
        for (texts, expected) in [
            (&["A=http://a/#x"][..], "--server A=http://a/#x: \"http://a/#x\": what follows \"#\""),
            (
                &["A=\"http://a/\""],
                "--server A=\"http://a/\": the URL \"http://a/\" has quotes around it; write \"http://a/\"",
            ),
            (&["A=C:\\x"], "--server A=C:\\x: \"C:\\x\" is a path of Windows"),
            (
                &["A=http:\\\\a"],
                "--server A=http:\\\\a: \"http:\\\\a\" contains a backslash, and URLs have slashes; write \"http://a\"",
            ),
            (&["A=mirror/"], "or \"./mirror/\" for a directory, which is relative to the jigdo file"),
            (&["A=http://a b/"], "write %20 for a space"),
            (&["A=A:x"], "the servers of \"A\" lead back to itself"),
            (&["A=B:x", "B=C:", "C=A:"], "lead back to itself"),
            (&["A=B", "B=http://b/"], "write \"B:\""),
        ] {
            let servers: Vec<LabelledServer> = texts.iter().map(|text| text.parse().unwrap()).collect();
            let message = check_typed_servers(&servers).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        let servers = ["A=B:x", "B=http://b/"].map(|text| text.parse().unwrap());
        assert_eq!(check_typed_servers(&servers), Ok(()));
    }
}
