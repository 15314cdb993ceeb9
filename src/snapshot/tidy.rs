//! Ends a run: takes over what is there if that was asked for, removes what no set needs any more within the bounds, and
//! writes the records.

use jigdo::escaped_path;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::Error;
use super::outcome::Outcome;
use super::plan::Target;
use super::prune;
use super::record::Mark;
use super::run::Run;
use crate::output::OutputDirectory;

impl Run<'_> {
    /// Announces and removes the files that were put there and that no set needs, and the directories that become empty.
    /// Then writes the records.
    pub fn tidy(&mut self, outcome: &mut Outcome) -> Result<(), Error> {
        if self.options.adopt {
            self.adopt();
        }
        let most = self.options.prune;
        outcome.prune_refused = most.and_then(|_| unknown_needs(outcome));
        if let Some(most) = most
            && outcome.prune_refused.is_none()
        {
            let found = self.find_unneeded(most, outcome);
            (self.options.announce)(&outcome.unneeded);
            if outcome.prune_refused.is_none() && !self.options.dry_run {
                for (tree, files) in found.iter().enumerate() {
                    for file in files {
                        self.remove(tree, file, outcome);
                    }
                }
                self.forget_gone();
            }
        }
        if !self.options.dry_run {
            self.write_records()?;
            self.trees.directories.iter().for_each(OutputDirectory::clean);
        }
        Ok(())
    }

    /// Lists all files that are in the trees.
    fn adopt(&mut self) {
        for (root, record) in self.trees.roots.iter().zip(&mut self.trees.records) {
            for entry in prune::entries(root) {
                match entry {
                    Ok(entry) if entry.file_type().is_file() => {
                        let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
                        if !prune::is_kept(path, self.options.keep)
                            && let Ok(found) = entry.metadata()
                        {
                            record.set(path, Some(Mark::of(&found)));
                        }
                    }
                    Ok(_) => {}
                    // Pruning meets it as well.
                    Err(_) if self.options.prune.is_some() => {}
                    Err(error) => self.progress.warn(&format!("{error}; what is there is not taken over")),
                }
            }
        }
    }

    /// The files of each tree that may be removed. Refuses to remove them if they are too many.
    fn find_unneeded(&self, most: f64, outcome: &mut Outcome) -> Vec<Vec<PathBuf>> {
        let mut unneeded = Vec::new();
        for (tree, root) in self.trees.roots.iter().enumerate() {
            let needed = self.plan.targets.iter().filter(|target| target.tree == tree);
            // Labels that are not given now may share the tree.
            let others = self.plan.others.iter().map(|path| Path::new(OsStr::from_bytes(path)));
            let needed: HashSet<&Path> = needed.map(Target::path).chain(others).collect();
            let found = prune::find(root, &needed, &self.trees.records[tree], self.options.keep);
            for error in found.unreadable {
                self.progress.warn(&format!("{error}; what is there is not pruned"));
                outcome.unreadable.push(error);
            }
            let share = found.unneeded.len() as f64 * 100.0 / found.all.max(1) as f64;
            if share > most {
                outcome.prune_refused.get_or_insert(format!(
                    "no set needs {} of the snapshot's {} files in {}; that is {share:.1} %, but --max-prune allows {most} %, \
                     so nothing was removed",
                    found.unneeded.len(),
                    found.all,
                    escaped_path(&root)
                ));
            }
            if !found.foreign.is_empty() {
                self.progress.warn(&foreign(&found.foreign, root));
            }
            outcome.unneeded.extend_from_slice(&found.unneeded);
            outcome.foreign.extend(found.foreign);
            unneeded.push(found.unneeded);
        }
        unneeded
    }

    /// Lists no more what a run that was killed has removed.
    fn forget_gone(&mut self) {
        for (tree, (root, record)) in self.trees.roots.iter().zip(&mut self.trees.records).enumerate() {
            let targets = self.plan.targets.iter().filter(|target| target.tree == tree);
            let needed: HashSet<&[u8]> = targets.map(|target| target.path.as_slice()).collect();
            record.forget_gone(root, |path| needed.contains(path));
        }
    }

    fn remove(&mut self, tree: usize, file: &Path, outcome: &mut Outcome) {
        let root = &self.trees.roots[tree];
        match prune::remove(root, file) {
            Ok(()) => {
                outcome.removed += 1;
                self.trees.records[tree].set(file.strip_prefix(root).unwrap_or(file), None);
            }
            Err(error) => {
                self.progress.warn(&error);
                outcome.unreadable.push(error);
            }
        }
    }
}

/// Why it is not known what sets need, so that nothing may be removed.
fn unknown_needs(outcome: &Outcome) -> Option<String> {
    let left_out = outcome.left_out.iter().map(|path| escaped_path(&path).to_string());
    let unknown: Vec<String> =
        outcome.not_included.iter().chain(&outcome.unreadable).cloned().chain(left_out).collect();
    let [first, others @ ..] = unknown.as_slice() else { return None };
    let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    Some(format!(
        "nothing was removed, because files that may be sets, or that sets include, could not be read, and parts that \
         only these name would be removed: {first}{more}"
    ))
}

/// What is said of files that others put into a tree.
fn foreign(files: &[PathBuf], root: &Path) -> String {
    let first = escaped_path(files.first().map_or(root, PathBuf::as_path));
    let (which, are, them) = match files.len() {
        1 => (first.to_string(), "is", "it"),
        count => (format!("{first} and {} more", count - 1), "are", "them"),
    };
    format!(
        "{which} {are} needed by no set, but snapshot did not put {them} there and leaves {them} alone; --keep GLOB says that \
         this is meant, --adopt lets snapshot take {them} over"
    )
}
