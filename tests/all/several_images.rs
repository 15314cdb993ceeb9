//! Jigdo files that describe several images: every command takes all of them, or says which one it wants to know.

use std::fs;
use std::process::Command;

use crate::assemble::{image, part, place};
use crate::common::installed;
use crate::common::release::{Place, Ran, contents};

/// A place where `sets/some/both.jigdo` describes both images. It begins with the second one.
fn place_of_both(checksum: &str) -> Place {
    let place = place(checksum);
    let text = |name: &str| fs::read_to_string(place.path(&format!("sets/some/{name}.jigdo"))).unwrap();
    let (one, two) = (text("one"), text("two"));
    let section = |text: &str| {
        let start = text.find("[Image]").unwrap();
        text[start..start + text[start..].find("\n\n").unwrap() + 2].to_owned()
    };
    let parts = &one[one.find("[Parts]").unwrap()..];
    let head = &two[..two.find("[Parts]").unwrap()];
    let more = &two[two.find("[Parts]").unwrap()..];
    let both = format!("{head}{more}\n{}{parts}", section(&one));
    for name in ["one", "two"] {
        place.remove(&format!("sets/some/{name}.jigdo"));
    }
    place.write("sets/some/both.jigdo", both.as_bytes());
    place
}

const BOTH: &str = "sets/some/both.jigdo";

impl Place {
    fn verify(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["verify"], arguments].concat())
    }
}

#[test]
fn all_images_of_a_jigdo_file_are_assembled() {
    for checksum in ["md5", "sha256"] {
        for arguments in [&[BOTH][..], &["--all", "sets"]] {
            let place = place_of_both(checksum);
            let ran = place.assemble(arguments).with(0);
            assert!(ran.out.contains("2 assembled"), "{}", ran.out);
            let into = if arguments.len() == 1 { "out" } else { "out/some" };
            for name in ["one", "two"] {
                assert!(place.is_image(&format!("{into}/{name}.iso"), name));
            }
            assert!(place.assemble(arguments).with(0).out.contains("2 unchanged"));
        }
    }
}

#[test]
fn images_of_one_jigdo_file_are_chosen_by_name() {
    let place = place_of_both("md5");
    place.assemble(&["--all", "sets", "--include", "*/one.iso"]).with(0);
    assert_eq!(contents(&place.path("out/some")).len(), 1);
    assert!(place.is_image("out/some/one.iso", "one"));
    place.assemble(&[BOTH, "--image", "two.iso"]).with(0);
    assert!(place.is_image("out/two.iso", "two") && !place.path("out/one.iso").exists());
    let ran = place.assemble(&[BOTH, "--image", "three.iso"]).with(1);
    assert!(ran.err.contains("no image called \"three.iso\", but two.iso, one.iso"), "{}", ran.err);
    fs::rename(place.path("sets/some/one.template"), place.path("t")).unwrap();
    let ran = place.assemble(&[BOTH, "--template", "t"]).with(1);
    assert!(ran.err.contains("describes 2 images: two.iso, one.iso; name one of them with --image"), "{}", ran.err);
    place.assemble(&[BOTH, "--template", "t", "--image", "one.iso"]).with(0);
    assert!(place.is_image("out/one.iso", "one"));
    let ran = place.assemble(&[BOTH, BOTH, "--image", "one.iso"]).with(2);
    assert!(ran.err.contains("--image is for one jigdo file"), "{}", ran.err);
}

#[test]
fn one_image_that_cannot_be_assembled_holds_up_no_other() {
    let place = place_of_both("md5");
    place.remove("sets/some/one.template");
    let ran = place.assemble(&[BOTH]).with(1);
    assert!(ran.err.contains("its template is not there, looked for as sets/some/one.template"), "{}", ran.err);
    assert!(place.is_image("out/two.iso", "two"));
    let text = fs::read_to_string(place.path(BOTH)).unwrap();
    let same = text.replace("Filename=one.iso", "Filename=two.iso").replace("=one.template", "=two.template");
    place.write(BOTH, same.as_bytes());
    let ran = place.assemble(&[BOTH]).with(1);
    assert!(ran.err.contains("both.jigdo: two of its images are called \"two.iso\""), "{}", ran.err);
}

#[test]
fn all_images_of_a_jigdo_file_are_verified() {
    let place = place_of_both("sha256");
    let ran = place.verify(&[BOTH, "--mirror", "Debian=mirror"]).with(0);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].starts_with("sets/some/both.jigdo: two.iso: right, 4 parts"), "{}", ran.out);
    assert!(lines[1].starts_with("sets/some/both.jigdo: one.iso: right, 4 parts"), "{}", ran.out);
    place.write("mirror/pool/1.deb", b"wrong");
    let ran = place.verify(&[BOTH, "--mirror", "Debian=mirror", "--format", "json"]).with(1);
    let json = ran.json();
    let sets = json["sets"].as_array().unwrap();
    let results: Vec<_> = sets.iter().map(|set| (set["image"].as_str().unwrap(), set["is_right"].as_bool())).collect();
    assert_eq!(results, [("two.iso", Some(true)), ("one.iso", Some(false))]);
    place.write("mirror/pool/1.deb", &part(1));
    place.write("sets/some/one.template", b"broken");
    let ran = place.verify(&[BOTH]).with(1);
    assert!(ran.out.contains("both.jigdo: one.iso: WRONG") && ran.out.contains("two.iso: right"), "{}", ran.out);
}

#[test]
fn an_image_is_verified_with_the_section_that_has_its_name() {
    let place = place_of_both("md5");
    for name in ["one", "two"] {
        place.verify(&[&format!("images/{name}.iso"), BOTH]).with(0);
    }
    place.write("disc", &image("one"));
    let ran = place.verify(&["disc", BOTH]).with(2);
    assert!(ran.err.contains("describes 2 images: two.iso, one.iso; name one of them with --image"), "{}", ran.err);
    place.verify(&["disc", BOTH, "--image", "one.iso"]).with(0);
    place.verify(&["disc", BOTH, "--image", "two.iso"]).with(1);
}

#[test]
fn sums_of_images_that_exist_only_as_sets_are_those_of_every_section() {
    let place = place_of_both("md5");
    let sum = |name: &str| crate::common::release::sum(jigdo::Algorithm::Md5, &image(name));
    let sums = format!("{}  one.iso\n{}  two.iso\n", sum("one"), sum("two"));
    place.write("sets/some/MD5SUMS", sums.as_bytes());
    let ran = place.verify(&["--sums", "sets"]).with(0);
    assert!(ran.out.contains("2 images that exist only as sets"), "{}", ran.out);
}

#[test]
fn inspect_shows_every_image() {
    let place = place_of_both("md5");
    let ran = place.run(&["inspect", BOTH]).with(0);
    assert!(ran.out.contains("\nImage two.iso\n") && ran.out.contains("\nImage one.iso\n"), "{}", ran.out);
    let json = place.run(&["inspect", BOTH, "--format", "json"]).with(0).json();
    let names: Vec<_> = json["images"].as_array().unwrap().iter().map(|image| image["filename"].clone()).collect();
    assert_eq!(names, ["two.iso", "one.iso"]);
}

#[test]
fn parts_of_every_image_are_in_a_snapshot_and_needed_by_some_template() {
    let place = place_of_both("sha256");
    place.run(&["snapshot", "--from", BOTH, "--mirror", "Debian=mirror", "--into", "farm"]).with(0);
    assert_eq!(contents(&place.path("farm/pool")).len(), 6);
    let mirror = format!("Debian=file:{}/", place.path("mirror").display());
    let ran = place.run(&["servers", "check", BOTH, "--server", &mirror]);
    assert!(!format!("{}{}", ran.out, ran.err).contains(" not need"), "{}{}", ran.out, ran.err);
}

#[test]
fn jigdo_mirror_makes_the_same_images() {
    if !installed(&["jigdo-mirror", "jigdo-file"]) {
        return;
    }
    let place = place_of_both("md5");
    for directory in ["theirs", "scratch"] {
        fs::create_dir_all(place.path(directory)).unwrap();
    }
    let path = |name: &str| place.path(name).display().to_string();
    let settings = format!(
        "jigdoDir={}\nimageDir={}\ntmpDir={}\ndebianMirror=file:{}\n",
        path("sets"),
        path("theirs"),
        path("scratch"),
        path("mirror")
    );
    place.write("settings", settings.as_bytes());
    let ran = Command::new("jigdo-mirror").arg(place.path("settings")).output().unwrap();
    place.assemble(&["--all", "sets"]).with(0);
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(contents(&place.path("theirs")) == contents(&place.path("out")), "{said}");
    assert_eq!(contents(&place.path("out")).len(), 2);
}

#[test]
fn an_image_without_a_name_holds_up_no_other() {
    for arguments in [&[BOTH][..], &["--all", "sets"]] {
        let place = place_of_both("md5");
        let text =
            String::from_utf8(contents(&place.path("sets/some"))[std::path::Path::new("both.jigdo")].clone()).unwrap();
        let text = text.replace("Filename=one.iso\n", "");
        place.write(BOTH, text.as_bytes());
        let ran = place.assemble(arguments).with(1);
        assert!(ran.out.contains("1 assembled, 1 failed"), "{}", ran.out);
        assert!(ran.err.contains("its [Image] section 2 has no entry Filename"), "{}", ran.err);
        let ran = place.verify(&[BOTH]).with(1);
        assert!(ran.out.contains("two.iso: right"), "{}", ran.out);
    }
}

#[test]
fn a_failed_image_of_several_has_its_own_name() {
    let place = place_of_both("md5");
    place.remove("sets/some/one.template");
    let ran = place.assemble(&[BOTH]).with(1);
    assert!(ran.out.lines().any(|line| line.starts_with("one.iso") && line.ends_with("FAILED")), "{}", ran.out);
}
