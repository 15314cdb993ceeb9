//! MD5 (RFC 1321).

#[allow(unsafe_code, reason = "kernels are made of intrinsics and of pointers into many streams")]
mod lanes;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "kernels are made of intrinsics and of pointers into many streams")]
mod x86;

use std::sync::LazyLock;

use super::lanes::Kernel;
use super::stream::BlockHash;

pub(super) enum Md5 {}

impl BlockHash for Md5 {
    type Words = [u32; 4];
    const BLOCK: usize = 64;

    /// RFC 1321, 3.3.
    const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

    fn kernels() -> &'static [Kernel<[u32; 4]>] {
        static KERNELS: LazyLock<Vec<Kernel<[u32; 4]>>> = LazyLock::new(|| sets().swap_remove(0));
        &KERNELS
    }

    fn length_field(bits: u64) -> [u8; 8] {
        bits.to_le_bytes()
    }

    fn sum(words: &[u32; 4]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// The sets of kernels that this machine can run, the fastest set first.
fn sets() -> Vec<Vec<Kernel<[u32; 4]>>> {
    #[cfg(target_arch = "x86_64")]
    let wider = x86::sets();
    #[cfg(not(target_arch = "x86_64"))]
    let wider = Vec::new();
    wider.into_iter().chain([lanes::portable()]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::lanes::tests::assert_kernel_is_right;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_kernel_of_this_machine_takes_blocks_as_the_oracle_does(seed in any::<u64>(), blocks in 0usize..5) {
            for kernel in sets().iter().flatten() {
                assert_kernel_is_right(kernel, seed, blocks, Md5::START, |state: &mut [u32; 4], data: &[[u8; 64]]| {
                    ::md5::block_api::compress(state, data);
                });
            }
        }
    }
}
