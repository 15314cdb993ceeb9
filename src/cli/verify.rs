//! `jigpress verify`: checks images, sets and SUMS files.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::BinaryBytes;
use jigdo::bstr::{self, BString};
use jigdo::{Sum, escaped, escaped_path};
use rayon::prelude::*;
use serde::Serialize;

use super::file_args::found;
use super::trees::MirrorArgs;
use super::web::WebArgs;
use super::{Failure, Format, JobsArgs, SOME_FAILED, terminal};
use crate::assemble::{Verified, verify_image, verify_stream};
use crate::file;
use crate::progress::{Progress, counted};
use crate::set::{self, Fetch, FileTemplate, FindError, Images, JigdoFile, Kind, Listed, Set, Tree};
use crate::verify::{self, Entry, SetReport, State, SumsReport};

/// Verifies an image, sets, or SUMS files.
///
/// `verify IMAGE TEMPLATE` compares an image with its template and shows where it differs. The image may be a file, a
/// block device, a named pipe, or - for standard input. With the jigdo file in place of the template, it also names the
/// files that belong there.
///
/// `verify SET.jigdo... --mirror Debian=DIR` checks that each set is whole, that its template is the one it names, and
/// that every part is right and where the set says. Every image that a jigdo file describes is a set. Without a mirror,
/// it checks the sets alone. Directories are searched for jigdo files.
///
/// `verify --sums DIR...` checks all files that are listed in the MD5SUMS, SHA1SUMS, SHA256SUMS and SHA512SUMS files in
/// DIR and below. A line that cannot be read is wrong, and so is a SUMS file of which no line could be checked.
///
/// Exit codes: 0 everything is right; 1 something is wrong, or a part of a tree could not be read; 2 the command line is
/// wrong; 3 nothing could be read.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// An image and its template, or jigdo files and trees of them.
    #[arg(required_unless_present = "sums", value_name = "IMAGE TEMPLATE|SET.jigdo|DIR")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    mirrors: MirrorArgs,
    /// With an image and a jigdo file that describes several: which of these the image should be. Default: the one with
    /// its file name.
    #[arg(long, value_name = "NAME", conflicts_with = "sums")]
    image: Option<OsString>,
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
        // Beside a template, a directory stands where an image should.
        let has_template = args.files.last().is_some_and(|path| matches!(Kind::of(path), Ok(Kind::Template)));
        if !has_template && args.files.iter().any(|path| path.is_dir()) {
            return sets(args, &sets_of_trees(args, &*fetch)?, &*fetch, &*progress);
        }
        match kinds(&args.files)?[..] {
            [_, Kind::Template] => image(&args.files[0], set::read_template(&args.files[1]), None, &*progress),
            [Kind::Other, Kind::Jigdo] => {
                let set = set_of(args, &*fetch, &*progress)?;
                image(&args.files[0], set.read_template(), Some(&set), &*progress)
            }
            ref kinds if kinds.iter().all(|kind| *kind == Kind::Jigdo) && args.image.is_none() => {
                sets(args, &found(&args.files)?, &*fetch, &*progress)
            }
            _ => Err(Failure::Usage(
                "name an image and its template, or jigdo files; see `jigpress verify --help`".to_owned(),
            )),
        }
    })?;
    drop(progress);
    result.print(args)
}

/// Standard input, as the name of an image.
const STANDARD: &str = "-";

/// The image at `path`, if it can only be read once, such as standard input or a pipe; `None` if it is a file or a block
/// device.
fn stream(path: &Path) -> io::Result<Option<Box<dyn Read>>> {
    if path.as_os_str() == STANDARD {
        return Ok(Some(Box::new(io::stdin())));
    }
    Ok(if file::is_stream(path)? { Some(Box::new(File::open(path)?)) } else { None })
}

fn kinds(paths: &[PathBuf]) -> Result<Vec<Kind>, Failure> {
    let is_special = |path: &PathBuf| {
        let found = || fs::metadata(path).is_ok_and(|found| !found.is_file());
        paths.len() == 2 && *path == paths[0] && (path.as_os_str() == STANDARD || found())
    };
    let kind = |path: &PathBuf| match Kind::of(path) {
        // It is opened later, and once.
        _ if is_special(path) => Ok(Kind::Other),
        Ok(Kind::Sums) => Err(Failure::Usage(format!("{}: name its directory with --sums", escaped_path(&path)))),
        // Half-assembled images are compared like any others.
        Ok(Kind::Tmp) => Ok(Kind::Other),
        Ok(kind) => Ok(kind),
        Err(error) => Err(Failure::Nothing(format!("{}: {error}", escaped_path(&path)))),
    };
    paths.iter().map(kind).collect()
}

/// The set of the image that the command line names.
fn set_of(args: &Args, fetch: &dyn Fetch, progress: &dyn Progress) -> Result<Set, Failure> {
    let images = Images::read(&args.files[1], fetch).map_err(Failure::nothing)?;
    for left_out in &images.not_included {
        progress.warn(&format!("{}: {left_out}", escaped_path(&images.path())));
    }
    let file_name = args.files[0].file_name();
    let number = match (&args.image, file_name) {
        (Some(name), _) => images.named(name),
        (None, Some(name)) if images.count() > 1 => images.named(name).or_else(|_| images.only()),
        (None, _) => images.only(),
    };
    let set = number.map_err(|error| Failure::Usage(error.to_string()))?;
    images.set(set, None).map_err(Failure::nothing)
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
                lines.map(|(_, line)| terminal::visible(line) + "\n").collect()
            }
        };
        super::written(io::stdout().write_all(text.as_bytes()))?;
        Ok(if self.is_right { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
    }
}

fn json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("a report is plain data")
}

#[derive(Serialize)]
struct ImageView {
    #[serde(serialize_with = "crate::json::foreign")]
    image: PathBuf,
    is_right: bool,
    bytes: u64,
    sum: String,
    /// `null` if it is longer than it should be and was not read to its end.
    found_bytes: Option<u64>,
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
    #[serde(serialize_with = "crate::json::foreign")]
    urls: Vec<BString>,
}

fn image(
    path: &Path,
    template: Result<FileTemplate, set::Error>,
    set: Option<&Set>,
    progress: &dyn Progress,
) -> Result<Findings, Failure> {
    let mut template = template.map_err(Failure::nothing)?;
    let verified = match stream(path).map_err(|error| Failure::Nothing(file::about(path, &error)))? {
        Some(mut image) => verify_stream(path, &mut image, &mut template, progress),
        None => verify_image(path, &mut template, progress),
    };
    let verified = verified.map_err(Failure::nothing)?;
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
    let name = escaped_path(&path);
    let mut text = Vec::new();
    text.push((
        is_right,
        match found_sum {
            _ if is_right => format!("{name}: right, {sum:?}"),
            Some(found) => format!("{name}: WRONG, {found:?} instead of {sum:?}"),
            None => match found_length {
                Some(found) => format!("{name}: WRONG, it has {} instead of {length}", counted(found, "byte")),
                None => format!("{name}: WRONG, it has more than {}", counted(length, "byte")),
            },
        },
    ));
    text.extend(view.wrong.iter().map(|area| {
        let what = match &area.part {
            Some(sum) => {
                format!("part {sum} {}", area.urls.first().map_or_else(String::new, |url| escaped(url).to_string()))
            }
            None => "unmatched data".to_owned(),
        };
        (
            false,
            format!(
                "  {} at offset {} {} not {}",
                counted(area.bytes, "byte"),
                area.offset,
                super::are(area.bytes as usize),
                what.trim_end()
            ),
        )
    }));
    Ok(Findings { is_right, json: json(&view), text })
}

/// The jigdo files that are named, and those of trees that describe an image: others are only there to be included. Warns
/// of those that nothing includes.
fn sets_of_trees(args: &Args, fetch: &dyn Fetch) -> Result<Tree, Failure> {
    let mut tree = found(&args.files)?;
    let listed: Vec<_> = tree.files.par_iter().map(|file| Images::list(&file.path, fetch)).collect();
    for path in
        set::not_included(&tree.files, &listed).into_iter().filter(|path| !args.files.iter().any(|named| named == path))
    {
        terminal::warn(format_args!("{}", FindError::NoImage { path: path.to_owned() }));
    }
    let is_set = |file: &JigdoFile, listed: Result<Listed, set::Error>| {
        args.files.contains(&file.path) || listed.map_or(true, |listed| !listed.names.is_empty())
    };
    let files = tree.files.into_iter().zip(listed);
    tree.files = files.filter_map(|(file, listed)| is_set(&file, listed).then_some(file)).collect();
    if tree.files.is_empty() && tree.is_whole() {
        let path = args.files.first().cloned().unwrap_or_default();
        return Err(super::file_args::unfound(FindError::NoImages { path }));
    }
    Ok(tree)
}

fn sets(args: &Args, tree: &Tree, fetch: &dyn Fetch, progress: &dyn Progress) -> Result<Findings, Failure> {
    #[derive(Serialize)]
    struct View<'a> {
        is_right: bool,
        sets: &'a [SetReport],
        /// What could not be looked at: there may be more sets.
        unreadable: Vec<String>,
        /// Files with the name of a jigdo file and other content.
        #[serde(serialize_with = "crate::json::foreign")]
        left_out: Vec<&'a Path>,
    }
    let trees = args.mirrors.trees()?;
    let with_parts = !trees.is_empty();
    let options = verify::Options { trees, with_parts, fetch, threads: args.jobs.count()?, progress };
    let paths: Vec<PathBuf> = tree.files.iter().map(|file| file.path.clone()).collect();
    let sets = verify::check_sets(&paths, &options).map_err(Failure::nothing)?;
    let is_right = tree.is_whole() && sets.iter().all(|set| set.is_right);
    let unreadable = tree.unreadable.iter().map(ToString::to_string).collect();
    let left_out = tree.left_out.iter().map(FindError::path).collect();
    let text = sets.iter().map(|set| (set.is_right, describe_set(set, with_parts))).collect();
    Ok(Findings { is_right, json: json(&View { is_right, sets: &sets, unreadable, left_out }), text })
}

/// The findings about a set, in lines; the last one has no line end.
fn describe_set(set: &SetReport, with_parts: bool) -> String {
    let SetReport { is_right, problems, parts, bytes, missing, wrong, .. } = set;
    let mut text = format!("{}: ", escaped_path(&set.set));
    if let Some(image) = set.image.as_ref().filter(|_| set.is_one_of_several) {
        text.push_str(&format!("{}: ", escaped_path(image)));
    }
    let all = counted(*parts, "part");
    // Writing to a String cannot fail.
    let _ = match (is_right, with_parts) {
        (true, true) => write!(text, "right, {all} of {}", BinaryBytes(*bytes)),
        (true, false) => write!(text, "right, {all} of {} not checked", BinaryBytes(*bytes)),
        (false, true) => {
            write!(text, "WRONG, {} of {all} {} missing or wrong", missing.len(), super::are(missing.len()))
        }
        (false, false) => write!(text, "WRONG"),
    };
    problems.iter().for_each(|problem| text.push_str(&format!("\n  {problem}")));
    wrong.iter().for_each(|wrong| {
        text.push_str(&format!("\n  {} is not part {}: {}", escaped(&wrong.file), wrong.sum, wrong.reason));
    });
    missing.iter().for_each(|part| {
        text.push_str(&format!("\n  part {} is missing: {}", part.sum, escaped(&bstr::join(" ", &part.urls))));
    });
    text
}

fn sums(args: &Args) -> Result<Findings, Failure> {
    #[derive(Serialize)]
    struct View<'a> {
        is_right: bool,
        sums: Vec<&'a SumsReport>,
        /// What could not be looked at.
        unreadable: Vec<String>,
    }
    let (mut reports, mut unreadable) = (Vec::new(), Vec::new());
    let mut failed = None;
    for directory in &args.sums {
        match verify::check_sums(directory, args.jobs.count()?) {
            Ok(found) if found.reports.is_empty() && found.unreadable.is_empty() => {
                let what = "there are no MD5SUMS, SHA1SUMS, SHA256SUMS or SHA512SUMS files in it or below";
                return Err(Failure::Usage(format!("--sums {}: {what}", escaped_path(&directory))));
            }
            Ok(found) => {
                reports.extend(found.reports);
                unreadable.extend(found.unreadable);
            }
            Err(error) => {
                let error = format!("{}: {error}", escaped_path(&directory));
                failed.get_or_insert_with(|| Failure::Nothing(error.clone()));
                unreadable.push(error);
            }
        }
    }
    // Where nothing was checked at all, there is nothing to report but that.
    if let Some(failure) = failed.filter(|_| reports.is_empty()) {
        return Err(failure);
    }
    unreadable.iter().for_each(|error| terminal::warn(format_args!("{error}; it was not checked")));
    let reports: Vec<_> = reports.into_iter().map(|report| SumsView { report, args }).collect();
    let is_right = unreadable.is_empty() && reports.iter().all(SumsView::is_right);
    let text = reports.iter().flat_map(SumsView::lines).collect();
    let sums: Vec<&SumsReport> = reports.iter().map(|view| &view.report).collect();
    Ok(Findings { is_right, json: json(&View { is_right, sums, unreadable }), text })
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
        let file = escaped_path(&self.report.file);
        let mut line = match wrong.len() {
            0 if self.report.is_unchecked() => format!("{file}: WRONG, it has no line that could be checked"),
            0 => format!("{file}: right, {}", counted(self.count(|state| *state == State::Right), "file")),
            wrong => format!("{file}: WRONG, {wrong} of {}", counted(self.report.entries.len(), "line")),
        };
        let images = self.count(|state| matches!(state, State::ImageOfSet | State::ImageUnchecked));
        let missing = self.count(|state| self.args.ignore_missing && *state == State::Missing);
        for (count, what) in [
            (images, if images == 1 { "image that exists only as a set" } else { "images that exist only as sets" }),
            (missing, "missing"),
        ] {
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
            lines.push((
                false,
                format!("  and {} that cannot be read", counted(malformed - MALFORMED_SHOWN, "more line")),
            ));
        }
        lines
    }
}

fn describe_entry(report: &SumsReport, entry: &Entry) -> String {
    let place = format!("{}:{}", escaped_path(&report.file), entry.line);
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
        Some(name) => format!("{}: {why} ({place})", escaped(name)),
        None => format!("{place}: {why}"),
    }
}
