//! The command line: one file per command.
#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "these comments are the text of --help, which has no markup"
)]

mod assemble;
mod check;
mod completions;
mod description_lines;
mod file_args;
mod index;
pub mod inspect;
mod jigdo_file;
mod logging;
mod man;
mod messages;
mod overwriting;
mod panics;
mod process;
mod publish;
mod run_report;
pub mod schema;
mod servers;
mod signals;
mod signing;
mod snapshot;
mod terminal;
mod trees;
mod verify;
mod web;
mod whole_file;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use console::measure_text_width;
use jigdo::escaped;

use crate::manifest;
use crate::progress::counted;

/// Publishes disc images as jigdo sets.
///
/// Exit codes: 0 success; 1 some images failed and the others are published, or parts are missing; 2 the command line,
/// a manifest or a jigdo file is wrong, and nothing was changed; 3 nothing could be done.
#[derive(Debug, Parser)]
#[command(name = "jigpress", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    logging: logging::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    Publish(publish::Args),
    Assemble(assemble::Args),
    Verify(verify::Args),
    Index(index::Args),
    Inspect(inspect::Args),
    JigdoFile(jigdo_file::Args),
    Servers(servers::Args),
    Snapshot(snapshot::Args),
    /// Prints the JSON Schema of release manifests, for completion and checks in editors.
    ///
    /// Exit codes: 0 success; 2 the command line is wrong; 3 the schema could not be written.
    Schema,
    Completions(completions::Args),
    Man(man::Args),
}

/// Why a command fails. It decides the exit code.
enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// Manifests are wrong.
    Manifest(manifest::Errors),
    /// Nothing could be done.
    Nothing(String),
    /// All was done, but it could not be said.
    Unprinted(String),
}

impl Failure {
    /// Prints it, and returns the exit code.
    fn say(self) -> u8 {
        match self {
            Self::Usage(message) => {
                terminal::error(format_args!("{message}"));
                USAGE
            }
            Self::Nothing(message) => {
                terminal::error(format_args!("{message}"));
                NOTHING
            }
            Self::Unprinted(message) => {
                terminal::error(format_args!("{message}"));
                SOME_FAILED
            }
            Self::Manifest(errors) => {
                logging::manifest_error(format_args!("{errors}"));
                USAGE
            }
        }
    }

    fn nothing(error: impl std::error::Error) -> Self {
        Self::Nothing(with_causes(&error))
    }
}

/// Some images failed.
const SOME_FAILED: u8 = 1;
/// The command line or a manifest is wrong.
const USAGE: u8 = 2;
/// Nothing could be done.
const NOTHING: u8 = 3;

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    panics::guarded(run_command)
}

fn run_command() -> ExitCode {
    if let Some(arguments) = jigdo_file::arguments() {
        return jigdo_file::run(arguments);
    }
    let Cli { command, logging } = parse().unwrap_or_else(|error| misused(&error));
    // The drop-in prints its messages as jigdo-file does, and dies as it does.
    if !matches!(command, Command::JigdoFile(_)) {
        if let Err(message) = logging::begin(&logging) {
            run_report::of_wrong_command_line(&message);
            return ExitCode::from(Failure::Usage(message).say());
        }
        process::begin(remark(&command));
    }
    let done = match command {
        Command::Publish(args) => publish::run(&args),
        Command::Assemble(args) => assemble::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Index(args) => index::run(&args),
        Command::Inspect(args) => inspect::run(&args).map(|()| ExitCode::SUCCESS).map_err(Failure::nothing),
        Command::JigdoFile(args) => Ok(args.run()),
        Command::Servers(args) => servers::run(&args),
        Command::Snapshot(args) => snapshot::run(&args),
        Command::Schema => shown(schema::run()),
        Command::Completions(args) => shown(completions::run(&args)),
        Command::Man(args) => man::run(&args),
    };
    terminal::clear_bars();
    done.unwrap_or_else(|failure| ExitCode::from(failure.say()))
}

/// What is said of a run of this command that a signal ends, after "interrupted by SIGTERM".
fn remark(command: &Command) -> &'static str {
    match command {
        Command::Publish(args) if args.resumes() => "; the next run goes on from here",
        Command::Snapshot(_) => "; the next run goes on from here",
        Command::Assemble(_) => "; images that are complete stay",
        _ => "",
    }
}

/// Exits as clap does, for a wrong command line or one that asks for help.
#[allow(clippy::exit, reason = "as clap does")]
fn misused(error: &clap::Error) -> ! {
    if error.use_stderr() {
        run_report::of_wrong_command_line(error.to_string().trim_end());
        logging::prefer_json(std::env::args_os());
        if logging::is_json() {
            terminal::error(format_args!("{}", error.to_string().trim_end()));
            std::process::exit(error.exit_code());
        }
    }
    error.exit()
}

/// An error with the causes that its own text does not name.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}

/// What a command prints when its work is done. A reader that closes standard output early is not a failure.
fn written(result: std::io::Result<()>) -> Result<ExitCode, Failure> {
    printed(result).map_err(|message| Failure::Unprinted(format!("{message}; the work itself is done")))
}

/// What a command prints that does nothing else.
fn shown(result: std::io::Result<()>) -> Result<ExitCode, Failure> {
    printed(result).map_err(Failure::Nothing)
}

fn printed(result: std::io::Result<()>) -> Result<ExitCode, String> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(format!("standard output cannot be written: {error}; check where it leads, and the space there"))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Formats rows as columns; cells are [escaped]. The first and last are left-aligned, the others right-aligned.
fn columns<const COUNT: usize>(rows: &[[String; COUNT]]) -> String {
    let shown = |row: &[String; COUNT]| std::array::from_fn(|column| escaped(&row[column]).to_string());
    let rows: Vec<[String; COUNT]> = rows.iter().map(shown).collect();
    // Characters may be two columns wide, or none.
    let width = |column: usize| rows.iter().map(|row| measure_text_width(&row[column])).max().unwrap_or(0);
    let widths: [usize; COUNT] = std::array::from_fn(width);
    let padding = |column: usize, cell: &str| " ".repeat(widths[column] - measure_text_width(cell));
    let cell = |(column, cell): (usize, &String)| match column {
        0 => format!("{cell}{}", padding(0, cell)),
        _ if column + 1 == COUNT => format!("  {cell}"),
        _ => format!("  {}{cell}", padding(column, cell)),
    };
    let line = |row: &[String; COUNT]| format!("{}\n", row.iter().enumerate().map(cell).collect::<String>().trim_end());
    rows.iter().map(line).collect()
}

/// The verb for this many things.
fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// A percentage as typed.
fn parse_percent(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>().ok();
    percent.filter(|percent| (0.0..=100.0).contains(percent)).ok_or_else(|| "give a number from 0 to 100".to_owned())
}

fn percentage(share: u64, all: u64) -> String {
    format!("{:.2} %", share as f64 / all.max(1) as f64 * 100.0)
}

fn command() -> clap::Command {
    man::notes::add_to_help(Cli::command())
}

fn parse() -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// How a command prints its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// In words and columns.
    #[default]
    Human,
    /// As one JSON object.
    Json,
}

/// Where the index is.
#[derive(Debug, Clone, clap::Args)]
struct IndexArgs {
    /// The index, which caches what was read from mirror files; created if missing. Default:
    /// jigpress/index.sqlite in $XDG_CACHE_HOME or ~/.cache.
    #[arg(long, value_name = "FILE", env = "JIGPRESS_INDEX")]
    index: Option<PathBuf>,
}

impl IndexArgs {
    fn path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.index {
            return Ok(path.clone());
        }
        let directory =
            |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        let caches = directory("XDG_CACHE_HOME").or_else(|| directory("HOME").map(|home| home.join(".cache")));
        let path = caches.map(|caches| caches.join("jigpress/index.sqlite"));
        path.ok_or_else(|| Failure::Usage("there is no home directory for the index; use --index FILE".into()))
    }
}

/// How many threads to use.
#[derive(Debug, Clone, clap::Args)]
struct JobsArgs {
    /// How many threads to use, at most 1024. Default: one per core.
    #[arg(long, short, value_name = "N", value_parser = parse_jobs)]
    jobs: Option<usize>,
}

/// The most threads that a run may have. Beyond this, starting them and looking for work takes longer than any work.
const MOST_THREADS: usize = 1024;

/// A number of threads as typed. Whether so many can be had is found out later.
fn parse_jobs(text: &str) -> Result<usize, String> {
    let jobs = text.parse().ok().filter(|jobs| *jobs > 0);
    jobs.ok_or_else(|| format!("give a number from 1 to {MOST_THREADS}"))
}

impl JobsArgs {
    fn count(&self) -> Result<usize, Failure> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let count = self.jobs.unwrap_or_else(|| cores().min(MOST_THREADS));
        match count > MOST_THREADS {
            true => {
                Err(Failure::Nothing(format!("a run can have at most {MOST_THREADS} threads; use a smaller --jobs")))
            }
            false => Ok(count),
        }
    }

    /// A pool of this many threads.
    fn pool(&self) -> Result<rayon::ThreadPool, Failure> {
        let (count, builder) = (self.count()?, rayon::ThreadPoolBuilder::new());
        let threads = counted(count, "thread");
        let failed = |error| Failure::Nothing(format!("cannot start {threads}: {error}; use a smaller --jobs"));
        builder.num_threads(count).panic_handler(crate::panics::end).build().map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::io;
    use std::path::PathBuf;
    use std::sync::Arc;

    use jigdo::{jigdo_file, template};

    use super::*;
    use crate::{assemble, make, mirror, output, servers, set, snapshot};

    fn cause() -> io::Error {
        io::Error::other("the cause")
    }

    fn path() -> PathBuf {
        PathBuf::from("some/file")
    }

    /// An error of each type that can have a system error as its cause.
    fn errors() -> Vec<Box<dyn Error>> {
        let (path, offset) = (path(), 0);
        vec![
            Box::new(jigdo_file::Error::Io { line: 1, source: cause() }),
            Box::new(jigdo_file::Error::Corrupt { line: 1, source: cause() }),
            Box::new(template::Error::Io(cause())),
            Box::new(output::Error::Write { path: path.clone(), source: cause() }),
            Box::new(make::Error::Image { path: path.clone(), source: cause() }),
            Box::new(mirror::Error::Root { label: "A".into(), path: path.clone(), source: cause() }),
            Box::new(mirror::Error::Directory { path: path.clone(), source: cause() }),
            Box::new(mirror::FileError::Io { path: path.clone(), source: Arc::new(cause()) }),
            Box::new(set::Error::Io { path: path.clone(), source: cause() }),
            Box::new(set::Error::Template { path: path.clone(), source: template::Error::Io(cause()) }),
            Box::new(assemble::Error::Unmatched { offset, source: cause() }),
            Box::new(assemble::Error::Write { path: path.clone(), offset, source: cause() }),
            Box::new(assemble::Error::ReadBack { path: path.clone(), offset, source: cause() }),
            Box::new(assemble::Error::Stream { offset, source: cause() }),
            Box::new(assemble::Error::Output { path: path.clone(), source: cause() }),
            Box::new(assemble::Error::NotATmp { path: path.clone(), source: template::Error::Io(cause()) }),
            Box::new(assemble::Error::Memory(cause())),
            Box::new(assemble::Reason::Io(cause())),
            Box::new(snapshot::Error::Read { path: path.clone(), source: cause() }),
            Box::new(snapshot::Error::Mirror { path: path.clone(), source: cause() }),
            Box::new(snapshot::Error::Link { source_path: path.clone(), path: path.clone(), source: cause() }),
            Box::new(set::FindError::Io { path: path.clone(), source: cause() }),
            Box::new(servers::FileError::Read(cause())),
            Box::new(inspect::Error::Open { path: path.clone(), source: cause() }),
            Box::new(inspect::Error::Output(cause())),
        ]
    }

    #[test]
    fn errors_have_their_cause_and_name_it_once() {
        for error in errors() {
            let cause = error.source().unwrap_or_else(|| panic!("{error:?} has no cause"));
            assert!(cause.to_string().contains("the cause"), "{cause:?}");
            assert_eq!(with_causes(&*error).matches("the cause").count(), 1, "{error}");
            assert_eq!(with_causes(&*error), error.to_string());
        }
    }

    #[test]
    fn columns_are_aligned_whatever_the_characters() {
        let rows = [["光盘".to_owned(), "1".to_owned(), "x".to_owned()], ["ab".into(), "22".into(), String::new()]];
        assert_eq!(columns(&rows), "光盘   1  x\nab    22\n");
    }

    #[test]
    fn a_cause_that_an_error_does_not_name_is_added() {
        #[derive(Debug, thiserror::Error)]
        #[error("it failed")]
        struct Failed(#[source] io::Error);

        assert_eq!(with_causes(&Failed(cause())), "it failed: the cause");
    }
}
