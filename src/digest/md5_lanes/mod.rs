//! MD5 of many byte strings at once.
//!
//! One MD5 is a chain of steps that wait for each other, so a core that computes one leaves most of itself idle.
//! A kernel computes one in each 32-bit lane of its vectors, as long as there are enough strings to fill the lanes.
//! The strings may have any lengths: a lane that is done with one takes the next.

#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::LazyLock;

use md5::block_api::compress;

/// What is to be summed.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    pub data: &'a [u8],
    /// Sums are taken of this many first bytes, each; they ascend, and none is greater than the data's length.
    pub lengths: &'a [usize],
}

/// The state before the first block (RFC 1321, 3.3).
const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// Bytes of a block.
const BLOCK: usize = 64;

/// The most lanes that a kernel has.
const MOST_LANES: usize = 16;

/// Computes blocks in lanes.
struct Kernel {
    lanes: usize,
    /// Takes each lane's state, four words, and the data of each lane, a whole number of blocks, of all lanes alike.
    run: fn(states: &mut [[u32; 4]], data: &[&[u8]]),
}

/// The fastest kernel of this machine.
static KERNEL: LazyLock<Kernel> = LazyLock::new(|| {
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = x86::kernel() {
        return kernel;
    }
    PORTABLE
});

/// The kernel of every machine.
const PORTABLE: Kernel = Kernel { lanes: 1, run: run_one_by_one };

fn run_one_by_one(states: &mut [[u32; 4]], data: &[&[u8]]) {
    for (state, data) in states.iter_mut().zip(data) {
        compress(state, data.as_chunks().0);
    }
}

/// For each job its sums, in the order of its lengths.
pub fn sums(jobs: &[Job<'_>]) -> Vec<Vec<[u8; 16]>> {
    sums_with(&KERNEL, jobs)
}

/// A job in work.
#[derive(Clone, Copy)]
struct Lane {
    job: usize,
    /// Which of the job's lengths comes next.
    next: usize,
    /// How many bytes went into the state: whole blocks.
    done: usize,
}

fn sums_with(kernel: &Kernel, jobs: &[Job<'_>]) -> Vec<Vec<[u8; 16]>> {
    let mut sums: Vec<Vec<[u8; 16]>> = jobs.iter().map(|job| Vec::with_capacity(job.lengths.len())).collect();
    // The longest first, so that the lanes run dry at about the same time.
    let mut waiting: Vec<usize> = (0..jobs.len()).collect();
    waiting.sort_by_key(|&job| jobs[job].lengths.last());
    let mut lanes: Vec<Lane> = Vec::with_capacity(kernel.lanes);
    let mut states: Vec<[u32; 4]> = Vec::with_capacity(kernel.lanes);
    loop {
        let mut at = 0;
        while at < lanes.len() {
            if finish_due(&mut lanes[at], &states[at], jobs, &mut sums) {
                lanes.swap_remove(at);
                states.swap_remove(at);
            } else {
                at += 1;
            }
        }
        while lanes.len() < kernel.lanes
            && let Some(job) = waiting.pop()
        {
            let mut lane = Lane { job, next: 0, done: 0 };
            if !finish_due(&mut lane, &START, jobs, &mut sums) {
                lanes.push(lane);
                states.push(START);
            }
        }
        let blocks = |lane: &Lane| (jobs[lane.job].lengths[lane.next] - lane.done) / BLOCK;
        let Some(shortest) = lanes.iter().map(blocks).min() else { return sums };
        let data = |lane: &Lane| &jobs[lane.job].data[lane.done..lane.done + shortest * BLOCK];
        if lanes.len() == 1 {
            run_one_by_one(&mut states, &[data(&lanes[0])]);
        } else {
            // Idle lanes repeat the first one's work.
            let mut of_lanes = [data(&lanes[0]); MOST_LANES];
            lanes.iter().zip(&mut of_lanes).for_each(|(lane, of_lane)| *of_lane = data(lane));
            let mut all = [states[0]; MOST_LANES];
            all[..states.len()].copy_from_slice(&states);
            (kernel.run)(&mut all[..kernel.lanes], &of_lanes[..kernel.lanes]);
            let active = states.len();
            states.copy_from_slice(&all[..active]);
        }
        lanes.iter_mut().for_each(|lane| lane.done += shortest * BLOCK);
    }
}

/// Takes the sums that need no further whole block. `true` if they were the job's last.
fn finish_due(lane: &mut Lane, state: &[u32; 4], jobs: &[Job<'_>], sums: &mut [Vec<[u8; 16]>]) -> bool {
    let Job { data, lengths } = jobs[lane.job];
    while let Some(&length) = lengths.get(lane.next) {
        if length - lane.done >= BLOCK {
            return false;
        }
        sums[lane.job].push(finish(*state, &data[lane.done..length], length));
        lane.next += 1;
    }
    true
}

/// The sum of `length` bytes: those of whole blocks are in `state`, `rest` are the others.
fn finish(mut state: [u32; 4], rest: &[u8], length: usize) -> [u8; 16] {
    let mut last = [[0; BLOCK]; 2];
    last.as_flattened_mut()[..rest.len()].copy_from_slice(rest);
    last.as_flattened_mut()[rest.len()] = 0x80;
    let blocks = if rest.len() < BLOCK - 8 { 1 } else { 2 };
    let bits = (length as u64).wrapping_mul(8);
    last[blocks - 1][BLOCK - 8..].copy_from_slice(&bits.to_le_bytes());
    compress(&mut state, &last[..blocks]);
    let mut sum = [0; 16];
    sum.as_chunks_mut().0.iter_mut().zip(state).for_each(|(bytes, word)| *bytes = word.to_le_bytes());
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use md5::Digest as _;
    use proptest::prelude::*;

    fn assert_kernel_is_right(kernel: &Kernel, data: &[u8], cuts: &[(usize, Vec<usize>)]) {
        let lengths: Vec<Vec<usize>> = cuts
            .iter()
            .map(|(from, lengths)| {
                let mut lengths: Vec<usize> = lengths.iter().map(|length| length % (data.len() - from + 1)).collect();
                lengths.sort_unstable();
                lengths
            })
            .collect();
        let jobs: Vec<Job> =
            cuts.iter().zip(&lengths).map(|((from, _), lengths)| Job { data: &data[*from..], lengths }).collect();
        let expected: Vec<Vec<[u8; 16]>> = jobs
            .iter()
            .map(|job| job.lengths.iter().map(|&length| md5::Md5::digest(&job.data[..length]).into()).collect())
            .collect();
        assert_eq!(sums_with(kernel, &jobs), expected);
    }

    fn data() -> Vec<u8> {
        (0..5000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
    }

    fn cuts() -> impl Strategy<Value = Vec<(usize, Vec<usize>)>> {
        prop::collection::vec((0usize..900, prop::collection::vec(0usize..5000, 0..4)), 0..50)
    }

    proptest! {
        #[test]
        fn the_portable_kernel_sums_as_md5_does(cuts in cuts()) {
            assert_kernel_is_right(&PORTABLE, &data(), &cuts);
        }

        #[test]
        fn every_kernel_of_this_machine_sums_as_md5_does(cuts in cuts()) {
            #[cfg(target_arch = "x86_64")]
            for kernel in x86::kernels() {
                assert_kernel_is_right(&kernel, &data(), &cuts);
            }
            assert_kernel_is_right(&KERNEL, &data(), &cuts);
        }
    }
}
