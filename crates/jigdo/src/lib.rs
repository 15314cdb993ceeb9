//! Reads and writes jigdo's file formats.
//!
//! A jigdo set describes an image, such as that of a CD, whose content is mostly files that are on mirrors anyway: the
//! *parts*. Its [template] has the sums of the parts and, compressed, the *unmatched data*: all bytes of the
//! image that are in no part. Its [jigdo file](jigdo_file) says where the template and the parts can be downloaded. Both
//! exist in two generations, 1.x with MD5 sums and 2.0 with SHA-256 sums: see [`Checksum`].
//!
//! This crate takes readers, writers and slices. It opens no files, starts no threads and has no `unsafe` code. A hostile
//! input gives an error with its place, never a panic or a huge allocation. With the feature `serde`, [`Algorithm`] can be
//! serialized.
//!
//! # Write a set
//!
//! ```
#![doc = include_str!("examples/write_set.rs")]
//! ```
//!
//! # Read a set
//!
//! ```
#![doc = include_str!("examples/read_set.rs")]
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod base64;
mod escaped;
pub mod jigdo_file;
mod rsync64;
mod rsync64_table;
mod sum;
pub mod template;

pub use bstr;
pub use escaped::{Escaped, escaped, escaped_path};
pub use rsync64::Rsync64;
pub use rsync64_table::TABLE as RSYNC64_TABLE;
pub use sum::{Algorithm, Checksum, Sum, hex};

// The examples name this crate as others do.
#[cfg(test)]
extern crate self as jigdo;

#[cfg(test)]
mod examples;
