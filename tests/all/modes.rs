//! What is published can be read by others, whatever the umask is; a file that is replaced keeps its permissions.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::release::{Place, Ran};
use testing::noise;

const RELEASE: &str = "\
release: r
mirrors: {A: {path: a, servers: ['https://a.example/']}}
images: [{path: 'img/*.iso', output: pub/out}]
";
const FILES: [&str; 3] = ["pub/out/one.jigdo", "pub/out/one.template", "pub/out/SHA256SUMS"];

fn place() -> Place {
    let place = Place::new();
    let part = noise(1, 20_000);
    place.write("a/pool/one.deb", &part);
    place.write("img/one.iso", &[noise(9, 300), part].concat());
    place.write("release.yaml", RELEASE.as_bytes());
    place
}

/// Runs the program as a user with a secretive umask does.
fn run(place: &Place, arguments: &[&str]) -> Ran {
    run_as(place, "jigpress", arguments)
}

fn run_as(place: &Place, name: &str, arguments: &[&str]) -> Ran {
    let mut command = Command::new("sh");
    command.args(["-c", "umask 077; exec \"$@\"", "sh"]);
    let program = Path::new(env!("CARGO_BIN_EXE_jigpress"));
    let link = place.path(name);
    if !link.exists() {
        std::os::unix::fs::symlink(program, &link).unwrap();
    }
    command.arg(link).args(arguments).current_dir(place.path("")).stdin(Stdio::null());
    Ran::of(command.env("JIGPRESS_INDEX", place.path("private/index.sqlite")))
}

#[track_caller]
fn assert_mode(place: &Place, path: &str, mode: u32) {
    let found = fs::metadata(place.path(path)).unwrap_or_else(|error| panic!("{path}: {error}")).mode() & 0o7777;
    assert_eq!(found, mode, "{path} has mode {found:o}, not {mode:o}");
}

fn set_mode(place: &Place, path: &str, mode: u32) {
    fs::set_permissions(place.path(path), Permissions::from_mode(mode)).unwrap();
}

fn change_image(place: &Place) {
    place.write("img/one.iso", &[noise(10, 400), noise(1, 20_000)].concat());
}

#[test]
fn new_files_and_directories_can_be_read_by_everyone() {
    let place = place();
    let sign = "echo signed > \"$1.sign\"";
    run(&place, &["publish", "release.yaml", "--report", "report.json", "--sign-command", sign]).with(0);
    for file in FILES.into_iter().chain(["pub/out/SHA256SUMS.sign", "report.json"]) {
        assert_mode(&place, file, 0o644);
    }
    assert_mode(&place, "pub", 0o755);
    assert_mode(&place, "pub/out", 0o755);
    run(&place, &["assemble", "--all", "pub", "--into", "made", "--mirror", "A=a", "--missing", "missing"]).with(0);
    run(&place, &["snapshot", "--from", "pub", "--into", "kept", "--mirror", "A=a", "--link", "copy"]).with(0);
    for file in ["made/out/one.iso", "missing", "kept/pool/one.deb"] {
        assert_mode(&place, file, 0o644);
    }
    for directory in ["made", "made/out", "kept", "kept/pool"] {
        assert_mode(&place, directory, 0o755);
    }
    // What only the user needs is made as the user's umask says.
    assert_mode(&place, "private", 0o700);
    assert_mode(&place, "private/index.sqlite", 0o600);
}

#[test]
fn a_file_that_is_replaced_keeps_its_permissions() {
    let place = place();
    run(&place, &["publish", "release.yaml", "--report", "report.json"]).with(0);
    let modes = [("pub/out/one.jigdo", 0o664), ("pub/out/one.template", 0o600), ("pub/out/SHA256SUMS", 0o640)];
    modes.iter().for_each(|(file, mode)| set_mode(&place, file, *mode));
    set_mode(&place, "report.json", 0o640);
    change_image(&place);
    let before: Vec<_> = FILES.map(|file| fs::read(place.path(file)).unwrap()).into();
    run(&place, &["publish", "release.yaml", "--report", "report.json"]).with(0);
    assert!(FILES.iter().zip(before).all(|(file, before)| fs::read(place.path(file)).unwrap() != before));
    modes.iter().for_each(|(file, mode)| assert_mode(&place, file, *mode));
    assert_mode(&place, "report.json", 0o640);
    // servers set does the same.
    run(&place, &["servers", "set", "pub", "--server", "A=https://b.example/"]).with(0);
    modes.iter().for_each(|(file, mode)| assert_mode(&place, file, *mode));
    // And an image that is made again.
    run(&place, &["assemble", "--all", "pub", "--into", "made", "--mirror", "A=a"]).with(0);
    set_mode(&place, "made/out/one.iso", 0o640);
    run(&place, &["assemble", "--all", "pub", "--into", "made", "--mirror", "A=a", "--force"]).with(0);
    assert_mode(&place, "made/out/one.iso", 0o640);
}

#[test]
fn the_manifest_says_which_permissions_the_files_get() {
    let place = place();
    run(&place, &["publish", "release.yaml"]).with(0);
    for (written, mode) in [("\"0664\"", 0o664), ("0640", 0o640), ("600", 0o600), ("0o644", 0o644)] {
        place.write("release.yaml", format!("{RELEASE}defaults: {{mode: {written}}}\n").as_bytes());
        run(&place, &["publish", "release.yaml"]).with(0);
        // The bytes of the files are what they were, all but their permissions.
        FILES[..2].iter().for_each(|file| assert_mode(&place, file, mode));
        change_image(&place);
        run(&place, &["publish", "release.yaml"]).with(0);
        FILES.iter().for_each(|file| assert_mode(&place, file, mode));
    }
    // An image's own.
    let manifest = RELEASE.replace("pub/out", "pub/out, mode: '0660'") + "defaults: {mode: '0600'}\n";
    place.write("release.yaml", manifest.as_bytes());
    run(&place, &["publish", "release.yaml"]).with(0);
    FILES[..2].iter().for_each(|file| assert_mode(&place, file, 0o660));
}

#[test]
fn permissions_that_cannot_be_meant_are_refused() {
    let place = place();
    for wrong in ["0999", "rw-r--r--", "44", "0044", "4755", "[6]", "-0644", "420", "07777", "''"] {
        place.write("release.yaml", format!("{RELEASE}defaults: {{mode: {wrong}}}\n").as_bytes());
        let ran = run(&place, &["publish", "release.yaml"]);
        match wrong {
            "''" => assert!(ran.code == Some(2), "{wrong}"),
            _ => {
                assert!(ran.err.contains("release.yaml:4:18: expected permissions in octal"), "{wrong}: {}", ran.err);
            }
        }
    }
}

#[test]
fn a_file_that_is_replaced_keeps_its_owner_and_group() {
    let place = place();
    run(&place, &["publish", "release.yaml"]).with(0);
    if FILES.iter().any(|file| chown(place.path(file), Some(12), Some(34)).is_err()) {
        eprintln!("skipped: only root may give files away");
        return;
    }
    change_image(&place);
    run(&place, &["publish", "release.yaml"]).with(0);
    for file in FILES {
        let found = fs::metadata(place.path(file)).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (12, 34, 0o644), "{file}");
    }
}

#[test]
fn the_drop_in_goes_by_the_umask_as_jigdo_file_does() {
    let place = place();
    run_as(&place, "jigdo-file", &["make-template", "-i", "img/one.iso", "-j", "o.jigdo", "-t", "o.template", "a//"])
        .with(0);
    run_as(&place, "jigdo-file", &["make-image", "-i", "o.iso", "-j", "o.jigdo", "-t", "o.template", "a"]).with(0);
    for file in ["o.jigdo", "o.template", "o.iso"] {
        assert_mode(&place, file, 0o600);
    }
}

#[test]
fn new_servers_get_the_mode_of_the_manifest_too() {
    let place = place();
    run(&place, &["publish", "release.yaml"]).with(0);
    let with = |mode: &str, server: &str| {
        let text = RELEASE.replace("https://a.example/", server) + &format!("defaults: {{{mode}}}\n");
        place.write("release.yaml", text.as_bytes());
        run(&place, &["publish", "release.yaml", "--servers-only"]).with(0);
    };
    FILES.iter().for_each(|file| set_mode(&place, file, 0o640));
    with("mode: '0600'", "https://b.example/");
    assert_mode(&place, FILES[0], 0o600);
    assert_mode(&place, FILES[2], 0o600);
    set_mode(&place, FILES[0], 0o640);
    with("level: 9", "https://c.example/");
    assert_mode(&place, FILES[0], 0o640);
}
