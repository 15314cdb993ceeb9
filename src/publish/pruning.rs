//! Decides which sets that no image stands for are removed, and notes what became of them.

use jigdo::escaped_path;
use std::path::PathBuf;

use super::outputs::OutputGroup;
use super::plan::{Plan, PlannedImage, absolute};
use super::report::StaleReport;
use super::run::Run;
use super::stale::{self, StaleSet};
use super::state::State;
use super::{Options, Pruning, record};
use crate::mirror::Index;

impl Run<'_> {
    /// The stale sets of a directory, if they are to be removed now.
    pub(super) fn stale_to_remove<'o>(&self, output: &'o OutputGroup) -> &'o [StaleSet] {
        let is_asked_for = matches!(self.options.pruning, Pruning::Remove { .. });
        if output.stale.is_empty() || !is_asked_for || self.options.ledger.get().prune_refused.is_some() {
            return &[];
        }
        let failed = |image: &usize| matches!(self.images[*image].lock().state, State::Failed { .. });
        if output.images.iter().any(failed) {
            self.note_kept(output, "an image whose set goes to the same directory failed");
            return &[];
        }
        &output.stale
    }

    fn note_kept(&self, output: &OutputGroup, reason: &str) {
        let files: Vec<_> = output.stale.iter().map(|set| paths(output, set)).collect();
        self.options.ledger.note(|report| {
            for stale in report.stale_sets.iter_mut().filter(|stale| files.contains(&stale.files)) {
                stale.kept_because = Some(reason.to_owned());
            }
        });
    }

    /// Notes that sets were removed, and forgets them.
    pub(super) fn note_removed(&self, output: &OutputGroup, removed: &[StaleSet]) {
        let files: Vec<_> = removed.iter().map(|set| paths(output, set)).collect();
        self.options.ledger.note(|report| {
            report.stale_sets.iter_mut().for_each(|stale| stale.is_removed |= files.contains(&stale.files));
        });
        for set in removed {
            let place = absolute(&output.path).join(&set.name);
            for key in [escaped_path(&place).to_string(), stale::manifest_key(&place)] {
                // A record of a set that is not there does no harm.
                let _ = self.index.remove_record(&key);
            }
        }
    }

    /// Remembers which manifest an image's set is of.
    pub(super) fn remember_manifest(&self, planned: &PlannedImage<'_>) {
        let key = stale::manifest_key(&absolute(&planned.image.output).join(&planned.image.name));
        let manifest = absolute(&planned.release.manifest);
        if record::load::<PathBuf>(self.index, &key).as_ref() != Some(&manifest) {
            self.remember(&key, &manifest);
        }
    }
}

/// Finds the sets that no image stands for, and notes them. Too many of them are not removed.
pub fn find_stale(outputs: &mut [OutputGroup], plan: &Plan<'_>, index: &Index, options: &Options<'_>) {
    if options.pruning == Pruning::Unknown {
        return;
    }
    let (mut all, mut stale) = (plan.images.len(), Vec::new());
    for output in outputs.iter_mut().filter(|output| output.directory.is_ok()) {
        let images: Vec<_> = output.images.iter().map(|&image| plan.images[image]).collect();
        output.stale = stale::find(&output.path, &images, index);
        all += output.stale.len();
        let is_held_back = options.pruning != Pruning::List && plan.has_missing_images(&output.path);
        let reason = "an image whose set goes to the same directory is missing";
        stale.extend(output.stale.iter().map(|set| StaleReport {
            files: paths(output, set),
            is_removed: false,
            kept_because: set.kept_because.clone().or_else(|| is_held_back.then(|| reason.to_owned())),
        }));
        output.stale.retain(|set| !is_held_back && set.kept_because.is_none());
    }
    let count = stale.iter().filter(|stale: &&StaleReport| stale.kept_because.is_none()).count();
    let share = count as f64 * 100.0 / all.max(1) as f64;
    let refused = match options.pruning {
        Pruning::Remove { most } if share > most => Some(format!(
            "no image stands for {count} of the {all} sets; that is {share:.1} %, but --max-prune allows {most} %, so none was \
             removed"
        )),
        _ => None,
    };
    options.ledger.note(|report| {
        report.stale_sets = stale;
        report.prune_refused = refused;
    });
}

/// The paths of a stale set's files.
fn paths(output: &OutputGroup, set: &StaleSet) -> Vec<PathBuf> {
    set.files.iter().map(|file| output.path.join(file)).collect()
}
