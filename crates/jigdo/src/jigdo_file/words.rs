//! Splits values into words, and quotes words, as a shell does.

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
pub fn split(value: &str) -> Result<Vec<String>, BadQuoting> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '#' => break,
            ' ' | '\t' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(characters.next().ok_or(BadQuoting::Backslash)?),
            '\'' | '"' => quoted(character, &mut characters, word.get_or_insert_default())?,
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Appends the text before the closing `quote` to `word`.
fn quoted(quote: char, characters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), BadQuoting> {
    loop {
        match characters.next().ok_or(BadQuoting::Open(quote))? {
            character if character == quote => return Ok(()),
            '\\' if quote == '"' => word.push(characters.next().ok_or(BadQuoting::Open(quote))?),
            character => word.push(character),
        }
    }
}

/// Whether [`split`] returns `word` unchanged.
fn is_plain(word: &str) -> bool {
    !word.is_empty() && !word.contains([' ', '\t', '#', '"', '\'', '\\'])
}

/// Quotes `word` so that [`split`] returns it, in single quotes where these suffice, as jigdo-file does.
pub fn quote_simply(word: &str) -> String {
    if is_plain(word) || word.contains('\'') { quote(word) } else { format!("'{word}'") }
}

/// Quotes `word` so that [`split`] returns it: in double quotes, or not at all if it needs none.
pub fn quote(word: &str) -> String {
    if is_plain(word) {
        return word.to_owned();
    }
    let mut quoted = String::with_capacity(word.len() + 8);
    quoted.push('"');
    for character in word.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
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
    }

    proptest! {
        #[test]
        fn quoting_is_undone_by_splitting(word in r#"[a-z #"'\\\tÄ$`=]{0,20}"#) {
            prop_assert_eq!(split(&quote_simply(&word)).unwrap(), [&*word]);
            prop_assert_eq!(split(&quote(&word)).unwrap(), [word]);
        }
    }
}
