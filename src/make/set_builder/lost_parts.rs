//! What becomes of a set when a mirror file that may be a part of its image cannot be used.

use jigdo::escaped_path;
use std::collections::{BTreeMap, HashSet};

use super::SetBuilder;
use crate::make::Error;
use crate::matcher::{Layout, PartId};
use crate::mirror::FileError;

impl SetBuilder<'_> {
    /// Whether the set is what it would be if all of these parts could have been used. A part does no harm if an equal one
    /// is in its place. One that vanished or changed is no file of the mirror any more, so the set is right for now, and the
    /// next run makes it again.
    ///
    /// # Errors
    /// A part is there and cannot be read: the set would lack it for no good reason.
    pub(super) fn check_lost(&self, lost: &BTreeMap<PartId, FileError>, layout: &Layout) -> Result<bool, Error> {
        if lost.is_empty() {
            return Ok(true);
        }
        let signature = |part: PartId| {
            let signature = self.selection.table.signature(part);
            (signature.length, signature.features.first)
        };
        let found: HashSet<_> = layout.parts().map(|part| signature(part.part)).collect();
        let missed: Vec<_> = lost.iter().filter(|(part, _)| !found.contains(&signature(**part))).collect();
        let mut unreadable = missed.iter().filter(|(_, error)| error.is_unreadable());
        let Some((_, first)) = unreadable.next() else { return Ok(missed.is_empty()) };
        let others = unreadable.count();
        for (part, _) in missed.iter().filter(|(_, error)| error.is_unreadable()) {
            self.catalogue.set_named(self.selection.file(**part));
        }
        Err(Error::PartUnreadable { image: self.spec.path.clone(), part: (*first).clone(), others })
    }

    /// The path of a part's file, as text for people.
    pub(super) fn shown_path(&self, part: PartId) -> String {
        escaped_path(&self.catalogue.full_path(self.selection.file(part))).to_string()
    }
}
