//! The vectors of x86-64: AVX-512 (F, BW and VL), in registers of 16, 32 and 64 bytes, and AVX2.
//!
//! Every operation here needs these features. The types are only used in functions that are compiled for them, and those
//! are only called where the processor has them.

use std::arch::asm;
use std::arch::x86_64::*;

use super::Kernel;
use super::vector::Vector;
use rows::*;

mod rows;

/// A kernel that is compiled for certain features of the processor; `None` if this one lacks them. `Words` is its state.
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

/// The `sets` of kernels of which none is `None`.
pub(in crate::digest) fn complete<W>(sets: Vec<Vec<Option<Kernel<W>>>>) -> Vec<Vec<Kernel<W>>> {
    sets.into_iter().filter_map(|set| set.into_iter().collect()).collect()
}

/// The constructors, loads and stores of a vector type.
macro_rules! words {
    ($lanes:literal $word:ident $signed:ident, $splat:ident $load:ident $store:ident $four_words:ident) => {
        type Word = $word;
        const LANES: usize = $lanes;

        #[inline(always)]
        fn splat(word: $word) -> Self {
            // SAFETY: the processor has the features.
            Self(unsafe { $splat(word as $signed) })
        }
        #[inline(always)]
        fn ones() -> Self {
            Self::splat(!0)
        }
        #[inline(always)]
        fn load(words: &[$word]) -> Self {
            let words = &words[..$lanes];
            // SAFETY: the slice has the vector's words, and the load needs no alignment.
            Self(unsafe { $load(words.as_ptr().cast()) })
        }
        #[inline(always)]
        fn store(self, words: &mut [$word]) {
            let words = &mut words[..$lanes];
            // SAFETY: the slice has the vector's words, and the store needs no alignment.
            unsafe { $store(words.as_mut_ptr().cast(), self.0) }
        }
        #[inline(always)]
        unsafe fn four_words(data: &[*const u8], offset: usize) -> [Self; 4] {
            // SAFETY: the caller guarantees that the data can be read, and has the features.
            let [a, b, c, d] = unsafe { $four_words(data, offset) };
            [Self(a), Self(b), Self(c), Self(d)]
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

/// Methods that move bits by a number of places, of which `$count` makes a vector.
macro_rules! moves {
    ($($name:ident $operation:ident $count:ident;)*) => {
        $(#[inline(always)]
        #[allow(clippy::cast_lossless, reason = "`$count` takes an i32 or an i64")]
        fn $name(self, by: u32) -> Self {
            // SAFETY: the processor has the features.
            Self(unsafe { $operation(self.0, $count(by as _)) })
        })*
    };
}

/// The order of sixteen bytes after those of each word of four bytes are swapped, and of each word of eight.
const SWAP: [u8; 16] = [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12];
const SWAP_LONG: [u8; 16] = [7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8];

/// A vector with each word's bytes swapped, in registers of each size.
macro_rules! swaps {
    ($($name:ident $order:ident $register:ident $shuffle:ident $broadcast:expr;)*) => {
        $(#[inline(always)]
        unsafe fn $name(words: $register) -> $register {
            // SAFETY: the caller's processor has the features; the array has the load's sixteen bytes.
            unsafe { $shuffle(words, $broadcast(_mm_loadu_si128($order.as_ptr().cast()))) }
        })*
    };
}

swaps! {
    swap_in_512 SWAP __m512i _mm512_shuffle_epi8 _mm512_broadcast_i32x4;
    swap_in_256 SWAP __m256i _mm256_shuffle_epi8 _mm256_broadcastsi128_si256;
    swap_in_128 SWAP __m128i _mm_shuffle_epi8 std::convert::identity;
    swap_long_in_512 SWAP_LONG __m512i _mm512_shuffle_epi8 _mm512_broadcast_i32x4;
    swap_long_in_256 SWAP_LONG __m256i _mm256_shuffle_epi8 _mm256_broadcastsi128_si256;
}

/// Return the same vector, of which the compiler knows nothing.
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
        $(#[$doc:meta])* $name:ident($register:ident): $lanes:literal $word:ident $signed:ident,
        $splat:ident $load:ident $store:ident $four_words:ident $swap:ident $opaque:ident,
        $add:ident $and:ident $or:ident $xor:ident $andnot:ident,
        $ternary:ident $rolv:ident $rorv:ident $srl:ident
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        #[repr(transparent)]
        pub(in crate::digest) struct $name($register);

        impl Vector for $name {
            words! { $lanes $word $signed, $splat $load $store $four_words }
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

/// A vector type of AVX2, which composes several operations where AVX-512 has one.
macro_rules! avx2 {
    (
        $(#[$doc:meta])* $name:ident: $lanes:literal $word:ident $signed:ident,
        $splat:ident $four_words:ident $swap:ident $opaque:ident, $add:ident $sll:ident $srl:ident
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        #[repr(transparent)]
        pub(in crate::digest) struct $name(__m256i);

        impl Vector for $name {
            words! { $lanes $word $signed, $splat _mm256_loadu_si256 _mm256_storeu_si256 $four_words }
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
                left.or(self.shift_right($word::BITS - by))
            }
            #[inline(always)]
            fn rotate_right(self, by: u32) -> Self {
                self.rotate_left($word::BITS - by)
            }
        }
    };
}

avx512! {
    /// Sixteen words of 32 bits.
    Zmm(__m512i): 16 u32 i32,
    _mm512_set1_epi32 _mm512_loadu_si512 _mm512_storeu_si512 four_words_512 swap_in_512 opaque_512,
    _mm512_add_epi32 _mm512_and_si512 _mm512_or_si512 _mm512_xor_si512 _mm512_andnot_si512,
    _mm512_ternarylogic_epi32 _mm512_rolv_epi32 _mm512_rorv_epi32 _mm512_srl_epi32
}
avx512! {
    /// Eight words of 32 bits.
    Ymm(__m256i): 8 u32 i32,
    _mm256_set1_epi32 _mm256_loadu_si256 _mm256_storeu_si256 four_words_256 swap_in_256 opaque_256,
    _mm256_add_epi32 _mm256_and_si256 _mm256_or_si256 _mm256_xor_si256 _mm256_andnot_si256,
    _mm256_ternarylogic_epi32 _mm256_rolv_epi32 _mm256_rorv_epi32 _mm256_srl_epi32
}
avx512! {
    /// Four words of 32 bits.
    Xmm(__m128i): 4 u32 i32,
    _mm_set1_epi32 _mm_loadu_si128 _mm_storeu_si128 four_words_128 swap_in_128 opaque_128,
    _mm_add_epi32 _mm_and_si128 _mm_or_si128 _mm_xor_si128 _mm_andnot_si128,
    _mm_ternarylogic_epi32 _mm_rolv_epi32 _mm_rorv_epi32 _mm_srl_epi32
}
avx512! {
    /// Eight words of 64 bits.
    LongZmm(__m512i): 8 u64 i64,
    _mm512_set1_epi64 _mm512_loadu_si512 _mm512_storeu_si512 four_long_words_512 swap_long_in_512 opaque_512,
    _mm512_add_epi64 _mm512_and_si512 _mm512_or_si512 _mm512_xor_si512 _mm512_andnot_si512,
    _mm512_ternarylogic_epi64 _mm512_rolv_epi64 _mm512_rorv_epi64 _mm512_srl_epi64
}
avx512! {
    /// Four words of 64 bits.
    LongYmm(__m256i): 4 u64 i64,
    _mm256_set1_epi64x _mm256_loadu_si256 _mm256_storeu_si256 four_long_words_256 swap_long_in_256 opaque_256,
    _mm256_add_epi64 _mm256_and_si256 _mm256_or_si256 _mm256_xor_si256 _mm256_andnot_si256,
    _mm256_ternarylogic_epi64 _mm256_rolv_epi64 _mm256_rorv_epi64 _mm256_srl_epi64
}
avx2! {
    /// Eight words of 32 bits.
    Avx2: 8 u32 i32,
    _mm256_set1_epi32 four_words_256 swap_in_256 opaque_avx2, _mm256_add_epi32 _mm256_sll_epi32 _mm256_srl_epi32
}
avx2! {
    /// Four words of 64 bits.
    LongAvx2: 4 u64 i64,
    _mm256_set1_epi64x four_long_words_256 swap_long_in_256 opaque_avx2, _mm256_add_epi64 _mm256_sll_epi64 _mm256_srl_epi64
}
