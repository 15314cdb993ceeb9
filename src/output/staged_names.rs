//! Which files of a staging directory are this program's: a list in the directory names each of them before it is created.
//! So the next run knows what a killed one left, and nobody else's files are removed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use parking_lot::Mutex;
use rustix::fs::{AtFlags, Mode, OFlags, open, openat, statat, unlinkat};

/// The list's name in the staging directory: one name per line.
const LIST: &str = "staged";

/// What a snapshot that was killed while it wrote its record leaves.
const UNFINISHED_RECORD: &str = "snapshot.new";

/// The longest list that is believed, in bytes.
const LONGEST: u64 = 256 << 20;

/// The list of a staging directory.
#[derive(Default)]
pub struct StagedNames(Mutex<Option<File>>);

impl StagedNames {
    /// Notes that a file of this name is about to be staged in this directory.
    ///
    /// # Errors
    /// When the list cannot be written, or something else has its name.
    pub fn note(&self, staging: &Path, name: &str) -> io::Result<()> {
        let mut list = self.0.lock();
        let mut file = match list.take() {
            Some(file) => file,
            None => open_list(&directory(staging)?, OFlags::APPEND | OFlags::CREATE | OFlags::RDWR)?,
        };
        file.write_all(format!("{name}\n").as_bytes())?;
        *list = Some(file);
        Ok(())
    }

    /// Removes the files that the list names, and then the list. Files that others put there stay, and so do directories.
    ///
    /// # Errors
    /// When something cannot be removed. It does no harm; the next run tries again.
    pub fn remove_files(&self, staging: &Path) -> io::Result<()> {
        let mut list = self.0.lock();
        // Whatever takes the directory's place meanwhile, files are removed in this one only.
        let directory = directory(staging)?;
        *list = None;
        for name in read(&directory)?.iter().map(String::as_str).chain([UNFINISHED_RECORD, LIST]) {
            match unlinkat(&directory, name, AtFlags::empty()) {
                Ok(()) | Err(rustix::io::Errno::NOENT | rustix::io::Errno::ISDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Removes the list, and then the directory, if none of the files that the list names is left: a run was killed while it
/// cleaned up.
pub fn remove_if_done(staging: &Path) -> io::Result<()> {
    let directory = directory(staging)?;
    let is_there = |name: &String| statat(&directory, name.as_str(), AtFlags::SYMLINK_NOFOLLOW).is_ok();
    if read(&directory)?.iter().any(is_there) {
        return Ok(());
    }
    match unlinkat(&directory, LIST, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => std::fs::remove_dir(staging),
        Err(error) => Err(error.into()),
    }
}

/// The staging directory itself. A link to one is an error.
fn directory(staging: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(open(staging, flags, Mode::empty())?.into())
}

/// Opens the list. Nothing else is read or written through its name.
fn open_list(directory: &File, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(directory, LIST, flags, Mode::from_raw_mode(0o644))?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("{LIST} there is not the list of staged files")))
        }
    }
}

/// The names in the list, as far as they are names of files in the directory itself, and whole.
fn read(directory: &File) -> io::Result<BTreeSet<String>> {
    let file = match open_list(directory, OFlags::RDONLY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    let lines = bytes.split_inclusive(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    let names = lines.filter_map(|line| String::from_utf8(line.to_vec()).ok());
    Ok(names.filter(|name| !name.contains(['/', '\0']) && !matches!(name.as_str(), "" | "." | "..")).collect())
}
