//! Anchors in the vectors of x86-64: AVX-512 (F, with BMI2 beside it), and AVX2.
//!
//! Four loads, each one byte after the one before, have the words at all positions of a vector.

use std::arch::x86_64::*;

use super::{AT_A_TIME, BATCH, BatchBytes, Kernel, SPREAD, write_places};

/// Those that this machine can run, the fastest first.
pub(super) fn kernels() -> Vec<Kernel> {
    let has_bits = is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("popcnt");
    let has_avx512 = has_bits && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("bmi2");
    let has_avx2 = has_bits && is_x86_feature_detected!("avx2");
    // SAFETY: a kernel is only returned if the processor has its features.
    let avx512: Kernel = |bytes, above, places| unsafe { avx512(bytes, above, places) };
    // SAFETY: the same.
    let avx2: Kernel = |bytes, above, places| unsafe { avx2(bytes, above, places) };
    [has_avx512.then_some(avx512), has_avx2.then_some(avx2)].into_iter().flatten().collect()
}

#[target_feature(enable = "avx512f,bmi1,bmi2,popcnt")]
fn avx512(bytes: &BatchBytes, above: i32, places: &mut [u16; BATCH + AT_A_TIME]) -> usize {
    let (spread, above) = (_mm512_set1_epi32(SPREAD.cast_signed()), _mm512_set1_epi32(above));
    let mut count = 0;
    for first in (0..BATCH).step_by(64) {
        let window: &[u8; 67] = bytes[first..].first_chunk().expect("a batch has bytes after its last position");
        let mut mask = 0;
        for shift in 0..4 {
            // SAFETY: 64 bytes from there on are in the window.
            let words = unsafe { _mm512_loadu_epi32(window.as_ptr().add(shift).cast()) };
            let anchors = _mm512_cmpgt_epi32_mask(_mm512_mullo_epi32(words, spread), above);
            mask |= _pdep_u64(u64::from(anchors), 0x1111_1111_1111_1111 << shift);
        }
        write_places(mask, first, places, &mut count);
    }
    count
}

#[target_feature(enable = "avx2,bmi1,popcnt")]
fn avx2(bytes: &BatchBytes, above: i32, places: &mut [u16; BATCH + AT_A_TIME]) -> usize {
    let (spread, above) = (_mm256_set1_epi32(SPREAD.cast_signed()), _mm256_set1_epi32(above));
    let mut count = 0;
    for first in (0..BATCH).step_by(64) {
        let mut mask = 0;
        for half in [0, 32] {
            let window: &[u8; 35] = bytes[first + half..].first_chunk().expect("a batch has bytes after its last");
            let mut anchors = _mm256_setzero_si256();
            for shift in 0..4 {
                // SAFETY: 32 bytes from there on are in the window.
                let words = unsafe { _mm256_loadu_si256(window.as_ptr().add(shift).cast()) };
                let are = _mm256_cmpgt_epi32(_mm256_mullo_epi32(words, spread), above);
                // A word's position is that of its first byte.
                let byte = _mm256_set1_epi32((0xffu32 << (8 * shift)).cast_signed());
                anchors = _mm256_or_si256(anchors, _mm256_and_si256(are, byte));
            }
            mask |= u64::from(_mm256_movemask_epi8(anchors).cast_unsigned()) << half;
        }
        write_places(mask, first, places, &mut count);
    }
    count
}
