//! The command line from outside: releases are published, published again, interrupted and broken, and what is then in
//! the output directories is looked at and rebuilt.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::installed;
use crate::common::release::{Mount, Place, Ran, age, contents, stamps, sum};
use jigdo::bstr::ByteSlice as _;

use crate::common::settle;
use jigdo::{Algorithm, Checksum, Sum};
use jigpress::manifest;
use jigpress::progress::{Begin, Meter, Progress, Silent};
use jigpress::publish::report::{Ledger, Outcome};
use jigpress::publish::{Options, Pruning, publish};
use testing::noise;

const TREES: &[(&str, &str)] = &[("A", "a"), ("B", "b")];

/// Two mirrors, and the images `one.iso`, `two.iso` and `three.iso` in `img` that are made of their files.
const RELEASE: &str = "\
release: r
mirrors:
  A: {path: a, servers: ['https://a.example/']}
  B: {path: b, servers: [{url: 'https://b.example/', try_last: true}]}
images:
  - {path: 'img/*.iso', output: out}
";

#[test]
fn a_manifest_named_without_a_directory_finds_what_begins_with_a_wildcard() {
    for path in ["*.iso", "?ne.iso", "**/one.iso", "{*.iso,**/*.iso}", "*/one.iso"] {
        let place = Place::new();
        let image = if path == "*/one.iso" { "sub/one.iso" } else { "one.iso" };
        place.write(image, &part(1));
        place.write("a/part", &part(1));
        let text = format!(
            "release: r\nmirrors: {{A: {{path: a, servers: [http://a/]}}}}\nimages: [{{path: '{path}', output: out}}]\n"
        );
        place.write("release.yaml", text.as_bytes());
        place.publish(&[]).with(0);
        assert!(place.path("out/one.jigdo").exists(), "{path}");
    }
}

fn part(number: u64) -> Vec<u8> {
    noise(number, 3000 + 700 * number as usize)
}

fn image(numbers: &[u64], seed: u64) -> Vec<u8> {
    let pieces = numbers.iter().map(|&number| [noise(1000 * seed + number, 333), part(number)].concat());
    let mut image: Vec<u8> = pieces.flatten().collect();
    image.extend([0; 5000]);
    image
}

fn place() -> Place {
    let place = Place::new();
    for number in 1..=6 {
        let tree = if number <= 3 { "a" } else { "b" };
        place.write(&format!("{tree}/pool/part{number}.deb"), &part(number));
    }
    place.write("img/one.iso", &image(&[1, 4, 2], 1));
    place.write("img/two.iso", &image(&[3, 5, 6, 3], 2));
    place.write("img/three.iso", &image(&[6, 1], 3));
    place.write("release.yaml", RELEASE.as_bytes());
    place
}

#[track_caller]
fn assert_whole(place: &Place, names: &[&str]) {
    for name in names {
        let image = fs::read(place.path(&format!("img/{name}.iso"))).unwrap();
        assert!(place.rebuilt("out", name, TREES) == image, "{name} is rebuilt bit for bit");
    }
    assert!(!place.path("out/.jigpress").exists(), "nothing stays staged");
}

/// The images' file names and what came of them, in the order of the report.
fn outcomes(report: &serde_json::Value) -> Vec<(&str, &str)> {
    report["images"].as_array().unwrap().iter().map(outcome).collect()
}

fn outcome(image: &serde_json::Value) -> (&str, &str) {
    let path = image["image"].as_str().unwrap();
    (path.rsplit('/').next().unwrap(), image["outcome"].as_str().unwrap())
}

#[test]
fn sets_of_every_kind_are_rebuilt_bit_for_bit() {
    let place = place();
    place.write("a/pool/short.txt", &noise(77, 300));
    place.write("img/one.iso", &[image(&[1, 4, 2], 1), noise(77, 300), noise(78, 100)].concat());
    for (number, settings) in [
        "{checksum: md5}",
        "{checksum: sha256, compression: bzip2, level: 1}",
        "{level: 0}",
        "{min_length: 256}",
        "{checksum: md5, compress_jigdo: true, compression: bzip2}",
        "{sums: [], compress_jigdo: true}",
    ]
    .iter()
    .enumerate()
    {
        place.write("release.yaml", format!("{RELEASE}defaults: {settings}\n").as_bytes());
        let ran = place.publish(&["--format", "json"]).with(0);
        assert_whole(&place, &["one", "two", "three"]);
        let one = &ran.json()["images"][0];
        assert_eq!(one["parts"], if number == 3 { 4 } else { 3 }, "{settings}");
        let magic = &fs::read(place.path("out/one.jigdo")).unwrap()[..2] == b"\x1f\x8b";
        assert_eq!(magic, settings.contains("compress_jigdo"));
        let template = place.template("out", "one");
        assert_eq!(template.version, if settings.contains("md5") { "1.2" } else { "2.0" });
        assert_eq!(template.description.image.block_length, Some(if number == 3 { 256 } else { 1024 }));
    }
}

#[test]
fn a_sparse_image_is_rebuilt_bit_for_bit_and_its_holes_are_not_read() {
    const MIB: u64 = 1 << 20;
    let place = place();
    let image = place.path("img/sparse.iso");
    let file = File::create(&image).unwrap();
    file.set_len(1024 * MIB + 77).unwrap();
    let at = |offset: u64, bytes: Vec<u8>| file.write_all_at(&bytes, offset).unwrap();
    at(20 * MIB + 1, part(1));
    at(500 * MIB - 1000, part(4));
    at(500 * MIB + 90_001, noise(5, 50));
    at(1000 * MIB, part(2));
    file.sync_all().unwrap();
    age(&image, 3600);
    let manifest = format!("{}defaults: {{sums: []}}\n", RELEASE.replace('*', "sparse"));
    place.write("release.yaml", manifest.as_bytes());
    let ran = place.publish(&["--format", "json"]).with(0);
    assert_eq!(ran.json()["images"][0]["parts"], 3);

    // What lies near data is read with them.
    if let Some(cached) = cached_bytes_of_a_sparse_file(&image) {
        assert!(cached < 256 * MIB, "{cached} bytes are in the page cache");
    }
    let mut same = SameAs(File::open(&image).unwrap());
    place.rebuild("out", "sparse", TREES, &mut same);
    assert_eq!(same.0.stream_position().unwrap(), 1024 * MIB + 77);
}

/// Takes the bytes of this file and no others.
struct SameAs(File);

impl Write for SameAs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut expected = vec![0; bytes.len()];
        self.0.read_exact(&mut expected)?;
        assert!(bytes == expected);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How much of a file with holes is in the page cache; `None` if it has none after all, or nothing here can tell.
fn cached_bytes_of_a_sparse_file(path: &Path) -> Option<u64> {
    let metadata = fs::metadata(path).unwrap();
    let counted = Command::new("fincore").args(["--noheadings", "--bytes", "--output", "RES"]).arg(path).output();
    let counted = counted.ok().filter(|output| output.status.success() && metadata.blocks() * 512 < metadata.len() / 2);
    if counted.is_none() {
        eprintln!("not looked at: what is in the page cache");
    }
    Some(String::from_utf8(counted?.stdout).unwrap().trim().parse().unwrap())
}

#[test]
fn images_shorter_than_a_block_are_published() {
    let place = place();
    place.write("tiny/part.deb", &noise(9, 1024));
    for length in [0, 1, 1023, 1024, 1025] {
        place.write(&format!("img/{length}.iso"), &noise(9, length));
    }
    for checksum in ["md5", "sha256"] {
        let manifest = format!("{}defaults: {{checksum: {checksum}}}\n", RELEASE.replace("path: b", "path: tiny"));
        place.write("release.yaml", manifest.as_bytes());
        place.publish(&[]).with(0);
        for length in [0, 1, 1023, 1024, 1025] {
            assert_eq!(place.rebuilt("out", &length.to_string(), &[("B", "tiny")]), noise(9, length));
        }
        // An image that is nothing but a part would have no unmatched data, which jigdo-file needs.
        let parts = ["1024", "1025"].map(|name| place.jigdo("out", name).parts.len());
        assert_eq!(parts, [0, 1]);
    }
}

#[test]
fn sums_files_and_comments_hold_what_the_manifest_asks_for_and_nothing_else() {
    let place = place();
    place.write("release.yaml", format!("{RELEASE}defaults: {{sums: [md5, sha1, sha256, sha512]}}\n").as_bytes());
    place.publish(&[]).with(0);
    let text = fs::read_to_string(place.path("out/one.jigdo")).unwrap();
    let image = fs::read(place.path("img/one.iso")).unwrap();
    let template = fs::read(place.path("out/one.template")).unwrap();
    for algorithm in Algorithm::ALL {
        let mut expected = String::new();
        for name in ["one", "three", "two"] {
            for file in [format!("img/{name}.iso"), format!("out/{name}.jigdo"), format!("out/{name}.template")] {
                let sum = sum(algorithm, &fs::read(place.path(&file)).unwrap());
                expected += &format!("{sum}  {}\n", file.rsplit('/').next().unwrap());
            }
        }
        let name = format!("out/{}SUMS", algorithm.name());
        assert_eq!(fs::read_to_string(place.path(&name)).unwrap(), expected);
        assert!(text.contains(&sum(algorithm, &image)) && text.contains(&sum(algorithm, &template)), "{text}");
    }
    assert!(text.contains(&format!("# Image size {} bytes", image.len())), "{text}");

    place.write("release.yaml", format!("{RELEASE}defaults: {{sums: [sha1]}}\n").as_bytes());
    place.publish(&[]).with(0);
    assert!(!place.path("out/MD5SUMS").exists() && place.path("out/SHA1SUMS").exists());
    place.write("release.yaml", format!("{RELEASE}defaults: {{sums: []}}\n").as_bytes());
    place.publish(&[]).with(0);
    assert_eq!(contents(&place.path("out")).len(), 6);
    assert!(!fs::read_to_string(place.path("out/one.jigdo")).unwrap().contains("Image Hex"));
}

#[test]
fn what_the_manifest_says_of_an_image_is_in_its_jigdo_file() {
    let place = place();
    let manifest = "\
release: r
vars: {point: 12.9}
mirrors:
  A: {path: a, servers: ['https://a.example/x']}
  B: {path: b, servers: [{url: 'https://b.example/', try_last: true}, 'https://c.example/']}
images:
  - path: img/one.iso
    output: out
    name: '{stem}-{point}'
    template_url: 'https://t.example/{name}.template'
    filename: 'disc one.iso'
    short_info: 'Disc {point}'
    info: 'All of ''it'''
    include_jigdo: ['https://i.example/servers.jigdo']
";
    place.write("release.yaml", manifest.as_bytes());
    place.publish(&[]).with(0);
    let jigdo = place.jigdo("out", "one-12.9");
    let image = &jigdo.images[0];
    assert_eq!(image.template, "https://t.example/one-12.9.template");
    assert_eq!(image.filename, "disc one.iso");
    assert_eq!(image.short_info.as_ref().unwrap(), "Disc 12.9");
    assert_eq!(image.info.as_ref().unwrap(), "All of 'it'");
    assert_eq!(jigdo.includes, ["https://i.example/servers.jigdo"]);
    let servers: Vec<_> = jigdo
        .servers
        .iter()
        .map(|(label, at)| (label.to_str().unwrap(), at.url.to_str().unwrap(), at.try_last))
        .collect();
    let expected = [("A", "https://a.example/x/", false), ("B", "https://b.example/", true)];
    assert_eq!(servers, [&expected[..], &[("B", "https://c.example/", false)]].concat());
    assert!(fs::read_to_string(place.path("out/SHA256SUMS")).unwrap().contains("  disc one.iso\n"));
    assert_eq!(place.rebuilt("out", "one-12.9", TREES), fs::read(place.path("img/one.iso")).unwrap());
}

#[test]
fn the_first_of_an_images_mirrors_that_has_a_part_names_it() {
    let place = place();
    place.write("b/elsewhere/part1.deb", &part(1));
    for (mirrors, named, parts) in
        [("[A, B]", "A:pool/part1.deb", 3), ("[B, A]", "B:elsewhere/part1.deb", 3), ("[A]", "A:pool/part1.deb", 2)]
    {
        place.write(
            "release.yaml",
            RELEASE.replace("output: out", &format!("output: out, mirrors: {mirrors}")).as_bytes(),
        );
        place.publish(&[]).with(0);
        assert_whole(&place, &["one"]);
        let jigdo = place.jigdo("out", "one");
        assert_eq!(jigdo.parts.len(), parts, "{mirrors}");
        let first = Sum::of(Checksum::Sha256, &part(1));
        let found = jigdo.parts.iter().find(|(sum, _)| *sum == first).unwrap();
        assert_eq!(format!("{}:{}", found.1.label, found.1.path), named);
    }
}

#[test]
fn outputs_are_the_same_with_any_number_of_jobs_on_any_machine() {
    let first = place();
    first.publish(&["--jobs", "1"]).with(0);
    let expected = contents(&first.path("out"));
    assert_eq!(expected.len(), 7);
    for jobs in ["2", "7"] {
        fs::remove_dir_all(first.path("out")).unwrap();
        fs::remove_file(first.path("index.sqlite")).unwrap();
        first.publish(&["--jobs", jobs]).with(0);
        assert!(contents(&first.path("out")) == expected, "--jobs {jobs}");
    }
    // Another machine: files made in another order, with other times and inodes.
    let second = Place::new();
    let files: Vec<_> = ["a", "b", "img"]
        .iter()
        .flat_map(|tree| contents(&first.path(tree)).into_iter().map(move |file| (tree, file)))
        .collect();
    for (number, (tree, (path, bytes))) in files.iter().enumerate().rev() {
        second.write_aged(&format!("{tree}/{}", path.display()), bytes, 100 + 1000 * number as u64);
    }
    second.write("release.yaml", RELEASE.as_bytes());
    second.publish(&[]).with(0);
    assert!(contents(&second.path("out")) == expected);
}

#[test]
fn a_run_that_changes_nothing_rewrites_nothing() {
    let place = place();
    place.publish(&[]).with(0);
    let before = stamps(&place.path("out"));
    let report = place.publish(&["--format", "json"]).with(0).json();
    assert!(outcomes(&report).iter().all(|(_, outcome)| *outcome == "unchanged"), "{report}");
    assert_eq!(stamps(&place.path("out")), before);
    // Without its index, it does all the work again and finds the same.
    fs::remove_file(place.path("index.sqlite")).unwrap();
    let report = place.publish(&["--format", "json"]).with(0).json();
    assert!(outcomes(&report).iter().all(|(_, outcome)| *outcome == "published"), "{report}");
    assert_eq!(stamps(&place.path("out")), before);
    let report = place.publish(&["--format", "json"]).with(0).json();
    assert!(outcomes(&report).iter().all(|(_, outcome)| *outcome == "unchanged"), "{report}");
}

#[test]
fn what_changed_is_published_again_and_nothing_else() {
    let place = place();
    place.publish(&[]).with(0);
    let before = contents(&place.path("out"));
    let two = |place: &Place| stamps(&place.path("out")).remove(Path::new("two.jigdo")).unwrap();
    let stamp = two(&place);

    place.write_aged("img/one.iso", &image(&[2, 5], 9), 1000);
    let report = place.publish(&["--format", "json"]).with(0).json();
    assert_eq!(outcomes(&report), [("one.iso", "published"), ("three.iso", "unchanged"), ("two.iso", "unchanged")]);
    assert_whole(&place, &["one", "two", "three"]);
    assert_eq!(two(&place), stamp);
    let lines = |sums: &[u8], of: &str| {
        let text = String::from_utf8(sums.to_vec()).unwrap();
        text.lines().filter(|line| line.contains(of)).map(str::to_owned).collect::<Vec<_>>()
    };
    let sums = Path::new("SHA256SUMS");
    let now = contents(&place.path("out"));
    assert_ne!(lines(&now[sums], "one."), lines(&before[sums], "one."));
    assert_eq!(lines(&now[sums], "two."), lines(&before[sums], "two."));

    // A new part, which two.iso has a place for; then a part that is no longer what it was.
    let unmatched = place.template("out", "two").description.unmatched_length();
    place.write("b/new.deb", &[noise(2003, 333), part(3)].concat());
    place.publish(&[]).with(0);
    assert_eq!(place.template("out", "two").description.unmatched_length(), unmatched - 2 * 333);
    place.write_aged("b/new.deb", &noise(5, 2000), 1000);
    place.publish(&[]).with(0);
    assert_eq!(place.template("out", "two").description.unmatched_length(), unmatched);
    assert_whole(&place, &["one", "two", "three"]);

    let changed = RELEASE.replace("output: out", "output: out, short_info: new");
    place.write("release.yaml", changed.as_bytes());
    let report = place.publish(&["--format", "json"]).with(0).json();
    assert!(outcomes(&report).iter().all(|(_, outcome)| *outcome == "published"), "{report}");
    assert_eq!(place.jigdo("out", "two").images[0].short_info.as_ref().unwrap(), "new");
}

#[test]
fn after_a_change_of_the_mirror_images_are_not_hashed_again_and_their_sets_are_those_of_a_run_from_nothing() {
    let place = place();
    place.publish(&[]).with(0);
    for changed in [noise(5, 2000), [noise(2003, 333), part(3)].concat(), part(3)] {
        place.write_aged("b/new.deb", &changed, 1000);
        let images = place.publish(&["--format", "json"]).with(0).json()["images"].take();
        for image in images.as_array().unwrap() {
            assert_eq!(image["outcome"], "published");
            assert_eq!(image["stages"]["sums"]["bytes"], 0, "{image}");
        }
        let again = contents(&place.path("out"));
        fs::remove_dir_all(place.path("out")).unwrap();
        fs::remove_file(place.path("index.sqlite")).unwrap();
        let images = place.publish(&["--format", "json"]).with(0).json()["images"].take();
        for image in images.as_array().unwrap() {
            let algorithms = image["sums"]["image"].as_object().unwrap().len() as u64;
            assert_eq!(image["stages"]["sums"]["bytes"], algorithms * image["bytes"].as_u64().unwrap(), "{image}");
        }
        assert_eq!(contents(&place.path("out")), again);
    }
}

#[test]
fn a_partial_run_keeps_the_other_sets_and_their_lines() {
    let place = place();
    let entry =
        RELEASE.replace("'img/*.iso', output: out", "'img/{n}.iso', output: out, matrix: {n: [one, two, three]}");
    place.write("release.yaml", entry.as_bytes());
    place.publish(&["--only", "n=one"]).with(0);
    place.publish(&["--only", "image=tw*.iso", "--only", "image=*nothing-else*"]);
    place.publish(&["--only", "image=tw*"]).with(0);
    assert_whole(&place, &["one", "two"]);
    assert!(!place.path("out/three.jigdo").exists());
    // The third comes from another manifest; a line that somebody else wrote stays, though its name is Latin-1.
    let foreign = [noise_sum().as_bytes(), b"  b\xfccher.txt\n"].concat();
    let sums = place.path("out/SHA256SUMS");
    fs::write(&sums, [foreign.clone(), fs::read(&sums).unwrap()].concat()).unwrap();
    place.write("other.yaml", RELEASE.replace("img/*.iso", "img/three.iso").as_bytes());
    place.run(&["publish", "other.yaml"]).with(0);
    assert_whole(&place, &["one", "two", "three"]);
    let text = fs::read(&sums).unwrap();
    assert!(text.starts_with(&foreign));
    assert_eq!(String::from_utf8_lossy(&text).lines().count(), 10);
}

fn noise_sum() -> String {
    sum(Algorithm::Sha256, b"somebody else's")
}

#[test]
fn two_manifests_publish_into_one_directory_in_one_run() {
    let place = place();
    place.write("1.yaml", RELEASE.replace("img/*.iso", "img/one.iso").as_bytes());
    place.write("2.yaml", RELEASE.replace("img/*.iso', output: out", "img/two.iso', output: img/../out/").as_bytes());
    place.run(&["publish", "1.yaml", "2.yaml"]).with(0);
    assert_whole(&place, &["one", "two"]);
    assert_eq!(fs::read_to_string(place.path("out/SHA256SUMS")).unwrap().lines().count(), 6);
}

/// Does something whenever the work on an image advances, which is told by its name.
struct On<F: Fn(&str) + Sync + Send>(F);

struct OnImage<'a, F>(&'a F, String);

impl<F: Fn(&str) + Sync + Send> Meter for OnImage<'_, F> {
    fn advance(&self, _: u64) {
        (self.0)(&self.1);
    }
}

impl<F: Fn(&str) + Sync + Send> Progress for On<F> {
    fn begin<'a>(&'a self, task: &Begin<'_>) -> Arc<dyn Meter + 'a> {
        match task.kind {
            "image" => Arc::new(OnImage(&self.0, task.name.to_owned())),
            _ => Arc::new(()),
        }
    }

    fn note(&self, _: &str) {}

    fn warn(&self, _: &str) {}
}

/// Publishes through the library; gives each image's outcome and error.
fn publish_here(place: &Place, disturb: impl FnOnce(), progress: &dyn Progress) -> Vec<(Outcome, String)> {
    settle(&place.path(""));
    let releases = manifest::load_all(&[place.path("release.yaml")], &[]).unwrap();
    disturb();
    let (index, ledger) = (place.path("index.sqlite"), Ledger::default());
    let options = Options {
        index: &index,
        jobs: 2,
        dry_run: false,
        paranoid: false,
        sign_command: None,
        pruning: Pruning::List,
        ledger: &ledger,
    };
    let outcomes = publish(&releases, &options, progress).unwrap();
    assert!(!outcomes.nothing_could_be_written);
    outcomes.report.images.into_iter().map(|image| (image.outcome, image.error.unwrap_or_default())).collect()
}

#[test]
fn an_image_that_vanished_fails_alone_and_its_old_set_stays() {
    let place = place();
    place.publish(&[]).with(0);
    let before = contents(&place.path("out"));
    place.write("img/two.iso", &image(&[4, 4], 8));
    let gone = || fs::remove_file(place.path("img/one.iso")).unwrap();
    let images = publish_here(&place, gone, &Silent);
    let [(Outcome::Failed, why), (Outcome::Unchanged, _), (Outcome::Published, _)] = &images[..] else {
        panic!("{images:?}")
    };
    assert!(why.contains("img/one.iso: No such file"), "{why}");
    assert_whole(&place, &["two", "three"]);
    let after = contents(&place.path("out"));
    assert!(["one.jigdo", "one.template"].iter().all(|file| after[Path::new(file)] == before[Path::new(file)]));
    let directory = || fs::create_dir(place.path("img/two.iso")).unwrap();
    let replace = || {
        fs::remove_file(place.path("img/two.iso")).unwrap();
        directory();
    };
    place.write("img/one.iso", &image(&[1], 1));
    let images = publish_here(&place, replace, &Silent);
    assert!(images[2].1.contains("img/two.iso: it is not a regular file"), "{images:?}");
}

#[test]
fn a_part_that_changes_under_its_image_fails_that_image_only() {
    let place = place();
    let change = |image: &str| {
        if image.ends_with("img/one.iso") {
            place.write_aged("a/pool/part2.deb", &noise(99, 100), 500);
        }
    };
    let images = publish_here(&place, || (), &On(change));
    let [(Outcome::Failed, why), (Outcome::Published, _), (Outcome::Published, _)] = &images[..] else {
        panic!("{images:?}")
    };
    assert!(why.contains("a/pool/part2.deb changed during this run; run again"), "{why}");
    assert_whole(&place, &["two", "three"]);
    assert!(!place.path("out/one.jigdo").exists());
    place.publish(&[]).with(0);
    assert_whole(&place, &["one", "two", "three"]);
}

#[test]
fn an_image_that_grows_or_shrinks_while_it_is_read_fails_alone() {
    let place = place();
    place.publish(&[]).with(0);
    let before = contents(&place.path("out"));
    let path = place.path("img/one.iso");
    for lengths in [[20 << 20, (20 << 20) + 1], [20 << 20, 9 << 20]] {
        let is_over = AtomicBool::new(false);
        let report = place.path("report.json");
        let mut publish = place.command(&["publish", "release.yaml", "--report", report.to_str().unwrap()]);
        let ran = std::thread::scope(|scope| {
            File::options().write(true).open(&path).unwrap().set_len(lengths[0]).unwrap();
            scope.spawn(|| {
                let file = File::options().write(true).open(&path).unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    lengths.iter().for_each(|&length| file.set_len(length).unwrap());
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let ran = Ran::of(&mut publish);
            is_over.store(true, Ordering::Relaxed);
            ran.with(1)
        });
        assert!(ran.err.contains("img/one.iso: it "), "{}", ran.err);
        let report: serde_json::Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
        assert_eq!(outcomes(&report)[0], ("one.iso", "failed"));
        assert!(report["images"][0]["error"].as_str().unwrap().contains("while it was read"));
        assert!(contents(&place.path("out")) == before);
    }
}

#[test]
fn mistakes_in_a_manifest_are_named_with_their_place_and_nothing_is_made() {
    let place = place();
    for (from, to, message) in [
        ("output: out", "output: out, levle: 3", "did you mean \"level\""),
        ("output: out", "output: out, mirrors: [C]", "mirror \"C\" is not defined"),
        ("img/*.iso", "img/*.img", "no file matches"),
        ("path: a", "path: nowhere", "nowhere"),
        ("output: out", "output: out, name: same", "would both write"),
        ("output: out", "output: release.yaml/out", "is not a directory"),
        ("images:", "images: [", "release.yaml:"),
    ] {
        place.write("release.yaml", RELEASE.replacen(from, to, 1).as_bytes());
        let ran = place.publish(&[]).with(2);
        let first = ran.err.lines().next().unwrap();
        let numbers: Vec<_> = first.strip_prefix("release.yaml:").unwrap().splitn(3, ':').collect();
        assert!(numbers[..2].iter().all(|number| number.parse::<u32>().is_ok()), "{first}");
        assert!(ran.err.contains(message), "{}", ran.err);
        assert!(!place.path("out").exists() && !place.path("index.sqlite").exists());
    }
    place.run(&["publish", "missing.yaml"]).with(2);
    place.run(&["publish"]).with(2);
    place.run(&["publish", "release.yaml", "--only", "nonsense"]).with(2);
    place.run(&["publish", "release.yaml", "--jobs", "0"]).with(2);
}

#[test]
fn an_empty_mirror_is_an_error_that_names_it() {
    let place = place();
    fs::create_dir_all(place.path("empty/below")).unwrap();
    place.write("release.yaml", RELEASE.replace("path: a", "path: empty").as_bytes());
    let ran = place.publish(&[]).with(2);
    assert!(ran.err.contains("mirror \"A\"") && ran.err.contains("empty has no file"), "{}", ran.err);
    assert!(!place.path("out").exists());
    let ran = place.run(&["index", "empty"]).with(2);
    assert!(ran.err.contains("empty"), "{}", ran.err);
}

#[test]
fn a_combination_without_a_file_fails_alone() {
    let place = place();
    let entry = "{path: 'img/{disc}.iso', matrix: {disc: [one, four, two]}, output: out";
    place.write("release.yaml", RELEASE.replace("{path: 'img/*.iso', output: out", entry).as_bytes());
    let report = place.path("report.json");
    let ran = place.publish(&["--report", report.to_str().unwrap()]).with(1);
    assert_eq!(ran.err.matches("release.yaml:6:12: no file matches img/four.iso").count(), 1, "{}", ran.err);
    assert_whole(&place, &["one", "two"]);
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    assert_eq!(outcomes(&json), [("one.iso", "published"), ("four.iso", "failed"), ("two.iso", "published")]);
    assert!(json["images"][1]["error"].as_str().unwrap().contains("no file matches"));
    assert!(ran.out.lines().any(|line| line.starts_with("four.iso") && line.ends_with("FAILED")), "{}", ran.out);
    assert!(place.publish(&["--servers-only"]).with(1).err.contains("no file matches img/four.iso"));
    place.publish(&["--only", "disc=four"]).with(2);

    let optional = RELEASE.replace("{path: 'img/*.iso', output: out", &format!("{entry}, optional: true"));
    place.write("release.yaml", optional.as_bytes());
    let ran = place.publish(&["--report", report.to_str().unwrap()]).with(0);
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    assert_eq!(outcomes(&json)[1], ("four.iso", "absent"));
    assert!(
        ran.out.lines().any(|line| line.starts_with("four.iso") && line.ends_with("absent (optional)")),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("2 unchanged, 1 absent"), "{}", ran.out);
}

#[test]
fn an_empty_mirror_only_concerns_the_images_that_use_it() {
    let place = place();
    fs::create_dir_all(place.path("empty/below")).unwrap();
    let entries =
        "  - {path: img/one.iso, output: out, mirrors: [B, A]}\n  - {path: img/two.iso, output: out, mirrors: [A]}\n";
    let manifest = RELEASE.replace("path: b", "path: empty").replace("  - {path: 'img/*.iso', output: out}\n", entries);
    place.write("release.yaml", manifest.as_bytes());
    let ran = place.publish(&["--format", "json"]).with(1);
    assert_eq!(outcomes(&ran.json()), [("one.iso", "failed"), ("two.iso", "published")]);
    assert_eq!(ran.err.matches("mirror \"B\"").count(), 1, "{}", ran.err);
    place.write("release.yaml", manifest.replace("path: empty", "path: gone").as_bytes());
    let ran = place.publish(&["--format", "json"]).with(1);
    assert_eq!(outcomes(&ran.json()), [("one.iso", "failed"), ("two.iso", "unchanged")]);
    assert!(ran.err.contains("release.yaml:4:13: mirror \"B\": gone does not exist"), "{}", ran.err);
}

#[test]
fn an_image_whose_name_is_not_utf8_fails_alone() {
    let place = place();
    fs::write(place.path("img").join(std::ffi::OsStr::from_bytes(b"lat\xedn.iso")), "x").unwrap();
    let ran = place.publish(&[]).with(1);
    assert!(ran.err.contains("img/lat\\xedn.iso has a name that is not UTF-8"), "{}", ran.err);
    assert_whole(&place, &["one", "two", "three"]);
}

#[test]
fn a_locked_output_directory_stops_its_images_and_no_others() {
    let place = place();
    fs::create_dir(place.path("out")).unwrap();
    let lock = File::open(place.path("out")).unwrap();
    lock.try_lock().unwrap();
    let ran = place.publish(&[]).with(3);
    assert!(ran.err.contains("another run is writing to") && ran.err.contains("out; wait"), "{}", ran.err);
    assert!(contents(&place.path("out")).is_empty());
    let manifest = RELEASE.replace("img/*.iso', output: out", "img/{n}.iso', output: '{n}', matrix: {n: [one, two]}");
    place.write("release.yaml", manifest.as_bytes());
    fs::create_dir(place.path("one")).unwrap();
    let lock = File::open(place.path("one")).unwrap();
    lock.try_lock().unwrap();
    place.publish(&[]).with(1);
    assert!(place.path("two/two.jigdo").exists() && contents(&place.path("one")).is_empty());
    drop(lock);
    place.publish(&[]).with(0);
}

#[test]
fn where_nothing_can_be_written_the_exit_code_is_3_and_other_directories_are_published() {
    let place = place();
    let path = place.path("full");
    for options in ["size=32k", "ro"] {
        let Some(_mount) = Mount::new(&path, options) else { return };
        let manifest = RELEASE.replace("output: out", "output: full/sub");
        place.write("img/one.iso", &noise(4, 200_000));
        place.write("img/two.iso", &noise(4, 200_000));
        place.write("img/three.iso", &noise(4, 200_000));
        place.write("release.yaml", manifest.as_bytes());
        let ran = place.publish(&[]).with(3);
        assert!(ran.err.contains("full/sub") && ran.err.contains("check space and permissions there"), "{}", ran.err);
        assert!(contents(&path).is_empty());
        let both = format!("{manifest}  - {{path: img/one.iso, output: out}}\n");
        place.write("release.yaml", both.as_bytes());
        place.publish(&[]).with(1);
        assert_whole(&place, &["one"]);
    }
}

/// That each published jigdo file has the sum of the template beside it.
#[track_caller]
fn assert_matching(place: &Place, names: &[&str]) {
    for name in names {
        let (jigdo, template) = (format!("out/{name}.jigdo"), format!("out/{name}.template"));
        if place.path(&jigdo).exists() {
            let named = place.jigdo("out", name).images[0].template_sum.unwrap();
            assert_eq!(named, Sum::of(Checksum::Sha256, &fs::read(place.path(&template)).unwrap()), "{name}");
        }
    }
}

#[test]
fn a_run_killed_at_any_moment_leaves_whole_sets_and_the_next_one_completes() {
    const NAMES: [&str; 3] = ["one", "two", "three"];
    let place = place();
    // Two versions of the release, and what an undisturbed run makes of each.
    let versions: Vec<Vec<Vec<u8>>> = (0..2)
        .map(|version| {
            let of = |number: u64| {
                [image(&[number, 5, 2, 6], 20 + number + 10 * version), noise(number + 50 * version, 900_000)].concat()
            };
            (1..=3).map(of).collect()
        })
        .collect();
    let lay_out = |version: usize| {
        for (name, bytes) in NAMES.iter().zip(&versions[version]) {
            place.write_aged(&format!("img/{name}.iso"), bytes, 1000 + 1000 * version as u64);
        }
    };
    let mut expected = Vec::new();
    let mut duration = Duration::MAX;
    for version in 0..2 {
        lay_out(version);
        let start = Instant::now();
        place.publish(&[]).with(0);
        duration = duration.min(start.elapsed());
        expected.push(contents(&place.path("out")));
    }
    let mut killed = 0;
    for round in 0..24u32 {
        let version = round as usize % 2;
        lay_out(version);
        let mut run = place.command(&["publish", "release.yaml", "--quiet"]).stderr(Stdio::null()).spawn().unwrap();
        if round < 12 {
            std::thread::sleep(duration.mul_f64(f64::from(round) / 12.0));
        } else {
            // The other half of the kills falls into the moments in which files are renamed.
            let sums = place.path("out/.jigpress/SHA256SUMS");
            while !sums.exists() && run.try_wait().unwrap().is_none() {}
            std::thread::sleep(Duration::from_micros(150 * u64::from(round - 12)));
        }
        run.kill().unwrap();
        killed += u32::from(!run.wait().unwrap().success());
        if !place.path("out/.jigpress/commit").exists() {
            assert_matching(&place, &NAMES);
        }
        if round % 3 == 0 {
            // A run over one image repairs what the killed one had begun with others.
            place.publish(&["--only", "image=three.iso"]).with(0);
            assert_matching(&place, &NAMES);
        }
        place.publish(&[]).with(0);
        assert!(contents(&place.path("out")) == expected[version], "round {round}");
    }
    assert!(killed > 0, "no run was killed before its end");
}

#[test]
fn a_run_killed_between_template_and_jigdo_file_is_finished_by_a_run_over_another_image() {
    let place = place();
    place.publish(&[]).with(0);
    let old = contents(&place.path("out"));
    place.write_aged("img/one.iso", &image(&[2, 5], 9), 1000);
    place.publish(&[]).with(0);
    let new = contents(&place.path("out"));
    for (name, bytes) in old {
        let is_renamed = name == Path::new("one.template");
        let staged = place.path("out/.jigpress").join(&name);
        fs::create_dir_all(staged.parent().unwrap()).unwrap();
        if bytes != new[&name] && !is_renamed {
            fs::rename(place.path("out").join(&name), staged).unwrap();
            fs::write(place.path("out").join(&name), bytes).unwrap();
        }
    }
    let log = "publish one.template\npublish one.jigdo\npublish SHA256SUMS\n";
    fs::write(place.path("out/.jigpress/commit"), log).unwrap();
    place.publish(&["--dry-run"]).with(0);
    assert!(place.path("out/.jigpress/one.jigdo").exists());
    place.publish(&["--only", "image=two.iso"]).with(0);
    assert!(contents(&place.path("out")) == new);
}

#[test]
fn a_dry_run_says_what_would_be_done_and_writes_nothing() {
    let place = place();
    let ran = place.publish(&["--dry-run"]).with(0);
    assert!(ran.out.contains("3 to do"), "{}", ran.out);
    assert!(!place.path("out").exists());
    place.publish(&["--only", "image=one.iso"]).with(0);
    let before = stamps(&place.path("out"));
    let report = place.publish(&["--dry-run", "--format", "json"]).with(0).json();
    assert_eq!(outcomes(&report), [("one.iso", "unchanged"), ("three.iso", "planned"), ("two.iso", "planned")]);
    assert_eq!(report["images"][1]["bytes"], fs::metadata(place.path("img/three.iso")).unwrap().len());
    assert_eq!(stamps(&place.path("out")), before);
}

#[test]
fn the_report_is_the_same_on_standard_output_and_in_its_file() {
    let place = place();
    let ran = place.publish(&["--format", "json", "--report", "report.json"]).with(0);
    assert_eq!(ran.out, fs::read_to_string(place.path("report.json")).unwrap());
    assert_eq!(ran.err, "");
    let report = ran.json();
    let one = &report["images"][0];
    assert_eq!(
        one["matched_bytes"].as_u64().unwrap(),
        [1, 4, 2].iter().map(|&number| part(number).len() as u64).sum::<u64>()
    );
    assert_eq!(one["sums"]["image"]["sha256"], sum(Algorithm::Sha256, &fs::read(place.path("img/one.iso")).unwrap()));
    assert!(!place.path("report.json.new").exists());
}

#[test]
fn a_report_that_cannot_be_written_stops_the_run_before_it_begins() {
    let place = place();
    let ran = place.publish(&["--report", "nowhere/report.json"]).with(3);
    assert!(ran.err.contains("nowhere/report.json: No such file"), "{}", ran.err);
    assert!(!place.path("out").exists());
    // A device takes the report; it is not replaced by a file.
    place.publish(&["--quiet", "--report", "/dev/null"]).with(0);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn a_quiet_run_that_goes_well_prints_nothing() {
    let place = place();
    let ran = place.publish(&["--quiet"]).with(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
}

#[test]
fn a_run_goes_on_when_nobody_reads_what_it_prints() {
    let place = place();
    let mut run =
        place.command(&["publish", "release.yaml"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((run.stdout.take(), run.stderr.take()));
    assert!(run.wait().unwrap().success());
    assert_whole(&place, &["one", "two", "three"]);
}

#[test]
fn what_the_index_command_has_read_is_not_read_again() {
    let place = place();
    place.run(&["index", "release.yaml", "--read-all"]).with(0);
    let sums = |place: &Place| -> Vec<(String, Option<Vec<u8>>)> {
        let index = rusqlite::Connection::open(place.path("index.sqlite")).unwrap();
        let mut query = index.prepare("SELECT CAST(path AS TEXT), sha256 FROM file ORDER BY path").unwrap();
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    let known = sums(&place);
    assert_eq!(known.len(), 6);
    assert!(known.iter().all(|(path, sum)| {
        let number = path.trim_start_matches("pool/part").trim_end_matches(".deb").parse().unwrap();
        sum.as_deref() == Some(Sum::of(Checksum::Sha256, &part(number)).as_bytes())
    }));
    let report = place.publish(&["--format", "json"]).with(0).json();
    assert!(
        report["images"].as_array().unwrap().iter().all(|image| image["stages"]["mirror"]["bytes"] == 0),
        "{report}"
    );

    let other = Place::new();
    other.write("tree/x", &part(1));
    other.run(&["index", "tree", "--read-all", "--quiet"]).with(0);
    assert!(sums(&other)[0].1.is_some());
}

#[test]
fn a_sum_that_was_damaged_in_the_index_is_not_published() {
    for damage in ["sha256 = zeroblob(32)", "blake3 = zeroblob(32)", "sha256_check = 0", "sha256_check = NULL"] {
        let place = place();
        place.run(&["index", "release.yaml", "--read-all"]).with(0);
        let index = rusqlite::Connection::open(place.path("index.sqlite")).unwrap();
        assert_eq!(index.execute(&format!("UPDATE file SET {damage}"), []).unwrap(), 6);
        drop(index);
        let report = place.publish(&["--format", "json"]).with(0).json();
        let images = report["images"].as_array().unwrap();
        assert!(images.iter().any(|image| image["stages"]["mirror"]["bytes"] != 0), "{damage}: {report}");
        assert!(images.iter().all(|image| image["parts"] != 0), "{damage}: {report}");
        assert_whole(&place, &["one", "two", "three"]);
    }
}

#[test]
fn a_damaged_index_or_one_that_cannot_be_is_named_with_the_remedy() {
    let place = place();
    place.publish(&[]).with(0);
    let mut bytes = fs::read(place.path("index.sqlite")).unwrap();
    bytes[100..4000].fill(0xa5);
    for damaged in [&bytes[..], b"this is no database, but it is long enough to be looked at as if it were one of them"]
    {
        fs::write(place.path("index.sqlite"), damaged).unwrap();
        let ran = place.publish(&[]).with(3);
        assert!(ran.err.contains("index.sqlite") && ran.err.contains("delete"), "{}", ran.err);
    }
    for index in ["release.yaml/index", "/proc/index"] {
        let ran = place.publish(&["--index", index]).with(3);
        assert!(ran.err.contains(index), "{}", ran.err);
    }
}

#[test]
fn sets_are_inspected_in_words_and_as_json() {
    let place = place();
    place.publish(&[]).with(0);
    let ran = place.run(&["inspect", "out/one.template"]).with(0);
    assert!(ran.out.contains("need-file-sha256") && ran.out.contains("3 parts"), "{}", ran.out);
    let ran = place.run(&["inspect", "out/one.jigdo"]).with(0);
    assert!(ran.out.contains("https://a.example/"), "{}", ran.out);
    let json = place.run(&["inspect", "out/one.template", "--format", "json"]).with(0).json();
    assert_eq!(json["totals"]["parts"], 3);
    let json = place.run(&["inspect", "out/one.jigdo", "--format", "json"]).with(0).json();
    assert_eq!(json["parts"].as_array().unwrap().len(), 3);
    let ran = place.run(&["inspect", "img/one.iso"]).with(3);
    assert!(ran.err.contains("img/one.iso"), "{}", ran.err);
    place.run(&["inspect", "nowhere"]).with(3);
}

#[test]
fn the_program_describes_itself() {
    let place = Place::new();
    place.run(&["schema"]).with(0).json();
    assert!(place.run(&["--version"]).with(0).out.starts_with("jigpress "));
    assert!(place.run(&["--help"]).with(0).out.contains("Exit codes"));
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(&["completions", shell]).with(0).out;
        assert!(script.contains("--dry-run") || script.contains("dry-run"), "{shell}");
    }
    let page = place.run(&["man", "index"]).with(0).out;
    assert!(page.contains(".TH JIGPRESS-INDEX 1 ") && page.contains("read\\-all"), "{page}");
}

#[test]
fn a_reader_who_goes_away_early_is_no_panic() {
    let place = place();
    place.publish(&[]).with(0);
    for arguments in
        [&["schema"][..], &["man"], &["completions", "bash"], &["--help"], &["inspect", "out/one.template"]]
    {
        let mut run = place.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(run.stdout.take());
        let mut err = String::new();
        run.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert!(run.wait().unwrap().code().is_some_and(|code| code <= 3), "{arguments:?}");
        assert_eq!(err, "", "{arguments:?}");
    }
}

#[test]
fn names_with_awkward_characters_survive_the_round_trip() {
    let place = Place::new();
    let names = [
        "with space",
        "#hash",
        "it's \"quoted\"",
        "back\\slash",
        "grüße/日本",
        " lead",
        "trail ",
        "a=b:c",
        "--try-last",
        "[x]",
        "$HOME %20",
    ];
    for (number, name) in names.iter().enumerate() {
        place.write(&format!("a/{name}"), &part(number as u64 + 1));
    }
    let bad = place.path("a").join(std::ffi::OsStr::from_bytes(b"two\nlines"));
    fs::write(&bad, part(40)).unwrap();
    age(&bad, 100);
    let numbers: Vec<u64> = (1..=names.len() as u64).chain([40]).collect();
    place.write("img/o'ne #1 \\é.iso", &image(&numbers, 1));
    place.write(
        "release.yaml",
        b"release: r\nmirrors: {A: {path: a, servers: [http://a/]}}\nimages: [{path: img/*.iso, output: out put}]\n",
    );
    let ran = place.publish(&[]).with(0);
    assert!(ran.err.contains(" WARN ") && ran.err.contains("1 name cannot be written in a jigdo file"), "{}", ran.err);
    let name = "o'ne #1 \\é";
    assert_eq!(place.rebuilt("out put", name, TREES), fs::read(place.path(&format!("img/{name}.iso"))).unwrap());
    let mut found: Vec<_> = place.jigdo("out put", name).parts.into_iter().map(|(_, at)| at.path).collect();
    found.sort();
    let mut expected = names.map(str::to_owned);
    expected.sort();
    assert_eq!(found, expected);
    if !installed(&["sha256sum"]) {
        return;
    }
    let check = Command::new("sha256sum")
        .args(["--check", "--quiet", "--ignore-missing", "SHA256SUMS"])
        .current_dir(place.path("out put"))
        .status();
    assert!(check.is_ok_and(|status| status.success()));
}

#[test]
fn a_mirror_with_loops_of_links_is_searched() {
    let place = place();
    std::os::unix::fs::symlink("..", place.path("a/pool/up")).unwrap();
    std::os::unix::fs::symlink("itself", place.path("a/itself")).unwrap();
    std::os::unix::fs::symlink("part1.deb", place.path("a/pool/again.deb")).unwrap();
    let ran = place.publish(&[]).with(0);
    let warnings: Vec<_> = ran.err.lines().filter(|line| line.contains(" WARN ")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("1 symbolic link leads nowhere"), "{warnings:?}");
    assert_whole(&place, &["one", "two", "three"]);
}

/// The published files of the sets, and the sums of them.
fn published_sums(place: &Place, name: &str) -> String {
    sum(Algorithm::Sha256, &fs::read(place.path(&format!("out/{name}"))).unwrap())
}

#[test]
fn lines_that_somebody_else_wrote_are_brought_up_to_date_as_they_are() {
    let place = place();
    place.write("release.yaml", RELEASE.replace("*.iso", "one.iso").as_bytes());
    place.publish(&[]).with(0);
    let sums = ["one.iso", "one.jigdo", "one.template"].map(|name| match name {
        "one.iso" => sum(Algorithm::Sha256, &fs::read(place.path("img/one.iso")).unwrap()),
        name => published_sums(&place, name),
    });
    let foreign = noise_sum();
    let filled = |text: &str, [iso, jigdo, template]: [&str; 3]| {
        let text = text.replace("{iso}", iso).replace("{jigdo}", jigdo).replace("{template}", template);
        text.replace("{foreign}", &foreign)
    };
    let stale = "0".repeat(64);
    for (before, after) in [
        ("{iso}  ./one.iso\n{jigdo}  ./one.jigdo\n{template}  ./one.template\n", ""),
        (
            "SHA256 (one.jigdo) = {jigdo}\nSHA256 (one.iso) = {iso}\nSHA256 (x) = {foreign}\nSHA256 (one.template) = {template}\n",
            "",
        ),
        ("# by hand\r\n{foreign} *z\r\n{template} *one.template\r\n{jigdo} *one.jigdo\r\n{iso} *one.iso\r\n", ""),
        ("{iso} one.iso\n{jigdo} one.jigdo\n{template} one.template\n{foreign} two", ""),
        // Twice, and not in the order of names.
        ("{template}  one.template\n{jigdo}  one.jigdo\n{jigdo}  ./one.jigdo\n{iso}  one.iso\n", ""),
        // What is missing is added, where it belongs, and as the others are.
        (
            "{foreign} *a\r\n{jigdo} *one.jigdo\r\n",
            "{foreign} *a\r\n{iso} *one.iso\r\n{jigdo} *one.jigdo\r\n{template} *one.template\r\n",
        ),
        (
            "SHA256 (b) = {foreign}\nSHA256 (a) = {foreign}",
            "SHA256 (b) = {foreign}\nSHA256 (a) = {foreign}\nSHA256 (one.iso) = {iso}\nSHA256 (one.jigdo) = {jigdo}\nSHA256 (one.template) = {template}\n",
        ),
    ] {
        let after = if after.is_empty() { before } else { after };
        place.write("out/SHA256SUMS", filled(before, [&stale; 3]).as_bytes());
        place.publish(&["--quiet"]).with(0);
        let text = fs::read_to_string(place.path("out/SHA256SUMS")).unwrap();
        assert_eq!(text, filled(after, [&sums[0], &sums[1], &sums[2]]));
    }
}

#[test]
fn lines_of_sums_that_the_manifest_does_not_ask_for_are_removed_however_they_are_written() {
    let place = place();
    let foreign = sum(Algorithm::Md5, b"somebody else's");
    let stale = "0".repeat(32);
    let lines = format!("{stale} *./one.jigdo\r\nMD5 (one.iso) = {stale}\n{stale} one.template\n{foreign} x\r\n");
    place.write("out/MD5SUMS", lines.as_bytes());
    place.publish(&[]).with(0);
    assert_eq!(fs::read_to_string(place.path("out/MD5SUMS")).unwrap(), format!("{foreign} x\r\n"));
}

#[test]
fn signatures_of_sums_files_that_changed_are_stale_unless_they_are_made_anew() {
    let place = place();
    place.write("out/SHA256SUMS.sign", b"old");
    place.write("out/MD5SUMS", format!("{}  one.iso\n", "0".repeat(32)).as_bytes());
    place.write("out/MD5SUMS.asc", b"old");
    let ran = place.publish(&[]).with(0);
    let stale: Vec<_> = ran.err.lines().filter(|line| line.contains(" is stale: ")).collect();
    assert!(stale.len() == 2, "{}", ran.err);
    assert!(
        stale[0].ends_with("out/MD5SUMS.asc is stale: the file that it signs was removed; remove it too"),
        "{stale:?}"
    );
    assert!(stale[1].ends_with("out/SHA256SUMS.sign is stale: the file that it signs changed; sign that again"));
    assert!(!place.publish(&[]).with(0).err.contains("stale"));
    if !installed(&["sh", "sha256sum"]) {
        return;
    }
    // Signed once, and only if it changed.
    let command = ["--sign-command", "echo \"$1\" >> signed && sha256sum \"$1\" > \"$1.sign\""];
    place.publish(&command).with(0);
    assert!(!place.path("signed").exists());
    place.write("img/one.iso", &image(&[1, 4], 5));
    assert!(!place.publish(&command).with(0).err.contains("stale"));
    let signed = fs::read_to_string(place.path("signed")).unwrap();
    assert!(signed.lines().count() == 1 && signed.ends_with("/out/SHA256SUMS\n"), "{signed}");
    place.write("img/one.iso", &image(&[1, 4], 6));
    let ran = place.publish(&["--sign-command", "exit 7"]).with(1);
    assert!(ran.err.contains("SHA256SUMS: the command that signs it failed: exit status: 7"), "{}", ran.err);
    assert!(ran.err.contains("SHA256SUMS.sign is stale"), "{}", ran.err);
    assert_whole(&place, &["one"]);
    // Other servers change SUMS files, too.
    place.write("release.yaml", RELEASE.replace("https://a.", "https://new.").as_bytes());
    place.publish(&[&["--servers-only"], &command[..]].concat()).with(0);
    assert_eq!(fs::read_to_string(place.path("signed")).unwrap().lines().count(), 2);
}

#[test]
fn a_sums_file_that_somebody_broke_is_put_right_by_the_next_run() {
    let place = place();
    place.publish(&[]).with(0);
    let before = contents(&place.path("out"));
    let mut sums = File::create(place.path("out/SHA256SUMS")).unwrap();
    writeln!(sums, "{}  one.iso", noise_sum()).unwrap();
    place.publish(&[]).with(0);
    assert!(contents(&place.path("out")) == before);
}
