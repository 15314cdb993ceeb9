//! `make-template`: finds the files inside an image, and writes its template and jigdo file.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use jigdo::bstr::BString;
use jigdo::jigdo_file::{self, Draft, Location};
use jigdo::template;
use jigdo::{Checksum, Sum, escaped_path};

use super::cache::Cache;
use super::files::{Finder, Name};
use super::inputs::{Image, possible, read_draft};
use super::labels::Labels;
use super::names::{Names, STANDARD};
use super::options::{Options, Report};
use super::output::Output;
use super::{Error, Outcome, match_exec, progress, say, standard_input};
use crate::GENERATOR;
use crate::file::Bytes as _;
use crate::make;
use crate::make::{BuiltTemplate, Part, TemplateBuilder};
use crate::mirror::{Catalogue, FileId};
use crate::progress::{Begin, Progress, Task, counted};

/// The shortest block, in bytes. Smaller values of `--min-length` are raised to it.
const SHORTEST_BLOCK: u64 = 256;
/// The longest block, in bytes.
const LONGEST_BLOCK: u64 = 16 << 20;

/// The length in bytes of the blocks by which files are found.
pub fn block_length(options: &Options) -> Result<u32, Error> {
    match options.min_length.max(SHORTEST_BLOCK) {
        length @ ..=LONGEST_BLOCK => Ok(length as u32),
        length => Err(Error::Usage(format!("--min-length may be {LONGEST_BLOCK} bytes at most, not {length}"))),
    }
}

/// Makes the set of one image.
pub fn run(options: &Options) -> Result<Outcome, Error> {
    let names = Names::deduce(&options.image, &options.jigdo, &options.template);
    names.require_all("make-template")?;
    check_outputs(&names, options)?;
    let mut input = standard_input();
    let draft = read_draft(options, &names, &mut input)?;
    let labels = Labels::new(options, draft.labels())?;
    let block_length = block_length(options)?;

    let cache = Cache::open(options)?;
    let known = |name: &_| cache.stamp(name);
    let found = Finder::new(&known).find(&options.files, &options.files_from, &mut input);
    if options.files.is_empty() && options.files_from.is_empty() {
        say(format_args!("no files are given, so the template will contain the whole image"));
    }
    let image = Image::open(&names, &mut input)?;
    let found = possible(found, &image.mapped.stamp(), &labels, options.checksum);
    let progress = progress::listener(options);
    let checksums = if options.match_exec.is_empty() { vec![options.checksum] } else { Checksum::ALL.to_vec() };
    let catalogued = cache.catalogue(&found, &[block_length], &checksums, &*progress)?;
    // Of equal files, the last one named is recorded, as jigdo-file does.
    let files: Vec<_> = catalogued.files.iter().rev().flatten().copied().collect();
    let pool = thread_pool()?;
    catalogued.catalogue.engine().work_in(&pool);
    let name = escaped_path(&names.image).to_string();
    let task = Task::begin(&*progress, Begin::bytes("image", &name).total(image.mapped.length()));
    let builder = TemplateBuilder {
        image: &image.mapped,
        catalogue: &catalogued.catalogue,
        files: &files,
        block_length,
        options: template::Options {
            compression: options.compression,
            level: options.level,
            ..template::Options::new(options.checksum, GENERATOR)
        },
        image_path: &names.image,
        template_path: &names.template,
        pool: &pool,
        progress: &*progress,
        task: &task,
    };
    let making = Making {
        options,
        names: &names,
        by_file: catalogued
            .files
            .iter()
            .zip(&found)
            .filter_map(|(file, found)| Some(((*file)?, &found.name)))
            .collect(),
        catalogue: &catalogued.catalogue,
        progress: &*progress,
    };
    let made = making.make(&builder, draft, labels);
    catalogued.catalogue.warn(&*progress);
    let summary = made?;
    task.end(&summary);
    cache.finish(&catalogued.catalogue);
    Ok(Outcome::Done)
}

/// A thread for every core.
fn thread_pool() -> Result<Arc<rayon::ThreadPool>, Error> {
    Ok(Arc::new(rayon::ThreadPoolBuilder::new().build().map_err(Error::Threads)?))
}

/// An error if an output exists and must not be replaced, or is the image itself.
fn check_outputs(names: &Names, options: &Options) -> Result<(), Error> {
    let image = fs::metadata(&names.image).ok().map(|found| (found.dev(), found.ino()));
    for path in [&names.jigdo, &names.template].into_iter().filter(|path| path.as_os_str() != STANDARD) {
        let Ok(found) = fs::metadata(path) else { continue };
        if !options.force {
            return Err(Error::Exists { path: path.clone() });
        }
        if image == Some((found.dev(), found.ino())) {
            return Err(Error::Usage(format!(
                "{} is the image itself and would be overwritten; name another file",
                escaped_path(&path)
            )));
        }
    }
    let is_special = |path: &Path| path.as_os_str() == STANDARD || path.metadata().is_ok_and(|found| !found.is_file());
    if names.jigdo == names.template && !is_special(&names.jigdo) {
        return Err(Error::Usage(format!("{} cannot be both jigdo file and template", escaped_path(&names.jigdo))));
    }
    Ok(())
}

/// Makes a set, once its files are known.
struct Making<'a> {
    options: &'a Options,
    names: &'a Names,
    by_file: HashMap<FileId, &'a Name>,
    catalogue: &'a Catalogue,
    progress: &'a dyn Progress,
}

impl Making<'_> {
    /// Makes the set, and returns a summary of it.
    fn make(&self, builder: &TemplateBuilder<'_>, mut draft: Draft, mut labels: Labels) -> Result<String, Error> {
        // Open both outputs first, so that one that cannot be written is an error before any work is done.
        let template = Output::create(&self.names.template)?;
        let jigdo = Output::create(&self.names.jigdo)?;
        let mut parts: Vec<Part> = Vec::new();
        let written = builder.build(BufWriter::with_capacity(1 << 18, template.writer()), |part| {
            self.report_match(&part, &labels)?;
            parts.push(part);
            Ok::<_, Error>(())
        })?;
        self.describe(&mut draft, &written)?;
        self.name_parts(&mut draft, &mut labels, &parts)?;
        self.check(builder, &template, &written, &parts)?;
        let version = match builder.options.checksum {
            Checksum::Md5 => "1.2",
            Checksum::Sha256 => "2.0",
        };
        // On standard output, the jigdo file follows the template.
        template.finish()?;
        jigdo.write(&draft.to_text(version, GENERATOR))?;
        jigdo.finish()?;
        Ok(format!("{}, {}", counted(parts.len(), "part"), counted(builder.image.length(), "byte")))
    }

    fn name_of(&self, part: &Part) -> &Name {
        self.by_file[&part.file]
    }

    /// Reports a part as `--report` asks, and runs the command of `--match-exec`.
    fn report_match(&self, part: &Part, labels: &Labels) -> Result<(), Error> {
        let name = self.name_of(part);
        if self.options.report == Report::Grep {
            let line = [part.offset.to_string().as_bytes(), b" ", name.path().as_os_str().as_bytes(), b"\n"].concat();
            match io::stdout().write_all(&line).and_then(|()| io::stdout().flush()) {
                // The set is made even if the reader has closed standard output.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(Error::Standard(error)),
                _ => {}
            }
        }
        let note = format!("at offset {}: {}", part.offset, escaped_path(&name.shown()));
        self.progress.note(&note);
        if self.options.match_exec.is_empty() {
            return Ok(());
        }
        let sums = self.catalogue.known_sums(part.file).unwrap_or_default();
        match_exec::run(&self.options.match_exec, name, labels.given(name.root()).unwrap_or_default(), &sums)
    }

    /// Writes the image section of the jigdo file.
    fn describe(&self, draft: &mut Draft, written: &BuiltTemplate) -> Result<(), Error> {
        if !self.options.image_section || draft.fill_template_sum(&written.template_sum) {
            return Ok(());
        }
        let image = jigdo_file::Image {
            filename: leaf(&self.names.image),
            template: leaf(&self.names.template),
            template_sum: Some(written.template_sum),
            ..jigdo_file::Image::default()
        };
        draft.add_image(&image).map_err(|source| unwritable(&self.names.image, source))
    }

    /// Adds to the jigdo file the parts that it does not list yet.
    fn name_parts(&self, draft: &mut Draft, labels: &mut Labels, parts: &[Part]) -> Result<(), Error> {
        if self.options.servers_section {
            draft.need_servers();
        }
        let mut seen: HashSet<Sum> = HashSet::new();
        for part in parts.iter().filter(|part| seen.insert(part.sum)) {
            if draft.has_part(&part.sum) {
                continue;
            }
            let name = self.name_of(part);
            let path = name.path();
            let label = labels.label(name.root());
            if self.options.servers_section {
                let server = labels.server(name.root());
                draft.add_server(&label, &server).map_err(|source| unwritable(&path, source))?;
            }
            let location = Location { label, path: name.rest().as_bytes().into() };
            draft.add_part(&part.sum, &location).map_err(|source| unwritable(&path, source))?;
        }
        Ok(())
    }

    /// An error if the template does not match the image, or the image or a part has changed since it was read.
    fn check(
        &self,
        builder: &TemplateBuilder<'_>,
        template: &Output,
        written: &BuiltTemplate,
        parts: &[Part],
    ) -> Result<(), Error> {
        if let Some(staged) = template.staged() {
            builder.prove(staged, written)?;
        }
        builder.check_image()?;
        let changed = parts.iter().find(|part| !self.catalogue.unchanged(part.file));
        match changed.filter(|_| self.options.check_files) {
            Some(part) => Err(make::Error::PartChanged { path: self.name_of(part).path() }.into()),
            None => Ok(()),
        }
    }
}

/// A file's name without its directories.
fn leaf(path: &Path) -> BString {
    path.file_name().unwrap_or(path.as_os_str()).as_bytes().into()
}

fn unwritable(path: &Path, source: jigdo_file::WriteError) -> Error {
    Error::Unwritable { path: path.to_owned(), source }
}
