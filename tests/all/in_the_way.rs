//! What others put where the program reads and writes: links, pipes, devices, directories and files of their own. None of
//! it is lost, and none of it makes a run wait for ever.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testing::noise;

use crate::common::release::{Place, Ran};
use crate::common::run;

const RELEASE: &str = "\
release: r
mirrors: {M: {path: mirror, servers: ['http://m.example/']}}
defaults: {sums: [sha256]}
images: [{path: 'img/*.iso', output: out}]
";

/// A release with one image, that is published.
fn published() -> Place {
    let place = Place::new();
    place.write("mirror/a.deb", &noise(1, 20_000));
    place.write("img/one.iso", &[noise(2, 300), noise(1, 20_000)].concat());
    place.write("release.yaml", RELEASE.as_bytes());
    place.publish(&[]).with(0);
    place
}

/// Another image, so that the next run has something to do.
fn change(place: &Place, seed: u64) {
    place.write("img/one.iso", &[noise(seed, 300), noise(1, 20_000)].concat());
}

fn pipe(path: &Path) {
    let _ = fs::remove_file(path);
    run(Command::new("mkfifo").arg(path));
}

/// A run that must come to its end.
#[track_caller]
fn ends(place: &Place, arguments: &[&str]) -> Ran {
    let mut child = place.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            panic!("{arguments:?} never ends");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

const SET_SERVERS: [&str; 5] = ["servers", "set", "out", "--server", "M=http://new.example/"];
const SNAPSHOT: [&str; 7] = ["snapshot", "--from", "out", "--mirror", "M=mirror", "--into", "snap"];

/// The commands that publish into `out`.
fn commands() -> [Vec<&'static str>; 4] {
    let publish = vec!["publish", "release.yaml"];
    let with_dry_run = |arguments: &[&'static str]| [arguments, &["--dry-run"]].concat();
    [with_dry_run(&publish), with_dry_run(&SET_SERVERS), publish, SET_SERVERS.to_vec()]
}

#[test]
fn a_staging_directory_that_is_a_link_or_no_directory_is_refused_and_nothing_is_lost() {
    let place = published();
    place.write("victim/precious", b"precious");
    place.write("victim/deep/precious", b"precious");
    change(&place, 3);
    for (command, staging) in
        commands().iter().map(|command| (command, "out/.jigpress")).chain([(&SNAPSHOT.to_vec(), "snap/.jigpress")])
    {
        let staging = place.path(staging);
        fs::create_dir_all(staging.parent().unwrap()).unwrap();
        symlink("../victim", &staging).unwrap();
        let ran = ends(&place, command).with(3);
        assert!(ran.err.contains(".jigpress") && !ran.err.contains("permissions"), "{}", ran.err);
        assert_eq!(fs::read(place.path("victim/precious")).unwrap(), b"precious");
        assert_eq!(fs::read(place.path("victim/deep/precious")).unwrap(), b"precious");
        assert_eq!(fs::read_dir(place.path("victim")).unwrap().count(), 2);
        fs::remove_file(&staging).unwrap();
        pipe(&staging);
        ends(&place, command).with(3);
        fs::remove_file(&staging).unwrap();
    }
    place.publish(&[]).with(0);
    assert!(!place.path("out/.jigpress").exists());
}

#[test]
fn files_that_others_put_into_a_staging_directory_stay() {
    let place = published();
    let staging = |directory: &str, name: &str| place.path(directory).join(".jigpress").join(name);
    let foreign = ["mine", "other.jigdo", "directory/mine"];
    for directory in ["out", "snap"] {
        foreign.iter().for_each(|name| drop(place.write(&format!("{directory}/.jigpress/{name}"), b"mine")));
        symlink("../../victim", staging(directory, "link")).unwrap();
    }
    place.write("victim/precious", b"precious");
    change(&place, 3);
    // What a killed run left is on the list.
    place.write("out/.jigpress/gone.template", b"of a killed run");
    place.write("out/.jigpress/staged", b"gone.template\ndirectory\n../one.jigdo\n/etc/passwd\nlink/precious\nlin");
    place.publish(&[]).with(0);
    place.run(&SET_SERVERS).with(0);
    place.run(&SNAPSHOT).with(0);
    for directory in ["out", "snap"] {
        for name in foreign {
            assert_eq!(fs::read(staging(directory, name)).unwrap(), b"mine", "{directory} {name}");
        }
        assert!(staging(directory, "link/precious").exists());
    }
    assert!(place.path("out/one.jigdo").exists());
    assert_eq!(fs::read_dir(place.path("out/.jigpress")).unwrap().count(), 4);
}

#[test]
fn sums_files_that_are_no_files_or_have_no_end_are_refused_at_once() {
    let place = published();
    change(&place, 3);
    let sums = place.path("out/MD5SUMS");
    let put: [&dyn Fn(); 4] =
        [&|| pipe(&sums), &|| symlink("/dev/zero", &sums).unwrap(), &|| fs::create_dir(&sums).unwrap(), &|| {
            fs::File::create(&sums).unwrap().set_len((64 << 20) + 1).unwrap();
        }];
    for put in put {
        put();
        // A dry run of publish reads none.
        for command in &commands()[1..] {
            let ran = ends(&place, command).with(3);
            assert!(ran.err.contains("MD5SUMS: it is") && ran.err.contains("move it away"), "{}", ran.err);
            assert!(!ran.err.contains("permissions"), "{}", ran.err);
            // The next command is not to meet what this one left.
            let _ = fs::remove_dir_all(place.path("out/.jigpress"));
        }
        let _ = fs::remove_file(&sums).or_else(|_| fs::remove_dir(&sums));
    }
    place.publish(&[]).with(0);
}

#[test]
fn no_run_waits_for_a_pipe_or_reads_a_device_where_its_files_should_be() {
    let place = published();
    change(&place, 3);
    let list = place.path("out/.jigpress/commit");
    fs::create_dir(place.path("out/.jigpress")).unwrap();
    for _ in 0..2 {
        if list.symlink_metadata().is_ok() {
            fs::remove_file(&list).unwrap();
            symlink("/dev/zero", &list).unwrap();
        } else {
            pipe(&list);
        }
        for command in &commands()[2..] {
            let ran = ends(&place, command).with(3);
            assert!(ran.err.contains(".jigpress/commit: it is") && ran.err.contains("move it away"), "{}", ran.err);
        }
    }
    fs::remove_dir_all(place.path("out/.jigpress")).unwrap();
    for name in ["out/one.jigdo", "out/one.template"] {
        let kept = fs::read(place.path(name)).unwrap();
        pipe(&place.path(name));
        let ran = ends(&place, &["publish", "release.yaml"]).with(3);
        assert!(ran.err.contains("a named pipe"), "{}", ran.err);
        let _ = fs::remove_dir_all(place.path("out/.jigpress"));
        fs::remove_file(place.path(name)).unwrap();
        fs::write(place.path(name), kept).unwrap();
    }
    pipe(&place.path("pipe"));
    let ran = ends(&place, &["assemble", "out/one.jigdo", "--into", "made", "--from", "pipe", "--mirror", "M=mirror"])
        .with(2);
    assert!(ran.err.contains("--from pipe: it is not a regular file, but a named pipe"), "{}", ran.err);
    for report in [
        &["publish", "release.yaml", "--report", "pipe"][..],
        &["assemble", "out/one.jigdo", "--into", "made", "--missing", "pipe"],
    ] {
        let ran = ends(&place, report).with(3);
        assert!(ran.err.contains("waiting for a reader") && ran.err.contains("nobody reads this pipe"), "{}", ran.err);
    }
    place.write("including.jigdo", b"[Include pipe]\n");
    ends(&place, &["verify", "including.jigdo"]);
    ends(&place, &["assemble", "including.jigdo", "--into", "made", "--mirror", "M=mirror"]);
}

#[test]
fn what_is_wrong_with_an_output_directory_is_said_once_with_a_remedy_that_helps() {
    let place = published();
    place.write("img/two.iso", &noise(5, 3000));
    change(&place, 3);
    fs::create_dir(place.path("out/MD5SUMS")).unwrap();
    let ran = place.publish(&["--quiet"]).with(3);
    assert_eq!(ran.err.matches("MD5SUMS").count(), 1, "{}", ran.err);
    place.write("file", b"");
    let ran = place.run(&["snapshot", "--from", "out", "--mirror", "M=mirror", "--into", "file"]).with(3);
    assert!(ran.err.contains("move it away") && !ran.err.contains("permissions"), "{}", ran.err);
}

#[test]
fn a_dry_run_of_servers_set_is_a_patch_of_jigdo_and_sums_files() {
    let place = published();
    symlink("one.jigdo", place.path("out/link.jigdo")).unwrap();
    for named in ["out", "out/link.jigdo"] {
        let patch = place.run(&["servers", "set", named, "--server", "M=http://new.example/", "--dry-run"]).with(0).out;
        assert!(patch.contains("--- out/one.jigdo\n") && patch.contains("--- out/SHA256SUMS\n"), "{patch}");
    }
}

#[test]
fn the_report_has_every_warning_and_the_generator_even_of_a_run_that_fails() {
    let place = published();
    symlink("nowhere", place.path("mirror/link")).unwrap();
    for level in ["info", "off"] {
        let ran = Ran::of(place.command(&["publish", "release.yaml", "--format", "json"]).env("JIGPRESS_LOG", level));
        let report = ran.with(0).json();
        let warnings = report["warnings"].as_array().unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].as_str().unwrap().contains("left out: 1 symbolic link"), "{warnings:?}");
    }
    place.write("release.yaml", b"release: [\n");
    let report = place.publish(&["--format", "json"]).with(2).json();
    assert!(report["generator"].as_str().unwrap().starts_with("jigpress/"), "{report}");
}
