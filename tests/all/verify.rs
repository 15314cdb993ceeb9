//! `jigpress verify` from outside: images, sets with their mirrors, and SUMS files, right and wrong.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use crate::common::installed;
use crate::common::release::{Place, Ran, sum};
use jigdo::Algorithm;
use testing::noise;

fn part(number: u64) -> Vec<u8> {
    noise(number, 30_000 + 70_001 * number as usize)
}

fn image(name: &str) -> Vec<u8> {
    let parts: &[u64] = if name == "one" { &[0, 1] } else { &[1, 2] };
    let pieces = parts.iter().flat_map(|&number| [noise(100 + number, 3000), part(number)]);
    pieces.flatten().collect()
}

/// A mirror, two images, and their sets with SUMS files.
fn place(checksum: &str) -> Place {
    let place = Place::new();
    (0..3).for_each(|number| drop(place.write(&format!("mirror/pool/{number}.deb"), &part(number))));
    ["one", "two"].iter().for_each(|name| drop(place.write(&format!("images/{name}.iso"), &image(name))));
    let manifest = format!(
        "release: r
mirrors: {{Debian: {{path: mirror, servers: [\"https://a.example/debian/\"]}}}}
defaults: {{checksum: {checksum}, sums: [md5, sha256, sha512]}}
images: [{{path: images/*.iso, output: sets, name: \"{{stem}}\"}}]
"
    );
    place.write("release.yaml", manifest.as_bytes());
    place.publish(&["--quiet"]).with(0);
    place
}

const SETS: [&str; 4] = ["verify", "sets/one.jigdo", "sets/two.jigdo", "--mirror=Debian=mirror"];

/// Changes a byte of a file.
fn damage(place: &Place, path: &str, at: usize) {
    let mut bytes = fs::read(place.path(path)).unwrap();
    bytes[at] ^= 1;
    place.write(path, &bytes);
}

#[test]
fn an_image_is_compared_with_its_template() {
    for checksum in ["md5", "sha256"] {
        let place = place(checksum);
        let verify = |with: &[&str]| place.run(&[&["verify", "images/one.iso"], with].concat());
        let ran = verify(&["sets/one.template"]).with(0);
        assert!(ran.out.starts_with("images/one.iso: right, "), "{}", ran.out);
        verify(&["sets/one.jigdo", "--quiet"]).with(0);
        let ran = verify(&["sets/two.template"]).with(1);
        assert!(ran.out.contains("WRONG, it has 136001 bytes instead of 276003"), "{}", ran.out);
        for at in [10, 3000, 50_000] {
            damage(&place, "images/one.iso", at);
        }
        let ran = verify(&["sets/one.jigdo", "--quiet"]).with(1);
        let lines: Vec<&str> = ran.out.lines().collect();
        assert!(lines[0].starts_with("images/one.iso: WRONG, "), "{}", ran.out);
        assert_eq!(lines[1], "  3000 bytes at offset 0 are not unmatched data");
        assert!(lines[2].starts_with("  30000 bytes at offset 3000 are not part "), "{}", ran.out);
        assert!(lines[2].ends_with(" https://a.example/debian/pool/0.deb"), "{}", ran.out);
        assert!(lines[3].starts_with("  100001 bytes at offset 36000 are not part "), "{}", ran.out);
        let json = verify(&["sets/one.template", "--format", "json"]).with(1).json();
        assert_eq!((&json["is_right"], &json["wrong"][1]["offset"]), (&false.into(), &3000.into()));
    }
}

#[test]
fn jigdo_file_says_the_same_of_images() {
    if !installed(&["jigdo-file"]) {
        return;
    }
    let place = place("md5");
    let jigdo_file = || {
        let mut command = Command::new("jigdo-file");
        command.args(["verify", "--report=quiet", "-i", "images/one.iso", "-t", "sets/one.template"]);
        command.current_dir(place.path("")).output().unwrap().status.success()
    };
    let ours = || place.run(&["verify", "images/one.iso", "sets/one.template"]).code == Some(0);
    assert!(jigdo_file() && ours());
    damage(&place, "images/one.iso", 100_000);
    assert!(!jigdo_file() && !ours());
}

#[test]
fn sets_are_right_if_every_part_is_where_they_say() {
    for checksum in ["md5", "sha256"] {
        let place = place(checksum);
        let ran = place.run(&SETS).with(0);
        assert_eq!(ran.out.matches(": right, 2 parts of ").count(), 2, "{}", ran.out);
        damage(&place, "mirror/pool/1.deb", 70_000);
        let ran = place.run(&SETS).with(1);
        assert_eq!(ran.out.matches(": WRONG, 1 of 2 parts is missing or wrong").count(), 2, "{}", ran.out);
        assert_eq!(ran.out.matches("mirror/pool/1.deb is not part ").count(), 2, "{}", ran.out);
        // One that was moved cannot be had either: who has the set looks for it where the set says.
        place.write("mirror/pool/1.deb", &part(1));
        fs::rename(place.path("mirror/pool/0.deb"), place.path("mirror/0.deb")).unwrap();
        let json = place.run(&[&SETS[..], &["--format=json"]].concat()).with(1).json();
        assert_eq!(json["sets"][0]["missing"][0]["urls"][0], "https://a.example/debian/pool/0.deb");
        assert_eq!((&json["sets"][0]["is_right"], &json["sets"][1]["is_right"]), (&false.into(), &true.into()));
        fs::write(place.path("mirror/pool/0.deb"), &part(0)[1..]).unwrap();
        let ran = place.run(&SETS).with(1);
        assert!(ran.out.contains("pool/0.deb is not part ") && ran.out.contains("it has 29999 bytes"), "{}", ran.out);
    }
}

#[test]
fn sets_that_are_not_whole_are_told() {
    let wrong = |place: &Place, message: &str| {
        let ran = place.run(&["verify", "sets/one.jigdo"]).with(1);
        assert!(ran.out.contains("sets/one.jigdo: WRONG") && ran.out.contains(message), "{}", ran.out);
    };
    let place = place("sha256");
    place.run(&["verify", "sets/one.jigdo", "sets/two.jigdo"]).with(0);
    let whole = fs::read(place.path("sets/one.template")).unwrap();
    damage(&place, "sets/one.template", 300);
    wrong(&place, "one.template: it has another sum than sets/one.jigdo says");
    place.write("sets/one.template", &whole[..whole.len() - 1]);
    wrong(&place, "one.template: ");
    fs::remove_file(place.path("sets/one.template")).unwrap();
    wrong(&place, "its template is not there");
    place.write("sets/one.template", &whole);
    let text = fs::read_to_string(place.path("sets/one.jigdo")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("0.deb")).collect();
    place.write("sets/one.jigdo", lines.join("\n").as_bytes());
    wrong(&place, "[Parts] lacks 1 part of the template, such as SHA256:");
    place.write("sets/one.jigdo", b"[Image\n");
    wrong(&place, "sets/one.jigdo: line 1: ");
}

#[test]
fn sums_files_are_compared_with_the_files_beside_them() {
    let place = place("sha256");
    let ran = place.run(&["verify", "--sums", "sets"]).with(0);
    assert_eq!(ran.out.matches("right, 4 files, 2 images that exist only as sets").count(), 3, "{}", ran.out);
    // An image that is not there, and whose sum the set knows to be another.
    let sums = fs::read_to_string(place.path("sets/SHA256SUMS")).unwrap();
    let line = |line: &str| match line.split_once("  one.iso") {
        Some((sum, _)) => format!("{}  one.iso\n", "0".repeat(sum.len())),
        None => format!("{line}\n"),
    };
    place.write("sets/SHA256SUMS", sums.lines().map(line).collect::<String>().as_bytes());
    let ran = place.run(&["verify", "--sums", "sets"]).with(1);
    assert!(ran.out.contains("  one.iso: it is missing, and its set names another sum, "), "{}", ran.out);
    place.write("sets/SHA256SUMS", sums.as_bytes());
    for name in ["one", "two"] {
        fs::copy(place.path(&format!("images/{name}.iso")), place.path(&format!("sets/{name}.iso"))).unwrap();
    }
    let ran = place.run(&["verify", "--sums", "."]).with(0);
    assert_eq!(ran.out.matches("right, 6 files").count(), 3, "{}", ran.out);
    damage(&place, "sets/two.iso", 12345);
    fs::remove_file(place.path("sets/one.jigdo")).unwrap();
    let ran = place.run(&["verify", "--sums", "sets"]).with(1);
    assert_eq!(ran.out.matches("WRONG, 2 of 6 lines").count(), 3, "{}", ran.out);
    assert!(ran.out.contains("  two.iso: it has another sum, ") && ran.out.contains("  one.jigdo: it is missing"));
    let json = place.run(&["verify", "--sums", "sets", "--format", "json"]).with(1).json();
    assert_eq!(json["sums"][0]["file"], "sets/MD5SUMS");
    assert_eq!(json["sums"][0]["entries"][1]["state"], "missing");
    fs::copy(place.path("images/two.iso"), place.path("sets/two.iso")).unwrap();
    let ran = place.run(&["verify", "--sums", "sets", "--ignore-missing"]).with(0);
    assert!(ran.out.contains("right, 5 files, 1 missing"), "{}", ran.out);
}

/// A directory with `a` and `b`, and their sums.
fn two_files() -> (Place, [String; 2]) {
    let place = Place::new();
    let sums = ["a", "b"].map(|name| {
        place.write(&format!("d/{name}"), name.as_bytes());
        sum(Algorithm::Sha256, name.as_bytes())
    });
    (place, sums)
}

#[test]
fn sums_files_of_other_programs_are_read() {
    let (place, [a, b]) = two_files();
    let (upper, md5) = (a.to_uppercase(), sum(Algorithm::Md5, b"b"));
    place.write("d/c\nd\\", b"a");
    for text in [
        format!("{a}  a\n{b} *b\n"),
        format!("{a} a\r\n{b} b\r\n"),
        format!("SHA256 (a) = {a}\nSHA256(b)= {b}\n"),
        format!("SHA2-256(a)= {a}\nSHA2-256(b)= {b}\n"),
        format!("# sums\n\n \t{upper}  ./a\n{b}\tb"),
        format!("{a}  a\n\\{a}  c\\nd\\\\\n"),
        format!("SHA256 (a) = {a}\nMD5 (b) = {md5}\n"),
    ] {
        place.write("d/SHA256SUMS", text.as_bytes());
        assert_eq!(place.run(&["verify", "--sums", "d"]).with(0).out, "d/SHA256SUMS: right, 2 files\n", "{text}");
    }
    place.write("d/SHA256SUMS", &[a.as_bytes(), b"  a\n", a.as_bytes(), b"  b\xfccher\n"].concat());
    fs::write(place.path("d").join(OsStr::from_bytes(b"b\xfccher")), "a").unwrap();
    place.run(&["verify", "--sums", "d"]).with(0);
}

#[test]
fn each_way_of_writing_sums_is_compared_with_the_file() {
    let (place, [a, b]) = two_files();
    for text in [
        format!("SHA256 (a) = {b}\n"),
        format!("{b} a\n"),
        format!("  {b}  a\n"),
        format!("{b}  a\r\n"),
        // A name that is listed twice, of which the first sum is wrong.
        format!("{b}  a\n{a}  a\n"),
        format!("MD5 (a) = {}\n", sum(Algorithm::Md5, b"b")),
    ] {
        place.write("d/SHA256SUMS", text.as_bytes());
        let ran = place.run(&["verify", "--sums", "d"]).with(1);
        assert!(ran.out.contains("d/SHA256SUMS: WRONG, 1 of "), "{text}{}", ran.out);
        assert!(ran.out.contains("  a: it has another sum, ") && ran.out.contains("(d/SHA256SUMS:1)"), "{}", ran.out);
    }
}

#[test]
fn a_sums_file_of_which_something_could_not_be_checked_is_wrong() {
    let (place, [a, _]) = two_files();
    let verify = |text: &str, arguments: &[&str]| {
        place.write("d/SHA256SUMS", text.as_bytes());
        place.run(&[&["verify", "--sums", "d"], arguments].concat()).with(1)
    };
    for text in ["", "\n", "# nothing\n"] {
        let ran = verify(text, &["--quiet"]);
        assert_eq!(ran.out, "d/SHA256SUMS: WRONG, it has no line that could be checked\n", "{text}");
    }
    // If no file is there, none was checked.
    let ran = verify(&format!("{a}  nowhere\n"), &["--ignore-missing"]);
    assert_eq!(ran.out, "d/SHA256SUMS: WRONG, it has no line that could be checked, 1 missing\n");
    let ran = verify(&format!("{a}  a\n{}\n", &a[..20]), &[]);
    assert!(ran.out.contains("WRONG, 1 of 2 lines\n  d/SHA256SUMS:2: the line cannot be read"), "{}", ran.out);
    let ran = verify(&format!("{a}  a\nBLAKE2b-256 (a) = {a}\n"), &[]);
    assert!(ran.out.contains("  a: the line's algorithm cannot be checked here (d/SHA256SUMS:2)"), "{}", ran.out);
    let page = "<html>\n<p>404</p>\n".repeat(20);
    let ran = verify(&page, &[]);
    assert!(ran.out.contains("WRONG, 40 of 40 lines\n  d/SHA256SUMS:1: the line cannot be read"), "{}", ran.out);
    assert!(ran.out.ends_with("  and 35 more lines that cannot be read\n"), "{}", ran.out);
    assert_eq!(ran.out.lines().count(), 7);
    let json = verify(&page, &["--format", "json"]).json();
    assert_eq!((&json["is_right"], &json["sums"][0]["entries"][1]["state"]), (&false.into(), &"malformed".into()));
    assert_eq!(json["sums"][0]["entries"][1]["line"], 2);
}

#[test]
fn an_image_that_is_only_here_as_a_set_is_known_with_any_path() {
    let place = place("sha256");
    let text = format!("{}  ./one.iso\n", sum(Algorithm::Sha256, &image("one")));
    place.write("sets/SHA256SUMS", text.as_bytes());
    place.write("SHA256SUMS", text.replace("./", "sets/").as_bytes());
    let ran = place.run(&["verify", "--sums", "."]).with(0);
    assert!(ran.out.contains("./SHA256SUMS: right, 0 files, 1 image that exists only as a set"), "{}", ran.out);
    assert!(ran.out.contains("sets/SHA256SUMS: right, 0 files, 1 image that exists only as a set"), "{}", ran.out);
}

#[test]
fn wrong_command_lines_are_refused() {
    let place = place("md5");
    let refused = |arguments: &[&str], code, message: &str| {
        let ran = place.run(&[&["verify"], arguments].concat()).with(code);
        assert!(ran.err.contains(message), "{}", ran.err);
    };
    refused(&[], 2, "required");
    refused(&["images/one.iso"], 2, "name an image and its template");
    refused(&["images/one.iso", "images/two.iso"], 2, "name an image and its template");
    refused(&["nowhere.iso", "sets/one.template"], 3, "nowhere.iso: No such file");
    refused(&["sets/one.jigdo", "--mirror", "Debian=nowhere"], 2, "--mirror Debian=nowhere");
    refused(&["--sums", "mirror"], 2, "there are no MD5SUMS");
    refused(&["--sums", "nowhere"], 3, "nowhere: No such file");
}

#[test]
fn names_that_are_not_utf8_reach_the_json_of_every_command() {
    let place = place("md5");
    let name = OsStr::from_bytes(b"t\xe9");
    fs::create_dir(place.path("x")).unwrap();
    fs::rename(place.path("sets"), place.path("x").join(name)).unwrap();
    fs::write(place.path("x").join(name).join("w.jigdo"), "<html>").unwrap();
    for command in [&["verify"][..], &["servers", "show"], &["servers", "check", "--any"]] {
        let mut run = place.command(&[command, &["--format=json"]].concat());
        let ran = Ran::of(run.arg(place.path("x").join(name)));
        let left_out = &ran.json()["left_out"][0];
        assert!(left_out["text"].as_str().unwrap().ends_with("t\\xe9/w.jigdo"), "{command:?}: {}", ran.err);
    }
}

#[test]
fn a_tree_without_a_set_is_no_success_and_parts_that_nothing_includes_are_named() {
    let place = place("md5");
    let text = String::from_utf8(fs::read(place.path("sets/one.jigdo")).unwrap()).unwrap();
    let (image, parts) = (text.replace("[Parts]", "[Partz]"), text.replace("[Image]", "[Imgae]"));
    place.write("d/one.jigdo", parts.as_bytes());
    for command in [&["verify", "d"][..], &["assemble", "--into", "out", "--all", "d"]] {
        let ran = place.run(command).with(2);
        assert!(ran.err.contains("no jigdo file in d describes an image"), "{}", ran.err);
    }
    place.write("sets/lost.jigdo", parts.as_bytes());
    let ran = place.run(&["verify", "sets"]).with(0);
    assert!(ran.err.contains("sets/lost.jigdo: it has parts but no [Image] section"), "{}", ran.err);
    assert_eq!(ran.out.lines().count(), 2, "{}", ran.out);
    // A file that another includes is where it should be.
    place
        .write("sets/more.jigdo", format!("{image}\n[Include lost.jigdo]\n").replace("one.iso", "more.iso").as_bytes());
    assert_eq!(place.run(&["verify", "sets"]).with(0).err, "");
}

#[test]
fn a_version_that_is_not_known_is_wrong() {
    let place = place("md5");
    let text = String::from_utf8(fs::read(place.path("sets/one.jigdo")).unwrap()).unwrap();
    for version in ["3.0", "99.0"] {
        place.write("sets/one.jigdo", text.replace("Version=1.2", &format!("Version={version}")).as_bytes());
        let ran = place.run(&["verify", "sets/one.jigdo"]).with(1);
        assert!(ran.out.contains(&format!("it has version {version}")), "{}", ran.out);
        place.run(&["assemble", "--into", "out", "--mirror=Debian=mirror", "sets/one.jigdo"]).with(1);
        assert!(!place.path("out/one.iso").exists());
    }
}

#[test]
fn messages_show_a_path_in_one_way_and_json_has_its_bytes() {
    let place = place("md5");
    let name = OsStr::from_bytes(b"K\xe4se");
    fs::rename(place.path("mirror"), place.path("m")).unwrap();
    fs::create_dir(place.path("x")).unwrap();
    fs::rename(place.path("m"), place.path("x").join(name)).unwrap();
    place.write("m", b"");
    let pool = place.path("x").join(name).join("pool/0.deb");
    fs::write(&pool, noise(9, 30_000)).unwrap();
    let mirror = [b"--mirror=Debian=", place.path("x").join(name).as_os_str().as_bytes()].concat();
    let mut run = place.command(&["verify", "sets/one.jigdo", "--format=json"]);
    let ran = Ran::of(run.arg(OsStr::from_bytes(&mirror))).with(1);
    let file = &ran.json()["sets"][0]["wrong"][0]["file"];
    assert!(file["text"].as_str().unwrap().ends_with("K\\xe4se/pool/0.deb"), "{}", ran.out);
    let bytes: String = pool.as_os_str().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(file["bytes"].as_str(), Some(&*bytes));
    // A broken set's directory is shown once, and with its bytes.
    place.write("broken/x.jigdo", b"[Parts]\nnonsense\n");
    fs::rename(place.path("broken"), place.path("x").join(OsStr::from_bytes(b"t\xe9"))).unwrap();
    for command in [&["verify"][..], &["servers", "check"], &["servers", "show"]] {
        let ran = Ran::of(place.command(command).arg(place.path("x").join(OsStr::from_bytes(b"t\xe9"))));
        let said = ran.out + &ran.err;
        let shown = said.lines().find(|line| line.contains("line 2")).unwrap();
        assert_eq!(shown.matches("t\\xe9/x.jigdo").count(), 1, "{said}");
        assert!(!said.contains('\u{fffd}'), "{said}");
    }
}
