//! Refuses to write a result over a file that is none: somebody forgot the name after `--report`, and the manifest came next.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use serde_json::{Map, Value};

use super::Failure;

/// How much of a list is looked at, in bytes.
const START: u64 = 64 << 10;

/// Fails if there is a file at `path` that is neither empty nor what this option wrote before. Pipes and devices lose nothing.
pub fn check(path: &Path, option: &str) -> Result<(), Failure> {
    let is_kept = |found: &fs::Metadata| found.is_file() && found.len() > 0;
    if !fs::metadata(path).is_ok_and(|found| is_kept(&found)) {
        return Ok(());
    }
    let (what, is_ours) = match option {
        "--report" => ("report", is_report(path)),
        _ => ("list of missing parts", is_list(path)),
    };
    match is_ours {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::Usage(format!(
            "{}: {option} would replace this file, which is no {what}; name another file, or remove it",
            path.display()
        ))),
        Err(error) => Err(Failure::Usage(format!(
            "{}: {option} would replace this file, which cannot be read: {error}; name another file, or remove it",
            path.display()
        ))),
    }
}

fn is_report(path: &Path) -> io::Result<bool> {
    let mut bytes = Vec::new();
    let mut file = File::open(path)?;
    file.by_ref().take(1).read_to_end(&mut bytes)?;
    if bytes != b"{" {
        return Ok(false);
    }
    file.read_to_end(&mut bytes)?;
    let report: Option<Map<String, Value>> = serde_json::from_slice(&bytes).ok();
    Ok(report.is_some_and(|report| ["generator", "images"].iter().all(|key| report.contains_key(*key))))
}

/// A list has lines of URLs, of `label:path`, and of paths after a space; or it is the comment of a run that failed.
fn is_list(path: &Path) -> io::Result<bool> {
    let mut bytes = Vec::new();
    File::open(path)?.take(START).read_to_end(&mut bytes)?;
    if bytes.starts_with(b"# not complete: ") {
        return Ok(true);
    }
    // The last line may be cut.
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let mut lines = bytes[..whole].split(|&byte| byte == b'\n');
    Ok(lines.all(|line| line.starts_with(b" ") || line.split(|&byte| byte == b'\t').all(is_location)))
}

/// Whether this is a path, or a scheme or label with what belongs after it. A part that no server has is an empty line.
fn is_location(text: &[u8]) -> bool {
    let is_label = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(byte);
    let label = text.iter().take_while(is_label).count();
    let follows = |byte: Option<&u8>| byte.is_some_and(|byte| !byte.is_ascii_whitespace());
    let has_label = label > 0 && text.get(label) == Some(&b':') && follows(text.get(label + 1));
    has_label || text.is_empty() || [&b"/"[..], b"./", b"../"].iter().any(|start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_earlier_results_are_replaced() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        let allowed = |text: &[u8], option| {
            fs::write(&path, text).unwrap();
            check(&path, option).is_ok()
        };
        let report = b"{\n  \"generator\": \"\", \"images\": [], \"exit_code\": 0\n}\n";
        let lists: [&[u8]; 4] = [
            b"http://a/x\thttp://b/x\nhttp://a/y\n",
            b"Debian:pool/a.deb\n out/x.jigdo\n",
            b"# not complete: the run failed\n",
            b"file:///srv/x\n",
        ];
        let others: [&[u8]; 10] = [
            b"\n\nThese are notes.\n",
            b"release: r\nmirrors:\n",
            b"mirrors:\n  A: {path: a}\n",
            b"# a comment\nrelease: r\n",
            b"JigsawDownload template 1.0 \r\n",
            b"# JigsawDownload\n[Jigdo]\nVersion=1.2\n",
            b"0123abcd  x.iso\n",
            b"SQLite format 3\0",
            b"!<arch>\ndebian-binary",
            b"{\"package\": {\"name\": \"x\"}}",
        ];
        for option in ["--report", "--missing"] {
            assert!(allowed(b"", option));
            assert!(others.iter().all(|text| !allowed(text, option)));
        }
        assert!(allowed(report, "--report") && !allowed(report, "--missing"));
        assert!(lists.iter().all(|list| allowed(list, "--missing") && !allowed(list, "--report")));
        fs::remove_file(&path).unwrap();
        assert!(check(&path, "--report").is_ok() && check(Path::new("/dev/null"), "--missing").is_ok());
    }
}
