//! The other inputs of `make-template`: the image, and the jigdo file to merge.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jigdo::jigdo_file::{Draft, fits_part_line};
use jigdo::{Checksum, escaped_path};

use super::files::GivenFile;
use super::labels::Labels;
use super::names::{Names, STANDARD};
use super::options::Options;
use super::{Error, say};
use crate::file;
use crate::file::Mapped;
use crate::file::Stamp;

/// The jigdo file that `--merge` names, or an empty one.
pub fn read_draft(options: &Options, names: &Names, input: &mut dyn BufRead) -> Result<Draft, Error> {
    let Some(path) = &options.merge else { return Ok(Draft::default()) };
    let complain = |error| say(format_args!("{}: {error}; skipped", escaped_path(&path)));
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
pub fn possible(mut found: Vec<GivenFile>, image: &Stamp, labels: &Labels, checksum: Checksum) -> Vec<GivenFile> {
    let fits = |root: &OsStr, rest: &[u8]| {
        // Labels that are generated have one letter, or a few.
        fits_part_line(checksum, labels.given(root).unwrap_or("AAA".into()), rest)
    };
    found.retain(|found| {
        let rest = found.name.rest().as_bytes();
        let cause = match () {
            () if rest.utf8_chunks().any(|text| text.valid().contains(char::is_control)) => {
                "a jigdo file cannot contain its name"
            }
            () if !fits(found.name.root(), rest) => "its name is too long for a jigdo file",
            () if (found.stamp.device, found.stamp.inode) == (image.device, image.inode) => "it is the image",
            () => return true,
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
    /// Opens the image. One on standard input or in a pipe is copied to a temporary file, because it is read more than
    /// once.
    pub fn open(names: &Names, input: &mut dyn BufRead) -> Result<Self, Error> {
        if names.image.as_os_str() == STANDARD {
            return Self::spool(names, input);
        }
        let failed = |source| Error::Input { path: names.image.clone(), source };
        if file::is_stream(&names.image).map_err(failed)? {
            let mut stream = BufReader::with_capacity(1 << 18, File::open(&names.image).map_err(failed)?);
            return Self::spool(names, &mut stream);
        }
        let mapped = Mapped::open(&names.image).map_err(failed)?;
        Ok(Self { mapped: Arc::new(mapped), _spool: None })
    }

    fn spool(names: &Names, input: &mut dyn BufRead) -> Result<Self, Error> {
        let place = spool_directory(&names.template);
        let failed = |source| Error::Output { path: place.clone(), source };
        let mut file = tempfile::tempfile_in(&place).map_err(|error| {
            // Its text ends with the directory, which is named already.
            let text = error.to_string();
            let cause = text.split(" at path ").next().unwrap_or(&text);
            failed(io::Error::new(error.kind(), cause))
        })?;
        loop {
            let bytes = match input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                bytes => bytes.map_err(|source| Error::Input { path: names.image.clone(), source })?,
            };
            let length = bytes.len();
            if length == 0 {
                break;
            }
            file.write_all(bytes).map_err(failed)?;
            input.consume(length);
        }
        let mapped = Mapped::open(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd()))).map_err(failed)?;
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
