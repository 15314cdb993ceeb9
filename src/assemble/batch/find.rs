//! Finds the sets below a directory and where their images go.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{Job, Wanted};
use crate::manifest::Filter;
use crate::natural;
use crate::set::{self, Fetch, FindError, Images, Listed, Names};

/// The sets below a directory.
#[derive(Debug, Default)]
pub struct FoundJobs {
    /// In the order of their paths.
    pub jobs: Vec<Job>,
    /// Errors for directories that cannot be read, and for files that may be jigdo files.
    pub unreadable: Vec<String>,
    /// Texts on files that have the name of a jigdo file, but are none.
    pub left_out: Vec<String>,
    /// How many images the filter left out.
    pub filtered_out: usize,
}

/// Finds every jigdo file below `directory`, as [`set::find_in`] does. The images of `some/where/x.jigdo` go to
/// `some/where` below `into`. The filter is applied to the image's path below `into`, such as `some/where/x.iso`. With
/// `templates`, a template may also be in `some/where` below that directory. `fetch` fetches jigdo files that are
/// included from the web.
///
/// # Errors
/// `directory` itself cannot be read, or no jigdo file there describes an image.
pub fn find(
    directory: &Path,
    templates: Option<&Path>,
    into: &Path,
    filter: &Filter,
    fetch: &dyn Fetch,
) -> Result<FoundJobs, FindError> {
    let set::Tree { files, unreadable, mut left_out } = set::find_in(directory)?;
    if files.is_empty() && unreadable.is_empty() {
        return Err(FindError::Nothing { path: directory.to_owned() });
    }
    let listed: Vec<_> = files.par_iter().map(|file| Images::list(&file.path, fetch)).collect();
    let lost = set::not_included(&files, &listed).into_iter();
    left_out.extend(lost.map(|path| FindError::NoImage { path: path.to_owned() }));
    // A jigdo file that cannot be read has its report, as if it had been named.
    let (unread, unreadable): (Vec<_>, Vec<_>) = unreadable.into_iter().partition(|error| {
        let path = error.path();
        path.extension().is_some_and(|extension| extension == "jigdo") && path.is_file()
    });
    let texts = |errors: Vec<FindError>| errors.iter().map(ToString::to_string).collect();
    let mut found = FoundJobs { unreadable: texts(unreadable), left_out: texts(left_out), ..FoundJobs::default() };
    let unread = unread.iter().map(|error| (error.path().to_owned(), None));
    let listed = files.into_iter().zip(listed).map(|(file, listed)| (file.path, listed.ok()));
    let mut sets: Vec<(PathBuf, Option<Listed>)> = unread.chain(listed).collect();
    sets.sort_by(|(one, _), (other, _)| natural::compare(one, other));
    for (path, listed) in sets {
        let below = path.strip_prefix(directory).unwrap_or(&path);
        let beside = below.parent().unwrap_or(Path::new(""));
        let job = |set: &Path, images| Job {
            set: set.to_owned(),
            images,
            template: None,
            templates: templates.map(|templates| templates.join(beside)),
            directory: into.join(beside),
        };
        let mut wanted = Vec::new();
        let is_wanted = |name: &Names| filter.matches(beside.join(&name.image).as_os_str().as_encoded_bytes());
        let Some(listed) = listed else {
            found.jobs.push(job(&path, Wanted::All));
            continue;
        };
        for (number, name) in listed.names.iter().enumerate() {
            match name {
                Ok(name) if !is_wanted(name) => found.filtered_out += 1,
                // Why an image cannot be made is in its report.
                Ok(_) | Err(_) => wanted.push(number),
            }
        }
        // A jigdo file without images is only there to be included.
        if !wanted.is_empty() {
            found.jobs.push(job(&path, Wanted::Numbers(wanted)));
        }
    }
    if found.jobs.is_empty() && found.filtered_out == 0 && found.unreadable.is_empty() {
        return Err(FindError::NoImages { path: directory.to_owned() });
    }
    Ok(found)
}
