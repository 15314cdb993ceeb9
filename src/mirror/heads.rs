//! Reads the heads of files: usually the first block, and more only where that block repeats itself.

use std::ops::ControlFlow;
use std::path::Path;

use super::{FileError, read};
use crate::file::Stamp;
use crate::matcher::{Features, HeadFinder};

/// A file's head, and what else the scan must know; `None` if the file is shorter than a block.
pub type FileHead = Option<Features>;

/// A buffer that usually lets [`read_heads`] get the first block of each of these lengths with one read.
pub fn buffer(block_lengths: &[u32]) -> Vec<u8> {
    let longest = block_lengths.iter().copied().max().unwrap_or_default();
    vec![0; longest.clamp(4096, 1 << 20) as usize]
}

/// The file's head for each block length. `buffer` is from [`buffer`].
pub fn read_heads(
    path: &Path,
    stamp: &Stamp,
    block_lengths: &[u32],
    buffer: &mut [u8],
) -> Result<Vec<FileHead>, FileError> {
    let mut finders: Vec<_> = block_lengths.iter().map(|&length| HeadFinder::new(length)).collect();
    read::read(path, stamp, buffer, |piece| {
        let mut all_found = true;
        for (finder, &length) in finders.iter_mut().zip(block_lengths) {
            all_found &= stamp.size < u64::from(length) || finder.push(piece);
        }
        if all_found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(finders.into_iter().map(HeadFinder::finish).collect())
}
