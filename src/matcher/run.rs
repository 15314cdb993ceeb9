//! A range of an image in which a short pattern is repeated.

/// A run of the image that repeats its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The offset of its first byte in the image.
    pub start: u64,
    /// The offset after its last byte.
    pub end: u64,
    /// How many bytes are repeated.
    pub period: u32,
}
