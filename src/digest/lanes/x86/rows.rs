//! Transposes rows to columns: turns each lane's next four words into vectors that have one word of each lane.
//!
//! The quarters of a register, of sixteen bytes each, are loaded from lanes at a fixed distance, so that the words only
//! have to be exchanged within quarters.

use std::arch::x86_64::*;

/// Sixteen bytes of one lane. `_apart` is only there for the same signature as [`row_256`].
///
/// # Safety
/// They can be read.
#[inline]
#[target_feature(enable = "sse2")]
unsafe fn row_128(data: &[*const u8], lane: usize, _apart: usize, offset: usize) -> __m128i {
    // SAFETY: the caller says that the bytes can be read; the load needs no alignment.
    unsafe { _mm_loadu_si128(data[lane].add(offset).cast()) }
}

/// Sixteen bytes of each of two lanes that are `apart`.
///
/// # Safety
/// They can be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn row_256(data: &[*const u8], lane: usize, apart: usize, offset: usize) -> __m256i {
    // SAFETY: the caller says that the bytes can be read.
    unsafe { _mm256_set_m128i(row_128(data, lane + apart, apart, offset), row_128(data, lane, apart, offset)) }
}

/// Sixteen bytes of each of four lanes that are `apart`.
///
/// # Safety
/// They can be read.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn row_512(data: &[*const u8], lane: usize, apart: usize, offset: usize) -> __m512i {
    // SAFETY: the caller says that the bytes can be read.
    unsafe {
        let one = _mm512_castsi128_si512(row_128(data, lane, apart, offset));
        let two = _mm512_inserti32x4::<1>(one, row_128(data, lane + apart, apart, offset));
        let three = _mm512_inserti32x4::<2>(two, row_128(data, lane + 2 * apart, apart, offset));
        _mm512_inserti32x4::<3>(three, row_128(data, lane + 3 * apart, apart, offset))
    }
}

/// Functions that return four words of 32 bits of each lane.
macro_rules! four_words {
    ($($name:ident $features:literal $register:ident $row:ident, $low:ident $high:ident $low_pair:ident $high_pair:ident;)*) => {
        $(/// # Safety
        /// Each lane's next sixteen bytes can be read.
        #[inline]
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $name(data: &[*const u8], offset: usize) -> [$register; 4] {
            // SAFETY: the caller says that the bytes can be read.
            let [a, b] = unsafe { [$row(data, 0, 4, offset), $row(data, 1, 4, offset)] };
            // SAFETY: the same.
            let [c, d] = unsafe { [$row(data, 2, 4, offset), $row(data, 3, 4, offset)] };
            let (low, high) = (($low(a, b), $high(a, b)), ($low(c, d), $high(c, d)));
            [$low_pair(low.0, high.0), $high_pair(low.0, high.0), $low_pair(low.1, high.1), $high_pair(low.1, high.1)]
        })*
    };
}

four_words! {
    four_words_512 "avx512f" __m512i row_512,
        _mm512_unpacklo_epi32 _mm512_unpackhi_epi32 _mm512_unpacklo_epi64 _mm512_unpackhi_epi64;
    four_words_256 "avx2" __m256i row_256,
        _mm256_unpacklo_epi32 _mm256_unpackhi_epi32 _mm256_unpacklo_epi64 _mm256_unpackhi_epi64;
    four_words_128 "sse2" __m128i row_128,
        _mm_unpacklo_epi32 _mm_unpackhi_epi32 _mm_unpacklo_epi64 _mm_unpackhi_epi64;
}

/// Functions that return four words of 64 bits of each lane.
macro_rules! four_long_words {
    ($($name:ident $features:literal $register:ident $row:ident, $low:ident $high:ident;)*) => {
        $(/// # Safety
        /// Each lane's next 32 bytes can be read.
        #[inline]
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $name(data: &[*const u8], offset: usize) -> [$register; 4] {
            // SAFETY: the caller says that the bytes can be read.
            let [a, b] = unsafe { [$row(data, 0, 2, offset), $row(data, 1, 2, offset)] };
            // SAFETY: the same.
            let [c, d] = unsafe { [$row(data, 0, 2, offset + 16), $row(data, 1, 2, offset + 16)] };
            [$low(a, b), $high(a, b), $low(c, d), $high(c, d)]
        })*
    };
}

four_long_words! {
    four_long_words_512 "avx512f" __m512i row_512, _mm512_unpacklo_epi64 _mm512_unpackhi_epi64;
    four_long_words_256 "avx2" __m256i row_256, _mm256_unpacklo_epi64 _mm256_unpackhi_epi64;
}
