//! Holes: runs of zeros that take no space on the disk.

use std::ops::Range;

use crate::assemble::window::BLOCK;

/// The shortest run of zeros that becomes a hole, in bytes. Shorter ones would fragment files and save little space.
const SHORTEST: usize = 64 << 10;

/// The ranges of `bytes` that must be written; everything else may become holes. `bytes` are whole blocks, and so are
/// the ranges. They ascend.
pub(super) fn data(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (number, block) in bytes.chunks(BLOCK).enumerate() {
        if *block == [0; BLOCK][..block.len()] {
            continue;
        }
        let start = number * BLOCK;
        match ranges.last_mut() {
            Some(last) if start - last.end < SHORTEST => last.end = start + block.len(),
            _ => ranges.push(start..start + block.len()),
        }
    }
    ranges
}

/// Returns `ranges` without the bytes of `others`. Both ascend.
pub(super) fn without(ranges: Vec<Range<usize>>, others: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut left = ranges;
    for other in others {
        let cut = |range: Range<usize>| {
            let before = range.start..range.end.min(other.start);
            let after = range.start.max(other.end)..range.end;
            [before, after].into_iter().filter(|piece| !piece.is_empty())
        };
        left = left.into_iter().flat_map(cut).collect();
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_of_zeros_are_left_out_and_short_ones_are_not() {
        let mut bytes = vec![0; 100 * BLOCK];
        assert!(data(&bytes).is_empty());
        for block in [0, 2, 40, 99] {
            bytes[block * BLOCK + 17] = 1;
        }
        assert_eq!(data(&bytes), [0..3 * BLOCK, 40 * BLOCK..41 * BLOCK, 99 * BLOCK..100 * BLOCK]);
        assert!(data(&[1; BLOCK]).into_iter().eq(std::iter::once(0..BLOCK)));
    }

    #[test]
    fn ranges_are_cut_by_others() {
        assert_eq!(without(vec![0..10, 20..30], &[3..5, 8..22, 25..25]), [0..3, 5..8, 22..25, 25..30]);
        assert!(without(vec![0..10, 20..30], &[0..15, 15..100]).is_empty());
        assert_eq!(without(vec![0..10, 20..30], &[]), [0..10, 20..30]);
    }
}
