//! The blocks of MD5 (RFC 1321, 3.4) on vectors of any kind.

use super::Md5;
use crate::digest::lanes::vector::{Two, Vector};
use crate::digest::lanes::{Kernel, MOST_LANES, addresses};
use crate::digest::stream::BlockHash;

/// The constants of the 64 steps: the whole part of 2^32 times the absolute sine of 1 to 64.
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

/// Each `$mix` adds a round's function of `b`, `c` and `d` to a sum. What depends on `b`, the last step's result, comes
/// last: the steps form one chain, whose length determines how long a block takes.
#[inline(always)]
fn f<V: Vector>(sum: V, b: V, c: V, d: V) -> V {
    sum.add(b.choose(c, d))
}

#[inline(always)]
fn g<V: Vector>(sum: V, b: V, c: V, d: V) -> V {
    if V::TERNARY {
        return sum.add(d.choose(b, c));
    }
    // The two halves have no bit in common, so adding them is the same as `or`.
    sum.add(d.not_and(c)).add(d.and(b))
}

#[inline(always)]
fn h<V: Vector>(sum: V, b: V, c: V, d: V) -> V {
    sum.add(b.parity(c, d))
}

#[inline(always)]
fn i<V: Vector>(sum: V, b: V, c: V, d: V) -> V {
    sum.add(c.xor_or_not(b, d))
}

/// The sixteen steps of one of the four rounds. `$w` has the block's 16 words.
macro_rules! round {
    (0, $a:ident $b:ident $c:ident $d:ident, $w:ident) => {
        round!(@round $a $b $c $d, $w, f, 0, 1, 0, 7 12 17 22);
    };
    (1, $a:ident $b:ident $c:ident $d:ident, $w:ident) => {
        round!(@round $a $b $c $d, $w, g, 16, 5, 1, 5 9 14 20);
    };
    (2, $a:ident $b:ident $c:ident $d:ident, $w:ident) => {
        round!(@round $a $b $c $d, $w, h, 32, 3, 5, 4 11 16 23);
    };
    (3, $a:ident $b:ident $c:ident $d:ident, $w:ident) => {
        round!(@round $a $b $c $d, $w, i, 48, 7, 0, 6 10 15 21);
    };
    (@round $a:ident $b:ident $c:ident $d:ident, $w:ident, $mix:ident, $first:expr, $factor:expr, $offset:expr, $($by:literal)*) => {
        round!(@four $a $b $c $d, $w, $mix, $first, $factor, $offset, 0, $($by)*);
        round!(@four $a $b $c $d, $w, $mix, $first, $factor, $offset, 4, $($by)*);
        round!(@four $a $b $c $d, $w, $mix, $first, $factor, $offset, 8, $($by)*);
        round!(@four $a $b $c $d, $w, $mix, $first, $factor, $offset, 12, $($by)*);
    };
    (@four $a:ident $b:ident $c:ident $d:ident, $w:ident, $mix:ident, $first:expr, $factor:expr, $offset:expr, $at:expr, $r0:literal $r1:literal $r2:literal $r3:literal) => {
        round!(@step $a $b $c $d, $mix, $w[($at * $factor + $offset) % 16], $first + $at, $r0);
        round!(@step $d $a $b $c, $mix, $w[(($at + 1) * $factor + $offset) % 16], $first + $at + 1, $r1);
        round!(@step $c $d $a $b, $mix, $w[(($at + 2) * $factor + $offset) % 16], $first + $at + 2, $r2);
        round!(@step $b $c $d $a, $mix, $w[(($at + 3) * $factor + $offset) % 16], $first + $at + 3, $r3);
    };
    // A step leaves its result in `$a`; the next one has the same four words under names moved by one.
    (@step $a:ident $b:ident $c:ident $d:ident, $mix:ident, $word:expr, $number:expr, $by:literal) => {
        let sum = $a.add($word.add(V::splat(SINES[$number]))).opaque();
        $a = $b.add($mix(sum, $b, $c, $d).rotate_left($by));
    };
}

/// Processes each lane's data, a whole number of blocks that is the same for all, and updates its state. Idle lanes repeat
/// the first one's work.
///
/// # Safety
/// The processor, and the function that this is inlined into, have the features of `V`.
#[inline(always)]
pub(super) unsafe fn run<V: Vector<Word = u32>>(states: &mut [[u32; 4]], data: &[&[u8]]) {
    const BLOCK: usize = Md5::BLOCK;
    let (addresses, blocks) = addresses(data, BLOCK);
    let words = |number: usize| {
        let of_lane = |lane| states.get(lane).unwrap_or(&states[0])[number];
        V::load(&std::array::from_fn::<_, MOST_LANES, _>(of_lane))
    };
    let (mut a, mut b, mut c, mut d) = (words(0), words(1), words(2), words(3));
    macro_rules! fetch {
        ($w:ident, $quarter:literal of $block:expr) => {
            // SAFETY: each lane has the block, as the shortest has this many.
            let words = unsafe { V::four_words(&addresses, $block * BLOCK + 16 * $quarter) };
            [$w[4 * $quarter], $w[4 * $quarter + 1], $w[4 * $quarter + 2], $w[4 * $quarter + 3]] = words;
        };
    }
    if blocks == 0 {
        return;
    }
    let mut w = [V::splat(0); 16];
    fetch!(w, 0 of 0);
    fetch!(w, 1 of 0);
    fetch!(w, 2 of 0);
    fetch!(w, 3 of 0);
    for block in 0..blocks {
        let before = (a, b, c, d);
        // The processor sees only a few steps ahead. So the work for the time in which these wait for each other, the
        // transposition of the next block's words, is placed among them.
        let mut next = w;
        let next_block = (block + 1).min(blocks - 1);
        round!(0, a b c d, w);
        fetch!(next, 0 of next_block);
        round!(1, a b c d, w);
        fetch!(next, 1 of next_block);
        round!(2, a b c d, w);
        fetch!(next, 2 of next_block);
        round!(3, a b c d, w);
        fetch!(next, 3 of next_block);
        w = next;
        a = a.add(before.0);
        b = b.add(before.1);
        c = c.add(before.2);
        d = d.add(before.3);
    }
    for (number, vector) in [a, b, c, d].into_iter().enumerate() {
        let mut words = [0; MOST_LANES];
        vector.store(&mut words);
        states.iter_mut().zip(words).for_each(|(state, word)| state[number] = word);
    }
}

/// The kernels of every machine. Two streams keep a core busy if it has enough registers for them.
pub(super) fn portable() -> Vec<Kernel<[u32; 4]>> {
    fn one(states: &mut [[u32; 4]], data: &[&[u8]]) {
        // SAFETY: every processor has words.
        unsafe { run::<u32>(states, data) }
    }
    fn two(states: &mut [[u32; 4]], data: &[&[u8]]) {
        // SAFETY: every processor has words.
        unsafe { run::<Two<u32>>(states, data) }
    }
    vec![Kernel { lanes: 1, run: one }, Kernel { lanes: 2, run: two }]
}
