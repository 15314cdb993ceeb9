//! The manual: its pages are those of the commands, and the programs that read pages have nothing to say about them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{files, installed, jigpress, run};

/// The sections that every page of a command has.
const SECTIONS: [&str; 9] =
    ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"];

/// All pages, below a directory.
fn pages() -> (tempfile::TempDir, Vec<PathBuf>) {
    let place = tempfile::tempdir().unwrap();
    run(jigpress().args(["man", "--into"]).arg(place.path()));
    let pages = files(place.path());
    assert!(pages.len() >= 16, "{pages:?}");
    (place, pages)
}

fn name(page: &Path) -> &str {
    page.file_name().unwrap().to_str().unwrap()
}

#[test]
fn every_command_and_the_manifest_have_a_page() {
    let (place, pages) = pages();
    for page in ["man1/jigpress.1", "man1/jigpress-publish.1", "man1/jigpress-servers-set.1", "man5/jigpress.yaml.5"] {
        assert!(pages.contains(&place.path().join(page)), "{page}: {pages:?}");
    }
    for page in &pages {
        let printed = run(jigpress().arg("man").arg(name(page))).stdout;
        assert_eq!(String::from_utf8(printed).unwrap(), std::fs::read_to_string(page).unwrap());
    }
    let printed = |words: &[&str]| run(jigpress().arg("man").args(words)).stdout;
    assert_eq!(printed(&[]), printed(&["jigpress"]));
    assert_eq!(printed(&["servers", "set"]), printed(&["jigpress-servers-set"]));
    assert_eq!(jigpress().args(["man", "servers", "sat"]).output().unwrap().status.code(), Some(2));
    assert_eq!(jigpress().args(["man", "--into", "/dev/null/x"]).output().unwrap().status.code(), Some(3));
}

#[test]
fn every_page_of_a_command_has_the_usual_sections() {
    let (_place, pages) = pages();
    for page in pages.iter().filter(|page| name(page).ends_with(".1")) {
        let text = std::fs::read_to_string(page).unwrap();
        let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        let headings: Vec<&str> = headings.iter().map(|heading| heading.trim_matches('"')).collect();
        let found: Vec<&str> = SECTIONS.into_iter().filter(|section| headings.contains(section)).collect();
        assert_eq!(found, SECTIONS, "{}: {headings:?}", name(page));
        assert_eq!(headings.iter().collect::<BTreeSet<_>>().len(), headings.len(), "{headings:?}");
    }
}

#[test]
fn pages_name_only_pages_that_there_are() {
    let (_place, pages) = pages();
    let known: BTreeSet<&str> = pages.iter().map(|page| name(page).rsplit_once('.').unwrap().0).collect();
    for page in &pages {
        let text = std::fs::read_to_string(page).unwrap().replace("\\-", "-");
        let others = text.lines().filter_map(|line| line.strip_prefix("\\fBjigpress")?.split_once("\\fR("));
        for (other, _) in others {
            assert!(known.contains(&*format!("jigpress{other}")), "{}: jigpress{other}", name(page));
        }
    }
}

#[test]
fn the_page_readers_have_no_complaints() {
    let (_place, pages) = pages();
    for page in &pages {
        if installed(&["groff"]) {
            for device in ["ascii", "utf8", "ps"] {
                let ran = run(Command::new("groff").args(["-man", "-ww", "-z", "-T", device]).arg(page));
                assert!(ran.stderr.is_empty(), "{}: {}", name(page), String::from_utf8_lossy(&ran.stderr));
            }
        }
        if installed(&["lexgrog"]) {
            let found = String::from_utf8(run(Command::new("lexgrog").arg(page)).stdout).unwrap();
            assert!(found.contains(&format!("\"{} - ", name(page).rsplit_once('.').unwrap().0)), "{found}");
        }
        if installed(&["mandoc"]) {
            let ran = Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(page).output().unwrap();
            assert!(ran.stdout.is_empty(), "{}: {}", name(page), String::from_utf8_lossy(&ran.stdout));
        }
    }
}
