//! Where parts come from. Sources are asked in order, the most reliable and cheapest first, and each only for parts
//! that the ones before it do not have.

mod labels;
mod moved;
mod named;
mod old;

pub use labels::{LabelError, LabelTrees, LeavesTree, Trees};
pub use moved::MovedFiles;
pub use named::NamedFiles;
pub(super) use named::begins_like;
pub use old::OldImages;

use super::{Part, PartPlace};

/// Knows places that may have parts.
pub trait Source: Sync {
    /// Returns for each of `parts`, in order, the places that may have its bytes, the best first. Their content need
    /// not have been read: whoever uses the bytes checks their sum.
    fn find(&self, parts: &[Part]) -> Vec<Vec<PartPlace>>;
}

/// A function as a source, for callers whose parts are in memory or in a table.
impl<F: Fn(&Part) -> Vec<PartPlace> + Sync> Source for F {
    fn find(&self, parts: &[Part]) -> Vec<Vec<PartPlace>> {
        parts.iter().map(self).collect()
    }
}
