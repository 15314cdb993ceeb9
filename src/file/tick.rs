//! How finely a file system counts the times of its files.

use std::collections::HashSet;
use std::fs;
use std::sync::OnceLock;

/// FAT counts in two seconds, ext3 and NFS in one. The clock of a file server may differ from ours by as much.
const COARSE_NS: i64 = 2_000_000_000;

/// A file system of this machine takes times from the kernel's clock, which ticks at least every 10 ms.
const FINE_NS: i64 = 100_000_000;

/// The file systems that do, where their times have room for it.
const FINE: [&str; 8] = ["bcachefs", "btrfs", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"];

/// The longest tick, in nanoseconds, of the file system that gave a file on this device this ctime.
pub fn of(device: u64, ctime_ns: i64) -> i64 {
    const MILLISECOND: i64 = 1_000_000;
    static FINE_DEVICES: OnceLock<HashSet<u64>> = OnceLock::new();
    // A ctime without a fraction of a millisecond is that of a file system, or an inode, that has no room for it.
    if ctime_ns % MILLISECOND == 0 {
        return COARSE_NS;
    }
    let fine = FINE_DEVICES
        .get_or_init(|| fs::read_to_string("/proc/self/mountinfo").map(|text| fine(&text)).unwrap_or_default());
    if fine.contains(&device) { FINE_NS } else { COARSE_NS }
}

/// The devices of the file systems in `mountinfo` that count finely. What is not found there counts coarsely.
fn fine(mountinfo: &str) -> HashSet<u64> {
    let device = |line: &str| {
        // "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext4 /dev/root rw"
        let (mount, source) = line.split_once(" - ")?;
        let (major, minor) = mount.split(' ').nth(2)?.split_once(':')?;
        let is_fine = FINE.contains(&source.split(' ').next()?);
        is_fine.then_some(rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?))
    };
    mountinfo.lines().filter_map(device).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_file_systems_with_room_for_it_count_finely() {
        let found = fine(
            "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
             23 1 254:1 / /old rw - ext3 /dev/vdb rw\n24 1 0:30 / /net rw - nfs4 host:/ rw\n\
             25 1 0:31 / /a\\040b rw - tmpfs tmpfs rw\nnonsense\n26 1 x:y / / rw - ext4 z rw\n",
        );
        let expected = [(254, 0), (0, 31)].map(|(major, minor)| rustix::fs::makedev(major, minor));
        assert_eq!(found, HashSet::from(expected));
    }

    #[test]
    fn a_time_of_whole_milliseconds_counts_coarsely_wherever_it_is() {
        assert_eq!(of(u64::MAX, 1), COARSE_NS);
        let device = std::os::unix::fs::MetadataExt::dev(&fs::metadata("/proc").unwrap());
        assert_eq!(of(device, 5_000_000), COARSE_NS);
    }
}
