//! The options with which commands that read sets find parts.

use jigdo::escaped_path;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use jigdo::bstr::ByteSlice as _;

use super::Failure;
use crate::assemble::source::Trees;
use crate::file;
use crate::set;

/// Which directories labels stand for.
#[derive(Debug, Clone, clap::Args)]
pub struct MirrorArgs {
    /// The directory that a label stands for, as in `Debian=/srv/mirror/debian`, or its `file:` URL. Repeatable: for
    /// other labels, or for more directories of one label. Parts of a label without a directory are looked for on its
    /// `file:` servers.
    #[arg(long = "mirror", value_name = "LABEL=DIR", value_parser = OsStringValueParser::new().try_map(|text| LabelledTree::parse(&text)))]
    mirrors: Vec<LabelledTree>,
}

/// Where else parts may be.
#[derive(Debug, Clone, clap::Args)]
pub struct OldImageArgs {
    /// An old image, of this release or another, that may contain parts that the mirrors no longer have. It need not be
    /// mounted. Repeatable.
    #[arg(long = "from", value_name = "IMAGE")]
    old_images: Vec<PathBuf>,
}

#[derive(Debug, Clone)]
struct LabelledTree {
    label: String,
    path: PathBuf,
}

impl LabelledTree {
    fn parse(text: &OsStr) -> Result<Self, String> {
        let parts = text.as_bytes().split_once_str("=");
        match parts.map(|(label, path)| (std::str::from_utf8(label), OsStr::from_bytes(path))) {
            Some((Ok(label), path)) if !label.is_empty() && !path.is_empty() => {
                Ok(Self { label: label.to_owned(), path: directory(path)? })
            }
            _ => Err("write LABEL=DIR, such as Debian=/srv/mirror/debian".to_owned()),
        }
    }
}

/// A directory from the command line: a path, or a `file:` URL like those in `[Servers]`.
pub fn directory(text: &(impl AsRef<OsStr> + ?Sized)) -> Result<PathBuf, String> {
    let text = text.as_ref();
    set::file_url(text.as_bytes()).unwrap_or_else(|| Ok(text.into())).map_err(|error| error.to_string())
}

impl MirrorArgs {
    /// The directories of each label. All of them exist and can be listed.
    pub fn trees(&self) -> Result<Trees, Failure> {
        let mut trees = Trees::new();
        for LabelledTree { label, path } in &self.mirrors {
            // Only checks that the directory can be listed. Nothing is walked here.
            std::fs::read_dir(path).map_err(|error| {
                Failure::Usage(format!("--mirror {label}={}: {error}; correct the path", escaped_path(&path)))
            })?;
            trees.entry(label.clone()).or_default().push(path.clone());
        }
        Ok(trees)
    }
}

impl OldImageArgs {
    /// The images. All of them can be opened.
    pub fn images(&self) -> Result<Vec<PathBuf>, Failure> {
        for path in &self.old_images {
            // To open a pipe would wait for a writer, and parts are looked for in an image in any order.
            if let Err(error) = file::open_regular(path) {
                return Err(Failure::Usage(format!("--from {}: {error}; name an image", escaped_path(path))));
            }
        }
        Ok(self.old_images.clone())
    }
}
