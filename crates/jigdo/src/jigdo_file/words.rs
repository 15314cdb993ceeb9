//! Splits values into words, and quotes words, as a shell does.

use bstr::{BString, ByteSlice as _};

/// Why a value cannot be split into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum BadQuoting {
    #[error("the {0} quote is never closed")]
    Open(char),
    #[error("a backslash at the end quotes nothing")]
    Backslash,
}

/// Splits `value` at unquoted white space, and ends at an unquoted `#`.
///
/// `'` quotes everything, `"` everything but `\`, and `\` the next character.
///
/// # Errors
///
/// A quote that is never closed, or a backslash at the end.
pub fn split(value: impl AsRef<[u8]>) -> Result<Vec<BString>, BadQuoting> {
    let mut words = Vec::new();
    match split_into(value.as_ref(), &mut words) {
        Some(bad) => Err(bad),
        None => Ok(words),
    }
}

/// The same as jigdo-file does it: the end of the value closes a quote, and a backslash there is dropped.
pub fn split_as_jigdo_file(value: &[u8]) -> Vec<BString> {
    let mut words = Vec::new();
    split_into(value, &mut words);
    words
}

/// Appends the words of `value`, and returns what is wrong at its end.
fn split_into(value: &[u8], words: &mut Vec<BString>) -> Option<BadQuoting> {
    let mut word: Option<BString> = None;
    let mut bad = None;
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'#' => break,
            b' ' | b'\t' => words.extend(word.take()),
            b'\\' => match bytes.next() {
                Some(byte) => word.get_or_insert_default().push(byte),
                None => bad = Some(BadQuoting::Backslash),
            },
            b'\'' | b'"' => bad = quoted(byte, &mut bytes, word.get_or_insert_default()).err(),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    bad
}

/// Appends the text before the closing `quote` to `word`.
fn quoted(quote: u8, bytes: &mut impl Iterator<Item = u8>, word: &mut BString) -> Result<(), BadQuoting> {
    let open = || BadQuoting::Open(char::from(quote));
    loop {
        match bytes.next().ok_or_else(open)? {
            byte if byte == quote => return Ok(()),
            b'\\' if quote == b'"' => word.push(bytes.next().ok_or_else(open)?),
            byte => word.push(byte),
        }
    }
}

/// Whether [`split`] returns `word` unchanged.
fn is_plain(word: &[u8]) -> bool {
    !word.is_empty() && word.find_byteset(b" \t#\"'\\").is_none()
}

/// Quotes `word` so that [`split`] returns it, in single quotes where these suffice, as jigdo-file does.
pub fn quote_simply(word: &[u8]) -> BString {
    if is_plain(word) || word.contains(&b'\'') { quote(word) } else { [b"'", word, b"'"].concat().into() }
}

/// Quotes `word` so that [`split`] returns it: in double quotes, or not at all if it needs none.
pub fn quote(word: &[u8]) -> BString {
    if is_plain(word) {
        return word.into();
    }
    let mut quoted = Vec::with_capacity(word.len() + 8);
    quoted.push(b'"');
    for &byte in word {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(byte);
    }
    quoted.push(b'"');
    quoted.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_split_as_jigdo_file_splits_them() {
        for (value, words) in [
            ("plain", &["plain"][..]),
            (r#"A:f'o o'o"b a\"r"\ z"#, &[r#"A:fo oob a"r z"#]),
            (r#""A:foo \" \\ \x $a `b` 'q' #h""#, &[r#"A:foo " \ x $a `b` 'q' #h"#]),
            (r#"'A:foo " \ #h'"#, &[r#"A:foo " \ #h"#]),
            ("A:foo#bar", &["A:foo"]),
            (r"A:foo\#bar", &["A:foo#bar"]),
            ("http://t/ \t --try-last # later", &["http://t/", "--try-last"]),
            ("'' \"\"", &["", ""]),
            ("", &[]),
        ] {
            assert_eq!(split(value).unwrap(), words, "{value}");
        }
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        assert_eq!(split("it's"), Err(BadQuoting::Open('\'')));
        assert_eq!(split("\"a\\"), Err(BadQuoting::Open('"')));
        assert_eq!(split("a\\"), Err(BadQuoting::Backslash));
        for (value, words) in
            [("it's a", &["its a"][..]), ("a \"b\\", &["a", "b"]), ("a\\", &["a"]), ("a b", &["a", "b"])]
        {
            assert_eq!(split_as_jigdo_file(value.as_bytes()), words, "{value}");
        }
    }

    proptest! {
        #[test]
        fn quoting_is_undone_by_splitting(word in r#"[a-z #"'\\\tÄ$`=]{0,20}"#) {
            prop_assert_eq!(split(quote_simply(word.as_bytes())).unwrap(), [&*word]);
            prop_assert_eq!(split(quote(word.as_bytes())).unwrap(), [word]);
        }
    }
}
