//! Published sets on a disk: finding jigdo files, reading them with what they include, and locating their templates.
//!
//! | module | does |
//! |---|---|
//! | `find` | finds jigdo files, and recognises kinds of files |
//! | `place` | resolves texts to URLs and paths |
//! | `read` | reads a jigdo file and what it includes |
//! | `locate` | finds the template and the image's name |

mod find;
mod locate;
mod place;
mod read;

pub use find::{FindError, JigdoFile, Kind, Tree, find, find_directly_in, find_in};
pub use place::{BadPlace, Place, file_url};
pub use read::{Fetch, Fetched, Included, MAX_DEPTH, MAX_INCLUDES, NotIncluded, Offline, read};

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use jigdo::Sum;
use jigdo::base64;
use jigdo::jigdo_file::{self, Image, Jigdo, ResolveError};
use jigdo::template::{self, Template};

use crate::digest;

/// A template in a file.
pub type FileTemplate = Template<BufReader<File>>;

/// A set.
#[derive(Debug, Clone)]
pub struct Set {
    /// The jigdo file's path, as given.
    pub path: PathBuf,
    /// The file itself, to which its relative URLs and paths are relative.
    pub origin: Place,
    /// Its content, with the parts and servers of the jigdo files that it includes.
    pub jigdo: Jigdo,
    /// Its `[Image]` section.
    pub image: Image,
    /// The name to save the image under: a single path component.
    pub image_name: String,
    /// The template's path.
    pub template: PathBuf,
    /// What could not be included.
    pub not_included: Vec<NotIncluded>,
}

/// The names of a set's files, each a single path component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The image's name; never empty.
    pub image: String,
    /// Empty if `Template=` ends with a slash.
    pub template: String,
}

/// Why a set cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum Error {
    #[error("{path}: {source}", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: {source}", path = .path.display())]
    Jigdo { path: PathBuf, source: jigdo_file::Error },
    #[error("{path}: a jigdo file includes itself: {}; remove one of these [Include] lines", .chain.join(" -> "), path = .path.display())]
    IncludesItself { path: PathBuf, chain: Vec<String> },
    #[error("{path}: more than {limit} jigdo files are included; remove [Include] lines", path = .path.display())]
    IncludesTooMany { path: PathBuf, limit: usize },
    #[error("{path}: jigdo files include one another more than {limit} deep; include them directly", path = .path.display())]
    IncludesTooDeep { path: PathBuf, limit: usize },
    #[error("{path}: it has no [Image] section, so it describes no image", path = .path.display())]
    NoImage { path: PathBuf },
    #[error("{path}: Filename={name:?} cannot be a file name; correct it", path = .path.display())]
    ImageName { path: PathBuf, name: String },
    #[error("{path}: Template=: {source}", path = .path.display())]
    TemplatePlace { path: PathBuf, source: BadPlace },
    #[error(
        "{path}: its template is not there, looked for as {}; get it, or name it with --template",
        .looked_for.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
        path = .path.display()
    )]
    NoTemplate { path: PathBuf, looked_for: Vec<PathBuf> },
    #[error("{path}: {source}", path = .path.display())]
    Template { path: PathBuf, source: template::Error },
    #[error(
        "{path}: it has another sum than {jigdo} says, {found:?} instead of {expected:?}; get it again",
        path = .path.display(), jigdo = .jigdo.display()
    )]
    TemplateSum { path: PathBuf, jigdo: PathBuf, expected: Sum, found: Sum },
}

impl Set {
    /// Reads the jigdo file at `path`, plain or compressed, with what it includes. Unless `template` is given, finds the
    /// template: at the path (absolute, or relative to the jigdo file) or `file:` URL in `Template=`, or else beside the
    /// jigdo file.
    ///
    /// # Errors
    /// The jigdo file cannot be read or includes itself, or there is no template.
    pub fn open(path: &Path, template: Option<&Path>, fetch: &dyn Fetch) -> Result<Self, Error> {
        let file = jigdo_file_at(path)?;
        let Included { jigdo, not_included } = read(&file, fetch)?;
        let image = jigdo.image.clone().ok_or_else(|| Error::NoImage { path: path.to_owned() })?;
        let template = match template {
            Some(template) => template.to_owned(),
            None => locate::template(&file, &image.template)?,
        };
        let image_name = locate::image_name(path, image.file_name())?;
        let origin = Place::File(file.real);
        Ok(Self { path: file.path, origin, jigdo, image, image_name, template, not_included })
    }

    /// The names of the image and the template in the jigdo file at `path`; `None` if it has no image.
    ///
    /// # Errors
    /// As for [`Set::open`], except that the template need not exist.
    pub fn names(path: &Path, fetch: &dyn Fetch) -> Result<Option<Names>, Error> {
        let file = jigdo_file_at(path)?;
        let own = read::read_one(&file)?;
        let image = match own.image {
            // Included files cannot change this.
            Some(image) => Some(image),
            None if own.includes.is_empty() => None,
            None => read(&file, fetch)?.jigdo.image,
        };
        let names = |image: Image| {
            let template = locate::file_name(&image.template).to_owned();
            Ok(Names { image: locate::image_name(path, image.file_name())?, template })
        };
        image.map(names).transpose()
    }

    /// Reads the template without its unmatched data.
    ///
    /// # Errors
    /// It cannot be read, or is no template.
    pub fn read_template(&self) -> Result<FileTemplate, Error> {
        read_template(&self.template)
    }

    /// Compares the template's sum with the one in the jigdo file, if there is one.
    ///
    /// # Errors
    /// The template cannot be read, or has another sum.
    pub fn check_template_sum(&self) -> Result<(), Error> {
        let Some(expected) = self.image.template_sum else { return Ok(()) };
        let failed = |source| Error::Io { path: self.template.clone(), source };
        let file = File::open(&self.template).map_err(failed)?;
        let found = digest::sum_of_reader(expected.checksum(), file).map_err(failed)?;
        let (path, jigdo) = (self.template.clone(), self.path.clone());
        if found == expected { Ok(()) } else { Err(Error::TemplateSum { path, jigdo, expected, found }) }
    }

    /// The URLs of the part with this sum, the best first. If the jigdo file does not name the part, the only one is the
    /// name under which jigdo looks for it, such as `MD5Sum:...`.
    ///
    /// # Errors
    /// A label of the jigdo file refers to itself.
    pub fn urls(&self, sum: &Sum) -> Result<Vec<String>, ResolveError> {
        let locations = self.jigdo.parts.iter().filter(|(known, _)| known == sum);
        let mut urls = Vec::new();
        for (_, location) in locations {
            urls.extend(self.jigdo.urls(location)?);
        }
        if urls.is_empty() {
            let kind = match sum {
                Sum::Md5(_) => "MD5Sum",
                Sum::Sha256(_) => "SHA256Sum",
            };
            urls.push(format!("{kind}:{}", base64::encode(sum.as_bytes())));
        }
        Ok(urls)
    }
}

fn jigdo_file_at(path: &Path) -> Result<JigdoFile, Error> {
    JigdoFile::at(path).map_err(|source| Error::Io { path: path.to_owned(), source })
}

/// The files that `Template=` may mean, the likeliest first. They need not exist.
///
/// # Errors
/// A `file:` URL with another host.
pub fn named_templates(jigdo: &JigdoFile, url: &str) -> Result<Vec<PathBuf>, BadPlace> {
    locate::named_templates(jigdo, url)
}

/// Reads a template without its unmatched data.
///
/// # Errors
/// It cannot be read, or is not a template.
pub fn read_template(path: &Path) -> Result<FileTemplate, Error> {
    let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    Template::read(BufReader::new(file)).map_err(|source| Error::Template { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
