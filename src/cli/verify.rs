//! `jigpress verify`: checks images, sets and SUMS files.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::BinaryBytes;
use jigdo::Sum;
use serde::Serialize;

use super::trees::MirrorArgs;
use super::web::WebArgs;
use super::{Failure, Format, JobsArgs, SOME_FAILED, terminal};
use crate::assemble::{Verified, verify_image};
use crate::progress::Progress;
use crate::set::{self, Fetch, FileTemplate, Kind, Set};
use crate::verify::{self, Entry, SetReport, State, SumsReport};

/// Verifies an image, sets, or SUMS files.
///
/// `verify IMAGE TEMPLATE` compares an image with its template and shows where it differs. With the jigdo file in place
/// of the template, it also names the files that belong there. `verify SET.jigdo... --mirror Debian=DIR` checks that
/// each set is whole, that its template is the one it names, and that every part is right and where the set says.
/// Without a mirror, it checks the sets alone. `verify --sums DIR...` checks all files that are listed in the MD5SUMS,
/// SHA1SUMS, SHA256SUMS and SHA512SUMS files in DIR and below. A line that cannot be read is wrong, and so is a SUMS
/// file of which no line could be checked.
///
/// Exit codes: 0 everything is right; 1 something is wrong; 2 the command line is wrong; 3 something could not be read.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// An image and its template, or jigdo files.
    #[arg(required_unless_present = "sums", value_name = "IMAGE TEMPLATE|SET.jigdo")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    mirrors: MirrorArgs,
    /// Check the SUMS files in this directory and below. Repeatable.
    #[arg(long, value_name = "DIR", conflicts_with = "files")]
    sums: Vec<PathBuf>,
    /// With --sums: missing files do not count as errors.
    #[arg(long)]
    ignore_missing: bool,
    #[command(flatten)]
    jobs: JobsArgs,
    #[command(flatten)]
    web: WebArgs,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Print only what is wrong.
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let progress = terminal::listener(args.quiet || args.format == Format::Json);
    let pool = args.jobs.pool()?;
    let fetch = args.web.fetch();
    let result = pool.install(|| {
        if !args.sums.is_empty() {
            return sums(args);
        }
        match kinds(&args.files)?[..] {
            [_, Kind::Template] => image(&args.files[0], set::read_template(&args.files[1]), None, &*progress),
            [Kind::Other, Kind::Jigdo] => {
                let set = Set::open(&args.files[1], None, &*fetch).map_err(Failure::nothing)?;
                for left_out in &set.not_included {
                    progress.warn(&format!("{}: {left_out}", set.path.display()));
                }
                image(&args.files[0], set.read_template(), Some(&set), &*progress)
            }
            ref kinds if kinds.iter().all(|kind| *kind == Kind::Jigdo) => sets(args, &*fetch, &*progress),
            _ => Err(Failure::Usage(
                "name an image and its template, or jigdo files; see `jigpress verify --help`".to_owned(),
            )),
        }
    })?;
    drop(progress);
    result.print(args)
}

fn kinds(paths: &[PathBuf]) -> Result<Vec<Kind>, Failure> {
    let kind = |path: &PathBuf| match Kind::of(path) {
        Ok(Kind::Sums) => Err(Failure::Usage(format!("{}: name its directory with --sums", path.display()))),
        // Half-assembled images are compared like any others.
        Ok(Kind::Tmp) => Ok(Kind::Other),
        Ok(kind) => Ok(kind),
        Err(error) => Err(Failure::Nothing(format!("{}: {error}", path.display()))),
    };
    paths.iter().map(kind).collect()
}

/// The findings, for scripts and for people.
struct Findings {
    is_right: bool,
    json: serde_json::Value,
    /// Whether a line reports something right, and the line.
    text: Vec<(bool, String)>,
}

impl Findings {
    fn print(self, args: &Args) -> Result<ExitCode, Failure> {
        let text = match args.format {
            Format::Json => serde_json::to_string_pretty(&self.json).expect("a report is plain data") + "\n",
            Format::Human => {
                let lines = self.text.iter().filter(|(is_right, _)| !args.quiet || !is_right);
                lines.map(|(_, line)| format!("{line}\n")).collect()
            }
        };
        super::written(std::io::stdout().write_all(text.as_bytes()))?;
        Ok(if self.is_right { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
    }
}

fn json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("a report is plain data")
}

#[derive(Serialize)]
struct ImageView {
    image: PathBuf,
    is_right: bool,
    bytes: u64,
    sum: String,
    found_bytes: u64,
    found_sum: Option<String>,
    wrong: Vec<WrongAreaView>,
}

#[derive(Serialize)]
struct WrongAreaView {
    offset: u64,
    bytes: u64,
    /// The sum of the part that belongs there; none if unmatched data do.
    part: Option<String>,
    /// The URLs of that part, if the jigdo file was named.
    urls: Vec<String>,
}

fn image(
    path: &Path,
    template: Result<FileTemplate, set::Error>,
    set: Option<&Set>,
    progress: &dyn Progress,
) -> Result<Findings, Failure> {
    let verified = verify_image(path, &mut template.map_err(Failure::nothing)?, progress).map_err(Failure::nothing)?;
    let is_right = verified.is_right();
    let urls = |sum: &Sum| set.and_then(|set| set.urls(sum).ok()).unwrap_or_default();
    let wrong = |area: &crate::assemble::WrongArea| WrongAreaView {
        offset: area.offset,
        bytes: area.length,
        part: area.part.map(|part| part.sum.to_string()),
        urls: area.part.map_or_else(Vec::new, |part| urls(&part.sum)),
    };
    let Verified { length, sum, found_length, found_sum, .. } = verified;
    let view = ImageView {
        image: path.to_owned(),
        is_right,
        bytes: length,
        sum: sum.to_string(),
        found_bytes: found_length,
        found_sum: found_sum.map(|sum| sum.to_string()),
        wrong: verified.wrong.iter().map(wrong).collect(),
    };
    let name = path.display();
    let mut text = Vec::new();
    text.push((
        is_right,
        match found_sum {
            _ if is_right => format!("{name}: right, {sum:?}"),
            Some(found) => format!("{name}: WRONG, {found:?} instead of {sum:?}"),
            None => format!("{name}: WRONG, it has {found_length} bytes instead of {length}"),
        },
    ));
    text.extend(view.wrong.iter().map(|area| {
        let what = match &area.part {
            Some(sum) => format!("part {sum} {}", area.urls.first().map_or("", String::as_str)),
            None => "unmatched data".to_owned(),
        };
        (false, format!("  {} bytes at offset {} are not {}", area.bytes, area.offset, what.trim_end()))
    }));
    Ok(Findings { is_right, json: json(&view), text })
}

fn sets(args: &Args, fetch: &dyn Fetch, progress: &dyn Progress) -> Result<Findings, Failure> {
    #[derive(Serialize)]
    struct View<'a> {
        is_right: bool,
        sets: &'a [SetReport],
    }
    let trees = args.mirrors.trees()?;
    let with_parts = !trees.is_empty();
    let options = verify::Options { trees, with_parts, fetch, threads: args.jobs.count(), progress };
    let sets = verify::check_sets(&args.files, &options).map_err(Failure::nothing)?;
    let is_right = sets.iter().all(|set| set.is_right);
    let text = sets.iter().map(|set| (set.is_right, describe_set(set, with_parts))).collect();
    Ok(Findings { is_right, json: json(&View { is_right, sets: &sets }), text })
}

/// The findings about a set, in lines; the last one has no line end.
fn describe_set(set: &SetReport, with_parts: bool) -> String {
    let SetReport { is_right, problems, parts, bytes, missing, wrong, .. } = set;
    let mut text = format!("{}: ", set.set.display());
    // Writing to a String cannot fail.
    let _ = match (is_right, with_parts) {
        (true, true) => write!(text, "right, {parts} parts of {}", BinaryBytes(*bytes)),
        (true, false) => write!(text, "right, {parts} parts of {} were not checked", BinaryBytes(*bytes)),
        (false, true) => write!(text, "WRONG, {} of {parts} parts are missing or wrong", missing.len()),
        (false, false) => write!(text, "WRONG"),
    };
    problems.iter().for_each(|problem| text.push_str(&format!("\n  {problem}")));
    wrong.iter().for_each(|wrong| {
        text.push_str(&format!("\n  {} is not part {}: {}", wrong.file, wrong.sum, wrong.reason));
    });
    missing.iter().for_each(|part| {
        text.push_str(&format!("\n  part {} is missing: {}", part.sum, part.urls.join(" ")));
    });
    text
}

fn sums(args: &Args) -> Result<Findings, Failure> {
    #[derive(Serialize)]
    struct View<'a> {
        is_right: bool,
        sums: Vec<&'a SumsReport>,
    }
    let mut reports = Vec::new();
    for directory in &args.sums {
        let found = verify::check_sums(directory, args.jobs.count()).map_err(Failure::nothing)?;
        if found.is_empty() {
            let what = "there are no MD5SUMS, SHA1SUMS, SHA256SUMS or SHA512SUMS files in it or below";
            return Err(Failure::Usage(format!("--sums {}: {what}", directory.display())));
        }
        reports.extend(found);
    }
    let reports: Vec<_> = reports.into_iter().map(|report| SumsView { report, args }).collect();
    let is_right = reports.iter().all(SumsView::is_right);
    let text = reports.iter().flat_map(SumsView::lines).collect();
    let sums: Vec<&SumsReport> = reports.iter().map(|view| &view.report).collect();
    Ok(Findings { is_right, json: json(&View { is_right, sums }), text })
}

/// A SUMS file as it is printed.
struct SumsView<'a> {
    report: SumsReport,
    args: &'a Args,
}

/// How many of the lines that cannot be read are printed: a web page has many.
const MALFORMED_SHOWN: usize = 5;

impl SumsView<'_> {
    /// The lines that are wrong.
    fn wrong(&self) -> Vec<&Entry> {
        let is_ignored = |entry: &&Entry| self.args.ignore_missing && entry.state == State::Missing;
        self.report.wrong().filter(|entry| !is_ignored(entry)).collect()
    }

    fn is_right(&self) -> bool {
        self.wrong().is_empty() && !self.report.is_unchecked()
    }

    fn count(&self, is_counted: impl Fn(&State) -> bool) -> usize {
        self.report.entries.iter().filter(|entry| is_counted(&entry.state)).count()
    }

    /// Its lines, with whether each is about what is right.
    fn lines(&self) -> Vec<(bool, String)> {
        let wrong = self.wrong();
        let file = self.report.file.display();
        let mut line = match wrong.len() {
            0 if self.report.is_unchecked() => format!("{file}: WRONG, it has no line that could be checked"),
            0 => format!("{file}: right, {} files", self.count(|state| *state == State::Right)),
            wrong => format!("{file}: WRONG, {wrong} of {} lines", self.report.entries.len()),
        };
        let images = self.count(|state| matches!(state, State::ImageOfSet | State::ImageUnchecked));
        let missing = self.count(|state| self.args.ignore_missing && *state == State::Missing);
        for (count, what) in [(images, "images that exist only as sets"), (missing, "missing")] {
            if count > 0 {
                line += &format!(", {count} {what}");
            }
        }
        let mut lines = vec![(self.is_right(), line)];
        let mut malformed = 0;
        for entry in wrong {
            malformed += usize::from(entry.state == State::Malformed);
            if entry.state != State::Malformed || malformed <= MALFORMED_SHOWN {
                lines.push((false, format!("  {}", describe_entry(&self.report, entry))));
            }
        }
        if malformed > MALFORMED_SHOWN {
            lines.push((false, format!("  and {} more lines that cannot be read", malformed - MALFORMED_SHOWN)));
        }
        lines
    }
}

fn describe_entry(report: &SumsReport, entry: &Entry) -> String {
    let place = format!("{}:{}", report.file.display(), entry.line);
    let why = match &entry.state {
        State::Wrong { found } => format!("it has another sum, {found}"),
        State::OtherThanSet { found } => format!("it is missing, and its set names another sum, {found}"),
        State::Missing => "it is missing".to_owned(),
        State::Unreadable { error } => error.clone(),
        State::NoSum => "the line has no sum of this kind".to_owned(),
        State::UnknownAlgorithm => "the line's algorithm cannot be checked here".to_owned(),
        State::Malformed => "the line cannot be read: it is not a sum and a name".to_owned(),
        State::Right | State::ImageOfSet | State::ImageUnchecked => String::new(),
    };
    match &entry.name {
        Some(name) => format!("{}: {why} ({place})", super::inspect::printable(name)),
        None => format!("{place}: {why}"),
    }
}
