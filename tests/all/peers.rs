//! jigpress against the tools that people have: what it publishes, they rebuild and check; what they write, it reads.
//! They are the oracles, so nothing here repeats what the formats are. Tests whose tools are not installed say so and
//! pass, except where `JIGPRESS_PEERS=required`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::sets::{BZIP2, COMBINATIONS, MD5, Release, SHA256, Set, Settings, UNUSUAL};
use crate::common::sets::{both_peers, check, checksum_list_line, corpus};
use crate::common::{imagesums, installed, jigpress, repository, run, text, write};
use jigdo::Algorithm;
use jigdo::bstr::ByteSlice as _;
use testing::noise;

fn vectors() -> Release {
    let vectors = repository().join("testdata/vectors");
    let mut release = Release::of(Path::new(""), &[("Debian", &vectors.join("mirror"))]);
    release.images = release.scratch("images");
    for name in ["plain.img", "libjte.iso"] {
        write(&release.images.join(name), &fs::read(vectors.join(name)).unwrap());
    }
    release
}

fn demo() -> Release {
    let demo = repository().join("testdata/demo");
    Release::of(&demo.join("images"), &[("Debian", &demo.join("debian")), ("Extras", &demo.join("extras"))])
}

/// A tree of files as on a disc, some of which the mirror has.
fn release_of_discs() -> (Release, PathBuf) {
    let release = Release::empty();
    let tree = release.scratch("tree");
    for number in 0..20 {
        let path = format!("pool/main/p/package{number}_1.{number}-1_all.deb");
        let content = noise(number, 3000 + 4111 * number as usize);
        release.add_part(&path, &content);
        if number % 7 != 3 {
            write(&tree.join(&path), &content);
        }
    }
    for (number, name) in ["Packages", "Sources"].into_iter().enumerate() {
        let content = text(number as u64, 30_000);
        release.add_part(&format!("dists/stable/{name}"), &content);
        write(&tree.join(format!("dists/{name}")), &content);
    }
    write(&tree.join("live/filesystem.squashfs"), &noise(99, 200_000));
    write(&tree.join("README.txt"), &text(98, 20_000));
    (release, tree)
}

fn xorriso() -> Command {
    let mut xorriso = Command::new("xorriso");
    xorriso.args(["-as", "mkisofs", "-quiet", "-r", "-J", "-V", "DISC"]);
    xorriso
}

/// Images of one tree, as the tools make them that make images.
fn discs_of_every_kind() -> Release {
    let (release, tree) = release_of_discs();
    let image = |name: &str| release.images.join(name);
    run(xorriso().arg("-o").arg(image("rock-ridge-joliet.iso")).arg(&tree));
    let partition = release.scratch("partition.img");
    fs::write(&partition, noise(97, 65_536)).unwrap();
    let mut hybrid = xorriso();
    hybrid.arg("-o").arg(image("hybrid.iso")).args(["-append_partition", "2", "0xef"]).arg(partition);
    run(hybrid.arg("-part_like_isohybrid").arg(&tree));
    let mut udf = Command::new("genisoimage");
    run(udf.args(["-quiet", "-udf", "-r", "-J", "-V", "DISC", "-o"]).arg(image("udf.iso")).arg(&tree));
    run(Command::new("tar").arg("-cf").arg(image("pool.tar")).arg("-C").arg(&tree).arg("."));
    run(Command::new("zip").args(["-q", "-0", "-r"]).arg(image("pool.zip")).arg(".").current_dir(&tree));
    release
}

#[test]
fn peers_rebuild_the_vectors_images() {
    if both_peers() {
        check(&vectors(), &COMBINATIONS);
        check(&vectors(), &UNUSUAL);
    }
}

#[test]
fn peers_rebuild_the_demo() {
    if both_peers() {
        check(&demo(), &COMBINATIONS);
    }
}

#[test]
fn peers_rebuild_images_of_packages_with_md5() {
    if let Some(release) = corpus().filter(|_| both_peers()) {
        check(&release, &[MD5, Settings { compression: BZIP2, ..MD5 }]);
    }
}

#[test]
fn peers_rebuild_images_of_packages_with_sha256() {
    if let Some(release) = corpus().filter(|_| both_peers()) {
        check(&release, &[SHA256, Settings { compression: BZIP2, ..SHA256 }]);
    }
}

#[test]
fn peers_rebuild_images_of_packages_with_unusual_settings() {
    if let Some(release) = corpus().filter(|_| both_peers()) {
        check(&release, &UNUSUAL);
    }
}

#[test]
fn peers_rebuild_discs_and_archives_of_every_kind() {
    if both_peers() && installed(&["xorriso", "genisoimage", "tar", "zip"]) {
        let release = discs_of_every_kind();
        check(&release, &COMBINATIONS);
        for set in release.publish(SHA256) {
            let parts = Set::inspect(&set.template)["totals"]["parts"].as_u64().unwrap();
            assert!(parts >= 19, "{}: {parts} parts", set.what());
        }
    }
}

#[test]
fn peers_find_parts_whatever_their_names() {
    if !both_peers() {
        return;
    }
    let release = Release::empty();
    let names = [
        "two  spaces.deb",
        " starts with one",
        "ends with one ",
        "#1.deb",
        "it's.deb",
        "\"quoted\".deb",
        "back\\slash.deb",
        "ends with a back\\",
        "größe-日本.deb",
        "a=b[c]:d.deb",
        "pool/--try-last",
        "--try-last",
        "$(true) `true` %20~&;|*?",
    ];
    let mut image = Vec::new();
    for (number, name) in names.into_iter().enumerate() {
        let content = noise(number as u64, 2000 + 100 * number);
        release.add_part(name, &content);
        image.extend([content, text(number as u64, 77)].concat());
    }
    release.add_image("all.img", &[&image]);
    check(&release, &COMBINATIONS);
    let sets = release.publish(SHA256);
    let found: Vec<_> = sets[0].read_jigdo().parts.into_iter().map(|(_, location)| location.path).collect();
    assert!(names.iter().all(|name| found.iter().any(|path| path == name)), "{found:?}");
}

#[test]
fn peers_rebuild_images_that_have_names_with_odd_characters() {
    if !both_peers() {
        return;
    }
    let release = Release::empty();
    let part = noise(1, 5000);
    release.add_part("part.deb", &part);
    for name in ["with space.iso", "#1 it's \"final\".iso", "back\\slash.iso", "größe.iso", "a=b.iso"] {
        release.add_image(name, &[name.as_bytes(), &part]);
    }
    for settings in [MD5, SHA256] {
        let sets = release.publish(settings);
        for set in &sets {
            set.check_with_both_peers();
            assert_eq!(set.read_jigdo().images[0].file_name(), set.image.file_name().unwrap().to_str().unwrap());
        }
        check_sums_files(&sets);
    }
}

#[test]
fn peers_rebuild_images_of_awkward_sizes() {
    if !both_peers() {
        return;
    }
    let release = Release::empty();
    let (part, block) = (noise(1, 30_000), noise(2, 1024));
    release.add_part("part", &part);
    release.add_part("one block", &block);
    release.add_part("too short", &part[..200]);
    release.add_part("empty", b"");
    for length in [1, 1023, 1024, 1025] {
        release.add_image(&format!("{length}-bytes.img"), &[&noise(3, length)]);
    }
    release.add_image("a-part.img", &[&part]);
    release.add_image("a-block.img", &[&block]);
    release.add_image("a-part-and-a-byte.img", &[&part, b"x"]);
    release.add_image("a-byte-and-a-part.img", &[b"x", &part]);
    release.add_image("a-part-twice.img", &[&part, &part]);
    release.add_image("zeros.img", &[&vec![0; 100_000]]);
    check(&release, &COMBINATIONS);
    check(&release, &UNUSUAL);
}

#[test]
fn peers_rebuild_an_image_that_ends_inside_a_part() {
    if !both_peers() {
        return;
    }
    let release = Release::empty();
    let part = noise(1, 30_000);
    release.add_part("part", &part);
    release.add_image("most-of-a-part.img", &[&part[..29_999]]);
    for settings in COMBINATIONS {
        // jigdo-file itself aborts where it should make a set of such an image.
        release.publish(settings).iter().for_each(Set::check_with_both_peers);
    }
}

#[test]
fn peers_rebuild_images_that_are_nothing_but_parts() {
    if !both_peers() {
        return;
    }
    let release = Release::empty();
    let parts = [noise(1, 30_000), noise(2, 9_000), noise(3, 20_000)];
    for (number, part) in parts.iter().enumerate() {
        release.add_part(&format!("part{number}"), part);
    }
    // The name is the first of all, so this one would be preferred to what is in it.
    let installer = [&parts[0][..], &text(4, 500), &parts[1], &noise(5, 700)].concat();
    release.add_part("a/mini.iso", &installer);
    release.add_part("b/copy-of-mini.iso", &installer);
    // Nothing but parts, itself a part.
    release.add_part("a/all.iso", &parts.concat());
    release.add_part("a/alone.iso", &noise(6, 5_000));
    release.add_image("1.iso", &[&parts[0], &parts[1], &parts[2], &parts[1]]);
    release.add_image("2.iso", &[&installer]);
    release.add_image("3.iso", &[&parts.concat()]);
    release.add_image("4.iso", &[&noise(6, 5_000)]);
    check(&release, &COMBINATIONS);
    check(&release, &UNUSUAL);
    let cost = [(9_000, 1), (1_200, 2), (9_000, 2), (5_000, 0)];
    for (set, (unmatched, parts)) in release.publish(SHA256).iter().zip(cost) {
        assert_eq!((set.unmatched_bytes(), set.parts().len()), (unmatched, parts), "{}", set.what());
        assert!(set.read_jigdo().parts.iter().all(|(_, location)| !location.path.contains_str("mini")));
        set.check_that_jigpress_rebuilds();
    }
}

#[test]
fn an_image_of_no_bytes_is_rebuilt() {
    let release = Release::empty();
    release.add_part("part", &noise(1, 30_000));
    release.add_image("empty.img", &[]);
    for settings in COMBINATIONS {
        for set in release.publish(settings) {
            set.check_that_jigpress_rebuilds();
            // jigdo-file crashes where it should make an image of no bytes, whatever the template is.
            if both_peers() {
                set.check_that_jigit_mkimage_rebuilds();
                set.check_that_jigdo_file_verifies();
            }
        }
    }
}

#[test]
fn peers_rebuild_an_image_of_thousands_of_parts() {
    if !both_peers() {
        return;
    }
    let release = Release::empty();
    let mut image = Vec::new();
    for number in 0..3000 {
        let content = noise(number, 1024 + number as usize % 999);
        image.extend([&noise(number + 10_000, number as usize % 5)[..], &content].concat());
        release.add_part(&format!("pool/{}/{number}.deb", number % 50), &content);
    }
    release.add_image("many.img", &[&image]);
    check(&release, &[MD5, SHA256]);
    assert_eq!(Set::inspect(&release.publish(MD5)[0].template)["totals"]["parts"], 3000);
}

/// `md5sum` and its friends check the SUMS files beside `sets`, with no file missing.
fn check_sums_files(sets: &[Set<'_>]) {
    let output = sets[0].jigdo.parent().unwrap();
    for set in sets {
        let beside = output.join(set.image.file_name().unwrap());
        fs::copy(&set.image, &beside).unwrap();
    }
    for (program, sums) in
        [("md5sum", "MD5SUMS"), ("sha1sum", "SHA1SUMS"), ("sha256sum", "SHA256SUMS"), ("sha512sum", "SHA512SUMS")]
    {
        let checked = run(Command::new(program).args(["--check", "--strict", sums]).current_dir(output));
        let ok = String::from_utf8_lossy(&checked.stdout).lines().filter(|line| line.ends_with(": OK")).count();
        assert_eq!(ok, 3 * sets.len(), "{sums}: an image, a jigdo file and a template each");
    }
}

#[test]
fn coreutils_check_the_sums_files() {
    if installed(&["md5sum", "sha1sum", "sha256sum", "sha512sum"]) {
        check_sums_files(&demo().publish(MD5));
        check_sums_files(&vectors().publish(Settings { compress_jigdo: true, ..SHA256 }));
    }
}

#[test]
fn imagesums_takes_the_images_sums_from_the_jigdo_files() {
    let Some(imagesums) = imagesums() else { return };
    let release = Release::empty();
    let part = noise(1, 50_000);
    release.add_part("part.deb", &part);
    release.add_image("debian-1-amd64-DVD-1.iso", &[b"one", &part]);
    release.add_image("debian-1-amd64-DVD-2.iso", &[b"two", &part]);
    for settings in [MD5, SHA256, Settings { compress_jigdo: true, ..SHA256 }] {
        let sets = release.publish_as(settings, "{stem}");
        let output = sets[0].jigdo.parent().unwrap();
        let algorithms = [Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];
        // The images are not there: only the comments can say what their sums are.
        let mut command = Command::new(&imagesums);
        run(command.arg(output).arg(".theirs").env("CHECKSUMS", "md5 sha1 sha256 sha512"));
        for algorithm in algorithms {
            let read = |extension: &str| {
                let sums = fs::read_to_string(output.join(format!("{}SUMS{extension}", algorithm.name()))).unwrap();
                let mut lines: Vec<_> = sums.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            assert_eq!(read(".theirs"), read(""), "{algorithm:?}");
        }
        check_sums_files(&sets);
    }
}

#[test]
fn sets_of_jigdo_file_are_read_and_rebuilt() {
    if !installed(&["jigdo-file"]) {
        return;
    }
    let (small, large) = ([vectors(), demo()], corpus());
    let all = small.iter().map(|release| (release, &COMBINATIONS[..]));
    for (release, combinations) in all.chain(large.iter().map(|release| (release, &COMBINATIONS[1..3]))) {
        for image in release.image_paths() {
            for &settings in combinations {
                let set = release.made_by_jigdo_file(&image, settings);
                set.check_that_jigpress_reads_and_rebuilds();
                if both_peers() {
                    set.check_with_both_peers();
                }
            }
        }
    }
}

#[test]
fn inspect_lists_what_jigdo_file_lists() {
    if !installed(&["jigdo-file"]) {
        return;
    }
    for settings in COMBINATIONS {
        for set in demo().publish(settings) {
            let listed = run(Command::new("jigdo-file").arg("list-template").arg("--template").arg(&set.template));
            let shown = run(jigpress().arg("inspect").arg(&set.template));
            let (listed, shown) = (String::from_utf8(listed.stdout).unwrap(), String::from_utf8(shown.stdout).unwrap());
            assert!(listed.lines().count() > 10, "{listed}");
            assert!(shown.contains(&listed), "{}:\n{listed}\n{shown}", set.what());
        }
    }
}

#[test]
fn sets_of_xorriso_are_read_and_rebuilt() {
    if !installed(&["xorriso"]) {
        return;
    }
    let (release, tree) = release_of_discs();
    for settings in COMBINATIONS {
        let name = format!("{}-{}", settings.checksum, settings.compression);
        let path = |extension: &str| release.scratch(&format!("{name}.{extension}"));
        let (image, jigdo, template, list) = (path("iso"), path("jigdo"), path("template"), path("list"));
        let files = run(Command::new("find").arg(release.mirror()).args(["-type", "f"])).stdout;
        let line = |file: &str| checksum_list_line(settings, Path::new(file));
        fs::write(&list, String::from_utf8(files).unwrap().lines().map(line).collect::<String>()).unwrap();
        let mut command = xorriso();
        command.arg("-jigdo-jigdo").arg(&jigdo).arg("-jigdo-template").arg(&template).arg("-checksum-list").arg(list);
        command.args(["-jigdo-min-file-size", "1024", "-jigdo-checksum-algorithm", settings.checksum]);
        command.args(["-jigdo-template-compress", settings.compression, "-checksum_algorithm_iso", "all"]);
        command.arg("-jigdo-map").arg(format!("Debian={}/", release.mirror().display()));
        run(command.arg("-o").arg(&image).arg(&tree));
        let set = Set { release: &release, settings, image, jigdo, template };
        set.check_that_jigpress_reads_and_rebuilds();
        if both_peers() {
            set.check_with_both_peers();
        }
    }
}

#[test]
fn every_tool_rebuilds_the_vectors_that_other_tools_wrote() {
    let release = vectors();
    let vectors = repository().join("testdata/vectors");
    let copy = |name: &str, extension: &str| {
        let path = release.scratch(&format!("{name}.{extension}"));
        fs::copy(vectors.join(format!("{name}.{extension}")), &path).unwrap();
        path
    };
    for (name, settings) in [
        ("jigdo-file-v1-gzip", MD5),
        ("jigdo-file-v1-bzip2", Settings { compression: BZIP2, ..MD5 }),
        ("jigdo-file-v2-gzip", SHA256),
        ("jigdo-file-v2-level0", Settings { level: 0, ..SHA256 }),
        ("libjte-v1", MD5),
        ("libjte-v2", SHA256),
    ] {
        let image = if name.starts_with("libjte") { "libjte.iso" } else { "plain.img" };
        let (jigdo, template) = (copy(name, "jigdo"), copy(name, "template"));
        let set = Set { release: &release, settings, image: release.images.join(image), jigdo, template };
        set.check_that_jigpress_reads_and_rebuilds();
        if both_peers() {
            set.check_with_both_peers();
        }
    }
}
