//! MD5 kernels for x86-64: sixteen lanes with AVX-512, eight with AVX2.

use std::arch::x86_64::*;

use super::{BLOCK, Kernel};

/// The fastest kernel that this machine can run, if it can run one.
pub(super) fn kernel() -> Option<Kernel> {
    kernels().into_iter().next()
}

/// The kernels that this machine can run, the fastest first.
pub(super) fn kernels() -> Vec<Kernel> {
    let mut kernels = Vec::new();
    if is_x86_feature_detected!("avx512f") {
        kernels.push(Kernel { lanes: 16, run: run_avx512 });
    }
    if is_x86_feature_detected!("avx2") {
        kernels.push(Kernel { lanes: 8, run: run_avx2 });
    }
    kernels
}

fn run_avx512(states: &mut [[u32; 4]], data: &[&[u8]]) {
    // SAFETY: `kernels` gives this function only where the processor has AVX-512F.
    unsafe { avx512(states.try_into().expect("it has 16 lanes"), data.try_into().expect("it has 16 lanes")) }
}

fn run_avx2(states: &mut [[u32; 4]], data: &[&[u8]]) {
    // SAFETY: `kernels` gives this function only where the processor has AVX2.
    unsafe { avx2(states.try_into().expect("it has 8 lanes"), data.try_into().expect("it has 8 lanes")) }
}

/// The constants of the 64 steps (RFC 1321, 3.4): the whole part of 2^32 times the absolute sine of 1 to 64.
#[rustfmt::skip]
const SINES: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

/// The 64 steps on vectors: `$w` has the block's 16 words of all lanes. The rest are the vector's operations.
macro_rules! steps {
    ($a:ident $b:ident $c:ident $d:ident, $w:ident, $add:ident, $set1:ident, $rotate:ident, $f:ident $g:ident $h:ident $i:ident) => {
        // A step leaves its result in `$a`; the next one calls the same four words by names moved on by one.
        macro_rules! step {
            ($p:ident $q:ident $r:ident $s:ident, $mix:ident, $word:expr, $number:expr, $by:literal) => {
                let sine = $set1(SINES[$number] as i32);
                let sum = $add($add($p, $add($w[$word], sine)), $mix($q, $r, $s));
                $p = $add($q, $rotate::<$by>(sum));
            };
        }
        macro_rules! round {
            ($mix:ident, $first:expr, $factor:expr, $offset:expr, $r0:literal $r1:literal $r2:literal $r3:literal) => {
                round!(@four $mix, $first, $factor, $offset, 0, $r0 $r1 $r2 $r3);
                round!(@four $mix, $first, $factor, $offset, 4, $r0 $r1 $r2 $r3);
                round!(@four $mix, $first, $factor, $offset, 8, $r0 $r1 $r2 $r3);
                round!(@four $mix, $first, $factor, $offset, 12, $r0 $r1 $r2 $r3);
            };
            (@four $mix:ident, $first:expr, $factor:expr, $offset:expr, $at:expr, $r0:literal $r1:literal $r2:literal $r3:literal) => {
                step!($a $b $c $d, $mix, (($at) * $factor + $offset) % 16, $first + $at, $r0);
                step!($d $a $b $c, $mix, (($at + 1) * $factor + $offset) % 16, $first + $at + 1, $r1);
                step!($c $d $a $b, $mix, (($at + 2) * $factor + $offset) % 16, $first + $at + 2, $r2);
                step!($b $c $d $a, $mix, (($at + 3) * $factor + $offset) % 16, $first + $at + 3, $r3);
            };
        }
        round!($f, 0, 1, 0, 7 12 17 22);
        round!($g, 16, 5, 1, 5 9 14 20);
        round!($h, 32, 3, 5, 4 11 16 23);
        round!($i, 48, 7, 0, 6 10 15 21);
    };
}

#[target_feature(enable = "avx512f")]
fn avx512(states: &mut [[u32; 4]; 16], data: &[&[u8]; 16]) {
    #[target_feature(enable = "avx512f")]
    fn f(b: __m512i, c: __m512i, d: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<0xca>(b, c, d)
    }
    #[target_feature(enable = "avx512f")]
    fn g(b: __m512i, c: __m512i, d: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<0xca>(d, b, c)
    }
    #[target_feature(enable = "avx512f")]
    fn h(b: __m512i, c: __m512i, d: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<0x96>(b, c, d)
    }
    #[target_feature(enable = "avx512f")]
    fn i(b: __m512i, c: __m512i, d: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<0x39>(b, c, d)
    }
    let word = |number: usize| {
        let words: [u32; 16] = std::array::from_fn(|lane| states[lane][number]);
        // SAFETY: the array has the vector's 64 bytes, and the load needs no alignment.
        unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
    };
    let (mut a, mut b, mut c, mut d) = (word(0), word(1), word(2), word(3));
    let blocks = data.iter().map(|data| data.len()).min().unwrap_or(0) / BLOCK;
    for block in 0..blocks {
        let rows: [__m512i; 16] = std::array::from_fn(|lane| {
            let bytes = &data[lane][block * BLOCK..][..BLOCK];
            // SAFETY: the slice has the vector's 64 bytes, and the load needs no alignment.
            unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
        });
        let w = transpose_16(&rows);
        let before = (a, b, c, d);
        steps!(a b c d, w, _mm512_add_epi32, _mm512_set1_epi32, _mm512_rol_epi32, f g h i);
        a = _mm512_add_epi32(a, before.0);
        b = _mm512_add_epi32(b, before.1);
        c = _mm512_add_epi32(c, before.2);
        d = _mm512_add_epi32(d, before.3);
    }
    for (number, vector) in [a, b, c, d].into_iter().enumerate() {
        let mut words = [0u32; 16];
        // SAFETY: the array has the vector's 64 bytes, and the store needs no alignment.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) };
        states.iter_mut().zip(words).for_each(|(state, word)| state[number] = word);
    }
}

/// From sixteen rows of sixteen words to the columns.
#[target_feature(enable = "avx512f")]
fn transpose_16(rows: &[__m512i; 16]) -> [__m512i; 16] {
    let mut pairs = *rows;
    for row in (0..16).step_by(2) {
        pairs[row] = _mm512_unpacklo_epi32(rows[row], rows[row + 1]);
        pairs[row + 1] = _mm512_unpackhi_epi32(rows[row], rows[row + 1]);
    }
    // In `fours[4 * i + j]`, quarter `q` has column `4 * q + j` of the rows from `4 * i` on.
    let mut fours = pairs;
    for row in (0..16).step_by(4) {
        fours[row] = _mm512_unpacklo_epi64(pairs[row], pairs[row + 2]);
        fours[row + 1] = _mm512_unpackhi_epi64(pairs[row], pairs[row + 2]);
        fours[row + 2] = _mm512_unpacklo_epi64(pairs[row + 1], pairs[row + 3]);
        fours[row + 3] = _mm512_unpackhi_epi64(pairs[row + 1], pairs[row + 3]);
    }
    let mut columns = fours;
    for column in 0..4 {
        let upper_even = _mm512_shuffle_i32x4::<0x88>(fours[column], fours[4 + column]);
        let upper_odd = _mm512_shuffle_i32x4::<0xdd>(fours[column], fours[4 + column]);
        let lower_even = _mm512_shuffle_i32x4::<0x88>(fours[8 + column], fours[12 + column]);
        let lower_odd = _mm512_shuffle_i32x4::<0xdd>(fours[8 + column], fours[12 + column]);
        columns[column] = _mm512_shuffle_i32x4::<0x88>(upper_even, lower_even);
        columns[4 + column] = _mm512_shuffle_i32x4::<0x88>(upper_odd, lower_odd);
        columns[8 + column] = _mm512_shuffle_i32x4::<0xdd>(upper_even, lower_even);
        columns[12 + column] = _mm512_shuffle_i32x4::<0xdd>(upper_odd, lower_odd);
    }
    columns
}

#[target_feature(enable = "avx2")]
fn avx2(states: &mut [[u32; 4]; 8], data: &[&[u8]; 8]) {
    #[target_feature(enable = "avx2")]
    fn f(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
        _mm256_xor_si256(d, _mm256_and_si256(b, _mm256_xor_si256(c, d)))
    }
    #[target_feature(enable = "avx2")]
    fn g(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
        _mm256_xor_si256(c, _mm256_and_si256(d, _mm256_xor_si256(b, c)))
    }
    #[target_feature(enable = "avx2")]
    fn h(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
        _mm256_xor_si256(b, _mm256_xor_si256(c, d))
    }
    #[target_feature(enable = "avx2")]
    fn i(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
        let not_d = _mm256_xor_si256(d, _mm256_set1_epi32(-1));
        _mm256_xor_si256(c, _mm256_or_si256(b, not_d))
    }
    #[target_feature(enable = "avx2")]
    fn rotate<const BY: i32>(word: __m256i) -> __m256i {
        let (by, back) = (_mm_cvtsi32_si128(BY), _mm_cvtsi32_si128(32 - BY));
        _mm256_or_si256(_mm256_sll_epi32(word, by), _mm256_srl_epi32(word, back))
    }
    let word = |number: usize| {
        let words: [u32; 8] = std::array::from_fn(|lane| states[lane][number]);
        // SAFETY: the array has the vector's 32 bytes, and the load needs no alignment.
        unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
    };
    let (mut a, mut b, mut c, mut d) = (word(0), word(1), word(2), word(3));
    let blocks = data.iter().map(|data| data.len()).min().unwrap_or(0) / BLOCK;
    for block in 0..blocks {
        let half = |from: usize| {
            let rows: [__m256i; 8] = std::array::from_fn(|lane| {
                let bytes = &data[lane][block * BLOCK + from..][..BLOCK / 2];
                // SAFETY: the slice has the vector's 32 bytes, and the load needs no alignment.
                unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
            });
            transpose_8(&rows)
        };
        let halves = [half(0), half(BLOCK / 2)];
        let w = halves.as_flattened();
        let before = (a, b, c, d);
        steps!(a b c d, w, _mm256_add_epi32, _mm256_set1_epi32, rotate, f g h i);
        a = _mm256_add_epi32(a, before.0);
        b = _mm256_add_epi32(b, before.1);
        c = _mm256_add_epi32(c, before.2);
        d = _mm256_add_epi32(d, before.3);
    }
    for (number, vector) in [a, b, c, d].into_iter().enumerate() {
        let mut words = [0u32; 8];
        // SAFETY: the array has the vector's 32 bytes, and the store needs no alignment.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) };
        states.iter_mut().zip(words).for_each(|(state, word)| state[number] = word);
    }
}

/// From eight rows of eight words to the columns.
#[target_feature(enable = "avx2")]
fn transpose_8(rows: &[__m256i; 8]) -> [__m256i; 8] {
    let mut pairs = *rows;
    for row in (0..8).step_by(2) {
        pairs[row] = _mm256_unpacklo_epi32(rows[row], rows[row + 1]);
        pairs[row + 1] = _mm256_unpackhi_epi32(rows[row], rows[row + 1]);
    }
    // In `fours[4 * i + j]`, half `q` has column `4 * q + j` of the rows from `4 * i` on.
    let mut fours = pairs;
    for row in (0..8).step_by(4) {
        fours[row] = _mm256_unpacklo_epi64(pairs[row], pairs[row + 2]);
        fours[row + 1] = _mm256_unpackhi_epi64(pairs[row], pairs[row + 2]);
        fours[row + 2] = _mm256_unpacklo_epi64(pairs[row + 1], pairs[row + 3]);
        fours[row + 3] = _mm256_unpackhi_epi64(pairs[row + 1], pairs[row + 3]);
    }
    let mut columns = fours;
    for column in 0..4 {
        columns[column] = _mm256_permute2x128_si256::<0x20>(fours[column], fours[4 + column]);
        columns[4 + column] = _mm256_permute2x128_si256::<0x31>(fours[column], fours[4 + column]);
    }
    columns
}
