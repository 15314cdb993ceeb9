//! Files in discs, archives and file systems of every kind: what stands in one piece is found, whatever holds it, and
//! the rest is unmatched. What stands in one piece is found out here by comparing bytes; the matcher has no part in it.
//! Tests whose tools are not installed say so and pass, except where `JIGPRESS_PEERS=required`.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use memchr::memmem;

use crate::common::sets::{BZIP2, MD5, Release, SHA256, Set, Settings, both_peers};
use crate::common::{files, installed, run, text, write};
use testing::noise;

/// A mirror, and the tree that goes into containers: what the mirror has, and files of its own.
struct Content {
    release: Release,
    tree: PathBuf,
}

/// What has zeros where bytes of its own follow: file systems may leave holes there, and compressors make it smaller.
const WITH_ZEROS: [&str; 2] = ["pool/zero-head.img", "pool/zero-middle.img"];
const TEXT: &str = "dists/Packages";
/// A boot image. Some tools write into it where it stands in their images.
const BOOT: &str = "boot/boot.img";

impl Content {
    /// `None` without the peers or any of `tools`.
    fn for_tools(tools: &[&str]) -> Option<Self> {
        (both_peers() && installed(tools)).then(|| {
            let release = Release::empty();
            let content = Self { tree: release.scratch("tree"), release };
            content.add_shared_files();
            content.tree_only("README.txt", &text(98, 20_000));
            content.tree_only("live/filesystem.squashfs", &noise(99, 50_000));
            content.release.add_part("pool/only-in-the-mirror.deb", &noise(97, 30_000));
            content
        })
    }

    fn add_shared_files(&self) {
        let lengths = [0, 1, 100, 1023, 1024, 1025, 2047, 2048, 5003, 8192, 65_536, 100_001, 200_007];
        for (length, seed) in lengths.into_iter().zip(1..) {
            self.add(&format!("pool/length-{length}.deb"), &noise(seed, length));
        }
        self.add(WITH_ZEROS[0], &[vec![0; 3000], noise(20, 5000)].concat());
        self.add(WITH_ZEROS[1], &[noise(21, 2000), vec![0; 3000], noise(24, 1500)].concat());
        self.add("pool/zero-tail.img", &[noise(25, 4000), vec![0; 20]].concat());
        self.add(TEXT, &text(22, 100_000));
        self.add(BOOT, &noise(23, 4096));
    }

    /// Adds a file to the mirror and to the tree.
    fn add(&self, path: &str, bytes: &[u8]) {
        self.release.add_part(path, bytes);
        self.tree_only(path, bytes);
    }

    fn tree_only(&self, path: &str, bytes: &[u8]) {
        write(&self.tree.join(path), bytes);
    }

    /// Adds containers of some of the mirror's files to the mirror and to the tree.
    fn add_nested_containers(&self) {
        let nested = self.release.scratch("nested");
        fs::create_dir(&nested).unwrap();
        let pool = self.tree.join("pool");
        let members = ["length-1024.deb", "length-5003.deb"];
        run(Command::new("ar").arg("rc").arg(nested.join("package.deb")).args(members).current_dir(&pool));
        run(Command::new("tar").arg("-cf").arg(nested.join("source.tar")).args(members).current_dir(&pool));
        run(mkisofs().arg("-o").arg(nested.join("netboot.iso")).arg(self.tree.join("dists")));
        for file in files(&nested) {
            self.add(&format!("nested/{}", file.file_name().unwrap().to_str().unwrap()), &fs::read(&file).unwrap());
        }
    }

    fn image(&self, name: &str) -> PathBuf {
        self.release.images.join(name)
    }

    /// The mirror's files that are long enough to be matched, by their paths below it.
    fn parts(&self) -> Vec<(String, Vec<u8>)> {
        let mirror = self.release.mirror();
        let path = |file: &Path| file.strip_prefix(mirror).unwrap().to_str().unwrap().to_owned();
        let parts = files(mirror).into_iter().map(|file| (path(&file), fs::read(file).unwrap()));
        parts.filter(|(_, bytes)| bytes.len() >= MD5.min_length as usize).collect()
    }

    /// Publishes the images. Of the mirror's files, `broken` and the one that no image has must be missing in each;
    /// all others must stand there in one piece, and be found.
    fn check(&self, broken: &[&str]) {
        let parts = self.parts();
        for settings in [SHA256, Settings { compression: BZIP2, ..MD5 }] {
            for set in self.release.publish(settings) {
                check_set(&set, &parts, broken);
                set.check_with_both_peers();
            }
        }
        for image in self.release.image_paths() {
            let bytes = fs::metadata(&image).unwrap().len();
            assert!(bytes < 8 << 20, "{} takes {bytes} bytes: too slow", image.display());
        }
    }
}

fn check_set(set: &Set<'_>, parts: &[(String, Vec<u8>)], broken: &[&str]) {
    let what = set.what();
    let image = fs::read(&set.image).unwrap();
    let found = set.parts();
    let (mut all, mut missing) = (Vec::new(), BTreeSet::from(["pool/only-in-the-mirror.deb"]));
    missing.extend(broken);
    for (path, bytes) in parts {
        let places = places(&image, bytes);
        assert_eq!(places.is_empty(), missing.contains(&path[..]), "{what}: {path} stands at {places:?}");
        // A part may lie inside of another one that is recorded.
        let is_covered =
            |place: &Range<usize>| found.iter().any(|part| part.start <= place.start && place.end <= part.end);
        assert!(places.is_empty() || places.iter().any(is_covered), "{what}: {path} is at {places:?}, and not found");
        all.extend(places);
    }
    let unmatched = image.len() - most_bytes(all);
    assert_eq!(set.unmatched_bytes(), unmatched as u64, "{what}");
}

/// Everywhere that `part` stands in `image`.
fn places(image: &[u8], part: &[u8]) -> Vec<Range<usize>> {
    let finder = memmem::Finder::new(part);
    let mut places = Vec::new();
    let mut from = 0;
    while let Some(at) = finder.find(&image[from..]) {
        places.push(from + at..from + at + part.len());
        from += at + 1;
    }
    places
}

/// How many bytes can be covered at the most by some of these places that do not overlap.
fn most_bytes(mut places: Vec<Range<usize>>) -> usize {
    places.sort_by_key(|place| place.end);
    // For ends in rising order, the most bytes that can be covered before them.
    let mut best = vec![(0, 0)];
    for place in places {
        let before = best.partition_point(|(end, _)| *end <= place.start) - 1;
        let bytes = best[before].1 + place.len();
        if bytes > best.last().unwrap().1 {
            best.push((place.end, bytes));
        }
    }
    best.last().unwrap().1
}

fn genisoimage() -> Command {
    let mut command = Command::new("genisoimage");
    command.args(["-quiet", "-V", "DISC"]);
    command
}

/// xorriso in the role of mkisofs.
fn mkisofs() -> Command {
    let mut command = Command::new("xorriso");
    command.args(["-as", "mkisofs", "-quiet", "-V", "DISC"]);
    command
}

/// A program that does its work in `directory`.
fn inside(directory: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory);
    command
}

#[test]
fn files_on_iso_9660_discs_are_found() {
    let Some(content) = Content::for_tools(&["genisoimage", "xorriso", "ar", "tar"]) else { return };
    content.add_nested_containers();
    run(genisoimage().arg("-o").arg(content.image("plain.iso")).arg(&content.tree));
    run(genisoimage().args(["-J", "-o"]).arg(content.image("joliet.iso")).arg(&content.tree));
    run(mkisofs().args(["-r", "-o"]).arg(content.image("rock-ridge.iso")).arg(&content.tree));
    run(mkisofs().args(["-r", "-J", "-iso-level", "3", "-o"]).arg(content.image("all.iso")).arg(&content.tree));
    content.check(&[]);
}

#[test]
fn files_on_udf_discs_are_found() {
    let Some(content) = Content::for_tools(&["genisoimage", "xorriso", "ar", "tar"]) else { return };
    content.add_nested_containers();
    run(genisoimage().args(["-udf", "-o"]).arg(content.image("udf.iso")).arg(&content.tree));
    run(genisoimage().args(["-udf", "-r", "-J", "-o"]).arg(content.image("bridge.iso")).arg(&content.tree));
    content.check(&[]);
}

#[test]
fn what_zisofs_compresses_is_unmatched_and_all_other_files_on_the_disc_are_found() {
    let Some(content) = Content::for_tools(&["genisoimage", "mkzftree", "xorriso"]) else { return };
    let compressed = content.release.scratch("compressed");
    run(Command::new("mkzftree").arg(&content.tree).arg(&compressed));
    run(genisoimage().args(["-r", "-z", "-o"]).arg(content.image("mkzftree.iso")).arg(&compressed));
    let mut xorriso = Command::new("xorriso");
    xorriso.arg("-outdev").arg(content.image("filtered.iso")).arg("-map").arg(&content.tree).arg("/");
    run(xorriso.args(["-set_filter_r", "--zisofs", "/", "--"]));
    content.check(&[&WITH_ZEROS[..], &[TEXT]].concat());
}

#[test]
fn files_on_bootable_discs_are_found_except_a_boot_image_that_is_written_into() {
    let Some(content) = Content::for_tools(&["genisoimage", "xorriso"]) else { return };
    let boot = ["-b", BOOT, "-c", "boot/boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"];
    run(genisoimage().args(boot).arg("-o").arg(content.image("el-torito.iso")).arg(&content.tree));
    let code = content.release.scratch("mbr.bin");
    fs::write(&code, noise(30, 432)).unwrap();
    let mut hybrid = mkisofs();
    hybrid.args(boot).arg("-isohybrid-mbr").arg(code).arg("-o").arg(content.image("isohybrid.iso"));
    run(hybrid.arg(&content.tree));
    content.check(&[BOOT]);
}

#[test]
fn files_on_bootable_and_partitioned_discs_are_found() {
    let Some(content) = Content::for_tools(&["genisoimage", "xorriso"]) else { return };
    let boot = ["-b", BOOT, "-c", "boot/boot.cat", "-no-emul-boot"];
    run(genisoimage().args(boot).arg("-o").arg(content.image("el-torito.iso")).arg(&content.tree));
    let (code, partition) = (content.release.scratch("mbr.bin"), content.release.scratch("partition.img"));
    fs::write(&code, noise(30, 432)).unwrap();
    // The partition of another system has some of the mirror's files too.
    fs::write(&partition, [noise(31, 40_000), noise(9, 5003), noise(32, 20_533)].concat()).unwrap();
    let partitioned = |name: &str, options: &[&str]| {
        let mut command = mkisofs();
        command.arg("-r").args(options).arg("-append_partition").args(["2", "0xef"]).arg(&partition);
        run(command.arg("-o").arg(content.image(name)).arg(&content.tree));
    };
    partitioned("mbr.iso", &["-part_like_isohybrid"]);
    partitioned("mbr-offset.iso", &["-part_like_isohybrid", "-partition_offset", "16"]);
    partitioned("gpt.iso", &["-appended_part_as_gpt", "-partition_offset", "16"]);
    let efi = ["-eltorito-alt-boot", "-e", "--interval:appended_partition_2:all::", "-no-emul-boot"];
    let hybrid = ["-isohybrid-mbr", code.to_str().unwrap(), "-appended_part_as_gpt", "-partition_offset", "16"];
    partitioned("hybrid.iso", &[&hybrid[..], &boot, &["-boot-load-size", "4"], &efi].concat());
    content.check(&[]);
}

#[test]
fn files_in_archives_are_found() {
    let Some(content) = Content::for_tools(&["tar", "cpio", "ar", "zip", "xorriso"]) else { return };
    content.add_nested_containers();
    for format in ["ustar", "pax", "gnu"] {
        let image = content.image(&format!("{format}.tar"));
        run(inside(&content.tree, "tar").arg(format!("--format={format}")).arg("-cf").arg(image).arg("."));
    }
    let names = content.release.scratch("names");
    let all: String = files(&content.tree).iter().map(|file| format!("{}\n", file.display())).collect();
    fs::write(&names, all.replace(&format!("{}/", content.tree.display()), "")).unwrap();
    for format in ["newc", "odc"] {
        let mut cpio = inside(&content.tree, "cpio");
        cpio.args(["--quiet", "-o", "-H", format, "-O"]).arg(content.image(&format!("{format}.cpio")));
        run(cpio.stdin(fs::File::open(&names).unwrap()));
    }
    run(Command::new("ar").arg("rc").arg(content.image("members.ar")).args(files(&content.tree)));
    run(inside(&content.tree, "zip").args(["-q", "-0", "-r"]).arg(content.image("stored.zip")).arg("."));
    content.check(&[]);
}

/// How long the images of file systems are, in KiB.
const FILE_SYSTEM: &str = "4096";

/// Makes an empty FAT file system.
fn make_fat(image: &Path, kibibytes: &str) {
    run(Command::new("mkfs.vfat").arg("-C").arg(image).arg(kibibytes));
}

fn mcopy(image: &Path, files: &[PathBuf]) {
    run(Command::new("mcopy").arg("-s").arg("-i").arg(image).args(files).arg("::"));
}

#[test]
fn files_in_a_fat_file_system_are_found() {
    let Some(content) = Content::for_tools(&["mkfs.vfat", "mcopy", "ar", "tar", "xorriso"]) else { return };
    content.add_nested_containers();
    let image = content.image("fat.img");
    make_fat(&image, FILE_SYSTEM);
    let mut entries: Vec<_> = fs::read_dir(&content.tree).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    mcopy(&image, &entries);
    content.check(&[]);
}

#[test]
fn files_in_an_ext4_file_system_are_found_except_those_with_holes() {
    let Some(content) = Content::for_tools(&["mke2fs", "ar", "tar"]) else { return };
    let mut mke2fs = Command::new("mke2fs");
    mke2fs.args(["-q", "-t", "ext4", "-b", "1024", "-d"]).arg(&content.tree);
    run(mke2fs.arg(content.image("ext4.img")).arg(FILE_SYSTEM));
    content.check(&WITH_ZEROS);
}

#[test]
fn files_in_an_ext2_file_system_are_found_up_to_the_length_at_which_blocks_of_pointers_break_them() {
    let Some(content) = Content::for_tools(&["mke2fs"]) else { return };
    let mut mke2fs = Command::new("mke2fs");
    mke2fs.args(["-q", "-t", "ext2", "-b", "1024", "-d"]).arg(&content.tree);
    run(mke2fs.arg(content.image("ext2.img")).arg(FILE_SYSTEM));
    let long = ["pool/length-65536.deb", "pool/length-100001.deb", "pool/length-200007.deb", TEXT];
    content.check(&[&WITH_ZEROS[..], &long].concat());
}

/// A mirror of small files that fill a file system, and a large one. The large one goes where every second of the
/// small ones was.
struct Fragments {
    content: Content,
    small: Vec<PathBuf>,
    large: PathBuf,
}

const LARGE: &str = "pool/large.deb";

impl Fragments {
    fn for_tools(tools: &[&str]) -> Option<Self> {
        (both_peers() && installed(tools)).then(|| {
            let release = Release::empty();
            let content = Content { tree: release.scratch("tree"), release };
            content.release.add_part("pool/only-in-the-mirror.deb", &noise(97, 30_000));
            let small = |number: u64| {
                let path = format!("pool/small{number}");
                let bytes = noise(number, 20_000);
                // The first one fills what is left between the tables of the file system; those that are removed leave
                // some of their bytes behind. The mirror has none of these.
                if number == 0 || number % 2 == 1 {
                    content.tree_only(&path, &bytes);
                } else {
                    content.add(&path, &bytes);
                }
                content.tree.join(path)
            };
            let small = (0..20).map(small).collect();
            content.add(LARGE, &noise(50, 110_000));
            let large = content.tree.join(LARGE);
            Self { content, small, large }
        })
    }

    fn removed(&self) -> impl Iterator<Item = &str> {
        self.small.iter().skip(1).step_by(2).map(|file| file.file_name().unwrap().to_str().unwrap())
    }
}

#[test]
fn a_file_in_fragments_in_a_fat_file_system_is_unmatched_and_the_others_are_found() {
    let Some(fragments) = Fragments::for_tools(&["mkfs.vfat", "mcopy", "mdel"]) else { return };
    let image = fragments.content.image("fat.img");
    make_fat(&image, "512");
    mcopy(&image, &fragments.small);
    run(Command::new("mdel").arg("-i").arg(&image).args(fragments.removed().map(|name| format!("::{name}"))));
    mcopy(&image, std::slice::from_ref(&fragments.large));
    fragments.content.check(&[LARGE]);
}

#[test]
fn a_file_in_fragments_in_an_ext4_file_system_is_unmatched_and_the_others_are_found() {
    let Some(fragments) = Fragments::for_tools(&["mke2fs", "debugfs"]) else { return };
    let (image, commands) = (fragments.content.image("ext4.img"), fragments.content.release.scratch("commands"));
    run(Command::new("mke2fs").args(["-q", "-t", "ext4", "-O", "^has_journal", "-N", "64"]).arg(&image).arg("512"));
    let write = |file: &PathBuf| format!("write {} {}\n", file.display(), file.file_name().unwrap().display());
    let mut script: String = fragments.small.iter().map(write).collect();
    script.extend(fragments.removed().map(|name| format!("rm {name}\n")));
    script += &write(&fragments.large);
    fs::write(&commands, script).unwrap();
    run(Command::new("debugfs").arg("-w").arg("-f").arg(commands).arg(image));
    fragments.content.check(&[LARGE]);
}
