//! Paths and texts that are not UTF-8, or that would control a terminal, through every command that reads sets.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use jigdo::base64;
use jigdo::jigdo_file::gzip;
use jigdo::{Algorithm, Checksum, Sum};
use testing::noise;

use crate::common::installed;
use crate::common::release::{Place, Ran, sum};

/// A part's path in Latin-1.
const PATH: &[u8] = b"pool/K\xe4se_1.0.deb";

fn part() -> Vec<u8> {
    noise(1, 30_000)
}

fn image() -> Vec<u8> {
    [noise(2, 3000), part()].concat()
}

impl Place {
    fn of_bytes(&self, directory: &str, name: &[u8]) -> PathBuf {
        self.path(directory).join(OsStr::from_bytes(name))
    }
}

/// A mirror with a part, and `sets/one.jigdo` with this path for it and these lines at the end of `[Image]`.
fn place(path: &[u8], more: &[u8]) -> Place {
    let place = Place::new();
    place.write("mirror/pool/plain.deb", &part());
    place.write("images/one.iso", &image());
    let manifest = "release: r\nmirrors: {D: {path: mirror, servers: ['http://s.example/']}}\n\
                    defaults: {sums: [], checksum: md5}\n\
                    images: [{path: images/*.iso, output: sets, name: '{stem}'}]\n";
    place.write("release.yaml", manifest.as_bytes());
    place.publish(&["--quiet"]).with(0);
    let target = place.of_bytes("mirror", path);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::rename(place.path("mirror/pool/plain.deb"), target).unwrap();
    let text = fs::read_to_string(place.path("sets/one.jigdo")).unwrap();
    let (head, tail) = text.split_once("pool/plain.deb").unwrap();
    let (start, parts) = head.split_once("[Parts]\n").unwrap();
    let parts = parts.replace("=D:", "='D:");
    let text = [start.as_bytes(), more, b"\n[Parts]\n", parts.as_bytes(), path, b"'", tail.as_bytes()].concat();
    place.write("sets/one.jigdo", &text);
    place
}

#[test]
fn a_part_whose_path_is_not_utf8_is_found_and_named_to_the_byte() {
    let place = place(PATH, b"Info=\xdcber K\xe4se");
    let set = ["sets/one.jigdo", "--mirror", "D=mirror"];
    place.run(&[&["assemble", "--into", "out"], &set[..]].concat()).with(0);
    assert!(fs::read(place.path("out/one.iso")).unwrap() == image());
    place.run(&["assemble", "--into", "all", "--all", "sets", "--mirror", "D=mirror"]).with(0);
    place.run(&[&["verify"], &set[..]].concat()).with(0);
    place.run(&["servers", "check", "sets", "--server", "D=../mirror/"]).with(0);
    place.run(&["snapshot", "--no-check", "--into", "copy", "--from", "sets", "--mirror", "D=mirror"]).with(0);
    assert!(fs::read(place.of_bytes("copy", PATH)).unwrap() == part());
    // Compressed, it is the same.
    let text = fs::read(place.path("sets/one.jigdo")).unwrap();
    place.write("sets/one.jigdo", &gzip(&text).unwrap());
    place.run(&[&["verify"], &set[..]].concat()).with(0);

    fs::remove_dir_all(place.path("mirror/pool")).unwrap();
    let missing = ["assemble", "--into", "out2", "--missing", "list", "--format", "json"];
    let ran = place.run(&[&missing[..], &set[..]].concat()).with(1);
    assert_eq!(fs::read(place.path("list")).unwrap(), [b"http://s.example/", PATH, b"\n"].concat());
    let url = &ran.json()["images"][0]["missing"][0]["urls"][0];
    assert_eq!(url["text"], "http://s.example/pool/K\\xe4se_1.0.deb");
    assert_eq!(url["bytes"], jigdo::hex(&[b"http://s.example/", PATH].concat()));
    let json = place.run(&["inspect", "sets/one.jigdo", "--format", "json"]).with(0).json();
    assert_eq!(json["parts"][0]["path"]["bytes"], jigdo::hex(PATH));
    assert_eq!((&json["parts"][0]["label"], &json["images"][0]["filename"]), (&"D".into(), &"one.iso".into()));
    assert_eq!(json["images"][0]["info"]["text"], "\\xdcber K\\xe4se");
    let ran = place.run(&["inspect", "sets/one.jigdo"]).with(0);
    assert!(ran.out.contains("  D:pool/K\\xe4se_1.0.deb\n"), "{}", ran.out);
}

#[test]
fn servers_are_changed_around_bytes_that_are_not_utf8() {
    let place = place(PATH, b"Info=\xdcber K\xe4se");
    let before = fs::read(place.path("sets/one.jigdo")).unwrap();
    let change = ["servers", "set", "--server", "D=https://new.example/", "sets"];
    let dry = place.command(&[&change[..], &["--dry-run"]].concat()).output().unwrap();
    assert!(String::from_utf8_lossy(&dry.stdout).contains("+D=https://new.example/"));
    place.run(&change).with(0);
    let after = fs::read(place.path("sets/one.jigdo")).unwrap();
    let old = b"D=http://s.example/";
    let at = before.windows(old.len()).position(|found| found == old).unwrap();
    assert_eq!(after, [&before[..at], b"D=https://new.example/", &before[at + old.len()..]].concat());
    if installed(&["patch"]) {
        place.write("sets/one.jigdo", &before);
        place.write("patch", &dry.stdout);
        let patched = Command::new("patch").args(["-p0", "-i", "patch"]).current_dir(place.path("")).output().unwrap();
        assert!(patched.status.success(), "{}", String::from_utf8_lossy(&patched.stdout));
        assert_eq!(fs::read(place.path("sets/one.jigdo")).unwrap(), after);
    }
    place.run(&["servers", "set", "--relabel", "D=E", "sets"]).with(0);
    let relabelled = fs::read(place.path("sets/one.jigdo")).unwrap();
    let wanted = [b"='E:", PATH, b"'\n"].concat();
    assert!(relabelled.windows(wanted.len()).any(|found| found == wanted));
    place.run(&["assemble", "--into", "out", "sets/one.jigdo", "--mirror", "E=mirror"]).with(0);
}

#[test]
fn an_image_whose_name_is_not_utf8_has_that_name() {
    let place = place(PATH, b"");
    let text = fs::read(place.path("sets/one.jigdo")).unwrap();
    let at = text.windows(9).position(|found| found == b"Filename=").unwrap() + 9;
    place.write("sets/one.jigdo", &[&text[..at], b"\xfc", &text[at..]].concat());
    let ran = place.run(&["assemble", "--into", "out", "sets/one.jigdo", "--mirror", "D=mirror", "--format", "json"]);
    let report = ran.with(0).json();
    assert_eq!(report["images"][0]["image"]["text"], "out/\\xfcone.iso");
    assert!(fs::read(place.of_bytes("out", b"\xfcone.iso")).unwrap() == image());
}

#[test]
fn the_drop_in_names_files_as_jigdo_file_does_whatever_their_bytes() {
    if !installed(&["jigdo-file"]) {
        return;
    }
    let place = place(PATH, b"");
    let run = |program: &mut Command, name: &str| {
        let files = ["-j", &format!("{name}.jigdo"), "-t", &format!("{name}.template"), "-i", "images/one.iso"];
        program.args(["print-missing-all"]).args(files).args(["--uri", "D=http://q/"]);
        program.current_dir(place.path("")).stdin(Stdio::null()).stderr(Stdio::null()).output().unwrap().stdout
    };
    fs::rename(place.path("images/one.iso"), place.path("images/two.iso")).unwrap();
    let theirs = run(&mut Command::new("jigdo-file"), "sets/one");
    let wanted = [b"http://q/", PATH, b"\n"].concat();
    assert!(theirs.windows(wanted.len()).any(|found| found == wanted));
    assert_eq!(run(&mut place.command(&["jigdo-file"]), "sets/one"), theirs);
}

/// Sets the terminal's title, clears it, and turns the text around.
const EVIL: &str = "e\u{1b}]0;x\u{7}\u{1b}[2J\u{9b}31m\u{202e}vil";

#[track_caller]
fn is_harmless(ran: &Ran) {
    for text in [&ran.out, &ran.err] {
        let unsafe_ones = ['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}'];
        assert!(!text.contains(unsafe_ones), "{text:?}");
    }
}

#[test]
fn nothing_that_strangers_wrote_reaches_the_terminal_raw() {
    let place = place(format!("pool/{EVIL}.deb").as_bytes(), format!("Info={EVIL}\n# {EVIL}").as_bytes());
    let set = fs::read_to_string(place.path("sets/one.jigdo")).unwrap();
    let servers = format!("[Servers]\nD=http://{EVIL}/\n{EVIL}=http://{EVIL}/\n[Include http://{EVIL}/]\n");
    place.write("sets/one.jigdo", set.replace("[Servers]\n", &servers).as_bytes());
    place.write("evil.jigdo", format!("[Parts]\n{EVIL}\n").as_bytes());
    place.write("evil2.jigdo", format!("[Image]\nFilename={EVIL}/..\nTemplate={EVIL}\n").as_bytes());
    place.write("evil.template", format!("JigsawDownload template 1.{EVIL}\r\n\r\n\r\n").as_bytes());
    let line = format!("{}  {EVIL}\n", sum(Algorithm::Md5, b""));
    place.write("sums/MD5SUMS", line.as_bytes());
    place.write(&format!("evil/{EVIL}.jigdo"), b"[Parts]\njunk\n");
    let key = base64::encode(Sum::of(Checksum::Md5, b"").as_bytes());
    place.write("leaves.jigdo", format!("[Image]\nFilename=x\nTemplate=y\n[Parts]\n{key}=D:../{EVIL}\n").as_bytes());
    for arguments in [
        &["inspect", "sets/one.jigdo"][..],
        &["inspect", "evil.jigdo"],
        &["inspect", "evil.template"],
        &["assemble", "--into", "out", "sets/one.jigdo", "--mirror", "D=nowhere"],
        &["assemble", "--into", "out", "sets/one.jigdo"],
        &["assemble", "--into", "out", "evil.jigdo"],
        &["assemble", "--into", "out", "evil2.jigdo"],
        &["assemble", "--into", "out", "--all", "."],
        &["verify", "sets/one.jigdo", "--mirror", "D=images"],
        &["verify", "evil.jigdo"],
        &["verify", "--sums", "sums"],
        &["snapshot", "--no-check", "--into", "copy", "--from", "sets", "--mirror", "D=images"],
        &["snapshot", "--no-check", "--into", "copy", "--from", "leaves.jigdo", "--mirror", "D=images"],
        &["servers", "show", "sets"],
        &["servers", "show", "evil"],
        &["servers", "show", "."],
        &["servers", "set", "--server", "D=http://x/", "--dry-run", "evil.jigdo"],
        &["servers", "set", "--server", "D=http://x/", "evil"],
        &["servers", "check", "evil", "leaves.jigdo"],
        &["jigdo-file", "make-image", "-t", "evil.template", "-i", "x.iso"],
        &["jigdo-file", "print-missing", "-j", "evil.jigdo", "-t", "sets/one.template", "-i", "x.iso"],
    ] {
        let ran = place.run(arguments);
        assert_ne!(ran.code, Some(101), "{arguments:?}: {}", ran.err);
        is_harmless(&ran);
    }
}
