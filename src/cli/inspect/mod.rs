//! `jigpress inspect`: shows what a template, a half-assembled image or a jigdo file contains, to people or to scripts.
//! Areas of an image are listed as `jigdo-file list-template` lists them.

mod areas;
mod jigdo_view;
mod template_view;
mod tmp_view;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};

use jigdo::jigdo_file::{self, Jigdo};
use jigdo::template::{self, Template, Tmp};
use jigdo::{escaped, escaped_path};
use serde::Serialize;

use super::Format;
use jigdo_view::JigdoView;
use template_view::TemplateView;
use tmp_view::TmpView;

/// Shows what a template, a half-assembled image or a jigdo file contains.
///
/// The kind of file is recognized by its content. Jigdo files may be compressed with gzip. Files that a jigdo file
/// includes are listed, but not read.
///
/// Exit codes: 0 success; 2 the command line is wrong; 3 the file could not be read, or is none of these.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The template, the half-assembled image (image.iso.tmp) or the jigdo file.
    pub file: PathBuf,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Why a file cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum Error {
    #[error("{path}: {source}", path = escaped_path(.path))]
    Open { path: PathBuf, source: io::Error },
    #[error("{path}: {source}", path = escaped_path(.path))]
    Template { path: PathBuf, source: template::Error },
    #[error("{path}: {source}", path = escaped_path(.path))]
    Jigdo { path: PathBuf, source: jigdo_file::Error },
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

/// Shows `args.file` on standard output. A reader that closes the output early is not an error.
///
/// # Errors
///
/// The file cannot be read, or is none of these.
pub fn run(args: &Args) -> Result<(), Error> {
    let mut out = BufWriter::new(io::stdout().lock());
    let shown = show(&args.file, args.format, &mut out).and_then(|()| Ok(out.flush()?));
    match shown {
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        shown => shown,
    }
}

/// Writes what `path` contains to `out`.
///
/// # Errors
///
/// As for [`run`], and errors of `out`.
pub fn show(path: &Path, format: Format, out: &mut dyn Write) -> Result<(), Error> {
    let content = Content::read(path)?;
    match format {
        Format::Human => match &content {
            Content::Template(view) => view.write(out)?,
            Content::Tmp(view) => view.write(out)?,
            Content::Jigdo(view) => view.write(out)?,
        },
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &content).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Content {
    Template(TemplateView),
    Tmp(TmpView),
    Jigdo(JigdoView),
}

impl Content {
    fn read(path: &Path) -> Result<Self, Error> {
        let cannot_open = |source| Error::Open { path: path.to_owned(), source };
        let mut file = open_regular(path).map_err(cannot_open)?;
        let mut start = Vec::new();
        (&mut file).take(template::MAGIC.len() as u64).read_to_end(&mut start).map_err(cannot_open)?;
        if start == template::MAGIC {
            let template = Template::read(BufReader::new(file));
            let template = template.map_err(|source| Error::Template { path: path.to_owned(), source })?;
            return Ok(Self::Template(TemplateView::new(&template)));
        }
        // A half-assembled image begins with anything. What ends it is told from other bytes with certainty: it has the
        // length of all that is before it.
        if let Ok(tmp) = Tmp::read(&mut file) {
            return Ok(Self::Tmp(TmpView::new(&tmp)));
        }
        file.rewind().map_err(cannot_open)?;
        let jigdo = Jigdo::read(file).map_err(|source| Error::Jigdo { path: path.to_owned(), source })?;
        Ok(Self::Jigdo(JigdoView::new(&jigdo)))
    }
}

fn open_regular(path: &Path) -> io::Result<File> {
    // Opening a pipe waits for a writer, and reading a device may never end.
    match std::fs::metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

/// `text` as people see it: see [`escaped`].
pub(super) fn printable(text: &(impl AsRef<[u8]> + ?Sized)) -> String {
    escaped(text).to_string()
}
