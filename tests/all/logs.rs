//! What goes to standard error where that is no terminal: lines with time and level, or JSON, and how much of it is said.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::Value;
use testing::noise;

use crate::common::release::{Place, Ran};

const RELEASE: &str = "\
release: r
mirrors:
  A: {path: a, servers: ['https://a.example/']}
images:
  - {path: 'img/*.iso', output: out}
";

/// A mirror, of which one file is left out with a warning, and an image.
fn place() -> Place {
    let place = Place::new();
    let part = noise(1, 5000);
    place.write("a/pool/part.deb", &part);
    fs::write(place.path("a").join(OsStr::from_bytes(b"bad\x01.deb")), "x").unwrap();
    place.write("img/one.iso", &[noise(2, 300), part].concat());
    place.write("release.yaml", RELEASE.as_bytes());
    place
}

fn publish(place: &Place, log: Option<&str>, arguments: &[&str]) -> Ran {
    let mut command = place.command(&[&["publish", "release.yaml"], arguments].concat());
    command.env_remove("JIGPRESS_LOG");
    if let Some(log) = log {
        command.env("JIGPRESS_LOG", log);
    }
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// The level, the target and the message of a log line, whose time is checked.
#[track_caller]
fn parts(line: &str) -> (&str, &str, &str) {
    let (time, rest) = line.split_at(24);
    let like = |pattern: char, found: char| if pattern == '0' { found.is_ascii_digit() } else { pattern == found };
    let is_time = "0000-00-00T00:00:00.000Z".chars().zip(time.chars()).all(|(pattern, found)| like(pattern, found));
    assert!(is_time, "{line:?}");
    let (level, rest) = rest[1..].split_at(5);
    let (target, message) = rest[1..].split_once(": ").unwrap();
    (level.trim_end(), target, message)
}

fn levels(ran: &Ran) -> Vec<&str> {
    ran.err.lines().map(|line| parts(line).0).collect()
}

#[test]
fn every_line_has_a_time_a_level_and_who_says_it() {
    let place = place();
    let ran = publish(&place, None, &[]).with(0);
    let lines: Vec<_> = ran.err.lines().map(parts).collect();
    let [("WARN", "jigpress", left_out), ("INFO", "jigpress", mirrors), ("INFO", "jigpress", image)] = lines[..] else {
        panic!("{lines:?}")
    };
    assert!(left_out.contains("1 name cannot be written in a jigdo file"), "{left_out}");
    assert!(mirrors.starts_with("mirrors: 1 file, "), "{mirrors}");
    assert!(image.contains("img/one.iso: ") && image.contains("1 part,"), "{image}");
    assert!(ran.out.starts_with("image"), "results are on standard output: {}", ran.out);
}

#[test]
fn errors_of_a_command_are_lines_of_the_log_and_those_of_manifests_begin_with_their_place() {
    let place = place();
    place.write("blocked", b"");
    let ran = publish(&place, None, &["--index", "blocked/index.sqlite"]).with(3);
    let (level, target, message) = parts(ran.err.lines().last().unwrap());
    assert_eq!((level, target), ("ERROR", "jigpress"));
    assert!(message.starts_with("index blocked/index.sqlite: cannot create its directory: "), "{message}");
    assert_eq!(message.matches("(os error ").count(), 1, "a cause is named once: {message}");

    place.write("release.yaml", RELEASE.replace("output: out", "output: out, levle: 3").as_bytes());
    let ran = publish(&place, None, &[]).with(2);
    assert!(ran.err.starts_with("release.yaml:5:"), "{}", ran.err);
}

#[test]
fn json_lines_are_objects_also_those_of_errors() {
    let place = place();
    let objects =
        |ran: &Ran| -> Vec<Value> { ran.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let ran = publish(&place, None, &["--log-format", "json", "-v"]).with(0);
    let lines = objects(&ran);
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["target"].is_string()), "{lines:?}");
    assert!(lines.iter().any(|line| line["level"] == "WARN"), "{lines:?}");
    let opened = lines.iter().find(|line| line["message"] == "index opened").expect("-v says which index is opened");
    assert!(opened["bytes"].as_u64().unwrap() > 0 && opened["level"] == "DEBUG", "{opened}");

    for (arguments, code, message) in [
        (&["publish", "nowhere.yaml", "--log-format=json"][..], 2, "nowhere.yaml"),
        (&["publish", "--log-format=json", "--no-such-option"], 2, "no-such-option"),
        (&["inspect", "nowhere.template", "--log-format", "json"], 3, "nowhere.template: No such file"),
    ] {
        let ran = place.run(arguments).with(code);
        let lines = objects(&ran);
        let said = |line: &Value| line["level"] == "ERROR" && line["message"].as_str().unwrap().contains(message);
        assert!(lines.iter().any(said), "{arguments:?}: {lines:?}");
    }
}

#[test]
fn more_is_said_the_more_is_asked_for() {
    let place = place();
    let default = publish(&place, None, &[]).with(0);
    assert!(levels(&default).iter().all(|level| ["INFO", "WARN"].contains(level)), "{}", default.err);
    let verbose = publish(&place, None, &["-v"]).with(0);
    assert!(levels(&verbose).contains(&"DEBUG") && !levels(&verbose).contains(&"TRACE"), "{}", verbose.err);
    assert!(
        verbose.err.contains("its inputs are unchanged") && verbose.err.contains("set=Published"),
        "{}",
        verbose.err
    );
    let same = publish(&place, Some("jigpress=debug"), &[]).with(0);
    assert_eq!(levels(&same).len(), levels(&verbose).len(), "{}", same.err);
    let one = publish(&place, Some("jigpress::mirror=debug"), &[]).with(0);
    let debug = one.err.lines().map(parts).filter(|(level, ..)| *level == "DEBUG");
    assert!(debug.map(|(_, target, _)| target).all(|target| target.starts_with("jigpress::mirror")), "{}", one.err);
    assert!(levels(&one).contains(&"DEBUG") && levels(&one).contains(&"INFO"), "{}", one.err);
}

#[test]
fn what_has_changed_is_named() {
    let place = place();
    publish(&place, None, &[]).with(0);
    place.write("release.yaml", RELEASE.replace("a.example", "b.example").as_bytes());
    let ran = publish(&place, None, &["-v"]).with(0);
    assert!(ran.err.contains("its inputs changed") && ran.err.contains("changed=manifest"), "{}", ran.err);
    place.write_aged("img/one.iso", &noise(9, 9000), 1800);
    let ran = publish(&place, None, &["-v"]).with(0);
    assert!(ran.err.contains("changed=image"), "{}", ran.err);
}

#[test]
fn warnings_are_said_with_quiet_and_nothing_if_the_log_is_off() {
    let place = place();
    let quiet = publish(&place, None, &["--quiet"]).with(0);
    assert_eq!((levels(&quiet), quiet.out.as_str()), (vec!["WARN"], ""));
    let off = publish(&place, Some("off"), &[]).with(0);
    assert_eq!(off.err, "");
    assert!(off.out.starts_with("image"), "{}", off.out);
    place.write("blocked", b"");
    let failed = publish(&place, Some("off"), &["--index", "blocked/index.sqlite"]).with(3);
    assert_eq!(levels(&failed), ["ERROR"], "why a run fails is said in any case");
}

#[test]
fn a_log_that_cannot_be_understood_is_a_usage_error_that_names_it() {
    let place = place();
    for wrong in ["loud", "jigpress=loud"] {
        let ran = publish(&place, Some(wrong), &[]).with(2);
        assert!(ran.err.contains(&format!("JIGPRESS_LOG={wrong}: ")), "{}", ran.err);
        assert!(!place.path("out").exists());
    }
}

#[test]
fn the_stand_in_for_jigdo_file_says_what_it_says_as_it_says_it() {
    let place = place();
    let mut command = place.command(&["jigdo-file", "verify", "--image=img/one.iso", "--template=nowhere.template"]);
    let output = command.env("JIGPRESS_LOG", "loud").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("jigdo-file: "), "{said}");
}
