//! Finds the template that a jigdo file names, and the name of its image.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use jigdo::bstr::{BString, ByteSlice as _};

use super::place::{BadPlace, Place};
use super::{Error, JigdoFile};

/// The files that `Template=` may mean, the likeliest first: at the place it names, or with the same file name beside the
/// jigdo file.
///
/// # Errors
///
/// A `file:` URL with another host.
pub(super) fn named_templates(jigdo: &JigdoFile, url: &[u8]) -> Result<Vec<PathBuf>, BadPlace> {
    let mut candidates = Vec::new();
    let mut add = |candidate: PathBuf| {
        if !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    };
    for url in [BString::from(url), decoded(url)] {
        for path in jigdo.paths() {
            match Place::of(&url, &Place::File(path.to_owned())) {
                Ok(Place::File(candidate)) => add(candidate),
                Err(error @ BadPlace::OtherHost { .. }) => return Err(error),
                // A template that is published elsewhere may be here too.
                Ok(Place::Web(_)) | Err(_) => {}
            }
        }
        let name = file_name(&url);
        if !name.is_empty() && !name.contains(&0) {
            jigdo.paths().for_each(|path| add(path.with_file_name(OsStr::from_bytes(name))));
        }
    }
    Ok(candidates)
}

/// The template of an image: the one that `Template=` names, or, for the only image of a jigdo file, the one with the
/// jigdo file's own name.
pub(super) fn template(jigdo: &JigdoFile, url: &[u8], is_only: bool) -> Result<PathBuf, Error> {
    let failed = |source| Error::TemplatePlace { path: jigdo.path.clone(), source };
    let mut candidates = named_templates(jigdo, url).map_err(failed)?;
    for path in jigdo.paths().filter(|_| is_only).map(|path| path.with_extension("template")) {
        if !candidates.contains(&path) {
            candidates.push(path);
        }
    }
    match candidates.iter().find(|candidate| candidate.is_file()) {
        Some(found) => Ok(found.clone()),
        None => Err(Error::NoTemplate { path: jigdo.path.clone(), looked_for: candidates }),
    }
}

/// The part of a URL after its last slash.
pub(super) fn file_name(url: &[u8]) -> &[u8] {
    let path = &url[..url.find_byteset(b"?#").unwrap_or(url.len())];
    path.rfind_byteset(b"/:").map_or(path, |slash| &path[slash + 1..])
}

/// A URL with `%20` and other escapes decoded.
fn decoded(bytes: &[u8]) -> BString {
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
    decoded.into()
}

/// The last component of the image's name in the jigdo file at `path`.
pub(super) fn image_name(path: &Path, name: &[u8]) -> Result<OsString, Error> {
    let refused = || Error::ImageName { path: path.to_owned(), name: name.into() };
    match Path::new(OsStr::from_bytes(name)).components().next_back() {
        Some(Component::Normal(last)) if !name.contains(&0) => Ok(last.to_owned()),
        _ => Err(refused()),
    }
}
