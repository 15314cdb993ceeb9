//! `make-image`: puts an image together from its template and files, in as many runs as it takes until all are there.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader};

use jigdo::template::{Area, Description, Template, Tmp};

use super::cache::{Cache, Catalogued};
use super::files::{Finder, Found};
use super::names::{Names, STANDARD};
use super::options::{Options, Report};
use super::{Error, Outcome, progress, say, standard_input};
use crate::assemble::source::Source;
use crate::assemble::{self, Destination, Incomplete, Order, Part, Place, assemble};
use crate::mirror::FileId;

/// Copies those files into the image that are parts of it.
pub fn run(options: &Options) -> Result<Outcome, Error> {
    let names = Names::deduce(&options.image, &options.jigdo, &options.template);
    if [&names.image, &names.template].iter().any(|name| name.as_os_str().is_empty()) {
        let message = "make-image needs the names of image and template, of which one cannot be deduced";
        return Err(Error::Usage(message.to_owned()));
    }
    let is_stream = names.image.as_os_str() == STANDARD;
    let path = &names.template;
    let file = File::open(path).map_err(|source| Error::Input { path: path.clone(), source })?;
    let mut template = Template::read(BufReader::new(file)).map_err(|source| super::unreadable(path, source))?;
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
        false => Destination::File { path: names.image.clone(), is_sparse: true, incomplete: Incomplete::Keep },
    };
    let name = names.image.display().to_string();
    let report = assemble(Order { name, template: &mut template, sources: vec![&files], destination }, &*progress)?;
    cache.finish(&catalogued.catalogue);
    tell(&report, &names, options);
    match report.is_complete {
        true => Ok(Outcome::Done),
        // A stream cannot be gone on with.
        false if is_stream => Err(Error::Incomplete),
        false => Ok(Outcome::Incomplete),
    }
}

/// An error if the image is there already and must not be replaced. What stands in the way of a half-assembled image is
/// removed if it may be.
fn check_outputs(names: &Names, description: &Description, force: bool) -> Result<(), Error> {
    if !force {
        let is_there = fs::symlink_metadata(&names.image).is_ok();
        return if is_there { Err(Error::Exists { path: names.image.clone() }) } else { Ok(()) };
    }
    let path = names.tmp();
    let Ok(file) = File::open(&path) else { return Ok(()) };
    if !Tmp::read(file).is_ok_and(|tmp| tmp.is_of(description)) {
        say(format_args!("{} is replaced: it is not the state of this image", path.display()));
        fs::remove_file(&path).map_err(|source| Error::Output { path, source })?;
    }
    Ok(())
}

/// The files that are as long as some part: no other one is ever looked into.
fn of_right_lengths(mut found: Vec<Found>, description: &Description) -> Vec<Found> {
    let mut lengths: Vec<u64> =
        description.areas.iter().filter(|area| matches!(area, Area::Part { .. })).map(Area::length).collect();
    lengths.sort_unstable();
    found.retain(|found| lengths.binary_search(&found.stamp.size).is_ok());
    found
}

fn tell(report: &assemble::Report, names: &Names, options: &Options) {
    if options.report == Report::Quiet {
        return;
    }
    let image = names.image.display();
    let assemble::Report { found, needed, .. } = report;
    match (report.is_complete, &report.tmp) {
        (true, _) => {
            say(format_args!("{image} is complete, and has the right sum; {needed} parts were missing before"))
        }
        (false, Some(tmp)) => {
            let tmp = tmp.display();
            say(format_args!(
                "{found} of {needed} missing parts found; {tmp} has what there is: run again with more files"
            ));
        }
        (false, None) => {
            say(format_args!(
                "{found} of {needed} missing parts found; nothing was written: run again with other files"
            ));
        }
    }
}

/// The files as parts: by their lengths, their first blocks, and by their sums where the cache knows these.
struct Files<'a> {
    by_length: HashMap<u64, Vec<(&'a Found, Option<FileId>)>>,
    catalogued: &'a Catalogued,
}

impl<'a> Files<'a> {
    fn new(found: &'a [Found], catalogued: &'a Catalogued) -> Self {
        let mut by_length: HashMap<u64, Vec<_>> = HashMap::new();
        for (found, file) in found.iter().zip(&catalogued.files) {
            // That a file cannot be read was told; one whose name is no text has no place in the catalogue.
            if file.is_some() || found.name.rest().to_str().is_none() {
                by_length.entry(found.stamp.size).or_default().push((found, *file));
            }
        }
        Self { by_length, catalogued }
    }

    /// Whether the file may be the part, as far as is known.
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
    fn find(&self, parts: &[Part]) -> Vec<Vec<Place>> {
        let places = |part: &Part| {
            let files = self.by_length.get(&part.length).map_or(&[][..], Vec::as_slice);
            let files = files.iter().filter(|(_, file)| file.is_none_or(|file| self.may_be(file, part)));
            files.map(|(found, _)| Place::file(&found.name.path())).collect()
        };
        parts.iter().map(places).collect()
    }
}
