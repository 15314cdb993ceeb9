//! `jigpress servers`: what servers published jigdo files have, and other servers in them.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::file_args::FileArgs;
use super::signing::{self, SigningArgs};
use super::{Failure, Format, SOME_FAILED, terminal};
use crate::manifest;
use crate::servers::{
    self, Change, LabelledServer, Mode, Options, Outcome, Relabel, SetError, Shown, Task, parse_label,
};

/// Looks at the servers in published jigdo files, and changes them.
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

/// Shows the labels of jigdo files: in how many files, for how many parts, with which servers.
#[derive(Debug, Clone, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    files: FileArgs,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Regenerates the [Servers] sections of jigdo files.
///
/// Every byte outside of them stays as it was, compressed files stay compressed, and nothing is written where nothing
/// changes. SUMS files beside a file that changes get its new sum in the same step. If one file cannot be changed, none
/// is.
#[derive(Debug, Clone, clap::Args)]
struct SetArgs {
    #[command(flatten)]
    files: FileArgs,
    /// Take the servers of this release manifest's mirrors. Neither its mirrors nor its images need be there.
    #[arg(long, value_name = "MANIFEST")]
    from: Option<PathBuf>,
    /// A server: `Debian=https://deb.debian.org/debian/`, or `'Debian=https://... --try-last'`. Repeat it for several;
    /// their order is kept, after those of --from. A label that a file does not know is not added to it.
    #[arg(long = "server", value_name = "LABEL=URL")]
    servers: Vec<LabelledServer>,
    /// What the servers do to those that their labels have.
    #[arg(long, value_enum, default_value_t)]
    mode: ModeArg,
    /// Change the servers of this label only. Repeat it for several.
    #[arg(long = "label", value_name = "LABEL", value_parser = parse_label)]
    labels: Vec<String>,
    /// Rename a label, in [Parts] too. Repeat it for several. The other options mean the new names.
    #[arg(long, value_name = "OLD=NEW")]
    relabel: Vec<Relabel>,
    /// Add an [Include] line for this jigdo file, or, with `--mode remove`, remove it. Repeat it for several.
    #[arg(long, value_name = "URL")]
    include_jigdo: Vec<String>,
    /// Let labels that parts use be without servers. Those of a file with [Include] lines may be, too.
    #[arg(long)]
    allow_unserved: bool,
    /// Leave the mtimes of jigdo files as they are.
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

/// What given servers do.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum ModeArg {
    /// They take the place of their labels' servers.
    #[default]
    Replace,
    /// They come before them.
    Prepend,
    /// They come after them.
    Append,
    /// They go; of a --label without a --server, all go.
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
        let tasks: Vec<_> = files.into_iter().map(|file| Task { file, change: &change }).collect();
        servers::set(&tasks, &options).map_err(unchanged)
    })?;
    tell(&outcome, args.dry_run, args.quiet)
}

/// What the command line asks for.
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
            "nothing is to be changed: give --from, --server, --relabel or --include-jigdo, or with --mode remove a --label"
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

pub(super) fn unchanged(error: SetError) -> Failure {
    match error {
        SetError::Files(_) => Failure::Usage(error.to_string()),
        error => Failure::nothing(error),
    }
}

/// Prints the result of changes.
pub(super) fn tell(outcome: &Outcome, dry_run: bool, quiet: bool) -> Result<ExitCode, Failure> {
    let mut text = String::new();
    for diff in outcome.changed.iter().chain(&outcome.sums).filter_map(|changed| changed.diff.as_ref()) {
        text += diff;
    }
    for label in &outcome.unused {
        terminal::warn(format_args!("no file knows the label \"{label}\", so its servers are nowhere"));
    }
    signing::tell(&outcome.stale_signatures, &outcome.failures, dry_run);
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
