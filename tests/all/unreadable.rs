//! Trees of which a part cannot be read, or in which something has only the name of a jigdo file: the rest is worked on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::common::release::{Closed, Place, Ran, sum};
use crate::snapshot::{ALL, names, part, place as snapshot_place};
use jigdo::Algorithm;
use testing::noise;

/// A published set in `sets`, its mirror, a directory for the index, and `sets/lost+found`, which can be closed.
fn place() -> Place {
    let place = Place::new();
    place.write("mirror/pool/1.deb", &noise(1, 30_000));
    place.write("images/one.iso", &[noise(2, 3000), noise(1, 30_000)].concat());
    let manifest = "release: r\nmirrors: {Debian: {path: mirror, servers: ['file:../mirror/']}}\n\
                    images: [{path: images/*.iso, output: sets, name: '{stem}'}]\n";
    place.write("release.yaml", manifest.as_bytes());
    place.publish(&["--quiet"]).with(0);
    fs::remove_file(place.path("index.sqlite")).unwrap();
    fs::create_dir(place.path("sets/lost+found")).unwrap();
    for open in ["snap", "out"] {
        fs::create_dir(place.path(open)).unwrap();
        fs::set_permissions(place.path(open), fs::Permissions::from_mode(0o777)).unwrap();
    }
    place
}

/// Fails unless the run says once that this cannot be read, as a warning, and ends with exit code 1.
#[track_caller]
fn assert_warned(ran: Ran, path: &str) -> Ran {
    let ran = ran.with(1);
    let lines: Vec<&str> = ran.err.lines().filter(|line| line.contains(path)).collect();
    assert!(lines.len() == 1 && lines[0].contains("Permission denied"), "{}", ran.err);
    ran
}

#[test]
fn a_directory_that_cannot_be_read_does_not_hide_the_rest_of_a_tree() {
    let place = place();
    let _closed = Closed::new(place.path("sets/lost+found"));
    let run = |arguments: &[&str]| Some(assert_warned(place.run_unprivileged(arguments)?, "sets/lost+found"));
    let Some(ran) = run(&["servers", "show", "sets"]) else { return };
    assert!(
        ran.out.contains("1 file") && ran.err.contains("WARN  jigpress: sets/lost+found"),
        "{}\n{}",
        ran.out,
        ran.err
    );
    let json = run(&["servers", "show", "sets", "--format", "json"]).unwrap().json();
    assert!(json["unreadable"][0].as_str().unwrap().starts_with("sets/lost+found: "), "{json}");
    let ran = run(&["servers", "check", "sets"]).unwrap();
    assert!(ran.out.contains("1 set, 1 part\n"), "{}", ran.out);
    let ran = run(&["verify", "sets", "--mirror", "Debian=mirror"]).unwrap();
    assert!(ran.out.contains("one.jigdo: right, 1 part"), "{}", ran.out);
    let ran = run(&["verify", "--sums", "sets"]).unwrap();
    assert!(ran.out.contains("SHA256SUMS: right"), "{}", ran.out);
    let ran =
        run(&["snapshot", "--mirror", "Debian=mirror", "--from", "sets", "--into", "snap", "--link", "copy"]).unwrap();
    assert!(ran.out.contains("1 copied"), "{}", ran.out);
    let ran = run(&["assemble", "--all", "sets", "--into", "out", "--mirror", "Debian=mirror"]).unwrap();
    assert!(ran.out.contains("1 assembled"), "{}", ran.out);
}

#[test]
fn servers_are_set_in_what_can_be_read() {
    let place = place();
    let _closed = Closed::new(place.path("sets/lost+found"));
    fs::set_permissions(place.path("sets"), fs::Permissions::from_mode(0o777)).unwrap();
    let open = |name: &str| fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o666)).unwrap();
    ["sets/one.jigdo", "sets/SHA256SUMS"].iter().for_each(|name| open(name));
    // Another user cannot give new files to the old ones' owner, so only look.
    let arguments = ["servers", "set", "sets", "--server", "Debian=http://new/", "--dry-run"];
    let Some(ran) = place.run_unprivileged(&arguments) else { return };
    let ran = assert_warned(ran, "sets/lost+found");
    assert!(ran.out.contains("+Debian=http://new/"), "{}", ran.out);
}

#[test]
fn a_tree_that_cannot_be_read_at_all_is_an_error_of_that_tree() {
    let place = place();
    fs::create_dir(place.path("shut")).unwrap();
    let _closed = Closed::new(place.path("shut"));
    let Some(ran) = place.run_unprivileged(&["servers", "show", "shut", "sets"]) else { return };
    assert!(assert_warned(ran, "shut: ").out.contains("1 file"));
    let ran = place.run_unprivileged(&["verify", "--sums", "shut", "--sums", "sets"]).unwrap();
    assert!(assert_warned(ran, "shut: ").out.contains("right"));
    let ran = place.run_unprivileged(&["servers", "show", "shut"]).unwrap().with(2);
    assert!(ran.err.contains("shut: Permission denied"), "{}", ran.err);
    let ran = place.run_unprivileged(&["verify", "--sums", "shut"]).unwrap().with(3);
    assert!(ran.err.contains("shut: Permission denied"), "{}", ran.err);
}

#[test]
fn a_sums_file_that_cannot_be_read_does_not_hide_the_others() {
    let place = Place::new();
    let text = format!("{}  a\n", sum(Algorithm::Md5, b"a"));
    for directory in ["d", "e", "f"] {
        place.write(&format!("{directory}/a"), b"a");
        place.write(&format!("{directory}/MD5SUMS"), text.as_bytes());
    }
    fs::remove_file(place.path("e/MD5SUMS")).unwrap();
    std::os::unix::fs::symlink("nowhere", place.path("e/MD5SUMS")).unwrap();
    fs::remove_file(place.path("f/MD5SUMS")).unwrap();
    if !std::process::Command::new("mkfifo").arg(place.path("f/MD5SUMS")).status().is_ok_and(|made| made.success()) {
        return;
    }
    let ran = place.run(&["verify", "--sums", "."]).with(1);
    assert!(ran.out.contains("./d/MD5SUMS: right, 1 file"), "{}", ran.out);
    assert!(ran.err.contains("./e/MD5SUMS: No such file") && ran.err.contains("./f/MD5SUMS: it is not"), "{}", ran.err);
    let json = place.run(&["verify", "--sums", ".", "--format", "json"]).with(1).json();
    assert_eq!((&json["is_right"], json["unreadable"].as_array().unwrap().len()), (&false.into(), 2));
}

#[test]
fn a_mirror_of_which_a_part_cannot_be_read_serves_the_rest() {
    let place = snapshot_place();
    fs::create_dir(place.path("snap")).unwrap();
    let _closed = Closed::new(place.path("mirror/pool/2"));
    let arguments = ["snapshot", "--mirror", "Debian=mirror", "--into", "snap", "--from", "sets", "--link", "copy"];
    for check in [&[][..], &["--no-check"]] {
        let Some(ran) = place.run_unprivileged(&[&arguments[..], check].concat()) else { return };
        let ran = ran.with(1);
        assert!(
            ran.err.contains("pool/2/part2.deb is missing: ") && ran.err.contains("Permission denied"),
            "{}",
            ran.err
        );
        assert_eq!(names(&place), [&ALL[..1], &ALL[2..]].concat());
    }
}

#[test]
fn a_directory_of_a_snapshot_that_cannot_be_read_or_written_keeps_only_its_own_files_out() {
    let place = snapshot_place();
    fs::create_dir_all(place.path("snap/pool/2")).unwrap();
    fs::set_permissions(place.path("snap/pool"), fs::Permissions::from_mode(0o777)).unwrap();
    let arguments = ["snapshot", "--mirror", "Debian=mirror", "--into", "snap", "--from", "sets", "--link", "copy"];
    let only_others = |mode| {
        fs::set_permissions(place.path("snap/pool/2"), fs::Permissions::from_mode(mode)).unwrap();
        let ran = place.run_unprivileged(&[&arguments[..], &["--prune"]].concat())?;
        fs::set_permissions(place.path("snap/pool/2"), fs::Permissions::from_mode(0o755)).unwrap();
        let ran = ran.with(1);
        assert!(
            ran.err.contains("pool/2/part2.deb is missing: ") && ran.err.contains("Permission denied"),
            "{}",
            ran.err
        );
        assert_eq!(names(&place), [&ALL[..1], &ALL[2..]].concat());
        Some(())
    };
    if only_others(0o555).is_some() {
        only_others(0).unwrap();
    }
    assert_eq!(part(2).len(), 2200);
}

#[test]
fn a_file_that_has_only_the_name_of_a_jigdo_file_is_a_warning_in_every_tree() {
    let place = place();
    let page = "<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n";
    place.write("sets/sub/page.jigdo", page.as_bytes());
    let run = |arguments: &[&str]| {
        let ran = place.run(arguments).with(0);
        let lines: Vec<&str> = ran.err.lines().filter(|line| line.contains("page.jigdo")).collect();
        assert!(lines.len() == 1 && lines[0].contains("is no jigdo file"), "{arguments:?}: {}", ran.err);
        assert!(lines[0].contains(" WARN "), "{}", ran.err);
        ran
    };
    assert!(run(&["servers", "show", "sets"]).out.contains("1 file"));
    assert!(run(&["servers", "check", "sets", "--deep"]).out.contains("1 set, 1 part\n"));
    assert!(run(&["verify", "sets", "--mirror", "Debian=mirror"]).out.contains("one.jigdo: right"));
    assert!(
        run(&["snapshot", "--mirror", "Debian=mirror", "--from", "sets", "--into", "snap"]).out.contains("1 linked")
    );
    assert!(
        run(&["assemble", "--all", "sets", "--into", "out", "--mirror", "Debian=mirror"]).out.contains("1 assembled")
    );
    let set = ["servers", "set", "sets", "--server", "Debian=http://new/"];
    assert!(run(&set).out.contains("1 jigdo file changed, 0 unchanged"));
    let json = run(&["servers", "show", "sets", "--format", "json"]).json();
    assert_eq!((&json["left_out"][0], &json["errors"]), (&"sets/sub/page.jigdo".into(), &serde_json::json!([])));
    assert_eq!(fs::read_to_string(place.path("sets/sub/page.jigdo")).unwrap(), page);
    // One that is named is not left out.
    place.run(&["servers", "show", "sets/sub/page.jigdo"]).with(1);
    place.run(&["verify", "sets/sub/page.jigdo"]).with(1);
    place.run(&["servers", "show", "sets/sub"]).with(2);
}

#[test]
fn jigdo_files_that_are_only_there_to_be_included_are_no_sets_of_a_tree() {
    let place = place();
    place.write("sets/servers.jigdo", b"[Servers]\nDebian=file:../mirror/\n");
    assert!(!place.run(&["verify", "sets"]).with(0).out.contains("servers.jigdo"));
    assert!(place.run(&["verify", "sets/servers.jigdo"]).with(1).out.contains("no [Image] section"));
    assert!(place.run(&["verify", "sets", "sets/servers.jigdo"]).with(1).out.contains("no [Image] section"));
}
