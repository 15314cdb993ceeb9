//! Published sets, as they lie on a disk: a jigdo file, what it includes, and its template.

mod include;
mod locate;

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
    /// The jigdo file.
    pub path: PathBuf,
    /// What it says, with the parts and servers of the jigdo files that it includes, as far as these are on this
    /// machine.
    pub jigdo: Jigdo,
    /// What it says of its image.
    pub image: Image,
    /// The name under which it wants the image to be saved: a single component of a path.
    pub image_name: String,
    /// The template.
    pub template: PathBuf,
    /// URLs of included jigdo files that are not on this machine.
    pub not_included: Vec<String>,
}

/// The names of a set's files, each a single component of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    pub image: String,
    /// Empty if `Template=` ends with a slash.
    pub template: String,
}

/// Why a set cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{path}: {source}", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: {source}", path = .path.display())]
    Jigdo { path: PathBuf, source: jigdo_file::Error },
    #[error("{path}: it includes itself", path = .path.display())]
    IncludesItself { path: PathBuf },
    #[error("{path}: more than {limit} jigdo files are included", path = .path.display())]
    IncludesTooMany { path: PathBuf, limit: usize },
    #[error("{path}: it has no [Image] section, so there is nothing to assemble", path = .path.display())]
    NoImage { path: PathBuf },
    #[error("{path}: Filename={name:?} cannot be the name of a file; correct it", path = .path.display())]
    ImageName { path: PathBuf, name: String },
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
    /// Reads the jigdo file at `path`, plain or compressed, and finds its template, unless `template` names it: where
    /// `Template=` says, as a path that is absolute or relative to the jigdo file, or as a `file:` URL; or else beside
    /// the jigdo file.
    ///
    /// # Errors
    /// The jigdo file, or one that it includes, cannot be read, or there is no template.
    pub fn open(path: &Path, template: Option<&Path>) -> Result<Self, Error> {
        let (mut jigdo, not_included) = include::read(path)?;
        let image = jigdo.image.take().ok_or_else(|| Error::NoImage { path: path.to_owned() })?;
        jigdo.image = Some(image.clone());
        let template = match template {
            Some(template) => template.to_owned(),
            None => locate::template(path, &image.template)?,
        };
        let image_name = locate::image_name(path, image.file_name())?;
        Ok(Self { path: path.to_owned(), jigdo, image, image_name, template, not_included })
    }

    /// The names of the files that the jigdo file at `path` is about, wherever these are; `None` if it has no image.
    pub fn names(path: &Path) -> Result<Option<Names>, Error> {
        let (jigdo, _) = include::read(path)?;
        let names = |image: Image| {
            let template = locate::file_name(&image.template).to_owned();
            Ok(Names { image: locate::image_name(path, image.file_name())?, template })
        };
        jigdo.image.map(names).transpose()
    }

    /// Reads the template, but for its unmatched data.
    pub fn read_template(&self) -> Result<FileTemplate, Error> {
        read_template(&self.template)
    }

    /// Compares the template's sum with the one that the jigdo file says, if it says one.
    pub fn check_template_sum(&self) -> Result<(), Error> {
        let Some(expected) = self.image.template_sum else { return Ok(()) };
        let failed = |source| Error::Io { path: self.template.clone(), source };
        let file = File::open(&self.template).map_err(failed)?;
        let found = digest::sum_of_reader(expected.checksum(), file).map_err(failed)?;
        let (path, jigdo) = (self.template.clone(), self.path.clone());
        if found == expected { Ok(()) } else { Err(Error::TemplateSum { path, jigdo, expected, found }) }
    }

    /// Where the part with this sum can be had, the best URL first. If the jigdo file does not name it, that is the
    /// name under which jigdo looks for such a part.
    ///
    /// # Errors
    /// The jigdo file's labels lead to themselves.
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

/// Reads a template, but for its unmatched data.
///
/// # Errors
/// It cannot be read, or is no template.
pub fn read_template(path: &Path) -> Result<FileTemplate, Error> {
    let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    Template::read(BufReader::new(file)).map_err(|source| Error::Template { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
