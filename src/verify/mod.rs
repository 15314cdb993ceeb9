//! Checks what was published: sets with the parts on mirrors, and SUMS files. [`crate::assemble::verify_image`]
//! compares images with their templates.

mod parts;
mod sets;
mod sums;

pub use sets::{Options, SetReport, WrongPart, check_sets};
pub use sums::{CheckedSums, Entry, State, SumsReport, check_sums};
