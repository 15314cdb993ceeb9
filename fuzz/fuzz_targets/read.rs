//! Any bytes: the readers of templates and jigdo files give a value that holds together, or an error.

#![no_main]

use std::io::{Cursor, Read};

use jigdo::jigdo_file::{Draft, Jigdo, Outline, Unpacked};
use jigdo::template::{Area, Template};
use libfuzzer_sys::fuzz_target;

/// How much unmatched data is inflated, in bytes: a few hundred bytes can promise terabytes.
const MOST_DATA: u64 = 8 << 20;

/// How many parts of a jigdo file are resolved: each may have a thousand URLs.
const MOST_RESOLVED: usize = 4;

fuzz_target!(
    init: jigpress_fuzz::use_one_thread(),
    |bytes: &[u8]| {
        check_template(bytes);
        if let Some(repaired) = repaired(bytes) {
            check_template(&repaired);
        }
        check_jigdo(bytes);
        check_draft(bytes);
    }
);

/// The template in `bytes` with a description that says how long it is: hardly any mutation would do that.
fn repaired(bytes: &[u8]) -> Option<Vec<u8>> {
    let start = bytes.windows(4).rposition(|id| id == b"DESC")?;
    let length = bytes.len() - start;
    if length < 16 {
        return None;
    }
    let length = (length as u64).to_le_bytes();
    let mut bytes = bytes.to_vec();
    bytes[start + 4..start + 10].copy_from_slice(&length[..6]);
    let end = bytes.len() - 6;
    bytes[end..].copy_from_slice(&length[..6]);
    Some(bytes)
}

fn check_template(bytes: &[u8]) {
    let Ok(mut template) = Template::read(Cursor::new(bytes)) else { return };
    let description = &template.description;
    assert_eq!(description.areas.iter().map(Area::length).sum::<u64>(), description.image.length);
    let unmatched = description.unmatched_length();
    let mut data = Vec::new();
    if template.unmatched().take(MOST_DATA).read_to_end(&mut data).is_err() {
        return;
    }
    assert_eq!(data.len() as u64, unmatched.min(MOST_DATA));
    if unmatched > MOST_DATA {
        return;
    }
    let middle = data.len() / 2;
    let mut rest = Vec::new();
    let mut reader = template.unmatched();
    reader.seek_to(middle as u64).expect("it was read before");
    reader.read_to_end(&mut rest).expect("it was read before");
    assert!(rest == data[middle..], "other data from offset {middle} on");
}

/// Where things are in a jigdo file must agree with what it says, down to whether it is one.
fn check_outline(bytes: &[u8], read: Option<&Jigdo>) {
    let unpacked = Unpacked::new(bytes);
    let outline = unpacked.ok().and_then(|unpacked| Outline::new(&unpacked.text, &[]).ok());
    let (jigdo, outline) = match (read, outline) {
        (Some(jigdo), Some(outline)) => (jigdo, outline),
        (None, None) => return,
        (read, _) => panic!("only one of them takes it for a jigdo file: the reader does: {}", read.is_some()),
    };
    let servers: Vec<_> = outline.servers.into_iter().map(|line| (line.label, line.server)).collect();
    assert_eq!(servers, jigdo.servers);
    assert_eq!(outline.labels.iter().map(|(_, count)| *count).sum::<u64>(), jigdo.parts.len() as u64);
}

fn check_jigdo(bytes: &[u8]) {
    let read = Jigdo::read(bytes);
    check_outline(bytes, read.as_ref().ok());
    let Ok(jigdo) = read else { return };
    for (_, location) in jigdo.parts.iter().take(MOST_RESOLVED) {
        let _ = jigdo.urls(location);
    }
    // Much can be read that we would not write.
    if let Ok(text) = jigdo.to_text() {
        let again = Jigdo::read(&text[..]).expect("a jigdo file that was just written");
        assert_eq!(again, jigdo, "another jigdo file came back");
    }
}

/// A text that is added to loses none of its parts, and stays as it is once it is in order.
fn check_draft(bytes: &[u8]) {
    let Ok(draft) = Draft::read(bytes, |_| ()) else { return };
    let text = draft.to_text("2.0", "fuzz/1");
    let again = Draft::read(&text[..], |_| ()).expect("a draft that was just written");
    assert_eq!(again.to_text("2.0", "fuzz/1"), text, "another draft came back");
    let parts = |bytes: &[u8]| {
        let mut parts = Jigdo::read_leniently(bytes, |_| ()).expect("what a draft was read of").parts;
        parts.sort();
        parts.dedup();
        parts
    };
    // libjte quotes nothing, which a reader knows by a generator that may come later in the new text.
    if !text.to_ascii_lowercase().windows(3).any(|word| word == b"jte") {
        assert_eq!(parts(&text), parts(bytes), "a part was lost");
    }
}
