//! Writes new files past the page cache, so that thousands of them evict nothing from memory and are on the disk once
//! they are written.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Addresses, offsets and lengths must be multiples of this, in bytes.
const BLOCK: usize = 4096;

/// Files shorter than this, in bytes, are written through the page cache.
const SHORTEST: usize = 64 << 10;

/// Writes these runs one after the other into `file`, which is empty and at `path`: past the page cache, if the file
/// system supports that.
///
/// # Errors
/// Those of the file system.
pub fn write(file: &mut File, path: &Path, runs: &[Cow<'_, [u8]>]) -> io::Result<()> {
    let length = runs.iter().map(|run| run.len()).sum();
    if length >= SHORTEST && write_blocks(path, runs, length)? {
        return file.set_len(length as u64);
    }
    runs.iter().try_for_each(|run| file.write_all(run))
}

/// Writes whole blocks, the last one padded with zeros; returns `false` if the file system cannot bypass the cache.
fn write_blocks(path: &Path, runs: &[Cow<'_, [u8]>], length: usize) -> io::Result<bool> {
    let Ok(direct) = File::options().write(true).custom_flags(libc::O_DIRECT).open(path) else { return Ok(false) };
    let whole = length.next_multiple_of(BLOCK);
    let mut memory: Vec<u8> = vec![0; whole + BLOCK];
    let start = memory.as_ptr().align_offset(BLOCK);
    let blocks = &mut memory[start..start + whole];
    let mut at = 0;
    for run in runs {
        blocks[at..at + run.len()].copy_from_slice(run);
        at += run.len();
    }
    match direct.write_all_at(blocks, 0) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(false),
        result => result.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_all_lengths_have_what_was_written() {
        // In the build directory, because the temporary directory may be in memory.
        let place = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/target").unwrap();
        let path = place.path().join("file");
        for length in [0, 1, SHORTEST - 1, SHORTEST, SHORTEST + 1, SHORTEST + BLOCK, 300_001] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let (first, second) = bytes.split_at(length / 3);
            let mut file = File::create(&path).unwrap();
            write(&mut file, &path, &[Cow::Borrowed(first), Cow::Borrowed(second)]).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }
}
