//! The work on one image: passes over it until it is complete or no more parts can be found.

use std::collections::BTreeMap;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use jigdo::Sum;
use jigdo::template::{Template, Tmp};

use super::fill::{Refused, Visit};
use super::image_output::{ImageFile, Output};
use super::part::Part;
use super::pass::{Shared, pass};
use super::plan::{Plan, State};
use super::source::Source;
use super::{Destination, Error, Incomplete, Order, Replaces};
use crate::file::{self, Stamp};
use crate::progress::Task;

/// More passes than this mean that the disk does not return the bytes that were written.
const MOST_PASSES: usize = 1000;

/// The result for an image. Lengths and offsets are in bytes.
#[derive(Debug)]
pub struct Report {
    /// Whether the image is complete and has the right sum.
    pub is_complete: bool,
    /// The image's length.
    pub length: u64,
    /// The image's sum according to the template.
    pub sum: Sum,
    /// How much of the image comes from its template.
    pub unmatched: u64,
    /// How many areas of the image are parts.
    pub parts: usize,
    /// How many of these were still needed, and how many of those were found. Parts that were found but not written,
    /// because others are missing, count as found.
    pub needed: usize,
    /// How many of the needed parts are there now.
    pub found: usize,
    /// The parts that were not found.
    pub missing: Vec<Missing>,
    /// The places that did not have the part that was expected there.
    pub refused: Vec<Refused>,
    /// The path of the half-assembled image, if one is kept.
    pub tmp: Option<PathBuf>,
    /// The stamp of the file that became the image, taken when it was finished.
    pub stamp: Option<Stamp>,
}

/// A part that was not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The part that is missing.
    pub part: Part,
    /// Its offsets in the image, in bytes, ascending.
    pub offsets: Vec<u64>,
}

/// An image that is being assembled.
pub(super) struct Work<'a, R> {
    pub name: String,
    pub number: usize,
    template: &'a mut Template<R>,
    pub sources: Vec<&'a dyn Source>,
    pub plan: Plan,
    target: Target<'a>,
    output: Output<'a>,
    needed: usize,
    passes: usize,
    /// Whether the image's sum is right.
    is_proven: bool,
    refused: Vec<Refused>,
}

/// Where an image is to be written.
enum Target<'a> {
    File {
        path: PathBuf,
        is_sparse: bool,
        incomplete: Incomplete,
        replaces: Replaces,
    },
    /// Written once all parts are known to be right.
    Stream(Option<&'a mut (dyn Write + Send)>),
}

impl<'a, R: Read + Seek> Work<'a, R> {
    /// Starts the work on an order. A half-assembled image is resumed.
    pub fn new(number: usize, order: Order<'a, R>) -> Result<Self, Error> {
        let Order { name, template, sources, destination } = order;
        let description = &template.description;
        let mut written = None;
        let (target, output) = match destination {
            Destination::File { path, is_sparse, incomplete, replaces } => {
                let resumed = match ImageFile::resume(&path, description) {
                    // Unless a half-assembled image is to be kept, another file of its name does no harm.
                    Err(Error::NotATmp { .. } | Error::OtherTmp { .. } | Error::NotRegular { .. })
                        if incomplete != Incomplete::Keep =>
                    {
                        None
                    }
                    resumed => resumed?,
                };
                let output = resumed.map(|(file, tmp)| {
                    written = Some(tmp.written_areas(description));
                    Output::File(file)
                });
                (Target::File { path, is_sparse, incomplete, replaces }, output.unwrap_or(Output::Nowhere))
            }
            Destination::Stream(out) => (Target::Stream(Some(out)), Output::Nowhere),
        };
        let plan = Plan::new(&template.description, written.as_deref());
        let needed = plan.needed();
        let (passes, is_proven, refused) = (0, false, Vec::new());
        Ok(Self { name, number, template, sources, plan, target, output, needed, passes, is_proven, refused })
    }

    /// What the next pass covers; `None` if the work is over.
    pub fn next(&self) -> Option<Visit> {
        let is_first = self.passes == 0;
        let (is_written, has_found) = (self.plan.is_written(), !self.plan.found().is_empty());
        let is_all_found = self.plan.missing().is_empty();
        match &self.target {
            _ if self.is_proven => None,
            // Bytes written to a stream cannot be taken back, so all parts are checked first.
            Target::Stream(_) if is_all_found => Some(if is_written { Visit::All } else { Visit::Needed }),
            Target::Stream(_) => None,
            // If something was wrong, only that is looked for again. The last pass covers the whole image.
            Target::File { .. } if is_all_found => {
                Some(if is_first || is_written { Visit::All } else { Visit::Needed })
            }
            Target::File { incomplete, .. } => {
                let is_there = matches!(self.output, Output::File(_));
                let is_new = *incomplete == Incomplete::Keep && !is_there;
                let is_wanted = *incomplete != Incomplete::Discard || is_there;
                (has_found && is_wanted).then_some(if is_new { Visit::All } else { Visit::Needed })
            }
        }
    }

    /// Makes a pass over the image.
    pub fn pass(&mut self, visit: Visit, shared: &Shared<'_>, task: &Task<'_>) -> Result<(), Error> {
        self.passes += 1;
        if self.passes > MOST_PASSES {
            return Err(Error::Unstable);
        }
        self.open(visit)?;
        let passed = pass(task, &mut self.plan, self.template, &self.output, visit, shared)?;
        if let Output::File(file) = &mut self.output {
            file.end_pass(self.plan.image.length, &passed.wrong)?;
        }
        let expected = self.plan.image.sum;
        let is_right = passed.refused.is_empty() && self.plan.is_written();
        if let Some(found) = passed.image {
            self.is_proven = found == expected;
            if !self.is_proven && is_right {
                return Err(Error::ImageSum { expected, found });
            }
        }
        if matches!(self.target, Target::Stream(None)) && !self.is_proven {
            return Err(Error::Changed);
        }
        for refused in &passed.refused {
            // Parts may come from an old version of the image, which has the same name.
            shared.progress.warn(&file::about(Path::new(&self.name), refused));
        }
        self.refused.extend(passed.refused);
        Ok(())
    }

    /// Opens the output before the first pass that writes to it.
    fn open(&mut self, visit: Visit) -> Result<(), Error> {
        if !matches!((visit, &self.output), (Visit::All, Output::Nowhere)) {
            return Ok(());
        }
        match &mut self.target {
            Target::File { path, is_sparse, .. } => {
                self.output = Output::File(ImageFile::create(path, *is_sparse)?);
                // What earlier passes read is not in this file.
                self.plan.forget_taken();
            }
            Target::Stream(out) => {
                let out = out.take().expect("a stream is written once");
                self.output = Output::Stream(out.into());
                self.plan.forget_taken();
            }
        }
        Ok(())
    }

    /// Whether all sources have been asked and nothing more can be done.
    pub fn is_over(&self, shared: &[&dyn Source]) -> bool {
        let sources = self.sources.len() + shared.len();
        self.next().is_none() && self.plan.missing().iter().all(|&number| self.plan.parts[number].asked >= sources)
    }

    /// Gives a complete image its name, or keeps or removes a half-assembled one, and returns the report.
    pub fn finish(mut self) -> Result<Report, Error> {
        let (mut tmp, mut stamp) = (None, None);
        if let Output::File(file) = &mut self.output {
            // If every part that was found turned out to be wrong, there is nothing to resume.
            let has_part = || self.plan.written().contains(&true);
            let keeps = matches!(self.target, Target::File { incomplete: Incomplete::Keep, .. });
            let is_kept = file.is_resumed() || (keeps && has_part());
            if self.is_proven {
                let Target::File { replaces, .. } = self.target else { unreachable!("only a file is finished") };
                stamp = Some(file.finish(self.plan.image.length, replaces)?);
            } else if is_kept {
                let state = Tmp { description: self.template.description.clone(), written: self.plan.written() };
                tmp = Some(file.leave(&state)?);
            }
        }
        let plan = &self.plan;
        let is_there = |&(_, number, state): &(usize, usize, &State)| {
            *state == State::Written || !plan.parts[number].places.is_empty()
        };
        let parts = plan.of_parts().count();
        let lacking = plan.of_parts().filter(|area| !is_there(area)).count();
        Ok(Report {
            is_complete: self.is_proven,
            length: plan.image.length,
            sum: plan.image.sum,
            unmatched: self.template.description.unmatched_length(),
            parts,
            needed: self.needed,
            found: self.needed - lacking,
            missing: self.missing(),
            refused: self.refused,
            tmp,
            stamp,
        })
    }

    fn missing(&self) -> Vec<Missing> {
        let mut offsets: BTreeMap<usize, Vec<u64>> =
            self.plan.missing().into_iter().map(|number| (number, Vec::new())).collect();
        for (area, number, state) in self.plan.of_parts() {
            if let Some(offsets) = offsets.get_mut(&number)
                && *state != State::Written
            {
                offsets.push(self.plan.areas[area].offset);
            }
        }
        let missing =
            offsets.into_iter().map(|(number, offsets)| Missing { part: self.plan.parts[number].part, offsets });
        let mut missing: Vec<_> = missing.collect();
        missing.sort_by_key(|missing| missing.offsets.first().copied());
        missing
    }
}
