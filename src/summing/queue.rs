//! What waits to be summed, and what of it a task takes.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use jigdo::Algorithm;

use super::{RangeSums, Request, Source, Ticket};
use crate::digest::{self, Hasher};
use crate::file::Mapped;

/// The most that a task takes of one chain, in bytes.
const PIECE: u64 = 1 << 20;

/// The most pieces that a task takes: each is a window of its file.
const MOST_PIECES: usize = 1024;

/// The sums of a file in the making, all of the same bytes.
pub struct Chain {
    source: Source,
    /// Whether the file was opened for this chain alone, and is to be checked at its end.
    is_own: bool,
    /// The offset of the next byte.
    pub at: u64,
    pub hashers: Vec<Hasher>,
    pub spent: Duration,
    pub error: Option<io::Error>,
}

impl Chain {
    /// A chain that begins at an offset.
    pub fn new(source: Source, at: u64, hashers: Vec<Hasher>) -> Self {
        Self { source, is_own: false, at, hashers, spent: Duration::ZERO, error: None }
    }

    /// The file, opened if it was not; `None` if that cannot be done, which is the chain's error then.
    pub fn open(&mut self) -> Option<Arc<Mapped>> {
        match &self.source {
            Source::Open(file) => Some(Arc::clone(file)),
            Source::Closed(place) => match Mapped::open(&place.0).map(Mapped::closed) {
                Ok(file) if file.stamp() == place.1 => {
                    let file = Arc::new(file);
                    (self.source, self.is_own) = (Source::Open(Arc::clone(&file)), true);
                    Some(file)
                }
                Ok(_) => self.fail(io::Error::other("it changed before it was read")),
                Err(error) => self.fail(error),
            },
        }
    }

    fn fail(&mut self, error: io::Error) -> Option<Arc<Mapped>> {
        self.error = Some(error);
        None
    }
}

/// A file that is summed as far as is allowed.
pub struct Long {
    /// `None` while a task has it.
    pub chain: Option<Chain>,
    /// Up to where it is summed.
    pub at: u64,
    pub limit: u64,
    /// Whether somebody waits for it.
    pub is_awaited: bool,
}

impl Long {
    fn is_ready(&self) -> bool {
        self.chain.is_some() && self.at < self.limit
    }
}

/// A request in work.
pub struct Short {
    /// Requests that came together have one number.
    batch: u64,
    chain: Chain,
    /// The next one last.
    ends: Vec<u64>,
    sums: Vec<RangeSums>,
    ticket: Arc<Ticket>,
}

impl Short {
    fn left(&self) -> u64 {
        self.ends.first().map_or(0, |end| end - self.chain.at)
    }
}

/// The oldest first, as somebody waits for them; of these the longest first, so that the last ones are short.
impl Ord for Short {
    fn cmp(&self, other: &Self) -> Ordering {
        other.batch.cmp(&self.batch).then(self.left().cmp(&other.left()))
    }
}

impl PartialOrd for Short {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Short {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Short {}

/// Pieces that are summed side by side.
pub struct Task {
    pub pieces: Vec<Piece>,
    algorithm: Algorithm,
    pub is_main: bool,
}

/// What a task takes of a chain: the bytes up to `end`.
pub struct Piece {
    work: Work,
    end: u64,
}

/// Whose chain it is.
pub enum Work {
    Long(u64, Chain),
    Short(Short),
}

impl Piece {
    pub fn chain(&mut self) -> &mut Chain {
        match &mut self.work {
            Work::Long(_, chain) | Work::Short(Short { chain, .. }) => chain,
        }
    }

    pub fn range(&mut self) -> Range<u64> {
        self.chain().at..self.end
    }

    /// Notes how many bytes of the piece are in the sums, or why it is not, and how long that took.
    pub fn done(&mut self, error: Option<io::Error>, taken: usize, spent: Duration) {
        let is_lost = error.is_some() || self.chain().error.is_some();
        let end = if is_lost { self.end } else { self.chain().at + taken as u64 };
        let is_last = matches!(&self.work, Work::Short(short) if short.ends.first() == Some(&end));
        let chain = self.chain();
        chain.at = end;
        chain.spent += spent;
        chain.error = chain.error.take().or(error);
        if let Source::Open(file) = &chain.source
            && chain.error.is_none()
            && chain.is_own
            && is_last
        {
            chain.error = file.intact().err();
            file.release(0..end);
        }
    }
}

/// Everything that waits, by the algorithm that is to be computed in lanes.
pub struct Queues {
    threads: usize,
    /// How many tasks the pool has, waiting or at work.
    pub tasks: usize,
    queues: BTreeMap<Algorithm, Queue>,
    /// For the next long file, or the next batch of requests.
    next_number: u64,
}

/// What waits for the lanes of one algorithm.
#[derive(Default)]
struct Queue {
    longs: BTreeMap<u64, Long>,
    shorts: BinaryHeap<Short>,
    /// Whether the main task is at work. It takes whatever there is, however little; others take what fills their lanes.
    /// So the lanes of one task are filled before there is another.
    has_main: bool,
}

impl Queue {
    /// How many long files one task takes: half of the threads are enough for all of them. The fewer a task has, the
    /// sooner they are done; the more, the less they cost.
    fn share(&self, algorithm: Algorithm, threads: usize) -> usize {
        (2 * self.longs.len()).div_ceil(threads.max(1)).clamp(1, digest::streams_at_once(algorithm))
    }

    /// How many tasks would find something to do, beside those that are at work.
    fn tasks(&self, algorithm: Algorithm, threads: usize) -> usize {
        let ready = self.longs.values().filter(|long| long.is_ready()).count();
        let full = ready / self.share(algorithm, threads) + self.shorts.len() / digest::streams_at_once(algorithm);
        let is_main_due = !self.has_main && (ready > 0 || !self.shorts.is_empty());
        full.max(usize::from(is_main_due))
    }

    /// A task with as many chains as fill the lanes, as far as there are any; long files first, as nothing makes up for
    /// the time in which they do not advance.
    fn take(&mut self, algorithm: Algorithm, threads: usize) -> Option<Task> {
        let (is_main, lanes, share) =
            (!self.has_main, digest::streams_at_once(algorithm), self.share(algorithm, threads));
        let mut ready: Vec<_> = self.longs.iter_mut().filter(|(_, long)| long.is_ready()).collect();
        if !is_main && ready.len() < share {
            ready.clear();
        }
        if ready.is_empty() && (self.shorts.is_empty() || !is_main && self.shorts.len() < lanes) {
            return None;
        }
        // Where there are few long files for each thread, they are what is waited for in the end: others may go along,
        // but not slow them down.
        let lanes = match ready.is_empty() || ready.len() > 2 * threads {
            true => lanes,
            false => digest::streams_in_time_of_one(algorithm),
        };
        ready.sort_by_key(|(_, long)| (!long.is_awaited, long.at));
        let piece = |(&number, long): (&u64, &mut Long)| {
            let end = long.limit.min(long.at + PIECE);
            Some(Piece { work: Work::Long(number, long.chain.take()?), end })
        };
        let mut pieces: Vec<Piece> = ready.into_iter().take(share).filter_map(piece).collect();
        let mut bytes = PIECE * pieces.len() as u64;
        while (pieces.len() < lanes || bytes < PIECE * lanes as u64)
            && pieces.len() < MOST_PIECES
            && let Some(short) = self.shorts.pop()
        {
            let end = short.ends.last().map_or(short.chain.at, |end| *end.min(&(short.chain.at + PIECE)));
            bytes += end - short.chain.at;
            pieces.push(Piece { work: Work::Short(short), end });
        }
        self.has_main = true;
        Some(Task { pieces, algorithm, is_main })
    }
}

impl Queues {
    pub fn new(threads: usize) -> Self {
        Self { threads, tasks: 0, queues: BTreeMap::new(), next_number: 0 }
    }

    /// Whether the pool should have one more task.
    pub fn wants_task(&self) -> bool {
        let tasks =
            |(&algorithm, queue): (_, &Queue)| queue.tasks(algorithm, self.threads) + usize::from(queue.has_main);
        self.tasks < self.threads && self.tasks < self.queues.iter().map(tasks).sum()
    }

    /// A number that nothing else has.
    pub fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Takes in a request of a batch. What computes its first sum decides with whom it shares lanes.
    pub fn add(&mut self, batch: u64, request: Request, ticket: Arc<Ticket>) {
        let Request { source, start, mut ends, hashers } = request;
        ends.reverse();
        let algorithm = hashers.iter().find_map(Hasher::algorithm).unwrap_or(Algorithm::Md5);
        let chain = Chain::new(source, start, hashers);
        self.put(algorithm, Short { batch, chain, ends, sums: Vec::new(), ticket });
    }

    /// Puts a request into its queue, or ends it if nothing of it is left.
    fn put(&mut self, algorithm: Algorithm, mut short: Short) {
        while short.ends.pop_if(|end| *end <= short.chain.at).is_some() {
            short.sums.push(short.chain.hashers.iter().map(|hasher| hasher.clone().finish()).collect());
        }
        if !short.ends.is_empty() && short.chain.error.is_none() {
            self.queues.entry(algorithm).or_default().shorts.push(short);
            return;
        }
        let Short { chain: Chain { error, spent, .. }, sums, ticket, .. } = short;
        let is_first = ticket.0.set((error.map_or(Ok(sums), Err), spent)).is_ok();
        debug_assert!(is_first, "a request ends once");
    }

    /// Takes in a long file, and gives its number.
    pub fn open(&mut self, algorithm: Algorithm, chain: Chain) -> u64 {
        let number = self.number();
        let long = Long { at: chain.at, limit: chain.at, chain: Some(chain), is_awaited: false };
        self.queues.entry(algorithm).or_default().longs.insert(number, long);
        number
    }

    /// A long file that is not closed.
    pub fn long(&mut self, algorithm: Algorithm, number: u64) -> &mut Long {
        let long = self.queues.get_mut(&algorithm).and_then(|queue| queue.longs.get_mut(&number));
        long.expect("a stream stays until it is closed")
    }

    /// Ends the work on a long file. Gives its chain, unless a task has it, or it was closed before.
    pub fn close(&mut self, algorithm: Algorithm, number: u64) -> Option<Chain> {
        self.queues.get_mut(&algorithm)?.longs.remove(&number)?.chain
    }

    /// A task that is due.
    pub fn take(&mut self) -> Option<Task> {
        let threads = self.threads;
        self.queues.iter_mut().find_map(|(&algorithm, queue)| queue.take(algorithm, threads))
    }

    /// Takes back what a task is done with.
    pub fn put_back(&mut self, Task { pieces, algorithm, is_main }: Task) {
        let queue = self.queues.entry(algorithm).or_default();
        queue.has_main &= !is_main;
        for Piece { work, .. } in pieces {
            match work {
                Work::Short(short) => self.put(algorithm, short),
                Work::Long(number, chain) => {
                    // The work on the file may have ended early.
                    let queue = self.queues.get_mut(&algorithm);
                    if let Some(long) = queue.and_then(|queue| queue.longs.get_mut(&number)) {
                        long.at = chain.at;
                        long.chain = Some(chain);
                    }
                }
            }
        }
    }
}
