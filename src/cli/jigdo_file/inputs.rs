//! What `make-template` reads besides files: the image, and the jigdo file that is added to.

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
    let complain = |error| say(format_args!("{}: {error}; left out", path.display()));
    let draft = if path.as_os_str() == STANDARD {
        let is_taken =
            names.image.as_os_str() == STANDARD || options.files_from.iter().any(|list| list.as_os_str() == STANDARD);
        if is_taken {
            return Err(Error::Usage("standard input is wanted for --merge and for something else".to_owned()));
        }
        Draft::read(input, complain)
    } else {
        let file = File::open(path).map_err(|source| Error::Input { path: path.clone(), source })?;
        Draft::read(file, complain)
    };
    draft.map_err(|source| Error::Jigdo { path: path.clone(), source })
}

/// The files that may be parts: not the image itself, and none whose name a jigdo file cannot carry.
pub fn possible(mut found: Vec<GivenFile>, image: &Stamp) -> Vec<GivenFile> {
    found.retain(|found| {
        let rest = found.name.rest().to_str().filter(|rest| !rest.contains(char::is_control));
        let cause = match rest {
            None => "its name has what a jigdo file cannot carry",
            Some(_) if (found.stamp.device, found.stamp.inode) == (image.device, image.inode) => "it is the image",
            Some(_) => return true,
        };
        say(format_args!("{:?} is passed over: {cause}", found.name.path()));
        false
    });
    found
}

/// The image that is searched.
pub struct Image {
    pub mapped: Arc<Mapped>,
    /// The file that has what came on standard input. It has no name, and is reached by its descriptor.
    _spool: Option<File>,
}

impl Image {
    /// Opens the image. One that comes on standard input is kept in a file, as it is looked at more than once.
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

/// Where the image is kept that comes on standard input: where the person wants temporary files, else beside the template,
/// where there is room for large files.
fn spool_directory(template: &Path) -> PathBuf {
    let beside =
        || template.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    std::env::var_os("TMPDIR").filter(|place| !place.is_empty()).map_or_else(beside, PathBuf::from)
}
