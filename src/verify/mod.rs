//! Whether what was published is right: sets with the parts that mirrors have, and SUMS files. Images are compared with
//! their templates by [`crate::assemble::verify_image`].

mod parts;
mod sets;
mod sums;

pub use sets::{Options, SetReport, WrongPart, check_sets};
pub use sums::{Entry, State, SumsReport, check_sums};
