//! Foreign text for terminals and messages: the one way to print what a stranger's file says.
//!
//! Names, URLs and labels in jigdo files, templates, lists of sums and directories need not be UTF-8, and may hold
//! characters that control a terminal or mislead the reader. Here they are all shown, none is obeyed.

use std::fmt;
use std::path::Path;

/// Bytes to be printed as text. Characters that control a terminal, change the direction of the text or cannot be seen
/// are printed as in Rust's strings, such as `\n` and `\u{1b}`; bytes that are not UTF-8 as `\xe4`. All other characters
/// stay as they are, `\` too.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(&'a [u8]);

/// `text` as it is printed.
pub fn escaped<T: AsRef<[u8]> + ?Sized>(text: &T) -> Escaped<'_> {
    Escaped(text.as_ref())
}

/// `path` as it is printed.
pub fn escaped_path<T: AsRef<Path> + ?Sized>(path: &T) -> Escaped<'_> {
    Escaped(path.as_ref().as_os_str().as_encoded_bytes())
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let mut plain = chunk.valid();
            while let Some((at, character)) = plain.char_indices().find(|&(_, character)| is_unsafe(character)) {
                f.write_str(&plain[..at])?;
                write!(f, "{}", character.escape_default())?;
                plain = &plain[at + character.len_utf8()..];
            }
            f.write_str(plain)?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

/// Whether a character controls the terminal (C0, DEL, C1), begins a line, changes the direction of the text, or is not
/// seen.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn foreign_text_is_shown_and_not_obeyed() {
        for (text, shown) in [
            (&b"pool/a b_1.0\\x.deb"[..], "pool/a b_1.0\\x.deb"),
            ("Käse 漢字".as_bytes(), "Käse 漢字"),
            (b"K\xe4se\xff", "K\\xe4se\\xff"),
            (b"\xe6\xbc", "\\xe6\\xbc"),
            (b"\x1b[31m\r\n\t\0\x7f", "\\u{1b}[31m\\r\\n\\t\\u{0}\\u{7f}"),
            ("\u{9b}2J\u{85}".as_bytes(), "\\u{9b}2J\\u{85}"),
            ("a\u{202e}b\u{2066}c\u{200f}\u{feff}".as_bytes(), "a\\u{202e}b\\u{2066}c\\u{200f}\\u{feff}"),
            (b"", ""),
        ] {
            assert_eq!(escaped(text).to_string(), shown);
        }
        assert_eq!(escaped_path("a\n").to_string(), "a\\n");
    }

    proptest! {
        #[test]
        fn whatever_is_printed_has_no_control_characters(text in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(!escaped(&text).to_string().contains(is_unsafe));
        }
    }
}
