//! The images that a jigdo file describes: one for each of its `[Image]` sections. If it has none, they are those of the
//! jigdo files that it includes.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jigdo::escaped;
use jigdo::jigdo_file::{Image, Jigdo};

use super::{Error, Fetch, Included, JigdoFile, NotIncluded, Place, Set, locate, read};

/// A jigdo file with what it includes, and the images that it describes.
#[derive(Debug, Clone)]
pub struct Images {
    file: JigdoFile,
    origin: Place,
    jigdo: Arc<Jigdo>,
    /// What could not be included.
    pub not_included: Vec<NotIncluded>,
}

/// The names of an image's files, each a single path component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The image's name; never empty.
    pub image: OsString,
    /// Empty if `Template=` ends with a slash.
    pub template: OsString,
}

/// What a jigdo file describes.
#[derive(Debug)]
pub struct Listed {
    /// The names of the images and templates, in order. Empty if it has no image.
    pub names: Vec<Result<Names, Error>>,
    /// Whether it has lines in `[Parts]` itself.
    has_parts: bool,
    /// The file names at the ends of the URLs that it includes.
    included: Vec<OsString>,
}

/// The files of a tree that have parts but no image, although no other file of the tree includes a file of that name. With
/// what was listed of each.
pub fn not_included<'a>(files: &'a [JigdoFile], listed: &[Result<Listed, Error>]) -> Vec<&'a Path> {
    let listed = listed.iter().map(|listed| listed.as_ref().ok());
    let included: HashSet<&OsStr> =
        listed.clone().flatten().flat_map(|listed| &listed.included).map(OsString::as_os_str).collect();
    let is_lost = |file: &JigdoFile, listed: Option<&Listed>| {
        listed.is_some_and(|listed| listed.names.is_empty() && listed.has_parts)
            && !file.path.file_name().is_some_and(|name| included.contains(name))
    };
    let lost = files.iter().zip(listed).filter(|(file, listed)| is_lost(file, *listed));
    lost.map(|(file, _)| file.path.as_path()).collect()
}

impl Images {
    /// Reads the jigdo file at `path`, plain or compressed, with what it includes.
    ///
    /// # Errors
    /// The jigdo file cannot be read, includes itself, or describes no image.
    pub fn read(path: &Path, fetch: &dyn Fetch) -> Result<Self, Error> {
        let file = jigdo_file_at(path)?;
        let Included { jigdo, not_included } = read(&file, fetch)?;
        if jigdo.images.is_empty() {
            return Err(Error::NoImage { path: path.to_owned() });
        }
        let origin = Place::File(file.real.clone());
        Ok(Self { file, origin, jigdo: Arc::new(jigdo), not_included })
    }

    /// What the jigdo file at `path` describes, without looking for its parts and templates.
    ///
    /// # Errors
    /// As for [`Images::read`], but a file without an image is none. An image without a usable name is an error in the
    /// list.
    pub fn list(path: &Path, fetch: &dyn Fetch) -> Result<Listed, Error> {
        let file = jigdo_file_at(path)?;
        let own = read::read_one(&file)?;
        // Included files cannot change what the file's own images are.
        let is_known = !own.images.is_empty() || own.includes.is_empty();
        let images = if is_known { own.images } else { read(&file, fetch)?.jigdo.images };
        let names = |(number, image): (usize, &Image)| {
            check_complete(path, number, image)?;
            let template = OsStr::from_bytes(locate::file_name(&image.template)).to_owned();
            Ok(Names { image: locate::image_name(path, image.file_name())?, template })
        };
        let included = own.includes.iter().map(|url| OsStr::from_bytes(locate::file_name(url)).to_owned());
        Ok(Listed {
            names: images.iter().enumerate().map(names).collect(),
            has_parts: !own.parts.is_empty(),
            included: included.collect(),
        })
    }

    /// The jigdo file's path, as given.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// The file itself, to which its relative URLs and paths are relative.
    pub fn origin(&self) -> &Place {
        &self.origin
    }

    /// The jigdo file's content.
    pub fn jigdo(&self) -> &Jigdo {
        &self.jigdo
    }

    /// How many images there are: at least one.
    pub fn count(&self) -> usize {
        self.jigdo.images.len()
    }

    /// The set of the image with this number, counted from 0. Unless `template` is given, finds the template: at the path
    /// (absolute, or relative to the jigdo file) or `file:` URL in `Template=`, or else beside the jigdo file.
    ///
    /// # Errors
    /// There is no template, the image cannot have its name, or there are fewer images.
    pub fn set(&self, number: usize, template: Option<&Path>) -> Result<Set, Error> {
        let no_image = || Error::NoImage { path: self.file.path.clone() };
        let image = self.jigdo.images.get(number).ok_or_else(no_image)?.clone();
        check_complete(&self.file.path, number, &image)?;
        let image_name = locate::image_name(&self.file.path, image.file_name())?;
        let template = match template {
            Some(template) => template.to_owned(),
            None => locate::template(&self.file, &image.template, self.count() == 1)?,
        };
        let (path, origin, jigdo) = (self.file.path.clone(), self.origin.clone(), Arc::clone(&self.jigdo));
        Ok(Set { path, origin, jigdo, image, image_name, template })
    }

    /// The name of the image with this number, if it can have it.
    pub fn name(&self, number: usize) -> Option<OsString> {
        let image = self.jigdo.images.get(number)?;
        locate::image_name(&self.file.path, image.file_name()).ok()
    }

    /// The template of the image with this number in another directory, by its name, if it is there.
    pub fn template_in(&self, number: usize, directory: &Path) -> Option<PathBuf> {
        let name = locate::file_name(&self.jigdo.images.get(number)?.template);
        Some(directory.join(OsStr::from_bytes(name))).filter(|template| template.is_file())
    }

    /// The number of the image with this name.
    ///
    /// # Errors
    /// There is none.
    pub fn named(&self, name: &OsStr) -> Result<usize, Error> {
        let number = self.file_names().iter().position(|known| known == name);
        let (path, name) = (self.file.path.clone(), escaped(name.as_bytes()).to_string());
        number.ok_or_else(|| Error::NoSuchImage { path, name, names: self.printable_names() })
    }

    /// The number of the only image.
    ///
    /// # Errors
    /// There are several.
    pub fn only(&self) -> Result<usize, Error> {
        if self.count() == 1 {
            return Ok(0);
        }
        Err(Error::SeveralImages { path: self.file.path.clone(), names: self.printable_names() })
    }

    fn printable_names(&self) -> Vec<String> {
        let names = self.file_names().into_iter().filter(|name| !name.is_empty());
        names.map(|name| escaped(name.as_bytes()).to_string()).collect()
    }

    /// What the images are called, as far as they can have these names.
    fn file_names(&self) -> Vec<OsString> {
        let name = |image: &Image| {
            let name = locate::image_name(&self.file.path, image.file_name());
            name.unwrap_or_else(|_| OsStr::from_bytes(image.file_name()).to_owned())
        };
        self.jigdo.images.iter().map(name).collect()
    }
}

fn jigdo_file_at(path: &Path) -> Result<JigdoFile, Error> {
    JigdoFile::at(path).map_err(|source| Error::Io { path: path.to_owned(), source })
}

/// Refuses an image that lacks an entry; the file may have others. `number` is counted from 0.
fn check_complete(path: &Path, number: usize, image: &Image) -> Result<(), Error> {
    match image.missing_entry() {
        Some(key) => Err(Error::IncompleteImage { path: path.to_owned(), number: number + 1, key }),
        None => Ok(()),
    }
}
