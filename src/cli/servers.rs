//! `jigpress servers`: shows, changes and checks the servers in published jigdo files.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::file_args::FileArgs;
use super::signing::{self, SigningArgs};
use super::{Failure, Format, SOME_FAILED, terminal};
use crate::manifest;
use crate::servers::{
    self, Change, LabelledServer, Mode, Options, Outcome, Relabel, Shown, Update, UpdateError, parse_label,
};

/// Shows, changes and checks the servers in published jigdo files.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    Show(ShowArgs),
    Set(SetArgs),
    Check(super::check::Args),
}

/// Shows the labels in jigdo files: how many files and parts use each, and its servers.
#[derive(Debug, Clone, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    files: FileArgs,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Regenerates the [Servers] sections of jigdo files.
///
/// Every byte outside these sections stays the same, compressed files stay compressed, and files that need no change are
/// not written. SUMS files beside a changed file get its new sum in the same step. If one file cannot be changed, none
/// is.
#[derive(Debug, Clone, clap::Args)]
struct SetArgs {
    #[command(flatten)]
    files: FileArgs,
    /// Take the servers of this release manifest's mirrors. Neither its mirrors nor its images need to exist.
    #[arg(long, value_name = "MANIFEST")]
    from: Option<PathBuf>,
    /// A server: `Debian=https://deb.debian.org/debian/`, or `'Debian=https://... --try-last'`. Repeat it for several.
    /// They keep their order and come after those of --from. A label that a file does not use is not added to it.
    #[arg(long = "server", value_name = "LABEL=URL")]
    servers: Vec<LabelledServer>,
    /// What happens to the servers that the labels already have.
    #[arg(long, value_enum, default_value_t)]
    mode: ModeArg,
    /// Change the servers of this label only. Repeat it for several.
    #[arg(long = "label", value_name = "LABEL", value_parser = parse_label)]
    labels: Vec<String>,
    /// Rename a label, in [Parts] too. Repeat it for several. The other options use the new names.
    #[arg(long, value_name = "OLD=NEW")]
    relabel: Vec<Relabel>,
    /// Add an [Include] line for this jigdo file, or, with `--mode remove`, remove it. Repeat it for several.
    #[arg(long, value_name = "URL")]
    include_jigdo: Vec<String>,
    /// Allow labels that parts use to have no server. Files with [Include] lines may always have such labels.
    #[arg(long)]
    allow_unserved: bool,
    /// Keep the modification times of jigdo files.
    #[arg(long)]
    keep_mtime: bool,
    #[command(flatten)]
    signing: SigningArgs,
    /// Print what would change, as a unified diff, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print nothing but warnings and errors.
    #[arg(long, short)]
    quiet: bool,
}

/// What happens to a label's servers.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum ModeArg {
    /// Replace them with the given servers.
    #[default]
    Replace,
    /// Put the given servers before them.
    Prepend,
    /// Put the given servers after them.
    Append,
    /// Remove the given servers; for a --label without a --server, remove all of its servers.
    Remove,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Replace => Self::Replace,
            ModeArg::Prepend => Self::Prepend,
            ModeArg::Append => Self::Append,
            ModeArg::Remove => Self::Remove,
        }
    }
}

/// Carries out the command.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    match &args.command {
        Command::Show(args) => show(args),
        Command::Set(args) => set_servers(args),
        Command::Check(args) => super::check::run(args),
    }
}

fn show(args: &ShowArgs) -> Result<ExitCode, Failure> {
    let shown = args.files.work(|files| Ok(servers::show(&files)))?;
    shown.errors.iter().for_each(|error| terminal::error(format_args!("{error}")));
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&shown).expect("what is shown is plain data") + "\n",
        Format::Human => table(&shown),
    };
    super::written(std::io::stdout().write_all(text.as_bytes()))?;
    Ok(if shown.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
}

/// The labels, and below each its servers.
fn table(shown: &Shown) -> String {
    let mut rows = vec![["label", "files", "parts", ""].map(str::to_owned)];
    for label in &shown.labels {
        let name = if label.label.is_empty() { "(no label)" } else { &label.label };
        let note = match label.files_without_server {
            0 => String::new(),
            files => format!("{files} without a server"),
        };
        rows.push([super::inspect::printable(name), label.files.to_string(), label.parts.to_string(), note]);
        for server in &label.servers {
            let option = if server.try_last { " --try-last" } else { "" };
            let url = format!("  {}{option}", super::inspect::printable(&server.url));
            rows.push([url, server.files.to_string(), String::new(), String::new()]);
        }
    }
    rows.push([format!("{} files", shown.files), String::new(), String::new(), String::new()]);
    super::columns(&rows)
}

fn set_servers(args: &SetArgs) -> Result<ExitCode, Failure> {
    let change = change(args)?;
    let options = Options { dry_run: args.dry_run, keep_mtime: args.keep_mtime, sign_command: args.signing.command() };
    let outcome = args.files.work(|files| {
        let updates: Vec<_> = files.into_iter().map(|file| Update { file, change: &change }).collect();
        servers::update(&updates, &options).map_err(unchanged)
    })?;
    print_outcome(&outcome, args.dry_run, args.quiet)
}

/// The change that the command line asks for.
fn change(args: &SetArgs) -> Result<Change, Failure> {
    let mut servers = Vec::new();
    if let Some(path) = &args.from {
        let mirrors = manifest::load_servers(path).map_err(Failure::Manifest)?;
        servers.extend(mirrors.iter().flat_map(servers::servers_of));
    }
    servers.extend(args.servers.iter().map(|given| (given.label.clone(), given.server.clone())));
    let mode = args.mode.into();
    let removes = mode == Mode::Remove && !args.labels.is_empty();
    if servers.is_empty() && args.relabel.is_empty() && args.include_jigdo.is_empty() && !removes {
        return Err(Failure::Usage(
            "there is nothing to change: give --from, --server, --relabel or --include-jigdo, or --label with --mode remove"
                .to_owned(),
        ));
    }
    Ok(Change {
        mode,
        servers,
        labels: args.labels.clone(),
        relabel: args.relabel.iter().map(|Relabel(old, new)| (old.clone(), new.clone())).collect(),
        includes: args.include_jigdo.clone(),
        allow_unserved: args.allow_unserved,
        is_all: false,
    })
}

pub(super) fn unchanged(error: UpdateError) -> Failure {
    match error {
        UpdateError::Files(_) => Failure::Usage(error.to_string()),
        UpdateError::Output(_) => Failure::nothing(error),
    }
}

/// Prints the outcome of an update, and returns the exit code.
pub(super) fn print_outcome(outcome: &Outcome, dry_run: bool, quiet: bool) -> Result<ExitCode, Failure> {
    let mut text = String::new();
    for diff in outcome.changed.iter().chain(&outcome.sums).filter_map(|changed| changed.diff.as_ref()) {
        text += diff;
    }
    for label in &outcome.unused {
        terminal::warn(format_args!("no file has the label \"{label}\", so the servers given for it were ignored"));
    }
    signing::report_signatures(&outcome.stale_signatures, &outcome.failures, dry_run);
    if !quiet {
        let (would, sums) = (if dry_run { "would be " } else { "" }, outcome.sums.len());
        let summary = format!(
            "{} jigdo files {would}changed, {} unchanged, {sums} SUMS files {would}changed",
            outcome.changed.len(),
            outcome.unchanged
        );
        if dry_run {
            // What is on standard output is a patch.
            terminal::note(format_args!("{summary}"));
        } else {
            text += &format!("{summary}\n");
        }
    }
    super::written(std::io::stdout().write_all(text.as_bytes()))?;
    Ok(if outcome.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
}
