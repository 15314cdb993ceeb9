//! Finds the sets below a directory and where their images go.

use std::path::Path;

use rayon::prelude::*;

use super::Job;
use crate::manifest::Filter;
use crate::set::{self, Fetch, FindError, Set};

/// The sets below a directory.
#[derive(Debug, Default)]
pub struct FoundJobs {
    /// In the order of their paths.
    pub jobs: Vec<Job>,
    /// Errors for directories and jigdo files that cannot be read.
    pub unreadable: Vec<String>,
}

/// Finds every jigdo file below `directory`, as [`set::find_in`] does. The image of `some/where/x.jigdo` goes to
/// `some/where` below `into`. The filter is applied to the image's path below `into`, such as `some/where/x.iso`. With
/// `templates`, a template may also be in `some/where` below that directory. `fetch` fetches jigdo files that are
/// included from the web.
///
/// # Errors
/// `directory` itself cannot be read.
pub fn find(
    directory: &Path,
    templates: Option<&Path>,
    into: &Path,
    filter: &Filter,
    fetch: &dyn Fetch,
) -> Result<FoundJobs, FindError> {
    let set::Tree { files, unreadable } = set::find_in(directory)?;
    let mut found = FoundJobs { jobs: Vec::new(), unreadable: unreadable.iter().map(ToString::to_string).collect() };
    let names: Vec<_> = files.par_iter().map(|file| Set::names(&file.path, fetch)).collect();
    for (file, name) in files.into_iter().zip(names) {
        let below = file.path.strip_prefix(directory).unwrap_or(&file.path);
        let beside = below.parent().unwrap_or(Path::new(""));
        match name {
            Ok(Some(name)) if filter.matches(&beside.join(&name.image).to_string_lossy()) => {
                let template = templates.map(|templates| templates.join(beside).join(&name.template));
                let template = template.filter(|template| template.is_file());
                found.jobs.push(Job { template, directory: into.join(beside), set: file.path });
            }
            // The filter refuses it, or it has no image and is only there to be included.
            Ok(_) => {}
            Err(error) => found.unreadable.push(error.to_string()),
        }
    }
    Ok(found)
}
