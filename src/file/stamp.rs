//! The stamp of a file: the metadata by which a later run tells whether the file is still the same.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The metadata that distinguish one state of a file from another. Sorted by device and inode, files are usually read
/// fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// The device that the file is on.
    pub device: u64,
    /// The file's number on its device.
    pub inode: u64,
    /// In bytes.
    pub size: u64,
    /// In nanoseconds since 1970.
    pub mtime_ns: i64,
}

impl Stamp {
    /// The stamp in a file's metadata.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            mtime_ns: metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()),
        }
    }

    /// Whether the file could still change, at `now_ns` or later, without a change of its stamp.
    ///
    /// File systems round times to a tick of up to two seconds (FAT two seconds; ext3 and NFS one), so a file that is
    /// written twice within a tick has the same mtime for two contents. What is read from such a young file is valid for
    /// the run that read it, but is not remembered. Mtimes in the future count as young. The clocks of this machine and
    /// of a file server are assumed to agree within these two seconds.
    pub fn is_young(&self, now_ns: i64) -> bool {
        self.mtime_ns > now_ns.saturating_sub(TICK_NS)
    }
}

const TICK_NS: i64 = 2_000_000_000;

/// The time now, in nanoseconds since 1970.
pub fn now_ns() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_young_for_two_seconds_and_in_the_future() {
        let stamp = Stamp { device: 1, inode: 1, size: 1, mtime_ns: 10_000_000_000 };
        assert!(stamp.is_young(9_000_000_000));
        assert!(stamp.is_young(11_999_999_999));
        assert!(!stamp.is_young(12_000_000_000));
    }
}
