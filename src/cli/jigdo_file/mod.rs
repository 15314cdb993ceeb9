//! A drop-in replacement for jigdo-file: the same command line, output and exit codes, with this program's engine.
//!
//! It runs when the program is called `jigdo-file`, and as `jigpress jigdo-file`. `docs/jigdo-file-drop-in.md` lists the
//! intended differences.

mod cache;
mod files;
pub mod help;
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
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jigdo::{escaped_path, jigdo_file, template};

use super::terminal;
use crate::{assemble, make, mirror};
use names::Names;
use options::{Command, Options};

/// The program name that selects the drop-in.
const NAME: &str = "jigdo-file";

/// Replaces jigdo-file: the same commands, options, output and exit codes, with this program's engine.
///
/// `jigpress jigdo-file --help-all` lists them. A link to this program with the name jigdo-file does the same.
#[derive(Debug, Clone, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// A command of jigdo-file, its options, and files.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Why a command failed. All of these exit with jigdo-file's code for a failure.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The command line is wrong; describes how.
    #[error("{0}")]
    Usage(String),
    #[error("{text:?} is not a number of bytes: write a number, optionally followed by k, M or G")]
    Bytes { text: String },
    #[error(
        "{text:?} is not a time: write a number of seconds, or a number followed by h (hours), d (days), w (weeks), m (months) or y (years), or off"
    )]
    Time { text: String },
    #[error("{path} already exists; delete it, or use --force", path = escaped_path(.path))]
    Exists { path: PathBuf },
    #[error("{path}: {source}", path = escaped_path(.path))]
    Input { path: PathBuf, source: io::Error },
    #[error("{path}: {source}; check space and permissions there", path = escaped_path(.path))]
    Output { path: PathBuf, source: io::Error },
    #[error("cannot write the output: {0}")]
    Standard(#[source] io::Error),
    #[error("{path}: {source}", path = escaped_path(.path))]
    Template { path: PathBuf, source: template::Error },
    #[error("{path}: {source}", path = escaped_path(.path))]
    Jigdo { path: PathBuf, source: jigdo_file::Error },
    #[error("{path}: {source}; rename the file, or leave it out", path = escaped_path(.path))]
    Unwritable { path: PathBuf, source: jigdo_file::WriteError },
    #[error("{path} has a newer version of the format ({version}); only 1.x and 2.x can be read", path = escaped_path(.path))]
    Newer { path: PathBuf, version: String },
    #[error(transparent)]
    Mirror(#[from] mirror::Error),
    #[error(transparent)]
    Assemble(#[from] assemble::Error),
    #[error("parts are missing, so none of the image was written")]
    Incomplete,
    #[error(transparent)]
    Make(#[from] make::Error),
    #[error("cannot start a thread for every core: {0}")]
    Threads(#[source] rayon::ThreadPoolBuildError),
    #[error("the command of --match-exec {0}; no set was written")]
    MatchExec(String),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// More files are needed to complete the image.
    Incomplete,
    /// Something is wrong that the user can correct.
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

/// The command failed.
const FATAL: u8 = 3;

/// The arguments for the drop-in, if the program is called in a way that selects it.
pub fn arguments() -> Option<Vec<OsString>> {
    let mut arguments = std::env::args_os();
    let program = arguments.next()?;
    let is_link = Path::new(&program).file_name().is_some_and(|name| name == NAME);
    // Not parsed by clap, which would take a `--` for its own.
    (is_link || arguments.next()? == NAME).then(|| arguments.collect())
}

/// Runs jigdo-file with these arguments.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let done = Options::parse(arguments).and_then(|options| run_command(&options));
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
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        run(self.arguments)
    }
}

fn run_command(options: &Options) -> Result<Outcome, Error> {
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
    if matches!(command, Command::MakeTemplate | Command::Scan | Command::Sum(_) | Command::MakeImage) {
        // Started only when they are needed, they would end the program if there can be none.
        rayon::ThreadPoolBuilder::new().build_global().map_err(Error::Threads)?;
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

/// The outcome of a command that only prints: a reader that closes standard output early is no failure.
fn printed(outcome: Result<Outcome, Error>) -> Result<Outcome, Error> {
    match outcome {
        Err(Error::Standard(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Outcome::Done),
        outcome => outcome,
    }
}

/// Opens a template and reads its description.
fn open_template(path: &Path) -> Result<template::Template<io::BufReader<File>>, Error> {
    let file = File::open(path).map_err(|source| Error::Input { path: path.to_owned(), source })?;
    template::Template::read(io::BufReader::new(file)).map_err(|source| unreadable(path, source))
}

/// An error about a template; an I/O error is reported as for any other file.
fn unreadable(path: &Path, source: template::Error) -> Error {
    let path = path.to_owned();
    match source {
        template::Error::Io(source) => Error::Input { path, source },
        source => Error::Template { path, source },
    }
}

/// Prints a message to standard error.
fn say(message: fmt::Arguments<'_>) {
    terminal::say(format_args!("{NAME}: {message}"));
}

/// Standard input, which several options may name.
fn standard_input() -> impl io::BufRead {
    io::stdin().lock()
}
