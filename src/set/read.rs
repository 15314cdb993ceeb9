//! Reads jigdo files with everything that they include, from this machine and from the web.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use jigdo::bstr::BString;
use jigdo::jigdo_file::{Image, Jigdo, Location};
use jigdo::{escaped, escaped_path};
use url::Url;

use super::find::read_regular;
use super::place::{BadPlace, Place};
use super::{Error, JigdoFile};

/// The most jigdo files that one may include, directly or indirectly.
pub const MAX_INCLUDES: usize = 100;

/// How deep jigdo files may include one another.
pub const MAX_DEPTH: usize = 16;

/// Fetches jigdo files from the web.
///
/// Implementations must bound what one fetch can cost: its length, which need not exceed
/// [`MAX_TEXT`](jigdo::jigdo_file::MAX_TEXT), its time, and the number of redirections. The reader bounds how many files it
/// fetches for one set, and how deep they are nested.
pub trait Fetch: Sync {
    /// Fetches what is at `url`.
    ///
    /// # Errors
    ///
    /// The reason why it cannot be fetched, for people.
    fn fetch(&self, url: &Url) -> Result<Fetched, String>;
}

/// A file from the web.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its URL after redirections. Relative URLs in the file are relative to this one.
    pub url: Url,
    /// The file's content.
    pub bytes: Arc<[u8]>,
}

/// Fetches nothing.
#[derive(Debug, Clone, Copy)]
pub struct Offline;

impl Fetch for Offline {
    fn fetch(&self, _: &Url) -> Result<Fetched, String> {
        Err("it is on the web, and this run fetches nothing from there".to_owned())
    }
}

/// A jigdo file together with what it includes.
///
/// A jigdo file from the web cannot name files of this machine. Its relative URLs mean files beside it on the web; local
/// files that it names are left out.
#[derive(Debug, Clone)]
pub struct Included {
    /// The jigdo file's content, followed by the servers and parts of each included file, in the order of the `[Include]`
    /// lines. A file that describes no image itself has all images of the files that it includes.
    pub jigdo: Jigdo,
    /// Whatever was left out, in the same order.
    pub not_included: Vec<NotIncluded>,
}

/// Something that could not be included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotIncluded {
    /// The file that names it, unless that is the first one.
    pub included_by: Option<Place>,
    /// The section that names it, with the label in `[Servers]`: `[Include]`, `[Servers] Debian`.
    pub section: BString,
    /// The URL or path as written there.
    pub url: BString,
    /// Why it could not be included.
    pub reason: String,
}

/// As `[Include URL]: reason`, with the including file unless that is the first one.
impl fmt::Display for NotIncluded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { included_by, section, url, reason } = self;
        match section.as_slice() {
            b"[Include]" => write!(f, "[Include {}]", escaped(url))?,
            section => write!(f, "{} {}", escaped(section), escaped(url))?,
        }
        if let Some(place) = included_by {
            write!(f, " in {place}")?;
        }
        write!(f, ": {reason}")
    }
}

/// Reads a jigdo file, plain or compressed, and everything that it includes, each file once.
///
/// Files that cannot be fetched or read are [left out](Included::not_included).
///
/// # Errors
///
/// The jigdo file itself cannot be read, a file includes itself, or the files are too many or nested too deep.
pub fn read(file: &JigdoFile, fetch: &dyn Fetch) -> Result<Included, Error> {
    let jigdo = read_one(file)?;
    let origin = Place::File(file.real.clone());
    let mut reader = Reader {
        path: &file.path,
        fetch,
        chain: vec![origin.clone()],
        seen: HashSet::new(),
        included: Included { jigdo, not_included: Vec::new() },
    };
    let includes = reader.included.jigdo.includes.clone();
    let needs_images = reader.included.jigdo.images.is_empty();
    reader.include(&includes, &origin, needs_images)?;
    Ok(reader.included)
}

/// Reads a jigdo file without what it includes.
pub(super) fn read_one(file: &JigdoFile) -> Result<Jigdo, Error> {
    let (_, bytes) = file.read().map_err(|source| Error::Io { path: file.path.clone(), source })?;
    Jigdo::read(&*bytes).map_err(|source| Error::Jigdo { path: file.path.clone(), source })
}

/// A jigdo file whose includes are being read.
struct Reader<'a> {
    /// The first jigdo file's path, as given.
    path: &'a Path,
    fetch: &'a dyn Fetch,
    /// The files that led to the current one, beginning with the first.
    chain: Vec<Place>,
    /// All files included so far, without the first one.
    seen: HashSet<Place>,
    included: Included,
}

impl Reader<'_> {
    /// Includes the files that the file at `base` names, with their images if that file has none.
    fn include(&mut self, urls: &[BString], base: &Place, needs_images: bool) -> Result<(), Error> {
        for url in urls {
            let place = match Place::of(url, base) {
                Ok(place) => identity(place),
                Err(error) => {
                    self.leave_out(b"[Include]", url, &error);
                    continue;
                }
            };
            self.check_chain(&place)?;
            if !self.seen.insert(place.clone()) {
                continue;
            }
            if self.seen.len() > MAX_INCLUDES {
                return Err(Error::IncludesTooMany { path: self.path.to_owned(), limit: MAX_INCLUDES });
            }
            match self.get(&place) {
                Ok((jigdo, base)) => {
                    self.chain.push(place);
                    let needs_images = needs_images && !self.add_images(&jigdo.images, &base);
                    let includes = self.add(jigdo, &base);
                    self.include(&includes, &base, needs_images)?;
                    self.chain.pop();
                }
                Err(reason) => self.leave_out(b"[Include]", url, &reason),
            }
        }
        Ok(())
    }

    /// Refuses a file that includes itself, or that is nested too deep.
    fn check_chain(&self, place: &Place) -> Result<(), Error> {
        let path = || self.path.to_owned();
        if let Some(start) = self.chain.iter().position(|known| known == place) {
            let chain = self.chain[start..].iter().chain([place]).map(Place::to_string).collect();
            return Err(Error::IncludesItself { path: path(), chain });
        }
        if self.chain.len() > MAX_DEPTH {
            return Err(Error::IncludesTooDeep { path: path(), limit: MAX_DEPTH });
        }
        Ok(())
    }

    /// Reads one included file. Also returns its place after redirections.
    fn get(&self, place: &Place) -> Result<(Jigdo, Place), String> {
        let parse = |bytes: &[u8]| Jigdo::read(bytes).map_err(|error| error.to_string());
        match place {
            Place::File(path) => {
                let failed = |error| format!("{}: {error}", escaped_path(path));
                let (_, bytes) = read_regular(path).map_err(failed)?;
                Ok((parse(&bytes)?, place.clone()))
            }
            Place::Web(url) => {
                let fetched = self.fetch.fetch(url)?;
                Ok((parse(&fetched.bytes)?, Place::Web(fetched.url)))
            }
        }
    }

    /// Adds the servers and parts of an included file. Returns the URLs that it includes itself.
    fn add(&mut self, jigdo: Jigdo, base: &Place) -> Vec<BString> {
        let Jigdo { parts, servers, includes, .. } = jigdo;
        for (label, mut server) in servers {
            match Self::seen_from_first(&server.url, base) {
                Ok(url) => {
                    server.url = url;
                    self.included.jigdo.servers.push((label, server));
                }
                Err(error) => self.leave_out(&[b"[Servers] ", label.as_slice()].concat(), &server.url, &error),
            }
        }
        for (sum, location) in parts {
            let text = location.text();
            match Self::seen_from_first(&text, base) {
                Ok(url) if url == text => self.included.jigdo.parts.push((sum, location)),
                Ok(url) => self.included.jigdo.parts.push((sum, Location::parse(&url))),
                Err(error) => self.leave_out(b"[Parts]", &text, &error),
            }
        }
        includes
    }

    /// Adds the images of an included file. Returns whether there was one that could be added.
    fn add_images(&mut self, images: &[Image], base: &Place) -> bool {
        let known = self.included.jigdo.images.len();
        for image in images {
            match Self::seen_from_first(&image.template, base) {
                Ok(template) => self.included.jigdo.images.push(Image { template, ..image.clone() }),
                Err(error) => self.leave_out(b"[Image] Template", &image.template, &error),
            }
        }
        self.included.jigdo.images.len() > known
    }

    /// Rewrites a text in the file at `base` for the first file, which is on this machine: relative URLs of web files become
    /// absolute.
    fn seen_from_first(text: &[u8], base: &Place) -> Result<BString, BadPlace> {
        if matches!(base, Place::File(_)) {
            return Ok(text.into());
        }
        match Place::of(text, base) {
            Ok(Place::Web(url)) if Location::parse(text).label.is_empty() || is_relative(text) => {
                Ok(url.as_str().into())
            }
            Err(error @ BadPlace::LocalFromWeb(_)) => Err(error),
            _ => Ok(text.into()),
        }
    }

    fn leave_out(&mut self, section: &[u8], url: &[u8], reason: &dyn fmt::Display) {
        let included_by = (self.chain.len() > 1).then(|| self.chain.last().cloned()).flatten();
        let (section, url, reason) = (section.into(), url.into(), reason.to_string());
        self.included.not_included.push(NotIncluded { included_by, section, url, reason });
    }
}

/// Whether the first colon of a text comes after a slash, and so is part of a path.
fn is_relative(text: &[u8]) -> bool {
    Location::parse(text).label.contains(&b'/')
}

/// The same place for the same file, whichever text names it.
fn identity(place: Place) -> Place {
    match place {
        Place::File(path) => Place::File(path.canonicalize().unwrap_or(path)),
        Place::Web(mut url) => {
            url.set_fragment(None);
            Place::Web(url)
        }
    }
}
