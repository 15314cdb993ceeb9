//! SHA-256 and SHA-512 in the vectors of x86-64, and SHA-256 with its SHA instructions.

use super::lanes::run;
use super::sha_ni;
use crate::digest::lanes::Kernel;
use crate::digest::lanes::x86::{Avx2, LongAvx2, LongYmm, LongZmm, Ymm, Zmm, complete, kernel};

/// The sets of SHA-256 kernels for several streams that this machine can run, in each the narrowest first. For few
/// streams the SHA instructions are faster than any vectors; for many it depends on the processor.
pub(super) fn sets_256() -> Vec<Vec<Kernel<[u32; 8]>>> {
    type Words = [u32; 8];
    // As many lanes as streams: idle lanes would cost as much as others.
    let sha =
        || vec![kernel!(sha 2, sha_ni::run::<2>), kernel!(sha 3, sha_ni::run::<3>), kernel!(sha 4, sha_ni::run::<4>)];
    let avx512 = || [kernel!(avx512 8, run::<Ymm>), kernel!(avx512 16, run::<Zmm>)];
    complete(vec![
        sha().into_iter().chain([kernel!(sha 5, sha_ni::run::<5>)]).chain(avx512()).collect(),
        sha(),
        avx512().into(),
        vec![kernel!(avx2 8, run::<Avx2>)],
    ])
}

/// The same for SHA-512.
pub(super) fn sets_512() -> Vec<Vec<Kernel<[u64; 8]>>> {
    type Words = [u64; 8];
    complete(vec![
        vec![kernel!(avx512 4, run::<LongYmm>), kernel!(avx512 8, run::<LongZmm>)],
        vec![kernel!(avx2 4, run::<LongAvx2>)],
    ])
}
