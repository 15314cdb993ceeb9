//! MD5 in the vectors of x86-64.

use super::lanes::{portable, run};
use crate::digest::lanes::Kernel;
use crate::digest::lanes::vector::Two;
use crate::digest::lanes::x86::{Avx2, Xmm, Ymm, Zmm, complete, kernel};

type Words = [u32; 4];

/// The sets of kernels that this machine can run, the fastest set first; in each set, the narrowest kernel first.
///
/// A block takes as long in a vector of four words as in one of sixteen: the steps wait for each other. One stream alone
/// is faster in a vector of AVX-512, with four operations per step, than in the processor's words, which need up to five.
pub(super) fn sets() -> Vec<Vec<Kernel<Words>>> {
    let words = || portable().into_iter().map(Some);
    complete(vec![
        vec![kernel!(avx512 4, run::<Xmm>), kernel!(avx512 8, run::<Ymm>), kernel!(avx512 16, run::<Zmm>)],
        words().chain([kernel!(avx2 8, run::<Avx2>), kernel!(avx2 16, run::<Two<Avx2>>)]).collect(),
    ])
}
