//! Files that options such as `--report` name for results. They are opened first, so that a file that cannot be written is
//! an error before any work is done. Whatever way the run ends, they say so: none stays as an earlier run left it.

use jigdo::escaped_path;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::overwriting;
use super::signals::{self, Interruption};
use super::{Failure, terminal};
use crate::output::{self, StagedFile};

/// The files that were opened.
static OPEN: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// How long a signal waits while the run itself writes the file.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a pipe waits for a reader, who may be started after the run.
const PATIENCE_WITH_READERS: Duration = Duration::from_secs(10);

/// A file that an option names.
pub struct WholeFile(Arc<Shared>);

struct Shared {
    /// `None` once it was written.
    output: Mutex<Option<StagedFile>>,
    path: PathBuf,
    option: &'static str,
    /// What the file says if the run ends before the result is known.
    unfinished: Box<Unfinished>,
}

/// Receives the signal, if one ended the run.
type Unfinished = dyn Fn(Option<Interruption>) -> String + Send + Sync;

impl WholeFile {
    /// Opens the file that `option` names. If the run ends early, the file is a comment that says so.
    pub fn create(path: &Path, option: &'static str) -> Result<Self, Failure> {
        Self::with_unfinished(path, option, |interruption| match interruption {
            Some(Interruption { signal, .. }) => format!("# not complete: the run was interrupted by {signal}\n"),
            None => "# not complete: the run failed\n".to_owned(),
        })
    }

    /// Opens the file that `option` names. If the run ends early, the file has the text that `unfinished` returns.
    pub fn with_unfinished(
        path: &Path,
        option: &'static str,
        unfinished: impl Fn(Option<Interruption>) -> String + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        overwriting::check(path, option)?;
        let output = create_for_reader(path, option)?;
        let shared = Arc::new(Shared {
            output: Mutex::new(Some(output)),
            path: path.to_owned(),
            option,
            unfinished: Box::new(unfinished),
        });
        OPEN.lock().push(Arc::downgrade(&shared));
        Ok(Self(shared))
    }

    /// Writes what the file has to say while the run works, unless it is a pipe or a device. A run that is killed leaves
    /// this.
    pub fn write_beginning(&self, text: &str) -> Result<(), Failure> {
        let Shared { output, path, option, .. } = &*self.0;
        let mut output = output.lock();
        let Some(begun) = output.take_if(|output| output.staged().is_some()) else { return Ok(()) };
        let written = begun.file().write_all(text.as_bytes()).and_then(|()| begun.finish());
        let next = written.and_then(|()| create(path));
        *output = Some(next.map_err(|error| failed(path, option, &error))?);
        Ok(())
    }

    /// Writes `text`. A reader sees the old file or the new one.
    pub fn write(self, text: &(impl AsRef<[u8]> + ?Sized)) -> Result<(), Failure> {
        let Shared { output, path, option, .. } = &*self.0;
        let mut output = output.lock();
        // A signal was faster.
        let Some(output) = output.take() else { signals::wait_for_death() };
        let written = output.file().write_all(text.as_ref()).and_then(|()| output.finish());
        written.map_err(|error| failed(path, option, &error))
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if let Some(output) = self.0.output.lock().take() {
            // What went wrong was said, and the exit code tells it too.
            let _ = output.file().write_all((self.0.unfinished)(None).as_bytes()).and_then(|()| output.finish());
        }
    }
}

/// Writes all files that are open, because a signal ends the run.
pub fn interrupt_all(interruption: Interruption) {
    let open: Vec<_> = OPEN.lock().iter().filter_map(Weak::upgrade).collect();
    for file in open {
        let output = file.output.try_lock_for(PATIENCE).and_then(|mut output| output.take());
        if let Some(output) = output {
            let text = (file.unfinished)(Some(interruption));
            let _ = output.file().write_all(text.as_bytes()).and_then(|()| output.finish_unsynced());
        }
    }
}

/// Opens the file. A pipe that nobody reads is waited for, but not without a word, and not for ever.
fn create_for_reader(path: &Path, option: &'static str) -> Result<StagedFile, Failure> {
    let mut asked = None;
    loop {
        match create(path) {
            Err(error) if StagedFile::lacks_reader(&error) => {
                if asked.is_none() {
                    terminal::warn(format_args!("{option} {}: waiting for a reader of this pipe", path.display()));
                }
                if asked.get_or_insert_with(Instant::now).elapsed() > PATIENCE_WITH_READERS {
                    let message = "nobody reads this pipe; start its reader first";
                    return Err(Failure::Nothing(format!("{option} {}: {message}", path.display())));
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            created => return created.map_err(|error| failed(path, option, &error)),
        }
    }
}

fn create(path: &Path) -> io::Result<StagedFile> {
    let output = StagedFile::create_at_once(path)?;
    output.publish();
    Ok(output)
}

fn failed(path: &Path, option: &str, error: &io::Error) -> Failure {
    Failure::Nothing(format!("{}: {error}; {}, or name another {option}", escaped_path(path), output::remedy(error)))
}
