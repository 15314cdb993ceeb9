//! `jigpress servers show` and `servers set` from outside: trees of jigdo files are looked at and changed, and whatever
//! goes wrong leaves them whole.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::common::installed;
use crate::common::release::{Mount, Place, contents, stamps, sum};
use jigdo::Algorithm;
use jigdo::jigdo_file::gzip;
use testing::noise;

const MD5: &str = "nXb3pOcG17eayxE_uI2UCA";
const SHA256: &str = "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg";

/// A jigdo file as somebody else may have written it, with this `[Servers]` section.
fn jigdo(servers: &str) -> String {
    format!(
        "# JigsawDownload\n\n[Jigdo]\nVersion=1.2\nGenerator=jigdo-file/0.8.1\n\n[Image]\nFilename=a.iso\n\
         Template=http://x/a.template\nShortInfo='it''s'\n# Image size 5 bytes\n\n[Parts]\n\
         {MD5}=Debian:pool/a.deb\n{MD5} = 'Debian:pool/b c.deb'  # quoted\n{SHA256}=NonUS:d.deb\n\n\
         # mine\n[Servers]\n{servers}\n[Comment]\nnot = an 'entry\n"
    )
}

const OLD: &str = "Debian=http://old/debian/\nNonUS=http://old/non-us/\n";
const NEW: &str = "Debian=https://new/debian/\nDebian=http://snapshot/ --try-last\nNonUS=http://old/non-us/\n";

/// The options that make `NEW` of `OLD`.
const CHANGE: [&str; 4] = ["--server", "Debian=https://new/debian", "--server", "Debian=http://snapshot/ --try-last"];

fn set(arguments: &[&'static str]) -> Vec<&'static str> {
    [&["servers", "set"], arguments, &CHANGE[..]].concat()
}

/// A tree of two directories, three files, one of them compressed.
fn place() -> Place {
    let place = Place::new();
    place.write("tree/amd64/one.jigdo", jigdo(OLD).as_bytes());
    place.write("tree/amd64/two.jigdo", &gzip(&jigdo(OLD)).unwrap());
    place.write("tree/arm64/three", jigdo(OLD).as_bytes());
    place.write("tree/arm64/README", b"[no] jigdo file\n");
    place
}

#[track_caller]
fn assert_changed(place: &Place) {
    assert_eq!(fs::read_to_string(place.path("tree/amd64/one.jigdo")).unwrap(), jigdo(NEW));
    assert_eq!(fs::read(place.path("tree/amd64/two.jigdo")).unwrap(), gzip(&jigdo(NEW)).unwrap());
    assert_eq!(fs::read_to_string(place.path("tree/arm64/three")).unwrap(), jigdo(NEW));
    assert!(!place.path("tree/amd64/.jigpress").exists() && !place.path("tree/arm64/.jigpress").exists());
}

#[test]
fn labels_are_shown_with_their_files_parts_and_servers() {
    let place = place();
    place.write("tree/arm64/four.jigdo", jigdo("Debian=http://old/debian/ --try-last\n").as_bytes());
    let ran = place.run(&["servers", "show", "tree", "--format", "json"]).with(0);
    let shown = ran.json();
    assert_eq!(shown["files"], 4);
    let labels = shown["labels"].as_array().unwrap();
    let summary = |label: &serde_json::Value| {
        let number = |key: &str| label[key].as_u64().unwrap();
        (label["label"].as_str().unwrap().to_owned(), number("files"), number("parts"), number("files_without_server"))
    };
    let summaries: Vec<_> = labels.iter().map(summary).collect();
    assert_eq!(summaries, [("Debian".to_owned(), 4, 8, 0), ("NonUS".to_owned(), 4, 4, 1)]);
    assert_eq!(labels[0]["servers"].as_array().unwrap().len(), 2);
    let table = place.run(&["servers", "show", "tree/amd64", "tree/arm64/four.jigdo"]).with(0).out;
    let expected = "\
label                            files  parts
Debian                               3      6
  http://old/debian/                 2
  http://old/debian/ --try-last      1
NonUS                                3      3  1 without a server
  http://old/non-us/                 2
3 files
";
    assert_eq!(table, expected);
}

#[test]
fn what_cannot_be_shown_is_named_and_the_rest_is_shown() {
    let place = place();
    place.write("tree/arm64/broken.jigdo", b"[Parts\n");
    let ran = place.run(&["servers", "show", "tree"]).with(1);
    assert!(
        ran.err.contains("tree/arm64/broken.jigdo: line 1: the name of the section has no closing ]"),
        "{}",
        ran.err
    );
    assert!(ran.out.contains("3 files"), "{}", ran.out);
    let ran = place.run(&["servers", "show", "nowhere"]).with(2);
    assert!(ran.err.contains("nowhere"), "{}", ran.err);
}

#[test]
fn sections_change_and_every_other_byte_stays() {
    let place = place();
    let ran = place.run(&set(&["tree"])).with(0);
    assert_eq!(ran.out, "3 jigdo files changed, 0 unchanged, 0 SUMS files changed\n");
    assert_changed(&place);
    let before = stamps(&place.path("tree"));
    let ran = place.run(&set(&["tree"])).with(0);
    assert_eq!(ran.out, "0 jigdo files changed, 3 unchanged, 0 SUMS files changed\n");
    assert_eq!(stamps(&place.path("tree")), before, "nothing is written where nothing changes");
}

#[test]
fn mode_owner_and_on_request_mtime_stay() {
    let place = place();
    let one = place.path("tree/amd64/one.jigdo");
    fs::set_permissions(&one, fs::Permissions::from_mode(0o640)).unwrap();
    let is_root = chown(&one, Some(1234), Some(4321)).is_ok();
    let before = fs::metadata(&one).unwrap();
    place.run(&set(&["--keep-mtime", "tree"])).with(0);
    let after = fs::metadata(&one).unwrap();
    assert_ne!(after.ino(), before.ino());
    assert_eq!((after.mode(), after.mtime(), after.mtime_nsec()), (before.mode(), before.mtime(), before.mtime_nsec()));
    assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
    assert!(!is_root || after.uid() == 1234);
    place.run(&["servers", "set", "tree", "--server", "NonUS=http://n/"]).with(0);
    assert!(fs::metadata(&one).unwrap().mtime() > before.mtime());
}

#[test]
fn labels_and_servers_that_are_typed_wrong_are_errors_with_the_nearest_right_ones() {
    let place = place();
    let before = contents(&place.path("tree"));
    for (options, message) in [
        (&["--server", "Debain=http://x/"][..], "no file has the label \"Debain\"; did you mean \"Debian\"?"),
        (&["--server", "Ubuntu=http://x/"], "no file has the label \"Ubuntu\"; the labels are Debian, NonUS"),
        (&["--server", "Debian=NonUSA:x/"], "\"NonUSA\" is not defined; did you mean \"NonUS\"?"),
        (&["--server", "Debian=http://x/", "--label", "Debain"], "--label Debain: no file has the label"),
        (&["--relabel", "Debain=D"], "--relabel Debain=D: no file has the label"),
        (
            &["--relabel", "Debian=D", "--server", "Debian=http://x/"],
            "no file has the label \"Debian\"; the labels are NonUS, D",
        ),
        (&["--server", "Debian=deb.example.org/debian/"], "write \"https://deb.example.org/debian/\""),
        (&["--server", "Debian=htps://x/"], "did you mean \"https://\"?"),
        (&["--server", "Debian=htps:/x/"], "did you mean \"https://\"?"),
        (&["--server", "Debian=rsync://x/debian/"], "do not download with rsync"),
        (&["--server", "Debian=localhost:8080/debian/"], "write \"http://localhost:8080/debian/\""),
    ] {
        let ran = place.run(&[&["servers", "set", "tree"], options].concat()).with(2);
        assert!(ran.err.contains(message), "{options:?}: {}", ran.err);
        assert!(contents(&place.path("tree")) == before);
        if options.len() == 2 && options[0] == "--server" {
            let ran = place.run(&[&["servers", "check", "tree"], options].concat()).with(2);
            assert!(ran.err.contains(message), "{options:?}: {}", ran.err);
        }
    }
    // A server that should never have been there can be removed.
    place.write("bad.jigdo", jigdo("Debian=deb.example.org/\nDebian=http://x/\nNonUS=http://y/\n").as_bytes());
    let remove = ["servers", "set", "bad.jigdo", "--mode", "remove", "--server", "Debian=deb.example.org/"];
    place.run(&remove).with(0);
    let expected = jigdo("Debian=http://x/\nNonUS=http://y/\n");
    assert_eq!(fs::read_to_string(place.path("bad.jigdo")).unwrap(), expected);
    // A server may lead to a label that only another server gives.
    place.run(&["servers", "set", "tree", "--server", "Debian=Mirror:x/", "--server", "Mirror=http://m/"]).with(0);
}

#[test]
fn a_symbolic_link_that_is_named_stays_one() {
    let place = place();
    std::os::unix::fs::symlink("tree/amd64/one.jigdo", place.path("link.jigdo")).unwrap();
    place.run(&set(&["link.jigdo"])).with(0);
    assert!(fs::symlink_metadata(place.path("link.jigdo")).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(place.path("tree/amd64/one.jigdo")).unwrap(), jigdo(NEW));
}

#[test]
fn servers_come_from_a_manifest_whose_trees_and_images_need_not_be_there() {
    let place = place();
    let manifest = "release: r\nmirrors:\n  Debian: {path: /nowhere, servers: ['https://new/debian', \
                    {url: 'http://snapshot/', try_last: true}]}\n  Other: {path: /nowhere, servers: ['http://o/']}\n\
                    images: [{path: '/nowhere/*.iso', output: out}]\n";
    place.write("release.yaml", manifest.as_bytes());
    let ran = place.run(&["servers", "set", "tree", "--from", "release.yaml"]).with(0);
    assert_changed(&place);
    assert!(ran.err.contains("no file has the label \"Other\""), "{}", ran.err);
    place.write("release.yaml", manifest.replace("release: r", "relase: r").as_bytes());
    assert!(place.run(&["servers", "set", "tree", "--from", "release.yaml"]).with(2).err.contains("release.yaml:1:"));
}

#[test]
fn sums_of_changed_files_are_brought_up_to_date_and_signatures_are_known_to_be_stale() {
    let place = place();
    let one = |algorithm| sum(algorithm, &fs::read(place.path("tree/amd64/one.jigdo")).unwrap());
    for algorithm in Algorithm::ALL {
        let name = format!("tree/amd64/{}SUMS", algorithm.name());
        place.write(
            &name,
            format!("# by hand\n{}  z.iso\n{} *./one.jigdo\n", "0".repeat(64), one(algorithm)).as_bytes(),
        );
    }
    place.write("tree/arm64/SHA256SUMS", format!("{}  other.jigdo\n", "0".repeat(64)).as_bytes());
    for signature in ["tree/amd64/SHA256SUMS.sign", "tree/amd64/SHA512SUMS.asc", "tree/arm64/SHA256SUMS.gpg"] {
        place.write(signature, b"signature");
    }
    let before = fs::metadata(place.path("tree/arm64/SHA256SUMS")).unwrap().ino();
    let ran = place.run(&set(&["tree"])).with(0);
    assert!(ran.out.contains("4 SUMS files changed"), "{}", ran.out);
    for algorithm in Algorithm::ALL {
        let text = fs::read_to_string(place.path(&format!("tree/amd64/{}SUMS", algorithm.name()))).unwrap();
        let expected = format!("# by hand\n{}  z.iso\n{} *./one.jigdo\n", "0".repeat(64), one(algorithm));
        assert_eq!(text, expected);
    }
    assert_eq!(fs::metadata(place.path("tree/arm64/SHA256SUMS")).unwrap().ino(), before);
    let stale: Vec<_> = ran.err.lines().filter(|line| line.contains("is stale")).collect();
    assert!(
        stale.len() == 2 && stale[0].contains("SHA256SUMS.sign") && stale[1].contains("SHA512SUMS.asc"),
        "{stale:?}"
    );
}

#[test]
fn sums_are_changed_in_lines_of_any_kind() {
    let place = place();
    let filled = |text: &str| {
        let bytes = fs::read(place.path("tree/amd64/one.jigdo")).unwrap();
        let [md5, sha256] = [Algorithm::Md5, Algorithm::Sha256].map(|algorithm| sum(algorithm, &bytes));
        text.replace("{md5}", &md5).replace("{sha256}", &sha256).replace("{other}", &"0".repeat(64))
    };
    let text = "# by hand\r\n{sha256}  one.jigdo\r\n{sha256} one.jigdo\n \t{sha256} *././one.jigdo\n\
                SHA256 (one.jigdo) = {sha256}\r\nMD5(one.jigdo)= {md5}\n{other}  other.jigdo\ncut {sha256}\n\
                {other} b\r\nBLAKE2b-256 (x) = {other}\n{sha256}\tone.jigdo";
    place.write("tree/amd64/SHA256SUMS", filled(text).as_bytes());
    let cut = filled("cut {sha256}");
    let ran = place.run(&set(&["tree"])).with(0);
    assert!(ran.out.contains("1 SUMS file changed"), "{}", ran.out);
    let expected = filled(&text.replace("cut {sha256}", &cut));
    assert_eq!(fs::read_to_string(place.path("tree/amd64/SHA256SUMS")).unwrap(), expected);
}

#[test]
fn sums_files_that_changed_are_signed_once_each() {
    if !installed(&["sh", "sha256sum"]) {
        return;
    }
    let place = place();
    for name in ["tree/amd64/SHA256SUMS", "tree/amd64/MD5SUMS"] {
        place.write(name, format!("{}  one.jigdo\n{}  two.jigdo\n", "0".repeat(64), "0".repeat(64)).as_bytes());
        place.write(&format!("{name}.sign"), b"old");
    }
    let command = "echo \"$1\" >> signed && sha256sum \"$1\" > \"$1.sign\"";
    let ran = place.run(&[&set(&["tree"])[..], &["--sign-command", command]].concat()).with(0);
    assert!(!ran.err.contains("stale"), "{}", ran.err);
    let signed = fs::read_to_string(place.path("signed")).unwrap();
    let names: Vec<_> = signed.lines().map(|line| line.rsplit_once("/tree/").unwrap().1).collect();
    assert_eq!(names, ["amd64/MD5SUMS", "amd64/SHA256SUMS"]);
    let arguments = ["servers", "set", "tree", "--server", "Debian=http://x/", "--sign-command", "exit 7"];
    let ran = place.run(&arguments).with(1);
    assert!(ran.err.contains("MD5SUMS: the command that signs it failed: exit status: 7"), "{}", ran.err);
    assert!(ran.err.contains("MD5SUMS.sign is stale"), "{}", ran.err);
}

#[test]
fn a_dry_run_prints_a_patch_and_writes_nothing() {
    let place = place();
    let text = jigdo(OLD);
    place.write("tree/amd64/MD5SUMS", format!("{}  one.jigdo\n", sum(Algorithm::Md5, text.as_bytes())).as_bytes());
    let before = (contents(&place.path("tree")), stamps(&place.path("tree")));
    let ran = place.run(&set(&["tree/amd64/one.jigdo", "--dry-run"])).with(0);
    assert_eq!((contents(&place.path("tree")), stamps(&place.path("tree"))), before);
    assert!(ran.out.starts_with("--- tree/amd64/one.jigdo\n+++ tree/amd64/one.jigdo\n@@ "), "{}", ran.out);
    assert!(ran.out.contains("\n-Debian=http://old/debian/\n+Debian=https://new/debian/\n"), "{}", ran.out);
    let changed = sum(Algorithm::Md5, jigdo(NEW).as_bytes());
    assert!(ran.out.contains(&format!("\n+{changed}  one.jigdo\n")), "{}", ran.out);
    place.write("patch", ran.out.as_bytes());
    let patch =
        Command::new("patch").args(["-p0", "-i", "patch"]).current_dir(place.path("")).stdout(Stdio::null()).status();
    if patch.is_ok_and(|status| status.success()) {
        assert_eq!(fs::read_to_string(place.path("tree/amd64/one.jigdo")).unwrap(), jigdo(NEW));
    }
}

#[test]
fn one_file_that_cannot_be_changed_keeps_all_as_they_are() {
    let place = place();
    let bad = |name: &str, text: &[u8], message: &str, arguments: &[&str]| {
        let path = place.write(&format!("tree/zzz/{name}"), text);
        let before = (contents(&place.path("tree")), stamps(&place.path("tree")));
        let ran = place.run(arguments).with(2);
        assert!(ran.err.contains(name) && ran.err.contains(message), "{}", ran.err);
        assert!(ran.err.contains("nothing was changed"), "{}", ran.err);
        assert_eq!((contents(&place.path("tree")), stamps(&place.path("tree"))), before, "{message}");
        fs::remove_file(path).unwrap();
    };
    let change = set(&["tree"]);
    bad("a.jigdo", b"[Jigdo]\n[Parts\n", "line 2: the name of the section has no closing ]", &change);
    bad("a.jigdo", b"", "no sections", &change);
    bad("a.jigdo", b"[Parts]\nx=y\n", "line 2: \"x\" is not the base64", &change);
    bad("a.jigdo", &gzip(&jigdo(OLD)).unwrap()[..100], "gzip-compressed data are corrupt", &change);
    bad("a.jigdo", jigdo("Debian=Debian:x/\n").as_bytes(), "\"NonUS\"", &change);
    let looped = ["servers", "set", "tree", "--server", "Debian=NonUS:x/"];
    bad("a.jigdo", jigdo("NonUS=Debian:x/\n").as_bytes(), "loop of labels", &looped);
    let unserved = ["servers", "set", "tree", "--mode", "remove", "--label", "NonUS"];
    bad("a.jigdo", jigdo(OLD).as_bytes(), "parts use label \"NonUS\", which would be left without a server", &unserved);
    place.run(&[&unserved[..], &["--allow-unserved"]].concat()).with(0);
}

#[test]
fn labels_are_renamed_in_parts_and_servers() {
    let place = place();
    place
        .run(&["servers", "set", "tree", "--relabel", "Debian=Archive", "--include-jigdo", "http://i/x.jigdo"])
        .with(0);
    let expected = jigdo(OLD).replace("=Debian:", "=Archive:").replace("'Debian:", "'Archive:");
    let expected = expected.replace("\nDebian=", "\nArchive=") + "\n[Include http://i/x.jigdo]\n";
    assert_eq!(fs::read_to_string(place.path("tree/arm64/three")).unwrap(), expected);
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused() {
    let place = place();
    for arguments in [
        &["servers", "set", "tree"][..],
        &["servers", "set", "tree", "--server", "Debian"],
        &["servers", "set", "tree", "--server", "http=x"],
        &["servers", "set", "tree", "--relabel", "Debian"],
        &["servers", "set", "tree", "--mode", "remove"],
        &["servers", "set", "--server", "Debian=http://x/"],
        &["servers", "set", "tree", "--server", "Debian=http://x/ --fast"],
    ] {
        place.run(arguments).with(2);
    }
    let ran = place.run(&["servers", "set", "tree", "--server", "Debian=http://x\u{7}/"]).with(2);
    assert!(ran.err.contains("control character"), "{}", ran.err);
}

#[test]
fn where_nothing_can_be_written_nothing_changes() {
    let place = place();
    let path = place.path("small");
    for options in ["size=40k", "ro"] {
        let Some(_mount) = Mount::new(&path, "size=40k") else { return };
        // They fit, but not twice.
        for name in ["a.jigdo", "b.jigdo"] {
            fs::write(path.join(name), jigdo(OLD) + &"# x\n".repeat(3500)).unwrap();
        }
        if options == "ro" {
            let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(&path).status().unwrap();
            assert!(remount.success());
        }
        let before = (contents(&place.path("tree")), stamps(&place.path("tree")), contents(&path));
        let ran = place.run(&set(&["tree", "small"])).with(3);
        assert!(ran.err.contains("small/.jigpress") && ran.err.contains("nothing was changed"), "{}", ran.err);
        assert_eq!((contents(&place.path("tree")), stamps(&place.path("tree")), contents(&path)), before);
    }
}

#[test]
fn a_directory_where_another_run_is_at_work_keeps_all_as_they_are() {
    let place = place();
    let before = contents(&place.path("tree"));
    let lock = File::open(place.path("tree/arm64")).unwrap();
    lock.try_lock().unwrap();
    let ran = place.run(&set(&["tree"])).with(3);
    assert!(ran.err.contains("another run is writing to") && ran.err.contains("tree/arm64"), "{}", ran.err);
    assert_eq!(contents(&place.path("tree")), before);
    drop(lock);
    place.run(&set(&["tree"])).with(0);
}

/// Fails unless each file is one of these two, and each SUMS file has the sum of its file as it is or as it was.
fn assert_whole(directory: &Path, versions: [&str; 2]) {
    for (path, bytes) in contents(directory) {
        let is_hidden = path.components().any(|component| component.as_os_str() == ".jigpress");
        if path.extension().is_some_and(|extension| extension == "jigdo") && !is_hidden {
            assert!(versions.iter().any(|version| bytes == version.as_bytes()), "{}", path.display());
        }
    }
}

#[test]
fn a_run_killed_at_any_moment_leaves_whole_files_and_the_next_one_completes() {
    let place = Place::new();
    let texts = [jigdo(OLD) + &"# x\n".repeat(50_000), jigdo(NEW) + &"# x\n".repeat(50_000)];
    let lay_out = || {
        for directory in 0..6 {
            for file in 0..4 {
                place.write(&format!("tree/{directory}/{file}.jigdo"), texts[0].as_bytes());
            }
            let sum = sum(Algorithm::Md5, texts[0].as_bytes());
            let line = |file: u32| format!("{sum}  {file}.jigdo\n");
            place.write(&format!("tree/{directory}/MD5SUMS"), (0..4).map(line).collect::<String>().as_bytes());
        }
    };
    lay_out();
    let start = Instant::now();
    place.run(&set(&["tree"])).with(0);
    let (duration, expected) = (start.elapsed(), contents(&place.path("tree")));
    for round in 0..24 {
        lay_out();
        let mut child = place.command(&set(&["tree"])).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(duration * round / 20);
        let _ = child.kill();
        child.wait().unwrap();
        assert_whole(&place.path("tree"), [&texts[0], &texts[1]]);
        place.run(&set(&["tree"])).with(0);
        assert!(contents(&place.path("tree")) == expected, "after a kill in round {round}");
    }
}

/// Two images, whose parts are in two mirrors.
fn release() -> Place {
    let place = Place::new();
    for number in 1..=4 {
        let tree = if number <= 2 { "a" } else { "b" };
        place.write(&format!("{tree}/pool/part {number}.deb"), &noise(number, 9000));
    }
    let image = |numbers: &[u64]| numbers.iter().map(|&number| noise(number, 9000)).collect::<Vec<_>>().concat();
    place.write("img/one.iso", &[noise(9, 100), image(&[1, 3, 2])].concat());
    place.write("img/two.iso", &[noise(8, 100), image(&[4, 2])].concat());
    place.write("release.yaml", RELEASE.as_bytes());
    place.publish(&[]).with(0);
    place
}

const RELEASE: &str = "\
release: r
mirrors:
  A: {path: a, servers: ['https://a.example/']}
  B: {path: b, servers: [{url: 'https://b.example/', try_last: true}]}
defaults: {sums: [md5, sha256]}
images:
  - {path: 'img/*.iso', output: out}
";

#[test]
fn published_sets_get_the_servers_that_their_manifest_has_now() {
    let place = release();
    let ran = place.publish(&["--servers-only"]).with(0);
    assert_eq!(ran.out, "0 jigdo files changed, 2 unchanged, 0 SUMS files changed\n");
    let manifest = RELEASE.replace("['https://a.example/']", "['https://n.example/x', 'B:a/']");
    place
        .write("release.yaml", manifest.replace("output: out", "output: out, include_jigdo: ['http://i/']").as_bytes());
    let ran = place.publish(&["--servers-only", "--dry-run"]).with(0);
    assert!(ran.out.contains("\n-A=https://a.example/\n+A=https://n.example/x/\n+A=B:a/\n"), "{}", ran.out);
    let ran = place.publish(&["--servers-only"]).with(0);
    assert_eq!(ran.out, "2 jigdo files changed, 0 unchanged, 2 SUMS files changed\n");
    let changed = contents(&place.path("out"));
    // To publish everything anew makes the same files.
    fs::remove_dir_all(place.path("out")).unwrap();
    place.publish(&[]).with(0);
    assert_eq!(contents(&place.path("out")), changed);
    fs::remove_file(place.path("out/two.jigdo")).unwrap();
    place.write("release.yaml", RELEASE.as_bytes());
    let ran = place.publish(&["--servers-only"]).with(1);
    assert!(ran.err.contains("out/two.jigdo is not published yet"), "{}", ran.err);
    assert_eq!(place.jigdo("out", "one").servers[0].1.url, "https://a.example/");
    place.publish(&["--servers-only", "--report", "x"]).with(2);
    // What was changed meanwhile is made again.
    place.publish(&[]).with(0);
    assert_eq!(place.jigdo("out", "two").servers[0].1.url, "https://a.example/");
}

#[test]
fn peers_read_what_was_changed() {
    if !installed(&["jigdo-file"]) {
        return;
    }
    let place = release();
    place.run(&["servers", "set", "out", "--relabel", "A=Archive", "--server", "Archive=http://new/"]).with(0);
    let mut command = Command::new("jigdo-file");
    command.args(["print-missing-all", "--image=x.iso", "--jigdo=out/one.jigdo", "--template=out/one.template"]);
    let output = command.current_dir(place.path("")).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("http://new/pool/part 1.deb") && printed.contains("https://b.example/pool/part 3.deb"),
        "{printed}"
    );
    let mut command = Command::new("jigdo-file");
    command.args(["make-image", "--image=x.iso", "--jigdo=out/one.jigdo", "--template=out/one.template", "a", "b"]);
    assert!(command.current_dir(place.path("")).output().unwrap().status.success());
    assert!(fs::read(place.path("x.iso")).unwrap() == fs::read(place.path("img/one.iso")).unwrap());
}
