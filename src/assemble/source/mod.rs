//! Where parts come from. Sources are asked in the order of their trust and cost: the next one only for what the ones
//! before do not have.

mod labels;
mod moved;
mod named;
mod old;

pub use labels::{LabelError, LabelTrees, LeavesTree, Trees};
pub use moved::MovedFiles;
pub use named::NamedFiles;
pub use old::OldImages;

use super::{Part, Place};

/// Knows places where parts may be.
pub trait Source: Sync {
    /// For each of `parts`, in their order, the places that may have its bytes, the best one first; none if there are
    /// none. Nothing need have been read there: whoever takes the bytes compares their sum.
    fn find(&self, parts: &[Part]) -> Vec<Vec<Place>>;
}

/// What is at hand in memory or in a table, for whoever has no files.
impl<F: Fn(&Part) -> Vec<Place> + Sync> Source for F {
    fn find(&self, parts: &[Part]) -> Vec<Vec<Place>> {
        parts.iter().map(self).collect()
    }
}
