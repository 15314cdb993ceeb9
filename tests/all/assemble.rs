//! `jigpress assemble` from outside: sets, mirrors and old images in, images and exit codes out, beside jigdo-file where
//! that reads and writes the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::release::{Place, Ran, contents, stamps};
use crate::common::{installed, repository, run};
use jigdo::jigdo_file::gzip;
use testing::noise;

/// A mirror and sets of some images, which jigpress makes.
pub fn place(checksum: &str) -> Place {
    let place = Place::new();
    for number in 0..6 {
        place.write(&format!("mirror/pool/{number}.deb"), &part(number));
    }
    for name in ["one", "two"] {
        place.write(&format!("images/{name}.iso"), &image(name));
    }
    let manifest = format!(
        "release: r
mirrors: {{Debian: {{path: mirror, servers: [\"https://a.example/debian/\", \"https://b.example/debian/\"]}}}}
defaults: {{checksum: {checksum}, sums: []}}
images: [{{path: images/*.iso, output: sets/some, name: \"{{stem}}\"}}]
"
    );
    place.write("release.yaml", manifest.as_bytes());
    place.publish(&["--quiet"]).with(0);
    place
}

pub fn part(number: u64) -> Vec<u8> {
    noise(number, 30_000 + 70_001 * number as usize)
}

pub fn image(name: &str) -> Vec<u8> {
    let parts: &[u64] = if name == "one" { &[0, 1, 2, 3] } else { &[2, 4, 5, 0] };
    let pieces = parts.iter().flat_map(|&number| [noise(100 + number, 3000), vec![0; 1096], part(number)]);
    pieces.flatten().chain([0; 100_000]).collect()
}

const MIRROR: [&str; 2] = ["--mirror", "Debian=mirror"];

impl Place {
    pub fn assemble(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["assemble", "--into", "out"], &MIRROR[..], arguments].concat())
    }

    pub fn is_image(&self, path: &str, name: &str) -> bool {
        fs::read(self.path(path)).is_ok_and(|bytes| bytes == image(name))
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }
}

#[test]
fn images_are_assembled_once_and_again_only_with_force() {
    for checksum in ["md5", "sha256"] {
        let place = place(checksum);
        let sets = ["sets/some/one.jigdo", "sets/some/two.jigdo"];
        let ran = place.assemble(&sets).with(0);
        assert!(ran.out.contains("2 assembled"), "{}", ran.out);
        assert!(place.is_image("out/one.iso", "one") && place.is_image("out/two.iso", "two"));
        let before = stamps(&place.path("out"));
        assert!(place.assemble(&sets).with(0).out.contains("2 unchanged"));
        assert_eq!(stamps(&place.path("out")), before);
        assert!(place.assemble(&[&sets[..], &["--force"]].concat()).with(0).out.contains("2 assembled"));
    }
}

#[test]
fn a_tree_of_sets_becomes_a_tree_of_images() {
    let place = place("sha256");
    fs::create_dir_all(place.path("sets/other/deep")).unwrap();
    for name in ["one.jigdo", "one.template"] {
        fs::copy(place.path("sets/some").join(name), place.path("sets/other/deep").join(name)).unwrap();
    }
    let text = fs::read_to_string(place.path("sets/other/deep/one.jigdo")).unwrap();
    place.write("sets/other/deep/one.jigdo", &gzip(&text).unwrap());
    place.write("sets/servers.jigdo", b"[Servers]\nDebian=https://c.example/\n");
    let all = |arguments: &[&str]| place.assemble(&[&["--all", "sets"], arguments].concat());
    all(&["--include", "some/*", "--exclude", "*/two.iso"]).with(0);
    assert_eq!(contents(&place.path("out")).into_keys().collect::<Vec<_>>(), [PathBuf::from("some/one.iso")]);
    let ran = all(&[]).with(0);
    assert!(ran.out.contains("2 assembled, 1 unchanged"), "{}", ran.out);
    assert!(place.is_image("out/other/deep/one.iso", "one") && place.is_image("out/some/two.iso", "two"));
    place.write("sets/broken.jigdo", b"[Image\n");
    let ran = all(&[]).with(1);
    assert!(ran.err.contains("sets/broken.jigdo: line 1: "), "{}", ran.err);
    assert!(ran.out.contains("3 unchanged"));
}

#[test]
fn a_tree_of_images_is_the_one_that_jigdo_mirror_makes() {
    if !installed(&["jigdo-mirror", "jigdo-file"]) {
        return;
    }
    let place = place("md5");
    // Templates of their own tree, and those beside their jigdo files.
    fs::create_dir_all(place.path("templates/other")).unwrap();
    fs::create_dir_all(place.path("sets/other")).unwrap();
    fs::rename(place.path("sets/some/two.jigdo"), place.path("sets/other/two.jigdo")).unwrap();
    fs::rename(place.path("sets/some/two.template"), place.path("templates/other/two.template")).unwrap();
    for templates in ["sets", "templates"] {
        let _ = fs::remove_dir_all(place.path("theirs"));
        let _ = fs::remove_dir_all(place.path("out"));
        for directory in ["theirs", "scratch"] {
            fs::create_dir_all(place.path(directory)).unwrap();
        }
        let path = |name: &str| place.path(name).display().to_string();
        let settings = format!(
            "jigdoDir={}\ntemplateDir={}\nimageDir={}\ntmpDir={}\ndebianMirror=file:{}\n",
            path("sets"),
            path(templates),
            path("theirs"),
            path("scratch"),
            path("mirror")
        );
        place.write("settings", settings.as_bytes());
        let ran = Command::new("jigdo-mirror").arg(place.path("settings")).output().unwrap();
        let code = place.assemble(&["--all", "sets", "--templates", templates]).code;
        let (ours, theirs) = (contents(&place.path("out")), contents(&place.path("theirs")));
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(!theirs.is_empty() && theirs.iter().all(|(path, bytes)| ours.get(path) == Some(bytes)), "{said}");
        // It looks at one place only.
        assert_eq!((code, ours.len()), if templates == "sets" { (Some(1), 1) } else { (Some(0), 2) });
    }
}

#[test]
fn two_sets_of_one_image_are_told_apart() {
    let place = place("md5");
    fs::create_dir_all(place.path("again")).unwrap();
    for name in ["one.jigdo", "one.template"] {
        fs::copy(place.path("sets/some").join(name), place.path("again").join(name)).unwrap();
    }
    let ran = place.assemble(&["sets/some/one.jigdo", "again/one.jigdo"]).with(1);
    assert!(ran.err.contains("again/one.jigdo: sets/some/one.jigdo makes out/one.iso too"), "{}", ran.err);
    assert!(place.is_image("out/one.iso", "one"));
}

#[test]
fn files_that_were_renamed_or_moved_are_found() {
    let place = place("sha256");
    fs::create_dir(place.path("mirror/attic")).unwrap();
    fs::rename(place.path("mirror/pool/2.deb"), place.path("mirror/attic/renamed")).unwrap();
    place.assemble(&["sets/some/one.jigdo", "sets/some/two.jigdo"]).with(0);
    assert!(place.is_image("out/one.iso", "one") && place.is_image("out/two.iso", "two"));
}

#[test]
fn old_images_give_what_the_mirror_no_longer_has() {
    for checksum in ["md5", "sha256"] {
        let place = place(checksum);
        for gone in [0, 2, 3] {
            place.remove(&format!("mirror/pool/{gone}.deb"));
        }
        let old = [&noise(7, 12_345)[..], &part(3), &noise(8, 10), &part(0), &part(1)[..500]].concat();
        place.write("old.iso", &old);
        place.write("older.img", &[&noise(9, 1), &part(2)[..]].concat());
        let from = ["--from", "old.iso", "--from", "older.img"];
        place.assemble(&[&["sets/some/one.jigdo", "sets/some/two.jigdo"], &from[..]].concat()).with(0);
        assert!(place.is_image("out/one.iso", "one") && place.is_image("out/two.iso", "two"));
    }
}

#[test]
fn the_earlier_state_of_an_image_gives_its_parts() {
    let place = place("md5");
    place.write("out/one.iso", &[&noise(1, 77)[..], &part(3), &part(1)].concat());
    place.remove("mirror/pool/3.deb");
    place.assemble(&["sets/some/one.jigdo"]).with(0);
    assert!(place.is_image("out/one.iso", "one"));
}

#[test]
fn what_is_missing_is_listed_with_its_urls() {
    let place = place("md5");
    place.remove("mirror/pool/4.deb");
    let mut damaged = part(2);
    damaged[20_000] ^= 1;
    place.write("mirror/pool/2.deb", &damaged);
    let sets = ["sets/some/one.jigdo", "sets/some/two.jigdo"];
    let ran = place.assemble(&[&sets[..], &["--missing", "missing"]].concat()).with(1);
    assert!(ran.err.contains("out/one.iso: 1 part is missing"), "{}", ran.err);
    // The part that is wrong, where it was looked for, and where it should have gone.
    let refused = ran.err.lines().find(|line| line.contains(" WARN ")).unwrap();
    assert!(refused.contains("out/") && refused.contains("mirror/pool/2.deb is not part MD5:"), "{refused}");
    assert!(refused.contains("at offset "), "{refused}");
    let line = |number| {
        let url = |server| format!("https://{server}.example/debian/pool/{number}.deb");
        format!("{}\t{}\n", url("a"), url("b"))
    };
    assert_eq!(fs::read_to_string(place.path("missing")).unwrap(), [line(2), line(4)].concat());
    assert!(!place.path("out/one.iso").exists() && !place.path("out/two.iso").exists());
    assert_eq!(contents(&place.path("out")).len(), 0);
    // Without a file for them, they are named in the log.
    let ran = place.assemble(&sets).with(1);
    assert!(ran.err.contains("  https://a.example/debian/pool/4.deb\n"), "{}", ran.err);
    for number in [2, 4] {
        place.write(&format!("mirror/pool/{number}.deb"), &part(number));
    }
    place.assemble(&[&sets[..], &["--missing", "missing"]].concat()).with(0);
    assert_eq!(fs::read_to_string(place.path("missing")).unwrap(), "");
}

#[test]
fn json_says_what_came_of_each_image() {
    let place = place("sha256");
    place.remove("mirror/pool/5.deb");
    let ran = place.assemble(&["sets/some/one.jigdo", "sets/some/two.jigdo", "--format", "json"]).with(1);
    let json = ran.json();
    let (one, two) = (&json["images"][0], &json["images"][1]);
    assert_eq!((&one["outcome"], &one["image"]), (&"assembled".into(), &"out/one.iso".into()));
    assert_eq!((&one["parts"], &one["bytes"]), (&4.into(), &image("one").len().into()));
    assert_eq!(two["outcome"], "incomplete");
    assert_eq!(two["missing"][0]["urls"][1], "https://b.example/debian/pool/5.deb");
    assert_eq!(two["missing"][0]["bytes"], part(5).len());
}

#[test]
fn wrong_command_lines_and_sets_are_refused_and_nothing_is_written() {
    let place = place("md5");
    let refused = |arguments: &[&str], code, message: &str| {
        let ran = place.run(&[&["assemble", "--into", "out"], arguments].concat()).with(code);
        assert!(ran.err.contains(message), "{}", ran.err);
        assert!(!place.path("out").exists() || contents(&place.path("out")).is_empty());
    };
    let set = "sets/some/one.jigdo";
    refused(&[set, "--mirror", "Debian=nowhere"], 2, "--mirror Debian=nowhere: No such file");
    refused(&[set, "--mirror", "mirror"], 2, "LABEL=DIR");
    refused(&[set, "--from", "nowhere.iso"], 2, "--from nowhere.iso");
    refused(&[set, "--include", "*"], 2, "--all");
    refused(&["--all", "nowhere"], 2, "--all nowhere");
    refused(&["--all", "sets", "--include", "[a"], 2, "[a");
    refused(&["nowhere.jigdo"], 1, "nowhere.jigdo: No such file");
    fs::copy(place.path(set), place.path("alone.jigdo")).unwrap();
    refused(&["alone.jigdo"], 1, "alone.jigdo: its template is not there, looked for as one.template, alone.template");
    place.write("alone.template", b"something else");
    refused(&["alone.jigdo"], 1, "alone.template: ");
    let text = fs::read_to_string(place.path(set)).unwrap();
    place.write("sets/some/one.jigdo", text.replace("Debian:pool/3.deb", "Debian:../3.deb").as_bytes());
    refused(&[&[set], &MIRROR[..]].concat(), 1, "leads out of its tree");
    let mut template = fs::read(place.path("sets/some/two.template")).unwrap();
    template[200] ^= 1;
    place.write("sets/some/two.template", &template);
    refused(&[&["sets/some/two.jigdo"], &MIRROR[..]].concat(), 1, "two.template: it has another sum than");
}

#[test]
fn a_directory_that_cannot_be_written_is_exit_code_3() {
    let place = place("md5");
    place.write("out", b"a file");
    let ran = place.assemble(&["sets/some/one.jigdo"]).with(3);
    assert!(ran.err.contains("out: "), "{}", ran.err);
}

#[test]
fn labels_whose_servers_are_local_need_no_mirror() {
    let place = place("md5");
    let text = fs::read_to_string(place.path("sets/some/one.jigdo")).unwrap();
    let mirror = format!("file:{}/", place.path("mirror").display());
    place.write("sets/some/one.jigdo", text.replace("https://a.example/debian/", &mirror).as_bytes());
    place.run(&["assemble", "--into", "out", "sets/some/one.jigdo"]).with(0);
    assert!(place.is_image("out/one.iso", "one"));
}

#[test]
fn the_template_may_be_anywhere_if_it_is_named() {
    let place = place("md5");
    fs::rename(place.path("sets/some/one.template"), place.path("elsewhere")).unwrap();
    place.assemble(&["sets/some/one.jigdo", "--template", "elsewhere"]).with(0);
    assert!(place.is_image("out/one.iso", "one"));
}

fn jigdo_file(place: &Place, command: &str, checksum: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut jigdo_file = Command::new("jigdo-file");
    jigdo_file.args([command, "--report=noprogress", "--checksum-algorithm", checksum]).args(arguments);
    let output = jigdo_file.current_dir(place.path("")).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What the two programs leave half-assembled, and what they say of it.
#[test]
fn jigdo_file_goes_on_with_our_half_assembled_images_and_we_with_its() {
    if !installed(&["jigdo-file"]) {
        return;
    }
    for checksum in ["md5", "sha256"] {
        let place = place(checksum);
        let names = ["mirror/pool/0.deb", "mirror/pool/1.deb", "mirror/pool/3.deb"];
        let make_image = ["-t", "sets/some/one.template", "-i"];
        let (code, said) = jigdo_file(
            &place,
            "make-image",
            checksum,
            &[&make_image[..], &["theirs.iso", names[0], names[2]]].concat(),
        );
        assert_eq!(code, Some(1), "{said}");
        // From the same parts ours is the same, byte for byte.
        for (from, to) in [("mirror/pool/1.deb", "1.deb"), ("mirror/pool/2.deb", "2.deb")] {
            fs::rename(place.path(from), place.path(to)).unwrap();
        }
        let partial = ["sets/some/one.jigdo", "--partial"];
        let ran = place.assemble(&[&partial[..], &["--format", "json"]].concat()).with(1);
        assert_eq!(ran.json()["images"][0]["tmp"], "out/one.iso.tmp");
        let read = |path: &str| fs::read(place.path(path)).unwrap();
        assert!(read("out/one.iso.tmp") == read("theirs.iso.tmp"), "{checksum}");
        let list = |path: &str| run(Command::new("jigdo-file").args(["ls", "-t"]).arg(place.path(path))).stdout;
        assert_eq!(list("out/one.iso.tmp"), list("theirs.iso.tmp"));

        // Each goes on with the other's.
        let (code, said) =
            jigdo_file(&place, "make-image", checksum, &[&make_image[..], &["out/one.iso", "1.deb"]].concat());
        assert_eq!(code, Some(1), "{said}");
        fs::rename(place.path("theirs.iso.tmp"), place.path("their.tmp")).unwrap();
        fs::rename(place.path("out/one.iso.tmp"), place.path("ours.tmp")).unwrap();
        fs::rename(place.path("their.tmp"), place.path("out/one.iso.tmp")).unwrap();
        fs::rename(place.path("ours.tmp"), place.path("theirs.iso.tmp")).unwrap();
        fs::rename(place.path("2.deb"), place.path("mirror/pool/2.deb")).unwrap();
        let ran = place.assemble(&[&partial[..], &["--format", "json"]].concat()).with(1);
        assert_eq!((&ran.json()["images"][0]["needed"], &ran.json()["images"][0]["found"]), (&2.into(), &1.into()));
        fs::rename(place.path("1.deb"), place.path("mirror/pool/1.deb")).unwrap();
        place.assemble(&partial).with(0);
        assert!(place.is_image("out/one.iso", "one"));
        let (code, said) = jigdo_file(
            &place,
            "make-image",
            checksum,
            &[&make_image[..], &["theirs.iso", "mirror/pool/2.deb"]].concat(),
        );
        assert_eq!(code, Some(0), "{said}");
        assert!(place.is_image("theirs.iso", "one"));
        assert_eq!(contents(&place.path("out")).into_keys().collect::<Vec<_>>(), [Path::new("one.iso")]);
    }
}

#[test]
fn what_lies_in_the_way_of_a_half_assembled_image_is_not_touched() {
    let place = place("md5");
    place.write("out/one.iso.tmp", b"somebody's");
    place.remove("mirror/pool/1.deb");
    let ran = place.assemble(&["sets/some/one.jigdo", "--partial"]).with(1);
    assert!(ran.err.contains("one.iso.tmp is not a half-assembled image"), "{}", ran.err);
    assert_eq!(fs::read(place.path("out/one.iso.tmp")).unwrap(), b"somebody's");
}

/// The sets in testdata that jigdo-file and libjte wrote.
#[test]
fn the_vectors_are_assembled() {
    let place = Place::new();
    let vectors = repository().join("testdata/vectors");
    let mirror = format!("Debian={}", vectors.join("mirror").display());
    let mut assembled = 0;
    for entry in fs::read_dir(&vectors).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jigdo") {
            continue;
        }
        let into = path.file_stem().unwrap().to_str().unwrap();
        let template = path.with_extension("template");
        let arguments = ["assemble", "--into", into, "--mirror", &mirror, path.to_str().unwrap()];
        place.run(&[&arguments[..], &["--template", template.to_str().unwrap()]].concat()).with(0);
        for (name, bytes) in contents(&place.path(into)) {
            assert!(bytes == fs::read(vectors.join(name)).unwrap(), "{into}");
            assembled += 1;
        }
    }
    assert_eq!(assembled, 6);
}

#[test]
fn a_tree_or_filter_that_leaves_no_image_is_refused() {
    let place = place("md5");
    fs::create_dir(place.path("e")).unwrap();
    for (arguments, message) in [
        (&["--all", "e"][..], "there is no jigdo file in e"),
        (&["--all", "sets", "--include", "nomatch"], "leave none of the 2 images in sets"),
        (&["--all", "sets", "--exclude", "*/*"], "leave none of the 2 images in sets"),
    ] {
        let ran = place.assemble(arguments).with(2);
        assert!(ran.err.contains(message), "{}", ran.err);
    }
}

#[test]
fn broken_sets_of_a_tree_have_their_rows() {
    let place = place("md5");
    place.write("sets/some/broken.jigdo", b"[Parts]\nnonsense\n");
    let ran = place.assemble(&["--all", "sets"]).with(1);
    assert!(ran.out.contains("broken.jigdo") && ran.out.contains("2 assembled, 1 failed"), "{}", ran.out);
    assert_eq!(ran.err.matches("broken.jigdo").count(), 1, "{}", ran.err);
}

#[test]
fn a_set_that_is_given_twice_is_assembled_once() {
    let place = place("md5");
    let ran = place.assemble(&["sets/some/one.jigdo", "./sets/some/one.jigdo"]).with(0);
    assert!(ran.out.contains("1 image "), "{}", ran.out);
}
