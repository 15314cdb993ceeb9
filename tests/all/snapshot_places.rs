//! What may be in the place of a snapshot's file, or above it, and directories that a snapshot must not have.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};
use std::process::Command;

use crate::common::release::{Mount, Place, contents};
use crate::snapshot::{ALL, jigdo, names, part, place, snapshot};
use jigdo::Checksum;

const CHECKS: [&[&str]; 2] = [&[], &["--no-check"]];

/// The place of the first part in the snapshot, and the part in the mirror.
const FIRST: &str = "snap/pool/1/part1.deb";
const SOURCE: &str = "mirror/pool/1/part1.deb";

/// A complete snapshot, without its first part.
fn with_gap(check: &[&str]) -> Place {
    let place = place();
    snapshot(&place, check).with(0);
    fs::remove_file(place.path(FIRST)).unwrap();
    place
}

/// Fails unless the snapshot is complete, its first part a regular file.
#[track_caller]
fn assert_complete(place: &Place, what: &str) {
    assert_eq!(names(place), ALL, "{what}");
    assert!(fs::symlink_metadata(place.path(FIRST)).unwrap().is_file(), "{what}");
    assert_eq!(fs::read(place.path(FIRST)).unwrap(), part(1), "{what}");
}

#[test]
fn a_link_in_the_place_of_a_file_is_replaced_and_its_target_stays() {
    for check in CHECKS {
        for target in ["nowhere", "/etc/hostname", "../2/part2.deb", "../../..", "part1.deb", "../../../elsewhere"] {
            let place = with_gap(check);
            place.write("elsewhere", &part(1));
            symlink(target, place.path(FIRST)).unwrap();
            let dry = snapshot(&place, &[check, &["--dry-run"]].concat()).with(0);
            assert!(dry.out.contains("3 there already, 1 linked"), "{target}: {}", dry.out);
            let ran = snapshot(&place, check).with(0);
            assert_eq!(ran.out, "2 sets need 4 files: 3 there already, 1 linked\n", "{target}");
            assert_complete(&place, target);
            assert_eq!(fs::read(place.path("elsewhere")).unwrap(), part(1));
            assert_eq!(fs::read(place.path("snap/pool/2/part2.deb")).unwrap(), part(2));
        }
    }
}

#[test]
fn a_link_is_no_file_once_the_mirror_has_lost_it_unless_it_leads_to_the_part() {
    for check in CHECKS {
        for (content, code) in [(part(1), 0), (part(2)[..part(1).len()].to_vec(), 1)] {
            let place = with_gap(check);
            place.write("elsewhere", &content);
            symlink(place.path("elsewhere"), place.path(FIRST)).unwrap();
            fs::remove_file(place.path(SOURCE)).unwrap();
            let ran = snapshot(&place, check).with(code);
            if code == 0 {
                assert_complete(&place, &ran.out);
            } else {
                assert!(ran.err.contains("a symbolic link in its place, and the mirror has none"), "{}", ran.err);
                assert!(fs::symlink_metadata(place.path(FIRST)).unwrap().is_symlink());
            }
        }
    }
}

#[test]
fn a_directory_in_the_place_of_a_file_is_left_alone_and_the_part_is_missing() {
    for check in CHECKS {
        for inside in [None, Some("snap/pool/1/part1.deb/mine")] {
            let place = with_gap(check);
            fs::create_dir(place.path(FIRST)).unwrap();
            inside.map(|path| place.write(path, b"mine"));
            for dry in [&["--dry-run"][..], &[]] {
                let ran = snapshot(&place, &[check, dry].concat()).with(1);
                assert!(ran.err.contains("Debian:pool/1/part1.deb is missing: "), "{}", ran.err);
                assert!(ran.err.contains("part1.deb is a directory") && ran.out.contains("1 missing"), "{}", ran.err);
            }
            assert!(place.path(FIRST).is_dir() && inside.is_none_or(|path| place.path(path).is_file()));
        }
    }
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_replaced_and_never_waited_for() {
    for check in CHECKS {
        let place = with_gap(check);
        let made = Command::new("mkfifo").arg(place.path(FIRST)).status();
        if !made.is_ok_and(|made| made.success()) {
            eprintln!("skipped: pipes cannot be made here");
            return;
        }
        snapshot(&place, check).with(0);
        assert_complete(&place, "pipe");
        // A pipe in the mirror is no part, and one that a link leads to is not read.
        fs::remove_file(place.path(FIRST)).unwrap();
        fs::remove_file(place.path(SOURCE)).unwrap();
        assert!(Command::new("mkfifo").arg(place.path(SOURCE)).status().unwrap().success());
        symlink(place.path(SOURCE), place.path(FIRST)).unwrap();
        let ran = snapshot(&place, check).with(1);
        assert!(ran.err.contains("pool/1/part1.deb is missing"), "{}", ran.err);
        assert!(fs::metadata(place.path(SOURCE)).unwrap().file_type().is_fifo());
    }
}

#[test]
fn a_file_of_another_length_is_replaced_also_without_checking_sums() {
    for check in CHECKS {
        for wrong in [&b""[..], &part(1)[1..], &[part(1), b"x".to_vec()].concat()] {
            let place = with_gap(check);
            place.write(FIRST, wrong);
            snapshot(&place, check).with(0);
            assert_complete(&place, "wrong length");
            // If the mirror's is the wrong one, the snapshot's stays.
            place.write("mirror/wrong", wrong);
            fs::rename(place.path("mirror/wrong"), place.path(SOURCE)).unwrap();
            assert_eq!(snapshot(&place, check).with(0).out, "2 sets need 4 files: 4 there already\n");
            assert_complete(&place, "wrong in the mirror");
            // And if both are wrong, the part is missing.
            place.write("snap/wrong", b"neither");
            fs::rename(place.path("snap/wrong"), place.path(FIRST)).unwrap();
            let ran = snapshot(&place, check).with(1);
            assert!(ran.err.contains("pool/1/part1.deb is missing"), "{}", ran.err);
        }
        let place = with_gap(check);
        place.write(FIRST, b"");
        fs::remove_file(place.path(SOURCE)).unwrap();
        let ran = snapshot(&place, check).with(1);
        assert!(ran.err.contains("the snapshot has a wrong file, and the mirror has none"), "{}", ran.err);
    }
}

#[test]
fn the_template_says_how_long_a_part_is() {
    let place = Place::new();
    place.write("mirror/pool/1.deb", &part(1));
    place.write("images/one.iso", &[part(8), part(1)].concat());
    let manifest = "release: r\nmirrors: {Debian: {path: mirror, servers: ['http://x/']}}\n\
                    images: [{path: images/*.iso, output: sets}]\n";
    place.write("release.yaml", manifest.as_bytes());
    place.publish(&["--quiet"]).with(0);
    snapshot(&place, &["--no-check"]).with(0);
    for wrong in [&part(1)[1..], b""] {
        // The mirror has the same wrong file.
        for path in ["snap/pool/1.deb", "mirror/pool/1.deb"] {
            fs::remove_file(place.path(path)).unwrap();
            place.write(path, wrong);
        }
        let ran = snapshot(&place, &["--no-check"]).with(1);
        assert!(ran.err.contains("pool/1.deb is missing: the file there has another length"), "{}", ran.err);
        fs::remove_file(place.path("snap/pool/1.deb")).unwrap();
        snapshot(&place, &["--no-check"]).with(1);
        assert!(!place.path("snap/pool/1.deb").exists());
        place.write("snap/pool/1.deb", wrong);
    }
}

#[test]
fn directories_above_a_file_may_be_links_but_not_into_a_mirror() {
    for check in CHECKS {
        let place = place();
        snapshot(&place, check).with(0);
        fs::create_dir(place.path("disk")).unwrap();
        fs::rename(place.path("snap/pool"), place.path("disk/pool")).unwrap();
        symlink("../disk/pool", place.path("snap/pool")).unwrap();
        assert_eq!(snapshot(&place, check).with(0).out, "2 sets need 4 files: 4 there already\n");
        fs::remove_file(place.path("disk/pool/1/part1.deb")).unwrap();
        assert_eq!(snapshot(&place, check).with(0).out, "2 sets need 4 files: 3 there already, 1 linked\n");
        fs::remove_file(place.path("snap/pool")).unwrap();
        let before = contents(&place.path("mirror"));
        for target in ["../mirror/pool", "../mirror"] {
            symlink(target, place.path("snap/pool")).unwrap();
            let ran = snapshot(&place, check).with(1);
            assert!(ran.out.contains("4 missing") && ran.err.contains("snap/pool leads into a mirror"), "{}", ran.err);
            fs::remove_file(place.path("snap/pool")).unwrap();
        }
        assert_eq!(contents(&place.path("mirror")), before);
        for wrong in ["nowhere", "../sets/one.jigdo"] {
            symlink(wrong, place.path("snap/pool")).unwrap();
            let ran = snapshot(&place, check).with(1);
            assert!(ran.out.contains("4 missing"), "{}", ran.err);
            fs::remove_file(place.path("snap/pool")).unwrap();
        }
        // A file where a directory should be keeps out only what is below it.
        place.write("snap/pool/1", b"mine");
        let ran = snapshot(&place, check).with(1);
        assert!(
            ran.out.contains("3 linked, 1 missing") && ran.err.contains("snap/pool/1 is not a directory"),
            "{}",
            ran.err
        );
        assert_eq!(fs::read(place.path("snap/pool/1")).unwrap(), b"mine");
    }
}

#[test]
fn a_directory_that_is_on_another_file_system_gets_copies() {
    let place = place();
    let path = place.path("snap/pool");
    let Some(_mount) = Mount::new(&path, "size=1m") else { return };
    for link in ["auto", "copy"] {
        let ran = snapshot(&place, &["--link", link]).with(0);
        assert!(ran.out.contains("4 copied") || ran.out.contains("1 copied"), "{}", ran.out);
        assert_eq!(names(&place), ALL);
        fs::write(place.path(FIRST), b"wrong").unwrap();
    }
}

#[test]
fn a_part_that_cannot_be_written_keeps_no_other_out() {
    let place = place();
    let long = format!("Debian:pool/{}/x", "n".repeat(300));
    let parts = [(long.as_str(), part(7)), ("Debian:.jigpress/commit", part(8)), ("Debian:.jigpress", part(9))];
    place.write("sets/three.jigdo", jigdo(Checksum::Md5, &parts).as_bytes());
    place.write("mirror/.jigpress/commit", &part(8));
    for check in CHECKS {
        let ran = snapshot(&place, check).with(1);
        assert!(ran.out.contains("3 missing"), "{}\n{}", ran.out, ran.err);
        assert!(ran.err.contains("File name too long") && ran.err.contains("is reserved in a snapshot"), "{}", ran.err);
        assert_eq!(names(&place), ALL);
        assert!(!place.path("snap/.jigpress/commit").exists());
    }
}

#[test]
fn a_file_that_is_replaced_is_not_written_into_where_it_is_linked_elsewhere() {
    let place = with_gap(&[]);
    place.write("mine", b"mine, linked into the snapshot");
    fs::hard_link(place.path("mine"), place.path(FIRST)).unwrap();
    for link in ["auto", "copy"] {
        snapshot(&place, &["--link", link]).with(0);
        assert_complete(&place, link);
        assert_eq!(fs::read(place.path("mine")).unwrap(), b"mine, linked into the snapshot");
    }
    assert_eq!(fs::metadata(place.path("mine")).unwrap().nlink(), 1);
}

#[test]
fn a_snapshot_in_a_mirror_or_around_one_or_around_sets_is_refused() {
    let place = place();
    symlink("mirror", place.path("link")).unwrap();
    symlink("../mirror/pool", place.path("sets/pool")).unwrap();
    let before = contents(&place.path(""));
    let run = |into: &str, more: &[&str]| {
        let arguments = ["snapshot", "--mirror", "Debian=mirror", "--from", "sets", "--into", into];
        place.run(&[&arguments[..], more].concat())
    };
    let into = [
        "mirror",
        "mirror/",
        "./sets/../mirror",
        "link",
        "mirror/new",
        "link/new/deeper",
        "mirror/pool/1",
        "sets/pool",
        "sets/pool/{label}",
        ".",
        "sets",
        "sets/../sets",
        "/",
    ];
    for into in into {
        for more in [&[][..], &["--prune", "--max-prune", "100"], &["--prune", "--adopt", "--no-check"], &["--dry-run"]]
        {
            let ran = run(into, more).with(2);
            assert!(ran.err.contains("give the snapshot a directory of its own"), "{into}: {}", ran.err);
        }
    }
    // Also for a mirror that is not the first, and has no part.
    fs::create_dir(place.path("other")).unwrap();
    assert!(run("other/x", &["--mirror", "Other=other"]).with(2).err.contains("inside the mirror of Other"));
    fs::remove_dir(place.path("other")).unwrap();
    let after = contents(&place.path(""));
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert!(after == before);
    run("sets/snap", &[]).with(0);
}

#[test]
fn a_mirror_that_is_mounted_elsewhere_too_is_known() {
    let place = place();
    let bound = place.path("bound");
    fs::create_dir(&bound).unwrap();
    let bind = |from: &str| {
        let status = Command::new("mount").arg("--bind").arg(place.path(from)).arg(&bound).output();
        status.is_ok_and(|output| output.status.success())
    };
    for from in ["mirror", "mirror/pool"] {
        if !bind(from) {
            eprintln!("skipped: file systems cannot be mounted here");
            return;
        }
        let run = |into: &str| {
            place.run(&["snapshot", "--mirror", "Debian=mirror", "--from", "sets/one.jigdo", "--into", into, "--prune"])
        };
        let rans = ["bound", "bound/new"].map(run);
        assert!(Command::new("umount").arg(&bound).status().unwrap().success());
        for ran in rans {
            assert!(ran.with(2).err.contains("the mirror of Debian"), "{from}");
        }
    }
    assert_eq!(contents(&place.path("mirror")).len(), 5);
}
