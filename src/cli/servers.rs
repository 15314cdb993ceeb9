//! `jigpress servers`: shows, changes and checks the servers in published jigdo files.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::file_args::FileArgs;
use super::inspect::printable;
use super::signing::{self, SigningArgs};
use super::{Failure, Format, SOME_FAILED, terminal};
use crate::manifest;
use crate::progress::counted;
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
///
/// Exit codes: 0 success; 1 a file or a directory could not be read; 2 the command line is wrong; 3 nothing could be done.
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
/// is. A directory of a tree that cannot be read is left out with a warning.
///
/// Exit codes: 0 all files have these servers; 1 a directory or a file of a tree could not be read, or a signature failed;
/// 2 the command line or a jigdo file is wrong, and nothing was changed; 3 nothing could be done.
#[derive(Debug, Clone, clap::Args)]
struct SetArgs {
    #[command(flatten)]
    files: FileArgs,
    /// Take the servers of this release manifest's mirrors. Neither its mirrors nor its images need to exist.
    #[arg(long, value_name = "MANIFEST")]
    from: Option<PathBuf>,
    /// A server: `Debian=https://deb.debian.org/debian/`, or `'Debian=https://... --try-last'`. Repeat it for several.
    /// They keep their order and come after those of --from. A file that does not use the label does not get it; one that
    /// no file uses is an error.
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
    let shown = args.files.work(|tree| Ok(servers::show(&tree)))?;
    shown.errors.iter().for_each(|error| terminal::error(format_args!("{error}")));
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&shown).expect("what is shown is plain data") + "\n",
        Format::Human => table(&shown),
    };
    super::shown(std::io::stdout().write_all(text.as_bytes()))?;
    let is_whole = shown.errors.is_empty() && shown.unreadable.is_empty();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
}

/// The labels, and below each its servers.
fn table(shown: &Shown) -> String {
    let mut rows = vec![["label", "files", "parts", ""].map(str::to_owned)];
    for label in &shown.labels {
        let name = if label.label.is_empty() { "(no label)".into() } else { printable(&label.label) };
        let note = match label.files_without_server {
            0 => String::new(),
            files => format!("{files} without a server"),
        };
        rows.push([name, label.files.to_string(), label.parts.to_string(), note]);
        for server in &label.servers {
            let option = if server.try_last { " --try-last" } else { "" };
            let url = format!("  {}{option}", printable(&server.url));
            rows.push([url, server.files.to_string(), String::new(), String::new()]);
        }
    }
    rows.push([counted(shown.files, "file").to_string(), String::new(), String::new(), String::new()]);
    super::columns(&rows)
}

fn set_servers(args: &SetArgs) -> Result<ExitCode, Failure> {
    let change = change(args)?;
    let options = Options { dry_run: args.dry_run, keep_mtime: args.keep_mtime, sign_command: args.signing.command() };
    // What is removed may be what should never have been there.
    if change.mode != Mode::Remove {
        servers::check_typed_servers(&args.servers).map_err(Failure::Usage)?;
    }
    let (outcome, is_whole) = args.files.work(|tree| {
        let is_whole = tree.is_whole();
        let labels = servers::check_typed_labels(&tree, &args.servers, &args.labels, &args.relabel);
        labels.map_err(Failure::Usage)?;
        let updates: Vec<_> = tree.files.into_iter().map(|file| Update { file, change: &change }).collect();
        Ok((servers::update(&updates, &options).map_err(unchanged)?, is_whole))
    })?;
    let code = print_outcome(&outcome, args.dry_run, args.quiet)?;
    Ok(if is_whole { code } else { ExitCode::from(SOME_FAILED) })
}

/// The change that the command line asks for.
fn change(args: &SetArgs) -> Result<Change, Failure> {
    let mut servers = Vec::new();
    if let Some(path) = &args.from {
        let mirrors = manifest::load_servers(path).map_err(Failure::Manifest)?;
        servers.extend(mirrors.iter().flat_map(servers::servers_of));
    }
    servers.extend(args.servers.iter().map(|given| (given.label.as_str().into(), given.server.clone())));
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
        labels: args.labels.iter().map(|label| label.as_str().into()).collect(),
        relabel: args.relabel.iter().map(|Relabel(old, new)| (old.as_str().into(), new.as_str().into())).collect(),
        includes: args.include_jigdo.iter().map(|url| url.as_str().into()).collect(),
        allow_unserved: args.allow_unserved,
        is_all: false,
        permissions: None,
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
    let mut text = Vec::new();
    for diff in outcome.changed.iter().chain(&outcome.sums).filter_map(|changed| changed.diff.as_ref()) {
        // For a program it is a patch, exact to the byte.
        match std::io::stdout().is_terminal() {
            true => text.extend(terminal::visible_bytes(diff).into_bytes()),
            false => text.extend(diff),
        }
    }
    for label in &outcome.unused {
        let label = printable(label);
        terminal::warn(format_args!("no file has the label \"{label}\", so the servers given for it were ignored"));
    }
    signing::report_signatures(&outcome.stale_signatures, &outcome.failures, dry_run);
    if !quiet {
        let would = if dry_run { "would be " } else { "" };
        let summary = format!(
            "{} {would}changed, {} unchanged, {} {would}changed",
            counted(outcome.changed.len(), "jigdo file"),
            outcome.unchanged,
            counted(outcome.sums.len(), "SUMS file")
        );
        if dry_run {
            // What is on standard output is a patch.
            terminal::note(format_args!("{summary}"));
        } else {
            text.extend(format!("{summary}\n").into_bytes());
        }
    }
    super::written(std::io::stdout().write_all(&text))?;
    Ok(if outcome.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
}
