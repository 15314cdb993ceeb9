//! The permissions and owners of published files: those of the file that is replaced, else readable for everyone, whatever
//! the umask is.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::Path;

/// The permissions of a new file that others are to read.
pub const PUBLIC: u32 = 0o644;

/// The permission bits. The others (set-user-ID and so on) are never kept.
const BITS: u32 = 0o777;

/// Gives a new file the owner and group of the one at `path`, which it will replace, and its permissions; if there is none,
/// those for everyone to read. Not all file systems and users can do that. With `mode`, the file gets these permissions.
///
/// # Errors
/// When it cannot get the permissions in `mode`.
pub fn settle(file: &File, path: &Path, mode: Option<u32>) -> io::Result<()> {
    let replaced = fs::metadata(path).ok().filter(Metadata::is_file);
    if let Some(replaced) = &replaced {
        let _ = keep_owner(file, replaced);
    }
    match mode {
        Some(mode) => set(file, mode),
        None => {
            let _ = set(file, replaced.map_or(PUBLIC, |replaced| replaced.mode() & BITS));
            Ok(())
        }
    }
}

/// Gives a new file the owner, group and permissions of the one at `path`, if there is one and that is possible. Other files
/// stay as they are.
pub fn keep(file: &File, path: &Path) {
    if let Some(replaced) = fs::metadata(path).ok().filter(Metadata::is_file) {
        let _ = keep_owner(file, &replaced);
        let _ = set(file, replaced.mode() & BITS);
    }
}

/// Gives a published file the permissions of another one that has the same bytes, if that is possible.
pub fn copy(from: &Path, to: &Path) {
    if let Ok(found) = fs::metadata(from) {
        let _ = change(to, found.mode() & BITS);
    }
}

/// Gives a published file these permissions.
///
/// # Errors
/// When they cannot be set.
pub fn change(path: &Path, mode: u32) -> io::Result<()> {
    let now = fs::metadata(path)?.mode() & BITS;
    if now == mode { Ok(()) } else { fs::set_permissions(path, Permissions::from_mode(mode)) }
}

fn set(file: &File, mode: u32) -> io::Result<()> {
    if file.metadata()?.mode() & BITS == mode { Ok(()) } else { file.set_permissions(Permissions::from_mode(mode)) }
}

/// Only root may give a file to another owner. Others may choose among their own groups.
fn keep_owner(file: &File, replaced: &Metadata) -> io::Result<()> {
    let made = file.metadata()?;
    let (owner, group) = (replaced.uid(), replaced.gid());
    if (made.uid(), made.gid()) != (owner, group) && fchown(file, Some(owner), Some(group)).is_err() {
        let _ = fchown(file, None, Some(group));
    }
    Ok(())
}
