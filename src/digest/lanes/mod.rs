//! Computes many hashes at once in one thread.
//!
//! A hash is a chain of steps, each of which waits for the one before, so that a single hash leaves most of a core idle.
//! A kernel computes one hash in each lane of its vectors, as long as there are enough chains of blocks to fill the lanes.
//! The chains may have any lengths: a lane that has finished one takes the next.

pub(super) mod vector;
#[cfg(target_arch = "x86_64")]
pub(super) mod x86;

use std::time::{Duration, Instant};

/// The most lanes that a kernel has.
pub(super) const MOST_LANES: usize = 16;

/// The address of each lane's data, and how many blocks of `block` bytes the shortest has. Idle lanes have the address of
/// the first one's.
#[inline(always)]
pub(super) fn addresses(data: &[&[u8]], block: usize) -> ([*const u8; MOST_LANES], usize) {
    let blocks = data.iter().map(|data| data.len()).min().unwrap_or(0) / block;
    (std::array::from_fn(|lane| data.get(lane).unwrap_or(&data[0]).as_ptr()), blocks)
}

/// A function that computes blocks in lanes.
pub(super) struct Kernel<W> {
    /// The most chains that it processes at a time.
    pub lanes: usize,
    /// Processes the data of each chain, a whole number of blocks that is the same for all, and updates its state.
    pub run: fn(states: &mut [W], data: &[&[u8]]),
}

/// How long each of these kernels takes for some blocks of `block` bytes in all of its lanes: the shortest of many times,
/// which are measured in rounds over all kernels, as the machine may be busy with something else for a while.
fn times<W: Copy>(kernels: &[&Kernel<W>], start: W, block: usize) -> Vec<Duration> {
    const BLOCKS: usize = 64;
    const ROUNDS: usize = 20;
    let bytes = vec![0; BLOCKS * block];
    let time = |kernel: &Kernel<W>| {
        let mut states = vec![start; kernel.lanes];
        let began = Instant::now();
        (kernel.run)(&mut states, &vec![&bytes[..]; kernel.lanes]);
        began.elapsed()
    };
    let mut times = vec![Duration::MAX; kernels.len()];
    for _ in 0..ROUNDS {
        times.iter_mut().zip(kernels).for_each(|(shortest, kernel)| *shortest = time(kernel).min(*shortest));
    }
    times
}

/// The set whose widest kernel takes the least time per lane. A kernel with more lanes must be faster by a quarter, as
/// fewer lanes are easier to fill. Which set wins depends on the processor's maker; the measurement takes less than a
/// millisecond.
pub(super) fn fastest<W: Copy>(mut sets: Vec<Vec<Kernel<W>>>, start: W, block: usize) -> Vec<Kernel<W>> {
    sets.retain(|set| !set.is_empty());
    sets.sort_by_key(|set| set.last().map(|kernel| kernel.lanes));
    let widest: Vec<_> = sets.iter().filter_map(|set| set.last()).collect();
    let times = times(&widest, start, block);
    let cost = |at: usize| times[at] / widest[at].lanes as u32;
    let better = |best, at| if cost(at) * 5 / 4 < cost(best) { at } else { best };
    let fastest = (0..sets.len()).reduce(better);
    fastest.map(|at| sets.swap_remove(at)).unwrap_or_default()
}

/// The most lanes for which a kernel takes hardly longer than for one.
pub(super) fn lanes_in_time_of_one<W: Copy>(kernels: &[Kernel<W>], start: W, block: usize) -> usize {
    let times = times(&kernels.iter().collect::<Vec<_>>(), start, block);
    let most = times.first().map_or(Duration::ZERO, |first| *first * 9 / 8);
    let free = kernels.iter().zip(times).filter(|(_, time)| *time <= most);
    free.map(|(kernel, _)| kernel.lanes).max().unwrap_or(1)
}

/// Consecutive blocks of one hash's input.
pub(super) struct Chain<'a, W> {
    /// The state before the first block.
    pub start: W,
    pub blocks: &'a [u8],
}

/// A chain that occupies a lane.
struct Lane {
    chain: usize,
    /// How many bytes have been processed.
    done: usize,
}

/// When [`run`] stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// When all chains are done.
    AllDone,
    /// When a chain is done and there is no other to take its lane. What is left can share lanes with others later.
    LaneIdle,
}

/// Processes `chains` of whole blocks until `until`. Passes each one's number, its last state, and how many of its bytes
/// were processed to `at_end`. `kernels` are in ascending order of their lanes, and the first has one.
pub(super) fn run<W: Copy>(
    kernels: &[Kernel<W>],
    chains: &[Chain<'_, W>],
    until: Until,
    mut at_end: impl FnMut(usize, W, usize),
) {
    let widest = kernels.last().map_or(1, |kernel| kernel.lanes);
    // The longest first, so that the lanes become idle at about the same time.
    let (mut waiting, empty): (Vec<usize>, Vec<usize>) =
        (0..chains.len()).partition(|&chain| !chains[chain].blocks.is_empty());
    empty.into_iter().for_each(|chain| at_end(chain, chains[chain].start, 0));
    waiting.sort_by_key(|&chain| chains[chain].blocks.len());
    let all = widest.min(waiting.len());
    let mut lanes: Vec<Lane> = Vec::with_capacity(widest);
    let mut states: Vec<W> = Vec::with_capacity(widest);
    let mut data: Vec<&[u8]> = Vec::with_capacity(widest);
    let left = |lane: &Lane| chains[lane.chain].blocks.len() - lane.done;
    loop {
        while lanes.len() < widest
            && let Some(chain) = waiting.pop()
        {
            lanes.push(Lane { chain, done: 0 });
            states.push(chains[chain].start);
        }
        let is_over = until == Until::LaneIdle && lanes.len() < all;
        let shortest = lanes.iter().map(left).min().filter(|_| !is_over);
        let Some(shortest) = shortest else { break };
        data.clear();
        data.extend(lanes.iter().map(|lane| &chains[lane.chain].blocks[lane.done..lane.done + shortest]));
        let kernel = kernels.iter().find(|kernel| kernel.lanes >= lanes.len()).expect("one kernel is the widest");
        (kernel.run)(&mut states, &data);
        lanes.iter_mut().for_each(|lane| lane.done += shortest);
        for at in (0..lanes.len()).rev().filter(|&at| left(&lanes[at]) == 0).collect::<Vec<_>>() {
            let Lane { chain, done } = lanes.swap_remove(at);
            at_end(chain, states.swap_remove(at), done);
        }
    }
    lanes.into_iter().zip(states).for_each(|(Lane { chain, done }, state)| at_end(chain, state, done));
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Compares `kernel` with an `oracle`, for every number of streams up to that of its lanes.
    pub fn assert_kernel_is_right<W: Copy + PartialEq + std::fmt::Debug, const BLOCK: usize>(
        kernel: &Kernel<W>,
        seed: u64,
        blocks: usize,
        start: W,
        oracle: fn(&mut W, &[[u8; BLOCK]]),
    ) {
        let bytes = testing::noise(seed, blocks * BLOCK + MOST_LANES);
        for streams in 1..=kernel.lanes {
            let data: Vec<&[u8]> = (0..streams).map(|lane| &bytes[lane..][..blocks * BLOCK]).collect();
            let mut expected = vec![start; streams];
            expected.iter_mut().zip(&data).enumerate().for_each(|(lane, (state, data))| {
                oracle(state, &[[lane as u8; BLOCK]]);
                oracle(state, data.as_chunks().0);
            });
            let mut states = vec![start; streams];
            states.iter_mut().enumerate().for_each(|(lane, state)| oracle(state, &[[lane as u8; BLOCK]]));
            (kernel.run)(&mut states, &data);
            assert_eq!(states, expected, "{streams} streams in {} lanes", kernel.lanes);
        }
    }

    /// A hash of blocks of four bytes, in lanes that check what they receive.
    fn toy<const LANES: usize>() -> Kernel<u64> {
        fn run<const LANES: usize>(states: &mut [u64], data: &[&[u8]]) {
            assert!((1..=LANES).contains(&states.len()) && states.len() == data.len());
            for (state, data) in states.iter_mut().zip(data) {
                *state = toy_hash(*state, data);
            }
        }
        Kernel { lanes: LANES, run: run::<LANES> }
    }

    fn toy_hash(state: u64, data: &[u8]) -> u64 {
        assert!(data.len().is_multiple_of(4));
        data.iter().fold(state, |state, &byte| state.wrapping_mul(31).wrapping_add(byte.into()))
    }

    proptest! {
        #[test]
        fn every_chain_is_taken_to_its_end_once(lengths in prop::collection::vec(0usize..25, 0..20)) {
            let bytes: Vec<u8> = (0..100).collect();
            let chain = |(number, length): (usize, &usize)| Chain { start: number as u64, blocks: &bytes[..4 * length] };
            let chains: Vec<_> = lengths.iter().enumerate().map(chain).collect();
            let mut ends = Vec::new();
            let kernels = [toy::<1>(), toy::<3>(), toy::<5>()];
            run(&kernels, &chains, Until::AllDone, |chain, state, done| ends.push((chain, state, done)));
            ends.sort_unstable();
            let end = |(number, chain): (usize, &Chain<'_, u64>)| {
                (number, toy_hash(chain.start, chain.blocks), chain.blocks.len())
            };
            prop_assert_eq!(ends, chains.iter().enumerate().map(end).collect::<Vec<_>>());
        }

        #[test]
        fn chains_that_stop_when_a_lane_is_idle_have_the_states_of_the_bytes_that_were_processed(lengths in prop::collection::vec(0usize..25, 0..20)) {
            let bytes: Vec<u8> = (0..100).collect();
            let chain = |(number, length): (usize, &usize)| Chain { start: number as u64, blocks: &bytes[..4 * length] };
            let chains: Vec<_> = lengths.iter().enumerate().map(chain).collect();
            let mut stops = Vec::new();
            let kernels = [toy::<1>(), toy::<3>(), toy::<5>()];
            run(&kernels, &chains, Until::LaneIdle, |chain, state, done| stops.push((chain, state, done)));
            stops.sort_unstable();
            prop_assert!(stops.iter().map(|stop| stop.0).eq(0..chains.len()));
            for &(chain, state, done) in &stops {
                prop_assert_eq!(state, toy_hash(chain as u64, &chains[chain].blocks[..done]));
            }
            // At least one is done, and fewer than there are lanes are left.
            let left = stops.iter().filter(|(chain, _, done)| *done < chains[*chain].blocks.len()).count();
            prop_assert!(left < 5 && (left == 0 || left < chains.len()));
        }
    }
}
