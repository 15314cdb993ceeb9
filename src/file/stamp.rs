//! The stamp of a file: the metadata by which a later run tells whether the file is still the same.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::tick;

/// The metadata that distinguish one state of a file from another. Sorted by device and inode, files are usually read
/// fastest.
///
/// Size, mtime and inode are not enough: programs set mtimes back, images are padded to one size, and an inode is used
/// again. No program can set the ctime, which the kernel sets whenever content or metadata change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// The device that the file is on.
    pub device: u64,
    /// The file's number on its device.
    pub inode: u64,
    /// In bytes.
    pub size: u64,
    /// When the content was modified, or what a program set. In nanoseconds since 1970.
    pub mtime_ns: i64,
    /// When content, names or permissions last changed. In nanoseconds since 1970.
    pub ctime_ns: i64,
}

impl Stamp {
    /// The stamp in a file's metadata.
    pub fn of(metadata: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether both are the same but for the ctime, which also changes with permissions, owners and hard links. The content
    /// is the same only if it is read again and found to be so.
    pub fn is_same_but_ctime(&self, other: &Self) -> bool {
        Self { ctime_ns: other.ctime_ns, ..*self } == *other
    }

    /// The device and the inode, by which a file is known under whatever name.
    pub fn file(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Whether both are stamps of one file, by whatever name.
    pub fn is_of_same_file(&self, other: &Self) -> bool {
        self.file() == other.file()
    }

    /// Whether the file could have changed at `since_ns` or later without a change of its stamp. `since_ns` is a time
    /// before the stamp was taken.
    ///
    /// File systems round times to a tick: see `tick`. A file that is written twice within a tick has the same times for
    /// two contents. What is read from such a young file is valid for the run that read it, but is not remembered. The
    /// clocks of this machine and of a file server are assumed to agree within two seconds. So a time further in the
    /// future was set by a program, or by a clock that was wrong: it is no time at which the file may still change.
    pub fn is_young(&self, since_ns: i64) -> bool {
        let tick = tick::of(self.device, self.ctime_ns);
        let young = since_ns.saturating_sub(tick).saturating_add(1)..=now_ns().saturating_add(tick);
        young.contains(&self.ctime_ns) || young.contains(&self.mtime_ns)
    }
}

/// The time now, in nanoseconds since 1970.
pub fn now_ns() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_nanos()).unwrap_or(i64::MAX)
}

/// Waits until no file below a directory is young, so that tests may write files and have them remembered.
#[cfg(test)]
pub fn settle(directory: &std::path::Path) {
    for entry in walkdir::WalkDir::new(directory).into_iter().filter_map(Result::ok) {
        let stamp = || entry.metadata().ok().filter(Metadata::is_file).map(|found| Stamp::of(&found));
        while stamp().is_some_and(|stamp| stamp.is_young(now_ns())) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    /// On no device, so that ticks are long.
    fn stamp(mtime_ns: i64, ctime_ns: i64) -> Stamp {
        Stamp { device: u64::MAX, inode: 1, size: 1, mtime_ns, ctime_ns }
    }

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_stamp_is_young_for_two_seconds_after_either_of_its_times() {
        for stamp in [stamp(0, 10 * SECOND), stamp(10 * SECOND, 0)] {
            assert!(stamp.is_young(9 * SECOND));
            assert!(stamp.is_young(12 * SECOND - 1));
            assert!(!stamp.is_young(12 * SECOND));
        }
    }

    #[test]
    fn a_time_that_is_still_to_come_is_not_young() {
        let now = now_ns();
        assert!(stamp(0, now + SECOND).is_young(now));
        assert!(!stamp(0, now + 60 * SECOND).is_young(now));
        assert!(!stamp(now + 3600 * SECOND, 0).is_young(now));
    }

    #[test]
    fn a_file_that_was_written_in_place_with_its_mtime_set_back_has_another_stamp() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |bytes: &[u8]| {
            fs::write(file.path(), bytes).unwrap();
            File::options().write(true).open(file.path()).unwrap().set_modified(UNIX_EPOCH).unwrap();
            Stamp::of(&fs::metadata(file.path()).unwrap())
        };
        let before = write(b"one");
        std::thread::sleep(Duration::from_millis(30));
        let after = write(b"two");
        assert!(before != after && before.is_same_but_ctime(&after) && before.is_of_same_file(&after));
        std::thread::sleep(Duration::from_millis(30));
        fs::set_permissions(file.path(), Permissions::from_mode(0o600)).unwrap();
        let touched = Stamp::of(&fs::metadata(file.path()).unwrap());
        assert!(touched != after && touched.is_same_but_ctime(&after));
        assert!(!Stamp { size: 4, ..touched }.is_same_but_ctime(&after));
    }
}
