//! Records: values that runs keep in the index under keys, so that later ones need not repeat work.

use jigdo::Checksum;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Error, Index};
use crate::digest::Content;

/// The value that was stored under this key. `None` too if it cannot be read, is damaged or has another version's form:
/// that only costs time.
pub fn load_record<T: DeserializeOwned>(index: &Index, key: &str) -> Option<T> {
    let text = index.record(key).ok()??;
    let (check, json) = text.split_once(' ')?;
    (check == check_of(json)).then(|| serde_json::from_str(json).ok())?
}

/// Stores a value under this key.
///
/// # Errors
/// When the index cannot be written.
pub fn store_record(index: &Index, key: &str, value: &impl Serialize) -> Result<(), Error> {
    let json = serde_json::to_string(value).expect("a record is plain data");
    index.set_record(key, &format!("{} {json}", check_of(&json)))
}

/// A checksum of the record itself. Records contain sums that are published, so a damaged one must not be used.
fn check_of(json: &str) -> String {
    String::from(Content::of(Checksum::Sha256, json.as_bytes()))
}
