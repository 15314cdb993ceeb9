//! `jigpress publish`: release manifests in, proven sets out.

mod outcome;

use std::collections::HashSet;

use jigdo::escaped_path;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::run_report::RunReport;
use super::signing::{self, SigningArgs};
use super::{Failure, Format, IndexArgs, JobsArgs, SOME_FAILED, terminal};
use crate::manifest::{self, Release, Selector};
use crate::publish::report::{Ledger, Outcome};
use crate::publish::{self, Options, Pruning};
use crate::servers::{self, Update};

/// Publishes the images of releases as jigdo sets.
///
/// Searches each image for the files of its mirrors, and writes a .jigdo and a .template file for it. Both are proven
/// before they appear in the output directory. Images that have not changed since the last run are skipped.
///
/// Exit codes: 0 everything is published; 1 some images failed, and the others are published, or a SUMS file could not be
/// signed; 2 the command line or a manifest is wrong, and nothing was changed; 3 nothing could be done.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Release manifests.
    #[arg(required = true, value_name = "MANIFEST")]
    manifests: Vec<PathBuf>,
    /// Only publish images with this value of a matrix variable (`arch=amd64`), or with a matching name or path
    /// (`image=*netinst*`). May be repeated: any value of the same variable matches, different variables must all match.
    #[arg(long, value_name = "VARIABLE=VALUE")]
    only: Vec<Selector>,
    #[command(flatten)]
    jobs: JobsArgs,
    #[command(flatten)]
    index: IndexArgs,
    /// Show what would be done; write nothing but the index.
    #[arg(long)]
    dry_run: bool,
    /// Trust no size, time or inode: read images and mirror files again, whatever the index remembers of them.
    #[arg(long)]
    paranoid: bool,
    /// Only regenerate the [Servers] sections of the published sets from the manifests. With --dry-run, print what would
    /// change.
    #[arg(long, conflicts_with_all = ["format", "report", "paranoid"])]
    servers_only: bool,
    /// Remove sets that no image of the manifests stands for, with their lines in SUMS files, in the same step that
    /// publishes the new ones. Only sets that jigpress made are removed, and none from a directory for which an image
    /// failed or is missing. Without it, they are listed.
    #[arg(long, conflicts_with_all = ["only", "servers_only"])]
    prune_sets: bool,
    /// Remove nothing if more than this percentage of the sets would go.
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, requires = "prune_sets", value_parser = super::parse_percent)]
    max_prune: f64,
    #[command(flatten)]
    signing: SigningArgs,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Also write the result as JSON to this file, in whatever way the run ends.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print nothing but warnings and errors.
    #[arg(long, short)]
    quiet: bool,
}

impl Args {
    /// Whether a run that was killed is gone on with by the next one.
    pub fn resumes(&self) -> bool {
        !self.dry_run && !self.servers_only
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    if args.servers_only {
        let releases = manifest::load_all(&args.manifests, &args.only).map_err(Failure::Manifest)?;
        return set_servers(&releases, args);
    }
    let report = RunReport::begin(&args.manifests, args.report.as_deref(), args.format == Format::Json)?;
    let result = publish(args, report.ledger());
    Ok(ExitCode::from(report.end(result)))
}

/// Publishes the releases. Returns the exit code.
fn publish(args: &Args, ledger: &Ledger) -> Result<u8, Failure> {
    let releases = manifest::load_all(&args.manifests, &args.only).map_err(Failure::Manifest)?;
    let is_json = args.format == Format::Json;
    let progress = terminal::listener(args.quiet || is_json);
    let index = args.index.path()?;
    let sign_command = args.signing.command();
    let pruning = match args.prune_sets {
        true => Pruning::Remove { most: args.max_prune },
        false if args.only.is_empty() => Pruning::List,
        false => Pruning::Unknown,
    };
    let options = Options {
        index: &index,
        jobs: args.jobs.count()?,
        dry_run: args.dry_run,
        paranoid: args.paranoid,
        sign_command,
        pruning,
        ledger,
    };
    let result = publish::publish(&releases, &options, &*progress).map_err(|error| match error {
        publish::Error::Mirror(error) if error.is_of_trees() => Failure::Usage(error.to_string()),
        error => Failure::nothing(error),
    })?;
    drop(progress);
    let report = result.report;
    // Images that fail for the same reason, such as a mirror that is missing, have the same error.
    let mut said = HashSet::new();
    for image in report.images.iter().filter(|image| image.outcome == Outcome::Failed) {
        let error = image.error.as_deref().unwrap_or("failed");
        if said.insert(error) {
            terminal::error(format_args!("{error}"));
        }
    }
    outcome::warn(&report);
    signing::report_signatures(&result.signatures.stale, &result.signatures.failures, args.dry_run);
    if let Some(reason) = &report.prune_refused {
        terminal::error(format_args!("{reason}"));
    }
    if !args.quiet && !is_json {
        let text = outcome::table(&report) + &outcome::stale_sets(&report, args.prune_sets);
        super::written(std::io::stdout().write_all(text.as_bytes()))?;
    }
    Ok(match report.count(Outcome::Failed) {
        0 if report.mirror.unreadable > 0 => SOME_FAILED,
        0 if result.signatures.failures.is_empty() && report.prune_refused.is_none() => 0,
        0 => SOME_FAILED,
        _ if result.nothing_could_be_written => super::NOTHING,
        _ => SOME_FAILED,
    })
}

/// Regenerates the sections of the published sets.
fn set_servers(releases: &[Release], args: &Args) -> Result<ExitCode, Failure> {
    let (sets, missing) = servers::published(releases).map_err(super::file_args::unfound)?;
    let updates: Vec<_> = sets.iter().map(|set| Update { file: set.file.clone(), change: &set.change }).collect();
    let sign_command = args.signing.command();
    let options = servers::Options { dry_run: args.dry_run, sign_command, ..servers::Options::default() };
    let pool = args.jobs.pool()?;
    let outcome = pool.install(|| servers::update(&updates, &options)).map_err(super::servers::unchanged)?;
    for path in &missing {
        terminal::error(format_args!("{} is not published yet; run without --servers-only first", escaped_path(&path)));
    }
    let left_out = releases.iter().flat_map(|release| &release.left_out).filter(|left_out| !left_out.is_optional);
    let left_out: Vec<_> = left_out.map(|left_out| &left_out.problem).collect();
    let mut said = HashSet::new();
    for problem in left_out.iter().filter(|problem| said.insert(**problem)) {
        terminal::error(format_args!("{problem}"));
    }
    let code = super::servers::print_outcome(&outcome, args.dry_run, args.quiet)?;
    Ok(if missing.is_empty() && left_out.is_empty() { code } else { ExitCode::from(SOME_FAILED) })
}
