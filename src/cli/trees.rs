//! The options with which commands that read sets find parts.

use std::fs::File;
use std::path::PathBuf;
use std::str::FromStr;

use super::Failure;
use crate::assemble::source::Trees;
use crate::set;

/// Which directories labels stand for.
#[derive(Debug, Clone, clap::Args)]
pub struct MirrorArgs {
    /// The directory that a label stands for, as in `Debian=/srv/mirror/debian`, or its `file:` URL. Repeatable: for
    /// other labels, or for more directories of one label. Parts of a label without a directory are looked for on its
    /// `file:` servers.
    #[arg(long = "mirror", value_name = "LABEL=DIR")]
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

impl FromStr for LabelledTree {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((label, path)) if !label.is_empty() && !path.is_empty() => {
                Ok(Self { label: label.to_owned(), path: directory(path)? })
            }
            _ => Err("write LABEL=DIR, such as Debian=/srv/mirror/debian".to_owned()),
        }
    }
}

/// A directory from the command line: a path, or a `file:` URL like those in `[Servers]`.
pub fn directory(text: &str) -> Result<PathBuf, String> {
    set::file_url(text).unwrap_or_else(|| Ok(text.into())).map_err(|error| error.to_string())
}

impl MirrorArgs {
    /// The directories of each label. All of them exist and can be listed.
    pub fn trees(&self) -> Result<Trees, Failure> {
        let mut trees = Trees::new();
        for LabelledTree { label, path } in &self.mirrors {
            // Only checks that the directory can be listed. Nothing is walked here.
            std::fs::read_dir(path).map_err(|error| {
                Failure::Usage(format!("--mirror {label}={}: {error}; correct the path", path.display()))
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
            let problem = match File::open(path).and_then(|file| file.metadata()) {
                Ok(found) if found.is_file() => continue,
                Ok(_) => "it is not a regular file".to_owned(),
                Err(error) => error.to_string(),
            };
            return Err(Failure::Usage(format!("--from {}: {problem}; name an image", path.display())));
        }
        Ok(self.old_images.clone())
    }
}
