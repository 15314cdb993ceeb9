//! Servers as people type them, in manifests and on the command line: a URL that downloading programs take, a path of this
//! computer, or a label with a path below it.

use jigdo::jigdo_file::{check_label, is_scheme};
use url::Url;

use super::problem::did_you_mean;

/// The schemes that jigdo-lite's wget and this program download from.
const WEB: [&str; 4] = ["https", "http", "ftp", "ftps"];

/// What a server's text names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// A server of the web.
    Web,
    /// A directory of this computer.
    Directory,
    /// A directory below another label's.
    Label(&'a str),
}

/// Why a text is no server.
struct Refused {
    why: String,
    /// What was probably meant. It may have further mistakes.
    meant: Option<String>,
    /// What else can be done.
    hint: String,
}

impl Refused {
    fn new(why: String) -> Self {
        Self { why, meant: None, hint: String::new() }
    }

    fn meant(self, meant: String) -> Self {
        Self { meant: Some(meant), ..self }
    }

    fn hint(self, hint: &str) -> Self {
        Self { hint: hint.to_owned(), ..self }
    }

    /// The message. It only says to write what is a server.
    fn message(self, known: &[&str]) -> String {
        let Self { why, meant, hint } = self;
        match meant.and_then(|meant| accepted(meant, known)) {
            Some(meant) => format!("{why}; write \"{meant}\"{}{hint}", if hint.is_empty() { "" } else { ", or " }),
            None if hint.is_empty() => why,
            None => format!("{why}; {}{hint}", if hint.starts_with('"') { "write " } else { "" }),
        }
    }
}

/// What was meant, after its own mistakes were corrected too; `None` if that leads nowhere.
fn accepted(mut meant: String, known: &[&str]) -> Option<String> {
    const MOST: usize = 8;
    for _ in 0..MOST {
        match look_at(&meant, known) {
            Ok(Target::Label(label)) if !known.contains(&label) => return None,
            Ok(_) => return Some(meant),
            Err(refused) => meant = refused.meant?,
        }
    }
    None
}

/// Checks a server's text: that programs can download from it. `known` are labels that it may have been meant as.
///
/// # Errors
/// What is wrong, and what to write.
pub(crate) fn check<'a>(text: &'a str, known: &[&str]) -> Result<Target<'a>, String> {
    look_at(text, known).map_err(|refused| refused.message(known))
}

/// Checks the URL of a file, which may be relative to that of the jigdo file.
///
/// # Errors
/// What is wrong, and what to write.
pub(super) fn check_reference(text: &str, known: &[&str]) -> Result<(), String> {
    let begins_as_host = text.split_once('/').is_some_and(|(host, _)| {
        let domain = host.rsplit_once('.').map(|(_, domain)| domain);
        domain.is_some_and(|domain| domain.len() > 1 && domain.bytes().all(|byte| byte.is_ascii_alphabetic()))
    });
    let before_path = text.split(['/', '?', '#']).next().unwrap_or_default();
    let is_relative = !before_path.contains([':', ';', '\\']) && !text.starts_with("//") && !begins_as_host;
    if is_relative && web_scheme(text).is_none() {
        return Ok(());
    }
    match check(text, known)? {
        Target::Label(label) if !known.contains(&label) => Err(unknown_label(text, label, known)),
        _ => Ok(()),
    }
}

fn look_at<'a>(text: &'a str, known: &[&str]) -> Result<Target<'a>, Refused> {
    if text.is_empty() {
        return Err(Refused::new("the URL is empty".to_owned()));
    }
    if text.contains(char::is_control) {
        return Err(Refused::new(format!("{text:?} contains a control character; remove it")));
    }
    if text.contains(char::is_whitespace) {
        return Err(Refused::new(format!("the URL {text:?} contains white space; write %20 for a space")));
    }
    if let Some(bare) = without_quotes(text) {
        return Err(Refused::new(format!("the URL {text} has quotes around it")).meant(bare.to_owned()));
    }
    if text.contains('\\') {
        return Err(of_backslashes(text));
    }
    if text.starts_with("//") {
        return Err(Refused::new(format!("\"{text}\" has no scheme")).meant(format!("https:{text}")));
    }
    if text.starts_with('~') {
        let why = format!("\"{text}\": \"~\" does not stand for a home directory here");
        return Err(Refused::new(why).hint("write the directory's whole path, such as \"/home/me/mirror\""));
    }
    if is_path(text) {
        return Ok(Target::Directory);
    }
    let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| !scheme.contains('/')) else {
        return Err(of_no_scheme(text, known));
    };
    let lower = scheme.to_ascii_lowercase();
    match lower.as_str() {
        "file" => check_file(text, rest).map(|()| Target::Directory),
        web if WEB.contains(&web) => check_web(text, scheme, rest).map(|()| Target::Web),
        scheme if is_scheme(scheme) => Err(Refused::new(format!(
            "\"{text}\": programs that read jigdo files do not download with {scheme}; name the server with https, http \
             or ftp"
        ))),
        _ if rest.starts_with("//") => {
            let why = format!("\"{text}\": \"{scheme}\" is not a scheme of servers{}", scheme_hint(&lower));
            Err(Refused::new(why))
        }
        _ if scheme.contains('@') => Err(Refused::new(format!(
            "\"{text}\": programs that read jigdo files do not download with SSH; name the server with https, http or ftp"
        ))),
        _ if check_label(scheme).is_err() => Err(Refused::new(format!(
            "\"{text}\" is no URL and no label with a path; write \"https://\" before a server's name"
        ))),
        _ if is_web(rest) => {
            let why = format!("\"{text}\" has a whole URL after the label \"{scheme}\"");
            Err(Refused::new(why).meant(rest.to_owned()))
        }
        _ => Ok(Target::Label(scheme)),
    }
}

/// The text between quotes, if it is in quotes.
fn without_quotes(text: &str) -> Option<&str> {
    let between = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    between('"').or_else(|| between('\''))
}

/// Whether the text begins with a scheme of the web and `://`.
fn is_web(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| WEB.iter().any(|web| web.eq_ignore_ascii_case(scheme)))
}

/// The scheme of a text that begins with one, and with two slashes but not a colon between them: `https//a`, `https;//a`.
fn web_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_at(text.find(|c: char| !c.is_ascii_alphabetic())?);
    let after = rest.trim_start_matches(|c: char| c.is_ascii_punctuation() && c != '/');
    let is_near = rest.len() - after.len() < 3 && after.starts_with("//") && !rest.starts_with("://");
    (is_near && WEB.contains(&&*scheme.to_ascii_lowercase())).then(|| (scheme, after.trim_start_matches('/')))
}

/// A path of Windows, or a URL with backslashes.
fn of_backslashes(text: &str) -> Refused {
    let mut characters = text.chars();
    let drive = characters.next().filter(char::is_ascii_alphabetic);
    match drive.filter(|_| characters.as_str().starts_with(":\\")) {
        Some(drive) => {
            let meant = format!("/mnt/{}{}", drive.to_ascii_lowercase(), text[2..].replace('\\', "/"));
            let why = format!("\"{text}\" is a path of Windows, which has another name on this system");
            Refused::new(why).hint(&format!("under WSL for example \"{meant}\""))
        }
        None if text.starts_with("\\\\") => Refused::new(format!("\"{text}\" is a share of Windows"))
            .hint("write the path of the directory where it is mounted, such as \"/mnt/mirror\""),
        None => {
            let why = format!("\"{text}\" contains a backslash, and URLs have slashes");
            Refused::new(why).meant(text.replace('\\', "/"))
        }
    }
}

/// A text that begins neither as a URL nor as a path, nor with a label and a colon.
fn of_no_scheme(text: &str, known: &[&str]) -> Refused {
    let (first, below) = text.split_at(text.find('/').unwrap_or(text.len()));
    if known.contains(&first) {
        let why = format!("\"{text}\" lacks a colon after the label \"{first}\"");
        return Refused::new(why).meant(format!("{first}:{}", below.trim_start_matches('/')));
    }
    let why = format!("\"{text}\" has no scheme");
    if let Some((scheme, rest)) = web_scheme(text) {
        return Refused::new(why).meant(format!("{scheme}://{rest}"));
    }
    let directory = format!("\"./{text}\" for a directory, which is relative to the jigdo file");
    Refused::new(why).meant(format!("https://{text}")).hint(&directory)
}

/// A path of this computer: `/srv/debian/`, `./debian/`, `../debian/`.
fn is_path(text: &str) -> bool {
    text.starts_with('/') || text.starts_with("./") || text.starts_with("../") || matches!(text, "." | "..")
}

fn check_file(text: &str, rest: &str) -> Result<(), Refused> {
    let Some(below) = rest.strip_prefix("//") else { return Ok(()) };
    let (host, path) = below.split_at(below.find('/').unwrap_or(below.len()));
    if host.is_empty() || host.eq_ignore_ascii_case("localhost") {
        return Ok(());
    }
    let why = format!("\"{text}\" is on the host \"{host}\"");
    let hint = format!("for a directory on this computer write \"file:///{host}{path}\"");
    Err(Refused::new(why).hint(&hint))
}

fn check_web(text: &str, scheme: &str, rest: &str) -> Result<(), Refused> {
    let names_no_server = || Err(Refused::new(format!("the URL \"{text}\" names no server")));
    let Some(authority) = rest.strip_prefix("//") else {
        let meant = rest.trim_start_matches('/');
        if meant.is_empty() {
            return names_no_server();
        }
        let why = format!("\"{text}\" lacks a slash after \"{scheme}:\"");
        return Err(Refused::new(why).meant(format!("{scheme}://{meant}")));
    };
    let host = authority.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() {
        return names_no_server();
    }
    let (second, after) = authority.split_at(authority.find([':', '/']).unwrap_or(authority.len()));
    let is_second = WEB.iter().any(|web| second.eq_ignore_ascii_case(web));
    if is_second && (after.starts_with(":/") || after.starts_with("//") || after == ":") {
        let meant = after.trim_start_matches([':', '/']);
        return Err(Refused::new(format!("\"{text}\" has two schemes")).meant(format!("{scheme}://{meant}")));
    }
    if text.match_indices([',', ';', '|']).any(|(at, _)| is_web(&text[at + 1..])) {
        return Err(Refused::new(format!("\"{text}\" has several URLs; write each as a server of its own")));
    }
    if text.contains('#') {
        return Err(Refused::new(format!(
            "\"{text}\": what follows \"#\" is never sent to a server; write %23 for a \"#\" in a path"
        )));
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return Err(Refused::new(format!("the URL \"{text}\" cannot be read: {error}"))),
    };
    let name = url.host_str().unwrap_or_default();
    if name.starts_with('.') || name.contains("..") {
        return Err(Refused::new(format!("the URL \"{text}\": \"{name}\" is no server's name; look at its dots")));
    }
    if url.port() == Some(0) {
        return Err(Refused::new(format!("the URL \"{text}\": no server has port 0")));
    }
    Ok(())
}

/// The message that the label at the start of `text` is none of `known`.
pub(crate) fn unknown_label(text: &str, label: &str, known: &[&str]) -> String {
    let rest = &text[label.len() + 1..];
    let is_port =
        rest.split(['/', '?']).next().is_some_and(|port| !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit()));
    let is_host = is_port || label.contains('.') || label.eq_ignore_ascii_case("localhost");
    let scheme = scheme_hint(&label.to_ascii_lowercase());
    let hint = if rest.starts_with('/') && !scheme.is_empty() {
        scheme
    } else if rest.starts_with('/') && label.len() == 1 && label.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        let drive = label.to_ascii_lowercase();
        format!("; a path of Windows has another name on this system, under WSL for example \"/mnt/{drive}{rest}\"")
    } else if is_host {
        let with_port = accepted(format!("http://{text}"), known);
        let url = with_port.unwrap_or_else(|| format!("http://{label}/{}", rest.trim_start_matches('/')));
        let meant = accepted(url, known);
        meant.map_or_else(String::new, |meant| format!("; write \"{meant}\" for a server of the web"))
    } else {
        did_you_mean(label, known.iter().copied())
    };
    format!("\"{text}\": mirror \"{label}\" is not defined{hint}")
}

/// The scheme that was probably meant.
fn scheme_hint(scheme: &str) -> String {
    // Of two as near, the first.
    let nearest = WEB.iter().min_by_key(|known| strsim::damerau_levenshtein(scheme, known));
    match nearest.filter(|known| scheme.len() < 10 && strsim::damerau_levenshtein(scheme, known) < 2) {
        Some(near) => format!("; did you mean \"{near}://\"?"),
        None => String::new(),
    }
}

/// The URL in a form that paths can be appended to: with a slash at its end, unless it is a label alone or has a query.
pub(crate) fn with_slash(mut url: String) -> String {
    let is_label = url.find(':') == Some(url.len() - 1) && !is_path(&url);
    if !url.ends_with('/') && !url.contains('?') && !is_label {
        url.push('/');
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_download_from_is_a_server() {
        for text in [
            "http://a/",
            "HTTPS://a.example:8080/x",
            "ftp://user@a/debian/",
            "ftps://a/",
            "http://[::1]/debian/",
            "http://192.168.1.1/~x/?get=",
            "https://a/%20/",
            "http://ftp/x",
            "http://https/",
            "ftp://ftp:21/",
            "http://a./",
            "http://a/x,y",
            "http://archive.example/web/2020/http://a/",
        ] {
            assert_eq!(check(text, &[]), Ok(Target::Web), "{text}");
        }
        for text in
            ["/srv/debian", "./x", "../x", ".", "..", "file:x", "file:/x", "file:///x", "file://localhost/x", "/a:b"]
        {
            assert_eq!(check(text, &[]), Ok(Target::Directory), "{text}");
        }
        for text in ["Debian:", "Debian:pool/", "Debian:/pool", "a.b+c:x"] {
            assert_eq!(check(text, &[]), Ok(Target::Label(text.split(':').next().unwrap())), "{text}");
        }
    }

    #[test]
    fn what_nobody_can_download_from_is_refused_with_a_remedy() {
        for (text, remedy) in [
            ("", "empty"),
            ("deb.example.org/debian/", "write \"https://deb.example.org/debian/\""),
            ("debian", "write \"https://debian\", or \"./debian\" for a directory"),
            ("htps://a/", "did you mean \"https://\"?"),
            ("htp://a/", "did you mean \"http://\"?"),
            ("gopher://a/", "\"gopher\" is not a scheme of servers"),
            ("rsync://a/debian/", "do not download with rsync"),
            ("rsync:a", "do not download with rsync"),
            ("http:/a/", "write \"http://a/\""),
            ("https:a/debian", "write \"https://a/debian\""),
            ("http:///debian", "names no server"),
            ("http://", "names no server"),
            ("http://?x", "names no server"),
            ("https://http://a/", "write \"https://a/\""),
            ("https://https//a/", "write \"https://a/\""),
            ("//deb.debian.org/debian", "write \"https://deb"),
            ("http://a/#x", "%23"),
            ("http://a:port/", "cannot be read"),
            ("http://a b/", "write %20"),
            ("http:\\\\a\\debian", "URLs have slashes; write \"http://a/debian\""),
            ("http:\\a", "write \"http://a\""),
            ("C:\\srv", "\"/mnt/c/srv\""),
            ("\\\\a\\x", "a share of Windows; write the path"),
            ("\"http://a/\"", "has quotes around it; write \"http://a/\""),
            ("https:", "names no server"),
            ("https://http://", "has two schemes"),
            ("https//a/x", "write \"https://a/x\""),
            ("https;//a/", "write \"https://a/\""),
            ("~/mirror", "home directory here; write the directory's whole path"),
            ("Other", "lacks a colon after the label \"Other\"; write \"Other:\""),
            ("Other/pool/", "write \"Other:pool/\""),
            ("mirror/", "\"./mirror/\" for a directory, which is relative to the jigdo file"),
            ("a..b/", "has no scheme; write \"./a..b/\" for a directory"),
            ("user@host:/srv", "do not download with SSH"),
            ("http://a/,http://b/", "several URLs"),
            ("Other:http://x/", "write \"http://x/\""),
            ("http://a..b/", "no server's name"),
            ("http://.a/", "no server's name"),
            ("http://a:0/", "port 0"),
            ("file://host/srv", "file:///host/srv"),
            ("a b:x", "write %20"),
            ("a#b:x", "no label with a path"),
        ] {
            let message = check(text, &["Other"]).unwrap_err();
            assert!(message.contains(remedy), "{text}: {message}");
            // What is said to write is accepted.
            for written in message.split("; write \"").skip(1).chain(message.split(", or \"").skip(1)) {
                let written = written.split('"').next().unwrap();
                assert!(written == "https://" || check(written, &["Other"]).is_ok(), "{text}: {written}: {message}");
            }
        }
    }

    #[test]
    fn an_unknown_label_may_have_been_meant_as_a_scheme_or_a_server() {
        let known = ["Debian"];
        for (text, hint) in [
            ("Debain:pool/", "; did you mean \"Debian\"?"),
            ("htps:/a/", "; did you mean \"https://\"?"),
            ("localhost:8080/debian/", "; write \"http://localhost:8080/debian/\" for a server of the web"),
            ("deb.example.org:debian/", "; write \"http://deb.example.org/debian/\" for a server of the web"),
            ("localhost:x", "; write \"http://localhost/x\" for a server of the web"),
            ("C:/x", "; a path of Windows has another name on this system, under WSL for example \"/mnt/c/x\""),
            ("Other:", ""),
        ] {
            let label = text.split(':').next().unwrap();
            assert_eq!(
                unknown_label(text, label, &known),
                format!("\"{text}\": mirror \"{label}\" is not defined{hint}")
            );
        }
    }

    #[test]
    fn urls_of_files_may_be_relative() {
        for text in
            ["x.jigdo", "../x.jigdo", "./a.b/x.jigdo", "/x", "12.9/x?y:z", "http://a/x", "D:x", "file:///x", "a/b:c"]
        {
            assert_eq!(check_reference(text, &["D"]), Ok(()), "{text}");
        }
        for (text, remedy) in [
            ("foo:x", "\"foo\" is not defined"),
            ("htps://d/x", "did you mean \"https://\"?"),
            ("example.com/x.jigdo", "write \"https://example.com/x.jigdo\", or \"./example.com/x.jigdo\""),
            ("https//d/x", "write \"https://d/x\""),
            ("//d/x", "write \"https://d/x\""),
            ("http:\\\\d\\x", "write \"http://d/x\""),
        ] {
            let message = check_reference(text, &["D"]).unwrap_err();
            assert!(message.contains(remedy), "{text}: {message}");
        }
    }

    #[test]
    fn paths_can_be_appended_to_what_ends_in_a_slash() {
        for (text, expected) in
            [("http://a", "http://a/"), ("http://a/?x=", "http://a/?x="), ("A:", "A:"), ("A:x", "A:x/"), ("/x", "/x/")]
        {
            assert_eq!(with_slash(text.to_owned()), expected);
        }
    }
}
