//! `jigpress publish`: release manifests in, proven sets out.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::BinaryBytes;

use super::signing::{self, SigningArgs};
use super::whole_file::WholeFile;
use super::{Failure, Format, IndexArgs, JobsArgs, SOME_FAILED, terminal};
use crate::make::SetReport;
use crate::manifest::{self, Release, Selector};
use crate::publish::report::{Outcome, Report};
use crate::publish::{self, Options};
use crate::servers::{self, Update};

/// Publishes the images of releases as jigdo sets.
///
/// Searches each image for the files of its mirrors, and writes a .jigdo and a .template file for it. Both are proven
/// before they appear in the output directory. Images that have not changed since the last run are skipped.
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
    /// Only regenerate the [Servers] sections of the published sets from the manifests. With --dry-run, print what would
    /// change.
    #[arg(long, conflicts_with_all = ["format", "report"])]
    servers_only: bool,
    #[command(flatten)]
    signing: SigningArgs,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Also write the result as JSON to this file.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print nothing but warnings and errors.
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let releases = manifest::load_all(&args.manifests, &args.only).map_err(Failure::Manifest)?;
    if args.servers_only {
        return set_servers(&releases, args);
    }
    let is_json = args.format == Format::Json;
    let progress = terminal::listener(args.quiet || is_json);
    let index = args.index.path()?;
    let report_file = args.report.as_deref().map(|path| WholeFile::create(path, "--report")).transpose()?;
    let sign_command = args.signing.command();
    let options = Options { index: &index, jobs: args.jobs.count(), dry_run: args.dry_run, sign_command };
    let result = publish::publish(&releases, &options, &*progress).map_err(|error| match error {
        publish::Error::Mirror(error) if error.is_of_trees() => Failure::Usage(error.to_string()),
        error => Failure::nothing(error),
    })?;
    drop(progress);
    let report = result.report;
    for image in report.images.iter().filter(|image| image.outcome == Outcome::Failed) {
        terminal::error(format_args!("{}", image.error.as_deref().unwrap_or("failed")));
    }
    let json = serde_json::to_string_pretty(&report).expect("a report is plain data") + "\n";
    signing::report_signatures(&result.signatures.stale, &result.signatures.failures, args.dry_run);
    if let Some(file) = report_file {
        file.write(&json)?;
    }
    if is_json {
        super::written(std::io::stdout().write_all(json.as_bytes()))?;
    } else if !args.quiet {
        super::written(std::io::stdout().write_all(table(&report).as_bytes()))?;
    }
    Ok(match report.count(Outcome::Failed) {
        0 if result.signatures.failures.is_empty() => ExitCode::SUCCESS,
        0 => ExitCode::from(SOME_FAILED),
        _ if result.nothing_could_be_written => ExitCode::from(super::NOTHING),
        _ => ExitCode::from(SOME_FAILED),
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
        terminal::error(format_args!("{} is not published yet; run without --servers-only first", path.display()));
    }
    let code = super::servers::print_outcome(&outcome, args.dry_run, args.quiet)?;
    Ok(if missing.is_empty() { code } else { ExitCode::from(SOME_FAILED) })
}

/// The table at the end of a run, with the totals last.
fn table(report: &Report) -> String {
    let mut rows = vec![["image", "size", "matched", "parts", "template", "seconds", ""].map(str::to_owned)];
    let mut total = Totals::default();
    for image in &report.images {
        let name = image.image.file_name().unwrap_or(image.image.as_os_str()).to_string_lossy().into_owned();
        let size = image.bytes.map_or_else(String::new, |bytes| BinaryBytes(bytes).to_string());
        let outcome = match image.outcome {
            Outcome::Published => "",
            Outcome::Unchanged => "unchanged",
            Outcome::Planned => "to do",
            Outcome::Failed => "FAILED",
        };
        let [matched, parts, template, seconds] = image.set.as_ref().map(set_columns).unwrap_or_default();
        rows.push([name, size, matched, parts, template, seconds, outcome.to_owned()]);
        total.add(image.bytes.unwrap_or(0), image.set.as_ref());
    }
    rows.push(total.row(report));
    super::columns(&rows)
}

fn set_columns(set: &SetReport) -> [String; 4] {
    [
        super::percentage(set.matched_bytes, set.matched_bytes + set.unmatched_bytes),
        set.parts.to_string(),
        BinaryBytes(set.template_bytes).to_string(),
        format!("{:.1}", set.seconds),
    ]
}

#[derive(Default)]
struct Totals {
    bytes: u64,
    matched: u64,
    searched: u64,
    parts: u64,
    template: u64,
}

impl Totals {
    fn add(&mut self, bytes: u64, set: Option<&SetReport>) {
        self.bytes += bytes;
        if let Some(set) = set {
            self.matched += set.matched_bytes;
            self.searched += set.matched_bytes + set.unmatched_bytes;
            self.parts += set.parts;
            self.template += set.template_bytes;
        }
    }

    fn row(&self, report: &Report) -> [String; 7] {
        let counts = [
            (Outcome::Published, "published"),
            (Outcome::Unchanged, "unchanged"),
            (Outcome::Planned, "to do"),
            (Outcome::Failed, "failed"),
        ];
        let counted =
            counts.iter().map(|(outcome, word)| (report.count(*outcome), word)).filter(|(count, _)| *count > 0);
        [
            format!("{} images", report.images.len()),
            BinaryBytes(self.bytes).to_string(),
            super::percentage(self.matched, self.searched),
            self.parts.to_string(),
            BinaryBytes(self.template).to_string(),
            format!("{:.1}", report.seconds),
            counted.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", "),
        ]
    }
}
