//! Finds sets that would overwrite each other, an image, or each other's lines in SUMS files.

use jigdo::escaped_path;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::problem::{Errors, Problem};
use super::{Image, Release};

/// Checks that no two images of these releases would write the same set or have the same name in a SUMS file, and that no
/// set would overwrite an image.
///
/// # Errors
/// Every image that collides with an earlier one, with the place of both.
pub fn check_collisions(releases: &[Release]) -> Result<(), Errors> {
    let all = || releases.iter().flat_map(|release| release.images.iter().map(move |image| (release, image)));
    let images: HashMap<PathBuf, &Path> =
        all().map(|(_, image)| (identity(&image.path), image.path.as_path())).collect();
    let mut first: HashMap<PathBuf, (&Release, &Image)> = HashMap::new();
    let mut listed: HashMap<PathBuf, (PathBuf, &Release, &Image)> = HashMap::new();
    let mut problems = Vec::new();
    let mut report = |release: &Release, image: &Image, message: String| {
        problems.push(Problem { file: release.manifest.clone(), place: Some(image.place), message });
    };
    for (release, image) in all() {
        let set = identity(&image.output.join(format!("{}.jigdo", image.name)));
        let template = identity(&image.output.join(format!("{}.template", image.name)));
        if let Some(path) = [&set, &template].into_iter().find_map(|file| images.get(file)) {
            report(
                release,
                image,
                format!("the set of {} would overwrite the image {}", escaped_path(&image.path), escaped_path(&path)),
            );
            continue;
        }
        match first.get(&set) {
            Some((other_release, other)) => {
                report(release, image, both_write(image, other_release, other));
            }
            None => {
                first.insert(set.clone(), (release, image));
            }
        }
        if image.settings.sums.is_empty() {
            continue;
        }
        // The image need not be in the output directory, but the SUMS files there list it. Sets of the same image share
        // its line.
        let file = identity(&image.path);
        let lines = [(&set, &set), (&template, &set), (&identity(&image.output.join(&image.filename)), &file)];
        for (name, owner) in lines {
            let (other_owner, other_release, other) =
                listed.entry(name.clone()).or_insert_with(|| (owner.clone(), release, image));
            if other_owner != owner {
                report(release, image, both_listed(image, other_release, other));
                break;
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Errors(problems)) }
}

/// The message that `image` would write the same set as `other`.
fn both_write(image: &Image, other_release: &Release, other: &Image) -> String {
    let path = escaped_path(&image.path);
    let set = image.output.join(format!("{}.jigdo", image.name));
    let set = escaped_path(&set);
    let other_place = format!("{}:{}", escaped_path(&other_release.manifest), other.place.line);
    if image.path == other.path {
        return format!(
            "{path} would be written to {set} twice (also by {other_place}); give each set a name or an output \
             directory of its own"
        );
    }
    format!(
        "{path} and {} ({other_place}) would both write {set}; give their sets different names, such \
         as \"{{file}}\" where only the extensions differ",
        escaped_path(&other.path)
    )
}

/// The message that `image` and `other` would have the same name in the SUMS files of their directory.
fn both_listed(image: &Image, other_release: &Release, other: &Image) -> String {
    format!(
        "{} and {} ({}:{}) would have the same name in the SUMS files of {}; give each a \"filename\" of its own",
        escaped_path(&image.path),
        escaped_path(&other.path),
        escaped_path(&other_release.manifest),
        other.place.line,
        escaped_path(&image.output)
    )
}

/// A canonical path: absolute, with symbolic links and `..` resolved in the part that exists.
fn identity(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut existing = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    loop {
        if let Ok(resolved) = existing.canonicalize() {
            return normalised(&resolved, missing.iter().rev());
        }
        let Some(last) = existing.components().next_back().map(|component| component.as_os_str().to_owned()) else {
            return path.to_owned();
        };
        missing.push(PathBuf::from(last));
        if !existing.pop() {
            return path.to_owned();
        }
    }
}

/// `base` joined with `rest`. Nothing of `rest` exists, so no symbolic link can change what `..` means.
fn normalised<'a>(base: &Path, rest: impl Iterator<Item = &'a PathBuf>) -> PathBuf {
    let mut path = base.to_owned();
    for component in rest.flat_map(|part| part.components()) {
        match component {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    path
}
