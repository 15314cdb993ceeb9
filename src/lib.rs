//! jigpress publishes disc images as jigdo sets.
//!
//! Data goes one way through these modules, in this order:
//!
//! | module | takes | gives |
//! |---|---|---|
//! | [`manifest`] | YAML | a release: images, mirrors, settings |
//! | [`digest`] | bytes | checksums |
//! | [`stamp`] | a file's metadata | what tells its states apart |
//! | [`image`] | a file | windows of its bytes |
//! | [`summing`] | files | their sums, side by side |
//! | [`mirror`] | mirror trees | a catalogue of their files, their heads and sums |
//! | [`matcher`] | parts' signatures, an image's bytes | a layout |
//! | [`mod@format`] | layouts, unmatched data | `.template` and `.jigdo` bytes, and back |
//! | [`publish`] | a release | its sets, where everybody sees them |
//! | [`web`] | URLs | what web servers have there |
//! | [`set`] | jigdo files, trees of them | the sets on this machine, with what they include |
//! | [`servers`] | jigdo files | what servers they have, and other servers in them |
//! | [`snapshot`] | jigdo files, mirrors | a tree of the parts that the sets need |
//! | [`assemble`] | a template, parts | the image again |
//! | [`verify`] | sets, mirrors, SUMS files | what is wrong with them |
//! | [`progress`] | | what all of them report while they work |
//! | `cli` | arguments | exit codes, and what people read |
//!
//! The feature `cli` is the command line, and with it the program; without `web`, no web server is asked. Both are on by
//! default.

/// What jigdo files and templates say made them, and servers are told: the program and its version.
pub const GENERATOR: &str = concat!("jigpress/", env!("CARGO_PKG_VERSION"));

pub mod assemble;
#[cfg(feature = "cli")]
pub mod cli;
pub mod digest;
pub mod file;
pub mod make;
pub mod manifest;
pub mod matcher;
pub mod mirror;
pub mod output;
pub mod progress;
pub mod publish;
pub mod servers;
pub mod set;
pub mod snapshot;
pub mod summing;
pub mod verify;
pub mod web;
