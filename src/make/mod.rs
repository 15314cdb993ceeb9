//! One image becomes one proven template, and with what a release says of it a jigdo file.

mod area_writer;
mod image_pass;
mod known_image;
mod proof;
mod report;
mod selection;
mod set_builder;
mod streams;
mod template_builder;

pub use image_pass::SPARSE_WINDOW;
pub use known_image::{ImageFacts, KnownImage};
pub use report::{SetReport, Stage, Stages};
pub use selection::Selection;
pub use set_builder::{SetBuilder, StagedSet};
pub use template_builder::{BuiltTemplate, Part, TemplateBuilder};

use std::io;
use std::path::PathBuf;

use jigdo::jigdo_file;
use jigdo::template::Workers;
use rayon::prelude::*;

use crate::output;

/// Why a set was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Output(#[from] output::Error),
    #[error("{path}: {source}; see that it is complete, readable and at rest, and run again", path = .path.display())]
    Image { path: PathBuf, source: io::Error },
    #[error("{path} changed during this run; run again once the mirror is at rest", path = .path.display())]
    PartChanged { path: PathBuf },
    #[error("{path}: {source}; change the manifest, or leave the file out with `exclude`", path = .path.display())]
    Jigdo { path: PathBuf, source: jigdo_file::WriteError },
    #[error(
        "{path}: read back, the set is not what was found in the image: {reason}; \
         check the disk and the memory of this machine, and report this if they are sound",
        path = .path.display()
    )]
    Proof { path: PathBuf, reason: String },
}

impl Error {
    /// Whether the place to write to is at fault, not what is to be written.
    pub fn is_of_output(&self) -> bool {
        matches!(self, Self::Output(_))
    }
}

/// The file name of a set's template.
pub fn template_name(name: &str) -> String {
    format!("{name}.template")
}

/// The file name of a set's jigdo file.
pub fn jigdo_name(name: &str) -> String {
    format!("{name}.jigdo")
}

/// Compresses pieces of templates in the threads of the pool in which it is called.
struct PoolWorkers;

impl Workers for PoolWorkers {
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..count).into_par_iter().for_each(work);
    }
}
