//! `jigpress man`: the manual, a page for each command and one for manifests.

mod command;
mod manifest;
mod markdown;
pub mod notes;
mod page;
mod stand_in;

use jigdo::escaped_path;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Command;

use super::Failure;
use command::{CommandPage, page_name};

/// Prints a page of the manual, in roff, or writes all of them.
///
/// Each command has a page, and jigpress.yaml(5) describes release manifests. Without a name, the page of the program is
/// printed. Read a page with `jigpress man publish | man -l -`.
///
/// Exit codes: 0 success; 2 there is no such page; 3 a page could not be written.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The page: a command, such as `servers set`, or `jigpress.yaml`.
    #[arg(value_name = "PAGE", conflicts_with = "into")]
    page: Vec<String>,
    /// Write all pages into this directory, where man(1) looks for them: in man1 and man5.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

/// A page's name, its section and its source.
struct Named {
    name: String,
    section: &'static str,
    source: String,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let pages = pages();
    if let Some(directory) = &args.into {
        pages.iter().try_for_each(|page| page.write(directory))?;
        return Ok(ExitCode::SUCCESS);
    }
    let page = find(&pages, &args.page.join(" "))?;
    super::shown(io::stdout().write_all(page.source.as_bytes()))
}

/// All pages.
fn pages() -> Vec<Named> {
    let mut root = super::command();
    root.build();
    let mut pages = Vec::new();
    add(&root, &root, "", &mut pages);
    pages.push(Named { name: "jigpress.yaml".into(), section: "5", source: manifest::page().source() });
    pages
}

/// Adds the pages of a command and of those below it.
fn add(root: &Command, command: &Command, words: &str, pages: &mut Vec<Named>) {
    let page = match words {
        "jigdo-file" => stand_in::page(command),
        _ => CommandPage { root, command, words: words.to_owned() }.render(),
    };
    pages.push(Named { name: page_name(words), section: "1", source: page.source() });
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        add(root, below, format!("{words} {}", below.get_name()).trim(), pages);
    }
}

/// The page with this name: `servers set`, `servers-set`, `jigpress-servers-set` or `jigpress-servers-set.1`.
fn find<'a>(pages: &'a [Named], name: &str) -> Result<&'a Named, Failure> {
    let wanted = name.replace(' ', "-");
    let is_wanted = |page: &&Named| {
        let Named { name, section, .. } = page;
        let short = name.strip_prefix("jigpress-").unwrap_or(name);
        [name, short].iter().any(|name| wanted == **name || wanted == format!("{name}.{section}"))
    };
    let wanted_page = if wanted.is_empty() { pages.first() } else { pages.iter().find(is_wanted) };
    wanted_page.ok_or_else(|| {
        let names = pages.iter().map(|page| page.name.strip_prefix("jigpress-").unwrap_or(&page.name));
        let names: Vec<_> = names.collect();
        Failure::Usage(format!("there is no page \"{name}\"; the pages are {}", names.join(", ")))
    })
}

impl Named {
    fn write(&self, directory: &Path) -> Result<(), Failure> {
        let Self { name, section, source } = self;
        let directory = directory.join(format!("man{section}"));
        let path = directory.join(format!("{name}.{section}"));
        let written = fs::create_dir_all(&directory).and_then(|()| fs::write(&path, source));
        written.map_err(|error| Failure::Nothing(format!("{}: {error}", escaped_path(&path))))
    }
}
