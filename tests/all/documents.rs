//! The documents: every link in them leads somewhere, and the front page stays short.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::repository;

/// The most lines that the README has.
const README_LINES: usize = 160;

fn documents() -> Vec<PathBuf> {
    let markdown = |directory: &str| {
        let entries = fs::read_dir(repository().join(directory)).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect::<Vec<_>>()
    };
    [markdown("."), markdown("docs"), markdown("crates/jigdo")].concat()
}

/// The text outside of code blocks.
fn prose(text: &str) -> String {
    let is_prose = |(number, block): (usize, &'_ str)| number.is_multiple_of(2).then(|| block.to_owned());
    text.split("```").enumerate().filter_map(is_prose).collect()
}

fn links(prose: &str) -> impl Iterator<Item = &str> {
    prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0))
}

/// The anchors that GitHub gives to a document's headings.
fn anchors(text: &str) -> HashSet<String> {
    let anchor = |heading: &str| -> String {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|&c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    prose(text).lines().filter(|line| line.starts_with('#')).map(anchor).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut count = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for link in links(&prose(&text)).filter(|link| !link.contains("://")) {
            count += 1;
            let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
            let target = match path {
                "" => document.clone(),
                _ => document.parent().unwrap_or(Path::new("")).join(path),
            };
            let has_anchor = |anchor: &str| anchors(&fs::read_to_string(&target).unwrap_or_default()).contains(anchor);
            if !target.exists() || !anchor.is_none_or(has_anchor) {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(count > 50, "only {count} links were seen");
}

#[test]
fn every_page_is_in_the_index() {
    let index = fs::read_to_string(repository().join("docs/README.md")).unwrap();
    let listed: HashSet<&str> = links(&index).collect();
    let pages = fs::read_dir(repository().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let missing: Vec<_> =
        pages.filter(|page| page != "README.md" && !listed.contains(page.to_str().unwrap())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_front_page_is_short() {
    let lines = fs::read_to_string(repository().join("README.md")).unwrap().lines().count();
    assert!(lines <= README_LINES, "{lines} lines");
}
