//! From what a jigdo file says to files on this machine.

use std::path::{Component, Path, PathBuf};

use super::Error;

/// The template that `Template=` of the jigdo file at `path` means; if it is not there, the one beside the jigdo file
/// that is called so, or as the jigdo file is.
pub(super) fn template(path: &Path, url: &str) -> Result<PathBuf, Error> {
    let mut candidates = Vec::new();
    let mut add = |candidate: PathBuf| {
        if !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    };
    for url in [url.to_owned(), decoded(url)] {
        local(path, &url).into_iter().for_each(&mut add);
        let name = file_name(&url);
        if !name.is_empty() {
            add(path.with_file_name(name));
        }
    }
    add(path.with_extension("template"));
    match candidates.iter().find(|candidate| candidate.is_file()) {
        Some(found) => Ok(found.clone()),
        None => Err(Error::NoTemplate { path: path.to_owned(), looked_for: candidates }),
    }
}

/// What stands behind the last slash of a URL.
pub(super) fn file_name(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default().rsplit(['/', ':']).next().unwrap_or_default()
}

/// The file that a URL in the jigdo file at `from` means, if it is one on this machine.
pub(super) fn local(from: &Path, url: &str) -> Option<PathBuf> {
    if let Some(path) = url.strip_prefix("file:") {
        let path = path.strip_prefix("//localhost").or(path.strip_prefix("//")).unwrap_or(path);
        let path = Path::new(path);
        return if path.is_absolute() { Some(path.to_owned()) } else { Some(from.with_file_name("").join(path)) };
    }
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    let is_elsewhere = scheme.is_some_and(|scheme| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    });
    (!is_elsewhere && !url.contains('\0')).then(|| from.with_file_name("").join(url))
}

/// A URL with what is written as `%20` and the like as it is meant.
fn decoded(url: &str) -> String {
    let bytes = url.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                decoded.push(byte);
                at += 3;
            }
            _ => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| url.to_owned())
}

/// The last component of the name that the jigdo file at `path` gives its image.
pub(super) fn image_name(path: &Path, name: &str) -> Result<String, Error> {
    let refused = || Error::ImageName { path: path.to_owned(), name: name.to_owned() };
    match Path::new(name).components().next_back() {
        Some(Component::Normal(last)) if !name.contains('\0') => Ok(last.to_string_lossy().into_owned()),
        _ => Err(refused()),
    }
}
