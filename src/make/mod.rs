//! Turns one image into one proven template and, for a release, a jigdo file.
//!
//! `publish` uses [`SetBuilder`], `jigdo-file make-template` [`TemplateBuilder`]. Both run a
//! pass over the image, and prove what they wrote.

mod area_writer;
mod image_pass;
mod known_image;
mod proof;
mod report;
mod selection;
mod set_builder;
mod some_unmatched;
mod streams;
mod template_builder;

pub use image_pass::SPARSE_WINDOW;
pub use known_image::{ImageFacts, KnownImage};
pub use report::{SetReport, Stage, Stages};
pub use selection::Selection;
pub use set_builder::{MirrorTree, SetBuilder, StagedFile, StagedSet};
pub use template_builder::{BuiltTemplate, Part, TemplateBuilder};

use jigdo::escaped_path;
use std::io;
use std::path::PathBuf;

use jigdo::jigdo_file;
use jigdo::template::Workers;
use rayon::prelude::*;

use crate::mirror::FileError;
use crate::output;

/// Why a set could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum Error {
    #[error(transparent)]
    Output(#[from] output::Error),
    #[error("{path}: {source}; make sure that it is complete and readable and that nothing writes to it, then run again", path = escaped_path(.path))]
    Image { path: PathBuf, source: io::Error },
    #[error("{path} changed during this run; run again when nothing is updating the mirror", path = escaped_path(.path))]
    PartChanged { path: PathBuf },
    #[error("{image}: {part}{others}, but it may be a part of the image; make it readable, or leave it out with `exclude`",
        image = escaped_path(.image), others = and_others(*.others))]
    PartUnreadable { image: PathBuf, part: FileError, others: usize },
    #[error("{path}: {source}; change the manifest, or leave the file out with `exclude`", path = escaped_path(.path))]
    Jigdo { path: PathBuf, source: jigdo_file::WriteError },
    #[error(
        "{path}: when read back, the set does not match the image: {reason}; \
         check this machine's disk and memory, and report a bug if they are sound",
        path = escaped_path(.path)
    )]
    Proof { path: PathBuf, reason: String },
}

impl Error {
    /// Whether the output directory is at fault.
    pub fn is_output_error(&self) -> bool {
        matches!(self, Self::Output(_))
    }
}

fn and_others(count: usize) -> String {
    if count == 0 { String::new() } else { format!(" (and {count} more)") }
}

/// The file name of a set's template.
pub fn template_name(name: &str) -> String {
    format!("{name}.template")
}

/// The file name of a set's jigdo file.
pub fn jigdo_name(name: &str) -> String {
    format!("{name}.jigdo")
}

/// Compresses the pieces of a template in the current thread pool.
struct PoolWorkers;

impl Workers for PoolWorkers {
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..count).into_par_iter().for_each(work);
    }
}
