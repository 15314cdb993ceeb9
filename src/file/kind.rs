//! What something is that is not a regular file, in words.

use std::fs::FileType;
use std::os::unix::fs::FileTypeExt as _;

/// What has this type, with its article: `a directory`.
pub fn kind(found: FileType) -> &'static str {
    match () {
        () if found.is_file() => "a file",
        () if found.is_dir() => "a directory",
        () if found.is_fifo() => "a named pipe",
        () if found.is_socket() => "a socket",
        () if found.is_symlink() => "a symbolic link",
        () => "a device",
    }
}
