//! Where sets and files are, from outside: `file:` URLs wherever they may stand, and which files of a tree are sets.

use std::fs;

use testing::noise;

use crate::common::release::Place;

fn part() -> Vec<u8> {
    noise(1, 30_000)
}

fn image() -> Vec<u8> {
    [noise(2, 3000), part()].concat()
}

/// A mirror, and the set `sets/one.jigdo` of an image with one part of it.
fn place() -> Place {
    let place = Place::new();
    place.write("mirror/pool/1.deb", &part());
    place.write("images/one.iso", &image());
    let manifest = "release: r\nmirrors: {Debian: {path: mirror, servers: ['file:unset/']}}\ndefaults: {sums: []}\n\
                    images: [{path: images/*.iso, output: sets, name: '{stem}'}]\n";
    place.write("release.yaml", manifest.as_bytes());
    place.publish(&["--quiet"]).with(0);
    place
}

impl Place {
    fn url(&self, host: &str, path: &str) -> String {
        format!("file:{host}{}", self.path(path).display())
    }

    fn replace(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.path("sets/one.jigdo")).unwrap();
        assert!(text.contains(from), "{text}");
        self.write("sets/one.jigdo", text.replace(from, to).as_bytes());
    }

    fn assembles(&self, more: &[&str]) {
        self.run(&[&["assemble", "--into", "out", "--force"], more].concat()).with(0);
        assert_eq!(fs::read(self.path("out/one.iso")).unwrap(), image());
        fs::remove_dir_all(self.path("out")).unwrap();
    }
}

/// What may stand between `file:` and a path.
const HOSTS: [&str; 3] = ["", "//", "//localhost"];

#[test]
fn a_template_is_found_by_every_file_url() {
    for host in HOSTS {
        let place = place();
        fs::rename(place.path("sets/one.template"), place.path("elsewhere")).unwrap();
        place.replace("Template=one.template", &format!("Template={}", place.url(host, "elsewhere")));
        place.assembles(&["sets/one.jigdo", "--mirror", "Debian=mirror"]);
        place.run(&["verify", "sets/one.jigdo", "--mirror", "Debian=mirror"]).with(0);
        place.run(&["servers", "check", "sets", "--server", "Debian=../mirror/"]).with(0);
    }
}

#[test]
fn a_file_is_included_by_every_file_url() {
    for host in HOSTS {
        let place = place();
        place.write("servers.jigdo", b"[Servers]\nDebian=file:../mirror/\n");
        place.replace("Debian=file:unset/", "");
        let text = fs::read_to_string(place.path("sets/one.jigdo")).unwrap();
        place.write("sets/one.jigdo", format!("{text}\n[Include {}]\n", place.url(host, "servers.jigdo")).as_bytes());
        place.assembles(&["sets/one.jigdo"]);
        place.assembles(&["--all", "sets"]);
        place.run(&["servers", "check", "sets"]).with(0);
    }
}

#[test]
fn servers_and_mirrors_may_be_file_urls() {
    for host in HOSTS {
        let place = place();
        let url = place.url(host, "mirror/");
        let mirror = format!("Debian={url}");
        place.assembles(&["sets/one.jigdo", "--mirror", &mirror]);
        place.run(&["verify", "sets/one.jigdo", "--mirror", &mirror]).with(0);
        place.run(&["snapshot", "--from", "sets", "--into", "snap", "--mirror", &mirror]).with(0);
        assert!(place.path("snap/pool/1.deb").is_file());
        place.run(&["servers", "check", "sets", "--server", &mirror]).with(0);
        place.run(&["servers", "set", "sets", "--server", &mirror]).with(0);
        place.assembles(&["sets/one.jigdo"]);
        place.run(&["servers", "check", "sets"]).with(0);
        // A part that has a URL of its own.
        place.replace("=Debian:pool/1.deb", &format!("={url}pool/1.deb"));
        place.assembles(&["sets/one.jigdo"]);
        place.run(&["servers", "check", "sets"]).with(0);
    }
}

#[test]
fn paths_beside_the_jigdo_file_are_servers_too() {
    let place = place();
    for server in ["../mirror/", "file:../mirror/"] {
        place.run(&["servers", "set", "sets", "--server", &format!("Debian={server}")]).with(0);
        place.assembles(&["sets/one.jigdo"]);
        place.run(&["servers", "check", "sets"]).with(0);
    }
}

#[test]
fn other_hosts_are_refused_wherever_a_file_url_stands() {
    let place = place();
    let refused = |arguments: &[&str], code: i32| {
        let ran = place.run(arguments).with(code);
        let said = ran.out + &ran.err;
        assert!(
            said.contains("is on the host \"other\"") || said.contains("host \\\"other\\\""),
            "{arguments:?}: {said}"
        );
    };
    let assemble = ["assemble", "--into", "out", "sets/one.jigdo"];
    refused(&[&assemble[..], &["--mirror", "Debian=file://other/srv/"]].concat(), 2);
    refused(&["verify", "sets/one.jigdo", "--mirror", "Debian=file://other/srv/"], 2);
    refused(&["snapshot", "--from", "sets", "--into", "snap", "--mirror", "Debian=file://other/srv/"], 2);
    refused(&["servers", "check", "sets", "--server", "Debian=file://other/srv/"], 2);
    place.replace("Debian=file:unset/", "Debian=file://other/srv/");
    refused(&assemble, 1);
    refused(&["servers", "check", "sets"], 1);
    place.replace("Template=one.template", "Template=file://other/one.template");
    refused(&assemble, 1);
    refused(&["verify", "sets/one.jigdo"], 1);
    refused(&["servers", "check", "sets", "--server", "Debian=../mirror/"], 1);
}

#[test]
fn hidden_files_and_links_of_a_tree_are_no_sets() {
    let place = place();
    let text = fs::read_to_string(place.path("sets/one.jigdo")).unwrap();
    place.write("sets/.jigpress/one.jigdo", text.as_bytes());
    place.write("sets/.jigpress/broken.jigdo", b"[Image\n");
    place.write("sets/.hidden.jigdo", b"[Image\n");
    fs::create_dir(place.path("sets/sub")).unwrap();
    std::os::unix::fs::symlink("../one.jigdo", place.path("sets/sub/link.jigdo")).unwrap();
    let ran = place.run(&["assemble", "--into", "out", "--all", "sets", "--mirror", "Debian=mirror"]).with(0);
    assert!(ran.out.contains("1 image ") && ran.out.contains("1 assembled"), "{}", ran.out);
    let found: Vec<_> = fs::read_dir(place.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(found, ["one.iso"]);
    assert_eq!(place.run(&["servers", "show", "sets", "--format", "json"]).with(0).json()["files"], 1);
    // A link that is named is followed, and its set is where the file itself is.
    place.assembles(&["sets/one.jigdo", "--mirror", "Debian=mirror"]);
    let _ = fs::remove_dir_all(place.path("out"));
    place.run(&["assemble", "--into", "out", "sets/sub/link.jigdo", "--mirror", "Debian=mirror"]).with(0);
}

#[test]
fn jigdo_files_of_a_tree_are_recognised_by_their_content_too() {
    let place = place();
    let text = fs::read_to_string(place.path("sets/one.jigdo")).unwrap();
    fs::remove_file(place.path("sets/one.jigdo")).unwrap();
    place.write("sets/packed", &jigdo::jigdo_file::gzip(&text).unwrap());
    place.assembles(&["--all", "sets", "--mirror", "Debian=mirror"]);
    place.run(&["verify", "sets/packed", "--mirror", "Debian=mirror"]).with(0);
    assert_eq!(place.run(&["inspect", "sets/packed", "--format", "json"]).with(0).json()["type"], "jigdo");
    let ran = place.run(&["verify", "images/one.iso", "sets/packed"]).with(0);
    assert!(ran.out.contains("right"), "{}", ran.out);
}
