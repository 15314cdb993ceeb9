//! Sets that have been read, before it is known whether their images are there already.

use jigdo::escaped_path;
use std::fs;
use std::io;
use std::path::PathBuf;

use jigdo::Sum;
use rayon::prelude::*;

use super::super::Replaces;
use super::super::source::OldImages;
use super::existing::{check_replaceable, look};
use super::known::{KnownFiles, ToSum};
use super::opened::Request;
use super::{Error, ImageReport, Options, OrReport, Prepared};
use crate::file::Stamp;
use crate::set::{self, FileTemplate, Set};

/// A set, its template, and what is at its image's place.
pub(super) struct Candidate {
    request: Request,
    pub set: Set,
    pub image: PathBuf,
    template: FileTemplate,
    /// The file that is there already.
    found: Option<Stamp>,
}

/// The sums by which a candidate is judged; `None` if they are not asked for.
#[derive(Default)]
struct Sums {
    template: Option<io::Result<Sum>>,
    image: Option<io::Result<Sum>>,
}

impl Candidate {
    /// Reads the template of a set, and looks at its image's place.
    pub fn new(request: Request, options: &Options<'_>) -> OrReport<Self> {
        let (path, image) = (request.path().to_owned(), request.image());
        Self::read(request, options).map_err(|error| {
            let mut report = error.report(&path);
            report.image = report.image.take().or(image);
            report
        })
    }

    fn read(request: Request, options: &Options<'_>) -> Result<Self, Error> {
        let set = request.set()?;
        let image = request.directory.join(&set.image_name);
        let found = look(&image, options.force).map_err(|source| Error::Existing { image: image.clone(), source })?;
        let template = set.read_template()?;
        Ok(Self { request, set, image, template, found })
    }

    /// The files whose sums are needed: the template, and the file that is there, if it is as long as the image.
    fn to_sum(&self, options: &Options<'_>) -> Result<[Option<ToSum>; 2], Error> {
        let of_template = |expected: Sum| {
            let path = self.set.template.clone();
            let stamp =
                Stamp::of(&fs::metadata(&path).map_err(|source| set::Error::Io { path: path.clone(), source })?);
            Ok::<_, Error>(ToSum { path, stamp, checksum: expected.checksum() })
        };
        let expected = self.template.description.image;
        let is_as_long = |stamp: &Stamp| !options.force && stamp.size == expected.length;
        let of_image = |stamp| ToSum { path: self.image.clone(), stamp, checksum: expected.sum.checksum() };
        Ok([self.set.image.template_sum.map(of_template).transpose()?, self.found.filter(is_as_long).map(of_image)])
    }

    /// Prepares to assemble the image. If it is there already, or cannot be assembled, the report says so.
    fn decide<'a>(self, sums: Sums, options: &Options<'a>, known: &KnownFiles<'_>) -> OrReport<Box<Prepared<'a>>> {
        let path = self.set.path.clone();
        let report = |error: Error| error.report(&path);
        if let Some(found) = sums.template {
            self.set.compare_template_sum(found).map_err(|error| report(error.into()))?;
        }
        let Self { request, set, image, mut template, found } = self;
        let existing = |source| report(Error::Existing { image: image.clone(), source });
        let is_there = sums.image.transpose().map_err(|error| existing(super::existing::Error::Unreadable(error)))?;
        if is_there == Some(template.description.image.sum) {
            tracing::debug!(image = %escaped_path(&image), "unchanged: it has the sum of its set");
            return Err(Box::new(ImageReport::unchanged(&set, image)));
        }
        if let Some(stamp) = found.filter(|_| !options.force) {
            check_replaceable(&image, stamp, &mut template, known, options.progress).map_err(existing)?;
        }
        let labels = request.labels(&options.trees);
        let labels = labels.map_err(|source| report(Error::Labels { path: path.clone(), source }))?;
        let failed = |source| report(Error::Directory { path: request.directory.clone(), source });
        fs::create_dir_all(&request.directory).map_err(failed)?;
        let has_bytes = found.is_some_and(|stamp| stamp.size > 0);
        let earlier = has_bytes.then(|| OldImages::new(vec![image.clone()], options.progress));
        let replaces = match found {
            _ if options.force => Replaces::Anything,
            Some(stamp) => Replaces::File(stamp),
            None => Replaces::Nothing,
        };
        Ok(Box::new(Prepared { set, image, template, labels, earlier, replaces }))
    }
}

/// Finds out which images are there already, and prepares to assemble the others. What need not or cannot be assembled has
/// its report. The candidates keep their numbers.
pub(super) fn prepare<'a>(
    candidates: Vec<(usize, Candidate)>,
    options: &Options<'a>,
    known: &KnownFiles<'_>,
) -> Vec<(usize, OrReport<Box<Prepared<'a>>>)> {
    let mut to_sum = Vec::new();
    let mut wants = Vec::new();
    for (_, candidate) in &candidates {
        wants.push(candidate.to_sum(options).map(|files| {
            files.map(|file| {
                file.is_some_and(|file| {
                    to_sum.push(file);
                    true
                })
            })
        }));
    }
    let mut sums = known.sums(&to_sum).into_iter();
    let mut next = |wanted: bool| wanted.then(|| sums.next().expect("every file has a sum"));
    let judged: Vec<_> = candidates
        .into_iter()
        .zip(wants)
        .map(|((number, candidate), wants)| {
            let sums = wants.map(|[template, image]| Sums { template: next(template), image: next(image) });
            (number, candidate, sums)
        })
        .collect();
    let decide = |(number, candidate, sums): (usize, Candidate, Result<Sums, Error>)| {
        let decided = match sums {
            Ok(sums) => candidate.decide(sums, options, known),
            Err(error) => Err(error.report(&candidate.set.path)),
        };
        (number, decided)
    };
    judged.into_par_iter().map(decide).collect()
}
