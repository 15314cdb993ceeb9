//! `jigpress inspect`: shows what a template or jigdo file contains, to people or to scripts.
//! Areas of a template are listed as `jigdo-file list-template` lists them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use jigdo::base64;
use jigdo::jigdo_file::{self, Jigdo};
use jigdo::template::description::Entry;
use jigdo::template::{self, Area, Description, Template};
use jigdo::{Algorithm, Sum};
use serde::Serialize;

use super::Format;
use super::description_lines::{Notation, write_entry};
use crate::set::Kind;

/// Shows what a template or jigdo file contains.
///
/// The kind of file is recognized by its content. Jigdo files may be compressed with gzip. Files that a jigdo file
/// includes are listed, but not read.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The template or jigdo file.
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
    #[error("{path}: {source}", path = .path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("{path}: {source}", path = .path.display())]
    Template { path: PathBuf, source: template::Error },
    #[error("{path}: {source}", path = .path.display())]
    Jigdo { path: PathBuf, source: jigdo_file::Error },
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

/// Shows `args.file` on standard output. A reader that closes the output early is not an error.
///
/// # Errors
///
/// The file cannot be read, or is neither a template nor a jigdo file.
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
    Jigdo(JigdoView),
}

impl Content {
    fn read(path: &Path) -> Result<Self, Error> {
        let cannot_open = |source| Error::Open { path: path.to_owned(), source };
        let kind = Kind::of(path).map_err(cannot_open)?;
        let file = File::open(path).map_err(cannot_open)?;
        if kind == Kind::Template {
            let template = Template::read(file).map_err(|source| Error::Template { path: path.to_owned(), source })?;
            Ok(Self::Template(TemplateView::new(&template)))
        } else {
            let jigdo = Jigdo::read(file).map_err(|source| Error::Jigdo { path: path.to_owned(), source })?;
            Ok(Self::Jigdo(JigdoView::new(&jigdo)))
        }
    }
}

/// A sum in hexadecimal, as scripts use it, and in base64, as jigdo files do.
#[derive(Serialize)]
struct SumView {
    algorithm: &'static str,
    base64: String,
    hex: String,
}

impl From<&Sum> for SumView {
    fn from(sum: &Sum) -> Self {
        let algorithm = match Algorithm::from(sum.checksum()) {
            Algorithm::Md5 => "md5",
            Algorithm::Sha1 => "sha1",
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        };
        Self { algorithm, base64: base64::encode(sum.as_bytes()), hex: sum.to_string() }
    }
}

#[derive(Serialize)]
struct TemplateView {
    version: String,
    creator: String,
    comment: String,
    pieces: Vec<PieceView>,
    areas: Vec<AreaView>,
    image: ImageView,
    totals: Totals,
    #[serde(skip)]
    description: Description,
}

#[derive(Serialize)]
struct PieceView {
    offset: u64,
    length: u64,
    compression: &'static str,
    unmatched_offset: u64,
    unmatched_length: u64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum AreaView {
    Unmatched { offset: u64, length: u64 },
    Part { offset: u64, length: u64, sum: SumView, rsync64: Option<String> },
}

#[derive(Serialize)]
struct ImageView {
    length: u64,
    sum: SumView,
    block_length: Option<u32>,
}

/// Lengths are in bytes.
#[derive(Serialize)]
struct Totals {
    parts: usize,
    part_bytes: u64,
    unmatched_areas: usize,
    unmatched_bytes: u64,
    pieces: usize,
    piece_bytes: u64,
}

impl TemplateView {
    fn new<R>(template: &Template<R>) -> Self {
        let Description { areas, image } = &template.description;
        let piece = |piece: &template::Piece| PieceView {
            offset: piece.offset,
            length: piece.length,
            compression: piece.compression.name(),
            unmatched_offset: piece.unmatched_offset,
            unmatched_length: piece.unmatched_length,
        };
        let area = |(offset, area): (u64, &Area)| match *area {
            Area::Unmatched { length } => AreaView::Unmatched { offset, length },
            Area::Part { length, rsync64, ref sum } => AreaView::Part {
                offset,
                length,
                sum: sum.into(),
                rsync64: rsync64.map(|sum| base64::encode(&sum.to_bytes())),
            },
        };
        let parts = areas.iter().filter(|area| matches!(area, Area::Part { .. })).count();
        let unmatched_bytes = template.description.unmatched_length();
        Self {
            version: template.version.clone(),
            creator: template.creator.clone(),
            comment: template.comment.clone(),
            pieces: template.pieces.iter().map(piece).collect(),
            areas: template.description.with_offsets().map(area).collect(),
            image: ImageView { length: image.length, sum: (&image.sum).into(), block_length: image.block_length },
            totals: Totals {
                parts,
                part_bytes: image.length - unmatched_bytes,
                unmatched_areas: areas.len() - parts,
                unmatched_bytes,
                pieces: template.pieces.len(),
                piece_bytes: template.pieces.iter().map(|piece| piece.length).sum(),
            },
            description: template.description.clone(),
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "Template of version {} by {}", self.version, printable(&self.creator))?;
        writeln!(out, "{}", printable(&self.comment))?;
        writeln!(
            out,
            "\nPieces of unmatched data: offset, length and kind in the template; offset and length of the data"
        )?;
        for piece in &self.pieces {
            let PieceView { offset, length, compression, unmatched_offset, unmatched_length } = piece;
            writeln!(out, "{offset:>12} {length:>12}  {compression:<6} {unmatched_offset:>12} {unmatched_length:>12}")?;
        }
        writeln!(
            out,
            "\nAreas of the image: offset, length, sum, rsync64 of the first block; then length, block length and sum of the image"
        )?;
        for (offset, area) in self.description.with_offsets() {
            write_entry(out, offset, &Entry::Area(*area), Notation::Base64)?;
        }
        write_entry(out, 0, &Entry::Image(self.description.image), Notation::Base64)?;
        let Totals { parts, part_bytes, unmatched_areas, unmatched_bytes, pieces, piece_bytes } = self.totals;
        let percent = |bytes: u64| bytes as f64 * 100.0 / self.image.length.max(1) as f64;
        writeln!(out, "\nTotals")?;
        writeln!(out, "{part_bytes:>12} bytes in {parts} parts, {:.2} % of the image", percent(part_bytes))?;
        writeln!(
            out,
            "{unmatched_bytes:>12} bytes in {unmatched_areas} areas of unmatched data, {:.2} % of the image",
            percent(unmatched_bytes)
        )?;
        writeln!(out, "{piece_bytes:>12} bytes in {pieces} pieces in the template carry them")
    }
}

#[derive(Serialize)]
struct JigdoView {
    version: Option<String>,
    generator: Option<String>,
    image: Option<JigdoImageView>,
    servers: BTreeMap<String, Vec<ServerView>>,
    /// How many parts use each label.
    parts_per_label: BTreeMap<String, usize>,
    parts: Vec<PartView>,
    includes: Vec<String>,
}

#[derive(Serialize)]
struct JigdoImageView {
    filename: String,
    template: String,
    template_sum: Option<SumView>,
    short_info: Option<String>,
    info: Option<String>,
    comments: Vec<String>,
}

#[derive(Serialize)]
struct ServerView {
    url: String,
    try_last: bool,
}

#[derive(Serialize)]
struct PartView {
    sum: SumView,
    label: String,
    path: String,
}

impl JigdoView {
    fn new(jigdo: &Jigdo) -> Self {
        let mut servers: BTreeMap<String, Vec<ServerView>> = BTreeMap::new();
        for (label, server) in &jigdo.servers {
            let view = ServerView { url: server.url.clone(), try_last: server.try_last };
            servers.entry(label.clone()).or_default().push(view);
        }
        let mut parts_per_label = BTreeMap::new();
        for (_, location) in &jigdo.parts {
            *parts_per_label.entry(location.label.clone()).or_default() += 1;
        }
        let part = |(sum, location): &(Sum, jigdo_file::Location)| PartView {
            sum: sum.into(),
            label: location.label.clone(),
            path: location.path.clone(),
        };
        let image = |image: &jigdo_file::Image| JigdoImageView {
            filename: image.filename.clone(),
            template: image.template.clone(),
            template_sum: image.template_sum.as_ref().map(SumView::from),
            short_info: image.short_info.clone(),
            info: image.info.clone(),
            comments: image.comments.clone(),
        };
        Self {
            version: jigdo.version.clone(),
            generator: jigdo.generator.clone(),
            image: jigdo.image.as_ref().map(image),
            servers,
            parts_per_label,
            parts: jigdo.parts.iter().map(part).collect(),
            includes: jigdo.includes.clone(),
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let text = |value: &Option<String>| printable(value.as_deref().unwrap_or("(not given)"));
        writeln!(out, "Jigdo file of version {} by {}", text(&self.version), text(&self.generator))?;
        match &self.image {
            Some(image) => image.write(out)?,
            None => writeln!(out, "\nNo image")?,
        }
        writeln!(out, "\nServers")?;
        for (label, servers) in &self.servers {
            for server in servers {
                let option = if server.try_last { "  (try last)" } else { "" };
                writeln!(out, "  {}  {}{option}", printable(label), printable(&server.url))?;
            }
        }
        for url in &self.includes {
            writeln!(out, "\nIncludes {}", printable(url))?;
        }
        writeln!(out, "\nParts")?;
        for part in &self.parts {
            let colon = if part.label.is_empty() { "" } else { ":" };
            writeln!(out, "  {}  {}{colon}{}", part.sum.base64, printable(&part.label), printable(&part.path))?;
        }
        writeln!(out, "\nTotals")?;
        for (label, count) in &self.parts_per_label {
            let label = if label.is_empty() { "(no label)" } else { label };
            writeln!(out, "{count:>8} parts of {}", printable(label))?;
        }
        writeln!(out, "{:>8} parts in all", self.parts.len())
    }
}

impl JigdoImageView {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\nImage {}", printable(&self.filename))?;
        writeln!(out, "  template      {}", printable(&self.template))?;
        if let Some(sum) = &self.template_sum {
            writeln!(out, "  template's {:<6} {} ({})", sum.algorithm, sum.base64, sum.hex)?;
        }
        for (name, text) in [("short info", &self.short_info), ("info", &self.info)] {
            if let Some(text) = text {
                writeln!(out, "  {name:<12}  {}", printable(text))?;
            }
        }
        for comment in &self.comments {
            writeln!(out, "  # {}", printable(comment))?;
        }
        Ok(())
    }
}

/// `text` with its control characters escaped: the content of a file must not control the terminal.
pub(super) fn printable(text: &str) -> String {
    let escape = |character: char| {
        let escaped = character.is_control().then(|| character.escape_default().to_string());
        escaped.unwrap_or_else(|| character.to_string())
    };
    text.chars().map(escape).collect()
}
