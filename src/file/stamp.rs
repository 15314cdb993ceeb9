//! The stamp of a file: what `stat` says of it, by which a later run knows it again.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// What tells one state of a file from another. The order is the one in which disks like files to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    pub device: u64,
    pub inode: u64,
    /// In bytes.
    pub size: u64,
    /// In nanoseconds since 1970.
    pub mtime_ns: i64,
}

impl Stamp {
    /// The stamp in what `stat` said.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            mtime_ns: metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()),
        }
    }

    /// Whether the file may still change without its stamp telling, at `now_ns` or later.
    ///
    /// File systems round times to a tick of up to two seconds (FAT; ext3 and NFS one second), so a file written to
    /// twice within a tick has one mtime for two contents. What is read of such a young file holds for the run that
    /// read it, but is not remembered. Mtimes in the future are young too. The clocks of this machine and of a file
    /// server are taken to agree within these two seconds.
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
