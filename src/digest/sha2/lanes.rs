//! The blocks of SHA-256 and SHA-512 (FIPS 180-4, 6.2 and 6.4) on vectors of any kind.

use super::constants::{K256, K512};
use crate::digest::lanes::vector::Vector;
use crate::digest::lanes::{MOST_LANES, addresses};

/// A word, and what the hash of these words does: SHA-256 has words of 32 bits, SHA-512 of 64.
pub(super) trait Sha2Word: Copy + 'static {
    /// By how many places the large sigmas rotate.
    const LARGE: [[u32; 3]; 2];
    /// By how many places the small sigmas rotate, twice, and shift.
    const SMALL: [[u32; 3]; 2];
    /// One for each round.
    const CONSTANTS: &'static [Self];
}

impl Sha2Word for u32 {
    const LARGE: [[u32; 3]; 2] = [[2, 13, 22], [6, 11, 25]];
    const SMALL: [[u32; 3]; 2] = [[7, 18, 3], [17, 19, 10]];
    const CONSTANTS: &'static [u32] = &K256;
}

impl Sha2Word for u64 {
    const LARGE: [[u32; 3]; 2] = [[28, 34, 39], [14, 18, 41]];
    const SMALL: [[u32; 3]; 2] = [[1, 8, 7], [19, 61, 6]];
    const CONSTANTS: &'static [u64] = &K512;
}

#[inline(always)]
fn large<V: Vector>(word: V, by: [u32; 3]) -> V {
    word.rotate_right(by[0]).parity(word.rotate_right(by[1]), word.rotate_right(by[2]))
}

#[inline(always)]
fn small<V: Vector>(word: V, by: [u32; 3]) -> V {
    word.rotate_right(by[0]).parity(word.rotate_right(by[1]), word.shift_right(by[2]))
}

/// Sixteen rounds. After eight, all words have their first names again.
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

/// Processes each lane's data, a whole number of blocks that is the same for all, and updates its state. Idle lanes repeat
/// the first one's work.
///
/// # Safety
/// The processor, and the function that this becomes part of, have the features of `V`.
#[inline(always)]
pub(super) unsafe fn run<V: Vector<Word: Sha2Word>>(states: &mut [[V::Word; 8]], data: &[&[u8]]) {
    let quarter_block = 4 * size_of::<V::Word>();
    let (addresses, blocks) = addresses(data, 4 * quarter_block);
    let words = |number: usize| {
        let of_lane = |lane| states.get(lane).unwrap_or(&states[0])[number];
        V::load(&std::array::from_fn::<_, MOST_LANES, _>(of_lane))
    };
    let mut state: [V; 8] = std::array::from_fn(words);
    for block in 0..blocks {
        let mut w = [V::splat(V::Word::default()); 16];
        for quarter in 0..4 {
            // SAFETY: each lane has this block: there are as many as the shortest has.
            let words = unsafe { V::four_words(&addresses, (4 * block + quarter) * quarter_block) };
            for (word, column) in words.into_iter().enumerate() {
                // The compiler would merge swapping with the last exchange of words, and make more operations of it.
                w[4 * quarter + word] = column.opaque().swap_bytes();
            }
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        macro_rules! round {
            ($constants:ident $at:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
                let constant = V::splat($constants[$at]);
                let sum = $h.add(w[$at].add(constant)).add(large($e, V::Word::LARGE[1])).add($e.choose($f, $g));
                $d = $d.add(sum);
                $h = sum.add(large($a, V::Word::LARGE[0]).add($a.majority($b, $c)));
            };
        }
        let (first, later) = V::Word::CONSTANTS.split_at(16);
        macro_rules! first {
            ($at:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
                round!(first $at, $a $b $c $d $e $f $g $h);
            };
        }
        rounds!(first a b c d e f g h);
        for constants in later.chunks_exact(16) {
            macro_rules! next {
                ($at:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
                    let old = w[$at].add(small(w[($at + 1) % 16], V::Word::SMALL[0])).add(w[($at + 9) % 16]);
                    w[$at] = old.add(small(w[($at + 14) % 16], V::Word::SMALL[1]));
                    round!(constants $at, $a $b $c $d $e $f $g $h);
                };
            }
            rounds!(next a b c d e f g h);
        }
        for (number, word) in [a, b, c, d, e, f, g, h].into_iter().enumerate() {
            state[number] = state[number].add(word);
        }
    }
    for (number, vector) in state.into_iter().enumerate() {
        let mut words = [V::Word::default(); MOST_LANES];
        vector.store(&mut words);
        states.iter_mut().zip(words).for_each(|(state, word)| state[number] = word);
    }
}
