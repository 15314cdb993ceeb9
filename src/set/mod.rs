//! Published sets on a disk: finding jigdo files, reading them with what they include, and locating their templates.
//!
//! | module | does |
//! |---|---|
//! | `find` | finds jigdo files, and recognises kinds of files |
//! | `place` | resolves texts to URLs and paths |
//! | `read` | reads a jigdo file and what it includes |
//! | `images` | the images that a jigdo file describes |
//! | `locate` | finds the template and the image's name |

mod find;
mod images;
mod locate;
mod place;
mod read;

pub use find::{FindError, JigdoFile, Kind, Tree, find, find_directly_in, find_in};
pub use images::{Images, Listed, Names, not_included};
pub use place::{BadPlace, Place, file_url};
pub use read::{Fetch, Fetched, Included, MAX_DEPTH, MAX_INCLUDES, NotIncluded, Offline, read};

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jigdo::base64;
use jigdo::bstr::BString;
use jigdo::jigdo_file::{self, Image, Jigdo, ResolveError};
use jigdo::template::{self, Template};
use jigdo::{Sum, escaped, escaped_path};

use crate::{digest, file};

/// A template in a file.
pub type FileTemplate = Template<BufReader<File>>;

/// A set: one image of a jigdo file, and its template.
#[derive(Debug, Clone)]
pub struct Set {
    /// The jigdo file's path, as given.
    pub path: PathBuf,
    /// The file itself, to which its relative URLs and paths are relative.
    pub origin: Place,
    /// Its content, with the parts and servers of the jigdo files that it includes. All images of the file share it.
    pub jigdo: Arc<Jigdo>,
    /// The image's `[Image]` section.
    pub image: Image,
    /// The name to save the image under: a single path component.
    pub image_name: OsString,
    /// The template's path.
    pub template: PathBuf,
}

/// Why a set cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum Error {
    #[error("{path}: {source}", path = escaped_path(.path))]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: {source}", path = escaped_path(.path))]
    Jigdo { path: PathBuf, source: jigdo_file::Error },
    #[error("{path}: a jigdo file includes itself: {}; remove one of these [Include] lines", .chain.join(" -> "), path = escaped_path(.path))]
    IncludesItself { path: PathBuf, chain: Vec<String> },
    #[error("{path}: more than {limit} jigdo files are included; remove [Include] lines", path = escaped_path(.path))]
    IncludesTooMany { path: PathBuf, limit: usize },
    #[error("{path}: jigdo files include one another more than {limit} deep; include them directly", path = escaped_path(.path))]
    IncludesTooDeep { path: PathBuf, limit: usize },
    #[error("{path}: its [Image] section {number} has no entry {key}; that image is left out", path = escaped_path(.path))]
    IncompleteImage { path: PathBuf, number: usize, key: &'static str },
    #[error("{path}: it has no [Image] section, so it describes no image", path = escaped_path(.path))]
    NoImage { path: PathBuf },
    #[error(
        "{path}: it describes {} images: {}; name one of them with --image", .names.len(), .names.join(", "),
        path = escaped_path(.path)
    )]
    SeveralImages { path: PathBuf, names: Vec<String> },
    #[error("{path}: it describes no image called {name:?}, but {}", .names.join(", "), path = escaped_path(.path))]
    NoSuchImage { path: PathBuf, name: String, names: Vec<String> },
    #[error("{path}: Filename=\"{name}\" cannot be a file name; correct it", path = escaped_path(.path), name = escaped(.name))]
    ImageName { path: PathBuf, name: BString },
    #[error("{path}: Template=: {source}", path = escaped_path(.path))]
    TemplatePlace { path: PathBuf, source: BadPlace },
    #[error(
        "{path}: its template is not there, looked for as {}; get it, or name it with --template",
        .looked_for.iter().map(|path| escaped_path(&path).to_string()).collect::<Vec<_>>().join(", "),
        path = escaped_path(.path)
    )]
    NoTemplate { path: PathBuf, looked_for: Vec<PathBuf> },
    #[error("{path}: {source}", path = escaped_path(.path))]
    Template { path: PathBuf, source: template::Error },
    #[error(
        "{path}: it has another sum than {jigdo} says, {found:?} instead of {expected:?}; get it again",
        path = escaped_path(.path), jigdo = escaped_path(.jigdo)
    )]
    TemplateSum { path: PathBuf, jigdo: PathBuf, expected: Sum, found: Sum },
}

impl Set {
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
        let file = File::open(&self.template);
        self.compare_template_sum(file.and_then(|file| digest::sum_of_reader(expected.checksum(), file)))
    }

    /// Compares a sum of the template with the one in the jigdo file, if there is one. It must be of the same kind.
    ///
    /// # Errors
    /// The template could not be read, or has another sum.
    pub fn compare_template_sum(&self, found: io::Result<Sum>) -> Result<(), Error> {
        let Some(expected) = self.image.template_sum else { return Ok(()) };
        let found = found.map_err(|source| Error::Io { path: self.template.clone(), source })?;
        let (path, jigdo) = (self.template.clone(), self.path.clone());
        if found == expected { Ok(()) } else { Err(Error::TemplateSum { path, jigdo, expected, found }) }
    }

    /// The URLs of the part with this sum, the best first. If the jigdo file does not name the part, the only one is the
    /// name under which jigdo looks for it, such as `MD5Sum:...`.
    ///
    /// # Errors
    /// A label of the jigdo file refers to itself.
    pub fn urls(&self, sum: &Sum) -> Result<Vec<BString>, ResolveError> {
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
            urls.push(format!("{kind}:{}", base64::encode(sum.as_bytes())).into());
        }
        Ok(urls)
    }
}

/// The files that `Template=` may mean, the likeliest first. They need not exist.
///
/// # Errors
/// A `file:` URL with another host.
pub fn named_templates(jigdo: &JigdoFile, url: &[u8]) -> Result<Vec<PathBuf>, BadPlace> {
    locate::named_templates(jigdo, url)
}

/// Reads a template without its unmatched data.
///
/// # Errors
/// It cannot be read, or is not a template.
pub fn read_template(path: &Path) -> Result<FileTemplate, Error> {
    // If it is a pipe, nobody is waited for.
    let file = file::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    Template::read(BufReader::new(file)).map_err(|source| Error::Template { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
