//! Finding the sets below a directory, and where their images go.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::Job;
use crate::manifest::Filter;
use crate::set::Set;

/// The sets below a directory.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order of their paths.
    pub jobs: Vec<Job>,
    /// Directories and jigdo files that cannot be read, and why.
    pub unreadable: Vec<String>,
}

/// Finds every jigdo file below `directory`. The image of `some/where/x.jigdo` goes to `some/where` below `into`; those
/// are left out whose paths below `into` the filter does not take, such as `some/where/x.iso`. With `templates`, templates
/// may also be in `some/where` below that.
///
/// # Errors
/// `directory` itself cannot be read.
pub fn find(directory: &Path, templates: Option<&Path>, into: &Path, filter: &Filter) -> io::Result<Found> {
    let mut found = Found::default();
    let mut paths = Vec::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(below) = waiting.pop() {
        let path = directory.join(&below);
        let entries = match fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Err(error) if below.as_os_str().is_empty() => return Err(error),
            Err(error) => {
                found.unreadable.push(format!("{}: {error}", path.display()));
                continue;
            }
            Ok(entries) => entries,
        };
        for entry in entries {
            let below = below.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => waiting.push(below),
                // A link to a directory may lead back to where it is.
                _ if entry.path().is_file() && below.extension().is_some_and(|extension| extension == "jigdo") => {
                    paths.push(below);
                }
                _ => {}
            }
        }
    }
    paths.sort();
    let names: Vec<_> = paths.par_iter().map(|below| Set::names(&directory.join(below))).collect();
    for (below, name) in paths.iter().zip(names) {
        let (set, beside) = (directory.join(below), below.parent().unwrap_or(Path::new("")));
        match name {
            Ok(Some(name)) if filter.matches(&beside.join(&name.image).to_string_lossy()) => {
                let template = templates.map(|templates| templates.join(beside).join(&name.template));
                let template = template.filter(|template| template.is_file());
                found.jobs.push(Job { set, template, directory: into.join(beside) });
            }
            // It is not wanted, or only there to be included.
            Ok(_) => {}
            Err(error) => found.unreadable.push(error.to_string()),
        }
    }
    Ok(found)
}
