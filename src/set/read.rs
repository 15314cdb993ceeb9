//! Reads jigdo files with everything that they include, from this machine and from the web.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use jigdo::jigdo_file::{Jigdo, Location};
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
    /// lines. The image is the first one found.
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
    pub section: String,
    /// The URL or path as written there.
    pub url: String,
    /// Why it could not be included.
    pub reason: String,
}

/// As `[Include URL]: reason`, with the including file unless that is the first one.
impl fmt::Display for NotIncluded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { included_by, section, url, reason } = self;
        match section.as_str() {
            "[Include]" => write!(f, "[Include {url}]")?,
            section => write!(f, "{section} {url}")?,
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
    reader.include(&includes, &origin)?;
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
    /// Includes the files that the file at `base` names.
    fn include(&mut self, urls: &[String], base: &Place) -> Result<(), Error> {
        for url in urls {
            let place = match Place::of(url, base) {
                Ok(place) => identity(place),
                Err(error) => {
                    self.leave_out("[Include]", url, &error);
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
                    let includes = self.add(jigdo, &base);
                    self.include(&includes, &base)?;
                    self.chain.pop();
                }
                Err(reason) => self.leave_out("[Include]", url, &reason),
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
                let failed = |error| format!("{}: {error}", path.display());
                let (_, bytes) = read_regular(path).map_err(failed)?;
                Ok((parse(&bytes)?, place.clone()))
            }
            Place::Web(url) => {
                let fetched = self.fetch.fetch(url)?;
                Ok((parse(&fetched.bytes)?, Place::Web(fetched.url)))
            }
        }
    }

    /// Adds the content of an included file. Returns the URLs that it includes itself.
    fn add(&mut self, jigdo: Jigdo, base: &Place) -> Vec<String> {
        let Jigdo { mut image, parts, servers, includes, .. } = jigdo;
        for (label, mut server) in servers {
            match Self::seen_from_first(&server.url, base) {
                Ok(url) => {
                    server.url = url;
                    self.included.jigdo.servers.push((label, server));
                }
                Err(error) => self.leave_out(&format!("[Servers] {label}"), &server.url, &error),
            }
        }
        for (sum, location) in parts {
            let text = location.to_string();
            match Self::seen_from_first(&text, base) {
                Ok(url) if url == text => self.included.jigdo.parts.push((sum, location)),
                Ok(url) => self.included.jigdo.parts.push((sum, Location::parse(&url))),
                Err(error) => self.leave_out("[Parts]", &text, &error),
            }
        }
        if let Some(named) = &mut image {
            match Self::seen_from_first(&named.template, base) {
                Ok(url) => named.template = url,
                Err(error) => {
                    self.leave_out("[Image] Template", &named.template, &error);
                    image = None;
                }
            }
        }
        let jigdo = &mut self.included.jigdo;
        jigdo.image = jigdo.image.take().or(image);
        includes
    }

    /// Rewrites a text in the file at `base` for the first file, which is on this machine: relative URLs of web files become
    /// absolute.
    fn seen_from_first(text: &str, base: &Place) -> Result<String, BadPlace> {
        if matches!(base, Place::File(_)) {
            return Ok(text.to_owned());
        }
        match Place::of(text, base) {
            Ok(Place::Web(url)) if Location::parse(text).label.is_empty() || is_relative(text) => Ok(url.into()),
            Err(error @ BadPlace::LocalFromWeb(_)) => Err(error),
            _ => Ok(text.to_owned()),
        }
    }

    fn leave_out(&mut self, section: &str, url: &str, reason: &dyn fmt::Display) {
        let included_by = (self.chain.len() > 1).then(|| self.chain.last().cloned()).flatten();
        let (section, url, reason) = (section.to_owned(), url.to_owned(), reason.to_string());
        self.included.not_included.push(NotIncluded { included_by, section, url, reason });
    }
}

/// Whether the first colon of a text comes after a slash, and so is part of a path.
fn is_relative(text: &str) -> bool {
    Location::parse(text).label.contains('/')
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
