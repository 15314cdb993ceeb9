//! Whether a file may be a jigdo file, told from its first bytes.

use std::io::Read as _;

use super::text::GZIP_MAGIC;

/// How much of the start is looked at, uncompressed, in bytes.
const MAX_START: u64 = 4096;

/// Whether a file that begins with these bytes, plain or compressed with gzip, looks like a jigdo file: the first
/// section after any comments is one that jigdo files have. 4096 bytes of the file are enough.
pub fn looks_like(start: &[u8]) -> bool {
    let mut inflated = Vec::new();
    let mut text = start;
    if start.starts_with(&GZIP_MAGIC) {
        // The member is cut off where `start` ends. The text before the cut is enough.
        let _ = flate2::bufread::GzDecoder::new(start).take(MAX_START).read_to_end(&mut inflated);
        text = &inflated;
    }
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    for line in text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii) {
        if line.starts_with(b"# JigsawDownload") {
            return true;
        }
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let Some(name) = line.strip_prefix(b"[") else { return false };
        let name = name.trim_ascii_start();
        return [&b"Jigdo"[..], b"Image", b"Parts", b"Servers", b"Include"].iter().any(|known| {
            name.strip_prefix(*known).is_some_and(|rest| rest.first().is_none_or(|&byte| b"] \t".contains(&byte)))
        });
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jigdo_file::gzip;

    #[test]
    fn jigdo_files_are_told_by_their_content() {
        for text in ["# JigsawDownload\n# x", "\u{feff}\n# c\n [ Parts ]\n", "[Include http://x/]", "[Jigdo]\r\n"] {
            assert!(looks_like(text.as_bytes()), "{text}");
            assert!(looks_like(&gzip(text).unwrap()), "{text}");
        }
        let long = gzip(&format!("[Parts]\n{}", "0123456789abcdef".repeat(50_000))).unwrap();
        assert!(looks_like(&long[..long.len().min(200)]));
        for text in ["", "JigsawDownload template 1.2", "[core]\n", "[Partsx]\n", "a=b\n[Parts]\n", "\x1f\u{8b}"] {
            assert!(!looks_like(text.as_bytes()), "{text}");
        }
    }
}
