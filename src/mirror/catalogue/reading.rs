//! Reads the files of a catalogue for their sums, each at most once in a run, and saves what was read.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jigdo::escaped_path;
use parking_lot::MutexGuard;

use super::{Catalogue, FileId};
use crate::file::{Bytes as _, Mapped, Stamp, now_ns};
use crate::mirror::left_out::{Cause, LeftOut};
use crate::mirror::{Error, FileError, Sums, read};
use crate::progress::Progress;
use crate::summing::{Request, Source, Ticket};

/// A file that is being read for its sums.
#[derive(Clone)]
pub(super) struct Reading {
    ticket: Arc<Ticket>,
    /// When it was requested, in nanoseconds since 1970.
    started: i64,
    /// How often it was read before.
    attempts: u32,
}

impl Reading {
    fn first(ticket: &Arc<Ticket>, started: i64) -> Self {
        Self { ticket: Arc::clone(ticket), started, attempts: 0 }
    }
}

/// How often a file is read again whose ctime changes while it is read.
const MOST_ATTEMPTS: u32 = 3;

/// Contents whose sums are not yet in the index.
pub(super) struct Unsaved {
    contents: Vec<u32>,
    saved: Instant,
}

impl Default for Unsaved {
    fn default() -> Self {
        Self { contents: Vec::new(), saved: Instant::now() }
    }
}

/// How many sums, or how much time, a killed run may lose.
const UNSAVED_SUMS: usize = 1000;
const UNSAVED_TIME: Duration = Duration::from_secs(5);

impl Catalogue {
    /// Starts reading those of these files whose sums are not known, because they will soon be asked for. Returns the
    /// length of each file that nobody has asked for before, with the ticket that will know how long it took.
    pub fn prefetch(&self, files: &[FileId]) -> Vec<(u64, Arc<Ticket>)> {
        let is_unknown = |&content: &usize| self.sums[content].get().is_none();
        let mut unknown: Vec<_> = files.iter().map(|&file| self.content(file)).filter(is_unknown).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return Vec::new();
        }
        let mut in_work = self.in_work();
        // Another thread stores a file's sums before it removes the file from `in_work`.
        unknown.retain(|content| is_unknown(content) && !in_work.contains_key(content));
        let tickets = self.engine.sum(unknown.iter().map(|&content| self.request(content)));
        in_work.extend(unknown.iter().copied().zip(tickets.iter().map(|ticket| Reading::first(ticket, now_ns()))));
        unknown.iter().map(|&content| self.contents[content].stamp.size).zip(tickets).collect()
    }

    /// Those of these files that are being read.
    fn readings(&self, files: &[FileId]) -> Vec<(usize, Reading)> {
        let in_work = self.in_work();
        let contents = files.iter().map(|&file| self.content(file));
        contents.filter_map(|content| Some((content, in_work.get(&content)?.clone()))).collect()
    }

    /// Waits until these files are read, if anything has asked for their sums: see `Engine::wait_idle`.
    pub fn wait_idle(&self, files: &[FileId]) {
        let tickets: Vec<_> = self.readings(files).into_iter().map(|(_, reading)| reading.ticket).collect();
        self.engine.wait_idle(&tickets);
    }

    fn request(&self, content: usize) -> Request {
        let stamp = self.current_stamp(content);
        let source = Source::closed(self.full_path(self.names(content)[0]), stamp);
        Request { source, start: 0, ends: vec![stamp.size], hashers: Sums::hashers(&self.checksums) }
    }

    /// The strong sums of these files, in their order, of the kinds that the catalogue was made for. Files whose sums are
    /// not known are read in parallel, each only once even if several threads ask for it, and the index remembers the
    /// sums. [`Catalogue::warn`] reports the files that cannot be used.
    pub fn sums(&self, files: &[FileId], progress: &dyn Progress) -> Vec<Result<Sums, FileError>> {
        loop {
            self.prefetch(files);
            let readings = self.readings(files);
            let tickets: Vec<_> = readings.iter().map(|(_, reading)| Arc::clone(&reading.ticket)).collect();
            self.engine.wait(&tickets);
            readings.iter().for_each(|(content, reading)| self.take_reading(*content, reading, progress));
            if files.iter().all(|&file| self.is_read(file)) {
                break;
            }
        }
        let sums_of = |&file: &FileId| Some(self.sums[self.content(file)].get()?.clone().map(|sums| *sums));
        files.iter().map(|file| sums_of(file).expect("every unknown sum has just been read")).collect()
    }

    fn in_work(&self) -> MutexGuard<'_, HashMap<usize, Reading>> {
        self.in_work.lock()
    }

    /// Stores the result of reading a file, unless another thread has. A file that failed is read again if it is still the
    /// one that was walked: it may have been touched only for a moment, or linked to another name.
    fn take_reading(&self, content: usize, reading: &Reading, progress: &dyn Progress) {
        let stamp = self.current_stamp(content);
        let path = || self.full_path(self.names(content)[0]);
        let result = match reading.ticket.sums() {
            None => return,
            Some(Ok(sums)) => Ok(Box::new(Sums::of(&self.checksums, &sums[0]))),
            Some(Err(error)) => match read::stamp_now(&path()) {
                Ok(Some(now)) if now == stamp && reading.attempts == 0 => {
                    return self.read_again(content, reading, now);
                }
                Ok(Some(now)) if now == stamp => {
                    let source = Arc::new(io::Error::new(error.kind(), error.to_string()));
                    Err(FileError::Io { path: path(), source })
                }
                Ok(Some(now)) if now.is_same_but_ctime(&stamp) && reading.attempts < MOST_ATTEMPTS => {
                    return self.read_again(content, reading, now);
                }
                Ok(_) => Err(FileError::Changed { path: path() }),
                Err(error) => Err(FileError::Io { path: path(), source: Arc::new(error) }),
            },
        };
        let is_failure = result.is_err();
        if is_failure {
            self.failed.lock().entry(content).or_insert(false);
        }
        let is_first = self.sums[content].set(result).is_ok();
        self.in_work().remove(&content);
        if is_first && !is_failure && !stamp.is_young(reading.started) {
            self.note_unsaved(content, progress);
        }
    }

    /// Starts another attempt to read a file, which has this stamp now, unless another thread has.
    fn read_again(&self, content: usize, reading: &Reading, now: Stamp) {
        tracing::debug!(path = %escaped_path(&self.full_path(self.names(content)[0])), "changed while it was read; reading it again");
        let mut in_work = self.in_work();
        if in_work.get(&content).is_some_and(|now| Arc::ptr_eq(&now.ticket, &reading.ticket)) {
            if now != self.contents[content].stamp {
                self.moved.lock().insert(content, now);
            }
            let ticket = self.engine.sum([self.request(content)]).pop().expect("one for each request");
            in_work.insert(content, Reading { ticket, started: now_ns(), attempts: reading.attempts + 1 });
        }
    }

    /// The content's stamp when it was walked, or with a later ctime if it was read since.
    fn current_stamp(&self, content: usize) -> Stamp {
        self.moved.lock().get(&content).copied().unwrap_or(self.contents[content].stamp)
    }

    /// Reports the files whose sums were wanted and could not be read: a few warnings in all, with counts and examples.
    /// Files that an error has named are not among them. What could not be used before is reported when the index is
    /// brought up to date.
    pub fn warn(&self, progress: &dyn Progress) {
        self.failures(false).warn(progress);
    }

    /// How many files and directories could not be read. Those that vanished or changed do not count.
    pub fn unreadable(&self) -> u64 {
        self.left_out.count(Cause::Unreadable) + self.failures(true).count(Cause::Unreadable)
    }

    fn failures(&self, with_named: bool) -> LeftOut {
        let mut failures = LeftOut::default();
        for (&content, _) in self.failed.lock().iter().filter(|(_, is_named)| with_named || !**is_named) {
            if let Some(Err(error)) = self.sums[content].get() {
                failures.add_file(error);
            }
        }
        failures
    }

    /// The error of this file is reported elsewhere.
    pub fn set_named(&self, file: FileId) {
        self.failed.lock().insert(self.content(file), true);
    }

    fn note_unsaved(&self, content: usize, progress: &dyn Progress) {
        let batch = {
            let mut unsaved = self.unsaved.lock();
            unsaved.contents.push(content as u32);
            let is_due = unsaved.contents.len() >= UNSAVED_SUMS || unsaved.saved.elapsed() >= UNSAVED_TIME;
            if is_due { unsaved.take() } else { Vec::new() }
        };
        if let Err(error) = self.save(&batch) {
            progress.warn(&format!("sums of mirror files will be read again next time: {error}"));
        }
    }

    /// Saves the sums that were read. This also happens from time to time, and when the catalogue is dropped.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn flush(&self) -> Result<(), Error> {
        let batch = self.unsaved.lock().take();
        self.save(&batch)
    }

    fn save(&self, contents: &[u32]) -> Result<(), Error> {
        if contents.is_empty() {
            return Ok(());
        }
        self.store.write(|writer| {
            let trees =
                (0..self.trees.len()).map(|tree| writer.tree(self.root(tree))).collect::<Result<Vec<_>, _>>()?;
            for &content in contents {
                let content = content as usize;
                let stamp = self.current_stamp(content);
                for &file in self.names(content) {
                    let tree = self.tree(file);
                    writer.file(trees[tree], self.path_in(tree, file), &stamp, self.known_sums(file).as_ref())?;
                }
            }
            Ok(())
        })
    }

    /// Passes the file's bytes to `take`. A change while `take` runs goes unnoticed here, and shows only in the sums.
    ///
    /// # Errors
    /// The file cannot be read, or has changed since the walk. Nothing is passed to `take`.
    pub fn map(&self, file: FileId, take: &mut dyn FnMut(&[u8])) -> Result<(), FileError> {
        let path = self.full_path(file);
        let failed = |source| FileError::Io { path: path.clone(), source: Arc::new(source) };
        let mapped = Mapped::open(&path).map_err(failed)?;
        if !mapped.stamp().is_same_but_ctime(self.stamp(file)) {
            return Err(FileError::Changed { path });
        }
        take(&mapped.window(0..mapped.length()).map_err(failed)?);
        Ok(())
    }

    /// Whether the file is still what it was when it was read. If only its ctime is another, as after a new hard link to it,
    /// it is read again.
    pub fn unchanged(&self, file: FileId) -> bool {
        let content = self.content(file);
        let stamp = self.current_stamp(content);
        match read::stamp_now(&self.full_path(file)) {
            Ok(Some(now)) if now == stamp => true,
            Ok(Some(now)) if now.is_same_but_ctime(&stamp) => self.is_proven_again(content, now),
            _ => false,
        }
    }

    /// Whether the file, which has this stamp now, still has its sums.
    fn is_proven_again(&self, content: usize, now: Stamp) -> bool {
        let Some(Ok(known)) = self.sums[content].get() else { return false };
        let mut request = self.request(content);
        request.source = Source::closed(self.full_path(self.names(content)[0]), now);
        let tickets = self.engine.sum([request]);
        self.engine.wait(&tickets);
        let sums = tickets[0].sums().and_then(|sums| sums.as_ref().ok());
        let sums = sums.map(|sums| Sums::of(&self.checksums, &sums[0]));
        sums.is_some_and(|sums| self.checksums.iter().all(|&checksum| sums.part(checksum) == known.part(checksum)))
    }
}

impl Unsaved {
    fn take(&mut self) -> Vec<u32> {
        self.saved = Instant::now();
        std::mem::take(&mut self.contents)
    }
}

impl Drop for Catalogue {
    fn drop(&mut self) {
        // Sums that cannot be saved are read again next time. A caller that needs the error calls `flush`.
        let _ = self.flush();
    }
}
