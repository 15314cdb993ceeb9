//! A jigdo file's whole text, and the pieces of the file that hold it, so that edits of the text can be made in the file.

use std::borrow::Cow;
use std::io::Read as _;
use std::ops::Range;

use bstr::BString;

use super::Error;
use super::text::{GZIP_MAGIC, MAX_TEXT, after_member, split_plain};
use super::writer::gzip;

/// A jigdo file whose text can be edited.
#[derive(Debug)]
pub struct Unpacked<'a> {
    /// The whole text, uncompressed.
    pub text: Cow<'a, [u8]>,
    bytes: &'a [u8],
    /// In order, without gaps.
    pieces: Vec<Piece>,
}

/// The replacement of a range of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced, in bytes of the text.
    pub range: Range<usize>,
    /// What takes its place.
    pub text: BString,
}

/// Plain text, or one gzip member.
#[derive(Debug)]
struct Piece {
    is_gzip: bool,
    /// In the file.
    bytes: Range<usize>,
    /// In the text.
    text: Range<usize>,
}

impl<'a> Unpacked<'a> {
    /// Unpacks the file that consists of `bytes`.
    ///
    /// # Errors
    ///
    /// Compressed data that are corrupt; a text that is longer than [`MAX_TEXT`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() as u64 <= MAX_TEXT && split_plain(bytes).1.is_empty() {
            let piece = Piece { is_gzip: false, bytes: 0..bytes.len(), text: 0..bytes.len() };
            return Ok(Self { text: Cow::Borrowed(bytes), bytes, pieces: vec![piece] });
        }
        let (mut text, mut pieces, mut rest) = (Vec::new(), Vec::new(), bytes);
        while !rest.is_empty() {
            let (start, at) = (text.len(), bytes.len() - rest.len());
            let is_gzip = rest.starts_with(&GZIP_MAGIC);
            if is_gzip {
                // What is ignored belongs to the member, and goes when that changes.
                rest = after_member(inflate(rest, &mut text)?);
            } else {
                let (plain, after) = split_plain(rest);
                text.extend_from_slice(plain);
                rest = after;
            }
            if text.len() as u64 > MAX_TEXT {
                return Err(Error::TooLong);
            }
            pieces.push(Piece { is_gzip, bytes: at..bytes.len() - rest.len(), text: start..text.len() });
        }
        Ok(Self { text: Cow::Owned(text), bytes, pieces })
    }

    /// The file's bytes after `edits`, which must be in order and not overlap: runs of bytes to be written one after the
    /// other. Pieces in which nothing changes keep their bytes. Gzip members stay gzip members; the bytes of a changed
    /// one depend on its text alone.
    pub fn edited<'e>(&'e self, edits: &'e [Edit]) -> Vec<Cow<'e, [u8]>> {
        let mut out = Vec::new();
        let mut edits = edits.iter().peekable();
        // The end of the last range that was replaced.
        let mut done = 0;
        for (number, piece) in self.pieces.iter().enumerate() {
            let end = piece.text.end;
            let is_last = number + 1 == self.pieces.len();
            let belongs = |edit: &&Edit| edit.range.start < end || (is_last && edit.range.start == end);
            let mut at = piece.text.start.max(done).min(end);
            let mut is_changed = at > piece.text.start;
            let mut parts: Vec<&[u8]> = Vec::new();
            while let Some(edit) = edits.next_if(belongs) {
                is_changed = true;
                parts.extend([&self.text[at..edit.range.start], &edit.text]);
                done = edit.range.end;
                at = done.min(end);
            }
            parts.push(&self.text[at..end]);
            if !is_changed {
                out.push(Cow::Borrowed(&self.bytes[piece.bytes.clone()]));
            } else if piece.is_gzip {
                out.push(Cow::Owned(gzip(&parts.concat()).expect("a vector takes every write")));
            } else {
                out.extend(parts.into_iter().filter(|part| !part.is_empty()).map(Cow::Borrowed));
            }
        }
        out
    }
}

/// Appends the content of the gzip member at the start of `bytes` to `text`. Returns what follows the member.
fn inflate<'a>(bytes: &'a [u8], text: &mut Vec<u8>) -> Result<&'a [u8], Error> {
    let mut decoder = flate2::bufread::GzDecoder::new(bytes);
    let left = (MAX_TEXT + 1).saturating_sub(text.len() as u64);
    let inflated = (&mut decoder).take(left).read_to_end(text);
    inflated.map_err(|source| Error::Corrupt { line: line_at(text, text.len()), source })?;
    Ok(decoder.into_inner())
}

/// The number of the line that has the byte at `offset`.
fn line_at(text: &[u8], offset: usize) -> u64 {
    memchr::memchr_iter(b'\n', &text[..offset]).count() as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unpacked(bytes: &[u8]) -> String {
        String::from_utf8(Unpacked::new(bytes).unwrap().text.into_owned()).unwrap()
    }

    /// The file after these edits, as one run of bytes.
    fn edited(bytes: &[u8], edits: &[Edit]) -> Vec<u8> {
        Unpacked::new(bytes).unwrap().edited(edits).concat()
    }

    #[test]
    fn pieces_in_which_nothing_changes_keep_their_bytes() {
        // Not as this program compresses.
        let mut member = flate2::GzBuilder::new().filename("x").write(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut member, b"[Parts]\n").unwrap();
        let member = member.finish().unwrap();
        let file = [&member, &b"# plain\n"[..], &gzip("[Servers]\nA=http://a/\n").unwrap(), b"end\n"].concat();
        let at = unpacked(&file).find("A=").unwrap();
        let edits = [Edit { range: at..at + 12, text: "A=http://b/\n".into() }];
        let expected = [&member, &b"# plain\n"[..], &gzip("[Servers]\nA=http://b/\n").unwrap(), b"end\n"].concat();
        assert_eq!(edited(&file, &edits), expected);
    }

    #[test]
    fn what_is_ignored_after_a_member_stays_as_long_as_the_member_does() {
        let file = [&gzip("[Servers]\nA=http://a/\n").unwrap()[..], &[0; 40]].concat();
        assert_eq!(unpacked(&file), "[Servers]\nA=http://a/\n");
        assert_eq!(edited(&file, &[]), file);
        let end = unpacked(&file).len();
        let edits = [Edit { range: end..end, text: "A=http://b/\n".into() }];
        assert_eq!(edited(&file, &edits), gzip("[Servers]\nA=http://a/\nA=http://b/\n").unwrap());
    }

    #[test]
    fn bombs_and_corrupt_data_are_refused() {
        let member = gzip(&"x".repeat(1 << 23)).unwrap().repeat(40);
        assert!(matches!(Unpacked::new(&member), Err(Error::TooLong)));
        let mut member = gzip(&"a\nb\n".repeat(1000)).unwrap();
        member.truncate(member.len() - 9);
        assert!(matches!(Unpacked::new(&member), Err(Error::Corrupt { .. })));
        assert_eq!(*Unpacked::new(b"a\nb\xff\x1f\x8b").unwrap().text, b"a\nb\xff\x1f\x8b"[..]);
    }

    proptest! {
        #[test]
        fn an_edit_of_a_packed_file_is_an_edit_of_its_text(
            texts in prop::collection::vec(("[a-zä\n]{0,20}", any::<bool>()), 1..6),
            cuts in prop::collection::vec((any::<prop::sample::Index>(), "[A-Z]{0,3}"), 0..4),
        ) {
            let whole: String = texts.iter().map(|(text, _)| text.as_str()).collect();
            let pack = |(text, packed): &(String, bool)| match packed {
                true => gzip(text).unwrap(),
                false => text.clone().into_bytes(),
            };
            let file = texts.iter().map(pack).collect::<Vec<_>>().concat();
            let mut places: Vec<usize> = cuts.iter().map(|(cut, _)| cut.index(whole.len() + 1)).collect();
            for place in &mut places {
                while !whole.is_char_boundary(*place) {
                    *place -= 1;
                }
            }
            places.sort_unstable();
            let edits: Vec<Edit> = places
                .chunks(2)
                .zip(&cuts)
                .map(|(range, (_, text))| Edit { range: range[0]..range[range.len() - 1], text: text.as_str().into() })
                .collect();
            let mut expected = whole.clone();
            edits.iter().rev().for_each(|edit| expected.replace_range(edit.range.clone(), &edit.text.to_string()));
            prop_assert_eq!(unpacked(&file), whole);
            prop_assert_eq!(unpacked(&edited(&file, &edits)), expected);
        }
    }
}
