//! Images that are no regular files: the stand-in for jigdo-file and `jigpress verify` read pipes, standard input and block
//! devices, and say what is wrong with anything else.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::assemble::{image, place};
use crate::common::release::{Place, Ran};
use crate::common::{installed, jigpress, run};

/// A pipe with a name, into which these bytes are written.
fn pipe(place: &Place, bytes: Vec<u8>) -> PathBuf {
    let path = place.path("pipe");
    let _ = fs::remove_file(&path);
    run(Command::new("mkfifo").arg(&path));
    let to = path.clone();
    // A reader may go early.
    thread::spawn(move || File::options().write(true).open(to).and_then(|mut pipe| pipe.write_all(&bytes)));
    path
}

/// Runs a command with these bytes in a pipe as its standard input.
fn with_input(command: &mut Command, bytes: Vec<u8>) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A block device with the bytes of a file, as long as this lives.
struct Device(String);

impl Device {
    fn of(file: &Path) -> Option<Self> {
        let attached = Command::new("losetup").args(["--find", "--show"]).arg(file).stderr(Stdio::null()).output();
        let attached = attached.ok().filter(|output| output.status.success());
        if attached.is_none() {
            eprintln!("skipped: there are no block devices for files here");
        }
        Some(Self(String::from_utf8(attached?.stdout).unwrap().trim().to_owned()))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.0]).status();
    }
}

/// The image as people write it to media, in whole blocks.
fn image_in_blocks() -> Vec<u8> {
    let mut bytes = image("one");
    bytes.resize(bytes.len().next_multiple_of(4096), 0);
    bytes
}

#[test]
fn an_image_from_a_pipe_is_verified_area_by_area() {
    for checksum in ["md5", "sha256"] {
        let place = place(checksum);
        for of in ["sets/some/one.template", "sets/some/one.jigdo"] {
            let verify = |bytes: Vec<u8>| {
                let pipe = pipe(&place, bytes.clone());
                let named = place.run(&["verify", pipe.to_str().unwrap(), of]);
                let standard = with_input(&mut place.command(&["verify", "-", of]), bytes.clone());
                let device = with_input(&mut place.command(&["verify", "/dev/stdin", of]), bytes);
                for other in [&standard, &device] {
                    assert_eq!(named.code, other.code, "{}", other.err);
                    assert_eq!(named.out.split_once(": ").unwrap().1, other.out.split_once(": ").unwrap().1);
                }
                named
            };
            let right = image("one");
            assert!(verify(right.clone()).with(0).out.contains("right"));
            let mut wrong = right.clone();
            wrong[100] ^= 1;
            wrong[50_000] ^= 1;
            let ran = verify(wrong).with(1);
            assert!(ran.out.contains("bytes at offset 0 are not unmatched data"), "{}", ran.out);
            assert!(ran.out.contains("are not part "), "{}", ran.out);
            let ran = verify(right[..right.len() - 1].to_vec()).with(1);
            assert!(ran.out.contains(&format!("{} bytes instead of {}", right.len() - 1, right.len())), "{}", ran.out);
            let ran = verify([&right[..], &[0]].concat()).with(1);
            assert!(ran.out.contains(&format!("it has more than {} bytes", right.len())), "{}", ran.out);
            assert!(verify(Vec::new()).with(1).out.contains("it has 0 bytes instead of"));
        }
    }
}

#[test]
fn the_stand_in_makes_and_verifies_sets_of_images_in_pipes_as_jigdo_file_does() {
    if !installed(&["jigdo-file"]) {
        return;
    }
    let place = place("md5");
    let run = |is_ours: bool, arguments: &[&str], bytes: &[u8]| {
        let mut command = if is_ours { jigpress() } else { Command::new("jigdo-file") };
        command.args(if is_ours { &["jigdo-file"][..] } else { &[] }).args(arguments).current_dir(place.path(""));
        with_input(&mut command, bytes.to_vec())
    };
    for source in ["pipe", "/dev/stdin", "-"] {
        for is_ours in [true, false] {
            let _ = pipe(&place, image("one"));
            let image_option = format!("--image={source}");
            let make = ["make-template", "--report=quiet", &image_option, "--jigdo=x.jigdo", "--template=x.template"];
            let ran = run(is_ours, &[&make[..], &["--force", "mirror/pool"]].concat(), &image("one"));
            assert_eq!(ran.code, Some(0), "{source}: {}", ran.err);
            for (bytes, code) in [(image("one"), 0), (image("two"), 2)] {
                let _ = pipe(&place, bytes.clone());
                let ran = run(is_ours, &["verify", &image_option, "--template=x.template"], &bytes);
                assert_eq!(ran.code, Some(code), "{source}: {}", ran.err);
            }
            let mut make = jigpress();
            make.args(["jigdo-file", "make-image", "--force", "--image=rebuilt", "--template=x.template", "mirror"]);
            assert!(make.current_dir(place.path("")).status().unwrap().success());
            assert!(fs::read(place.path("rebuilt")).unwrap() == image("one"), "{source}");
        }
    }
}

#[test]
fn a_block_device_is_as_long_as_its_end_is_far() {
    let place = place("md5");
    let bytes = image_in_blocks();
    let file = place.write("image", &bytes);
    let Some(device) = Device::of(&file) else { return };
    let make = |arguments: &[&str]| {
        let mut command = jigpress();
        command.arg("jigdo-file").args(arguments).current_dir(place.path(""));
        Ran::of(&mut command)
    };
    let image_option = format!("--image={}", device.0);
    make(&["make-template", &image_option, "--jigdo=x.jigdo", "--template=x.template", "mirror"]).with(0);
    make(&["verify", &image_option, "--template=x.template"]).with(0);
    place.run(&["verify", &device.0, "x.template"]).with(0);
    make(&["make-image", "--image=rebuilt", "--template=x.template", "mirror"]).with(0);
    assert!(fs::read(place.path("rebuilt")).unwrap() == bytes);
    assert!(fs::metadata(place.path("x.template")).unwrap().len() < 100_000, "the parts were found");
    let ran = place.run(&["verify", &device.0, "sets/some/one.template"]).with(1);
    assert!(ran.out.contains(&format!("it has {} bytes instead of", bytes.len())), "{}", ran.out);
}

#[test]
fn what_cannot_be_an_image_is_named() {
    let place = place("md5");
    fs::create_dir(place.path("directory")).unwrap();
    let _socket = UnixListener::bind(place.path("socket")).unwrap();
    for (name, kind) in [("directory", "a directory"), ("socket", "a socket")] {
        let message = format!("{name}: it is {kind}; an image is a file, a named pipe or a device");
        let ran = place.run(&["verify", name, "sets/some/one.template"]).with(3);
        assert!(ran.err.contains(&message), "{}", ran.err);
        let image_option = format!("--image={name}");
        for command in ["make-template", "verify"] {
            let template = if command == "verify" { "sets/some/one.template" } else { "x.template" };
            let ran = place.run(&["jigdo-file", command, &image_option, "-j", "x.jigdo", "-t", template]).with(3);
            assert!(ran.err.contains(&message), "{}", ran.err);
        }
    }
}
