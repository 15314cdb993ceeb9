//! How JSON holds what need not be UTF-8: paths, and texts of jigdo files. The only serializer of them.
//!
//! A text that is UTF-8 is a string. Any other is an object: `text` is the text for people, in which a byte that is not
//! UTF-8 is written as `\xe4`, and `bytes` has all bytes in hexadecimal. Where it is the key of an object, it is `text`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use jigdo::bstr::{BStr, BString};
use jigdo::hex;
use serde::de::{Deserializer, Error as _};
use serde::ser::{SerializeSeq as _, Serializer};
use serde::{Deserialize, Serialize};

/// Something that may have texts that are not UTF-8.
pub trait Foreign {
    /// Serializes it.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    fn serialize_foreign<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

/// For `#[serde(serialize_with = "json::foreign")]`.
///
/// # Errors
///
/// Those of the serializer.
pub fn foreign<T: Foreign, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.serialize_foreign(serializer)
}

/// Reads a path that was serialized so, for `#[serde(deserialize_with = "json::path")]`.
///
/// # Errors
///
/// Those of the deserializer, and `bytes` that are not in hexadecimal.
pub fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Text {
        Utf8(PathBuf),
        Other { bytes: String },
    }
    match Text::deserialize(deserializer)? {
        Text::Utf8(path) => Ok(path),
        Text::Other { bytes } => {
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            let bytes: Option<Vec<u8>> = bytes.as_bytes().chunks(2).map(byte).collect();
            let bytes = bytes.ok_or_else(|| D::Error::custom("bytes must be in hexadecimal"))?;
            Ok(OsStr::from_bytes(&bytes).into())
        }
    }
}

/// A text as the key of an object.
pub fn key(text: &[u8]) -> String {
    let chunks = text.utf8_chunks();
    let shown = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    chunks.map(|chunk| format!("{}{}", chunk.valid(), shown(chunk.invalid()))).collect()
}

#[derive(Serialize)]
struct NotUtf8 {
    text: String,
    bytes: String,
}

impl Foreign for [u8] {
    fn serialize_foreign<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => NotUtf8 { text: key(self), bytes: hex(self) }.serialize(serializer),
        }
    }
}

impl Foreign for BString {
    fn serialize_foreign<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize_foreign(serializer)
    }
}

impl Foreign for BStr {
    fn serialize_foreign<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize_foreign(serializer)
    }
}

impl Foreign for Path {
    fn serialize_foreign<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_os_str().as_encoded_bytes().serialize_foreign(serializer)
    }
}

impl Foreign for PathBuf {
    fn serialize_foreign<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_path().serialize_foreign(serializer)
    }
}

impl<T: Foreign + ?Sized> Foreign for &T {
    fn serialize_foreign<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize_foreign(serializer)
    }
}

impl<T: Foreign> Foreign for Option<T> {
    fn serialize_foreign<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Some(value) => value.serialize_foreign(serializer),
            None => serializer.serialize_none(),
        }
    }
}

impl<T: Foreign> Foreign for Vec<T> {
    fn serialize_foreign<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Item<'a, T>(&'a T);
        impl<T: Foreign> Serialize for Item<'_, T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize_foreign(serializer)
            }
        }
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        self.iter().try_for_each(|value| list.serialize_element(&Item(value)))?;
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[derive(Serialize)]
    struct Report {
        #[serde(serialize_with = "foreign")]
        text: BString,
        #[serde(serialize_with = "foreign")]
        paths: Vec<PathBuf>,
        #[serde(serialize_with = "foreign")]
        none: Option<PathBuf>,
    }

    #[test]
    fn texts_are_strings_and_what_is_not_utf8_keeps_its_bytes() {
        let report = Report {
            text: "Käse\u{1b}".into(),
            paths: vec!["a".into(), OsStr::from_bytes(b"K\xe4se").into()],
            none: None,
        };
        let expected = r#"{"text":"Käse\u001b","paths":["a",{"text":"K\\xe4se","bytes":"4be47365"}],"none":null}"#;
        assert_eq!(serde_json::to_string(&report).unwrap(), expected);
        for wanted in [Path::new("Käse"), Path::new(OsStr::from_bytes(b"K\xe4se/\xff"))] {
            let text = foreign(&wanted, serde_json::value::Serializer).unwrap();
            assert_eq!(path(text).unwrap(), wanted);
        }
        assert!(path(serde_json::json!({"text": "x", "bytes": "4x"})).is_err());
        assert_eq!(key(b"K\xe4\xff se"), "K\\xe4\\xff se");
    }
}
