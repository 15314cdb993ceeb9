//! Temporary names for files that get their own names when they are complete.
//!
//! Anybody who may write to a directory can put a link under such a name. Nothing is ever written through it: what has the
//! name is removed, and the file is created anew.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use jigdo::{Algorithm, hex};

use crate::digest::Hasher;

/// The longest name that a file of Linux may have, in bytes. Some file systems allow less.
const LONGEST: usize = 255;

/// How often a name is freed until somebody else is to blame.
const MOST_TRIES: usize = 100;

/// The name beside `path` under which a file is written: its own, with text before and after it. If that is too long for
/// its directory, a sum of the name replaces what does not fit, so that it is still always the same.
pub fn staging_path(path: &Path, before: &str, after: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let longest = rustix::fs::statvfs(directory).map_or(LONGEST, |found| found.f_namemax as usize);
    let room = longest.min(LONGEST).saturating_sub(before.len() + after.len());
    let fitting = if name.len() <= room {
        name.to_owned()
    } else {
        let sum = hex(&Hasher::sum(Algorithm::Md5, name));
        let kept = &name[..room.saturating_sub(sum.len()).min(name.len())];
        // No character is cut in two: some file systems only take UTF-8.
        let kept = kept
            .utf8_chunks()
            .next()
            .map_or(kept, |chunk| if std::str::from_utf8(name).is_ok() { chunk.valid().as_bytes() } else { kept });
        [kept, sum.as_bytes()].concat()
    };
    path.with_file_name(OsString::from_vec([before.as_bytes(), &fitting, after.as_bytes()].concat()))
}

/// Creates an empty file at `path`, to be read and written. A file or link that has the name is removed, never written.
///
/// # Errors
/// It cannot be created, or a directory has the name.
pub fn create_anew(path: &Path) -> io::Result<File> {
    for _ in 0..MOST_TRIES {
        match File::options().read(true).write(true).create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => remove(path)?,
            result => return result,
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "something else creates a file of this name again and again"))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Whether a name is too long for a file.
pub fn is_too_long(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidFilename
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_longest_name_has_a_staging_name_of_its_own() {
        let place = tempfile::tempdir().unwrap();
        let staged = |name: &str| {
            let path = staging_path(&place.path().join(name), ".", ".jigpress");
            create_anew(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(staged("disc.iso"), ".disc.iso.jigpress");
        assert_eq!(staged(&"x".repeat(245)), format!(".{}.jigpress", "x".repeat(245)));
        let (one, two) = (staged(&format!("{}1", "x".repeat(254))), staged(&format!("{}2", "x".repeat(254))));
        assert!(one != two && one.len() == 255 && one.starts_with(".xxx") && one.ends_with(".jigpress"), "{one}");
        assert_eq!(one, staged(&format!("{}1", "x".repeat(254))));
        // Whole characters only.
        staged(&"ä".repeat(127));
    }

    #[test]
    fn nothing_is_written_through_what_has_the_name() {
        let place = tempfile::tempdir().unwrap();
        let (victim, name) = (place.path().join("victim"), place.path().join("name"));
        fs::write(&victim, "precious").unwrap();
        for plant in [|from: &Path, to: &Path| symlink(from, to), |from: &Path, to: &Path| fs::hard_link(from, to)] {
            plant(&victim, &name).unwrap();
            io::Write::write_all(&mut create_anew(&name).unwrap(), b"mine").unwrap();
            assert_eq!(fs::read(&victim).unwrap(), b"precious");
            assert_eq!(fs::read(&name).unwrap(), b"mine");
            fs::remove_file(&name).unwrap();
        }
        fs::create_dir(&name).unwrap();
        assert!(create_anew(&name).is_err());
    }
}
