//! MD5 in the vectors of x86-64.

use super::lanes::run;
use crate::digest::lanes::Kernel;
use crate::digest::lanes::vector::Two;
use crate::digest::lanes::x86::{Avx2, Xmm, Ymm, complete, kernel};

type Words = [u32; 4];

/// The sets of kernels for several streams that this machine can run, the fastest set first, by what they need; in each
/// the narrowest first.
///
/// A block takes as long in a vector of four words as in one of eight: the steps wait for each other. Two vectors of
/// eight words are faster than one of sixteen, where the processor has one unit that rotates these, or halves them.
pub(super) fn sets() -> Vec<Vec<Kernel<Words>>> {
    complete(vec![
        vec![kernel!(avx512 4, run::<Xmm>), kernel!(avx512 8, run::<Ymm>), kernel!(avx512 16, run::<Two<Ymm>>)],
        vec![kernel!(avx2 8, run::<Avx2>), kernel!(avx2 16, run::<Two<Avx2>>)],
    ])
}
