//! The plan of an image: what its areas are, which parts are needed, and where they may be.

use std::collections::{HashMap, VecDeque};

use jigdo::template::{Area, Description, ImageEntry};

use super::part::{Part, PartPlace};

/// The plan of one image.
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
        /// The part's index in [`Plan::parts`].
        number: usize,
        state: State,
    },
}

/// The state of an area that is a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Needed,
    /// Its bytes were taken from this place. Their sum is not known yet.
    Taken(PartPlace),
    /// Its bytes are in the output. Their sum was right, or a half-assembled image says that it was.
    Written,
}

/// A part of the image.
pub(super) struct Wanted {
    pub part: Part,
    /// Where it may still be, the best place first.
    pub places: VecDeque<PartPlace>,
    /// How many sources have been asked for it.
    pub asked: usize,
}

impl Plan {
    /// Plans the image that a template describes. `written` says for each area whether it is a part that is already in
    /// the output.
    pub fn new(description: &Description, written: Option<&[bool]>) -> Self {
        let mut numbers = HashMap::new();
        let mut parts = Vec::new();
        let what = |(place, area): (usize, &Area)| {
            // An empty part has no bytes to look for or to write.
            let part = Part::of(area, description.image.block_length).filter(|part| part.length > 0);
            let Some(part) = part else { return What::Unmatched };
            let number = *numbers.entry(part).or_insert_with(|| {
                parts.push(Wanted { part, places: VecDeque::new(), asked: 0 });
                parts.len() - 1
            });
            let is_written = written.is_some_and(|written| written.get(place).copied().unwrap_or(false));
            let state = if is_written { State::Written } else { State::Needed };
            What::Part { number, state }
        };
        let whats: Vec<What> = description.areas.iter().enumerate().map(what).collect();
        let with_offsets = description.with_offsets().zip(whats);
        let areas =
            with_offsets.map(|((offset, area), what)| Planned { offset, length: area.length(), what }).collect();
        Self { image: description.image, areas, parts }
    }

    /// The areas that are parts: the area's index, the part's number, and the state.
    pub fn of_parts(&self) -> impl Iterator<Item = (usize, usize, &State)> {
        self.areas.iter().enumerate().filter_map(|(place, area)| match &area.what {
            What::Unmatched => None,
            What::Part { number, state } => Some((place, *number, state)),
        })
    }

    /// The number of areas that are parts and not written yet.
    pub fn needed(&self) -> usize {
        self.of_parts().filter(|(_, _, state)| **state != State::Written).count()
    }

    /// For each part, whether an area still needs it.
    fn is_needed(&self) -> Vec<bool> {
        let mut is_needed = vec![false; self.parts.len()];
        for (_, number, state) in self.of_parts() {
            is_needed[number] |= *state == State::Needed;
        }
        is_needed
    }

    /// The numbers of the parts that are needed and have no known place.
    pub fn missing(&self) -> Vec<usize> {
        let is_needed = self.is_needed();
        (0..self.parts.len()).filter(|&number| is_needed[number] && self.parts[number].places.is_empty()).collect()
    }

    /// The numbers of the parts that are needed and have a place to try.
    pub fn found(&self) -> Vec<usize> {
        let is_needed = self.is_needed();
        (0..self.parts.len()).filter(|&number| is_needed[number] && !self.parts[number].places.is_empty()).collect()
    }

    /// Whether every part is written.
    pub fn is_written(&self) -> bool {
        self.needed() == 0
    }

    /// For each area, whether it is a part that has been written.
    pub fn written(&self) -> Vec<bool> {
        let is_written = |area: &Planned| matches!(area.what, What::Part { state: State::Written, .. });
        self.areas.iter().map(is_written).collect()
    }

    /// Removes a place from those to try for a part.
    pub fn remove_place(&mut self, number: usize, place: &PartPlace) {
        self.parts[number].places.retain(|known| known != place);
    }

    /// Settles the areas that were taken: they are written if their sums were right, and still needed if not. `wrong`
    /// has the indices of the areas whose sums were wrong. Returns where the bytes of each of these came from; `None`
    /// if they were already in the output.
    pub fn settle(&mut self, wrong: &[usize]) -> Vec<(usize, Option<PartPlace>)> {
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

    /// Marks the areas that were taken as needed again: their bytes are in no output.
    pub fn forget_taken(&mut self) {
        for area in &mut self.areas {
            if let What::Part { state, .. } = &mut area.what {
                *state = State::Needed;
            }
        }
    }
}
