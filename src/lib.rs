//! jigpress publishes disc images as jigdo sets.
//!
//! Data goes one way through these modules, in this order:
//!
//! | module | takes | gives |
//! |---|---|---|
//! | [`digest`] | bytes | checksums |
//! | [`matcher`] | parts' signatures, an image's bytes | a layout |
//! | [`format`] | layouts, unmatched data | `.template` and `.jigdo` bytes, and back |
//! | [`progress`] | | what all of them report while they work |

pub mod digest;
pub mod format;
pub mod matcher;
pub mod progress;
