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
//! use std::io::Cursor;
//! use jigdo::jigdo_file::{Image, Jigdo, Location, Server};
//! use jigdo::template::{ImageEntry, Options, Writer};
//! use jigdo::{Checksum, Rsync64, Sum, base64};
//!
//! // An image with a package in it, and 512 bytes before and 1536 bytes after the package.
//! let package = [7; 2048];
//! let image = [&[1; 512][..], &package, &[2; 1536]].concat();
//!
//! let mut writer = Writer::new(Cursor::new(Vec::new()), Options::new(Checksum::Sha256, "example/1.0"))?;
//! writer.unmatched(&image[..512])?;
//! writer.part(2048, Rsync64::of(&package[..1024]), Sum::of(Checksum::Sha256, &package))?;
//! writer.unmatched(&image[2560..])?;
//! let sum = Sum::of(Checksum::Sha256, &image);
//! let entry = ImageEntry { length: image.len() as u64, sum, block_length: Some(1024) };
//! let template = writer.finish(entry)?.into_inner();
//!
//! let location = Location { label: "Debian".into(), path: "pool/main/p/package.deb".into() };
//! let server = Server { url: "https://deb.debian.org/debian/".into(), try_last: false };
//! let jigdo = Jigdo {
//!     version: Some("2.0".into()),
//!     generator: Some("example/1.0".into()),
//!     image: Some(Image {
//!         filename: "image.iso".into(),
//!         template: "image.template".into(),
//!         template_sum: Some(Sum::of(Checksum::Sha256, &template)),
//!         ..Image::default()
//!     }),
//!     parts: vec![(Sum::of(Checksum::Sha256, &package), location)],
//!     servers: vec![("Debian".into(), server)],
//!     includes: vec![],
//! };
//! let text = jigdo.to_text()?;
//! assert!(text.contains(&base64::encode(Sum::of(Checksum::Sha256, &package).as_bytes())));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Read a set
//!
//! ```
//! use std::io::{Cursor, Read};
//! use jigdo::jigdo_file::Jigdo;
//! use jigdo::template::{Area, Template};
//!
//! # macro_rules! vector {
//! #     ($name:literal) => { include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/vectors/", $name)) };
//! # }
//! # let (jigdo, template) = (vector!("jigdo-file-v2-gzip.jigdo"), vector!("jigdo-file-v2-gzip.template"));
//! let jigdo = Jigdo::read(&jigdo[..])?;
//! let mut template = Template::read(Cursor::new(&template[..]))?;
//! for (offset, area) in template.description.with_offsets() {
//!     if let Area::Part { length, sum, .. } = area {
//!         let (_, location) = jigdo.parts.iter().find(|(known, _)| known == sum).expect("the set is complete");
//!         println!("{length} bytes at {offset}: {}", jigdo.urls(location)?.join(" or "));
//!     }
//! }
//! let mut unmatched = Vec::new();
//! template.unmatched().read_to_end(&mut unmatched)?;
//! assert_eq!(unmatched.len() as u64, template.description.unmatched_length());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod base64;
pub mod jigdo_file;
mod rsync64;
mod rsync64_table;
mod sum;
pub mod template;

pub use rsync64::Rsync64;
pub use rsync64_table::TABLE as RSYNC64_TABLE;
pub use sum::{Algorithm, Checksum, Sum, hex};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
