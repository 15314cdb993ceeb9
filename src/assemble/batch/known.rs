//! What the index remembers of images and templates: their sums, so that they need not be read again as long as their
//! stamps stay the same, and which images earlier runs made.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jigdo::{Checksum, Sum, base64, escaped_path};
use serde::{Deserialize, Serialize};

use crate::digest::Hasher;
use crate::file::{Stamp, now_ns};
use crate::mirror::{Index, load_record, store_record};
use crate::progress::Progress;
use crate::summing::{Engine, Request, Source};

/// Longer than the ticks of file systems that keep fractions of seconds. A file that is written this long after another
/// time has another mtime.
const FINE_TICK: Duration = Duration::from_millis(20);

/// The sums of files, remembered or read.
pub(super) struct KnownFiles<'a> {
    /// `None` if it cannot be used: everything is then read, and nothing is remembered.
    index: Option<Index>,
    engine: Engine,
    progress: &'a dyn Progress,
}

/// A file whose sum is wanted.
pub(super) struct ToSum {
    pub path: PathBuf,
    pub stamp: Stamp,
    pub checksum: Checksum,
}

/// An image that this run made.
pub(super) struct Made {
    pub path: PathBuf,
    /// Its stamp when it was finished.
    pub stamp: Stamp,
    pub sum: Sum,
}

/// What is remembered of a file.
#[derive(Serialize, Deserialize)]
struct Known {
    stamp: Stamp,
    checksum: String,
    /// In base64.
    sum: String,
    /// Whether jigpress made a file with this sum here.
    is_made: bool,
    /// Whether the file cannot have changed since without a change of its stamp.
    is_settled: bool,
}

impl Known {
    fn new(stamp: Stamp, sum: &Sum, is_made: bool, is_settled: bool) -> Self {
        let (checksum, sum) = (name(sum.checksum()).to_owned(), base64::encode(sum.as_bytes()));
        Self { stamp, checksum, sum, is_made, is_settled }
    }

    fn sum(&self) -> Option<Sum> {
        let checksum = [Checksum::Md5, Checksum::Sha256].into_iter().find(|&known| name(known) == self.checksum)?;
        Sum::from_bytes(checksum, &base64::decode(&self.sum)?)
    }
}

fn name(checksum: Checksum) -> &'static str {
    jigdo::Algorithm::from(checksum).name()
}

impl<'a> KnownFiles<'a> {
    /// Opens the index at `index`. One that cannot be used is a warning.
    pub fn open(index: &Path, threads: usize, progress: &'a dyn Progress) -> Self {
        let opened = Index::open(index).map_err(|error| {
            let what = format!("{error}; images are read to tell whether they are right, and nothing is remembered");
            progress.warn(&what);
        });
        Self { index: opened.ok(), engine: Engine::new(threads), progress }
    }

    /// What sums bytes of files.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The sums of these files, in order. Those that are not remembered are read side by side, and then remembered.
    pub fn sums(&self, wanted: &[ToSum]) -> Vec<io::Result<Sum>> {
        let now = now_ns();
        let known: Vec<Option<Known>> = wanted.iter().map(|wanted| self.load(&wanted.path)).collect();
        let mut sums: Vec<Option<io::Result<Sum>>> = Vec::new();
        let (mut to_read, mut requests) = (Vec::new(), Vec::new());
        for (number, (ToSum { path, stamp, checksum }, known)) in wanted.iter().zip(&known).enumerate() {
            let remembered = known.as_ref().filter(|known| known.is_settled && known.stamp == *stamp);
            let remembered = remembered.and_then(Known::sum).filter(|sum| sum.checksum() == *checksum);
            if remembered.is_none() {
                to_read.push(number);
                requests.push(Request {
                    source: Source::closed(path.clone(), *stamp),
                    start: 0,
                    ends: vec![stamp.size],
                    hashers: vec![Hasher::new((*checksum).into())],
                });
            }
            sums.push(remembered.map(Ok));
        }
        let tickets = self.engine.sum(requests);
        self.engine.wait_idle(&tickets);
        for (number, ticket) in to_read.into_iter().zip(tickets) {
            let ToSum { path, stamp, checksum } = &wanted[number];
            let sum = match ticket.sums().expect("it was waited for") {
                Ok(sums) => Ok(Sum::from_bytes(*checksum, &sums[0][0]).expect("a sum of this kind")),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            if let Ok(sum) = &sum {
                let was_made = |known: &Known| known.is_made && (known.stamp == *stamp || known.sum() == Some(*sum));
                let is_made = known[number].as_ref().is_some_and(was_made);
                if !stamp.is_young(now) {
                    self.store(path, &Known::new(*stamp, sum, is_made, true));
                }
            }
            sums[number] = Some(sum);
        }
        sums.into_iter().map(|sum| sum.expect("it is remembered or was read")).collect()
    }

    /// Whether an earlier run made the file at `path`, which has this stamp: it is as it was left, or has the same bytes.
    pub fn is_made(&self, path: &Path, stamp: Stamp) -> bool {
        let Some(known) = self.load(path).filter(|known| known.is_made) else { return false };
        if known.stamp == stamp {
            return true;
        }
        let Some(sum) = known.sum().filter(|_| known.stamp.size == stamp.size) else { return false };
        let wanted = ToSum { path: path.to_owned(), stamp, checksum: sum.checksum() };
        self.sums(&[wanted]).pop().and_then(Result::ok) == Some(sum)
    }

    /// Remembers images that this run made, so that the next one need not read them.
    ///
    /// They are young, but this run wrote them itself. Where the file system keeps fractions of seconds, it is enough to
    /// let one tick pass: whoever writes to them later gives them another stamp.
    pub fn remember_made(&self, made: &[Made]) {
        if made.is_empty() || self.index.is_none() {
            return;
        }
        std::thread::sleep(FINE_TICK);
        for Made { path, stamp, sum } in made {
            let is_unchanged = std::fs::metadata(path).is_ok_and(|found| Stamp::of(&found) == *stamp);
            let is_fine = stamp.mtime_ns % 1_000_000_000 != 0;
            if is_unchanged {
                self.store(path, &Known::new(*stamp, sum, true, is_fine || !stamp.is_young(now_ns())));
            }
        }
    }

    fn load(&self, path: &Path) -> Option<Known> {
        load_record(self.index.as_ref()?, &key(path))
    }

    fn store(&self, path: &Path, known: &Known) {
        let Some(index) = &self.index else { return };
        if let Err(error) = store_record(index, &key(path), known) {
            let what = format!("{error}; the sum of {} is not remembered", escaped_path(&path));
            self.progress.warn(&what);
        }
    }
}

/// The key for the file at `path`, whose directory exists. It is only compared together with the stamp, so two names that
/// are not UTF-8 may share a key.
fn key(path: &Path) -> String {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    format!("sum of {}", escaped_path(&directory.join(path.file_name().unwrap_or_default())))
}
