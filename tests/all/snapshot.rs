//! `jigpress snapshot` from outside: snapshots are made, completed, damaged and pruned, beside mkjigsnap where it is
//! installed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::release::{Mount, Place, Ran, contents, stamps};
use crate::common::{installed, run};
use jigdo::base64;
use jigdo::jigdo_file::gzip;
use jigdo::{Checksum, Sum};
use testing::noise;

/// A jigdo file with parts: label and path, and the content that its sum is of.
pub fn jigdo(checksum: Checksum, parts: &[(&str, Vec<u8>)]) -> String {
    let line = |(location, content): &(&str, Vec<u8>)| {
        format!("{}={location}\n", base64::encode(Sum::of(checksum, content).as_bytes()))
    };
    let parts: String = parts.iter().map(line).collect();
    format!(
        "# JigsawDownload\n\n[Image]\nFilename=x.iso\nTemplate=x.template\n\n[Parts]\n{parts}\n[Servers]\nDebian=http://x/\n"
    )
}

pub fn part(number: u64) -> Vec<u8> {
    noise(number, 2000 + 100 * number as usize)
}

/// A mirror of five files, and two sets that need three of them each.
pub fn place() -> Place {
    let place = Place::new();
    for number in 1..=5 {
        place.write(&format!("mirror/pool/{number}/part{number}.deb"), &part(number));
    }
    let needing = |numbers: &[u64]| {
        let paths: Vec<_> = numbers.iter().map(|number| format!("Debian:pool/{number}/part{number}.deb")).collect();
        paths.into_iter().zip(numbers.iter().map(|&number| part(number))).collect::<Vec<_>>()
    };
    let text = |checksum, parts: &[(String, Vec<u8>)]| {
        let parts: Vec<_> = parts.iter().map(|(location, content)| (location.as_str(), content.clone())).collect();
        jigdo(checksum, &parts)
    };
    place.write("sets/one.jigdo", text(Checksum::Md5, &needing(&[1, 2, 3])).as_bytes());
    place.write("sets/two.jigdo", &gzip(&text(Checksum::Sha256, &needing(&[2, 3, 4]))).unwrap());
    place
}

const SNAPSHOT: [&str; 7] = ["snapshot", "--mirror", "Debian=mirror", "--into", "snap", "--from", "sets"];

pub fn snapshot(place: &Place, arguments: &[&str]) -> Ran {
    place.run(&[&SNAPSHOT[..], arguments].concat())
}

/// The files of the snapshot, by name.
pub fn names(place: &Place) -> Vec<String> {
    served(&place.path("snap")).into_keys().map(|path| path.to_str().unwrap().to_owned()).collect()
}

/// The files of a snapshot, without the list of them.
fn served(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = contents(directory);
    all.retain(|path, _| !path.starts_with(".jigpress"));
    all
}

fn inode(place: &Place, path: &str) -> u64 {
    fs::metadata(place.path(path)).unwrap().ino()
}

pub const ALL: [&str; 4] = ["pool/1/part1.deb", "pool/2/part2.deb", "pool/3/part3.deb", "pool/4/part4.deb"];

#[test]
fn a_snapshot_has_the_parts_of_all_sets_and_nothing_else_and_is_completed_later() {
    let place = place();
    for check in [&[][..], &["--no-check"]] {
        let one = ["snapshot", "--mirror", "Debian=mirror", "--into", "snap", "--from", "sets/one.jigdo"];
        let ran = place.run(&[&one[..], check].concat()).with(0);
        assert_eq!(ran.out, "1 set needs 3 files: 3 linked\n");
        let before = stamps(&place.path("snap/pool"));
        let ran = snapshot(&place, check).with(0);
        assert_eq!(ran.out, "2 sets need 4 files: 3 there already, 1 linked\n");
        assert_eq!(names(&place), ALL);
        let after = stamps(&place.path("snap/pool"));
        assert!(before.iter().all(|(path, stamp)| after[path] == *stamp));
        assert!(
            ALL.iter().all(|path| inode(&place, &format!("snap/{path}")) == inode(&place, &format!("mirror/{path}")))
        );
        fs::remove_dir_all(place.path("snap")).unwrap();
    }
}

#[test]
fn sums_are_checked_once_and_then_remembered() {
    let place = place();
    snapshot(&place, &[]).with(0);
    // What was read is known by its stamp: damage that leaves it alone is not seen, as no file is read again. Every change
    // shows in a file's ctime, so the index is told that it knows this one.
    let damage = |path: &str| {
        let path = place.path(path);
        let (mtime, mut bytes) = (fs::metadata(&path).unwrap().modified().unwrap(), fs::read(&path).unwrap());
        bytes[0] ^= 1;
        fs::write(&path, bytes).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(mtime).unwrap();
        let found = fs::metadata(&path).unwrap();
        let ctime = found.ctime() * 1_000_000_000 + found.ctime_nsec();
        let index = rusqlite::Connection::open(place.path("index.sqlite")).unwrap();
        let rows = "UPDATE file SET ctime_ns = ?1 WHERE inode = ?2";
        assert!(index.execute(rows, [ctime, found.ino().cast_signed()]).unwrap() > 0);
    };
    damage("snap/pool/1/part1.deb");
    assert_eq!(snapshot(&place, &[]).with(0).out, "2 sets need 4 files: 4 there already\n");
    // Once the mirror has lost it, its ctime is another, and it is read again.
    fs::remove_dir_all(place.path("mirror/pool/1")).unwrap();
    let ran = snapshot(&place, &[]).with(1);
    assert!(ran.err.contains("Debian:pool/1/part1.deb is missing: the snapshot has a wrong file"), "{}", ran.err);
}

#[test]
fn a_wrong_file_in_the_mirror_is_not_taken_and_one_in_the_snapshot_is_replaced() {
    let place = place();
    place.write("mirror/pool/1/part1.deb", b"another version");
    let ran = snapshot(&place, &[]).with(1);
    assert!(
        ran.err.contains("Debian:pool/1/part1.deb is missing: the file there has another sum; 1 set needs it"),
        "{}",
        ran.err
    );
    assert_eq!(names(&place), ALL[1..]);
    place.write("snap/pool/2/wrong", b"");
    fs::rename(place.path("snap/pool/2/wrong"), place.path("snap/pool/2/part2.deb")).unwrap();
    for link in ["auto", "copy"] {
        place.write("mirror/pool/1/part1.deb", &part(1));
        let ran = snapshot(&place, &["--link", link]).with(0);
        assert!(ran.out.contains("2 there already, 2 ") || link == "copy", "{}", ran.out);
        assert_eq!(fs::read(place.path("snap/pool/2/part2.deb")).unwrap(), part(2));
        assert_eq!(fs::read_dir(place.path("snap/.jigpress")).unwrap().count(), 1, "only the list stays");
        fs::remove_file(place.path("snap/pool/2/part2.deb")).unwrap();
        place.write("snap/pool/2/part2.deb", b"wrong again");
    }
}

#[test]
fn missing_parts_are_listed_with_the_sets_that_need_them_and_known_losses_are_not() {
    let place = place();
    fs::remove_file(place.path("mirror/pool/1/part1.deb")).unwrap();
    fs::remove_file(place.path("mirror/pool/3/part3.deb")).unwrap();
    for check in [&[][..], &["--no-check"]] {
        let ran = snapshot(&place, &[check, &["--missing", "missing"]].concat()).with(1);
        assert!(ran.out.contains("2 missing"), "{}", ran.out);
        let expected =
            "Debian:pool/1/part1.deb\n sets/one.jigdo\nDebian:pool/3/part3.deb\n sets/one.jigdo\n sets/two.jigdo\n";
        assert_eq!(fs::read_to_string(place.path("missing")).unwrap(), expected);
        assert!(!place.path("snap/pool/1").exists(), "no directory is made for nothing");
        place.write("ignore", b"# lost\n\npool/1/part1.deb\n");
        let ran = snapshot(&place, &[check, &["--ignore", "ignore", "--missing", "missing"]].concat()).with(1);
        assert!(ran.out.contains("1 missing, 1 known to be lost"), "{}", ran.out);
        assert!(fs::read_to_string(place.path("missing")).unwrap().starts_with("Debian:pool/3/"));
        snapshot(&place, &[check, &["--ignore", "ignore", "--ignore", "missing", "--missing", "missing"]].concat())
            .with(0);
        assert_eq!(fs::read_to_string(place.path("missing")).unwrap(), "");
    }
}

#[test]
fn a_set_that_has_another_place_for_a_part_does_not_miss_it() {
    let place = place();
    let parts = [("Debian:pool/gone", part(2)), ("Debian:pool/2/part2.deb", part(2)), ("Debian:pool/gone2", part(9))];
    place.write("sets/three.jigdo", jigdo(Checksum::Md5, &parts).as_bytes());
    for check in [&[][..], &["--no-check"]] {
        let ran = snapshot(&place, &[check, &["--missing", "missing"]].concat()).with(1);
        assert_eq!(
            fs::read_to_string(place.path("missing")).unwrap(),
            "Debian:pool/gone2\n sets/three.jigdo\n",
            "{}",
            ran.err
        );
    }
}

#[test]
fn several_labels_have_trees_of_their_own_or_one_together() {
    let place = place();
    place.write("other/pool/1/part1.deb", &part(7));
    place.write("other/x.deb", &part(8));
    let parts = [("Other:x.deb", part(8)), ("Other:pool/1/part1.deb", part(7)), ("Third:y", part(9))];
    place.write("sets/three.jigdo", jigdo(Checksum::Md5, &parts).as_bytes());
    let arguments = ["snapshot", "--mirror", "Debian=mirror", "--mirror", "Other=other", "--from", "sets", "--into"];
    place.run(&[&arguments[..], &["snap/{label}"]].concat()).with(0);
    let all = ["Debian", "Other"].map(|label| served(&place.path(&format!("snap/{label}"))));
    assert_eq!(all.iter().map(BTreeMap::len).collect::<Vec<_>>(), [4, 2]);
    assert_eq!(all[1][&PathBuf::from("pool/1/part1.deb")], part(7));
    fs::remove_dir_all(place.path("snap")).unwrap();
    // One file cannot be both: the set that comes away empty-handed is told.
    let ran = place.run(&[&arguments[..], &["snap", "--missing", "missing"]].concat()).with(1);
    assert_eq!(
        fs::read_to_string(place.path("missing")).unwrap(),
        "Other:pool/1/part1.deb\n sets/three.jigdo\n",
        "{}",
        ran.err
    );
    assert_eq!(names(&place).len(), 5);
}

#[test]
fn where_files_cannot_be_linked_they_are_copied_or_refused() {
    let place = place();
    fs::create_dir(place.path("snap")).unwrap();
    let snap = place.path("snap");
    let Some(mount) = Mount::new(&snap, "size=1m") else { return };
    let ran = snapshot(&place, &["--link", "hard"]).with(3);
    assert!(ran.err.contains("cannot be linked to") && ran.err.contains("use --link auto"), "{}", ran.err);
    assert!(names(&place).is_empty());
    let ran = snapshot(&place, &["--link", "reflink"]).with(3);
    assert!(ran.err.contains("cannot share blocks"), "{}", ran.err);
    assert!(names(&place).is_empty());
    let ran = snapshot(&place, &[]).with(0);
    assert_eq!(ran.out, "2 sets need 4 files: 4 copied\n");
    for path in ALL {
        let (from, to) = (place.path(&format!("mirror/{path}")), place.path(&format!("snap/{path}")));
        assert_eq!(fs::read(&to).unwrap(), fs::read(&from).unwrap());
        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), fs::metadata(&from).unwrap().modified().unwrap());
    }
    drop(mount);
}

#[test]
fn a_full_or_read_only_file_system_is_an_error_and_leaves_no_half_file() {
    let place = place();
    let snap = place.path("snap");
    for options in ["size=8k", "ro"] {
        let Some(_mount) = Mount::new(&snap, options) else { return };
        let ran = snapshot(&place, &["--jobs", "1"]).with(3);
        assert!(ran.err.contains("snap") && ran.err.contains("check space and permissions there"), "{}", ran.err);
        for (path, bytes) in contents(&snap) {
            let is_hidden = path.starts_with(".jigpress");
            assert!(is_hidden || bytes == fs::read(place.path("mirror").join(&path)).unwrap(), "{}", path.display());
        }
    }
}

#[test]
fn a_bad_set_is_left_out_and_the_others_are_served() {
    let place = place();
    let bad = |text: &str, message: &str| {
        let path = place.write("sets/bad.jigdo", text.as_bytes());
        let ran = snapshot(&place, &["--prune"]).with(1);
        assert!(ran.err.contains("sets/bad.jigdo") && ran.err.contains(message), "{}", ran.err);
        assert!(ran.err.contains("nothing was removed"), "{}", ran.err);
        assert_eq!(names(&place), ALL);
        fs::remove_dir_all(place.path("snap")).unwrap();
        // Alone, it is refused before anything is made.
        let ran = place.run(&["snapshot", "--mirror", "Debian=mirror", "--into", "snap", "--from", "sets/bad.jigdo"]);
        assert!(ran.with(2).err.contains(message));
        assert!(!place.path("snap").exists());
        fs::remove_file(path).unwrap();
    };
    bad(
        &jigdo(Checksum::Md5, &[("Debian:../../etc/passwd", part(1))]),
        "\"Debian:../../etc/passwd\" leads out of its tree",
    );
    bad(&jigdo(Checksum::Md5, &[("Debian:/etc/passwd", part(1))]), "leads out of its tree");
    bad("[Parts\n", "line 1: the name of the section has no closing ]");
    bad("[Parts]\nx=Debian:y\n", "line 2: \"x\" is not the base64");
    bad("", "no sections");
}

#[test]
fn a_bad_command_line_is_refused_before_anything_is_made() {
    let place = place();
    let refused = |arguments: &[&str], message: &str| {
        let ran = place.run(arguments).with(2);
        assert!(ran.err.contains(message), "{}", ran.err);
        assert!(!place.path("snap").exists());
    };
    refused(&["snapshot", "--mirror", "Debian=nowhere", "--into", "snap", "--from", "sets"], "nowhere");
    refused(&["snapshot", "--mirror", "Debain=mirror", "--into", "snap", "--from", "sets"], "their labels are Debian");
    refused(&["snapshot", "--mirror", "mirror", "--into", "snap", "--from", "sets"], "Label=DIR");
    refused(&["snapshot", "--mirror", "Debian=mirror", "--into", "snap", "--from", "none"], "none");
    refused(&["snapshot", "--mirror", "Debian=mirror", "--into", "snap", "--from", "mirror"], "no jigdo file");
    refused(&[&SNAPSHOT[..], &["--mirror", "Debian=other"]].concat(), "given twice");
    refused(&[&SNAPSHOT[..], &["--ignore", "none"]].concat(), "none");
    refused(&[&SNAPSHOT[..], &["--keep", "[a"]].concat(), "--keep: ");
    refused(&[&SNAPSHOT[..], &["--prune", "--max-prune", "101"]].concat(), "from 0 to 100");
}

#[test]
fn symbolic_links_in_a_mirror_lead_to_files() {
    let place = place();
    fs::rename(place.path("mirror/pool/1/part1.deb"), place.path("elsewhere.deb")).unwrap();
    std::os::unix::fs::symlink(place.path("elsewhere.deb"), place.path("mirror/pool/1/part1.deb")).unwrap();
    for check in [&[][..], &["--no-check"]] {
        snapshot(&place, check).with(0);
        assert!(fs::symlink_metadata(place.path("snap/pool/1/part1.deb")).unwrap().is_file());
        fs::remove_dir_all(place.path("snap")).unwrap();
    }
}

#[test]
fn mkjigsnap_makes_the_same_tree_and_misses_the_same_parts() {
    if !installed(&["mkjigsnap"]) {
        return;
    }
    let place = Place::new();
    // It makes no snapshot of a handful of files.
    let numbers = 0..1500u64;
    for number in numbers.clone().filter(|number| number % 100 != 7) {
        place.write(&format!("mirror/pool/{}/part{number}.deb", number % 37), &number.to_le_bytes());
    }
    for set in 0..6u64 {
        let mut parts = Vec::new();
        for number in numbers.clone().filter(|number| number % 6 <= set) {
            parts.push((format!("Debian:pool/{}/part{number}.deb", number % 37), number.to_le_bytes().to_vec()));
        }
        let parts: Vec<_> = parts.iter().map(|(location, content)| (location.as_str(), content.clone())).collect();
        place.write(&format!("sets/{set}.jigdo"), jigdo(Checksum::Md5, &parts).as_bytes());
    }
    let files: Vec<_> = (0..6).map(|set| format!("sets/{set}.jigdo\n")).collect();
    place.write("list", files.concat().as_bytes());
    place.write("ignore", b"pool/7/part7.deb\n");
    let theirs = place.path("theirs");
    let mut command = Command::new("mkjigsnap");
    command.arg("-m").arg(place.path("mirror")).arg("-d").arg(&theirs);
    command
        .args(["-J", "list", "-k", "Debian", "-f", "failed", "-b", "back", "-i", "ignore"])
        .current_dir(place.path(""));
    run(&mut command);
    let ours = ["snapshot", "--mirror", "Debian=mirror", "--into", "snap", "--from-list", "list", "--ignore", "ignore"];
    let ran = place.run(&[&ours[..], &["--missing", "missing"]].concat()).with(1);
    assert!(served(&place.path("snap")) == contents(&theirs), "{}", ran.err);
    let missing = fs::read_to_string(place.path("missing")).unwrap();
    let failed = fs::read_to_string(place.path("failed")).unwrap();
    let mut paths: Vec<_> = missing.lines().filter_map(|line| line.strip_prefix("Debian:")).collect();
    paths.sort_unstable();
    let mut expected: Vec<_> = failed.lines().filter(|line| !line.is_empty()).collect();
    expected.sort_unstable();
    assert_eq!(paths, expected);
    // Theirs names the sets below each path, too.
    let back = fs::read_to_string(place.path("back")).unwrap();
    let sets = |text: &str| text.lines().filter(|line| line.starts_with(' ')).count();
    assert_eq!(sets(&missing), sets(&back));
}

#[test]
fn a_missing_part_whose_path_ends_in_a_space_can_be_ignored() {
    let place = place();
    place.write("sets/two.jigdo", jigdo(Checksum::Md5, &[("\"Debian:pool/gone.deb \"", part(9))]).as_bytes());
    snapshot(&place, &["--missing", "missing"]).with(1);
    let ran = snapshot(&place, &["--ignore", "missing"]).with(0);
    assert!(ran.out.contains("1 known to be lost"), "{}", ran.out);
}
