//! Finds out which targets the snapshot has, and where the others are to come from, by their sums. Each file is read once
//! in its life, because the index remembers its sums.

use std::fs;
use std::path::{Path, PathBuf};

use jigdo::{Checksum, Sum, escaped_path};

use super::Error;
use super::plan::{Need, Plan, Target};
use super::spot::Spot;
use crate::digest;
use crate::file::Stamp;
use crate::mirror::{Catalogue, FileError, FileId, FileList, Index, Sums};
use crate::progress::{Begin, Progress, Silent, Task};

/// The results of looking at the targets.
#[derive(Default)]
pub struct Checked {
    /// What to do about each target.
    pub verdicts: Vec<Verdict>,
    /// The sums of each target's file, if they are known.
    sums: Vec<Option<Sums>>,
}

/// What to do about a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The snapshot has it.
    Kept,
    /// It is made from this file.
    Take(Source),
    /// It is nowhere, for this reason.
    Missing(String),
}

/// The file from which a target is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub path: PathBuf,
    pub stamp: Stamp,
    /// Whether something else is in the target's place, and is replaced.
    pub replaces: bool,
}

impl Checked {
    /// The results of a look that read no file.
    pub fn unread(verdicts: Vec<Verdict>) -> Self {
        Self { verdicts, sums: Vec::new() }
    }

    /// The sums of a target, if it is there and was read.
    pub fn sums(&self, target: usize) -> Option<Sums> {
        self.sums.get(target).copied().flatten()
    }

    /// Whether a target that is there has this sum, or may have it because no file was read.
    pub fn has(&self, target: usize, sum: &Sum) -> bool {
        self.sums.is_empty() || self.sums(target).is_some_and(|sums| is(&sums, sum))
    }
}

fn is(sums: &Sums, sum: &Sum) -> bool {
    match sum {
        Sum::Md5(bytes) => sums.md5.as_ref() == Some(bytes),
        Sum::Sha256(bytes) => sums.sha256.as_ref() == Some(bytes),
    }
}

/// The file at `path` if it has one of these sums. It is read without the index.
pub fn with_sum(path: &Path, needs: &[Need]) -> Option<PathBuf> {
    // A link may lead to a pipe, which would wait for a writer, or to a device.
    let real = fs::canonicalize(path).ok()?;
    if !fs::metadata(&real).ok()?.is_file() {
        return None;
    }
    let is_right = |need: &Need| {
        let sum = fs::File::open(&real).and_then(|file| digest::sum_of_reader(need.sum.checksum(), file));
        sum.is_ok_and(|sum| sum == need.sum)
    };
    needs.iter().any(is_right).then_some(real)
}

/// Why a file is not at `path`, as far as it cannot be used.
pub fn absence(path: &Path) -> String {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => "it is not a file".to_owned(),
        Ok(_) => "the file there changed during this run".to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        Err(error) => format!("{}: {error}", escaped_path(&path)),
    }
}

/// The reason for a target that no mirror has, when something else is in its place.
pub fn nothing_better(spot: &Spot) -> Option<String> {
    let what = match spot {
        Spot::File(_) => "a wrong file",
        Spot::Link => "a symbolic link in its place",
        Spot::Special => "something that is not a file in its place",
        Spot::Free | Spot::Blocked(_) => return None,
    };
    Some(format!("the snapshot has {what}, and the mirror has none"))
}

/// How many files are read at a time.
const AT_ONCE: usize = 4096;

/// Looks for every target in the snapshot, then in the mirrors.
pub fn check(
    index: &Index,
    plan: &Plan,
    spots: &[Spot],
    mirrors: &[PathBuf],
    roots: &[PathBuf],
    progress: &dyn Progress,
) -> Result<Checked, Error> {
    let look = Look::new(index, plan, spots, mirrors, roots)?;
    let targets = 0..plan.targets.len();
    // The snapshot's own files first: where one is right, no mirror's is read.
    look.learn(look.own.iter().flatten().copied(), progress);
    let own: Vec<_> = targets.clone().map(|target| Some(look.judge(target, look.own[target]?))).collect();
    let undecided = targets.filter(|&target| !matches!(own[target], Some(Ok(_))));
    look.learn(undecided.flat_map(|target| look.sources[target].iter().map(|(_, file)| *file)), progress);
    let verdict = |(target, own): (usize, Option<Result<Sums, String>>)| look.verdict(target, own.as_ref());
    let (verdicts, sums) = own.into_iter().enumerate().map(verdict).unzip();
    look.catalogue.warn(progress);
    look.catalogue.flush()?;
    Ok(Checked { verdicts, sums })
}

/// The files that targets may be.
struct Look<'a> {
    plan: &'a Plan,
    spots: &'a [Spot],
    mirrors: &'a [PathBuf],
    roots: &'a [PathBuf],
    catalogue: Catalogue,
    /// Each target's file in the snapshot, and those in its labels' mirrors.
    own: Vec<Option<FileId>>,
    sources: Vec<Vec<(usize, FileId)>>,
}

impl<'a> Look<'a> {
    fn new(
        index: &Index,
        plan: &'a Plan,
        spots: &'a [Spot],
        mirrors: &'a [PathBuf],
        roots: &'a [PathBuf],
    ) -> Result<Self, Error> {
        // The trees: the snapshot's own, then each label's mirror.
        let all: Vec<&PathBuf> = roots.iter().chain(mirrors).collect();
        let mut numbers: Vec<Vec<usize>> = vec![Vec::new(); all.len()];
        for (number, target) in plan.targets.iter().enumerate() {
            match &spots[number] {
                Spot::Blocked(_) => continue,
                Spot::File(_) => numbers[target.tree].push(number),
                Spot::Free | Spot::Link | Spot::Special => {}
            }
            target.labels.iter().for_each(|label| numbers[roots.len() + label].push(number));
        }
        // A label's targets are all in one tree of the snapshot, in the order of their paths.
        let paths = |numbers: &Vec<usize>| numbers.iter().map(|&number| &plan.targets[number].path).collect::<Vec<_>>();
        let lists =
            all.into_iter().zip(&numbers).map(|(root, numbers)| FileList::of_existing(root.clone(), &paths(numbers)));
        let catalogue = index.look_up(lists.collect(), &checksums(plan))?;
        let (own, sources) = (vec![None; plan.targets.len()], vec![Vec::new(); plan.targets.len()]);
        let mut look = Self { plan, spots, mirrors, roots, catalogue, own, sources };
        for (tree, numbers) in numbers.iter().enumerate() {
            let mut files = look.catalogue.files_of(tree).peekable();
            for &number in numbers {
                let path = &plan.targets[number].path;
                if let Some(file) = files.next_if(|&file| look.catalogue.path(file) == path) {
                    match tree.checked_sub(roots.len()) {
                        None => look.own[number] = Some(file),
                        Some(label) => look.sources[number].push((label, file)),
                    }
                }
            }
        }
        Ok(look)
    }

    /// Reads these files, unless their sums are known.
    fn learn(&self, files: impl Iterator<Item = FileId>, progress: &dyn Progress) {
        let unread: Vec<FileId> = files.filter(|&file| !self.catalogue.is_read(file)).collect();
        let task = Task::begin(progress, Begin::items("read", "parts").total(unread.len() as u64));
        for files in unread.chunks(AT_ONCE) {
            self.catalogue.sums(files, progress);
            task.advance(files.len() as u64);
        }
    }

    /// The sums of a target's file, or why no set can use it.
    fn judge(&self, target: usize, file: FileId) -> Result<Sums, String> {
        let needs = &self.plan.targets[target].needs;
        match self.catalogue.sums(&[file], &Silent).pop() {
            Some(Ok(sums)) if needs.iter().any(|need| is(&sums, &need.sum)) => Ok(sums),
            Some(Ok(_)) => Err("the file there has another sum".to_owned()),
            Some(Err(FileError::Io { source, .. })) => Err(source.to_string()),
            Some(Err(FileError::Changed { .. })) | None => Err("the file there changed during this run".to_owned()),
        }
    }

    fn verdict(&self, number: usize, own: Option<&Result<Sums, String>>) -> (Verdict, Option<Sums>) {
        let (target, spot) = (&self.plan.targets[number], &self.spots[number]);
        if let Spot::Blocked(reason) = spot {
            return (Verdict::Missing(reason.clone()), None);
        }
        if let Some(Ok(sums)) = own {
            return (Verdict::Kept, Some(*sums));
        }
        let mut reason = None;
        for &(label, file) in &self.sources[number] {
            match self.judge(number, file) {
                Ok(sums) => {
                    let path = self.mirrors[label].join(target.path());
                    let stamp = *self.catalogue.stamp(file);
                    return (Verdict::Take(Source { path, stamp, replaces: spot.is_taken() }), Some(sums));
                }
                Err(why) => reason = Some(why),
            }
        }
        if *spot == Spot::Link
            && let Some((source, sums)) = self.linked(target)
        {
            return (Verdict::Take(source), Some(sums));
        }
        let absent = || absence(&self.mirrors[target.labels[0]].join(target.path()));
        (Verdict::Missing(reason.or_else(|| nothing_better(spot)).unwrap_or_else(absent)), None)
    }

    /// The file to which the symbolic link in a target's place leads, if that is right.
    fn linked(&self, target: &Target) -> Option<(Source, Sums)> {
        let path = with_sum(&self.roots[target.tree].join(target.path()), &target.needs)?;
        let stamp = Stamp::of(&fs::metadata(&path).ok()?);
        let mut sums = Sums::default();
        for checksum in checksums(self.plan) {
            match fs::File::open(&path).and_then(|file| digest::sum_of_reader(checksum, file)).ok()? {
                Sum::Md5(bytes) => sums.md5 = Some(bytes),
                Sum::Sha256(bytes) => sums.sha256 = Some(bytes),
            }
        }
        Some((Source { path, stamp, replaces: true }, sums))
    }
}

/// The kinds of sums that sets have.
fn checksums(plan: &Plan) -> Vec<Checksum> {
    let needs = || plan.targets.iter().flat_map(|target| &target.needs);
    Checksum::ALL.into_iter().filter(|&kind| needs().any(|need| need.sum.checksum() == kind)).collect()
}
