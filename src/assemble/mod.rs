//! Assembles images: unmatched data from their templates, parts from wherever sources find them.
//!
//! [`assemble_all`] fulfils [`Order`]s: a template, the [`source`]s to ask for its parts, and where the image goes. The
//! sum of every part is checked on its way into the image, and the sum of the image at the end. If a file is not the
//! part that it should be, the next place is tried, and then the next source. Half-assembled images are kept and
//! resumed in jigdo's own format.
//!
//! This example does what `jigdo-file make-image` does: the content of the named files decides which parts they are,
//! and missing parts are left to a later run.
//!
//! ```
#![doc = include_str!("example.rs")]
//! ```

pub mod batch;
mod error;
mod fill;
mod image_output;
mod part;
mod pass;
mod plan;
mod run;
pub mod source;
mod summing;
mod verify;
mod verify_stream;
mod window;
mod work;

pub use error::Error;
pub use fill::Refused;
pub use part::{FirstBlock, Part, PartPlace, Reason};
pub use run::{Destination, Incomplete, Order, Replaces, assemble, assemble_all};
pub use verify::{Verified, WrongArea, verify_image};
pub use verify_stream::verify_stream;
pub use work::{Missing, Report};

#[cfg(test)]
#[allow(clippy::print_stdout, dead_code, reason = "an example, shown above; its files are made up")]
mod example;
#[cfg(test)]
mod tests;
