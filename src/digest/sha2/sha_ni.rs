//! SHA-256 with the SHA instructions of x86-64: several streams at once, so that the others proceed while one waits for
//! the result of its last two rounds.

use std::arch::x86_64::*;

use super::constants::K256;

/// Processes each stream's data, a whole number of blocks that is the same for all, and updates its state. If there are
/// fewer than `N` streams, the idle lanes repeat the first one's work.
///
/// # Safety
/// The processor has the features.
#[allow(clippy::needless_range_loop, reason = "loops over indices are inlined in any build, closures are not")]
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub(super) unsafe fn run<const N: usize>(states: &mut [[u32; 8]], data: &[&[u8]]) {
    let mut words: [[__m128i; 2]; N] = std::array::from_fn(|lane| load(states.get(lane).unwrap_or(&states[0])));
    let lanes: [&[[u8; 64]]; N] = std::array::from_fn(|lane| data.get(lane).unwrap_or(&data[0]).as_chunks().0);
    let blocks = lanes.iter().map(|blocks| blocks.len()).min().unwrap_or(0);
    for block in 0..blocks {
        let before = words;
        let mut w = [[_mm_setzero_si128(); 4]; N];
        for lane in 0..N {
            w[lane] = quarters(&lanes[lane][block]);
        }
        // Four rounds at a time; the last sixteen need no words after them.
        macro_rules! four_rounds {
            ($at:expr) => {
                for lane in 0..N {
                    let [abef, cdgh] = &mut words[lane];
                    let constants: &[u32; 4] = K256[4 * $at..][..4].try_into().expect("there are four");
                    // SAFETY: the array has the load's sixteen bytes; it needs no alignment.
                    let constants = unsafe { _mm_loadu_si128(constants.as_ptr().cast()) };
                    let sums = _mm_add_epi32(w[lane][$at % 4], constants);
                    *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, sums);
                    *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32::<0x0e>(sums));
                    if $at < 12 {
                        let of_lane = &w[lane];
                        let (w0, w1) = (of_lane[$at % 4], of_lane[($at + 1) % 4]);
                        let (w2, w3) = (of_lane[($at + 2) % 4], of_lane[($at + 3) % 4]);
                        let w9 = _mm_alignr_epi8::<4>(w3, w2);
                        let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), w9);
                        w[lane][$at % 4] = _mm_sha256msg2_epu32(sum, w3);
                    }
                }
            };
        }
        four_rounds!(0);
        four_rounds!(1);
        four_rounds!(2);
        four_rounds!(3);
        four_rounds!(4);
        four_rounds!(5);
        four_rounds!(6);
        four_rounds!(7);
        four_rounds!(8);
        four_rounds!(9);
        four_rounds!(10);
        four_rounds!(11);
        four_rounds!(12);
        four_rounds!(13);
        four_rounds!(14);
        four_rounds!(15);
        for lane in 0..N {
            for half in 0..2 {
                words[lane][half] = _mm_add_epi32(words[lane][half], before[lane][half]);
            }
        }
    }
    states.iter_mut().zip(words).for_each(|(state, words)| *state = store(words));
}

/// The sixteen words of a block.
#[target_feature(enable = "ssse3")]
fn quarters(block: &[u8; 64]) -> [__m128i; 4] {
    let swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    let mut quarters = [_mm_setzero_si128(); 4];
    for (quarter, bytes) in block.as_chunks::<16>().0.iter().enumerate() {
        // SAFETY: the array has the load's sixteen bytes; it needs no alignment.
        quarters[quarter] = _mm_shuffle_epi8(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }, swap);
    }
    quarters
}

/// The instructions expect words a, b, e and f in one register and c, d, g and h in the other, the first of each on top.
#[target_feature(enable = "sse2")]
fn load(state: &[u32; 8]) -> [__m128i; 2] {
    let [a, b, c, d, e, f, g, h] = state.map(|word| word as i32);
    [_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h)]
}

#[target_feature(enable = "sse4.1")]
fn store([abef, cdgh]: [__m128i; 2]) -> [u32; 8] {
    macro_rules! word {
        ($register:ident $at:literal) => {
            _mm_extract_epi32::<$at>($register) as u32
        };
    }
    [
        word!(abef 3),
        word!(abef 2),
        word!(cdgh 3),
        word!(cdgh 2),
        word!(abef 1),
        word!(abef 0),
        word!(cdgh 1),
        word!(cdgh 0),
    ]
}
