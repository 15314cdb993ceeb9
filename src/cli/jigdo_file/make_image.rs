//! `make-image`: rebuilds an image from its template and files, over several runs if necessary.

use std::collections::HashMap;
use std::fs;
use std::io;

use jigdo::escaped_path;
use jigdo::template::{Area, Description, Tmp};

use super::cache::{Cache, Catalogued};
use super::files::{Finder, GivenFile};
use super::names::{Names, STANDARD};
use super::options::{Options, Report};
use super::{Error, Outcome, progress, say, standard_input};
use crate::assemble::source::Source;
use crate::assemble::{self, Destination, Incomplete, Order, Part, PartPlace, Replaces, assemble};
use crate::mirror::FileId;
use crate::progress::counted;

/// Copies into the image the files that are parts of it.
pub fn run(options: &Options) -> Result<Outcome, Error> {
    let names = Names::deduce(&options.image, &options.jigdo, &options.template);
    names.require("make-image")?;
    let is_stream = names.image.as_os_str() == STANDARD;
    let mut template = super::open_template(&names.template)?;
    if !is_stream {
        check_outputs(&names, &template.description, options.force)?;
    }
    let cache = Cache::open(options)?;
    let found = Finder::new(&|_| None).find(&options.files, &options.files_from, &mut standard_input());
    let progress = progress::listener(options);
    let found = of_right_lengths(found, &template.description);
    let block_length = template.description.image.block_length.unwrap_or(0);
    let catalogued =
        cache.catalogue(&found, &[block_length], &[template.description.image.sum.checksum()], &*progress)?;
    let files = Files::new(&found, &catalogued);
    let mut out = io::stdout();
    let destination = match is_stream {
        true => Destination::Stream(&mut out),
        false => Destination::File {
            path: names.image.clone(),
            is_sparse: true,
            incomplete: Incomplete::Keep,
            replaces: if options.force { Replaces::Anything } else { Replaces::Nothing },
        },
    };
    let name = escaped_path(&names.image).to_string();
    let report = assemble(Order { name, template: &mut template, sources: vec![&files], destination }, &*progress)?;
    catalogued.catalogue.warn(&*progress);
    cache.finish(&catalogued.catalogue);
    print_result(&report, &names, options);
    match report.is_complete {
        true => Ok(Outcome::Done),
        // A stream cannot be resumed.
        false if is_stream => Err(Error::Incomplete),
        false => Ok(Outcome::Incomplete),
    }
}

/// An error if the image exists and must not be replaced. With `--force`, a file in the place of the half-assembled image is
/// removed unless it can be resumed.
fn check_outputs(names: &Names, description: &Description, force: bool) -> Result<(), Error> {
    if !force {
        let is_there = fs::symlink_metadata(&names.image).is_ok();
        return if is_there { Err(Error::Exists { path: names.image.clone() }) } else { Ok(()) };
    }
    let path = names.tmp();
    let Ok(file) = crate::file::open(&path) else { return Ok(()) };
    if !Tmp::read(file).is_ok_and(|tmp| tmp.is_of(description)) {
        say(format_args!("replacing {}: it is not a half-assembled state of this image", escaped_path(&path)));
        fs::remove_file(&path).map_err(|source| Error::Output { path, source })?;
    }
    Ok(())
}

/// The files that are as long as some part. No others are opened.
fn of_right_lengths(mut found: Vec<GivenFile>, description: &Description) -> Vec<GivenFile> {
    let mut lengths: Vec<u64> =
        description.areas.iter().filter(|area| matches!(area, Area::Part { .. })).map(Area::length).collect();
    lengths.sort_unstable();
    found.retain(|found| lengths.binary_search(&found.stamp.size).is_ok());
    found
}

fn print_result(report: &assemble::Report, names: &Names, options: &Options) {
    if options.report == Report::Quiet {
        return;
    }
    let image = escaped_path(&names.image);
    let assemble::Report { found, needed, .. } = report;
    let wanted = counted(*needed, "missing part");
    match (report.is_complete, &report.tmp) {
        (true, _) => {
            say(format_args!(
                "{image} is complete and its sum is correct; {} {} missing before",
                counted(*needed, "part"),
                if *needed == 1 { "was" } else { "were" }
            ));
        }
        (false, Some(tmp)) => {
            let tmp = escaped_path(&tmp);
            say(format_args!("{found} of {wanted} found and written to {tmp}; run again with more files"));
        }
        (false, None) => {
            say(format_args!("{found} of {wanted} found, so nothing was written; run again with other files"));
        }
    }
}

/// Finds parts among files by length, by first block, and by sum if the cache knows it.
struct Files<'a> {
    by_length: HashMap<u64, Vec<(&'a GivenFile, FileId)>>,
    catalogued: &'a Catalogued,
}

impl<'a> Files<'a> {
    fn new(found: &'a [GivenFile], catalogued: &'a Catalogued) -> Self {
        let mut by_length: HashMap<u64, Vec<_>> = HashMap::new();
        for (found, file) in found.iter().zip(&catalogued.files) {
            // What is not in the catalogue cannot be read, which was reported.
            if let Some(file) = file {
                by_length.entry(found.stamp.size).or_default().push((found, *file));
            }
        }
        Self { by_length, catalogued }
    }

    /// Whether nothing known about the file rules it out as this part.
    fn may_be(&self, file: FileId, part: &Part) -> bool {
        let catalogue = &self.catalogued.catalogue;
        let first = |block: assemble::FirstBlock| {
            let features = catalogue.features(file, block.length);
            features.is_none_or(|features| features.first == block.rsync64)
        };
        let sum = catalogue.known_sums(file).and_then(|sums| sums.part(part.sum.checksum()));
        part.first_block.is_none_or(first) && sum.is_none_or(|known| known.sum == part.sum)
    }
}

impl Source for Files<'_> {
    fn find(&self, parts: &[Part]) -> Vec<Vec<PartPlace>> {
        let places = |part: &Part| {
            let files = self.by_length.get(&part.length).map_or(&[][..], Vec::as_slice);
            let files = files.iter().filter(|(_, file)| self.may_be(*file, part));
            files.map(|(found, _)| PartPlace::file(&found.name.path())).collect()
        };
        parts.iter().map(places).collect()
    }
}
