//! What `jigpress assemble` makes of a file that is already where an image is to go: it leaves the image alone, replaces an
//! old version of it, and touches nothing else.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::assemble::{image, part, place};
use crate::common::release::{Place, Ran, age, contents, stamps};
use crate::common::run;
use testing::noise;

const SET: &str = "sets/some/one.jigdo";

impl Place {
    fn assemble_one(&self, options: &[&str]) -> Ran {
        self.assemble(&[&[SET], options].concat())
    }

    /// The image `one` becomes another one, with none of its parts.
    fn change_the_image(&self) {
        self.write("mirror/pool/9.deb", &noise(99, 50_000));
        self.write("images/one.iso", &[noise(1, 5000), noise(99, 50_000)].concat());
        self.publish(&["--quiet"]).with(0);
    }
}

fn set_modified(place: &Place, path: &str, time: SystemTime) {
    fs::File::options().write(true).open(place.path(path)).unwrap().set_modified(time).unwrap();
}

#[test]
fn only_length_and_sum_tell_whether_an_image_is_there() {
    for checksum in ["md5", "sha256"] {
        let place = place(checksum);
        place.assemble_one(&[]).with(0);
        // Sets that are newer than correct images, and images that are older than anything.
        let later = SystemTime::now() + Duration::from_secs(100_000);
        set_modified(&place, SET, later);
        set_modified(&place, "sets/some/one.template", later);
        age(&place.path("out/one.iso"), 1_000_000);
        let before = stamps(&place.path("out"));
        assert!(place.assemble_one(&[]).with(0).out.contains("1 unchanged"));
        assert_eq!(stamps(&place.path("out")), before);
        // An image that another program made.
        fs::write(place.path("out/one.iso"), image("one")).unwrap();
        assert!(place.assemble_one(&[]).with(0).out.contains("1 unchanged"));
    }
}

#[test]
fn a_file_that_is_not_the_image_is_never_called_unchanged() {
    let right = image("one");
    let mut damaged = right.clone();
    damaged[40_000] ^= 1;
    let longer = [&right[..], b"x"].concat();
    for wrong in [&right[..right.len() - 1], &right[..1000], &right[..2000], &right[..40_000], &[], &damaged, &longer] {
        let place = place("sha256");
        for is_made in [false, true] {
            if is_made {
                place.assemble_one(&["--force"]).with(0);
            } else {
                fs::create_dir_all(place.path("out")).unwrap();
            }
            fs::write(place.path("out/one.iso"), wrong).unwrap();
            let later = SystemTime::now() + Duration::from_secs(100_000);
            set_modified(&place, "out/one.iso", later);
            let ran = place.assemble_one(&[]);
            assert!(ran.with(0).out.contains("1 assembled"), "{} bytes", wrong.len());
            assert!(place.is_image("out/one.iso", "one"));
        }
    }
}

#[test]
fn a_set_that_changed_is_assembled_however_old_it_is() {
    let place = place("md5");
    place.assemble_one(&[]).with(0);
    place.change_the_image();
    for name in [SET, "sets/some/one.template"] {
        age(&place.path(name), 1_000_000);
    }
    // It has no part of the old image, but the index remembers who made that.
    assert!(place.assemble_one(&[]).with(0).out.contains("1 assembled"));
    assert_eq!(fs::read(place.path("out/one.iso")).unwrap(), fs::read(place.path("images/one.iso")).unwrap());
}

#[test]
fn an_image_that_was_made_here_is_known_by_its_bytes_when_its_times_have_changed() {
    let place = place("md5");
    place.assemble_one(&[]).with(0);
    place.change_the_image();
    age(&place.path("out/one.iso"), 1_000_000);
    place.assemble_one(&[]).with(0);
    // The next state is somebody else's.
    place.write("out/one.iso", b"mine");
    let ran = place.assemble_one(&[]).with(1);
    assert!(ran.err.contains("out/one.iso: it is another file"), "{}", ran.err);
}

#[test]
fn images_and_templates_whose_sums_are_known_are_not_read_again() {
    let place = place("md5");
    place.write("other/one.iso", &image("one"));
    place.assemble_one(&[]).with(0);
    if !crate::common::installed(&["strace"]) {
        return;
    }
    // How often a file of the image's name is opened.
    let read = |into: &str| {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-e", "trace=openat,open", "-o"]).arg(place.path("trace"));
        let program = place.command(&[]);
        strace.arg(program.get_program()).args(["assemble", "--into", into, "--mirror", "Debian=mirror", SET]);
        strace.current_dir(place.path("")).env("JIGPRESS_INDEX", place.path("index.sqlite"));
        assert!(String::from_utf8(run(&mut strace).stdout).unwrap().contains("1 unchanged"));
        let trace = fs::read_to_string(place.path("trace")).unwrap();
        trace.lines().filter(|line| line.contains("one.iso")).count()
    };
    assert_eq!(read("out"), 0);
    assert_ne!(read("other"), 0);
    assert_eq!(read("other"), 0);
}

#[test]
fn a_foreign_file_is_replaced_only_with_force() {
    for content in [b"alias ls='rm -rf'\n".to_vec(), part(1), noise(77, 500_000), image("two")[4096..20_000].to_vec()] {
        let place = place("sha256");
        let text = fs::read_to_string(place.path(SET)).unwrap();
        place.write(SET, text.replace("Filename=one.iso", "Filename=.bashrc").as_bytes());
        place.write("out/.bashrc", &content);
        let ran = place.assemble_one(&[]).with(1);
        assert!(ran.err.contains("out/.bashrc: it is another file") && ran.err.contains("--force"), "{}", ran.err);
        // Not even beside it.
        assert_eq!(contents(&place.path("out")).into_values().collect::<Vec<_>>(), [content]);
        place.assemble_one(&["--force"]).with(0);
        assert!(place.is_image("out/.bashrc", "one"));
    }
}

#[test]
fn an_old_version_of_the_image_is_replaced_without_force() {
    let at_its_place = [&noise(70, 4096)[..], &part(0), &noise(71, 9000)].concat();
    let elsewhere = [&noise(70, 10_001)[..], &part(1), &noise(71, 9000)].concat();
    for old in [at_its_place, elsewhere] {
        let place = place("md5");
        place.write("out/one.iso", &old);
        place.assemble_one(&[]).with(0);
        assert!(place.is_image("out/one.iso", "one"));
    }
}

#[test]
fn what_is_no_file_is_named_and_stays() {
    let place = place("md5");
    fs::create_dir_all(place.path("out")).unwrap();
    let at = place.path("out/one.iso");
    for force in [&[][..], &["--force"]] {
        fs::create_dir(&at).unwrap();
        let ran = place.assemble_one(force).with(1);
        assert!(ran.err.contains("out/one.iso: it is a directory, which no image replaces"), "{}", ran.err);
        fs::remove_dir(&at).unwrap();
        let socket = UnixListener::bind(&at).unwrap();
        let ran = place.assemble_one(force).with(1);
        assert!(ran.err.contains("out/one.iso: it is a socket"), "{}", ran.err);
        drop(socket);
        fs::remove_file(&at).unwrap();
        run(Command::new("mkfifo").arg(&at));
        let ran = place.assemble_one(force).with(1);
        assert!(ran.err.contains("out/one.iso: it is a named pipe"), "{}", ran.err);
        fs::remove_file(&at).unwrap();
    }
    symlink("nowhere", &at).unwrap();
    let ran = place.assemble_one(&[]).with(1);
    assert!(ran.err.contains("it is a symbolic link that leads nowhere"), "{}", ran.err);
    place.assemble_one(&["--force"]).with(0);
    assert!(place.is_image("out/one.iso", "one") && !at.is_symlink());
}

#[test]
fn a_link_to_the_image_is_the_image() {
    let place = place("md5");
    place.write("elsewhere", &image("one"));
    fs::create_dir_all(place.path("out")).unwrap();
    symlink("../elsewhere", place.path("out/one.iso")).unwrap();
    assert!(place.assemble_one(&[]).with(0).out.contains("1 unchanged"));
    // Another file that a link leads to is never written.
    place.write("elsewhere", b"mine");
    place.assemble_one(&[]).with(1);
    place.assemble_one(&["--force"]).with(0);
    assert_eq!(fs::read(place.path("elsewhere")).unwrap(), b"mine");
    assert!(place.is_image("out/one.iso", "one"));
}

#[test]
fn one_file_in_the_way_holds_up_no_other_image() {
    let place = place("md5");
    place.write("out/one.iso", b"mine");
    let ran = place.assemble(&[SET, "sets/some/two.jigdo"]).with(1);
    assert!(ran.out.contains("1 assembled, 1 failed"), "{}", ran.out);
    assert_eq!(fs::read(place.path("out/one.iso")).unwrap(), b"mine");
    assert!(place.is_image("out/two.iso", "two"));
}

#[test]
fn without_an_index_every_image_is_read() {
    let place = place("md5");
    place.assemble_one(&[]).with(0);
    place.write("index.sqlite", b"no index");
    let ran = place.assemble_one(&[]).with(0);
    assert!(ran.out.contains("1 unchanged") && ran.err.contains("not a jigpress index"), "{}{}", ran.out, ran.err);
}

#[test]
fn an_unchanged_image_still_needs_the_template_that_its_jigdo_file_names() {
    let place = place("md5");
    place.assemble_one(&[]).with(0);
    let (one, two) = (place.path("sets/some/one.template"), place.path("sets/some/two.template"));
    fs::copy(&two, &one).unwrap();
    let ran = place.assemble_one(&[]).with(1);
    assert!(ran.err.contains("one.template: it has another sum than"), "{}", ran.err);
}

#[test]
fn a_message_names_its_file_once() {
    let once = |ran: &Ran| {
        for line in ran.err.lines() {
            for file in ["out/one.iso", "sets/some/one.jigdo", "sets/some/one.template"] {
                assert!(!line.contains(&format!("{file}: {file}")), "{line}");
                assert!(!line.contains(&format!("{file}: failed: {file}")), "{line}");
            }
        }
        assert!(ran.err.contains("one."), "{}", ran.err);
    };
    let place = place("md5");
    // A part that is not right in the old version of the image.
    let mut damaged = part(3);
    damaged[20_000] ^= 1;
    place.write("out/one.iso", &[noise(1, 2048), part(0), damaged].concat());
    place.remove("mirror/pool/3.deb");
    let ran = place.assemble_one(&["-v"]).with(1);
    assert!(ran.err.contains(" out/one.iso at offset 32048 is not part "), "{}", ran.err);
    once(&ran);
    place.write("mirror/pool/3.deb", &part(3));
    place.write("sets/some/one.template", b"no template");
    once(&place.assemble_one(&["-v"]).with(1));
    place.remove("sets/some/one.template");
    once(&place.assemble_one(&["-v"]).with(1));
    place.publish(&["--quiet"]).with(0);
    fs::create_dir(place.path("out/.one.iso.jigpress")).unwrap();
    once(&place.assemble_one(&["-v"]).with(3));
    place.write("sets/some/one.jigdo", b"[Image\n");
    once(&place.assemble_one(&["-v"]).with(1));
}
