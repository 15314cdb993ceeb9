//! What commands that read sets are told of where parts are.

use std::path::PathBuf;
use std::str::FromStr;

use super::Failure;
use crate::assemble::source::Trees;

/// Where parts are.
#[derive(Debug, Clone, clap::Args)]
pub struct TreeArgs {
    /// The directory that a label stands for, as in `Debian=/srv/mirror/debian`. Repeat it for other labels, or for
    /// more directories of one label. Labels without one are looked for where their `file:` servers say.
    #[arg(long = "mirror", value_name = "LABEL=DIR")]
    mirrors: Vec<LabelledTree>,
    /// An old image, of the same release or another, mounted or not, that may have parts inside which the mirrors no
    /// longer have. Repeat it for more.
    #[arg(long = "from", value_name = "IMAGE")]
    pub old_images: Vec<PathBuf>,
}

#[derive(Debug, Clone)]
struct LabelledTree {
    label: String,
    path: PathBuf,
}

impl FromStr for LabelledTree {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((label, path)) if !label.is_empty() && !path.is_empty() => {
                // As a URL, like those of [Servers].
                let path = path.strip_prefix("file://").or(path.strip_prefix("file:")).unwrap_or(path);
                Ok(Self { label: label.to_owned(), path: path.into() })
            }
            _ => Err("it must be a label, =, and a directory, such as Debian=/srv/mirror/debian"),
        }
    }
}

impl TreeArgs {
    /// The directories of each label, all of which are there, and old images that can be read.
    pub fn trees(&self) -> Result<Trees, Failure> {
        let mut trees = Trees::new();
        for LabelledTree { label, path } in &self.mirrors {
            std::fs::read_dir(path).map_err(|error| {
                Failure::Usage(format!("--mirror {label}={}: {error}; correct the path", path.display()))
            })?;
            trees.entry(label.clone()).or_default().push(path.clone());
        }
        for path in &self.old_images {
            let found = std::fs::File::open(path).and_then(|file| file.metadata());
            let problem = match found {
                Ok(found) if found.is_file() => continue,
                Ok(_) => "it is no regular file".to_owned(),
                Err(error) => error.to_string(),
            };
            return Err(Failure::Usage(format!("--from {}: {problem}; name an image", path.display())));
        }
        Ok(trees)
    }
}
