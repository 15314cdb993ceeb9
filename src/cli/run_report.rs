//! The report of a run of `publish`: what `--report` writes and `--format json` prints, whatever way the run ends.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::logging::timestamp;
use super::messages::{self, Messages};
use super::signals::Interruption;
use super::whole_file::WholeFile;
use super::{Failure, NOTHING, SOME_FAILED, USAGE};
use crate::GENERATOR;
use crate::json;
use crate::publish::report::{Ledger, Report};

/// How long a signal waits for what the working threads know.
const PATIENCE: Duration = Duration::from_millis(200);

/// The report of the run.
pub struct RunReport {
    facts: Arc<Facts>,
    file: Option<WholeFile>,
    is_printed: bool,
}

/// What the report is made of.
struct Facts {
    manifests: Vec<PathBuf>,
    started: SystemTime,
    ledger: Ledger,
}

/// How far the run has come.
#[derive(Clone, Copy)]
enum State {
    Running,
    Ended { at: SystemTime, exit_code: u8, signal: Option<&'static str> },
}

impl State {
    /// A run that ends now.
    fn ended(exit_code: u8, signal: Option<&'static str>) -> Self {
        Self::Ended { at: SystemTime::now(), exit_code, signal }
    }
}

#[derive(Serialize)]
struct View<'a> {
    version: &'a str,
    #[serde(serialize_with = "json::foreign")]
    manifests: &'a Vec<PathBuf>,
    started: String,
    ended: Option<String>,
    exit_code: Option<u8>,
    signal: Option<&'a str>,
    errors: Vec<String>,
    warnings: Vec<String>,
    #[serde(flatten)]
    report: Report,
}

impl RunReport {
    /// The report of a run over these manifests that begins now, to be written to `path`, and printed if it `is_printed`.
    pub fn begin(manifests: &[PathBuf], path: Option<&Path>, is_printed: bool) -> Result<Self, Failure> {
        messages::keep();
        let started = SystemTime::now();
        let facts = Arc::new(Facts { manifests: manifests.to_owned(), started, ledger: Ledger::default() });
        let Some(path) = path else { return Ok(Self { facts, file: None, is_printed }) };
        let known = Arc::clone(&facts);
        let file = WholeFile::with_unfinished(path, "--report", move |interruption| match interruption {
            Some(Interruption { signal, exit_code }) => known.text(State::ended(exit_code, Some(signal))),
            // A panic, after which the exit code is this.
            None => known.text(State::ended(NOTHING, None)),
        })?;
        // A run that is killed, or a machine that loses power, leaves this, and not the success of the run before.
        file.write_beginning(&facts.text(State::Running))?;
        Ok(Self { facts, file: Some(file), is_printed })
    }

    /// Where the run notes what it has done.
    pub fn ledger(&self) -> &Ledger {
        &self.facts.ledger
    }

    /// Ends the run: says why it failed, if it did, then prints and writes the report. Returns the exit code.
    pub fn end(self, result: Result<u8, Failure>) -> u8 {
        let mut exit_code = result.unwrap_or_else(Failure::say);
        let at = SystemTime::now();
        let text = |exit_code| self.facts.text(State::Ended { at, exit_code, signal: None });
        if self.is_printed
            && let Err(failure) = super::written(std::io::stdout().write_all(text(exit_code).as_bytes()))
        {
            exit_code = failure.say();
        }
        let text = text(exit_code);
        if let Some(file) = self.file
            && let Err(failure) = file.write(&text)
        {
            failure.say();
            exit_code = exit_code.max(SOME_FAILED);
        }
        exit_code
    }
}

/// Completes the files that are named on a command line that is wrong, so that none says what an earlier run said.
pub fn of_wrong_command_line(message: &str) {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let is_of = |command: &str| arguments.iter().any(|argument| argument == command);
    if is_of("publish")
        && let Some(path) = named(&arguments, "--report")
        && let Ok(mut report) = RunReport::begin(&[], Some(&path), false)
    {
        messages::error(message);
        let text = report.facts.text(State::ended(USAGE, None));
        // The command line is what has to be said.
        let _ = report.file.take().map(|file| file.write(&text));
    }
    if (is_of("assemble") || is_of("snapshot"))
        && let Some(path) = named(&arguments, "--missing")
    {
        drop(WholeFile::create(&path, "--missing"));
    }
}

/// The file that an option names.
fn named(arguments: &[OsString], option: &str) -> Option<PathBuf> {
    let with_equals = format!("{option}=");
    let value = arguments.iter().enumerate().find_map(|(at, argument)| match argument.as_bytes() {
        bytes if bytes == option.as_bytes() => arguments.get(at + 1).map(|value| value.as_bytes()),
        bytes => bytes.strip_prefix(with_equals.as_bytes()),
    });
    let is_path = |value: &&[u8]| !value.is_empty() && !value.starts_with(b"-");
    value.filter(is_path).map(|value| OsStr::from_bytes(value).into())
}

impl Facts {
    /// The report as JSON.
    fn text(&self, state: State) -> String {
        let mut report = self.ledger.try_get(PATIENCE).unwrap_or_default();
        // A run may end before it has begun to publish.
        GENERATOR.clone_into(&mut report.generator);
        let (ended, exit_code, signal) = match state {
            State::Running => (None, None, None),
            State::Ended { at, exit_code, signal } => {
                report.seconds = at.duration_since(self.started).unwrap_or_default().as_secs_f64();
                (Some(timestamp(at)), Some(exit_code), signal)
            }
        };
        let Messages { errors, warnings } = messages::kept();
        let view = View {
            version: env!("CARGO_PKG_VERSION"),
            manifests: &self.manifests,
            started: timestamp(self.started),
            ended,
            exit_code,
            signal,
            errors,
            warnings,
            report,
        };
        serde_json::to_string_pretty(&view).expect("a report is plain data") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_run_that_panics_leaves_a_report_that_says_so() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("report.json");
        fs::write(&path, "{\"generator\": \"\", \"images\": []}").unwrap();
        let read = || serde_json::from_slice::<serde_json::Value>(&fs::read(&path).unwrap()).unwrap();
        let report = RunReport::begin(&["a.yaml".into()], Some(&path), false).ok().unwrap();
        assert!(read()["exit_code"].is_null() && read()["ended"].is_null());
        let run = std::panic::AssertUnwindSafe(|| {
            let _report = report;
            panic!("on purpose");
        });
        std::panic::catch_unwind(run).unwrap_err();
        assert_eq!((&read()["exit_code"], &read()["manifests"][0]), (&NOTHING.into(), &"a.yaml".into()));
        assert!(read()["ended"].as_str().unwrap().ends_with('Z'));
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }
}
