//! `jigpress assemble`: rebuilds images from sets and mirrors.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::BinaryBytes;
use jigdo::{bstr, escaped, escaped_path};
use serde::Serialize;

use super::trees::{MirrorArgs, OldImageArgs};
use super::web::WebArgs;
use super::whole_file::WholeFile;
use super::{Failure, Format, IndexArgs, JobsArgs, NOTHING, SOME_FAILED, terminal};
use crate::assemble::Incomplete;
use crate::assemble::batch::{self, ImageReport, Job, Options, Outcome, Wanted};
use crate::manifest::Filter;
use crate::progress::{self, AllImages, counted};
use crate::set::Fetch;

/// Assembles images from their sets and from local trees.
///
/// Parts are taken from the paths that the jigdo file names, in the directory that `--mirror` sets for the label; from
/// files in these directories that were renamed or moved; and from inside old images. The sums of all parts and images
/// are checked. An image gets its name only when it is complete. Every image that a jigdo file describes is assembled.
///
/// A file that has the image's length and sum is left alone, however old it is; the index remembers sums. Another file is
/// replaced only if an earlier run made it, if it has a part of the image, as an old version does, if it is the beginning
/// of the image, or with --force.
///
/// Exit codes: 0 all images are complete; 1 some are not; 2 the command line is wrong; 3 nothing could be written.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Jigdo files, plain or compressed.
    #[arg(required_unless_present = "all", value_name = "SET.jigdo")]
    sets: Vec<PathBuf>,
    /// Assemble the images of all jigdo files below this directory, except hidden ones and symbolic links. The images of
    /// DIR/some/where/x.jigdo go to some/where below --into.
    #[arg(long, value_name = "DIR", conflicts_with = "sets")]
    all: Option<PathBuf>,
    /// The directory to write images to.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// Of the images that the jigdo file describes, assemble only the one with this name.
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    image: Option<OsString>,
    /// The template, if it is neither where the jigdo file says nor beside it. If the jigdo file describes several images,
    /// --image says whose it is.
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    template: Option<PathBuf>,
    /// With --all: where to look for templates that are not beside their jigdo files: at the same relative paths below
    /// this directory.
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
    #[command(flatten)]
    mirrors: MirrorArgs,
    #[command(flatten)]
    from: OldImageArgs,
    /// With --all: assemble only images whose paths below --into match this glob, such as `*/i386/*-[12].iso`.
    /// Repeatable.
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// With --all: skip images whose paths below --into match this glob. Repeatable.
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Write the URLs of missing parts to this file: one line per part, its URLs separated by tabs. Parts whose files
    /// have the wrong sum count as missing too. If the run does not come to its end, the file is a comment that says so.
    #[arg(long, value_name = "FILE")]
    missing: Option<PathBuf>,
    /// Keep images that lack parts, half-assembled, with .tmp after their names. An existing .tmp file is always
    /// resumed, even one that jigdo-file wrote.
    #[arg(long)]
    partial: bool,
    /// Write long runs of zeros instead of leaving holes.
    #[arg(long)]
    no_sparse: bool,
    /// Also assemble images that are there already, and replace files that are in the way, whatever they are.
    #[arg(long)]
    force: bool,
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

#[derive(Serialize)]
struct Results<'a> {
    images: &'a [ImageReport],
    /// What could not be read in the directory that `--all` names.
    unreadable: &'a [String],
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let missing_file = args.missing.as_deref().map(|path| WholeFile::create(path, "--missing")).transpose()?;
    if args.sets.len() > 1 {
        for (option, is_given) in [("--template", args.template.is_some()), ("--image", args.image.is_some())] {
            if is_given {
                return Err(Failure::Usage(format!("{option} is for one jigdo file, but several are given")));
            }
        }
    }
    if args.all.is_none() && !(args.include.is_empty() && args.exclude.is_empty() && args.templates.is_none()) {
        let what = "--include, --exclude and --templates need --all DIR";
        return Err(Failure::Usage(what.to_owned()));
    }
    let filter = Filter::new(args.include.clone(), args.exclude.clone());
    let filter = filter.map_err(|error| Failure::Usage(error.to_string()))?;
    let (trees, old_images) = (args.mirrors.trees()?, args.from.images()?);
    let pool = args.jobs.pool()?;
    let is_json = args.format == Format::Json;
    let listener = terminal::listener(args.quiet || is_json);
    let progress = AllImages::new(&*listener);
    let fetch = args.web.fetch();
    let options = Options {
        trees,
        old_images,
        index: args.index.path()?,
        is_sparse: !args.no_sparse,
        incomplete: match (args.partial, &args.missing) {
            (true, _) => Incomplete::Keep,
            (false, Some(_)) => Incomplete::CheckAll,
            (false, None) => Incomplete::Discard,
        },
        force: args.force,
        threads: args.jobs.count()?,
        fetch: &*fetch,
        progress: &progress,
    };
    let (images, unreadable) = pool.install(|| {
        let found = sets(args, &filter, &*fetch)?;
        progress.set_images(found.jobs.len());
        Ok::<_, Failure>((batch::assemble_sets(&found.jobs, &options), found.unreadable))
    })?;
    drop(progress);
    drop(listener);
    report_problems(&images, &unreadable, args.missing.is_some());
    if let Some(file) = missing_file {
        file.write(&urls(&images))?;
    }
    if is_json {
        let result = Results { images: &images, unreadable: &unreadable };
        let json = serde_json::to_string_pretty(&result).expect("a report is plain data") + "\n";
        super::written(std::io::stdout().write_all(json.as_bytes()))?;
    } else if !args.quiet {
        super::written(std::io::stdout().write_all(table(&images).as_bytes()))?;
    }
    Ok(exit_code(&images, &unreadable))
}

/// The sets that the command line names.
fn sets(args: &Args, filter: &Filter, fetch: &dyn Fetch) -> Result<batch::FoundJobs, Failure> {
    if let Some(directory) = &args.all {
        let found = batch::find(directory, args.templates.as_deref(), &args.into, filter, fetch);
        let found = found.map_err(|error| Failure::Usage(format!("--all {error}")))?;
        found.left_out.iter().for_each(|file| terminal::warn(format_args!("{file}")));
        if found.jobs.is_empty() && found.filtered_out > 0 && found.unreadable.is_empty() {
            let images = counted(found.filtered_out, "image");
            let what = format!("--include and --exclude leave none of the {images} in {}", escaped_path(directory));
            return Err(Failure::Usage(what));
        }
        return Ok(found);
    }
    let images = args.image.clone().map_or(Wanted::All, Wanted::Named);
    let job = |set: &PathBuf| Job {
        set: set.clone(),
        images: images.clone(),
        template: args.template.clone(),
        templates: None,
        directory: args.into.clone(),
    };
    // A set that is given twice, perhaps by another path, is assembled once.
    let mut seen = HashSet::new();
    let sets = args.sets.iter().filter(|set| seen.insert(fs::canonicalize(set).unwrap_or_else(|_| (*set).clone())));
    Ok(batch::FoundJobs { jobs: sets.map(job).collect(), ..batch::FoundJobs::default() })
}

/// Reports what went wrong. Missing parts are listed only if they do not go to a file.
fn report_problems(images: &[ImageReport], unreadable: &[String], has_missing_file: bool) {
    /// How many missing parts are listed per image.
    const MOST_NAMED: usize = 10;
    for problem in unreadable {
        terminal::warn(format_args!("{problem}; jigdo files may be missing"));
    }
    for report in images {
        match report.outcome {
            Outcome::Failed => terminal::error(format_args!("{}", report.error.as_deref().unwrap_or("failed"))),
            Outcome::Incomplete => {
                let (missing, image) = (report.missing(), report.image.as_deref().unwrap_or(Path::new("")));
                let mut text = format!(
                    "{}: {} {} missing",
                    escaped_path(&image),
                    counted(missing.len(), "part"),
                    super::are(missing.len())
                );
                let named = if has_missing_file { 0 } else { MOST_NAMED };
                for part in missing.iter().take(named) {
                    text +=
                        &format!("\n  {}", part.urls.first().map_or_else(String::new, |url| escaped(url).to_string()));
                }
                if !has_missing_file && missing.len() > named {
                    text += &format!("\n  and {} more: --missing FILE lists them all", missing.len() - named);
                }
                terminal::error(format_args!("{text}"));
            }
            Outcome::Assembled | Outcome::Unchanged => {}
        }
    }
}

/// The URLs of the missing parts of all images: one line per part, each part once.
fn urls(images: &[ImageReport]) -> Vec<u8> {
    let mut seen = HashSet::new();
    let missing = images.iter().flat_map(ImageReport::missing).filter(|part| seen.insert((&part.algorithm, &part.sum)));
    missing.flat_map(|part| [bstr::join("\t", &part.urls), b"\n".to_vec()].concat()).collect()
}

fn exit_code(images: &[ImageReport], unreadable: &[String]) -> ExitCode {
    let is_done = |report: &ImageReport| matches!(report.outcome, Outcome::Assembled | Outcome::Unchanged);
    if images.iter().all(is_done) && unreadable.is_empty() {
        ExitCode::SUCCESS
    } else if !images.is_empty() && images.iter().all(|report| report.is_output_error) {
        ExitCode::from(NOTHING)
    } else {
        ExitCode::from(SOME_FAILED)
    }
}

/// A line for each image, and one with the totals.
fn table(images: &[ImageReport]) -> String {
    let mut rows = vec![["image", "size", "parts", "missing", "from template", "seconds", ""].map(str::to_owned)];
    let (mut bytes, mut parts, mut missing) = (0, 0, 0);
    for report in images {
        let path = report.image.as_deref().unwrap_or(&report.set);
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let outcome = match report.outcome {
            Outcome::Assembled => "",
            Outcome::Unchanged => "unchanged",
            Outcome::Incomplete => "INCOMPLETE",
            Outcome::Failed => "FAILED",
        };
        let mut row = [const { String::new() }; 7];
        (row[0], row[6]) = (name, outcome.to_owned());
        if let Some(assembled) = &report.assembled {
            bytes += assembled.bytes;
            parts += assembled.parts;
            missing += assembled.missing.len();
            row[1] = BinaryBytes(assembled.bytes).to_string();
            row[2] = assembled.parts.to_string();
            row[3] = assembled.missing.len().to_string();
            row[4] = super::percentage(assembled.unmatched_bytes, assembled.bytes);
            row[5] = format!("{:.1}", assembled.seconds);
        }
        rows.push(row);
    }
    let outcomes = [
        (Outcome::Assembled, "assembled"),
        (Outcome::Unchanged, "unchanged"),
        (Outcome::Incomplete, "incomplete"),
        (Outcome::Failed, "failed"),
    ];
    let count = |outcome| images.iter().filter(|report| report.outcome == outcome).count();
    let counted = outcomes.map(|(outcome, word)| (count(outcome), word)).into_iter().filter(|(count, _)| *count > 0);
    let counted: Vec<String> = counted.map(|(count, word)| format!("{count} {word}")).collect();
    rows.push([
        progress::counted(images.len(), "image").to_string(),
        BinaryBytes(bytes).to_string(),
        parts.to_string(),
        missing.to_string(),
        String::new(),
        String::new(),
        counted.join(", "),
    ]);
    super::columns(&rows)
}
