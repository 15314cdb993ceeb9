//! The published sets of manifests, with the servers that they should have.

use std::path::PathBuf;

use jigdo::bstr::BString;
use jigdo::jigdo_file::Server;

use super::change::{Change, Mode};
use crate::manifest::{self, Release};
use crate::set::{FindError, JigdoFile, find};

/// A published jigdo file, with the change that the manifest asks for.
pub struct Published {
    /// The jigdo file.
    pub file: JigdoFile,
    /// What changes in it.
    pub change: Change,
}

/// The servers of a mirror, with its label.
pub fn servers_of(mirror: &manifest::Mirror) -> impl Iterator<Item = (BString, Server)> {
    let server = |server: &manifest::Server| Server { url: server.url.as_str().into(), try_last: server.try_last };
    mirror.servers.iter().map(move |listed| (mirror.label.as_str().into(), server(listed)))
}

/// The published sets of all images of these releases, and the paths of the jigdo files that are not published yet.
///
/// # Errors
///
/// A jigdo file that exists but cannot be examined.
pub fn published(releases: &[Release]) -> Result<(Vec<Published>, Vec<PathBuf>), FindError> {
    let (mut sets, mut missing) = (Vec::new(), Vec::new());
    let all = releases.iter().flat_map(|release| release.images.iter().map(move |image| (release, image)));
    for (release, image) in all {
        let path = image.output.join(format!("{}.jigdo", image.name));
        if !path.exists() {
            missing.push(path);
            continue;
        }
        let servers = image.mirrors.iter().flat_map(|&mirror| servers_of(&release.mirrors[mirror])).collect();
        let change = Change {
            mode: Mode::Replace,
            servers,
            includes: image.include_jigdo.iter().map(|url| url.as_str().into()).collect(),
            // As in publishing, a mirror may have no servers.
            allow_unserved: true,
            is_all: true,
            permissions: image.settings.mode,
            ..Change::default()
        };
        sets.extend(find(&[path])?.files.pop().map(|file| Published { file, change }));
    }
    Ok((sets, missing))
}
