//! SHA-256 (FIPS 180-4).

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod lanes;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod sha_ni;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86;

use std::sync::LazyLock;

use super::lanes::Kernel;
use super::stream::BlockHash;

pub(super) enum Sha256 {}

impl BlockHash for Sha256 {
    type Words = [u32; 8];

    /// FIPS 180-4, 5.3.3.
    const START: [u32; 8] =
        [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

    fn kernels() -> &'static [Kernel<[u32; 8]>] {
        static KERNELS: LazyLock<Vec<Kernel<[u32; 8]>>> = LazyLock::new(|| {
            #[cfg(target_arch = "x86_64")]
            let wider = x86::sets().into_iter().next().unwrap_or_default();
            #[cfg(not(target_arch = "x86_64"))]
            let wider = Vec::new();
            [PORTABLE].into_iter().chain(wider).collect()
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

/// The kernel of every machine. It uses the processor's instructions for SHA-256 where it has them.
const PORTABLE: Kernel<[u32; 8]> = Kernel { lanes: 1, run: run_one };

fn run_one(states: &mut [[u32; 8]], data: &[&[u8]]) {
    ::sha2::block_api::compress256(&mut states[0], data[0].as_chunks().0);
}

#[cfg(test)]
mod tests {
    use super::super::lanes::tests::assert_kernel_is_right;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_kernel_of_this_machine_takes_blocks_as_the_oracle_does(seed in any::<u64>(), blocks in 0usize..5) {
            #[cfg(target_arch = "x86_64")]
            for kernel in x86::sets().iter().flatten() {
                assert_kernel_is_right(kernel, seed, blocks, Sha256::START, ::sha2::block_api::compress256);
            }
            assert_kernel_is_right(&PORTABLE, seed, blocks, Sha256::START, ::sha2::block_api::compress256);
        }
    }
}
