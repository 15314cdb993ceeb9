//! The jigdo formats: `.template` and `.jigdo` files as bytes, read and written.

pub mod base64;
pub mod jigdo;
pub mod template;
