//! The vectors of x86-64: AVX-512 (F, BW and VL), in registers of 16, 32 and 64 bytes, and AVX2.
//!
//! Every operation here needs these features: the types are only used in functions that are compiled for them, and
//! those are only called where the processor has them.

use std::arch::asm;
use std::arch::x86_64::*;

use super::Kernel;
use super::vector::Vector;

/// A kernel that is compiled for the features of a processor: `None` where they are missing. `Words` is its state.
macro_rules! kernel {
    (avx512 $lanes:expr, $run:expr) => {
        kernel!(@features "avx512f,avx512bw,avx512vl", $lanes, $run,
            is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl"))
    };
    (avx2 $lanes:expr, $run:expr) => {
        kernel!(@features "avx2", $lanes, $run, is_x86_feature_detected!("avx2"))
    };
    (sha $lanes:expr, $run:expr) => {
        kernel!(@features "sha,ssse3,sse4.1", $lanes, $run,
            is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1"))
    };
    (@features $features:literal, $lanes:expr, $run:expr, $has_them:expr) => {{
        #[target_feature(enable = $features)]
        fn compiled(states: &mut [Words], data: &[&[u8]]) {
            // SAFETY: this function is compiled for the features, and only called where the processor has them.
            unsafe { $run(states, data) }
        }
        // SAFETY: the processor has the features.
        $has_them.then_some(Kernel { lanes: $lanes, run: |states, data| unsafe { compiled(states, data) } })
    }};
}
pub(in crate::digest) use kernel;

/// Those of the `sets` of kernels that lack none.
pub(in crate::digest) fn complete<W>(sets: Vec<Vec<Option<Kernel<W>>>>) -> Vec<Vec<Kernel<W>>> {
    sets.into_iter().filter_map(|set| set.into_iter().collect()).collect()
}

/// What all vectors have: how they are made, and where they go.
macro_rules! words {
    ($lanes:literal, $splat:ident $load:ident $store:ident $four_words:ident) => {
        const LANES: usize = $lanes;

        #[inline(always)]
        fn splat(word: u32) -> Self {
            // SAFETY: the processor has the features.
            Self(unsafe { $splat(word as i32) })
        }
        #[inline(always)]
        fn load(words: &[u32]) -> Self {
            let words = &words[..$lanes];
            // SAFETY: the slice has the vector's words, and the load needs no alignment.
            Self(unsafe { $load(words.as_ptr().cast()) })
        }
        #[inline(always)]
        fn store(self, words: &mut [u32]) {
            let words = &mut words[..$lanes];
            // SAFETY: the slice has the vector's words, and the store needs no alignment.
            unsafe { $store(words.as_mut_ptr().cast(), self.0) }
        }
        #[inline(always)]
        unsafe fn four_words(data: &[*const u8], offset: usize) -> [Self; 4] {
            // SAFETY: the caller says that the data can be read, and has the features.
            unsafe { $four_words(data, offset) }.map(Self)
        }
    };
}

/// Methods that are one operation each.
macro_rules! operations {
    ($($name:ident($($other:ident)*) $operation:expr;)*) => {
        $(#[inline(always)]
        fn $name(self $(, $other: Self)*) -> Self {
            // SAFETY: the processor has the features.
            Self(unsafe { $operation(self.0 $(, $other.0)*) })
        })*
    };
}

/// Methods that move bits by as many places as `$count` makes a vector of.
macro_rules! moves {
    ($($name:ident $operation:ident $count:ident;)*) => {
        $(#[inline(always)]
        fn $name(self, by: u32) -> Self {
            // SAFETY: the processor has the features.
            Self(unsafe { $operation(self.0, $count(by as _)) })
        })*
    };
}

/// Which byte of sixteen goes where when each word's bytes are swapped.
const SWAP: [u8; 16] = [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12];

/// A vector with each word's bytes swapped, in registers of each size.
macro_rules! swaps {
    ($($name:ident $register:ident $shuffle:ident $broadcast:expr;)*) => {
        $(#[inline(always)]
        unsafe fn $name(words: $register) -> $register {
            // SAFETY: the caller's processor has the features; the array has the load's sixteen bytes.
            unsafe { $shuffle(words, $broadcast(_mm_loadu_si128(SWAP.as_ptr().cast()))) }
        })*
    };
}

swaps! {
    swap_in_512 __m512i _mm512_shuffle_epi8 _mm512_broadcast_i32x4;
    swap_in_256 __m256i _mm256_shuffle_epi8 _mm256_broadcastsi128_si256;
    swap_in_128 __m128i _mm_shuffle_epi8 std::convert::identity;
}

/// The same vector for the processor, any for the compiler.
macro_rules! opaques {
    ($($name:ident $features:literal $register:ident $class:ident;)*) => {
        $(#[inline]
        #[target_feature(enable = $features)]
        fn $name(mut words: $register) -> $register {
            // SAFETY: there is no instruction.
            unsafe { asm!("/* {0} */", inout($class) words, options(pure, nomem, nostack, preserves_flags)) };
            words
        })*
    };
}

opaques! {
    opaque_512 "avx512f" __m512i zmm_reg;
    opaque_256 "avx512f,avx512vl" __m256i ymm_reg;
    opaque_128 "avx512f,avx512vl" __m128i xmm_reg;
    opaque_avx2 "avx2" __m256i ymm_reg;
}

/// A vector type of AVX-512.
macro_rules! avx512 {
    (
        $(#[$doc:meta])* $name:ident($register:ident): $lanes:literal,
        $splat:ident $load:ident $store:ident $four_words:ident $swap:ident $opaque:ident,
        $add:ident $and:ident $or:ident $xor:ident $andnot:ident,
        $ternary:ident $rolv:ident $rorv:ident $srl:ident
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        #[repr(transparent)]
        pub(in crate::digest) struct $name($register);

        impl Vector for $name {
            words! { $lanes, $splat $load $store $four_words }
            const TERNARY: bool = true;
            operations! {
                swap_bytes() $swap;
                opaque() $opaque;
                add(other) $add;
                and(other) $and;
                or(other) $or;
                xor(other) $xor;
                not_and(other) $andnot;
                choose(ones zeros) $ternary::<0xca>;
                majority(b c) $ternary::<0xe8>;
                parity(b c) $ternary::<0x96>;
                xor_or_not(b c) $ternary::<0x2d>;
            }
            moves! {
                rotate_left $rolv $splat;
                rotate_right $rorv $splat;
                shift_right $srl _mm_cvtsi32_si128;
            }
        }
    };
}

/// A vector type of AVX2, which composes what AVX-512 has one operation for.
macro_rules! avx2 {
    (
        $(#[$doc:meta])* $name:ident: $lanes:literal,
        $splat:ident $four_words:ident $swap:ident $opaque:ident, $add:ident $sll:ident $srl:ident
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        #[repr(transparent)]
        pub(in crate::digest) struct $name(__m256i);

        impl Vector for $name {
            words! { $lanes, $splat _mm256_loadu_si256 _mm256_storeu_si256 $four_words }
            const TERNARY: bool = false;
            operations! {
                swap_bytes() $swap;
                opaque() $opaque;
                add(other) $add;
                and(other) _mm256_and_si256;
                or(other) _mm256_or_si256;
                xor(other) _mm256_xor_si256;
                not_and(other) _mm256_andnot_si256;
            }
            moves! {
                shift_right $srl _mm_cvtsi32_si128;
            }
            #[inline(always)]
            fn rotate_left(self, by: u32) -> Self {
                // SAFETY: the processor has the features.
                let left = Self(unsafe { $sll(self.0, _mm_cvtsi32_si128(by as i32)) });
                left.or(self.shift_right(u32::BITS - by))
            }
            #[inline(always)]
            fn rotate_right(self, by: u32) -> Self {
                self.rotate_left(u32::BITS - by)
            }
        }
    };
}

avx512! {
    /// Sixteen words.
    Zmm(__m512i): 16,
    _mm512_set1_epi32 _mm512_loadu_si512 _mm512_storeu_si512 four_words_512 swap_in_512 opaque_512,
    _mm512_add_epi32 _mm512_and_si512 _mm512_or_si512 _mm512_xor_si512 _mm512_andnot_si512,
    _mm512_ternarylogic_epi32 _mm512_rolv_epi32 _mm512_rorv_epi32 _mm512_srl_epi32
}
avx512! {
    /// Eight words.
    Ymm(__m256i): 8,
    _mm256_set1_epi32 _mm256_loadu_si256 _mm256_storeu_si256 four_words_256 swap_in_256 opaque_256,
    _mm256_add_epi32 _mm256_and_si256 _mm256_or_si256 _mm256_xor_si256 _mm256_andnot_si256,
    _mm256_ternarylogic_epi32 _mm256_rolv_epi32 _mm256_rorv_epi32 _mm256_srl_epi32
}
avx512! {
    /// Four words.
    Xmm(__m128i): 4,
    _mm_set1_epi32 _mm_loadu_si128 _mm_storeu_si128 four_words_128 swap_in_128 opaque_128,
    _mm_add_epi32 _mm_and_si128 _mm_or_si128 _mm_xor_si128 _mm_andnot_si128,
    _mm_ternarylogic_epi32 _mm_rolv_epi32 _mm_rorv_epi32 _mm_srl_epi32
}
avx2! {
    /// Eight words.
    Avx2: 8,
    _mm256_set1_epi32 four_words_256 swap_in_256 opaque_avx2, _mm256_add_epi32 _mm256_sll_epi32 _mm256_srl_epi32
}

/// Four words of each lane, transposed in each quarter of the registers: a quarter's rows are those of four lanes.
macro_rules! transposed {
    ($low32:ident $high32:ident $low64:ident $high64:ident, $rows:expr) => {{
        let [a, b, c, d] = $rows;
        let (low, high) = (($low32(a, b), $high32(a, b)), ($low32(c, d), $high32(c, d)));
        [$low64(low.0, high.0), $high64(low.0, high.0), $low64(low.1, high.1), $high64(low.1, high.1)]
    }};
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn four_words_512(data: &[*const u8], offset: usize) -> [__m512i; 4] {
    // SAFETY: the caller says that the data can be read, and has the features.
    unsafe {
        let row = |lane: usize| _mm_loadu_si128(data[lane].add(offset).cast());
        let rows: [__m512i; 4] = std::array::from_fn(|lane| {
            let first = _mm512_castsi128_si512(row(lane));
            let two = _mm512_inserti32x4::<1>(first, row(lane + 4));
            let three = _mm512_inserti32x4::<2>(two, row(lane + 8));
            _mm512_inserti32x4::<3>(three, row(lane + 12))
        });
        transposed!(_mm512_unpacklo_epi32 _mm512_unpackhi_epi32 _mm512_unpacklo_epi64 _mm512_unpackhi_epi64, rows)
    }
}

#[inline]
#[target_feature(enable = "avx2")]
unsafe fn four_words_256(data: &[*const u8], offset: usize) -> [__m256i; 4] {
    // SAFETY: the caller says that the data can be read, and has the features.
    unsafe {
        let row = |lane: usize| _mm_loadu_si128(data[lane].add(offset).cast());
        let rows: [__m256i; 4] = std::array::from_fn(|lane| _mm256_set_m128i(row(lane + 4), row(lane)));
        transposed!(_mm256_unpacklo_epi32 _mm256_unpackhi_epi32 _mm256_unpacklo_epi64 _mm256_unpackhi_epi64, rows)
    }
}

#[inline]
#[target_feature(enable = "sse2")]
unsafe fn four_words_128(data: &[*const u8], offset: usize) -> [__m128i; 4] {
    // SAFETY: the caller says that the data can be read, and has the features.
    unsafe {
        let rows: [__m128i; 4] = std::array::from_fn(|lane| _mm_loadu_si128(data[lane].add(offset).cast()));
        transposed!(_mm_unpacklo_epi32 _mm_unpackhi_epi32 _mm_unpacklo_epi64 _mm_unpackhi_epi64, rows)
    }
}
