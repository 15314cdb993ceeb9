//! Sums of many files side by side.
//!
//! A sum is one chain, from the first byte to the last, which no number of threads makes faster; but a thread can
//! advance as many chains as its vectors have lanes at the speed of one. So whatever a run wants summed goes into one
//! [`Engine`]: images as a whole, regions of them that may be parts, mirror files, templates. A task takes a piece of as
//! many of them as fill the lanes. Tasks are done by the threads of rayon's pool, and by whoever waits for a sum.

mod queue;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jigdo::Algorithm;
use parking_lot::{Condvar, Mutex, MutexGuard};
use rayon::ThreadPool;

use crate::digest::{self, Hasher};
use crate::file::Bytes as _;
use crate::file::Mapped;
use crate::file::Stamp;
use queue::{Chain, Piece, Queues, Task};

/// Sums everything that a run wants summed. All clones are one engine.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    queues: Mutex<Queues>,
    /// A task is done.
    advanced: Condvar,
    /// The pool whose threads do the tasks; that of the thread that asks for one if there is none here.
    pool: OnceLock<Arc<ThreadPool>>,
}

/// Bytes whose sums are wanted.
pub struct Request {
    pub source: Source,
    /// The offset of the first byte.
    pub start: u64,
    /// The offsets behind the last byte, ascending, one for each of the ranges that begin at `start`.
    pub ends: Vec<u64>,
    /// What sums each of these ranges; nothing is in them yet.
    pub hashers: Vec<Hasher>,
}

/// The file that has these bytes.
pub enum Source {
    /// One that somebody else has mapped, and sees to it that it is intact.
    Open(Arc<Mapped>),
    /// One that is mapped only while it is summed, as there may be thousands that are asked for together. That it has
    /// this stamp is checked before and after.
    Closed(Box<(PathBuf, Stamp)>),
}

impl Source {
    /// The file at `path` that should have `stamp`.
    pub fn closed(path: PathBuf, stamp: Stamp) -> Self {
        Self::Closed(Box::new((path, stamp)))
    }
}

/// The sums of a request, once they are known.
pub struct Ticket(OnceLock<(io::Result<Vec<RangeSums>>, Duration)>);

/// The sums of one range, in the order of the request's hashers.
pub type RangeSums = Vec<Vec<u8>>;

impl Ticket {
    /// For each range of the request its sums; an error if some of it cannot be read. `None` if it is not known yet.
    pub fn sums(&self) -> Option<&io::Result<Vec<RangeSums>>> {
        Some(&self.0.get()?.0)
    }

    /// How much time the request took, as its share of what was summed together with it.
    pub fn spent(&self) -> Duration {
        self.0.get().map_or(Duration::ZERO, |(_, spent)| *spent)
    }
}

impl Engine {
    /// An engine with nothing to do, for a run with this many threads.
    pub fn new(threads: usize) -> Self {
        let queues = Mutex::new(Queues::new(threads));
        Self(Arc::new(Shared { queues, advanced: Condvar::new(), pool: OnceLock::new() }))
    }

    /// From now on, has the threads of this pool do the tasks.
    pub fn work_in(&self, pool: &Arc<ThreadPool>) {
        // A second pool would do as well, and is not needed.
        let _ = self.0.pool.set(Arc::clone(pool));
    }

    /// Has the ranges of each request summed.
    pub fn sum(&self, requests: impl IntoIterator<Item = Request>) -> Vec<Arc<Ticket>> {
        let mut queues = self.lock();
        let batch = queues.number();
        let tickets = requests.into_iter().map(|request| {
            let ticket = Arc::new(Ticket(OnceLock::new()));
            queues.add(batch, request, Arc::clone(&ticket));
            ticket
        });
        let tickets = tickets.collect();
        self.start_tasks(&mut queues);
        tickets
    }

    /// Begins to sum a long file from its first byte, as far as [`Stream::allow`] says.
    pub fn stream(&self, file: &Arc<Mapped>, algorithm: Algorithm) -> Stream {
        let chain = Chain::new(Source::Open(Arc::clone(file)), 0, vec![Hasher::new(algorithm)]);
        let number = self.lock().open(algorithm, chain);
        Stream { engine: self.clone(), algorithm, number }
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
                    None => self.wait_for_task(queues),
                };
            }
        }
    }

    /// Waits until these requests are done. For threads that lead the work of others: the threads of a pool, which might
    /// all come to wait, work meanwhile.
    pub fn attend(&self, tickets: &[Arc<Ticket>]) {
        if rayon::current_thread_index().is_some() {
            return self.wait(tickets);
        }
        for ticket in tickets {
            let mut queues = self.lock();
            while ticket.sums().is_none() {
                queues = self.wait_for_task(queues);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.0.queues.lock()
    }

    /// Waits until a task is done.
    fn wait_for_task<'a>(&'a self, mut queues: MutexGuard<'a, Queues>) -> MutexGuard<'a, Queues> {
        self.0.advanced.wait(&mut queues);
        queues
    }

    /// Has the pool start as many tasks as are worth it.
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

    /// What the pool does: works as long as there is something to do.
    fn run(&self) {
        let mut queues = self.lock();
        while let Some(task) = queues.take() {
            drop(queues);
            let is_main = task.is_main;
            drop(self.carry_out(task));
            if !is_main {
                // What else there is for the pool to do comes first: it may bring more to sum.
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

/// Takes each piece into its sums.
fn advance(pieces: &mut [Piece]) {
    let start = Instant::now();
    let files: Vec<_> = pieces.iter_mut().map(|piece| (piece.chain().open(), piece.range())).collect();
    let windows = files.iter().map(|(file, range)| file.as_ref().map(|file| file.window(range.clone())));
    let windows: Vec<_> = windows.collect();
    // What cannot be read is nothing: its sum is not taken.
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

/// The sum of a long file in the making, which follows those who work on the file, or goes before them.
pub struct Stream {
    engine: Engine,
    algorithm: Algorithm,
    number: u64,
}

impl Stream {
    /// Allows to sum the file's bytes up to this offset.
    pub fn allow(&self, limit: u64) {
        let mut queues = self.engine.lock();
        queues.long(self.algorithm, self.number).limit = limit;
        self.engine.start_tasks(&mut queues);
    }

    /// The offset up to which the file is summed.
    pub fn position(&self) -> u64 {
        self.engine.lock().long(self.algorithm, self.number).at
    }

    /// Waits until the file is summed up to this offset, which must be allowed. Does not work meanwhile.
    pub fn wait_for(&self, offset: u64) {
        drop(self.wait_until(offset));
    }

    fn wait_until(&self, offset: u64) -> MutexGuard<'_, Queues> {
        let mut queues = self.engine.lock();
        loop {
            let long = queues.long(self.algorithm, self.number);
            long.is_awaited = long.at < offset;
            if !long.is_awaited {
                return queues;
            }
            queues = self.engine.wait_for_task(queues);
        }
    }

    /// The sum of all bytes up to `end`, which is what is allowed, and the time that it took.
    ///
    /// # Errors
    /// When some of the file cannot be read.
    pub fn finish(self, end: u64) -> io::Result<(Vec<u8>, Duration)> {
        let chain = self
            .wait_until(end)
            .close(self.algorithm, self.number)
            .expect("no task has what is summed as far as is allowed");
        match chain.error {
            Some(error) => Err(error),
            None => Ok((chain.hashers.into_iter().flat_map(Hasher::finish).collect(), chain.spent)),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Work that ends early leaves its streams behind.
        self.engine.lock().close(self.algorithm, self.number);
    }
}

#[cfg(test)]
mod tests;
