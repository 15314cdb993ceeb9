//! Mirrors as they are in the field: farms of links, hidden and unfinished files, images that lie in them, files that change
//! without showing it and files that cannot be read. What becomes a part, under which name, and what is remembered.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::common::release::{Place, contents};
use crate::common::settle;
use jigdo::Checksum;
use jigpress::manifest::{self, Filter};
use jigpress::mirror::{Index, Tree};
use jigpress::progress::{Begin, Meter, Progress, Recorder, Silent};
use jigpress::publish::report::{Ledger, Outcome, Report};
use jigpress::publish::{Options, Pruning, publish};
use testing::noise;

const RELEASE: &str = "\
release: r
mirrors:
  M: {path: m, servers: ['https://m.example/']}
images:
  - {path: 'img/*.iso', output: out}
";

fn part(number: u64) -> Vec<u8> {
    noise(number, 3000 + 700 * number as usize)
}

/// An image of these parts.
fn image(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|&number| [noise(1000 + number, 333), part(number)].concat()).collect()
}

/// A mirror with a file for each part, and an image of them.
fn place(files: &[(&str, u64)]) -> Place {
    let place = Place::new();
    for (path, number) in files {
        place.write(&format!("m/{path}"), &part(*number));
    }
    let mut numbers: Vec<u64> = files.iter().map(|(_, number)| *number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    place.write("img/one.iso", &image(&numbers));
    place.write("release.yaml", RELEASE.as_bytes());
    place
}

fn write_manifest(place: &Place, mirror: &str) {
    place.write("release.yaml", RELEASE.replace("{path: m,", &format!("{{path: m, {mirror},")).as_bytes());
}

/// The paths of the parts of `one.iso`.
fn named(place: &Place) -> Vec<String> {
    let parts = place.jigdo("out", "one").parts;
    let mut paths: Vec<_> =
        parts.iter().map(|(_, at)| String::from_utf8_lossy(at.path.as_ref()).into_owned()).collect();
    paths.sort();
    paths
}

fn outcome(place: &Place, arguments: &[&str]) -> String {
    let report = place.publish(&[&["--format", "json"], arguments].concat()).with(0).json();
    report["images"][0]["outcome"].as_str().unwrap().to_owned()
}

fn warnings(err: &str) -> Vec<&str> {
    err.lines().filter(|line| line.contains(" WARN ")).collect()
}

/// Writes other bytes into a file, which keeps its length, mtime and inode.
fn write_in_place(path: &Path, bytes: &[u8]) {
    let before = fs::metadata(path).unwrap();
    assert_eq!(before.len(), bytes.len() as u64);
    fs::write(path, bytes).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(before.modified().unwrap()).unwrap();
}

/// The paths of a tree's files.
fn walk(root: &Path, include: &[&str], exclude: &[&str]) -> Vec<String> {
    let owned = |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    let filter = Filter::new(owned(include), owned(exclude)).unwrap();
    let skipped = filter.clone();
    let tree = Tree {
        filter: Box::new(move |path| filter.matches(path)),
        skipped: Box::new(move |path| skipped.rejects_all_below(path)),
        ..Tree::new("M", root)
    };
    let catalogue = Index::in_memory().unwrap().refresh(&[tree], &[256], &[Checksum::Md5], &Silent).unwrap();
    catalogue.files().map(|file| catalogue.path(file).to_string()).collect()
}

#[test]
fn of_equal_files_the_name_that_lasts_names_the_part() {
    let place = place(&[
        ("dists/trixie/a", 1),
        ("2026-11-26/b", 2),
        (".c.deb.Xy12Zq", 3),
        ("dists/c.deb", 3),
        (".~tmp~/d", 4),
        (".snapshot/pool/d", 4),
        ("x/d", 4),
        ("a/e", 5),
        ("debian/pool/e", 5),
    ]);
    symlink("trixie", place.path("m/dists/testing")).unwrap();
    symlink("2026-11-26", place.path("m/1-current")).unwrap();
    symlink("../x/d", place.path("m/a/d")).unwrap();
    let expected = ["2026-11-26/b", "debian/pool/e", "dists/c.deb", "dists/trixie/a", "x/d"];
    place.publish(&[]).with(0);
    assert_eq!(named(&place), expected);
    write_manifest(&place, "hidden: true");
    place.publish(&[]).with(0);
    assert_eq!(named(&place), expected);
}

#[test]
fn hidden_files_are_parts_only_if_the_manifest_says_so() {
    let place = place(&[(".disk/info", 1), ("pool/.a.deb.Xy12Zq", 2), ("pool/b.deb", 3), ("lost+found/c", 4)]);
    place.publish(&[]).with(0);
    assert_eq!(named(&place), ["pool/b.deb"]);
    write_manifest(&place, "hidden: true");
    place.publish(&[]).with(0);
    assert_eq!(named(&place), [".disk/info", "lost+found/c", "pool/.a.deb.Xy12Zq", "pool/b.deb"]);
    write_manifest(&place, "include: ['.disk/**']");
    let ran = place.publish(&[]).with(2);
    assert!(ran.err.contains("release.yaml:3:") && ran.err.contains("add \"hidden: true\""), "{}", ran.err);
    // Two mirrors of one directory may differ in this alone.
    let both = "mirrors: {N: {path: m, servers: ['https://n.example/']}, M: {path: m, hidden: true, servers: ['https://m.example/']}}";
    let start = RELEASE.find("mirrors:").unwrap()..RELEASE.find("images:").unwrap();
    let manifest = [&RELEASE[..start.start], both, "\n", &RELEASE[start.end..]].concat();
    place.write("release.yaml", manifest.as_bytes());
    place.publish(&[]).with(0);
    assert_eq!(named(&place).len(), 4);
    place.write("release.yaml", RELEASE.as_bytes());
    // A hidden root is no hidden file.
    fs::rename(place.path("m"), place.path(".m")).unwrap();
    place.write("release.yaml", RELEASE.replace("path: m", "path: .m").as_bytes());
    place.publish(&[]).with(0);
    assert_eq!(named(&place), ["pool/b.deb"]);
}

#[test]
fn a_link_names_files_whose_real_paths_the_globs_reject() {
    let place = place(&[("dists/trixie/main/a", 1), ("pool/b", 2), (".hidden/c", 3)]);
    symlink("trixie", place.path("m/dists/stable")).unwrap();
    symlink("trixie", place.path("m/dists/testing")).unwrap();
    symlink("../.hidden", place.path("m/pool/shown")).unwrap();
    let root = place.path("m");
    assert_eq!(walk(&root, &[], &[]), ["dists/trixie/main/a", "pool/b", "pool/shown/c"]);
    assert_eq!(walk(&root, &["dists/testing/**"], &[]), ["dists/testing/main/a"]);
    assert_eq!(walk(&root, &["dists/stable/**", "dists/testing/**"], &[]), ["dists/stable/main/a"]);
    assert_eq!(walk(&root, &["dists/**"], &["dists/trixie/**"]), ["dists/stable/main/a"]);
    assert_eq!(walk(&root, &["dists/t*/**"], &[]), ["dists/trixie/main/a"]);
}

#[test]
fn directories_that_many_ways_lead_to_are_listed_once() {
    let place = Place::new();
    for level in 0..24 {
        let directory = place.path(&format!("m/{level:02}"));
        fs::create_dir_all(&directory).unwrap();
        for name in ["a", "b"] {
            symlink(format!("../{:02}", level + 1), directory.join(name)).unwrap();
        }
    }
    place.write("m/24/file", &part(1));
    let root = place.path("m");
    assert_eq!(walk(&root, &[], &[]), ["24/file"]);
    assert_eq!(walk(&root, &["23/**"], &[]), ["23/a/file"]);
    let deepest = format!("00/{}file", "a/".repeat(24));
    assert_eq!(walk(&root, &["00/**"], &[]), std::slice::from_ref(&deepest));
    // The same, with nothing but the first in the tree; and with a tree that wants none of it.
    assert_eq!(walk(&root.join("00"), &[], &[]), [deepest.strip_prefix("00/").unwrap()]);
    place.write("m/00/other", &part(2));
    assert_eq!(walk(&root.join("00"), &["other"], &[]), ["other"]);
}

#[test]
fn links_among_directories_and_to_their_parents_end() {
    let place = Place::new();
    for from in 1..=9 {
        place.write(&format!("farm/{from}/file{from}"), &part(from));
        for to in (1..=9).filter(|to| *to != from) {
            symlink(format!("../{to}"), place.path(&format!("farm/{from}/to{to}"))).unwrap();
        }
        symlink("../..", place.path(&format!("farm/{from}/up"))).unwrap();
    }
    let names: Vec<String> = (1..=9).map(|number| format!("{number}/file{number}")).collect();
    assert_eq!(walk(&place.path("farm"), &["[0-9]/*"], &[]), names);
    assert_eq!(walk(&place.path("farm"), &["[0-9]/**"], &["up/**", "**/up/**"]), names);
    // From inside one of them, the others are reached by their links, on the way that is first by its bytes.
    let found = walk(&place.path("farm/1"), &[], &["**/up/**"]);
    assert_eq!(found.len(), 9, "{found:?}");
    assert!(found.contains(&"file1".to_owned()) && found.contains(&"to2/file2".to_owned()), "{found:?}");
    assert!(found.contains(&"to2/to3/file3".to_owned()), "{found:?}");
}

#[test]
fn a_directory_outside_of_the_tree_is_named_by_the_first_link_that_the_globs_accept() {
    let place = Place::new();
    place.write("elsewhere/pool/a", &part(1));
    place.write("m/b", &part(2));
    symlink("../elsewhere", place.path("m/x")).unwrap();
    symlink("../elsewhere", place.path("m/w")).unwrap();
    symlink("../elsewhere/pool/a", place.path("m/file")).unwrap();
    let root = place.path("m");
    assert_eq!(walk(&root, &[], &[]), ["b", "file", "w/pool/a"]);
    assert_eq!(walk(&root, &[], &["w/**"]), ["b", "file", "x/pool/a"]);
}

#[test]
fn nothing_is_looked_at_where_the_globs_want_nothing() {
    let place = place(&[("pool/a", 1)]);
    place.write("elsewhere/two\nlines/x", &part(2));
    place.write("m/doc/two\nlines/x", &part(2));
    symlink("../elsewhere", place.path("m/linked")).unwrap();
    let ran = place.publish(&[]).with(0);
    let [warning] = warnings(&ran.err)[..] else { panic!("{}", ran.err) };
    assert!(warning.contains("left out: 2 names cannot be written in a jigdo file ("), "{warning}");
    for globs in ["include: ['pool/**']", "exclude: ['doc/**', 'linked/**']"] {
        write_manifest(&place, globs);
        let ran = place.publish(&[]).with(0);
        assert_eq!(warnings(&ran.err), [""; 0], "{globs}");
        assert_eq!(named(&place), ["pool/a"]);
    }
}

#[test]
fn an_image_is_no_part_of_itself_but_a_copy_of_it_is_with_a_warning() {
    let place = place(&[("pool/a", 1), ("pool/b", 2)]);
    fs::create_dir(place.path("m/cd")).unwrap();
    fs::hard_link(place.path("img/one.iso"), place.path("m/cd/one.iso")).unwrap();
    let ran = place.publish(&[]).with(0);
    assert_eq!(named(&place), ["pool/a", "pool/b"]);
    assert_eq!(warnings(&ran.err), [""; 0]);
    fs::copy(place.path("img/one.iso"), place.path("m/cd/copy.iso")).unwrap();
    let ran = place.publish(&[]).with(0);
    let [warning] = warnings(&ran.err)[..] else { panic!("{}", ran.err) };
    assert!(warning.contains("a copy of the whole image") && warning.contains("m/cd/copy.iso"), "{warning}");
    let image = fs::read(place.path("img/one.iso")).unwrap();
    assert_eq!(place.rebuilt("out", "one", &[("M", "m")]), image);
}

#[test]
fn what_a_run_may_replace_is_no_part() {
    let place = place(&[("pool/a", 1)]);
    let manifest = "release: r\nmirrors: {M: {path: m, hidden: true, servers: ['file:../../m/']}}\n\
                    images: [{path: 'img/*.iso', output: m/images}]\n";
    place.write("release.yaml", manifest.as_bytes());
    place.write("img/z.iso", &[noise(70, 9000), part(1)].concat());
    place.publish(&[]).with(0);
    let template = fs::read(place.path("m/images/z.template")).unwrap();
    let staged = noise(72, 9000);
    place.write("m/images/.jigpress/left", &staged);
    place.write("img/w.iso", &[&noise(71, 500)[..], &template, &staged, &part(1)].concat());
    place.write("img/z.iso", &[noise(73, 9000), part(1)].concat());
    place.publish(&[]).with(0);
    let parts = place.jigdo("m/images", "w").parts;
    assert_eq!(parts.iter().map(|(_, location)| location.path.to_string()).collect::<Vec<_>>(), ["pool/a"]);
    place.run(&["verify", "m/images", "--mirror", "M=m"]).with(0);
    // The same file is a part where no run of this manifest replaces it.
    fs::create_dir(place.path("m/old")).unwrap();
    fs::write(place.path("m/old/z.template"), &template).unwrap();
    place.publish(&[]).with(0);
    assert_eq!(place.jigdo("m/images", "w").parts.len(), 2);
}

#[test]
fn an_image_or_a_part_written_in_place_with_its_mtime_set_back_is_published_anew() {
    let place = place(&[("pool/a", 1), ("pool/b", 2)]);
    place.publish(&[]).with(0);
    assert_eq!(outcome(&place, &[]), "unchanged");
    let mut other = image(&[1, 2]);
    other[100] ^= 1;
    write_in_place(&place.path("img/one.iso"), &other);
    assert_eq!(outcome(&place, &[]), "published");
    assert_eq!(place.rebuilt("out", "one", &[("M", "m")]), other);
    assert_eq!(outcome(&place, &[]), "unchanged");
    // The end of a part, so that its head stays the same.
    let mut changed = part(2);
    *changed.last_mut().unwrap() ^= 1;
    write_in_place(&place.path("m/pool/b"), &changed);
    assert_eq!(outcome(&place, &[]), "published");
    assert_eq!(named(&place), ["pool/a"]);
}

#[test]
fn what_is_dated_in_the_future_is_processed_once() {
    let place = place(&[("pool/a", 1)]);
    for file in ["img/one.iso", "m/pool/a"] {
        let file = File::options().write(true).open(place.path(file)).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(1_000_000)).unwrap();
    }
    assert_eq!(outcome(&place, &[]), "published");
    assert_eq!(outcome(&place, &[]), "unchanged");
}

#[test]
fn a_paranoid_run_believes_nothing_and_changes_nothing() {
    let place = place(&[("pool/a", 1), ("pool/b", 2)]);
    place.publish(&[]).with(0);
    let before = contents(&place.path("out"));
    let report = place.publish(&["--paranoid", "--format", "json"]).with(0).json();
    let image = &report["images"][0];
    assert_eq!(image["stages"]["sums"]["bytes"], image["bytes"], "{report}");
    assert_eq!(image["stages"]["mirror"]["bytes"], part(1).len() + part(2).len(), "{report}");
    assert_eq!(contents(&place.path("out")), before);
    assert_eq!(outcome(&place, &[]), "unchanged");
    place.run(&["index", "release.yaml", "--paranoid", "--read-all"]).with(0);
    assert_eq!(outcome(&place, &[]), "unchanged");
}

#[test]
fn a_published_file_that_was_linked_or_renamed_is_still_that_of_its_set() {
    let place = place(&[("pool/a", 1)]);
    place.publish(&[]).with(0);
    fs::hard_link(place.path("out/one.template"), place.path("kept.template")).unwrap();
    assert_eq!(outcome(&place, &[]), "unchanged");
    // But not one into which somebody wrote.
    let mut bytes = fs::read(place.path("out/one.template")).unwrap();
    let right = bytes.clone();
    *bytes.last_mut().unwrap() ^= 1;
    write_in_place(&place.path("out/one.template"), &bytes);
    assert_eq!(outcome(&place, &[]), "published");
    assert_eq!(fs::read(place.path("out/one.template")).unwrap(), right);
}

/// Publishes with an index that knows the heads, so that mirror files are not opened before their sums are wanted, and does
/// something before that.
fn publish_with(place: &Place, disturb: impl Fn() + Sync) -> (Report, Vec<String>) {
    place.run(&["index", "release.yaml"]).with(0);
    settle(&place.path(""));
    let releases = manifest::load_all(&[place.path("release.yaml")], &[]).unwrap();
    let log = During(Recorder::default(), disturb);
    let index = place.path("index.sqlite");
    let ledger = Ledger::default();
    let options = Options {
        index: &index,
        jobs: 2,
        dry_run: false,
        paranoid: false,
        sign_command: None,
        pruning: Pruning::List,
        ledger: &ledger,
    };
    let result = publish(&releases, &options, &log).unwrap();
    (result.report, log.0.warnings())
}

fn move_away(place: &Place, name: &str) {
    fs::rename(place.path(&format!("m/pool/{name}")), place.path(name)).unwrap();
}

fn move_back(place: &Place, name: &str) {
    fs::rename(place.path(name), place.path(&format!("m/pool/{name}"))).unwrap();
}

#[test]
fn parts_that_vanish_during_a_run_are_counted_and_leave_no_lasting_record() {
    let place = place(&[("pool/a", 1), ("pool/b", 2), ("pool/c", 3)]);
    let (report, warnings) = publish_with(&place, || ["a", "b"].iter().for_each(|name| move_away(&place, name)));
    assert_eq!((report.images[0].outcome, report.mirror.unreadable), (Outcome::Published, 0));
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.starts_with("left out: 2 files vanished (") && warning.contains("m/pool/a, "), "{warning}");
    assert_eq!(named(&place), ["pool/c"]);
    ["a", "b"].iter().for_each(|name| move_back(&place, name));
    assert_eq!(outcome(&place, &[]), "published");
    assert_eq!(named(&place), ["pool/a", "pool/b", "pool/c"]);
}

#[test]
fn a_part_that_cannot_be_read_fails_its_image_and_leaves_no_lasting_record() {
    let place = place(&[("pool/a", 1), ("pool/b", 2)]);
    place.write("img/two.iso", &image(&[2]));
    place.publish(&[]).with(0);
    let before = contents(&place.path("out"));
    fs::remove_file(place.path("index.sqlite")).unwrap();
    // Root reads every file, but nobody reads this.
    let lose = || {
        if !place.path("a").exists() {
            move_away(&place, "a");
            symlink("a", place.path("m/pool/a")).unwrap();
        }
    };
    let (report, warnings) = publish_with(&place, lose);
    let [one, two] = &report.images[..] else { panic!() };
    assert_eq!((one.outcome, two.outcome, report.mirror.unreadable), (Outcome::Failed, Outcome::Published, 1));
    let error = one.error.as_ref().unwrap();
    assert!(error.contains("img/one.iso: ") && error.contains("m/pool/a cannot be read ("), "{error}");
    assert!(error.contains("it may be a part of the image; make it readable"), "{error}");
    assert_eq!(warnings, [""; 0], "the error says it");
    assert_eq!(contents(&place.path("out")), before);
    fs::remove_file(place.path("m/pool/a")).unwrap();
    move_back(&place, "a");
    assert_eq!(outcome(&place, &[]), "published");
    assert_eq!(named(&place), ["pool/a", "pool/b"]);
}

#[test]
fn a_part_that_cannot_be_read_does_no_harm_where_an_equal_one_is_in_its_place() {
    let place = place(&[("pool/a", 1), ("z/copy", 1)]);
    let lose = || {
        move_away(&place, "a");
        symlink("a", place.path("m/pool/a")).unwrap();
    };
    let (report, warnings) = publish_with(&place, lose);
    assert_eq!((report.images[0].outcome, report.mirror.unreadable), (Outcome::Published, 1));
    assert!(warnings.len() == 1 && warnings[0].starts_with("left out: 1 cannot be read ("), "{warnings:?}");
    assert_eq!(named(&place), ["z/copy"]);
}

/// Does something when the work on an image begins.
struct During<F: Fn() + Sync>(Recorder, F);

impl<F: Fn() + Sync> Progress for During<F> {
    fn begin<'a>(&'a self, task: &Begin<'_>) -> Arc<dyn Meter + 'a> {
        if task.kind == "image" {
            (self.1)();
        }
        self.0.begin(task)
    }

    fn note(&self, _: &str) {}

    fn warn(&self, text: &str) {
        self.0.warn(text);
    }
}

#[test]
fn names_of_any_bytes_are_walked_filtered_and_remembered() {
    let place = Place::new();
    for name in [&b"lat\xedn.deb"[..], b"b\xfccher.txt"] {
        place.write("m/x", &part(1));
        fs::rename(place.path("m/x"), place.path("m").join(std::ffi::OsStr::from_bytes(name))).unwrap();
    }
    let found = walk(&place.path("m"), &["*.deb"], &[]);
    assert_eq!(found, ["lat\u{fffd}n.deb"]);
    place.run(&["index", "m"]).with(0);
    let index = rusqlite::Connection::open(place.path("index.sqlite")).unwrap();
    let count = "SELECT count(*) FROM file WHERE path IN (x'6c6174ed6e2e646562', x'62fc636865722e747874')";
    assert_eq!(index.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), 2);
}
