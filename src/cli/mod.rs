//! The command line: one file a command.

mod areas;
mod assemble;
mod check;
mod completions;
mod index;
pub mod inspect;
mod jigdo_file;
mod man;
mod publish;
pub mod schema;
mod servers;
mod snapshot;
mod staged_file;
mod terminal;
mod trees;
mod verify;
mod web;
mod whole_file;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::manifest;

/// Publishes disc images as jigdo sets.
///
/// Exit codes: 0 all was done; 1 some image failed, the others are published, or parts are missing; 2 the command line, a
/// manifest or a jigdo file is wrong, nothing was touched; 3 nothing could be done.
#[derive(Debug, Parser)]
#[command(name = "jigpress", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
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
    /// Prints the JSON Schema of release manifests, for editors to complete and check them.
    Schema,
    Completions(completions::Args),
    /// Prints the manual page, in roff: see it with `jigpress man | man -l -`.
    Man,
}

/// Why a command stops, as the exit code tells it.
enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// Manifests are wrong.
    Manifest(manifest::Errors),
    /// Nothing could be done.
    Nothing(String),
}

impl Failure {
    fn nothing(error: impl std::fmt::Display) -> Self {
        Self::Nothing(error.to_string())
    }
}

/// Some images failed.
const SOME_FAILED: u8 = 1;
/// The command line or a manifest is wrong.
const USAGE: u8 = 2;
/// Nothing could be done.
const NOTHING: u8 = 3;

/// Carries out the process's command line.
pub fn run() -> ExitCode {
    if let Some(arguments) = jigdo_file::arguments() {
        return jigdo_file::run(arguments);
    }
    let done = match Cli::parse().command {
        Command::Publish(args) => publish::run(&args),
        Command::Assemble(args) => assemble::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Index(args) => index::run(&args),
        Command::Inspect(args) => inspect::run(&args).map(|()| ExitCode::SUCCESS).map_err(Failure::nothing),
        Command::JigdoFile(args) => Ok(args.run()),
        Command::Servers(args) => servers::run(&args),
        Command::Snapshot(args) => snapshot::run(&args),
        Command::Schema => written(schema::run()),
        Command::Completions(args) => written(completions::run(&args)),
        Command::Man => written(man::run()),
    };
    done.unwrap_or_else(|failure| {
        match failure {
            Failure::Usage(message) => report(&message, USAGE),
            Failure::Nothing(message) => report(&message, NOTHING),
            Failure::Manifest(errors) => {
                // Each line begins with file, line and column: editors and CI systems look for them there.
                terminal::say(format_args!("{errors}"));
                ExitCode::from(USAGE)
            }
        }
    })
}

fn report(message: &str, code: u8) -> ExitCode {
    terminal::say(format_args!("jigpress: {message}"));
    ExitCode::from(code)
}

/// That nobody reads standard output to its end is no failure.
fn written(result: std::io::Result<()>) -> Result<ExitCode, Failure> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::nothing(error)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Rows with their cells in columns: the first and the last set to the left, the others to the right.
fn columns<const COUNT: usize>(rows: &[[String; COUNT]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COUNT] = std::array::from_fn(width);
    let cell = |(column, cell): (usize, &String)| match column {
        0 => format!("{cell:<width$}", width = widths[0]),
        _ if column + 1 == COUNT => format!("  {cell}"),
        _ => format!("  {cell:>width$}", width = widths[column]),
    };
    let line = |row: &[String; COUNT]| format!("{}\n", row.iter().enumerate().map(cell).collect::<String>().trim_end());
    rows.iter().map(line).collect()
}

fn percentage(share: u64, all: u64) -> String {
    format!("{:.2} %", share as f64 / all.max(1) as f64 * 100.0)
}

fn command() -> clap::Command {
    Cli::command()
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
    /// The index, which remembers what was read of mirror files; created if missing. Default:
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
        path.ok_or_else(|| Failure::Usage("there is no home directory to keep the index in; give --index FILE".into()))
    }
}

/// How many threads there are to work with.
#[derive(Debug, Clone, clap::Args)]
struct JobsArgs {
    /// How many threads work. Default: one for each core.
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
}

impl JobsArgs {
    fn count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.map_or_else(cores, usize::from)
    }

    /// A pool of this many threads.
    fn pool(&self) -> Result<rayon::ThreadPool, Failure> {
        let (count, builder) = (self.count(), rayon::ThreadPoolBuilder::new());
        let failed = |error| Failure::Nothing(format!("cannot start {count} threads: {error}; give a smaller --jobs"));
        builder.num_threads(count).build().map_err(failed)
    }
}
