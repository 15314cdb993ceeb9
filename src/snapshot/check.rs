//! Checks which files the snapshot or a mirror has with the right sums. Each is read once in its life, because the index
//! remembers its sums.

use std::path::PathBuf;

use jigdo::{Checksum, Sum};

use super::Error;
use super::plan::Plan;
use crate::file::Stamp;
use crate::mirror::{Catalogue, FileError, FileId, FileList, Index, Sums};
use crate::progress::{Begin, Progress, Silent, Task};

/// The results of checking the targets; empty if they were not checked.
#[derive(Default)]
pub struct Checked {
    verdicts: Vec<Verdict>,
    /// The sums of the file that will be there.
    sums: Vec<Option<Sums>>,
}

/// What to do about a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The snapshot has it.
    Kept,
    /// The mirror of this label has it, with this stamp. `replaces`: the snapshot has a wrong one.
    Take { label: usize, stamp: Stamp, replaces: bool },
    /// It is nowhere, for this reason.
    Missing(String),
}

impl Checked {
    /// What to do about a target; `None` if nothing was checked.
    pub fn verdict(&self, target: usize) -> Option<&Verdict> {
        self.verdicts.get(target)
    }

    /// The sums of a target, if it is there.
    pub fn sums(&self, target: usize) -> Option<Sums> {
        self.sums.get(target).copied().flatten()
    }

    /// Whether a target that is there has this sum, or may have it because nothing was checked.
    pub fn has(&self, target: usize, sum: &Sum) -> bool {
        self.verdicts.is_empty() || self.sums(target).is_some_and(|sums| is(&sums, sum))
    }
}

fn is(sums: &Sums, sum: &Sum) -> bool {
    match sum {
        Sum::Md5(bytes) => sums.md5.as_ref() == Some(bytes),
        Sum::Sha256(bytes) => sums.sha256.as_ref() == Some(bytes),
    }
}

/// How many files are read at a time.
const AT_ONCE: usize = 4096;

/// Looks for every target in the snapshot, then in the mirrors.
pub fn check(
    index: &Index,
    plan: &Plan,
    mirrors: &[PathBuf],
    roots: &[PathBuf],
    progress: &dyn Progress,
) -> Result<Checked, Error> {
    let look = Look::new(index, plan, mirrors, roots)?;
    let targets = 0..plan.targets.len();
    // The snapshot's own files first: where one is right, no mirror's is read.
    look.learn(look.own.iter().flatten().copied(), progress);
    let own: Vec<_> = targets.clone().map(|target| Some(look.judge(target, look.own[target]?))).collect();
    let undecided = targets.filter(|&target| !matches!(own[target], Some(Ok(_))));
    look.learn(undecided.flat_map(|target| look.sources[target].iter().map(|(_, file)| *file)), progress);
    let verdict = |(target, own): (usize, Option<Result<Sums, String>>)| look.verdict(target, own.as_ref());
    let (verdicts, sums) = own.into_iter().enumerate().map(verdict).unzip();
    look.catalogue.flush()?;
    Ok(Checked { verdicts, sums })
}

/// The files that targets may be.
struct Look<'a> {
    plan: &'a Plan,
    catalogue: Catalogue,
    /// Each target's file in the snapshot, and those in its labels' mirrors.
    own: Vec<Option<FileId>>,
    sources: Vec<Vec<(usize, FileId)>>,
}

impl<'a> Look<'a> {
    fn new(index: &Index, plan: &'a Plan, mirrors: &[PathBuf], roots: &[PathBuf]) -> Result<Self, Error> {
        // The trees: the snapshot's own, then each label's mirror.
        let all: Vec<&PathBuf> = roots.iter().chain(mirrors).collect();
        let mut numbers: Vec<Vec<usize>> = vec![Vec::new(); all.len()];
        for (number, target) in plan.targets.iter().enumerate() {
            numbers[target.tree].push(number);
            target.labels.iter().for_each(|label| numbers[roots.len() + label].push(number));
        }
        // A label's targets are all in one tree of the snapshot, in the order of their paths.
        let path = |&number: &usize| plan.targets[number].path.as_str();
        let paths = |numbers: &Vec<usize>| numbers.iter().map(path).collect::<Vec<&str>>();
        let lists =
            all.into_iter().zip(&numbers).map(|(root, numbers)| FileList::of_existing(root.clone(), &paths(numbers)));
        let catalogue = index.look_up(lists.collect(), &checksums(plan))?;
        let mut look = Self {
            plan,
            own: vec![None; plan.targets.len()],
            sources: vec![Vec::new(); plan.targets.len()],
            catalogue,
        };
        for (tree, numbers) in numbers.iter().enumerate() {
            let mut files = look.catalogue.files_of(tree).peekable();
            for &number in numbers {
                let path = plan.targets[number].path.as_str();
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

    fn verdict(&self, target: usize, own: Option<&Result<Sums, String>>) -> (Verdict, Option<Sums>) {
        let (replaces, mut reason) = match own {
            Some(Ok(sums)) => return (Verdict::Kept, Some(*sums)),
            Some(Err(_)) => (true, "the snapshot has a wrong file, and the mirror has none".to_owned()),
            None => (false, "there is no such file".to_owned()),
        };
        for &(label, file) in &self.sources[target] {
            match self.judge(target, file) {
                Ok(sums) => {
                    let stamp = *self.catalogue.stamp(file);
                    return (Verdict::Take { label, stamp, replaces }, Some(sums));
                }
                Err(why) => reason = why,
            }
        }
        (Verdict::Missing(reason), None)
    }
}

/// The kinds of sums that sets have.
fn checksums(plan: &Plan) -> Vec<Checksum> {
    let needs = || plan.targets.iter().flat_map(|target| &target.needs);
    Checksum::ALL.into_iter().filter(|&kind| needs().any(|need| need.sum.checksum() == kind)).collect()
}
