//! The stand-in for jigdo-file: its command line, its output and its exit codes, with this program's engine.
//!
//! It answers to the name `jigdo-file`, and to `jigpress jigdo-file`. `docs/jigdo-file-drop-in.md` lists where it differs
//! on purpose.

mod cache;
mod files;
mod help;
mod inputs;
mod labels;
mod list_template;
mod make_image;
mod make_template;
mod match_exec;
mod names;
mod options;
mod output;
mod print_missing;
mod progress;
mod scan;
mod sums;
mod values;
mod verify;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jigdo::{jigdo_file, template};

use super::terminal;
use crate::{assemble, make, mirror};
use names::Names;
use options::{Command, Options};

/// The name by which the program knows that it stands in for jigdo-file.
const NAME: &str = "jigdo-file";

/// Stands in for jigdo-file: the same commands, options, output and exit codes, with this program's engine.
///
/// `jigpress jigdo-file --help-all` lists them. A link to this program that is called jigdo-file does the same.
#[derive(Debug, Clone, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// A command of jigdo-file, its options, and files.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Why the work stopped. All of these have jigdo-file's exit code for what cannot be helped.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The command line is wrong; in words.
    #[error("{0}")]
    Usage(String),
    #[error("{text:?} is not an amount of bytes: write a number, and perhaps k, M or G behind it")]
    Bytes { text: String },
    #[error(
        "{text:?} is not a time: write a number of seconds, or of hours (h), days (d), weeks (w), months (m) or years (y), or off"
    )]
    Time { text: String },
    #[error("{path} exists already; delete it, or use --force", path = .path.display())]
    Exists { path: PathBuf },
    #[error("{path}: {source}", path = .path.display())]
    Input { path: PathBuf, source: io::Error },
    #[error("{path}: {source}; check space and permissions there", path = .path.display())]
    Output { path: PathBuf, source: io::Error },
    #[error("cannot write the output: {0}")]
    Standard(#[source] io::Error),
    #[error("{path}: {source}", path = .path.display())]
    Template { path: PathBuf, source: template::Error },
    #[error("{path}: {source}", path = .path.display())]
    Jigdo { path: PathBuf, source: jigdo_file::Error },
    #[error("{path}: {source}; rename the file, or leave it out", path = .path.display())]
    Unwritable { path: PathBuf, source: jigdo_file::WriteError },
    #[error("{path} is for a newer version of the format ({version}); only 1.x and 2.x are known", path = .path.display())]
    Newer { path: PathBuf, version: String },
    #[error(transparent)]
    Mirror(#[from] mirror::Error),
    #[error(transparent)]
    Assemble(#[from] assemble::Error),
    #[error("parts are missing, so nothing of the image was written")]
    Incomplete,
    #[error(transparent)]
    Make(#[from] make::Error),
    #[error("cannot start a thread for every core: {0}")]
    Threads(#[source] rayon::ThreadPoolBuildError),
    #[error("the command of --match-exec {0}; no set was written")]
    MatchExec(String),
}

/// How the work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// More files are needed until the image is whole.
    Incomplete,
    /// Something is wrong that can be put right.
    Wrong,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Incomplete => Self::from(1),
            Outcome::Wrong => Self::from(2),
        }
    }
}

/// Nothing could be done, and nothing can be put right.
const FATAL: u8 = 3;

/// What follows the program's name, if it is called so that it stands in for jigdo-file.
pub fn arguments() -> Option<Vec<OsString>> {
    let mut arguments = std::env::args_os();
    let program = arguments.next()?;
    let is_link = Path::new(&program).file_name().is_some_and(|name| name == NAME);
    // Not left to clap, which would take a `--` for its own.
    (is_link || arguments.next()? == NAME).then(|| arguments.collect())
}

/// Does what these arguments of jigdo-file say.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let done = Options::parse(arguments).and_then(|options| carry_out(&options));
    match done {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            say(format_args!("{error}"));
            if matches!(error, Error::Usage(_)) {
                say(format_args!("`{NAME} --help` lists the commands and options"));
            }
            ExitCode::from(FATAL)
        }
    }
}

impl Args {
    /// Carries out the command.
    pub fn run(self) -> ExitCode {
        run(self.arguments)
    }
}

fn carry_out(options: &Options) -> Result<Outcome, Error> {
    if let Some(text) = help::text(options.information) {
        let written = io::stdout().write_all(text.as_bytes());
        return printed(written.map(|()| Outcome::Done).map_err(Error::Standard));
    }
    if options.information.debug {
        return Err(Error::Usage("the units to debug are all, assert, general and make-template".to_owned()));
    }
    let command = options.command()?;
    if options.debug {
        let Names { image, jigdo, template } = Names::deduce(&options.image, &options.jigdo, &options.template);
        say(format_args!("image {image:?}, jigdo file {jigdo:?}, template {template:?}"));
    }
    match command {
        Command::MakeTemplate => make_template::run(options),
        Command::PrintMissing => printed(print_missing::run(options, print_missing::Locations::First)),
        Command::PrintMissingAll => printed(print_missing::run(options, print_missing::Locations::All)),
        Command::Scan => scan::run(options),
        Command::ListTemplate => printed(list_template::run(options)),
        Command::Sum(checksum) => printed(sums::run(options, checksum)),
        Command::Verify => verify::run(options),
        Command::MakeImage => make_image::run(options),
    }
}

/// What came of a command that does nothing but print: that nobody reads it to its end is no failure.
fn printed(outcome: Result<Outcome, Error>) -> Result<Outcome, Error> {
    match outcome {
        Err(Error::Standard(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Outcome::Done),
        outcome => outcome,
    }
}

/// An error about a template; where it could not even be read, it is one about any file.
fn unreadable(path: &Path, source: template::Error) -> Error {
    let path = path.to_owned();
    match source {
        template::Error::Io(source) => Error::Input { path, source },
        source => Error::Template { path, source },
    }
}

/// Tells something on standard error.
fn say(message: fmt::Arguments<'_>) {
    terminal::say(format_args!("{NAME}: {message}"));
}

/// Standard input, which several names may share.
fn standard_input() -> impl io::BufRead {
    io::stdin().lock()
}
