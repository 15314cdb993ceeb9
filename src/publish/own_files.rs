//! The files that a run may replace or remove: they are no parts, even if an output directory lies in a mirror. A set that
//! names one of them would be wrong as soon as it is published.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use jigdo::Algorithm;

use crate::file::Stamp;
use crate::output::{STAGING, sums};

/// The files of sets, SUMS files, their signatures and staged files in these directories, by whatever name.
pub fn own_files(outputs: impl Iterator<Item = PathBuf>) -> HashSet<(u64, u64)> {
    let directories: HashSet<PathBuf> = outputs.collect();
    let mut found = HashSet::new();
    for directory in directories {
        add(&directory, is_own, &mut found);
        add(&directory.join(STAGING), |_| true, &mut found);
    }
    found
}

/// Adds the files of a directory whose names are wanted. A directory that is not there has none.
fn add(directory: &Path, is_wanted: fn(&str) -> bool, found: &mut HashSet<(u64, u64)>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_none_or(is_wanted)
            && let Ok(metadata) = fs::metadata(entry.path())
        {
            found.insert(Stamp::of(&metadata).file());
        }
    }
}

fn is_own(name: &str) -> bool {
    let is_sums = |algorithm: Algorithm| {
        name.strip_prefix(&sums::file_name(algorithm)).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let extension = Path::new(name).extension();
    extension.is_some_and(|extension| extension == "jigdo" || extension == "template")
        || Algorithm::ALL.into_iter().any(is_sums)
}
