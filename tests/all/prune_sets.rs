//! Sets that no image of the manifests stands for are listed, and removed only if they are asked to be and nothing is in
//! doubt.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use crate::common::release::{Closed, Place, contents};
use serde_json::Value;
use testing::noise;

const RELEASE: &str = "\
release: r
mirrors: {A: {path: a, servers: ['https://a.example/']}}
defaults: {sums: [md5, sha256]}
images: [{path: 'img/*.iso', output: out}]
";
const PRUNE: [&str; 3] = ["--prune-sets", "--max-prune", "60"];

/// Three images, published; two of them were then renamed and removed.
fn place() -> Place {
    let place = Place::new();
    for (number, name) in ["keep", "old", "gone"].into_iter().enumerate() {
        let part = noise(number as u64, 20_000);
        place.write(&format!("a/{name}.deb"), &part);
        place.write(&format!("img/{name}.iso"), &[noise(9, 300), part].concat());
    }
    place.write("release.yaml", RELEASE.as_bytes());
    place.publish(&[]).with(0);
    fs::rename(place.path("img/old.iso"), place.path("img/new.iso")).unwrap();
    fs::remove_file(place.path("img/gone.iso")).unwrap();
    place
}

fn names(place: &Place) -> Vec<String> {
    contents(&place.path("out")).into_keys().map(|path| path.to_str().unwrap().to_owned()).collect()
}

fn sums(place: &Place, name: &str) -> Vec<String> {
    let text = fs::read_to_string(place.path("out").join(name)).unwrap();
    text.lines().map(|line| line.split_once("  ").unwrap().1.to_owned()).collect()
}

fn stale(report: &Value) -> Vec<(&str, bool)> {
    let sets = report["stale_sets"].as_array().unwrap().iter();
    sets.map(|set| (set["files"][0].as_str().unwrap(), set["is_removed"] == true)).collect()
}

const ALL: [&str; 10] = [
    "MD5SUMS",
    "SHA256SUMS",
    "gone.jigdo",
    "gone.template",
    "keep.jigdo",
    "keep.template",
    "new.jigdo",
    "new.template",
    "old.jigdo",
    "old.template",
];

#[test]
fn sets_of_images_that_are_gone_are_listed_and_stay() {
    let place = place();
    let ran = place.publish(&["--report", "report.json"]).with(0);
    for name in ["gone", "old"] {
        let line =
            format!("./out/{name}.jigdo, ./out/{name}.template: no image stands for it; --prune-sets removes it\n");
        assert!(
            ran.out.contains(line.trim_start_matches("./")) || ran.out.contains(&line.replace("./", "")),
            "{}",
            ran.out
        );
    }
    assert_eq!(names(&place), ALL);
    let report: Value = serde_json::from_slice(&fs::read(place.path("report.json")).unwrap()).unwrap();
    assert_eq!(stale(&report).len(), 2);
    assert!(sums(&place, "MD5SUMS").contains(&"old.iso".to_owned()));
    // Nothing is listed if only some images are known.
    let ran = place.publish(&["--format", "json", "--only", "image=keep*"]).with(0);
    assert_eq!(stale(&ran.json()), []);
}

#[test]
fn pruning_removes_them_with_their_lines_in_the_step_that_publishes_the_new_ones() {
    let place = place();
    let md5 = fs::read_to_string(place.path("out/MD5SUMS")).unwrap();
    place.write("out/MD5SUMS", format!("{md5}d41d8cd98f00b204e9800998ecf8427e  foreign.iso\n").as_bytes());
    let before = contents(&place.path("out"));
    let ran = place.publish(&[&PRUNE[..], &["--dry-run"]].concat()).with(0);
    assert!(ran.out.contains("old.template: no image stands for it, so it would be removed"), "{}", ran.out);
    assert_eq!(contents(&place.path("out")), before);

    let ran = place.publish(&[&PRUNE[..], &["--format", "json"]].concat()).with(0);
    assert!(stale(&ran.json()).iter().all(|(_, is_removed)| *is_removed), "{}", ran.out);
    assert_eq!(names(&place), ["MD5SUMS", "SHA256SUMS", "keep.jigdo", "keep.template", "new.jigdo", "new.template"]);
    let kept = ["keep.iso", "keep.jigdo", "keep.template", "new.iso", "new.jigdo", "new.template"];
    assert_eq!(sums(&place, "SHA256SUMS"), kept);
    // These were not in order any more, so new lines come last.
    let after_foreign = [&kept[..3], &["foreign.iso"], &kept[3..]].concat();
    assert_eq!(sums(&place, "MD5SUMS"), after_foreign);
    let ran = place.publish(&[&PRUNE[..], &["--format", "json"]].concat()).with(0);
    assert_eq!(stale(&ran.json()), []);
}

#[test]
fn more_than_a_share_of_the_sets_is_not_removed() {
    let place = place();
    let ran = place.publish(&["--prune-sets"]).with(1);
    assert!(ran.err.contains("2 of the 4 sets; that is 50.0 %, but --max-prune allows 10 %"), "{}", ran.err);
    assert_eq!(names(&place), ALL);
    place.publish(&["--prune-sets", "--max-prune", "49.9%", "--report", "report.json"]).with(1);
    let report: Value = serde_json::from_slice(&fs::read(place.path("report.json")).unwrap()).unwrap();
    assert!(report["prune_refused"].as_str().unwrap().contains("49.9 %") && report["exit_code"] == 1);
    place.publish(&["--prune-sets", "--max-prune", "50"]).with(0);
    assert_eq!(names(&place).len(), 6);
}

#[test]
fn nothing_is_removed_where_an_image_failed_or_is_missing() {
    let place = place();
    let missing =
        RELEASE.to_owned() + "  - {path: 'img/{arch}/*.iso', matrix: {arch: [riscv64]}, output: out, optional: true}\n";
    let missing =
        missing.replace("images: [{path: 'img/*.iso', output: out}]", "images:\n  - {path: 'img/*.iso', output: out}");
    place.write("release.yaml", missing.as_bytes());
    let ran = place.publish(&PRUNE).with(0);
    assert!(
        ran.out.contains("but an image whose set goes to the same directory is missing, so it was not removed"),
        "{}",
        ran.out
    );
    assert_eq!(names(&place), ALL);

    place.write("release.yaml", RELEASE.as_bytes());
    // A set that cannot be staged.
    fs::create_dir_all(place.path("out/.jigpress/new.template")).unwrap();
    let changed = [noise(8, 300), noise(1, 20_000)].concat();
    place.write("img/new.iso", &changed);
    let ran = place.publish(&[&PRUNE[..], &["--format", "json"]].concat()).with(1);
    assert!(ran.out.contains("an image whose set goes to the same directory failed"), "{}", ran.out);
    assert_eq!(names(&place).len(), 10);
}

#[test]
fn only_what_this_program_made_for_these_manifests_is_removed() {
    let place = place();
    // What another program made, what is no set, and what another manifest made.
    let foreign = fs::read_to_string(place.path("out/gone.jigdo")).unwrap().replace("jigpress/", "jigdo-file/");
    place.write("out/foreign.jigdo", foreign.as_bytes());
    place.write("out/broken.jigdo", b"not a jigdo file");
    place.write("out/README.template", b"text");
    place.write("other/other.iso", &[noise(1, 20_000), noise(70, 10)].concat());
    let other = RELEASE.replace("img/*.iso", "other/*.iso");
    place.write("other.yaml", other.as_bytes());
    place.run(&["publish", "other.yaml"]).with(0);
    let ran = place.publish(&[&PRUNE[..], &["--format", "json"]].concat()).with(0);
    assert_eq!(stale(&ran.json()).len(), 2);
    let there = ["README.template", "broken.jigdo", "foreign.jigdo", "other.jigdo", "other.template"];
    let left = names(&place);
    assert!(there.iter().all(|name| left.contains(&(*name).to_owned())), "{left:?}");
    assert!(sums(&place, "SHA256SUMS").contains(&"other.iso".to_owned()));
    // Both manifests together know all sets.
    fs::remove_file(place.path("other/other.iso")).unwrap();
    place.write("other/another.iso", &[noise(1, 20_000), noise(71, 10)].concat());
    let both = ["publish", "release.yaml", "other.yaml", "--format", "json"];
    let ran = place.run(&[&both[..], &PRUNE].concat()).with(0);
    assert_eq!(stale(&ran.json()).len(), 1, "{}", ran.out);
    assert!(!names(&place).contains(&"other.jigdo".to_owned()));
}

#[test]
fn the_line_of_an_image_that_is_there_stays() {
    let place = place();
    place.write("release.yaml", RELEASE.replace("output: out", "output: img").as_bytes());
    place.write("img/gone.iso", &[noise(9, 300), noise(2, 20_000)].concat());
    place.publish(&[]).with(0);
    place.write("release.yaml", RELEASE.replace("output: out", "output: img").replace('*', "keep").as_bytes());
    fs::remove_file(place.path("img/new.iso")).unwrap();
    place.publish(&["--prune-sets", "--max-prune", "100"]).with(0);
    let text = fs::read_to_string(place.path("img/SHA256SUMS")).unwrap();
    let listed: Vec<PathBuf> = text.lines().map(|line| line.split_once("  ").unwrap().1.into()).collect();
    assert_eq!(listed, ["gone.iso", "keep.iso", "keep.jigdo", "keep.template"].map(PathBuf::from));
}

#[test]
fn pruning_part_of_a_release_is_refused() {
    let place = place();
    place.publish(&["--prune-sets", "--only", "image=keep*"]).with(2);
    place.publish(&["--prune-sets", "--servers-only"]).with(2);
    place.publish(&["--max-prune", "5"]).with(2);
    assert_eq!(names(&place).len(), 8);
}

#[test]
fn nothing_is_removed_where_images_may_be_that_cannot_be_seen() {
    let place = Place::new();
    fs::create_dir(place.path("snap")).unwrap();
    place.write("a/1.deb", &noise(1, 20_000));
    place.write("img/amd64/one.iso", &noise(1, 20_000));
    place.write("img/arm64/two.iso", &[noise(1, 20_000), noise(3, 10)].concat());
    place.write("release.yaml", RELEASE.replace("img/*.iso", "img/**/*.iso").as_bytes());
    let arguments = ["publish", "release.yaml", "--prune-sets", "--max-prune", "100", "--report", "report.json"];
    let Some(ran) = place.run_unprivileged(&arguments) else { return };
    ran.with(0);
    let before = contents(&place.path("out"));
    let failed = |place: &Place, reason: &str| {
        let ran = place.run_unprivileged(&arguments).unwrap().with(1);
        assert_eq!(contents(&place.path("out")), before, "{}", ran.err);
        let report: Value = serde_json::from_slice(&fs::read(place.path("report.json")).unwrap()).unwrap();
        let images = report["images"].as_array().unwrap();
        let failed: Vec<_> = images.iter().filter(|image| image["outcome"] == "failed").collect();
        assert!(failed.len() == 1 && failed[0]["error"].as_str().unwrap().contains(reason), "{report}");
        assert!(report["errors"][0].as_str().unwrap().contains(reason), "{report}");
        assert!(report["stale_sets"][0]["kept_because"].as_str().unwrap().contains("is missing"), "{report}");
    };
    for mode in [0o000, 0o444] {
        let _closed = Closed::new(place.path("img/arm64"));
        fs::set_permissions(place.path("img/arm64"), fs::Permissions::from_mode(mode)).unwrap();
        failed(&place, "Permission denied");
    }
    fs::rename(place.path("img/arm64/two.iso"), place.path("two.img")).unwrap();
    symlink("../../gone.iso", place.path("img/arm64/two.iso")).unwrap();
    failed(&place, "leads nowhere");
    fs::remove_file(place.path("img/arm64/two.iso")).unwrap();
    fs::rename(place.path("two.img"), place.path("img/arm64").join(OsStr::from_bytes(b"two\xff.iso"))).unwrap();
    failed(&place, "not UTF-8");
}

#[test]
fn the_sets_of_images_whose_mirror_is_empty_stay() {
    let place = Place::new();
    place.write("a/1.deb", &noise(1, 20_000));
    place.write("b/2.deb", &noise(2, 20_000));
    place.write("img/one.iso", &noise(1, 20_001));
    place.write("other/two.iso", &noise(2, 20_001));
    let text = "release: r\nmirrors:\n  A: {path: a, servers: ['https://a.example/']}\n  \
                B: {path: b, servers: ['https://b.example/']}\nimages:\n  \
                - {path: 'img/*.iso', output: out, mirrors: [A]}\n  - {path: 'other/*.iso', output: out, mirrors: [B]}\n";
    place.write("release.yaml", text.as_bytes());
    place.publish(&[]).with(0);
    fs::remove_file(place.path("b/2.deb")).unwrap();
    place.publish(&["--prune-sets", "--max-prune", "100"]).with(1);
    assert!(names(&place).contains(&"two.jigdo".to_owned()));
}

#[test]
fn a_set_of_which_the_index_does_not_know_the_manifest_stays() {
    let place = place();
    let other = RELEASE.replace("img/*.iso", "other/*.iso");
    place.write("other/other.iso", &[noise(1, 20_000), noise(70, 10)].concat());
    place.write("other.yaml", other.as_bytes());
    place.run(&["publish", "other.yaml"]).with(0);
    fs::remove_file(place.path("index.sqlite")).unwrap();
    let before = names(&place);
    for pruning in [&[][..], &PRUNE] {
        let ran = place.publish(pruning).with(0);
        let line =
            "no image stands for it, but the index does not know which manifest made it (delete its files yourself";
        assert_eq!(ran.out.matches(line).count(), 3, "{}", ran.out);
    }
    assert!(before.iter().all(|name| names(&place).contains(name)));
    // The sets that were published since are known.
    fs::remove_file(place.path("img/new.iso")).unwrap();
    place.publish(&PRUNE).with(0);
    let left = names(&place);
    assert!(!left.contains(&"new.jigdo".to_owned()) && left.contains(&"other.jigdo".to_owned()), "{left:?}");
}
