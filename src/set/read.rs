//! Jigdo files with those that they include. What is included from other machines is left out.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};

use jigdo::jigdo_file::Jigdo;

use super::{Error, locate};

/// The most jigdo files that one may lead to.
const MOST: usize = 100;

/// Reads a jigdo file and what it includes. Gives also the URLs of what could not be included.
pub(super) fn read(path: &Path) -> Result<(Jigdo, Vec<String>), Error> {
    let mut jigdo = read_one(path)?;
    let mut elsewhere = Vec::new();
    // Each with the jigdo files that led to it.
    let next = |chain: &[PathBuf], jigdo: &Jigdo| -> Vec<(Vec<PathBuf>, String)> {
        jigdo.includes.iter().map(|url| (chain.to_vec(), url.clone())).collect()
    };
    let mut waiting = VecDeque::from(next(&[identity(path)], &jigdo));
    let mut included = 0;
    while let Some((mut chain, url)) = waiting.pop_front() {
        let from = chain.last().expect("a chain begins with the first jigdo file");
        let Some(path) = locate::local(from, &url).as_deref().map(identity) else {
            elsewhere.push(url);
            continue;
        };
        if chain.contains(&path) {
            return Err(Error::IncludesItself { path });
        }
        included += 1;
        if included > MOST {
            return Err(Error::IncludesTooMany { path, limit: MOST });
        }
        let other = read_one(&path)?;
        chain.push(path);
        waiting.extend(next(&chain, &other));
        jigdo.parts.extend(other.parts);
        jigdo.servers.extend(other.servers);
        jigdo.image = jigdo.image.or(other.image);
    }
    Ok((jigdo, elsewhere))
}

/// The path by which a file is known, whichever way led to it.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn read_one(path: &Path) -> Result<Jigdo, Error> {
    let file = File::open(path).map_err(|error| Error::Io { path: path.to_owned(), error })?;
    Jigdo::read(file).map_err(|error| Error::Jigdo { path: path.to_owned(), error })
}
