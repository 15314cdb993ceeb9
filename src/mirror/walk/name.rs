//! Names of mirror files: which are hidden, which a jigdo file can carry, and which are preferred.

use bstr::{BStr, ByteSlice as _};

/// Whether the name of a file or directory is hidden: it begins with a dot, as do the names of unfinished files that rsync
/// writes, its directories, and those of snapshots. `lost+found` counts as hidden, too.
pub fn is_hidden(name: &[u8]) -> bool {
    name.starts_with(b".") || name == b"lost+found"
}

/// How lasting the name of a file is: of equal files of a tree, the one with the lowest rank names a part. Symbolic links
/// move on to other directories; hidden files come and go; files of a pool outlast lists of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(u8);

impl Rank {
    /// The number of ranks: they are numbered from 0.
    pub const COUNT: u8 = 8;

    /// The rank of a path below a tree's root. `is_by_link`: there is a symbolic link in it.
    pub fn of(path: &BStr, is_by_link: bool) -> Self {
        let directories = path.rfind_byte(b'/').map_or(&path[..0], |at| &path[..at]);
        let is_in_pool = directories.split_str("/").any(|name| name == b"pool");
        let is_hidden = path.split_str("/").any(is_hidden);
        Self(u8::from(is_by_link) << 2 | u8::from(is_hidden) << 1 | u8::from(!is_in_pool))
    }

    /// The rank with this number.
    pub fn numbered(number: u8) -> Self {
        Self(number)
    }
}

/// Whether a jigdo file can carry a name: it is text, with one line for each part.
pub fn is_portable(name: &[u8]) -> bool {
    // In bytes that are not UTF-8, only the control characters of ASCII are known.
    !name.utf8_chunks().any(|chunk| chunk.valid().contains(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_lasts_has_the_lower_rank() {
        let rank = |path: &str, is_by_link| Rank::of(path.into(), is_by_link);
        let order = [
            rank("debian/pool/a.deb", false),
            rank("dists/trixie/a.deb", false),
            rank("pool/.a.deb.Xy12Zq", false),
            rank(".~tmp~/a.deb", false),
            rank("pool/a.deb", true),
            rank("dists/testing/a.deb", true),
            rank(".snapshot/pool", true),
        ];
        assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
        assert!(order.iter().all(|rank| rank.0 < Rank::COUNT));
        assert_eq!(rank("pool", false), rank("a", false));
        assert_eq!(rank("lost+found/a", false), rank(".a", false));
    }

    #[test]
    fn names_of_any_bytes_without_control_characters_can_be_carried() {
        for name in [&b"lat\xedn-1"[..], "grüße".as_bytes(), b"it's #1", b"\xff\xfe"] {
            assert!(is_portable(name), "{name:?}");
        }
        for name in [&b"a\nb"[..], b"a\rb", b"\xff\x00", b"tab\t", "c1\u{85}".as_bytes(), b"\x7f"] {
            assert!(!is_portable(name), "{name:?}");
        }
    }
}
