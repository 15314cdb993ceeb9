//! The plan of an image: what each of its areas is, which parts are wanted, and where they may be.

use std::collections::{HashMap, VecDeque};

use jigdo::template::{Area, Description, ImageEntry};

use super::part::{Part, Place};

/// What is to be done for one image.
pub(super) struct Plan {
    pub image: ImageEntry,
    /// In the order of the image.
    pub areas: Vec<Planned>,
    /// Each part once, however often it occurs.
    pub parts: Vec<Wanted>,
}

/// An area of the image. Offsets and lengths are in bytes.
pub(super) struct Planned {
    /// In the image.
    pub offset: u64,
    pub length: u64,
    pub what: What,
}

pub(super) enum What {
    Unmatched,
    Part {
        /// The part's place among [`Plan::parts`].
        number: usize,
        state: State,
    },
}

/// How far the bytes of a part have come in one area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Needed,
    /// They were taken from this place; their sum is not known yet.
    Taken(Place),
    /// They are in the output. Their sum was right, or somebody said so.
    Written,
}

/// A part of the image.
pub(super) struct Wanted {
    pub part: Part,
    /// Where it may still be, the best place first.
    pub places: VecDeque<Place>,
    /// How many sources have been asked for it.
    pub asked: usize,
}

impl Plan {
    /// The plan of the image that a template describes. `written` says of each area whether it is a part that is in the
    /// output already.
    pub fn new(description: &Description, written: Option<&[bool]>) -> Self {
        let mut numbers = HashMap::new();
        let mut parts = Vec::new();
        let what = |(place, area): (usize, &Area)| {
            let Some(part) = Part::of(area, description.image.block_length) else { return What::Unmatched };
            let number = *numbers.entry(part).or_insert_with(|| {
                parts.push(Wanted { part, places: VecDeque::new(), asked: 0 });
                parts.len() - 1
            });
            let is_written = written.is_some_and(|written| written.get(place).copied().unwrap_or(false));
            // Nothing is ever written of a part without bytes.
            let state = if is_written || part.length == 0 { State::Written } else { State::Needed };
            What::Part { number, state }
        };
        let whats: Vec<What> = description.areas.iter().enumerate().map(what).collect();
        let with_offsets = description.with_offsets().zip(whats);
        let areas =
            with_offsets.map(|((offset, area), what)| Planned { offset, length: area.length(), what }).collect();
        Self { image: description.image, areas, parts }
    }

    /// The areas that are parts: each one's place among the areas, the part's number, and its state.
    pub fn of_parts(&self) -> impl Iterator<Item = (usize, usize, &State)> {
        self.areas.iter().enumerate().filter_map(|(place, area)| match &area.what {
            What::Unmatched => None,
            What::Part { number, state } => Some((place, *number, state)),
        })
    }

    /// How many areas are parts that are not written yet.
    pub fn needed(&self) -> usize {
        self.of_parts().filter(|(_, _, state)| **state != State::Written).count()
    }

    /// For each part whether some area still needs it.
    fn is_needed(&self) -> Vec<bool> {
        let mut is_needed = vec![false; self.parts.len()];
        for (_, number, state) in self.of_parts() {
            is_needed[number] |= *state == State::Needed;
        }
        is_needed
    }

    /// The numbers of the parts that some area needs and that are known to be nowhere.
    pub fn missing(&self) -> Vec<usize> {
        let is_needed = self.is_needed();
        (0..self.parts.len()).filter(|&number| is_needed[number] && self.parts[number].places.is_empty()).collect()
    }

    /// The numbers of the parts that some area needs and that may be somewhere.
    pub fn found(&self) -> Vec<usize> {
        let is_needed = self.is_needed();
        (0..self.parts.len()).filter(|&number| is_needed[number] && !self.parts[number].places.is_empty()).collect()
    }

    /// Whether every part is written.
    pub fn is_written(&self) -> bool {
        self.needed() == 0
    }

    /// For each area whether it is a part that has been written.
    pub fn written(&self) -> Vec<bool> {
        let is_written = |area: &Planned| matches!(area.what, What::Part { state: State::Written, .. });
        self.areas.iter().map(is_written).collect()
    }

    /// Removes a place from those where a part may be.
    pub fn remove_place(&mut self, number: usize, place: &Place) {
        self.parts[number].places.retain(|known| known != place);
    }

    /// Settles what was taken: it is written if its sum was right, and still needed if not. `wrong` has the places of the
    /// areas whose sums were wrong. Returns for each of these where the bytes were taken from; `None` if they were in the
    /// output already.
    pub fn settle(&mut self, wrong: &[usize]) -> Vec<(usize, Option<Place>)> {
        let mut refused = Vec::new();
        for &place in wrong {
            if let What::Part { state, .. } = &mut self.areas[place].what {
                let taken_from = match std::mem::replace(state, State::Needed) {
                    State::Taken(from) => Some(from),
                    State::Needed | State::Written => None,
                };
                refused.push((place, taken_from));
            }
        }
        for (place, from) in &refused {
            if let (What::Part { number, .. }, Some(from)) = (&self.areas[*place].what, from) {
                self.remove_place(*number, from);
            }
        }
        for area in &mut self.areas {
            if let What::Part { state: state @ State::Taken(_), .. } = &mut area.what {
                *state = State::Written;
            }
        }
        refused
    }

    /// Forgets what was taken: nothing of it is in any output.
    pub fn forget_taken(&mut self) {
        for area in &mut self.areas {
            if let What::Part { state, .. } = &mut area.what {
                *state = State::Needed;
            }
        }
    }
}
