//! The manual page of the stand-in for jigdo-file, from its help and `docs/jigdo-file-drop-in.md`.

use clap::Command;
use roff::{Inline, bold, roman};

use super::super::jigdo_file::help;
use super::command::{exit_codes, sentence, upper_first};
use super::markdown;
use super::page::Page;

const DOCUMENT: &str = include_str!("../../../docs/jigdo-file-drop-in.md");

/// Sections of the document that the page has in its own form, or that are about development.
const LEFT_OUT: [&str; 2] = ["How it is tested", "Exit codes"];

/// The page `jigpress-jigdo-file(1)`.
pub fn page(command: &Command) -> Page {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let (about, _) = about.split_once(':').unwrap_or((&about, ""));
    let mut page = Page::new("jigpress-jigdo-file", "1", about);
    page.section("Synopsis");
    page.synopsis(&[
        "jigpress jigdo-file COMMAND [OPTIONS] [FILES]".to_owned(),
        "jigdo-file COMMAND [OPTIONS] [FILES]".to_owned(),
    ]);
    page.section("Description");
    page.text(&command.get_long_about().map(ToString::to_string).unwrap_or_default());
    page.paragraph();
    page.text(&intro().replace("[this page lists](#more-matches)", "is listed below"));
    page.section("Commands");
    entries(help::COMMANDS, &mut page);
    page.section("Options");
    entries(help::USUAL, &mut page);
    page.subsection("Less common options");
    entries(help::FURTHER, &mut page);
    page.section("Exit status");
    let codes = help::FURTHER.rsplit_once("Exit codes: ").map_or("", |(_, codes)| codes);
    exit_codes(codes.trim()).iter().for_each(|(code, text)| page.item(vec![bold(code)], text));
    page.section("Environment");
    page.item(vec![bold("PATH")], "Debian's `jigdo-mirror` calls the first `jigdo-file` there.");
    page.item(
        vec![bold("TMPDIR")],
        "Where an image on standard input is kept while it is searched. Default: beside the template.",
    );
    page.section("Files");
    page.item(vec![bold("IMAGE.tmp")], "A half-assembled image. The original jigdo-file resumes it too.");
    page.item(vec![bold(".IMAGE.jigpress")], "An image that a run is working on.");
    for section in markdown::sections(DOCUMENT).filter(|section| !LEFT_OUT.contains(&section.title)) {
        page.section(section.title);
        section.render(&mut page, &mut |_| false);
    }
    page.section("Examples");
    page.text("Put the stand-in before the original in `PATH`:");
    page.code("ln -s \"$(command -v jigpress)\" ~/bin/jigdo-file");
    page.paragraph();
    page.text("Make a set:");
    page.code("jigdo-file make-template --image=image.iso --label Debian=/srv/mirror \\\n  --uri Debian=http://deb.debian.org/debian/ /srv/mirror//");
    page.section("See also");
    let pages = ["jigpress", "jigpress-publish", "jigpress-assemble", "jigdo-file", "jigdo-lite", "jigdo-mirror"];
    page.see_also(&pages.map(|name| (name.to_owned(), "1".to_owned())));
    page.documentation();
    page
}

/// The first paragraph of the document.
fn intro() -> &'static str {
    DOCUMENT.split("\n\n").nth(1).unwrap_or_default()
}

/// The entries of a help text: a term at the left, what it means at the right of it or in the lines below it. A line that
/// begins a text or ends it is a paragraph of its own.
fn entries(text: &str, page: &mut Page) {
    let mut entry: Option<(String, String)> = None;
    let end = |entry: &mut Option<(String, String)>, page: &mut Page| {
        if let Some((term, meaning)) = entry.take() {
            page.item(self::term(&term), &upper_first(&sentence(&meaning)));
        }
    };
    for line in text.lines().filter(|line| !line.is_empty()) {
        let indent = line.len() - line.trim_start().len();
        match (indent, &mut entry) {
            (0, _) => end(&mut entry, page),
            // Terms in several lines have their meaning after the last one.
            (1..8, Some((term, meaning))) if meaning.is_empty() => *term = format!("{term} {}", line.trim()),
            (1..8, _) => {
                end(&mut entry, page);
                let line = line.trim_start();
                let (term, meaning) =
                    line.split_at_checked(line.find("  ").unwrap_or(line.len())).unwrap_or((line, ""));
                // A short term is followed by one space only, in the column where meanings begin.
                let (term, meaning) = match meaning.is_empty() && line.len() > COLUMN {
                    true => split_at_column(line, indent),
                    false => (term, meaning),
                };
                entry = Some((term.to_owned(), meaning.trim().to_owned()));
            }
            (_, Some((_, meaning))) => {
                let space = if meaning.is_empty() { "" } else { " " };
                meaning.push_str(space);
                meaning.push_str(line.trim());
            }
            (_, None) => {}
        }
    }
    end(&mut entry, page);
}

/// The column in which meanings begin.
const COLUMN: usize = 23;

fn split_at_column(line: &str, indent: usize) -> (&str, &str) {
    match line.split_at_checked(COLUMN - indent) {
        Some((term, meaning)) if term.ends_with(' ') && !meaning.starts_with('-') => (term.trim_end(), meaning),
        _ => (line, ""),
    }
}

/// Names in bold, separated by commas; what follows the equals sign of an option as it is.
fn term(text: &str) -> Vec<Inline> {
    let words: Vec<&str> = text.split(' ').collect();
    let is_option = words[0].starts_with('-');
    let mut term = Vec::new();
    for (number, word) in words.iter().enumerate() {
        let word = word.trim_end_matches(',');
        let is_name = number == 0 || !is_option || word.starts_with('-') && words[number - 1] != "to";
        if number > 0 {
            term.push(roman(if is_name { ", " } else { " " }));
        }
        let (name, value) = word.split_at(word.find(['=', '[']).unwrap_or(word.len()));
        term.push(if is_name || name.starts_with('-') { bold(name) } else { roman(name) });
        if !value.is_empty() {
            term.push(roman(value));
        }
    }
    term
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_option_of_the_help_is_on_the_page() {
        let source = page(&Command::new("jigdo-file")).source().replace("\\-", "-");
        let help = [help::COMMANDS, help::USUAL, help::FURTHER].concat();
        let words = help.split([' ', '\n', '=', ',', '[', ']']).filter(|word| word.starts_with("--"));
        let mut count = 0;
        for word in words {
            assert!(source.contains(&format!("\\fB{word}\\fR")), "{word}\n{source}");
            count += 1;
        }
        assert!(count > 30, "{count}");
        for command in ["make-template", "make-image", "print-missing-all", "sha256sum"] {
            assert!(source.contains(&format!(".TP\n\\fB{command}\\fR")), "{command}");
        }
        assert!(source.contains(".TP\n\\fB3\\fR\nFailure.\n"), "{source}");
    }
}
