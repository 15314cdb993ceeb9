//! Refuses directories that a snapshot would share with a mirror or with published sets: a snapshot links files into its
//! directory, and removes files from it.
//!
//! Directories are compared as the system knows them, by device and inode. Below that, mounts are compared by the place
//! in their file system, because a bind mount of a mirror's subdirectory has no directory in common with the mirror.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Error;
use crate::set::JigdoFile;

/// Refuses the directories `into` if one of them is a mirror, is inside one or contains one, or contains a set.
///
/// # Errors
///
/// Which of them shares what.
pub fn check(into: &[PathBuf], mirrors: &[(String, PathBuf)], sets: &[JigdoFile]) -> Result<(), Error> {
    let mounts = Mounts::read();
    let mirrors: Vec<_> = mirrors.iter().map(|(label, path)| (label, path, Place::of(path, &mounts))).collect();
    let set_directories: BTreeSet<&Path> = sets.iter().filter_map(|file| file.real.parent()).collect();
    for directory in into {
        let place = Place::of(directory, &mounts);
        for (label, path, mirror) in &mirrors {
            let how = match (place.is_in(mirror), mirror.is_in(&place)) {
                (true, true) => "is",
                (true, false) => "is inside",
                (false, true) => "contains",
                (false, false) if place.has_mount_of(mirror, &mounts) => "has, mounted below it, a part of",
                (false, false) => continue,
            };
            let (directory, path, label) = (directory.clone(), (*path).clone(), (*label).clone());
            return Err(Error::SharesMirror { directory, how, label, path });
        }
        if let Some(shared) = set_directories.iter().find(|sets| Place::of(sets, &mounts).is_in(&place)) {
            return Err(Error::SharesSets { directory: directory.clone(), path: shared.to_path_buf() });
        }
    }
    Ok(())
}

/// Whether a directory is one of these mirrors, or inside one.
pub fn is_in_mirror(directory: &Path, mirrors: &[PathBuf]) -> bool {
    let mounts = Mounts::default();
    let place = Place::of(directory, &mounts);
    mirrors.iter().any(|mirror| place.is_in(&Place::of(mirror, &mounts)))
}

/// A directory, which need not exist.
struct Place {
    /// Without symbolic links.
    path: PathBuf,
    /// Its device and inode, if it exists.
    id: Option<(u64, u64)>,
    /// Those of all directories from it upwards that exist.
    above: Vec<(u64, u64)>,
    /// Its file system, and its path there.
    location: Option<(String, PathBuf)>,
}

impl Place {
    fn of(path: &Path, mounts: &Mounts) -> Self {
        let path = real(path);
        let id = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        Self { id: id(&path), above: path.ancestors().filter_map(id).collect(), location: mounts.location(&path), path }
    }

    /// Whether it is this directory or inside it.
    fn is_in(&self, other: &Self) -> bool {
        let is_located_in = match (&self.location, &other.location) {
            (Some((device, path)), Some((other_device, other))) => device == other_device && path.starts_with(other),
            _ => false,
        };
        self.path.starts_with(&other.path) || other.id.is_some_and(|id| self.above.contains(&id)) || is_located_in
    }

    /// Whether something is mounted below it that is, contains, or is a part of this mirror.
    fn has_mount_of(&self, mirror: &Self, mounts: &Mounts) -> bool {
        let Some((device, path)) = &mirror.location else { return false };
        let below = mounts.0.iter().filter(|mount| mount.point != self.path && mount.point.starts_with(&self.path));
        below
            .filter(|mount| mount.device == *device)
            .any(|mount| path.starts_with(&mount.root) || mount.root.starts_with(path))
    }
}

/// The path without symbolic links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for existing in absolute.ancestors() {
        if let (Ok(real), Ok(rest)) = (fs::canonicalize(existing), absolute.strip_prefix(existing)) {
            return real.join(rest);
        }
    }
    absolute
}

/// The mounted file systems.
#[derive(Default)]
struct Mounts(Vec<Mount>);

struct Mount {
    /// Numbers of the device, as text.
    device: String,
    /// The directory of the file system that is mounted.
    root: PathBuf,
    /// Where it is mounted.
    point: PathBuf,
}

impl Mounts {
    /// Those that the system lists; none where it lists none.
    fn read() -> Self {
        let text = fs::read("/proc/self/mountinfo").unwrap_or_default();
        let mount = |line: &[u8]| {
            let mut fields = line.split(|&byte| byte == b' ').skip(2);
            let device = String::from_utf8(fields.next()?.to_vec()).ok()?;
            Some(Mount { device, root: unescaped(fields.next()?), point: unescaped(fields.next()?) })
        };
        Self(text.split(|&byte| byte == b'\n').filter_map(mount).collect())
    }

    /// The file system of a path, and the path there.
    fn location(&self, path: &Path) -> Option<(String, PathBuf)> {
        let covering = self.0.iter().filter(|mount| path.starts_with(&mount.point));
        // Of several at one place, the last covers the others.
        let mount = covering.max_by_key(|mount| mount.point.components().count())?;
        Some((mount.device.clone(), mount.root.join(path.strip_prefix(&mount.point).ok()?)))
    }
}

/// A path of the list, in which spaces and some other characters are three octal digits after a backslash.
fn unescaped(field: &[u8]) -> PathBuf {
    let (mut bytes, mut at) = (Vec::with_capacity(field.len()), 0);
    while at < field.len() {
        let digits = field.get(at + 1..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if field[at] == b'\\' => {
                bytes.push(byte);
                at += 4;
            }
            _ => {
                bytes.push(field[at]);
                at += 1;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn directories_are_compared_as_the_system_knows_them() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        fs::create_dir_all(at("mirror/pool")).unwrap();
        fs::create_dir_all(at("sets/amd64")).unwrap();
        fs::create_dir(at("other")).unwrap();
        symlink("mirror", at("link")).unwrap();
        symlink("../mirror/pool", at("other/pool")).unwrap();
        let mirrors = [("A".to_owned(), at("other")), ("B".to_owned(), at("mirror"))];
        let set = JigdoFile { path: "x".into(), real: fs::canonicalize(at("sets/amd64")).unwrap().join("x.jigdo") };
        let refused =
            |into: &str| check(&[at(into)], &mirrors, std::slice::from_ref(&set)).map_err(|error| error.to_string());
        for (into, how) in [
            ("mirror", "is the mirror"),
            ("mirror/.", "is the mirror"),
            ("link", "is the mirror"),
            ("other/../link/../mirror", "is the mirror"),
            ("mirror/new/deep", "is inside the mirror"),
            ("link/pool", "is inside the mirror"),
            ("other/pool/new", "is inside the mirror"),
            ("", "contains the mirror"),
            ("sets", "has published sets"),
            ("sets/amd64", "has published sets"),
        ] {
            let said = refused(into).unwrap_err();
            assert!(said.contains(how), "{into}: {said}");
        }
        for into in ["snap", "mirror2", "sets/snap", "sets/amd64/snap"] {
            refused(into).unwrap();
        }
    }

    #[test]
    fn mounts_are_known_by_their_place_in_the_file_system() {
        let mount = |device: &str, root: &str, point: &str| Mount {
            device: device.to_owned(),
            root: root.into(),
            point: point.into(),
        };
        let mounts = Mounts(vec![
            mount("8:1", "/", "/"),
            mount("8:1", "/srv/mirror/pool", "/mnt/bound pool"),
            mount("8:2", "/srv", "/srv/other"),
        ]);
        let place = |path: &str| Place {
            path: path.into(),
            id: None,
            above: Vec::new(),
            location: mounts.location(Path::new(path)),
        };
        let mirror = place("/srv/mirror");
        assert!(place("/mnt/bound pool/x").is_in(&mirror) && !mirror.is_in(&place("/mnt/bound pool")));
        assert!(!place("/srv/other/mirror").is_in(&mirror));
        assert!(place("/mnt").has_mount_of(&mirror, &mounts) && !place("/srv/other").has_mount_of(&mirror, &mounts));
        assert_eq!(unescaped(br"/a\040b\134"), Path::new(r"/a b\"));
    }
}
