//! SHA-256 and SHA-512 (FIPS 180-4).

#[cfg(target_arch = "x86_64")]
mod constants;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "kernels are made of intrinsics and of pointers into many streams")]
mod lanes;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "kernels are made of intrinsics and of pointers into many streams")]
mod sha_ni;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "kernels are made of intrinsics and of pointers into many streams")]
mod x86;

use std::sync::LazyLock;

use super::lanes::{Kernel, fastest};
use super::stream::BlockHash;

pub(super) enum Sha256 {}
pub(super) enum Sha512 {}

impl BlockHash for Sha256 {
    type Words = [u32; 8];
    const BLOCK: usize = 64;

    /// FIPS 180-4, 5.3.3.
    const START: [u32; 8] =
        [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

    fn kernels() -> &'static [Kernel<[u32; 8]>] {
        static KERNELS: LazyLock<Vec<Kernel<[u32; 8]>>> = LazyLock::new(|| {
            #[cfg(target_arch = "x86_64")]
            let wider = fastest(x86::sets_256(), Sha256::START, Sha256::BLOCK);
            #[cfg(not(target_arch = "x86_64"))]
            let wider = Vec::new();
            [PORTABLE_256].into_iter().chain(wider).collect()
        });
        &KERNELS
    }

    fn length_field(bits: u64) -> [u8; 8] {
        bits.to_be_bytes()
    }

    fn sum(words: &[u32; 8]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }
}

impl BlockHash for Sha512 {
    type Words = [u64; 8];
    const BLOCK: usize = 128;

    /// FIPS 180-4, 5.3.5.
    const START: [u64; 8] = [
        0x6a09_e667_f3bc_c908,
        0xbb67_ae85_84ca_a73b,
        0x3c6e_f372_fe94_f82b,
        0xa54f_f53a_5f1d_36f1,
        0x510e_527f_ade6_82d1,
        0x9b05_688c_2b3e_6c1f,
        0x1f83_d9ab_fb41_bd6b,
        0x5be0_cd19_137e_2179,
    ];

    fn kernels() -> &'static [Kernel<[u64; 8]>] {
        static KERNELS: LazyLock<Vec<Kernel<[u64; 8]>>> = LazyLock::new(|| {
            #[cfg(target_arch = "x86_64")]
            let wider = x86::sets_512().into_iter().next().unwrap_or_default();
            #[cfg(not(target_arch = "x86_64"))]
            let wider = Vec::new();
            [PORTABLE_512].into_iter().chain(wider).collect()
        });
        &KERNELS
    }

    fn length_field(bits: u64) -> [u8; 8] {
        bits.to_be_bytes()
    }

    fn sum(words: &[u64; 8]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }
}

/// The kernels of every machine. They use the processor's instructions for these hashes if it has any.
const PORTABLE_256: Kernel<[u32; 8]> = Kernel { lanes: 1, run: run_one_256 };
const PORTABLE_512: Kernel<[u64; 8]> = Kernel { lanes: 1, run: run_one_512 };

fn run_one_256(states: &mut [[u32; 8]], data: &[&[u8]]) {
    ::sha2::block_api::compress256(&mut states[0], data[0].as_chunks().0);
}

fn run_one_512(states: &mut [[u64; 8]], data: &[&[u8]]) {
    ::sha2::block_api::compress512(&mut states[0], data[0].as_chunks().0);
}

#[cfg(test)]
mod tests {
    use super::super::lanes::tests::assert_kernel_is_right;
    use super::*;
    use ::sha2::block_api::{compress256, compress512};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_kernel_of_this_machine_takes_blocks_as_the_oracle_does(seed in any::<u64>(), blocks in 0usize..5) {
            #[cfg(target_arch = "x86_64")]
            {
                for kernel in x86::sets_256().iter().flatten() {
                    assert_kernel_is_right(kernel, seed, blocks, Sha256::START, compress256);
                }
                for kernel in x86::sets_512().iter().flatten() {
                    assert_kernel_is_right(kernel, seed, blocks, Sha512::START, compress512);
                }
            }
            assert_kernel_is_right(&PORTABLE_256, seed, blocks, Sha256::START, compress256);
            assert_kernel_is_right(&PORTABLE_512, seed, blocks, Sha512::START, compress512);
        }
    }
}
