//! The other inputs of `make-template`: the image, and the jigdo file to merge.

use std::fs::File;
use std::io::{self, BufRead};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jigdo::jigdo_file::Draft;

use super::files::GivenFile;
use super::names::{Names, STANDARD};
use super::options::Options;
use super::{Error, say};
use crate::file::Mapped;
use crate::file::Stamp;

/// The jigdo file that `--merge` names, or an empty one.
pub fn read_draft(options: &Options, names: &Names, input: &mut dyn BufRead) -> Result<Draft, Error> {
    let Some(path) = &options.merge else { return Ok(Draft::default()) };
    let complain = |error| say(format_args!("{}: {error}; skipped", path.display()));
    let draft = if path.as_os_str() == STANDARD {
        let is_taken =
            names.image.as_os_str() == STANDARD || options.files_from.iter().any(|list| list.as_os_str() == STANDARD);
        if is_taken {
            return Err(Error::Usage(
                "--merge and another option both read standard input; give one of them a file".to_owned(),
            ));
        }
        Draft::read(input, complain)
    } else {
        let file = File::open(path).map_err(|source| Error::Input { path: path.clone(), source })?;
        Draft::read(file, complain)
    };
    draft.map_err(|source| Error::Jigdo { path: path.clone(), source })
}

/// The files that may be parts: not the image itself, and none whose name a jigdo file cannot contain.
pub fn possible(mut found: Vec<GivenFile>, image: &Stamp) -> Vec<GivenFile> {
    found.retain(|found| {
        let rest = found.name.rest().to_str().filter(|rest| !rest.contains(char::is_control));
        let cause = match rest {
            None => "a jigdo file cannot contain its name",
            Some(_) if (found.stamp.device, found.stamp.inode) == (image.device, image.inode) => "it is the image",
            Some(_) => return true,
        };
        say(format_args!("skipping {:?}: {cause}", found.name.path()));
        false
    });
    found
}

/// The image to search.
pub struct Image {
    pub mapped: Arc<Mapped>,
    /// The file that holds an image from standard input. It has no name; its descriptor keeps it alive.
    _spool: Option<File>,
}

impl Image {
    /// Opens the image. One on standard input is copied to a temporary file, because it is read more than once.
    pub fn open(names: &Names, input: &mut dyn BufRead) -> Result<Self, Error> {
        if names.image.as_os_str() == STANDARD {
            let place = spool_directory(&names.template);
            return Self::spool(input, &place).map_err(|source| Error::Output { path: place, source });
        }
        let mapped = Mapped::open(&names.image);
        let mapped = mapped.map_err(|source| Error::Input { path: names.image.clone(), source })?;
        Ok(Self { mapped: Arc::new(mapped), _spool: None })
    }

    fn spool(input: &mut dyn BufRead, place: &Path) -> io::Result<Self> {
        let mut file = tempfile::tempfile_in(place)?;
        io::copy(input, &mut file)?;
        let mapped = Mapped::open(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())))?;
        Ok(Self { mapped: Arc::new(mapped), _spool: Some(file) })
    }
}

/// Where to keep an image from standard input: in `TMPDIR` if it is set, else beside the template, where there should be
/// room for large files.
fn spool_directory(template: &Path) -> PathBuf {
    let beside =
        || template.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    std::env::var_os("TMPDIR").filter(|place| !place.is_empty()).map_or_else(beside, PathBuf::from)
}
