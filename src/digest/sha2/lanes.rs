//! The blocks of SHA-256 (FIPS 180-4, 6.2) on vectors of any kind.

use crate::digest::lanes::vector::Vector;
use crate::digest::lanes::{MOST_LANES, addresses};
use crate::digest::stream::BLOCK;

/// By how many places the large sigmas rotate.
const LARGE: [[u32; 3]; 2] = [[2, 13, 22], [6, 11, 25]];
/// By how many places the small sigmas rotate, twice, and shift.
const SMALL: [[u32; 3]; 2] = [[7, 18, 3], [17, 19, 10]];

#[inline(always)]
fn large<V: Vector>(word: V, by: [u32; 3]) -> V {
    word.rotate_right(by[0]).parity(word.rotate_right(by[1]), word.rotate_right(by[2]))
}

#[inline(always)]
fn small<V: Vector>(word: V, by: [u32; 3]) -> V {
    word.rotate_right(by[0]).parity(word.rotate_right(by[1]), word.shift_right(by[2]))
}

/// Sixteen rounds; after eight, all words are called by their first names again.
macro_rules! rounds {
    ($step:ident $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
        rounds!(@eight $step 0, $a $b $c $d $e $f $g $h);
        rounds!(@eight $step 8, $a $b $c $d $e $f $g $h);
    };
    (@eight $step:ident $at:literal, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
        $step!($at, $a $b $c $d $e $f $g $h);
        $step!($at + 1, $h $a $b $c $d $e $f $g);
        $step!($at + 2, $g $h $a $b $c $d $e $f);
        $step!($at + 3, $f $g $h $a $b $c $d $e);
        $step!($at + 4, $e $f $g $h $a $b $c $d);
        $step!($at + 5, $d $e $f $g $h $a $b $c);
        $step!($at + 6, $c $d $e $f $g $h $a $b);
        $step!($at + 7, $b $c $d $e $f $g $h $a);
    };
}

/// Takes each lane's data, a whole number of blocks, as many for each, into its state. Idle lanes repeat the first one's
/// work.
///
/// # Safety
/// The processor, and the function that this becomes part of, have the features of `V`.
#[inline(always)]
pub(super) unsafe fn run<V: Vector>(states: &mut [[u32; 8]], data: &[&[u8]]) {
    let (addresses, blocks) = addresses(data, BLOCK);
    let words = |number: usize| {
        let of_lane = |lane| states.get(lane).unwrap_or(&states[0])[number];
        V::load(&std::array::from_fn::<u32, MOST_LANES, _>(of_lane))
    };
    let mut state: [V; 8] = std::array::from_fn(words);
    for block in 0..blocks {
        let mut w = [V::splat(0); 16];
        for quarter in 0..4 {
            // SAFETY: each lane has this block: there are as many as the shortest has.
            let words = unsafe { V::four_words(&addresses, block * BLOCK + 16 * quarter) };
            w[4 * quarter..][..4].copy_from_slice(&words.map(V::swap_bytes));
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        macro_rules! round {
            ($constants:ident $at:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
                let constant = V::splat($constants[$at]);
                let sum = $h.add(w[$at].add(constant)).add(large($e, LARGE[1])).add($e.choose($f, $g));
                $d = $d.add(sum);
                $h = sum.add(large($a, LARGE[0]).add($a.majority($b, $c)));
            };
        }
        let (first, later) = K256.split_at(16);
        macro_rules! first {
            ($at:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
                round!(first $at, $a $b $c $d $e $f $g $h);
            };
        }
        rounds!(first a b c d e f g h);
        for constants in later.chunks_exact(16) {
            macro_rules! next {
                ($at:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
                    let old = w[$at].add(small(w[($at + 1) % 16], SMALL[0])).add(w[($at + 9) % 16]);
                    w[$at] = old.add(small(w[($at + 14) % 16], SMALL[1]));
                    round!(constants $at, $a $b $c $d $e $f $g $h);
                };
            }
            rounds!(next a b c d e f g h);
        }
        for (word, new) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *word = word.add(new);
        }
    }
    for (number, vector) in state.into_iter().enumerate() {
        let mut words = [0; MOST_LANES];
        vector.store(&mut words);
        states.iter_mut().zip(words).for_each(|(state, word)| state[number] = word);
    }
}

/// The first bits of the fractional parts of the cube roots of the first primes.
#[rustfmt::skip]
pub(super) const K256: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];
