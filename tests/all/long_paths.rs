//! Files whose lines in `[Parts]` would be longer than every reader takes: they are left out, and their images are made.

use std::fs;

use crate::common::release::Place;
use jigdo::base64;
use jigdo::{Checksum, Sum};
use testing::noise;

/// A path below `pool` with this length in bytes, in directories with names that a file system takes.
fn path(length: usize) -> String {
    let mut path = "pool".to_owned();
    while path.len() + 201 < length {
        path += &format!("/{}", "d".repeat(199));
    }
    let name = "n".repeat(length - path.len() - 1);
    format!("{path}/{name}")
}

/// The length of the longest path of a part with the label `Debian` and a SHA-256.
const LONGEST: usize = 2047 - 43 - "=Debian:".len();

fn manifest(place: &Place, more: &str) {
    let text = format!(
        "release: r\nmirrors: {{Debian: {{path: mirror, servers: ['http://x/']}}}}\ndefaults: {{{more}}}\n\
         images: [{{path: images/*.iso, output: sets, name: '{{stem}}'}}]\n"
    );
    place.write("release.yaml", text.as_bytes());
}

/// A mirror with a short path, and the content of another file.
fn place() -> (Place, Vec<u8>) {
    let place = Place::new();
    place.write("mirror/pool/1.deb", &noise(1, 30_000));
    let long = noise(2, 30_000);
    place.write("images/one.iso", &[noise(3, 3000), noise(1, 30_000), long.clone()].concat());
    (place, long)
}

#[test]
fn a_mirror_file_with_too_long_a_path_is_left_out_with_a_warning() {
    for more in ["checksum: sha256", "checksum: md5"] {
        let (place, long) = place();
        manifest(&place, more);
        place.write(&format!("mirror/{}", path(LONGEST + 1)), &long);
        let ran = place.publish(&[]).with(0);
        assert!(ran.err.contains("1 path is too long for a jigdo file"), "{}", ran.err);
        assert_eq!(place.jigdo("sets", "one").parts.len(), 1);
        let image = fs::read(place.path("images/one.iso")).unwrap();
        assert_eq!(place.rebuilt("sets", "one", &[("Debian", "mirror")]), image);
        // Where it has another name, it is a part.
        place.write("mirror/pool/2.deb", &long);
        place.publish(&["--quiet"]).with(0);
        assert_eq!(place.jigdo("sets", "one").parts.len(), 2);
    }
}

#[test]
fn the_longest_path_that_every_reader_takes_is_a_part() {
    let (place, long) = place();
    manifest(&place, "checksum: sha256");
    place.write(&format!("mirror/{}", path(LONGEST)), &long);
    let ran = place.publish(&[]).with(0);
    assert!(!ran.err.contains("left out"), "{}", ran.err);
    assert_eq!(place.jigdo("sets", "one").parts.len(), 2);
    let text = fs::read_to_string(place.path("sets/one.jigdo")).unwrap();
    assert_eq!(text.lines().map(str::len).max(), Some(2047));
    // A space needs quotes, which count too.
    let (place, long) = self::place();
    manifest(&place, "checksum: sha256");
    let quoted = path(LONGEST).replace("pool/d", "pool/ ");
    place.write(&format!("mirror/{quoted}"), &long);
    assert!(place.publish(&[]).with(0).err.contains("is too long for a jigdo file"));
    assert_eq!(place.jigdo("sets", "one").parts.len(), 1);
}

#[test]
fn the_drop_in_skips_such_a_file() {
    let (place, long) = place();
    for (length, parts) in [(LONGEST, 2), (LONGEST + 1, 1)] {
        let _ = fs::remove_dir_all(place.path("mirror/pool").join("d".repeat(199)));
        place.write(&format!("mirror/{}", path(length)), &long);
        let arguments = [
            "jigdo-file",
            "make-template",
            "--checksum-algorithm=sha256",
            "--image=images/one.iso",
            "--jigdo=one.jigdo",
            "--template=one.template",
            "--force",
            "--label=Debian=mirror",
            "mirror//pool",
        ];
        let ran = place.run(&arguments).with(0);
        assert_eq!(ran.err.contains("its name is too long for a jigdo file"), parts == 1, "{}", ran.err);
        let text = fs::read_to_string(place.path("one.jigdo")).unwrap();
        assert_eq!(text.matches("=Debian:pool/").count(), parts, "{text}");
        let key = base64::encode(Sum::of(Checksum::Sha256, &noise(1, 30_000)).as_bytes());
        assert!(text.contains(&format!("{key}=Debian:pool/1.deb\n")), "{text}");
    }
}
