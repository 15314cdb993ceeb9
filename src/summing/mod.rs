//! The one scheduler of sums: whatever a run wants summed goes into one [`Engine`].
//!
//! A sum is one chain from the first byte to the last, and no number of threads makes it faster. But a thread advances as
//! many chains as its vectors have lanes at the speed of one, so a task takes a piece of as many chains as fill the lanes:
//! of images as a whole, regions of them that may be parts, mirror files, templates, windows in memory. Tasks run on the
//! threads of a rayon pool, and on those that wait for a sum.

mod queue;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jigdo::Algorithm;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::digest::{self, Hasher};
use crate::file::Mapped;
use crate::file::Stamp;
use queue::{Piece, Queues, Task};

/// Sums everything that a run wants summed. All clones are one engine.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

/// Its lock is the standard library's: with that of `parking_lot`, a run over many images takes a twentieth longer
/// (`benches/peers batch-md5`).
struct Shared {
    queues: Mutex<Queues>,
    /// Notified whenever a task is done, for those who work while they wait. Others are only woken by what they wait for:
    /// a run has dozens of them, and each that wakes takes the lock.
    advanced: Condvar,
    /// The pool whose threads run the tasks; without one, the pool of the thread that starts a task.
    pool: OnceLock<Arc<ThreadPool>>,
}

/// Bytes whose sums are wanted.
pub struct Request {
    /// Where the bytes are.
    pub source: Source,
    /// The offset of the first byte.
    pub start: u64,
    /// The offsets after the last byte, ascending, one for each of the ranges that begin at `start`.
    pub ends: Vec<u64>,
    /// What sums each of these ranges. Nothing has been added to them yet.
    pub hashers: Vec<Hasher>,
}

/// Where the bytes are.
pub enum Source {
    /// In a file that the caller has mapped. The caller also checks that it is intact.
    Open(Arc<Mapped>),
    /// In a file that is mapped only while it is summed, as thousands may be requested together. It must have this stamp
    /// before and after.
    Closed(Box<(PathBuf, Stamp)>),
    /// In memory, which is released as soon as it is summed.
    Memory(Bytes),
}

impl Source {
    /// The file at `path` that should have `stamp`.
    pub fn closed(path: PathBuf, stamp: Stamp) -> Self {
        Self::Closed(Box::new((path, stamp)))
    }
}

/// The sums of a request or a stream, once they are known.
#[derive(Default)]
pub struct Ticket {
    result: OnceLock<(io::Result<Vec<RangeSums>>, Duration)>,
    done: Condvar,
}

/// The sums of one range, in the order of the request's hashers.
pub type RangeSums = Vec<Vec<u8>>;

impl Ticket {
    /// The sums of each range of the request, or an error if some of it cannot be read. A stream is one range with one
    /// sum. `None` while they are not known.
    pub fn sums(&self) -> Option<&io::Result<Vec<RangeSums>>> {
        Some(&self.result.get()?.0)
    }

    /// How much time the request took: its share of the time of everything that was summed together with it.
    pub fn spent(&self) -> Duration {
        self.result.get().map_or(Duration::ZERO, |(_, spent)| *spent)
    }

    /// Called with the queues locked, as the ticket is waited for.
    fn set(&self, result: (io::Result<Vec<RangeSums>>, Duration)) {
        let is_first = self.result.set(result).is_ok();
        debug_assert!(is_first, "a request ends once");
        self.done.notify_all();
    }

    /// The same result for the one caller that waits for a stream.
    fn of_stream(&self) -> io::Result<(Vec<u8>, Duration)> {
        match self.sums().expect("it was waited for") {
            Ok(sums) => Ok((sums[0].concat(), self.spent())),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }
}

impl Engine {
    /// An idle engine for a run with this many threads. Its tasks run in the pool of [`Engine::work_in`] or of the threads
    /// that call it; with 0 threads, only in those that [`wait`](Engine::wait).
    pub fn new(threads: usize) -> Self {
        let queues = Mutex::new(Queues::new(threads));
        Self(Arc::new(Shared { queues, advanced: Condvar::new(), pool: OnceLock::new() }))
    }

    /// An idle engine with this many threads of its own, at least one. They end with it.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn with_own_threads(threads: usize) -> io::Result<Self> {
        let threads = threads.max(1);
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().map_err(io::Error::other)?;
        let engine = Self::new(threads);
        engine.work_in(&Arc::new(pool));
        Ok(engine)
    }

    /// Makes tasks run in this pool from now on.
    pub fn work_in(&self, pool: &Arc<ThreadPool>) {
        // Once there is a pool, another one changes nothing.
        let _ = self.0.pool.set(Arc::clone(pool));
    }

    /// Sums the ranges of each request. Returns at once, with a ticket for each request.
    pub fn sum(&self, requests: impl IntoIterator<Item = Request>) -> Vec<Arc<Ticket>> {
        let mut queues = self.lock();
        let batch = queues.number();
        let tickets = requests.into_iter().map(|request| {
            let ticket = Arc::new(Ticket::default());
            queues.add(batch, request, Arc::clone(&ticket));
            ticket
        });
        let tickets = tickets.collect();
        self.start_tasks(&mut queues);
        tickets
    }

    /// Begins to sum a long file from its first byte, up to the offset that [`Stream::allow`] sets.
    pub fn stream(&self, file: &Arc<Mapped>, algorithm: Algorithm) -> Stream {
        self.open(algorithm, Source::Open(Arc::clone(file)))
    }

    /// Begins to sum the bytes that [`Stream::push`] appends.
    pub fn stream_of_buffers(&self, algorithm: Algorithm) -> Stream {
        self.open(algorithm, Source::Memory(Bytes::new()))
    }

    fn open(&self, algorithm: Algorithm, source: Source) -> Stream {
        let number = self.lock().open(algorithm, source);
        Stream { engine: self.clone(), algorithm, number, has_ended: false }
    }

    /// Waits until these requests are done, and works on them and others meanwhile.
    pub fn wait(&self, tickets: &[Arc<Ticket>]) {
        for ticket in tickets {
            let mut queues = self.lock();
            while ticket.sums().is_none() {
                queues = match queues.take() {
                    Some(task) => {
                        drop(queues);
                        self.carry_out(task)
                    }
                    None => wait(&self.0.advanced, queues),
                };
            }
        }
    }

    /// Waits until these requests are done, without working on them. Only the threads of a pool, all of which might come
    /// to wait, work meanwhile.
    pub fn wait_idle(&self, tickets: &[Arc<Ticket>]) {
        if rayon::current_thread_index().is_some() {
            return self.wait(tickets);
        }
        tickets.iter().for_each(|ticket| self.wait_for_ticket(ticket));
    }

    fn wait_for_ticket(&self, ticket: &Ticket) {
        let mut queues = self.lock();
        while ticket.sums().is_none() {
            queues = wait(&ticket.done, queues);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.0.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts as many tasks in the pool as are worth it.
    fn start_tasks(&self, queues: &mut Queues) {
        while queues.wants_task() {
            queues.tasks += 1;
            let engine = self.clone();
            let run = move || engine.run();
            match self.0.pool.get() {
                Some(pool) => pool.spawn(run),
                None => rayon::spawn(run),
            }
        }
    }

    /// What runs in the pool: works until there is nothing left to do.
    fn run(&self) {
        let mut queues = self.lock();
        while let Some(task) = queues.take() {
            drop(queues);
            let is_main = task.is_main;
            drop(self.carry_out(task));
            if !is_main {
                // The pool's other work comes first: it may bring more to sum.
                rayon::yield_now();
            }
            queues = self.lock();
        }
        queues.tasks -= 1;
    }

    fn carry_out(&self, mut task: Task) -> MutexGuard<'_, Queues> {
        advance(&mut task.pieces);
        let mut queues = self.lock();
        queues.put_back(task);
        self.start_tasks(&mut queues);
        self.0.advanced.notify_all();
        queues
    }
}

/// Waits until `condition` is notified.
fn wait<'a>(condition: &Condvar, queues: MutexGuard<'a, Queues>) -> MutexGuard<'a, Queues> {
    condition.wait(queues).unwrap_or_else(PoisonError::into_inner)
}

/// Adds the bytes of each piece to its sums.
fn advance(pieces: &mut [Piece]) {
    let start = Instant::now();
    let opened: Vec<_> = pieces.iter_mut().map(|piece| (piece.chain().open(), piece.range())).collect();
    let windows = opened.iter().map(|(opened, range)| opened.as_ref().map(|opened| opened.window(range.clone())));
    let windows: Vec<_> = windows.collect();
    // What cannot be read counts as no bytes: the chain has an error, and its sums are never returned.
    let bytes =
        windows.iter().map(|window| window.as_ref().and_then(|window| window.as_deref().ok()).unwrap_or_default());
    let bytes: Vec<&[u8]> = bytes.collect();
    let firsts = pieces.iter_mut().filter_map(|piece| piece.chain().hashers.first_mut());
    let taken = digest::update_while_full(&mut firsts.zip(bytes.iter().copied()).collect::<Vec<_>>());
    let mut others = Vec::new();
    for ((piece, bytes), &taken) in pieces.iter_mut().zip(&bytes).zip(&taken) {
        others.extend(piece.chain().hashers.iter_mut().skip(1).map(|hasher| (hasher, &bytes[..taken])));
    }
    digest::update_all(&mut others);
    let (all, spent) = (taken.iter().sum::<usize>().max(1) as f64, start.elapsed());
    for ((piece, window), taken) in pieces.iter_mut().zip(windows).zip(taken) {
        piece.done(window.and_then(Result::err), taken, spent.mul_f64(taken as f64 / all));
    }
}

/// The sum of a long file that others are working on, or of buffers that arrive one by one.
pub struct Stream {
    engine: Engine,
    algorithm: Algorithm,
    number: u64,
    has_ended: bool,
}

impl Stream {
    /// Allows the file's bytes up to this offset to be summed.
    pub fn allow(&self, limit: u64) {
        let mut queues = self.engine.lock();
        queues.long(self.algorithm, self.number).limit = limit;
        self.engine.start_tasks(&mut queues);
    }

    /// Appends bytes to a stream of buffers. Returns at once: callers bound how many buffers they push before earlier ones
    /// are released.
    pub fn push(&self, bytes: Bytes) {
        let mut queues = self.engine.lock();
        queues.long(self.algorithm, self.number).push(bytes);
        self.engine.start_tasks(&mut queues);
    }

    /// The offset up to which the stream is summed.
    pub fn position(&self) -> u64 {
        self.engine.lock().long(self.algorithm, self.number).at
    }

    /// Waits until the stream is summed up to this offset, which must be allowed. Does not work meanwhile.
    pub fn wait_for(&self, offset: u64) {
        let mut queues = self.engine.lock();
        loop {
            let long = queues.long(self.algorithm, self.number);
            long.is_awaited = long.at < offset;
            if !long.is_awaited {
                return;
            }
            let advanced = Arc::clone(&long.advanced);
            queues = wait(&advanced, queues);
        }
    }

    /// Ends the stream where it may be summed up to by now. Returns at once; the ticket will have the sum.
    pub fn end(mut self) -> Arc<Ticket> {
        self.has_ended = true;
        self.engine.lock().end(self.algorithm, self.number)
    }

    /// Ends the stream, and waits for its sum and the time that it took. Does not work meanwhile.
    ///
    /// # Errors
    /// When some of the file cannot be read.
    pub fn finish(self) -> io::Result<(Vec<u8>, Duration)> {
        let engine = self.engine.clone();
        engine.lock().long(self.algorithm, self.number).is_awaited = true;
        let ticket = self.end();
        engine.wait_for_ticket(&ticket);
        ticket.of_stream()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Work that fails drops its streams without their sums.
        if !self.has_ended {
            self.engine.lock().close(self.algorithm, self.number);
        }
    }
}

#[cfg(test)]
mod tests;
