//! Reports and lists of what is missing: whatever way a run ends, no file says what an earlier run said.

use std::fs;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::common::release::{Mount, Place, Ran};
use serde_json::Value;
use testing::noise;

const RELEASE: &str = "\
release: r
mirrors: {A: {path: a, servers: ['https://a.example/']}}
images: [{path: 'img/*.iso', output: out}]
";

/// A release of two images, and the report of a run that went well.
fn place() -> Place {
    let place = Place::new();
    for (number, name) in ["one", "two"].into_iter().enumerate() {
        let part = noise(number as u64, 20_000);
        place.write(&format!("a/{name}.deb"), &part);
        place.write(&format!("img/{name}.iso"), &[noise(9, 300), part].concat());
    }
    place.write("release.yaml", RELEASE.as_bytes());
    place.publish(&["--report", "report.json"]).with(0);
    place
}

fn report(place: &Place) -> Value {
    serde_json::from_slice(&fs::read(place.path("report.json")).unwrap()).unwrap()
}

/// Whether this is a time of RFC 3339, in UTC.
fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 24 && text.ends_with('Z') && text.as_bytes()[10] == b'T'
}

#[track_caller]
fn assert_says(report: &Value, exit_code: i32, error: &str) {
    assert_eq!(report["exit_code"], exit_code, "{report}");
    assert!(is_time(&report["started"]) && is_time(&report["ended"]), "{report}");
    assert!(report["started"].as_str() <= report["ended"].as_str());
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(report["manifests"][0], "release.yaml");
    let errors: Vec<_> = report["errors"].as_array().unwrap().iter().map(|error| error.as_str().unwrap()).collect();
    match error {
        "" => assert!(errors.is_empty(), "{errors:?}"),
        error => assert!(errors.iter().any(|found| found.contains(error)), "{errors:?}"),
    }
}

#[test]
fn a_report_says_when_the_run_was_and_how_it_ended() {
    let place = place();
    assert_says(&report(&place), 0, "");
    assert_eq!(report(&place)["images"][1]["outcome"], "published");
    let printed = place.publish(&["--format", "json"]).with(0).json();
    assert_says(&printed, 0, "");
    assert_eq!(printed["signal"], Value::Null);
}

#[test]
fn a_run_that_fails_replaces_the_report_of_the_one_before() {
    let wrong: &[(&str, &str, i32)] = &[
        ("mirrors: {A: {path: a}}\n", "release.yaml", 2),
        (
            "release: r\nmirrors: {A: {path: nowhere}}\nimages: [{path: 'img/*.iso', output: out}]\n",
            "does not exist",
            2,
        ),
        ("\tnot: yaml\n", "release.yaml:1", 2),
    ];
    for (manifest, error, code) in wrong {
        let place = place();
        place.write("release.yaml", manifest.as_bytes());
        let ran = place.publish(&["--report", "report.json", "--format", "json"]).with(*code);
        assert_says(&report(&place), *code, error);
        assert_says(&ran.json(), *code, error);
    }
    let place = place();
    fs::remove_file(place.path("release.yaml")).unwrap();
    place.publish(&["--report", "report.json"]).with(2);
    assert_says(&report(&place), 2, "cannot be read");
    let printed = place.publish(&["--format", "json"]).with(2).json();
    assert_says(&printed, 2, "cannot be read");
}

#[test]
fn a_wrong_command_line_replaces_the_report_of_the_run_before() {
    for wrong in ["--onyl=arch=amd64", "--jobs=none", "--only=nothing"] {
        let place = place();
        let ran = place.publish(&["--report", "report.json", wrong]).with(2);
        let report = report(&place);
        assert!(report["exit_code"] == 2 && is_time(&report["ended"]), "{report}");
        assert!(!report["errors"][0].as_str().unwrap().is_empty(), "{report}{}", ran.err);
    }
    let place = place();
    let mut command = place.command(&["publish", "release.yaml", "--report=report.json"]);
    Ran::of(command.env("JIGPRESS_LOG", "loud")).with(2);
    assert_eq!(report(&place)["exit_code"], 2);
    fs::write(place.path("missing"), "").unwrap();
    place.run(&["assemble", "--missing", "missing"]).with(2);
    assert!(fs::read_to_string(place.path("missing")).unwrap().starts_with("# not complete"));
    // What only looks like it is left alone.
    place.write("report.json", b"mine");
    place.run(&["verify", "--report", "report.json"]).with(2);
    assert_eq!(fs::read_to_string(place.path("report.json")).unwrap(), "mine");
}

#[test]
fn an_index_or_an_output_directory_that_cannot_be_used_is_in_the_report() {
    let place = place();
    let ran = place.publish(&["--report", "report.json", "--index", "/dev/null/index"]).with(3);
    assert_says(&report(&place), 3, "/dev/null/index");
    assert!(report(&place)["errors"].as_array().unwrap().len() == 1, "{}", ran.err);
    fs::remove_dir_all(place.path("out")).unwrap();
    place.write("out", b"a file");
    place.publish(&["--report", "report.json"]).with(2);
    assert_says(&report(&place), 2, "is not a directory");
}

#[test]
fn a_full_disk_is_in_the_report() {
    let place = place();
    let out = place.path("full");
    let Some(_mount) = Mount::new(&out, "size=16k") else { return };
    fs::write(out.join("filler"), noise(1, 12 << 10)).unwrap();
    place.write("release.yaml", RELEASE.replace("output: out", "output: full").as_bytes());
    place.publish(&["--report", "report.json"]).with(3);
    assert_says(&report(&place), 3, "No space left");
    assert_eq!(report(&place)["images"][0]["outcome"], "failed");
}

#[test]
fn a_run_whose_output_nobody_reads_writes_its_report() {
    let place = place();
    let mut command = place.command(&["publish", "release.yaml", "--report", "report.json", "--format", "json"]);
    let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(run.stdout.take());
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert_says(&report(&place), 0, "");
    assert_eq!(report(&place)["images"][0]["outcome"], "unchanged");
}

#[test]
fn results_that_cannot_be_printed_are_an_error_in_the_report() {
    let place = place();
    let mut command = place.command(&["publish", "release.yaml", "--report", "report.json"]);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let code = command.stdout(full).stderr(Stdio::null()).status().unwrap().code();
    assert_eq!(code, Some(1));
    assert_says(&report(&place), 1, "No space left");
}

/// Starts `publish` with images that are long enough for it to be interrupted. The first set is published at once.
fn begin_a_long_run(place: &Place) -> Child {
    let part = noise(5, 20_000);
    place.write("a/five.deb", &part);
    let long = place.path("img/long.iso");
    let file = fs::File::create(&long).unwrap();
    let mut block = noise(6, 1 << 20);
    for number in 0..400 {
        block[0] = number as u8;
        std::os::unix::fs::FileExt::write_all_at(&file, &block, number << 20).unwrap();
    }
    let manifest = "images:\n  - {path: 'img/{which}.iso', output: '{which}', matrix: {which: [one, long]}}\n";
    let manifest = RELEASE.lines().take(2).map(|line| format!("{line}\n")).collect::<String>() + manifest;
    place.write("release.yaml", manifest.as_bytes());
    let arguments = ["publish", "release.yaml", "--report", "report.json", "--jobs", "2"];
    let mut run = place.command(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    let is_published = || place.path("one/one.jigdo").exists() && !place.path("one/.jigpress").exists();
    while !is_published() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(run.try_wait().unwrap().is_none(), "the run is too short to be interrupted");
    run
}

fn signal(run: &Child, name: &str) {
    let pid = run.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
}

#[test]
fn a_signal_ends_a_run_with_a_report_of_what_was_done() {
    for (name, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        let place = place();
        let mut run = begin_a_long_run(&place);
        let running = report(&place);
        assert_eq!((&running["exit_code"], &running["ended"]), (&Value::Null, &Value::Null));
        signal(&run, name);
        let status = run.wait().unwrap();
        assert_eq!(status.signal(), Some(number), "{status}");
        let mut err = String::new();
        run.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        let line = format!("interrupted by SIG{name}; the next run goes on from here");
        assert_eq!(err.matches("interrupted").count(), 1, "{err}");
        assert!(err.lines().last().unwrap().ends_with(&line), "{err}");
        let report = report(&place);
        assert_says(&report, 128 + number, &line);
        assert_eq!(report["signal"], format!("SIG{name}"));
        let outcomes: Vec<_> = (0..2).map(|image| report["images"][image]["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, ["published", "unfinished"]);
        assert!(report["images"][0]["parts"] == 1 && report["mirror"]["files"] == 3);
        assert!(!place.path("report.json.new").exists() && !place.path("long/long.jigdo").exists());
        // The next run finishes.
        place.publish(&["--report", "report.json", "--only", "which=one"]).with(0);
    }
}

#[test]
fn signals_that_were_ignored_at_the_start_stay_ignored() {
    let place = place();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' TERM; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_jigpress")]);
    command.args(["publish", "release.yaml", "--report", "report.json", "--index", "index.sqlite"]);
    let mut run = command.current_dir(place.path("")).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(20));
    signal(&run, "TERM");
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert_says(&report(&place), 0, "");
}

#[test]
fn a_list_of_missing_parts_of_a_run_that_fails_is_not_that_of_an_earlier_one() {
    let place = place();
    let old = || fs::write(place.path("missing"), "").unwrap();
    let said = || fs::read_to_string(place.path("missing")).unwrap();
    let runs: &[&[&str]] = &[
        &["assemble", "out/one.jigdo", "--into", "made", "--mirror", "A=a", "--mirror", "A=nowhere"],
        &["assemble", "--all", "nowhere", "--into", "made", "--mirror", "A=a"],
        &["snapshot", "--from", "nowhere", "--into", "kept", "--mirror", "A=a"],
        &["snapshot", "--from", "out", "--into", "kept", "--mirror", "A=a", "--index", "/dev/null/index"],
        &["snapshot", "--from", "out", "--into", "kept", "--mirror", "A=a", "--mirror", "A=a"],
    ];
    for run in runs {
        old();
        let ran: Ran = place.run(&[run, &["--missing", "missing"][..]].concat());
        assert!(ran.code != Some(0), "{run:?}");
        assert_eq!(said(), "# not complete: the run failed\n", "{run:?}: {}", ran.err);
    }
    old();
    place.run(&["snapshot", "--from", "out", "--into", "kept", "--mirror", "A=a", "--missing", "missing"]).with(0);
    assert_eq!(said(), "");
    // A list is read before it is written anew.
    let again = ["snapshot", "--from", "out", "--into", "kept", "--mirror", "A=a", "--missing", "missing"];
    place.run(&[&again[..], &["--ignore", "missing"]].concat()).with(0);
}
