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
//! ```no_run
//! use std::fs::File;
//! use std::io::BufReader;
//! use jigpress::assemble::source::NamedFiles;
//! use jigpress::assemble::{Destination, Incomplete, Order, assemble};
//! use jigdo::template::Template;
//! use jigpress::progress::Silent;
//!
//! # fn make_image(files: Vec<std::path::PathBuf>) -> Result<(), Box<dyn std::error::Error>> {
//! let mut template = Template::read(BufReader::new(File::open("disc.template")?))?;
//! let (files, unusable) = NamedFiles::new(files);
//! let report = assemble(
//!     Order {
//!         name: "disc.iso".to_owned(),
//!         template: &mut template,
//!         sources: vec![&files],
//!         destination: Destination::File {
//!             path: "disc.iso".into(),
//!             is_sparse: true,
//!             incomplete: Incomplete::Keep,
//!         },
//!     },
//!     &Silent,
//! )?;
//! println!("{} of {} files found, {} unusable", report.found, report.needed, unusable.len());
//! // Complete: disc.iso. Incomplete, and something was found, now or before: disc.iso.tmp.
//! assert_eq!(report.is_complete, report.missing.is_empty());
//! # Ok(())
//! # }
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
mod window;
mod work;

pub use error::Error;
pub use fill::Refused;
pub use part::{FirstBlock, Part, PartPlace, Reason};
pub use run::{Destination, Incomplete, Order, assemble, assemble_all};
pub use verify::{Verified, WrongArea, verify_image};
pub use work::{Missing, Report};

#[cfg(test)]
mod tests;
