//! The manual page of a command, from its help and its notes.

use clap::{Arg, ArgAction, Command};
use roff::{Inline, bold, italic, roman};

use super::notes::{self, Notes};
use super::page::{Page, markup};

const EXIT_CODES: &str = "Exit codes: ";

/// What every command reads from the environment.
const LOG: (&str, &str) = (
    "JIGPRESS_LOG",
    "What is logged, without `-v`: a level, as in `debug`, or levels of modules, as in `jigpress::mirror=trace,info`.",
);

/// What commands read from the environment that have an argument with this id.
const ENVIRONMENT: &[(&[&str], &str, &str)] = &[
    (
        &["index"],
        "XDG_CACHE_HOME, HOME",
        "Where the index is, in `jigpress/index.sqlite`; `HOME` with `.cache` if the first is not set.",
    ),
    (&["offline", "deep"], "http_proxy, https_proxy, all_proxy, no_proxy", "The proxies for requests to web servers."),
    (
        &["offline", "deep"],
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "The certificates that are trusted, in place of the system's.",
    ),
];

/// A command, and how it is called.
pub struct CommandPage<'a> {
    /// The whole command line's.
    pub root: &'a Command,
    pub command: &'a Command,
    /// Its words, without the program's name.
    pub words: String,
}

impl CommandPage<'_> {
    /// The name of the page.
    pub fn name(&self) -> String {
        page_name(&self.words)
    }

    pub fn render(&self) -> Page {
        let notes = notes::of(&self.words).expect("a test checks that every command has notes");
        let about = styled(self.command.get_about()).unwrap_or_default();
        let mut page = Page::new(&self.name(), "1", about.trim_end_matches('.'));
        page.section("Synopsis");
        page.synopsis(&self.usage());
        page.section("Description");
        page.text(&self.description());
        self.render_commands(&mut page);
        self.render_options(&mut page);
        page.section("Exit status");
        self.exit_codes().iter().for_each(|(code, text)| page.item(vec![bold(code)], text));
        self.render_environment(notes, &mut page);
        page.section("Files");
        let index = has_argument(self.command, &["index"]).then_some(&notes::INDEX_FILE);
        notes.files.iter().chain(index).for_each(|(file, text)| page.item(vec![italic(*file)], text));
        page.section("Examples");
        for (number, (what, line)) in notes.examples.iter().enumerate() {
            if number > 0 {
                page.paragraph();
            }
            page.text(&format!("{what}:"));
            page.code(&broken(line));
        }
        page.section("See also");
        page.see_also(&self.see_also(notes));
        page.documentation();
        page
    }

    fn usage(&self) -> Vec<String> {
        let usage = self.command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").lines().map(|line| line.trim().to_owned());
        usage.collect()
    }

    /// The help before the options, without what it says of exit codes.
    fn description(&self) -> String {
        let long = styled(self.command.get_long_about());
        let about = long.or_else(|| styled(self.command.get_about())).unwrap_or_default();
        let paragraphs = about.split("\n\n").filter(|paragraph| !paragraph.starts_with(EXIT_CODES));
        paragraphs.map(sentence).collect::<Vec<_>>().join("\n\n")
    }

    /// The exit codes in its help; those of the program if it names none.
    pub fn exit_codes(&self) -> Vec<(String, String)> {
        let of = |command: &Command| {
            let about = styled(command.get_long_about())?;
            about.split("\n\n").find_map(|paragraph| paragraph.strip_prefix(EXIT_CODES)).map(exit_codes)
        };
        of(self.command).or_else(|| of(self.root)).unwrap_or_default()
    }

    fn render_commands(&self, page: &mut Page) {
        let commands: Vec<_> = self.command.get_subcommands().filter(|below| below.get_name() != "help").collect();
        if commands.is_empty() {
            return;
        }
        page.section("Commands");
        for below in commands {
            let name = page_name(format!("{} {}", self.words, below.get_name()).trim());
            let about = styled(below.get_about()).unwrap_or_default();
            page.item(vec![bold(name), roman("(1)")], &sentence(&about));
        }
    }

    fn render_options(&self, page: &mut Page) {
        page.section("Options");
        let arguments: Vec<&Arg> = self.command.get_arguments().filter(|argument| !argument.is_hide_set()).collect();
        let (positional, options): (Vec<_>, Vec<_>) =
            arguments.into_iter().partition(|argument| argument.is_positional());
        let (headed, plain): (Vec<_>, Vec<_>) =
            options.into_iter().partition(|option| option.get_help_heading().is_some());
        positional.into_iter().chain(plain).for_each(|argument| render_argument(argument, page));
        let mut heading = None;
        for option in headed {
            if heading != option.get_help_heading() {
                heading = option.get_help_heading();
                page.subsection(heading.unwrap_or_default());
            }
            render_argument(option, page);
        }
    }

    fn render_environment(&self, notes: &Notes, page: &mut Page) {
        page.section("Environment");
        for argument in self.command.get_arguments() {
            if let (Some(variable), Some(long)) = (argument.get_env(), argument.get_long()) {
                page.item(
                    vec![bold(variable.to_string_lossy())],
                    &format!("The value of `--{long}`, if that is not given."),
                );
            }
        }
        let by_argument = ENVIRONMENT.iter().filter(|(ids, ..)| has_argument(self.command, ids));
        let by_argument = by_argument.map(|&(_, names, text)| (names, text));
        for (names, text) in by_argument.chain(notes.environment.iter().copied()).chain([LOG]) {
            let style = if names == "any" { italic(names) } else { bold(names) };
            page.item(vec![style], text);
        }
    }

    fn see_also(&self, notes: &Notes) -> Vec<(String, String)> {
        let program = (!self.words.is_empty()).then(|| ("jigpress".to_owned(), "1".to_owned()));
        let below = self.command.get_subcommands().filter(|below| below.get_name() != "help");
        let below =
            below.map(|below| (page_name(format!("{} {}", self.words, below.get_name()).trim()), "1".to_owned()));
        let noted = notes.see_also.iter().map(|&(name, section)| (name.to_owned(), section.to_owned()));
        program.into_iter().chain(below).chain(noted).collect()
    }
}

/// The name of a command's page: its words, joined.
pub fn page_name(words: &str) -> String {
    format!("jigpress {words}").trim_end().replace(' ', "-")
}

/// What exit codes mean, in the order of a paragraph such as `0 success; 1 failure.`
pub fn exit_codes(paragraph: &str) -> Vec<(String, String)> {
    let mut codes: Vec<(String, String)> = Vec::new();
    for piece in paragraph.split_inclusive([';', ',']) {
        match piece.trim_start().split_once(' ') {
            Some((code, text)) if code.bytes().all(|byte| byte.is_ascii_digit()) && !code.is_empty() => {
                codes.push((code.to_owned(), text.to_owned()));
            }
            _ => codes.last_mut().map_or((), |(_, text)| text.push_str(piece)),
        }
    }
    let clean = |text: &str| upper_first(&sentence(text.trim_end_matches([';', ',', '.'])));
    codes.into_iter().map(|(code, text)| (code, clean(&text))).collect()
}

/// The longest line of an example, so that a page fits into 80 columns.
const EXAMPLE_WIDTH: usize = 66;

/// A command line in several lines, broken before options. What is in quotes stays on its line, because a shell keeps the
/// break there.
fn broken(line: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for piece in before_options(line) {
        match lines.last_mut() {
            None => lines.push(piece.to_owned()),
            Some(last) if last.len() + piece.len() < EXAMPLE_WIDTH => last.push_str(&format!(" {piece}")),
            Some(_) => lines.push(format!("    {piece}")),
        }
    }
    lines.join(" \\\n")
}

/// The pieces of a command line between the spaces before options. Spaces in quotes, and those after a backslash, belong to
/// a word.
fn before_options(line: &str) -> Vec<&str> {
    let (mut pieces, mut start) = (Vec::new(), 0);
    let mut quote = None;
    let mut characters = line.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (Some('"') | None, '\\') => {
                characters.next();
            }
            (Some(open), character) if open == character => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None, ' ') if line[at..].starts_with(" --") => {
                pieces.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&line[start..]);
    pieces
}

fn has_argument(command: &Command, ids: &[&str]) -> bool {
    command.get_arguments().any(|argument| ids.contains(&argument.get_id().as_str()))
}

fn styled(text: Option<&clap::builder::StyledStr>) -> Option<String> {
    text.map(ToString::to_string)
}

/// The text with a full stop: clap takes it away from short texts.
pub fn sentence(text: &str) -> String {
    match text.ends_with(['.', ':', '?', '!']) || text.is_empty() {
        true => text.to_owned(),
        false => format!("{text}."),
    }
}

/// The text with a large first letter.
pub fn upper_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn render_argument(argument: &Arg, page: &mut Page) {
    let help = styled(argument.get_long_help()).or_else(|| styled(argument.get_help())).unwrap_or_default();
    let mut help = sentence(&help);
    let takes_value = argument.get_action().takes_values();
    let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if takes_value && !defaults.is_empty() && !argument.is_hide_default_value_set() {
        help += &format!(" Default: `{}`.", defaults.join(", "));
    }
    page.item(term(argument), &help);
    let values: Vec<_> = argument.get_possible_values().into_iter().filter(|value| !value.is_hide_set()).collect();
    if takes_value && !values.is_empty() {
        page.indent();
        for value in &values {
            let help = value.get_help().map(|help| sentence(&help.to_string())).unwrap_or_default();
            match help.is_empty() {
                true => page.bullet(vec![bold(value.get_name())]),
                false => page.bullet([vec![bold(value.get_name()), roman(": ")], markup(&help)].concat()),
            }
        }
        page.outdent();
    }
}

/// What stands for the argument on the command line.
fn term(argument: &Arg) -> Vec<Inline> {
    let names = argument.get_value_names().unwrap_or_default();
    let value = names.iter().map(clap::builder::Str::as_str).collect::<Vec<_>>().join(" ");
    let is_repeated = matches!(argument.get_action(), ArgAction::Append)
        || argument.get_num_args().is_some_and(|count| count.max_values() > 1);
    let dots = if is_repeated && argument.is_positional() { "..." } else { "" };
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let mut term = Vec::new();
    for name in [short, long].into_iter().flatten() {
        if !term.is_empty() {
            term.push(roman(", "));
        }
        term.push(bold(name));
    }
    if argument.get_action().takes_values() {
        if !term.is_empty() {
            term.push(roman(" "));
        }
        term.push(italic(value));
        term.push(roman(dots));
    }
    term
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `check` with each command that has a page of this kind, and its words.
    fn each(command: &Command, words: &str, check: &mut impl FnMut(&Command, &str)) {
        check(command, words);
        let with_pages = |below: &&Command| !["help", "jigdo-file"].contains(&below.get_name());
        for below in command.get_subcommands().filter(with_pages) {
            each(below, format!("{words} {}", below.get_name()).trim(), check);
        }
    }

    #[test]
    fn every_command_and_option_is_on_its_page() {
        let mut root = crate::cli::command();
        root.build();
        let (mut commands, mut options) = (0, 0);
        each(&root, "", &mut |command, words| {
            let page = CommandPage { root: &root, command, words: words.to_owned() }.render().source();
            let text = page.replace("\\-", "-");
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let name = argument.get_long().map_or_else(
                    || format!("\\fI{}\\fR", argument.get_value_names().unwrap()[0]),
                    |long| format!("\\fB--{long}\\fR"),
                );
                assert!(text.contains(&name), "{words}: {name}");
                options += 1;
            }
            for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
                let name = page_name(format!("{words} {}", below.get_name()).trim());
                assert!(text.contains(&format!(".TP\n\\fB{name}\\fR(1)\n")), "{words}: {name}");
            }
            commands += 1;
        });
        assert!(commands >= 14 && options > 100, "{commands} commands, {options} options");
    }

    #[test]
    fn exit_codes_are_read_from_the_help() {
        let codes = exit_codes("0 all are there; 1 some, or\n2 others, are not; 130 it was interrupted.");
        let codes: Vec<_> = codes.iter().map(|(code, text)| (code.as_str(), text.as_str())).collect();
        let some = "Some, or\n2 others, are not.";
        assert_eq!(codes, [("0", "All are there."), ("1", some), ("130", "It was interrupted.")]);
        let commas = exit_codes("0 success, 1 more files are needed, 3 failure.");
        assert_eq!(commas[1], ("1".to_owned(), "More files are needed.".to_owned()));
    }

    #[test]
    fn long_examples_are_broken_before_options() {
        let line = format!("jigpress {} --mirror A=B --into c", "x".repeat(50));
        assert_eq!(broken(&line), format!("jigpress {} \\\n    --mirror A=B --into c", "x".repeat(50)));
        assert_eq!(broken("jigpress publish a.yaml --quiet"), "jigpress publish a.yaml --quiet");
        let line = format!("jigpress {} --server 'A=http://a/ --try-last' --sign \"x \\\" --y\" --z", "x".repeat(50));
        let lines = ["jigpress", "    --server 'A=http://a/ --try-last' --sign \"x \\\" --y\" --z"];
        assert_eq!(broken(&line), format!("{} {} \\\n{}", lines[0], "x".repeat(50), lines[1]));
    }

    /// What a shell makes of a command line, up to a redirection or a pipe: its words.
    fn words(line: &str) -> Vec<String> {
        let command = line.split([' ', '\n']).take_while(|word| !["|", ">"].contains(word));
        let length = command.map(|word| word.len() + 1).sum::<usize>() - 1;
        let script = format!("jigpress() {{ printf '%s\\0' \"$@\"; }}\n{}", &line[..length]);
        let ran = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(ran.status.success() && ran.stderr.is_empty(), "{line}: {ran:?}");
        let words = String::from_utf8(ran.stdout).unwrap();
        words.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn a_shell_splits_every_example_as_printed_into_the_arguments_meant() {
        let mut root = crate::cli::command();
        root.build();
        let mut count = 0;
        each(&root, "", &mut |command, name| {
            let page = CommandPage { root: &root, command, words: name.to_owned() }.render().source();
            let printed = printed(&page);
            for (_, line) in notes::of(name).unwrap().examples {
                let broken = broken(line);
                assert_eq!(words(&broken), words(line), "{broken}");
                if let Some(printed) = &printed {
                    let indented: Vec<String> = broken.lines().map(str::to_owned).collect();
                    let is_there = printed.windows(indented.len()).any(|lines| {
                        lines.iter().zip(&indented).all(|(printed, meant)| printed.trim() == meant.trim())
                    });
                    assert!(is_there, "{name}: {broken}\n{}", printed.join("\n"));
                }
                count += 1;
            }
        });
        assert!(count >= 25, "{count}");
    }

    /// The lines of a page as a terminal shows them; `None` without a program for that.
    fn printed(source: &str) -> Option<Vec<String>> {
        use std::io::Write as _;
        use std::process::Stdio;
        let mut command = std::process::Command::new("groff");
        command.args(["-man", "-T", "utf8"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut groff = command.spawn().ok()?;
        groff.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
        let printed = String::from_utf8(groff.wait_with_output().unwrap().stdout).unwrap();
        Some(printed.lines().map(str::to_owned).collect())
    }
}
