//! `jigpress snapshot`: a tree of exactly the parts that sets need.

use jigdo::escaped_path;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jigdo::bstr::{BString, ByteSlice as _};

use super::file_args::found;
use super::trees::directory;
use super::web::WebArgs;
use super::whole_file::WholeFile;
use super::{Failure, Format, IndexArgs, JobsArgs, SOME_FAILED, terminal};
use crate::manifest::Filter;
use crate::progress;
use crate::servers::parse_label;
use crate::snapshot::{self, Link, Missing, Options, Outcome};

/// Makes a tree of exactly the parts that sets need.
///
/// Mirror files are linked or copied into the tree after their sums are compared with those in the sets. Parts in jigdo
/// files that a set includes, from this machine or from the web, count as the set's own. Run it again to add what new
/// sets need. The file .jigpress/snapshot in the tree lists what was put there.
///
/// Exit codes: 0 all parts are there; 1 some are not, a set or something in a tree could not be read, or --prune was refused;
/// 2 the command line or every set is wrong; 3 nothing could be done.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Jigdo files, plain or compressed with gzip, or trees of them. In trees, hidden files and symbolic links are skipped.
    #[arg(long, required_unless_present = "from_list", num_args = 1.., value_name = "JIGDO")]
    from: Vec<PathBuf>,
    /// Also take the jigdo files and trees that this file lists, one per line.
    #[arg(long, value_name = "FILE")]
    from_list: Option<PathBuf>,
    /// The mirror tree with a label's parts. Repeat it for several labels.
    #[arg(long = "mirror", required = true, value_name = "LABEL=DIR", value_parser = parse_mirror)]
    mirrors: Vec<(String, PathBuf)>,
    /// The snapshot's directory, created if missing. With {label} in it, each label gets a tree of its own. It must not be a
    /// mirror, or inside one, or have one or the sets in it.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// How to put files into the snapshot.
    #[arg(long, value_enum, default_value_t)]
    link: LinkArg,
    /// Do not compare sums: take any file at a part's path that has the part's length, as far as templates beside the sets
    /// tell it.
    #[arg(long)]
    no_check: bool,
    /// List the files that no set needs, then remove them: only those that snapshot put there. Nothing is removed if a set,
    /// or a file that a set includes, could not be read.
    #[arg(long)]
    prune: bool,
    /// Remove nothing if more than this percentage of the snapshot's files would go.
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, requires = "prune", value_parser = super::parse_percent)]
    max_prune: f64,
    /// Never remove files whose paths in the snapshot match this glob, nor what is below directories that match it.
    /// Repeatable.
    #[arg(long, value_name = "GLOB")]
    keep: Vec<String>,
    /// Take over all files in the snapshot's directory, except those that --keep names, as if snapshot had put them there:
    /// for snapshots that are older than their list.
    #[arg(long)]
    adopt: bool,
    /// Write the missing parts to this file, each with the jigdo files that need it. If the run does not come to its
    /// end, the file is a comment that says so.
    #[arg(long, value_name = "FILE")]
    missing: Option<PathBuf>,
    /// A file that lists parts known to be lost, one per line, as a path or as label:path. A file that --missing wrote can
    /// be given here.
    #[arg(long, value_name = "FILE")]
    ignore: Vec<PathBuf>,
    /// Print what would be done, and write nothing but the index.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    jobs: JobsArgs,
    #[command(flatten)]
    index: IndexArgs,
    #[command(flatten)]
    web: WebArgs,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Print nothing but warnings and errors.
    #[arg(long, short)]
    quiet: bool,
}

/// How files are put into a snapshot.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum LinkArg {
    /// By hard link; where that is not possible, by reflink; where that is not possible either, as copies.
    #[default]
    Auto,
    /// By hard link only.
    Hard,
    /// By reflink only: files that share their blocks.
    Reflink,
    /// As copies.
    Copy,
}

impl From<LinkArg> for Link {
    fn from(link: LinkArg) -> Self {
        match link {
            LinkArg::Auto => Self::Auto,
            LinkArg::Hard => Self::Hard,
            LinkArg::Reflink => Self::Reflink,
            LinkArg::Copy => Self::Copy,
        }
    }
}

/// A label with a directory, as typed: `Label=DIR`.
fn parse_mirror(text: &str) -> Result<(String, PathBuf), String> {
    let (label, directory) =
        text.split_once('=').filter(|(_, directory)| !directory.is_empty()).ok_or("write it as Label=DIR")?;
    Ok((parse_label(label).map_err(|error| error.to_string())?, self::directory(directory)?))
}

/// Carries out the command.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let missing = args.missing.as_deref().map(|path| WholeFile::create(path, "--missing")).transpose()?;
    if let Some((label, _)) = repeated(&args.mirrors) {
        return Err(Failure::Usage(format!("--mirror {label}=... is given twice")));
    }
    let index = if args.no_check { None } else { Some(args.index.path()?) };
    let ignore = ignored(&args.ignore)?;
    let keep = kept(&args.keep)?;
    let into: Vec<PathBuf> = args.mirrors.iter().map(|(label, _)| place_of(&args.into, label)).collect();
    let is_json = args.format == Format::Json;
    let progress = terminal::listener(args.quiet || is_json);
    let is_printed = !args.quiet && !is_json;
    let announce = |files: &[PathBuf]| {
        if is_printed {
            let line = |path: &PathBuf| format!("needed by no set: {}\n", escaped_path(&path));
            let _ = std::io::stdout().write_all(files.iter().map(line).collect::<String>().as_bytes());
        }
    };
    let fetch = args.web.fetch();
    let options = Options {
        mirrors: &args.mirrors,
        into: &into,
        link: args.link.into(),
        index: index.as_deref(),
        ignore: &ignore,
        prune: args.prune.then_some(args.max_prune),
        keep: keep.as_ref(),
        adopt: args.adopt,
        fetch: &*fetch,
        announce: &announce,
        dry_run: args.dry_run,
    };
    let pool = args.jobs.pool()?;
    let outcome = pool.install(|| {
        let sets = found(&sets(args)?)?;
        snapshot::snapshot(&sets, &options, &*progress).map_err(|error| match error.is_of_input() {
            true => Failure::Usage(error.to_string()),
            false => Failure::nothing(error),
        })
    })?;
    drop(progress);
    if let Some(file) = missing {
        file.write(&outcome.missing.iter().flat_map(listed).collect::<Vec<u8>>())?;
    }
    print_outcome(&outcome, args)
}

/// What --keep protects; nothing if it is not given. Paths are relative, and directories need no slash.
fn kept(globs: &[String]) -> Result<Option<Filter>, Failure> {
    if globs.is_empty() {
        return Ok(None);
    }
    let plain = |glob: &String| glob.trim_start_matches("./").trim_matches('/').to_owned();
    let filter = Filter::new(globs.iter().map(plain).collect(), Vec::new());
    filter.map(Some).map_err(|error| Failure::Usage(format!("--keep: {error}")))
}

fn repeated(mirrors: &[(String, PathBuf)]) -> Option<&(String, PathBuf)> {
    mirrors
        .iter()
        .enumerate()
        .find(|(at, (label, _))| mirrors[..*at].iter().any(|(other, _)| other == label))
        .map(|(_, it)| it)
}

/// The directory of a label's snapshot.
fn place_of(into: &Path, label: &str) -> PathBuf {
    match into.to_str() {
        Some(text) => PathBuf::from(text.replace("{label}", label)),
        None => into.to_owned(),
    }
}

/// The jigdo files and trees that are named, on the command line and in a list.
fn sets(args: &Args) -> Result<Vec<PathBuf>, Failure> {
    let mut sets = args.from.clone();
    if let Some(path) = &args.from_list {
        let text = fs::read(path).map_err(|error| Failure::Usage(format!("{}: {error}", escaped_path(&path))))?;
        let lines = text.lines().map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        sets.extend(lines.map(|line| PathBuf::from(OsStr::from_bytes(line))));
    }
    Ok(sets)
}

/// The parts that are known to be lost. Lines that begin with white space or `#` are skipped.
fn ignored(paths: &[PathBuf]) -> Result<BTreeSet<BString>, Failure> {
    let mut ignored = BTreeSet::new();
    for path in paths {
        let text = fs::read(path).map_err(|error| Failure::Usage(format!("{}: {error}", escaped_path(&path))))?;
        let lines = text.lines().filter(|line| !matches!(line.first(), None | Some(b' ' | b'\t' | b'#')));
        // A path may end in a space, as --missing writes it, and a line that somebody typed may end in one that was not meant.
        ignored.extend(lines.flat_map(|line| [line, line.trim_ascii_end()].map(BString::from)));
    }
    Ok(ignored)
}

/// A missing part as --missing lists it, the jigdo files that need it below it.
fn listed(missing: &Missing) -> Vec<u8> {
    let sets = missing.sets.iter().map(|set| [b" ", set.as_os_str().as_bytes(), b"\n"].concat());
    [missing.label.as_bytes(), b":", &missing.path, b"\n", &sets.collect::<Vec<_>>().concat()].concat()
}

fn print_outcome(outcome: &Outcome, args: &Args) -> Result<ExitCode, Failure> {
    const SHOWN: usize = 20;
    for missing in outcome.missing.iter().take(SHOWN) {
        terminal::error(format_args!(
            "{}:{} is missing: {}; {} {} it",
            super::inspect::printable(&missing.label),
            super::inspect::printable(&missing.path),
            missing.reason,
            progress::counted(missing.sets.len(), "set"),
            if missing.sets.len() == 1 { "needs" } else { "need" }
        ));
    }
    if outcome.missing.len() > SHOWN {
        let more = outcome.missing.len() - SHOWN;
        terminal::error(format_args!("and {more} more {} missing; --missing FILE lists them", super::are(more)));
    }
    if let Some(reason) = &outcome.prune_refused {
        terminal::error(format_args!("{reason}"));
    }
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(outcome).expect("an outcome is plain data") + "\n",
        Format::Human if args.quiet => String::new(),
        Format::Human => summary(outcome, args.dry_run),
    };
    super::written(std::io::stdout().write_all(text.as_bytes()))?;
    Ok(if outcome.is_whole() { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
}

fn summary(outcome: &Outcome, dry_run: bool) -> String {
    let counts = [
        (outcome.kept, "there already"),
        (outcome.linked, "linked"),
        (outcome.reflinked, "reflinked"),
        (outcome.copied, "copied"),
        (outcome.missing.len() as u64, "missing"),
        (outcome.ignored, "known to be lost"),
        (outcome.removed, "removed"),
    ];
    let counted = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let would = if dry_run { "would be: " } else { "" };
    let need = if outcome.sets == 1 { "needs" } else { "need" };
    let (sets, files) = (progress::counted(outcome.sets, "set"), progress::counted(outcome.files, "file"));
    format!("{sets} {need} {files}: {would}{}\n", counted.collect::<Vec<_>>().join(", "))
}
