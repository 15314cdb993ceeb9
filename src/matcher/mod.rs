//! Finds the parts of a mirror in an image.

pub mod head;
