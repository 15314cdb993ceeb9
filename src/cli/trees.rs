//! Where parts are, as commands that read sets take it from the command line.

use std::fs::File;
use std::path::PathBuf;
use std::str::FromStr;

use super::Failure;
use crate::assemble::source::Trees;
use crate::set;

/// Which directories labels stand for.
#[derive(Debug, Clone, clap::Args)]
pub struct MirrorArgs {
    /// The directory that a label stands for, as in `Debian=/srv/mirror/debian`, or its `file:` URL. Repeat it for other
    /// labels, or for more directories of one label. Parts of labels without one are looked for where their `file:`
    /// servers are.
    #[arg(long = "mirror", value_name = "LABEL=DIR")]
    mirrors: Vec<LabelledTree>,
}

/// Where else parts may be.
#[derive(Debug, Clone, clap::Args)]
pub struct OldImageArgs {
    /// An old image, of the same release or another, mounted or not, that may have parts inside which the mirrors no
    /// longer have. Repeat it for more.
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
            _ => Err("it must be a label, =, and a directory, such as Debian=/srv/mirror/debian".to_owned()),
        }
    }
}

/// A directory as it is typed: a path, or a `file:` URL like those in `[Servers]`.
pub fn directory(text: &str) -> Result<PathBuf, String> {
    set::file_url(text).unwrap_or_else(|| Ok(text.into())).map_err(|error| error.to_string())
}

impl MirrorArgs {
    /// The directories of each label, all of which are there.
    pub fn trees(&self) -> Result<Trees, Failure> {
        let mut trees = Trees::new();
        for LabelledTree { label, path } in &self.mirrors {
            // Whether the directory can be listed. Nothing is walked here.
            std::fs::read_dir(path).map_err(|error| {
                Failure::Usage(format!("--mirror {label}={}: {error}; correct the path", path.display()))
            })?;
            trees.entry(label.clone()).or_default().push(path.clone());
        }
        Ok(trees)
    }
}

impl OldImageArgs {
    /// The images, all of which can be opened.
    pub fn images(&self) -> Result<Vec<PathBuf>, Failure> {
        for path in &self.old_images {
            let problem = match File::open(path).and_then(|file| file.metadata()) {
                Ok(found) if found.is_file() => continue,
                Ok(_) => "it is no regular file".to_owned(),
                Err(error) => error.to_string(),
            };
            return Err(Failure::Usage(format!("--from {}: {problem}; name an image", path.display())));
        }
        Ok(self.old_images.clone())
    }
}
