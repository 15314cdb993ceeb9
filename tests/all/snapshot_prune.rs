//! What `snapshot --prune` removes: only what snapshot put there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use crate::common::release::{Place, Ran, contents};
use crate::snapshot::{ALL, jigdo, names, part, place, snapshot};
use jigdo::Checksum;

const RECORD: &str = "snap/.jigpress/snapshot";

/// A snapshot whose fourth file no set needs any more.
fn with_unneeded() -> Place {
    let place = place();
    snapshot(&place, &[]).with(0);
    fs::remove_file(place.path("sets/two.jigdo")).unwrap();
    place
}

fn prune(place: &Place, arguments: &[&str]) -> Ran {
    snapshot(place, &[&["--prune", "--max-prune", "100"], arguments].concat())
}

#[test]
fn what_no_set_needs_is_listed_and_removed_within_bounds() {
    let place = with_unneeded();
    let before = contents(&place.path("snap"));
    let ran = snapshot(&place, &["--prune"]).with(1);
    assert!(ran.err.contains("1 of the snapshot's 4 files") && ran.err.contains("25.0 %"), "{}", ran.err);
    assert!(ran.err.contains("allows 10 %"), "{}", ran.err);
    assert_eq!(contents(&place.path("snap")), before);
    let ran = snapshot(&place, &["--prune", "--max-prune", "25", "--dry-run"]).with(0);
    assert!(ran.out.contains("snap/pool/4/part4.deb\n"), "{}", ran.out);
    assert_eq!(contents(&place.path("snap")), before);
    let ran = snapshot(&place, &["--prune", "--max-prune", "25%"]).with(0);
    assert!(ran.out.contains("needed by no set: ") && ran.out.contains("1 removed"), "{}", ran.out);
    assert_eq!(names(&place), ALL[..3]);
    assert!(!place.path("snap/pool/4").exists());
    assert!(!fs::read_to_string(place.path(RECORD)).unwrap().contains("part4"));
    assert_eq!(prune(&place, &[]).with(0).out, "1 set needs 3 files: 3 there already\n");
}

#[test]
fn files_of_others_stay_and_do_not_count() {
    let place = with_unneeded();
    for number in 0..50 {
        place.write(&format!("snap/mine/{number}"), b"mine");
    }
    place.write("snap/README", b"mine");
    symlink("README", place.path("snap/link")).unwrap();
    // They make the share of what goes no smaller.
    let ran = snapshot(&place, &["--prune"]).with(1);
    assert!(ran.err.contains("1 of the snapshot's 4 files"), "{}", ran.err);
    let ran = prune(&place, &[]).with(0);
    assert!(ran.out.contains("1 removed") && ran.err.contains("README and 51 more"), "{}\n{}", ran.out, ran.err);
    assert!(ran.err.contains("--keep GLOB") && ran.err.contains("--adopt"), "{}", ran.err);
    assert_eq!(fs::read_dir(place.path("snap/mine")).unwrap().count(), 50);
    assert!(place.path("snap/README").exists() && place.path("snap/link").exists());
    let ran = prune(&place, &["--keep", "mine", "--keep", "README", "--keep", "link"]).with(0);
    assert!(!ran.err.contains("--adopt"), "{}", ran.err);
    let json = prune(&place, &["--format", "json", "--keep", "mine/"]).with(0).json();
    assert_eq!(json["foreign"].as_array().unwrap().len(), 2);
}

#[test]
fn parts_of_a_label_that_is_not_given_this_time_are_needed() {
    let place = with_unneeded();
    place.write("other/x.deb", &part(8));
    let parts = [("Other:x.deb", part(8)), ("Debian:pool/1/part1.deb", part(1))];
    place.write("sets/three.jigdo", jigdo(Checksum::Md5, &parts).as_bytes());
    snapshot(&place, &["--mirror", "Other=other"]).with(0);
    assert!(prune(&place, &[]).with(0).out.contains("1 removed"));
    assert_eq!(names(&place), [&ALL[..3], &["x.deb"]].concat());
}

#[test]
fn a_file_of_a_set_that_is_replaced_by_someone_is_theirs() {
    let place = with_unneeded();
    fs::remove_file(place.path("snap/pool/4/part4.deb")).unwrap();
    place.write_aged("snap/pool/4/part4.deb", &part(4), 86_400);
    let ran = prune(&place, &[]).with(0);
    assert!(!ran.out.contains("removed") && ran.err.contains("part4.deb"), "{}", ran.err);
    assert!(place.path("snap/pool/4/part4.deb").exists());
}

#[test]
fn what_was_there_before_is_removed_only_once_it_is_adopted() {
    let place = place();
    // As an older version made it, with a file that no set needs.
    for path in ALL {
        place.write(&format!("snap/{path}"), &fs::read(place.path("mirror").join(path)).unwrap());
    }
    place.write("snap/old/part", b"old");
    place.write("snap/doc/deep/README", b"mine");
    fs::remove_file(place.path("sets/two.jigdo")).unwrap();
    let ran = prune(&place, &[]).with(0);
    assert!(ran.out.ends_with("3 there already\n") && ran.err.contains("--adopt"), "{}\n{}", ran.out, ran.err);
    assert_eq!(names(&place).len(), 6);
    let dry = prune(&place, &["--adopt", "--keep", "**/README", "--dry-run"]).with(0);
    assert!(dry.out.contains("snap/old/part\n") && !dry.out.contains("README"), "{}", dry.out);
    assert_eq!(names(&place).len(), 6);
    // All that was adopted counts.
    let ran = snapshot(&place, &["--prune", "--adopt", "--keep", "doc"]).with(1);
    assert!(ran.err.contains("2 of the snapshot's 5 files"), "{}", ran.err);
    let ran = prune(&place, &["--keep", "doc/**"]).with(0);
    assert!(ran.out.contains("2 removed"), "{}", ran.out);
    assert_eq!(names(&place), [&["doc/deep/README"], &ALL[..3]].concat());
    assert!(!place.path("snap/old").exists());
}

#[test]
fn links_to_directories_are_not_followed_and_not_removed() {
    let place = with_unneeded();
    for (directory, link) in [("pool/4", "four"), ("pool/3", "three")] {
        fs::rename(place.path(&format!("snap/{directory}")), place.path(link)).unwrap();
        symlink(format!("../../{link}"), place.path(&format!("snap/{directory}"))).unwrap();
    }
    let ran = prune(&place, &[]).with(0);
    assert!(!ran.out.contains("removed"), "{}", ran.out);
    assert_eq!(fs::read(place.path("snap/pool/3/part3.deb")).unwrap(), part(3));
    assert_eq!(fs::read(place.path("snap/pool/4/part4.deb")).unwrap(), part(4));
    // Also a link to the whole pool, which is one file of five.
    fs::rename(place.path("snap/pool"), place.path("snap-pool")).unwrap();
    fs::remove_file(place.path("snap-pool/3")).unwrap();
    fs::rename(place.path("three"), place.path("snap-pool/3")).unwrap();
    symlink("../snap-pool", place.path("snap/pool")).unwrap();
    let ran = prune(&place, &["--adopt"]).with(0);
    assert!(ran.out.contains("3 there already") && !ran.out.contains("removed"), "{}", ran.out);
    assert!(!ran.err.contains("needed by no set"), "sets need what it leads to: {}", ran.err);
    assert!(place.path("snap/pool").is_symlink() && place.path("snap-pool/3/part3.deb").exists());
}

#[test]
fn a_list_that_others_wrote_gains_nothing() {
    let place = with_unneeded();
    place.write("mine", b"mine");
    place.write("snap/mine", b"mine");
    symlink("..", place.path("snap/up")).unwrap();
    let record = fs::read_to_string(place.path(RECORD)).unwrap();
    let mtime = fs::metadata(place.path("mine")).unwrap().modified().unwrap();
    let mtime = mtime.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let absolute = place.path("mine");
    let lines = ["../mine", "up/mine", "pool/../../mine", absolute.to_str().unwrap()];
    let lines: String = lines.iter().map(|path| format!("4 {mtime} {path}\n")).collect();
    place.write(RECORD, format!("{record}{lines}garbage\n5 {mtime} mine\n").as_bytes());
    let ran = prune(&place, &[]).with(0);
    assert!(ran.err.contains("4 lines cannot be read"), "{}", ran.err);
    assert!(ran.out.contains("1 removed"), "{}", ran.out);
    assert!(place.path("mine").exists() && place.path("snap/mine").exists());
    // What is no list at all is an error, and so is a directory for it that leads elsewhere.
    place.write(RECORD, b"<html>");
    assert!(prune(&place, &[]).with(3).err.contains("remove it"));
    fs::remove_dir_all(place.path("snap/.jigpress")).unwrap();
    fs::create_dir(place.path("away")).unwrap();
    symlink("../away", place.path("snap/.jigpress")).unwrap();
    assert!(prune(&place, &[]).with(3).err.contains("it is not a directory"));
    assert_eq!(fs::read_dir(place.path("away")).unwrap().count(), 0);
}

#[test]
fn nothing_is_removed_while_something_that_may_be_a_set_cannot_be_read() {
    let place = with_unneeded();
    for text in ["<html>not found</html>", "[Parts\n", "", "[Include gone.jigdo]\n"] {
        place.write("sets/two.jigdo", text.as_bytes());
        let ran = prune(&place, &[]).with(1);
        assert!(ran.err.contains("nothing was removed") && ran.err.contains("two.jigdo"), "{text}: {}", ran.err);
        assert_eq!(names(&place), ALL);
    }
}

#[test]
fn a_run_that_was_killed_at_any_moment_knows_its_files() {
    let place = Place::new();
    let numbers = 0..400u64;
    let parts: Vec<_> =
        numbers.clone().map(|number| (format!("Debian:pool/{}/{number}", number % 50), number)).collect();
    for (location, number) in &parts {
        place.write(&location.replace("Debian:", "mirror/"), &number.to_le_bytes());
    }
    let text = |parts: &[(String, u64)]| {
        let parts: Vec<_> = parts.iter().map(|(path, number)| (path.as_str(), number.to_le_bytes().to_vec())).collect();
        jigdo(Checksum::Md5, &parts)
    };
    let all = ["--link", "copy", "--jobs", "2"];
    place.write("sets/all.jigdo", text(&parts).as_bytes());
    let start = Instant::now();
    snapshot(&place, &all).with(0);
    let duration = start.elapsed();
    for round in 0..12 {
        fs::remove_dir_all(place.path("snap")).unwrap();
        place.write("sets/all.jigdo", text(&parts).as_bytes());
        let arguments = ["snapshot", "--mirror", "Debian=mirror", "--into", "snap", "--from", "sets"];
        let mut command = place.command(&[&arguments[..], &all].concat());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(duration * round / 10);
        let _ = child.kill();
        child.wait().unwrap();
        // Of all that it put there, the next run removes what is not needed any more.
        place.write("sets/all.jigdo", text(&parts[..1]).as_bytes());
        let ran = prune(&place, &[]).with(0);
        assert_eq!(names(&place), [PathBuf::from("pool/0/0").to_str().unwrap()], "round {round}: {}", ran.err);
    }
}
