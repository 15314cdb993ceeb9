//! Reads the heads of files: usually the first block, and more only where that block repeats itself.

use std::ops::ControlFlow;
use std::path::Path;

use super::FileError;
use super::read::{self, Failure, Piece};
use crate::file::Stamp;
use crate::matcher::{Features, HeadFinder};

/// A file's head, and what else the scan must know; `None` if the file is shorter than a block.
pub type FileHead = Option<Features>;

/// A buffer that usually lets [`read_heads`] get the first block of each of these lengths with one read.
pub fn buffer(block_lengths: &[u32]) -> Vec<u8> {
    let longest = block_lengths.iter().copied().max().unwrap_or_default();
    vec![0; longest.clamp(4096, 1 << 20) as usize]
}

/// How often a file is read again whose ctime changes while it is read.
const MOST_ATTEMPTS: u32 = 3;

/// The file's head for each block length, and the stamp with which it was read: it may have another ctime than it had
/// when it was walked. `buffer` is from [`buffer`].
pub fn read_heads(
    path: &Path,
    stamp: &Stamp,
    block_lengths: &[u32],
    buffer: &mut [u8],
) -> Result<(Vec<FileHead>, Stamp), FileError> {
    let mut stamp = *stamp;
    for _ in 0..MOST_ATTEMPTS {
        match try_heads(path, &stamp, block_lengths, buffer) {
            Ok(heads) => return Ok((heads, stamp)),
            Err(Failure::Moved(now)) => stamp = now,
            Err(Failure::File(error)) => return Err(error),
        }
    }
    Err(FileError::Changed { path: path.into() })
}

fn try_heads(path: &Path, stamp: &Stamp, block_lengths: &[u32], buffer: &mut [u8]) -> Result<Vec<FileHead>, Failure> {
    let mut finders: Vec<_> = block_lengths.iter().map(|&length| HeadFinder::new(length)).collect();
    read::read(path, stamp, buffer, |piece| {
        let mut all_found = true;
        for (finder, &length) in finders.iter_mut().zip(block_lengths) {
            all_found &= stamp.size < u64::from(length)
                || match piece {
                    Piece::Bytes(bytes) => finder.push(bytes),
                    Piece::Zeros(count) => finder.push_zeros(count),
                };
        }
        if all_found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(finders.into_iter().map(HeadFinder::finish).collect())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt as _;

    use super::*;
    use crate::matcher::Head;

    /// If its zeros were read, this test would take a day.
    #[test]
    fn the_holes_of_a_sparse_file_are_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let length = 1 << 43;
        file.as_file().set_len(length).unwrap();
        let heads = || {
            let stamp = Stamp::of(&File::open(file.path()).unwrap().metadata().unwrap());
            let heads = read_heads(file.path(), &stamp, &[256, 1024], &mut buffer(&[256, 1024])).unwrap().0;
            heads.into_iter().map(|head| head.unwrap().head).collect::<Vec<_>>()
        };
        assert_eq!(heads(), [Head::Periodic { period: 1 }; 2]);
        file.as_file().write_all_at(b"x", length - 5000).unwrap();
        let offset_of = |head: &Head| matches!(head, Head::Block { offset, .. } if *offset > length - 6000);
        assert!(heads().iter().all(offset_of), "{:?}", heads());
    }
}
