//! What manual pages and `--help` say of the commands beside their options: examples, and what else they read and write.

use clap::Command;

/// The index, wherever a command has `--index`.
pub const INDEX_FILE: (&str, &str) = (
    "~/.cache/jigpress/index.sqlite",
    "The index, unless `--index`, `JIGPRESS_INDEX` or `XDG_CACHE_HOME` says otherwise. Losing it costs time, never \
     correctness.",
);

/// The notes on a command.
pub struct Notes {
    /// The command, by its words; empty for the program itself.
    pub command: &'static str,
    /// The forms of its command line, if it has several.
    pub usage: &'static [&'static str],
    /// Each with what it does, as a sentence without a full stop.
    pub examples: &'static [(&'static str, &'static str)],
    pub files: &'static [(&'static str, &'static str)],
    /// Beside those of its options.
    pub environment: &'static [(&'static str, &'static str)],
    /// Other pages: their names and sections. All pages name jigpress(1).
    pub see_also: &'static [(&'static str, &'static str)],
}

const SUMS: (&str, &str) = (
    "MD5SUMS, SHA1SUMS, SHA256SUMS, SHA512SUMS",
    "The sums of the files beside them. Lines of other files stay as they are.",
);
const STAGING: (&str, &str) = (
    ".jigpress",
    "In an output directory: new files, until all of them replace the old ones together. Safe to delete if no run is \
     active and it has no file `commit`; with one, run the command again.",
);
const PARTS: (&str, &str) = ("LABEL=DIR", "The mirror trees that `--mirror` names. They are only read.");

pub const ALL: &[Notes] = &[
    Notes {
        command: "",
        usage: &[],
        examples: &[
            ("Publish a release", "jigpress publish release.yaml"),
            ("Rebuild an image", "jigpress assemble disc.jigdo --mirror Debian=/srv/mirror/debian --into images"),
            ("Check that the servers have every part", "jigpress servers check /srv/cdimage"),
        ],
        files: &[
            INDEX_FILE,
            (
                "NAME.jigdo, NAME.template",
                "A jigdo set. The template holds what only the image has; the jigdo file says where the parts can be \
                 downloaded.",
            ),
        ],
        environment: &[
            ("COLUMNS", "How wide help is printed, if that is not on a terminal."),
            ("NO_COLOR", "If set, help is printed without colours."),
            ("TERM", "If `dumb`, empty or unset, progress is shown in lines, not in bars."),
        ],
        see_also: &[("jigpress.yaml", "5"), ("jigdo-file", "1"), ("jigdo-lite", "1"), ("jigdo-mirror", "1")],
    },
    Notes {
        command: "publish",
        usage: &[],
        examples: &[
            ("Publish a release; the next run does only what changed", "jigpress publish weekly.yaml"),
            ("See what would be done", "jigpress publish weekly.yaml --dry-run"),
            ("Publish one architecture, as a job of CI does", "jigpress publish weekly.yaml --only arch=arm64"),
            (
                "From cron: print warnings and errors alone, and keep a report",
                "jigpress publish weekly.yaml --quiet --report /var/log/jigpress/weekly.json",
            ),
            (
                "Sign the SUMS files that changed",
                "jigpress publish weekly.yaml --sign-command 'gpg --batch --yes -abo \"$1.sign\" \"$1\"'",
            ),
            (
                "Change the servers of published sets to those of the manifest",
                "jigpress publish weekly.yaml --servers-only",
            ),
        ],
        files: &[
            ("MANIFEST", "A release manifest: see jigpress.yaml(5)."),
            ("NAME.jigdo, NAME.template", "The set of an image, in the output directory that the manifest names."),
            SUMS,
            STAGING,
        ],
        environment: &[("any", "Manifests may use variables of the environment, as in `${MIRROR:-/srv/mirror}`.")],
        see_also: &[("jigpress.yaml", "5"), ("jigpress-index", "1"), ("jigpress-verify", "1")],
    },
    Notes {
        command: "assemble",
        usage: &[
            "jigpress assemble [OPTIONS] --into <DIR> <SET.jigdo>...",
            "jigpress assemble [OPTIONS] --into <DIR> --all <DIR>",
        ],
        examples: &[
            ("Rebuild an image", "jigpress assemble disc.jigdo --mirror Debian=/srv/mirror/debian --into images"),
            (
                "Rebuild the images of a whole tree of sets, but for the sources",
                "jigpress assemble --all /srv/cdimage --exclude '*/source/*' --mirror Debian=/srv/mirror/debian --into /srv/images",
            ),
            (
                "Take what the mirror no longer has from an old image, and list what is missing all the same",
                "jigpress assemble disc.jigdo --mirror Debian=/srv/mirror/debian --from old.iso --into images --missing missing.txt",
            ),
        ],
        files: &[
            ("SET.jigdo", "A jigdo file; its template is beside it, or where it says."),
            PARTS,
            ("IMAGE.tmp", "A half-assembled image, in jigdo's own format. It is always resumed."),
            (".IMAGE.jigpress", "An image that a run is working on."),
        ],
        environment: &[],
        see_also: &[("jigpress-verify", "1"), ("jigpress-snapshot", "1"), ("jigdo-mirror", "1")],
    },
    Notes {
        command: "verify",
        usage: &[
            "jigpress verify [OPTIONS] <IMAGE> <TEMPLATE|SET.jigdo>",
            "jigpress verify [OPTIONS] [--mirror <LABEL=DIR>]... <SET.jigdo>...",
            "jigpress verify [OPTIONS] --sums <DIR>...",
        ],
        examples: &[
            ("Compare an image with its set", "jigpress verify disc.iso disc.jigdo"),
            (
                "Check sets, and that a mirror has their parts",
                "jigpress verify disc-1.jigdo disc-2.jigdo --mirror Debian=/srv/mirror/debian",
            ),
            ("Check all files that SUMS files list", "jigpress verify --sums /srv/cdimage"),
        ],
        files: &[
            ("IMAGE, TEMPLATE, SET.jigdo", "What is checked. Nothing is written."),
            ("MD5SUMS, SHA1SUMS, SHA256SUMS, SHA512SUMS", "The sums of the files beside them. They are only read."),
            PARTS,
        ],
        environment: &[],
        see_also: &[("jigpress-assemble", "1"), ("jigpress-servers-check", "1"), ("sha256sum", "1")],
    },
    Notes {
        command: "index",
        usage: &[],
        examples: &[
            ("List the mirrors of a release, and read the beginnings of new files", "jigpress index weekly.yaml"),
            ("Read every file in full now", "jigpress index weekly.yaml --read-all"),
            ("Index a tree without a manifest", "jigpress index /srv/mirror/debian"),
        ],
        files: &[("MANIFEST", "A release manifest: see jigpress.yaml(5).")],
        environment: &[("any", "Manifests may use variables of the environment.")],
        see_also: &[("jigpress-publish", "1"), ("jigpress.yaml", "5")],
    },
    Notes {
        command: "inspect",
        usage: &[],
        examples: &[
            ("Show the areas of an image", "jigpress inspect disc.template"),
            ("Show the parts and servers of a set as JSON", "jigpress inspect disc.jigdo --format json"),
        ],
        files: &[("FILE", "A template or a jigdo file, whoever wrote it. Nothing is written.")],
        environment: &[],
        see_also: &[("jigpress-servers-show", "1"), ("jigpress-jigdo-file", "1")],
    },
    Notes {
        command: "servers",
        usage: &[],
        examples: &[
            ("List the servers in published sets", "jigpress servers show /srv/cdimage"),
            ("Check that they have every part", "jigpress servers check /srv/cdimage"),
        ],
        files: &[("SET.jigdo", "Published jigdo files, plain or compressed.")],
        environment: &[],
        see_also: &[],
    },
    Notes {
        command: "servers show",
        usage: &[],
        examples: &[(
            "List the labels of all sets in a tree, with their servers",
            "jigpress servers show /srv/cdimage",
        )],
        files: &[("SET.jigdo", "Published jigdo files, plain or compressed. They are only read.")],
        environment: &[],
        see_also: &[("jigpress-servers-set", "1"), ("jigpress-servers-check", "1")],
    },
    Notes {
        command: "servers set",
        usage: &[],
        examples: &[
            (
                "See what would change, as a patch",
                "jigpress servers set /srv/cdimage --server Debian=https://archive.debian.org/debian/ --dry-run",
            ),
            ("Take the servers of a manifest", "jigpress servers set /srv/cdimage --from weekly.yaml"),
            (
                "Add a server of last resort after those that are there",
                "jigpress servers set /srv/cdimage --mode append --server 'Debian=https://snapshot.debian.org/archive/debian/20250111T000000Z/ --try-last'",
            ),
        ],
        files: &[
            ("SET.jigdo", "Published jigdo files. Every byte outside their `[Servers]` sections stays the same."),
            SUMS,
            STAGING,
        ],
        environment: &[],
        see_also: &[("jigpress-servers-show", "1"), ("jigpress-servers-check", "1"), ("jigpress-publish", "1")],
    },
    Notes {
        command: "servers check",
        usage: &[],
        examples: &[
            ("Ask every server for every part", "jigpress servers check /srv/cdimage"),
            (
                "Ask a new server for a few parts of each set",
                "jigpress servers check /srv/cdimage --server Debian=https://mirror.example.org/debian/ --sample 20",
            ),
            (
                "Order the servers by what they have and how fast they are",
                "jigpress servers check disc.jigdo --suggest",
            ),
        ],
        files: &[("SET.jigdo", "Published jigdo files, with their templates beside them. They are only read.")],
        environment: &[],
        see_also: &[("jigpress-servers-show", "1"), ("jigpress-servers-set", "1")],
    },
    Notes {
        command: "snapshot",
        usage: &[],
        examples: &[
            (
                "Keep the parts of all published sets",
                "jigpress snapshot --from /srv/cdimage --mirror Debian=/srv/mirror/debian --into /srv/snapshot",
            ),
            (
                "Also remove what no set needs any more",
                "jigpress snapshot --from /srv/cdimage --mirror Debian=/srv/mirror/debian --into /srv/snapshot --prune",
            ),
            (
                "A tree for each label, of copies",
                "jigpress snapshot --from /srv/cdimage --mirror Debian=/srv/debian --mirror Extras=/srv/extras --into '/srv/snapshot/{label}' --link copy",
            ),
        ],
        files: &[
            PARTS,
            ("JIGDO", "Jigdo files, or trees of them. They are only read."),
            ("--into DIR", "The snapshot: each part at the path that its jigdo file names."),
        ],
        environment: &[],
        see_also: &[("jigpress-assemble", "1"), ("jigpress-servers-check", "1"), ("mkjigsnap", "1")],
    },
    Notes {
        command: "schema",
        usage: &[],
        examples: &[("Keep the schema where an editor finds it", "jigpress schema > jigpress.schema.json")],
        files: &[(
            "release.yaml",
            "A manifest names the schema in its first line: `# yaml-language-server: $schema=jigpress.schema.json`",
        )],
        environment: &[],
        see_also: &[("jigpress.yaml", "5")],
    },
    Notes {
        command: "completions",
        usage: &[],
        examples: &[
            ("For bash", "jigpress completions bash > /usr/share/bash-completion/completions/jigpress"),
            ("For zsh", "jigpress completions zsh > /usr/local/share/zsh/site-functions/_jigpress"),
            ("For fish", "jigpress completions fish > /usr/share/fish/vendor_completions.d/jigpress.fish"),
        ],
        files: &[(
            "/usr/share/bash-completion/completions",
            "Where bash looks for completions; see the examples for other shells.",
        )],
        environment: &[],
        see_also: &[("bash", "1")],
    },
    Notes {
        command: "man",
        usage: &[],
        examples: &[
            ("Read the page of a command", "jigpress man servers set | man -l -"),
            ("Install all pages", "jigpress man --into /usr/local/share/man"),
        ],
        files: &[("DIR/man1/*.1, DIR/man5/*.5", "What `--into` writes.")],
        environment: &[],
        see_also: &[("man", "1")],
    },
];

/// The notes on a command; none on what only clap knows, such as `help`.
pub fn of(command: &str) -> Option<&'static Notes> {
    ALL.iter().find(|notes| notes.command == command)
}

/// The command line, with the notes in its help.
pub fn add_to_help(command: Command) -> Command {
    add_below(command, "")
}

fn add_below(command: Command, words: &str) -> Command {
    let command = command.mut_subcommands(|below| {
        let words = format!("{words} {}", below.get_name());
        add_below(below, words.trim_start())
    });
    match of(words) {
        Some(notes) => notes.add_to(command),
        None => command,
    }
}

impl Notes {
    fn add_to(&'static self, command: Command) -> Command {
        let example = |(what, line): &(&str, &str)| format!("  {what}:\n    {line}\n");
        let examples: String = self.examples.iter().map(example).collect();
        let command = command.after_long_help(format!("Examples:\n{}", examples.trim_end()));
        match self.usage.is_empty() {
            true => command,
            // Below each other, after `Usage: `.
            false => command.override_usage(self.usage.join("\n       ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command line as a shell splits it, up to a redirection or a pipe.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut is_quoted = false;
        for c in line.chars() {
            match c {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        words.into_iter().take_while(|word| word != ">" && word != "|").collect()
    }

    #[test]
    fn every_command_has_notes_and_every_note_has_a_command() {
        fn collect(command: &Command, name: &str, names: &mut Vec<String>) {
            names.push(name.to_owned());
            for below in command.get_subcommands().filter(|command| command.get_name() != "jigdo-file") {
                collect(below, format!("{name} {}", below.get_name()).trim(), names);
            }
        }
        let mut names = Vec::new();
        collect(&super::super::super::command(), "", &mut names);
        let mut noted: Vec<_> = ALL.iter().map(|notes| notes.command.to_owned()).collect();
        names.sort();
        noted.sort();
        assert_eq!(names, noted);
    }

    #[test]
    fn the_examples_are_command_lines_that_are_understood() {
        for (_, line) in ALL.iter().flat_map(|notes| notes.examples) {
            let parsed = super::super::super::command().try_get_matches_from(words(line));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    /// The source of a command, which shows what it can exit with.
    fn source(command: &str) -> &'static str {
        match command {
            "publish" => include_str!("../publish.rs"),
            "assemble" => include_str!("../assemble.rs"),
            "verify" => include_str!("../verify.rs"),
            "servers" | "servers show" | "servers set" => include_str!("../servers.rs"),
            "servers check" => include_str!("../check.rs"),
            "snapshot" => include_str!("../snapshot.rs"),
            _ => "",
        }
    }

    #[test]
    fn every_exit_code_in_the_code_is_on_the_page_of_its_command() {
        let root = super::super::super::command();
        for notes in ALL {
            let command =
                notes.command.split_whitespace().fold(&root, |command, word| command.find_subcommand(word).unwrap());
            let page = super::super::command::CommandPage { root: &root, command, words: notes.command.to_owned() };
            let codes: Vec<String> = page.exit_codes().into_iter().map(|(code, _)| code).collect();
            let expected =
                ["0", "2", "3"].into_iter().chain(source(notes.command).contains("SOME_FAILED").then_some("1"));
            for code in expected {
                assert!(codes.iter().any(|known| known == code), "{}: {code} is not among {codes:?}", notes.command);
            }
        }
        // The program's page has all codes of the program.
        let codes =
            include_str!("../mod.rs").lines().filter_map(|line| line.split_once(": u8 = ")?.1.strip_suffix(';'));
        let codes: Vec<&str> = codes.collect();
        assert!(codes.len() >= 3, "{codes:?}");
        let page = super::super::command::CommandPage { root: &root, command: &root, words: String::new() };
        for code in codes {
            assert!(page.exit_codes().iter().any(|(known, _)| known == code), "{code}");
        }
    }

    #[test]
    fn examples_are_of_their_command() {
        for notes in ALL {
            assert!(!notes.examples.is_empty(), "{}", notes.command);
            for (what, line) in notes.examples {
                assert!(line.starts_with(format!("jigpress {}", notes.command).trim_end()), "{line}");
                assert!(!what.ends_with('.') && what.starts_with(char::is_uppercase), "{what}");
            }
        }
    }
}
