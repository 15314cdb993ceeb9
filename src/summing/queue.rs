//! What waits to be summed, and what of it a task takes.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar};
use std::time::Duration;

use bytes::Bytes;
use jigdo::Algorithm;

use super::{RangeSums, Request, Source, Ticket};
use crate::digest::{self, Hasher};
use crate::file::{Bytes as _, Mapped, Window};

/// The most that a task takes of one chain, in bytes.
const PIECE: u64 = 1 << 20;

/// The most pieces that a task takes: each is a window of its file.
const MOST_PIECES: usize = 1024;

/// How many half-summed files of the service's own may wait before it opens no further ones.
const MOST_BEGUN: usize = 128;

/// Sums that are being computed of the same bytes.
pub struct Chain {
    source: Source,
    /// The offset of the source's first byte: where a buffer begins in its stream, and 0 for everything else.
    base: u64,
    /// Whether the file was opened for this chain alone, and is to be checked at its end.
    is_own: bool,
    /// The offset of the next byte.
    pub at: u64,
    pub hashers: Vec<Hasher>,
    pub spent: Duration,
    pub error: Option<io::Error>,
}

/// Bytes that can be read.
pub enum Opened {
    File(Arc<Mapped>),
    /// A buffer, and the offset of its first byte.
    Memory(Bytes, u64),
}

impl Opened {
    /// The bytes in `range`.
    pub fn window(&self, range: Range<u64>) -> io::Result<Window<'_>> {
        match self {
            Self::File(file) => file.window(range),
            Self::Memory(bytes, base) => bytes[..].window(range.start - base..range.end - base).map(Window::Borrowed),
        }
    }
}

impl Chain {
    /// A chain that begins at an offset.
    pub fn new(source: Source, at: u64, hashers: Vec<Hasher>) -> Self {
        Self { source, base: 0, is_own: false, at, hashers, spent: Duration::ZERO, error: None }
    }

    /// The bytes to read from. A file that is closed is opened; `None`, and the chain has an error, if that fails.
    pub fn open(&mut self) -> Option<Opened> {
        match &self.source {
            Source::Open(file) => Some(Opened::File(Arc::clone(file))),
            Source::Memory(bytes) => Some(Opened::Memory(bytes.clone(), self.base)),
            Source::Closed(place) => match Mapped::open(&place.0).map(Mapped::closed) {
                Ok(file) if file.stamp() == place.1 => {
                    let file = Arc::new(file);
                    (self.source, self.is_own) = (Source::Open(Arc::clone(&file)), true);
                    Some(Opened::File(file))
                }
                Ok(_) => self.fail(io::Error::other("it changed before it was read")),
                Err(error) => self.fail(error),
            },
        }
    }

    fn fail(&mut self, error: io::Error) -> Option<Opened> {
        self.error = Some(error);
        None
    }

    /// The offset after the last byte of the buffer in work; no bound if the bytes are a file's.
    fn end_of_buffer(&self) -> u64 {
        match &self.source {
            Source::Memory(bytes) => self.base + bytes.len() as u64,
            Source::Open(_) | Source::Closed(_) => u64::MAX,
        }
    }

    /// The error, or the sums of each range. `sums` are those of the ranges that have ended.
    fn result(self, sums: Vec<RangeSums>) -> (io::Result<Vec<RangeSums>>, Duration) {
        (self.error.map_or(Ok(sums), Err), self.spent)
    }
}

/// A stream: bytes that are summed as they come.
pub struct Long {
    /// `None` while a task has it.
    chain: Option<Chain>,
    /// Buffers that were pushed, after the one in work.
    waiting: VecDeque<Bytes>,
    /// The offset up to which it is summed.
    pub at: u64,
    /// The offset up to which it may be summed.
    pub limit: u64,
    /// Whether somebody waits for it.
    pub is_awaited: bool,
    /// Notified whenever a task is done with it.
    pub advanced: Arc<Condvar>,
    /// Takes the sum, once the end of the stream is known.
    ticket: Option<Arc<Ticket>>,
}

impl Long {
    fn is_ready(&self) -> bool {
        self.chain.is_some() && self.at < self.limit
    }

    /// Appends bytes to the stream.
    pub fn push(&mut self, bytes: Bytes) {
        self.limit += bytes.len() as u64;
        self.waiting.push_back(bytes);
        self.next_buffer();
    }

    /// Takes back the chain from a task.
    fn put_back(&mut self, chain: Chain) {
        self.at = chain.at;
        self.chain = Some(chain);
        self.next_buffer();
        self.advanced.notify_all();
    }

    /// Drops a buffer that is summed to its end, and takes up the next one.
    fn next_buffer(&mut self) {
        while let Some(chain) = &mut self.chain
            && chain.at == chain.end_of_buffer()
        {
            let next = self.waiting.pop_front();
            let is_last = next.is_none();
            (chain.source, chain.base) = (Source::Memory(next.unwrap_or_default()), chain.at);
            if is_last {
                return;
            }
        }
    }

    fn is_done(&self) -> bool {
        self.ticket.is_some() && self.chain.is_some() && self.at >= self.limit
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
        self.ends.first().map_or(0, |end| end.saturating_sub(self.chain.at))
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

/// Requests that wait.
#[derive(Default)]
struct Shorts {
    fresh: BinaryHeap<Short>,
    /// Those that have a file open.
    begun: BinaryHeap<Short>,
}

impl Shorts {
    fn len(&self) -> usize {
        self.fresh.len() + self.begun.len()
    }

    fn push(&mut self, short: Short) {
        let shorts = if short.chain.is_own { &mut self.begun } else { &mut self.fresh };
        shorts.push(short);
    }

    /// The next one in their order, except that no further file is opened while many are open.
    fn pop(&mut self) -> Option<Short> {
        let is_fresh = self.begun.len() < MOST_BEGUN && self.fresh.peek() > self.begun.peek();
        if is_fresh { self.fresh.pop() } else { self.begun.pop().or_else(|| self.fresh.pop()) }
    }
}

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

    /// Records how many bytes of the piece are summed, or why it cannot be, and how long that took.
    pub fn done(&mut self, error: Option<io::Error>, taken: usize, spent: Duration) {
        let is_lost = error.is_some() || self.chain().error.is_some();
        let end = if is_lost { self.end } else { self.chain().at + taken as u64 };
        let is_last = matches!(&self.work, Work::Short(short) if short.ends.first() == Some(&end));
        let chain = self.chain();
        chain.at = end;
        chain.spent += spent;
        chain.error = chain.error.take().or(error);
        if let Source::Open(file) = &chain.source
            && chain.is_own
        {
            file.release(0..end);
            if is_last && chain.error.is_none() {
                chain.error = file.intact().err();
            }
        }
    }
}

/// Everything that waits, by the algorithm that is to be computed in lanes.
pub struct Queues {
    threads: usize,
    /// How many tasks the pool has, waiting or running.
    pub tasks: usize,
    queues: BTreeMap<Algorithm, Queue>,
    /// For the next stream, or the next batch of requests.
    next_number: u64,
}

/// What waits for the lanes of one algorithm.
#[derive(Default)]
struct Queue {
    longs: BTreeMap<u64, Long>,
    shorts: Shorts,
    /// Whether the main task is running. It takes whatever there is, however little; others only take what fills their
    /// lanes. So the lanes of one task are filled before there is another.
    has_main: bool,
}

impl Queue {
    /// How many streams one task takes: half of the threads are enough for all of them. The fewer a task has, the sooner
    /// they are done; the more, the less they cost.
    fn share(&self, algorithm: Algorithm, threads: usize) -> usize {
        (2 * self.longs.len()).div_ceil(threads.max(1)).clamp(1, digest::streams_at_once(algorithm))
    }

    /// How many tasks would find something to do, beside those that are running.
    fn tasks(&self, algorithm: Algorithm, threads: usize) -> usize {
        let ready = self.longs.values().filter(|long| long.is_ready()).count();
        let full = ready / self.share(algorithm, threads) + self.shorts.len() / digest::streams_at_once(algorithm);
        let is_main_due = !self.has_main && (ready > 0 || self.shorts.len() > 0);
        full.max(usize::from(is_main_due))
    }

    /// A task with up to as many chains as fill the lanes. Streams come first: nothing makes up for the time in which they
    /// do not advance.
    fn take(&mut self, algorithm: Algorithm, threads: usize) -> Option<Task> {
        let (is_main, lanes, share) =
            (!self.has_main, digest::streams_at_once(algorithm), self.share(algorithm, threads));
        let mut ready: Vec<_> = self.longs.iter_mut().filter(|(_, long)| long.is_ready()).collect();
        if !is_main && ready.len() < share {
            ready.clear();
        }
        if ready.is_empty() && (self.shorts.len() == 0 || !is_main && self.shorts.len() < lanes) {
            return None;
        }
        // With few streams for each thread, the streams are what the run waits for in the end: requests may share their
        // lanes, but not slow them down.
        let lanes = match ready.is_empty() || ready.len() > 2 * threads {
            true => lanes,
            false => digest::streams_in_time_of_one(algorithm),
        };
        ready.sort_by_key(|(_, long)| (!long.is_awaited, long.at));
        let piece = |(&number, long): (&u64, &mut Long)| {
            let chain = long.chain.take()?;
            let end = long.limit.min(long.at + PIECE).min(chain.end_of_buffer());
            Some(Piece { work: Work::Long(number, chain), end })
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

    /// Adds a request of a batch. The algorithm of its first sum decides which chains it shares lanes with.
    pub fn add(&mut self, batch: u64, request: Request, ticket: Arc<Ticket>) {
        let Request { source, start, mut ends, hashers } = request;
        ends.reverse();
        let algorithm = hashers.iter().find_map(Hasher::algorithm).unwrap_or(Algorithm::Md5);
        let is_closed = matches!(source, Source::Closed(_));
        let short = Short { batch, chain: Chain::new(source, start, hashers), ends, sums: Vec::new(), ticket };
        if is_closed {
            // Even one without bytes is opened, to see that it is there.
            self.queues.entry(algorithm).or_default().shorts.push(short);
        } else {
            self.put(algorithm, short);
        }
    }

    /// Puts a request into its queue, or ends it if nothing of it is left.
    fn put(&mut self, algorithm: Algorithm, mut short: Short) {
        while short.ends.pop_if(|end| *end <= short.chain.at).is_some() {
            short.sums.push(short.chain.hashers.iter().map(|hasher| hasher.clone().finish()).collect());
        }
        if !short.ends.is_empty() && short.chain.error.is_none() {
            self.queues.entry(algorithm).or_default().shorts.push(short);
        } else {
            short.ticket.set(short.chain.result(short.sums));
        }
    }

    /// Adds a stream, and returns its number.
    pub fn open(&mut self, algorithm: Algorithm, source: Source) -> u64 {
        let number = self.number();
        let chain = Chain::new(source, 0, vec![Hasher::new(algorithm)]);
        let waiting = VecDeque::new();
        let long = Long {
            chain: Some(chain),
            waiting,
            at: 0,
            limit: 0,
            is_awaited: false,
            advanced: Arc::default(),
            ticket: None,
        };
        self.queues.entry(algorithm).or_default().longs.insert(number, long);
        number
    }

    /// A stream that has neither ended nor been closed.
    pub fn long(&mut self, algorithm: Algorithm, number: u64) -> &mut Long {
        let long = self.queues.get_mut(&algorithm).and_then(|queue| queue.longs.get_mut(&number));
        long.expect("a stream stays until it ends or is closed")
    }

    /// Ends a stream at its limit. The ticket will have its sum.
    pub fn end(&mut self, algorithm: Algorithm, number: u64) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket::default());
        self.long(algorithm, number).ticket = Some(Arc::clone(&ticket));
        self.end_if_done(algorithm, number);
        ticket
    }

    /// Removes a stream whose sum is complete, and sets its ticket.
    fn end_if_done(&mut self, algorithm: Algorithm, number: u64) {
        let Some(queue) = self.queues.get_mut(&algorithm) else { return };
        if queue.longs.get(&number).is_some_and(Long::is_done)
            && let Some(Long { chain: Some(mut chain), ticket: Some(ticket), .. }) = queue.longs.remove(&number)
        {
            let sums = chain.hashers.drain(..).map(Hasher::finish).collect();
            ticket.set(chain.result(vec![sums]));
        }
    }

    /// Removes a stream that nobody wants the sum of.
    pub fn close(&mut self, algorithm: Algorithm, number: u64) {
        if let Some(queue) = self.queues.get_mut(&algorithm) {
            queue.longs.remove(&number);
        }
    }

    /// A task that is worth starting.
    pub fn take(&mut self) -> Option<Task> {
        let threads = self.threads;
        self.queues.iter_mut().find_map(|(&algorithm, queue)| queue.take(algorithm, threads))
    }

    /// Takes back the chains of a task that is done.
    pub fn put_back(&mut self, Task { pieces, algorithm, is_main }: Task) {
        let queue = self.queues.entry(algorithm).or_default();
        queue.has_main &= !is_main;
        for Piece { work, .. } in pieces {
            match work {
                Work::Short(short) => self.put(algorithm, short),
                Work::Long(number, chain) => {
                    // The stream may have been closed meanwhile.
                    let queue = self.queues.get_mut(&algorithm);
                    if let Some(long) = queue.and_then(|queue| queue.longs.get_mut(&number)) {
                        long.put_back(chain);
                        self.end_if_done(algorithm, number);
                    }
                }
            }
        }
    }
}
