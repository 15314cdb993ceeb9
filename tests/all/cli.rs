//! What people see on the command line, held by snapshots in `tests/cli`, so that a change of wording shows in review.
//! After an intended change, `INSTA_UPDATE=always cargo test --test all cli::` updates them.

use std::fs;
use std::path::Path;

use crate::common::release::{Place, Ran};
use crate::common::{files, repository};

/// Compares a text with the snapshot of this name.
fn assert_snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../cli");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Commands one after the other in one directory, and all that they print.
struct Session {
    place: Place,
    text: String,
}

impl Session {
    fn new() -> Self {
        Self { place: Place::new(), text: String::new() }
    }

    /// A session where the demo release can be published as in the repository.
    fn with_demo() -> Self {
        let session = Self::new();
        for below in ["pipelines", "testdata/demo"] {
            session.copy(&repository().join(below), below);
        }
        session
    }

    /// Copies a directory into the session's.
    fn copy(&self, from: &Path, to: &str) {
        for file in files(from) {
            let path = Path::new(to).join(file.strip_prefix(from).unwrap());
            self.place.write(path.to_str().unwrap(), &fs::read(&file).unwrap());
        }
    }

    fn ran(&self, arguments: &[&str]) -> Ran {
        let mut command = self.place.command(arguments);
        // Help shows what the variable is set to. Lines are as long on every terminal.
        command.env_remove("JIGPRESS_INDEX").env("XDG_CACHE_HOME", ".cache").env("COLUMNS", "100").env("NO_COLOR", "1");
        Ran::of(&mut command)
    }

    /// Runs `jigpress` with these arguments, which are separated by spaces.
    fn run(&mut self, arguments: &str) -> &mut Self {
        let ran = self.ran(&arguments.split_whitespace().collect::<Vec<_>>());
        self.text += &format!("$ jigpress {arguments}\n{}", self.redacted(&ran.out));
        if !ran.err.is_empty() {
            self.text += &format!("[standard error]\n{}", self.redacted(&in_order(&ran.err)));
        }
        if ran.code != Some(0) {
            self.text += &format!("[exit code {}]\n", ran.code.unwrap());
        }
        self.text += "\n";
        self
    }

    fn redacted(&self, text: &str) -> String {
        without_seconds(&text.replace(self.place.path("").to_str().unwrap(), "[PLACE]/"))
    }

    fn assert(&self, name: &str) {
        assert_snapshot(name, &self.text);
    }
}

/// Log lines with the same time in all of them. Neighbouring notes are sorted, because images are done in any order.
fn in_order(text: &str) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(without_time).collect();
    let is_note = |line: &String| line.starts_with("[TIME] INFO ");
    lines.chunk_by_mut(|one, next| is_note(one) && is_note(next)).for_each(<[String]>::sort);
    lines.concat()
}

/// The line with `[TIME]` for the time with which it begins, if it begins with one.
fn without_time(line: &str) -> String {
    const PATTERN: &str = "0000-00-00T00:00:00.000Z";
    let is_like = |(byte, pattern): (u8, u8)| if pattern == b'0' { byte.is_ascii_digit() } else { byte == pattern };
    match line.split_at_checked(PATTERN.len()) {
        Some((time, rest)) if time.bytes().zip(PATTERN.bytes()).all(is_like) => format!("[TIME]{rest}"),
        _ => line.to_owned(),
    }
}

/// The text with the same seconds whatever the machine: they alone have one digit after the point, in a column of
/// their own or before the letter s.
fn without_seconds(text: &str) -> String {
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let is_seconds = |at: usize| {
            let is_column = line.contains("  ") && words.get(at + 1).is_none_or(|next| next.is_empty());
            let is_number = words[at].split_once('.').is_some_and(|(whole, tenths)| {
                tenths.len() == 1 && (whole.to_owned() + tenths).bytes().all(|byte| byte.is_ascii_digit())
            });
            is_number && (is_column || words.get(at + 1) == Some(&"s"))
        };
        let shown = |at: usize| match words[at].len() {
            width if is_seconds(at) => format!("{:>width$}", "N.N"),
            _ => words[at].to_owned(),
        };
        (0..words.len()).map(shown).collect::<Vec<_>>().join(" ")
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Every command with its own commands, as the help lists them.
fn commands(session: &Session, command: &str) -> Vec<String> {
    let help = session.ran(&command.split_whitespace().chain(["--help"]).collect::<Vec<_>>()).with(0).out;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Where the description goes on, lines are indented further.
    let names = listed.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    let names = names.map(|rest| rest.split(' ').next().unwrap()).filter(|&name| name != "help");
    let below = names.flat_map(|name| commands(session, format!("{command} {name}").trim_start()));
    std::iter::once(command.to_owned()).chain(below).collect()
}

#[test]
fn every_command_has_help() {
    let mut session = Session::new();
    let commands = commands(&session, "");
    assert!(commands.len() > 10 && commands.contains(&"servers set".to_owned()), "{commands:?}");
    for command in commands {
        session.run(format!("{command} --help").trim_start());
    }
    session.assert("help");
}

#[test]
fn the_demo_is_published_once() {
    Session::with_demo()
        .run("publish pipelines/demo.yaml --jobs 1 --dry-run")
        .run("publish pipelines/demo.yaml --jobs 1")
        .run("publish pipelines/demo.yaml --jobs 1")
        .run("publish pipelines/demo.yaml --jobs 1 --quiet --only image=*.udf")
        .run("publish pipelines/demo.yaml --servers-only")
        .assert("publish");
}

#[test]
fn sets_of_other_tools_are_inspected() {
    let mut session = Session::new();
    session.copy(&repository().join("testdata/vectors"), "sets");
    session
        .run("inspect sets/libjte-v2.template")
        .run("inspect sets/jigdo-file-v1-gzip.jigdo")
        .run("inspect sets/jigdo-file-v2-gzip.template --format json")
        .run("inspect sets/jigdo-file-v2-gzip.jigdo --format json")
        .assert("inspect");
}

#[test]
fn servers_are_shown_and_changed() {
    Session::with_demo()
        .run("publish pipelines/demo.yaml --quiet")
        .run("servers show target/demo")
        .run("servers set target/demo --server Debian=https://mirror.example/debian/ --dry-run")
        .run("servers set target/demo --server Debian=https://mirror.example/debian/")
        .run("servers set target/demo --server Debian=https://mirror.example/debian/")
        .run("servers show target/demo --format json")
        .run("servers set target/demo --server mirror.example")
        .run("servers set target/demo --mode remove --label Debian")
        .assert("servers");
}

const MIRRORS: &str = "--mirror Debian=testdata/demo/debian --mirror Extras=testdata/demo/extras";

#[test]
fn images_are_assembled_and_verified() {
    let mut session = Session::with_demo();
    session
        .run("publish pipelines/demo.yaml --quiet")
        .run(&format!("assemble --all target/demo {MIRRORS} --into images --jobs 1"))
        .run(&format!("assemble --all target/demo {MIRRORS} --into images --jobs 1"))
        .run("verify images/amd64/jigdo-cd/demo-amd64-netinst.iso target/demo/amd64/jigdo-cd/demo-amd64-netinst.template")
        .run(&format!("verify target/demo/amd64/jigdo-cd/demo-amd64-netinst.jigdo {MIRRORS}"))
        .run("verify --sums target/demo");
    let image = session.place.path("images/amd64/jigdo-cd/demo-amd64-netinst.iso");
    let mut bytes = fs::read(&image).unwrap();
    bytes[100_000] ^= 1;
    fs::write(&image, bytes).unwrap();
    fs::write(session.place.path("target/demo/amd64/jigdo-dvd/demo-amd64-DVD-1.template"), "x").unwrap();
    session
        .run("verify images/amd64/jigdo-cd/demo-amd64-netinst.iso target/demo/amd64/jigdo-cd/demo-amd64-netinst.template")
        .run("verify target/demo/amd64/jigdo-cd/demo-amd64-netinst.jigdo --mirror Debian=testdata/demo/extras")
        .run("verify --sums target/demo")
        .run("assemble --all target/demo --mirror Debian=testdata/demo/debian --into others --jobs 1")
        .assert("assemble");
}

#[test]
fn snapshots_are_made_and_pruned() {
    let mut session = Session::with_demo();
    session
        .run("publish pipelines/demo.yaml --quiet")
        .run(&format!("snapshot --from target/demo {MIRRORS} --into kept --link copy --jobs 1"))
        .run(&format!("snapshot --from target/demo {MIRRORS} --into kept --link copy --jobs 1"));
    session.place.write("kept/pool/old.deb", b"old");
    session
        .run(&format!(
            "snapshot --from target/demo {MIRRORS} --into kept --link copy --jobs 1 --prune --max-prune 50 --adopt"
        ))
        .run("snapshot --from target/demo --mirror Debian=testdata/demo/debian --into less --link copy --jobs 1")
        .assert("snapshot");
}

const MISTAKES: &str = "\
release: r
mirrors:
  Debian: {path: missing, servers: [ftp:], incluce: [pool/**]}
defaults: {checksum: md4, level: 11}
images:
  - {path: two.iso, mirrors: [Debian]}
";

/// What can only be said of a manifest whose form is right.
const WRONG_NAMES: &str = "\
release: r
mirrors:
  Debian: {path: missing, servers: ['https://deb.debian.example/']}
images:
  - {path: '{arhc}/*.iso', matrix: {arch: [amd64]}, output: out}
  - {path: two.iso, mirrors: [Debain], output: out}
";

#[test]
fn mistakes_are_named_with_their_remedies() {
    let mut session = Session::with_demo();
    session.place.write("mistakes.yaml", MISTAKES.as_bytes());
    session.place.write("names.yaml", WRONG_NAMES.as_bytes());
    session.place.write("no.jigdo", b"[Jigdo]\nVersion=9\n");
    session
        .run("publish")
        .run("publish missing.yaml")
        .run("publish mistakes.yaml")
        .run("publish names.yaml")
        .run("publish pipelines/demo.yaml --only arch=amd46")
        .run("publish pipelines/demo.yaml --jbos 2")
        .run("publish pipelines/demo.yaml --jobs 0")
        .run("publsh pipelines/demo.yaml")
        .run("assemble no.jigdo --into out")
        .run("assemble missing.jigdo --mirror Debian=missing --into out")
        .run("assemble no.jigdo --mirror Debian --into out")
        .run("verify no.jigdo")
        .run("verify missing.iso missing.template")
        .run("verify --sums missing")
        .run("inspect missing.template")
        .run("inspect mistakes.yaml")
        .run("index missing")
        .run("servers show missing")
        .run("servers set no.jigdo")
        .run("snapshot --from missing --mirror Debian=missing --into kept")
        .run("completions elvish-2")
        .assert("mistakes");
}

#[test]
fn the_stand_in_for_jigdo_file_says_how_it_is_used() {
    Session::new()
        .run("jigdo-file")
        .run("jigdo-file --version")
        .run("jigdo-file --nonsense")
        .run("jigdo-file make-image")
        .run("jigdo-file md5sum missing")
        .run("jigdo-file list-template --template=missing")
        .assert("jigdo-file");
}

#[test]
fn what_was_done_is_done_even_if_it_cannot_be_printed() {
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let place = Place::new();
    place.write("m/a", &testing::noise(1, 3000));
    place.write("i/x.iso", &testing::noise(1, 3000));
    let manifest = "release: r\nmirrors: {D: {path: m, servers: ['http://d/']}}\nimages: [{path: 'i/*', output: o}]\n";
    place.write("r.yaml", manifest.as_bytes());
    for (arguments, code) in [(&["publish", "r.yaml"][..], 1), (&["servers", "show", "o"], 3), (&["schema"], 3)] {
        let output = place.command(arguments).stdout(full()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("standard output cannot be written"), "{said}");
    }
    assert!(place.path("o/x.jigdo").exists());
}
