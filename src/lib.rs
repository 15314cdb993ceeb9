//! jigpress publishes disc images as jigdo sets.
//!
//! A module uses only those in the layers below it, and in its own layer those named beside it:
//!
//! | layer | modules |
//! |---|---|
//! | the command line | `cli` |
//! | commands | [`publish`], [`assemble`], [`verify`] (uses `assemble`), [`servers`], [`snapshot`] |
//! | the web | [`web`]: the HTTP client |
//! | one image, one set | [`make`]: an image becomes a proven template; [`set`]: the one reader and finder of published sets |
//! | the release, its output | [`manifest`]: YAML; [`output`]: staging, renames, SUMS files and their signatures |
//! | mirrors | [`mirror`]: trees of files, and the index that remembers their sums |
//! | the search | [`matcher`]: where in an image the parts are |
//! | sums of files | [`summing`]: many of them at once, in several threads |
//! | bytes | [`file`](mod@file): maps and stamps; [`digest`]: sums of bytes in memory, in lanes |
//! | formats | the crate [`jigdo`]: templates and jigdo files |
//! | beside all layers | [`progress`]: what they report while they work; [`json`]: how reports hold paths and foreign texts; [`panics`]: faults of this program |
//!
//! The data go one way:
//!
//! ```text
//! release.yaml ──manifest──▶ Release          every path expanded, every mistake reported with its line
//! mirror trees ──mirror────▶ Catalogue        paths, lengths, heads, and sums as they become known
//! image ───────file────────▶ windows          of a memory map
//! windows, Catalogue ──matcher──▶ Layout      the image as a sequence of areas: unmatched data, or a part
//! Layout, image ──make─────▶ a set            a proven template and a jigdo file
//! sets ────────output──────▶ a tree           staged, synced and renamed, all or nothing
//! jigdo file ──set─────────▶ Set              what was published, by this program or another
//! Set, parts ──assemble────▶ image            complete again, and verified
//! Set, mirrors ──verify, servers, snapshot──▶ what is wrong, other servers, a tree of the parts alone
//! ```
//!
//! The feature `cli` is the command line, and with it the program. The feature `web` is the HTTP client; without it,
//! nothing is fetched from the web. Both are on by default.

/// The program and its version, as jigdo files, templates and HTTP requests name it.
pub const GENERATOR: &str = concat!("jigpress/", env!("CARGO_PKG_VERSION"));

// The examples name this crate as others do.
#[cfg(test)]
extern crate self as jigpress;

pub mod assemble;
#[cfg(feature = "cli")]
pub mod cli;
pub mod digest;
pub mod file;
pub mod json;
pub mod make;
pub mod manifest;
pub mod matcher;
pub mod mirror;
mod natural;
pub mod output;
pub mod panics;
pub mod progress;
pub mod publish;
pub mod servers;
pub mod set;
pub mod snapshot;
pub mod summing;
mod threads;
pub mod verify;
pub mod web;
