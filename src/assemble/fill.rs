//! Fills windows with the bytes of an image, area by area, from the template and from the places of its parts.

use std::fmt;
use std::io::{self, Read, Seek};

use jigdo::template::Unmatched;

use super::Error;
use super::image_output::Output;
use super::part::{Opened, Part, PartPlace, Reason};
use super::plan::{Plan, State, What};
use super::window::{Origin, Segment, WINDOW, Window};

/// What a pass covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visit {
    /// The whole image. What is already in the output is read back; missing parts are left out.
    All,
    /// Only parts that are needed and have a place to try.
    Needed,
    /// The whole image, read back from the output.
    Back,
}

/// A place whose bytes are not those of the part that was looked for there.
#[derive(Debug)]
pub struct Refused {
    /// The part that was looked for.
    pub part: Part,
    /// The part's offset in the image, in bytes.
    pub offset: u64,
    /// `None` for the image itself, half-assembled or complete.
    pub place: Option<PartPlace>,
    /// What is wrong with the bytes.
    pub reason: Reason,
}

/// Names the part, its offset in the image, and the place that was tried.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, offset, place, reason } = self;
        match place {
            Some(place) => write!(f, "{place} is not part {:?} at offset {offset} of the image: {reason}", part.sum),
            None => write!(f, "the image at offset {offset} is not part {:?}: {reason}", part.sum),
        }
    }
}

/// Fills one window after the other.
pub(super) struct Filler<'a, 'o, 't, R> {
    plan: &'a mut Plan,
    output: &'a Output<'o>,
    unmatched: Unmatched<'t, R>,
    visit: Visit,
    /// The current area, and how many of its bytes are done.
    area: usize,
    done: u64,
    from: AreaSource,
    refused: Vec<Refused>,
}

/// Where the bytes of the current area come from.
enum AreaSource {
    Template,
    PartPlace(PartPlace, Opened),
    Output,
    Gap,
}

impl AreaSource {
    fn origin(&self) -> Origin {
        match self {
            Self::Template => Origin::Template,
            Self::PartPlace(..) => Origin::PartPlace,
            Self::Output => Origin::Output,
            Self::Gap => Origin::Gap,
        }
    }
}

impl<'a, 'o, 't, R: Read + Seek> Filler<'a, 'o, 't, R> {
    /// Starts at the beginning of the image.
    pub fn new(plan: &'a mut Plan, output: &'a Output<'o>, unmatched: Unmatched<'t, R>, visit: Visit) -> Self {
        Self { plan, output, unmatched, visit, area: 0, done: 0, from: AreaSource::Gap, refused: Vec::new() }
    }

    /// Fills an empty window with the next bytes. Returns `false` at the end.
    pub fn fill(&mut self, window: &mut Window) -> Result<bool, Error> {
        while window.room() > 0 && self.begin() {
            self.take(window)?;
        }
        window.pad();
        if window.is_empty() && self.visit == Visit::All {
            // The stream has no bytes left, but reading on checks the end of its last piece.
            let offset = self.plan.image.length;
            self.unmatched.read(&mut [0]).map_err(|source| Error::Unmatched { offset, source })?;
        }
        Ok(!window.is_empty())
    }

    /// The places that were refused.
    pub fn refused(self) -> Vec<Refused> {
        self.refused
    }

    /// Moves to the next area that the pass covers and finds out where its bytes come from; `false` at the end.
    fn begin(&mut self) -> bool {
        if self.done > 0 {
            return true;
        }
        while self.area < self.plan.areas.len() {
            if let Some(from) = self.area_source() {
                self.from = from;
                return true;
            }
            self.area += 1;
        }
        false
    }

    /// Where the bytes of the current area come from; `None` if the pass skips it.
    fn area_source(&mut self) -> Option<AreaSource> {
        let area = &self.plan.areas[self.area];
        if area.length == 0 {
            return None;
        }
        if self.visit == Visit::Back {
            return Some(AreaSource::Output);
        }
        let looks_at_all = self.visit == Visit::All;
        match &area.what {
            What::Unmatched => looks_at_all.then_some(AreaSource::Template),
            What::Part { state: State::Written, .. } => looks_at_all.then_some(AreaSource::Output),
            What::Part { number, .. } => match self.open(*number) {
                Some((place, opened)) => Some(AreaSource::PartPlace(place, opened)),
                None => looks_at_all.then_some(AreaSource::Gap),
            },
        }
    }

    /// Opens the best of a part's places that can be opened.
    fn open(&mut self, number: usize) -> Option<(PartPlace, Opened)> {
        let (offset, length) = (self.plan.areas[self.area].offset, self.plan.areas[self.area].length);
        while let Some(place) = self.plan.parts[number].places.front().cloned() {
            match Opened::new(&place, length) {
                Ok(opened) => {
                    if let (Output::File(file), Opened::File(from)) = (self.output, &opened) {
                        file.clones().plan(self.area, offset, length, from);
                    }
                    self.set_state(State::Taken(place.clone()));
                    return Some((place, opened));
                }
                Err(reason) => self.refuse(number, place, reason),
            }
        }
        None
    }

    fn refuse(&mut self, number: usize, place: PartPlace, reason: Reason) {
        self.plan.remove_place(number, &place);
        let (part, offset) = (self.plan.parts[number].part, self.plan.areas[self.area].offset);
        self.refused.push(Refused { part, offset, place: Some(place), reason });
    }

    fn set_state(&mut self, new: State) {
        if let What::Part { state, .. } = &mut self.plan.areas[self.area].what {
            *state = new;
        }
    }

    /// Passes over most of a gap, whose length a template may exaggerate. Windows stay aligned, and the end of the gap is
    /// left, so that whoever gets the windows notices it.
    fn skip_gap(&mut self, window: &Window) {
        if matches!(self.from, AreaSource::Gap) && window.is_empty() {
            let left = self.plan.areas[self.area].length - self.done;
            self.done += (left - 1) / WINDOW as u64 * WINDOW as u64;
        }
    }

    /// Adds as much of the current area as the window has room for.
    fn take(&mut self, window: &mut Window) -> Result<(), Error> {
        self.skip_gap(window);
        let area = &self.plan.areas[self.area];
        let (offset, left) = (area.offset + self.done, area.length - self.done);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(window.room());
        let bytes = window.next(length);
        match &self.from {
            AreaSource::Template => read_unmatched(&mut self.unmatched, bytes, offset)?,
            AreaSource::Output => self.output.read(bytes, offset)?,
            AreaSource::Gap => bytes.fill(0),
            AreaSource::PartPlace(place, opened) => {
                if let Err(reason) = opened.read(bytes, self.done) {
                    bytes.fill(0);
                    let place = place.clone();
                    if let What::Part { number, .. } = self.plan.areas[self.area].what {
                        self.refuse(number, place, reason);
                    }
                    self.set_state(State::Needed);
                    self.from = AreaSource::Gap;
                }
            }
        }
        let (is_first, is_last) = (self.done == 0, length as u64 == left);
        let (area, origin) = (self.area, self.from.origin());
        window.add(length, |at| Segment { area, offset, at, origin, is_first, is_last });
        self.done += length as u64;
        if is_last {
            (self.area, self.done, self.from) = (self.area + 1, 0, AreaSource::Gap);
        }
        Ok(())
    }
}

/// Fills `bytes`, which are at `offset` of the image.
fn read_unmatched(unmatched: &mut impl Read, bytes: &mut [u8], offset: u64) -> Result<(), Error> {
    let mut done = 0;
    while done < bytes.len() {
        match unmatched.read(&mut bytes[done..]) {
            Ok(0) => return Err(Error::UnmatchedEnds { offset: offset + done as u64 }),
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::Unmatched { offset: offset + done as u64, source: error }),
        }
    }
    Ok(())
}
