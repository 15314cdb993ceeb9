//! What the stand-in for jigdo-file does better than it, or beside it: its cache, what it leaves behind, what others make of
//! its sets and half-assembled images.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::drop_in::bin;
use crate::common::release::age;
use crate::common::{installed, jigpress, run, settle, text, write};
use testing::noise;

/// A place with some files and an image of them, and the program under its other name.
struct Place {
    place: tempfile::TempDir,
    bin: tempfile::TempDir,
}

/// What came of a run.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

const PARTS: [(&str, u64, usize); 4] =
    [("tree/a/one", 1, 5000), ("tree/a/two", 2, 150_000), ("tree/b/three", 3, 1024), ("tree/b/four", 4, 40_000)];

impl Place {
    fn new() -> Self {
        let place = Self { place: tempfile::tempdir().unwrap(), bin: bin() };
        for (path, seed, length) in PARTS {
            place.put(path, &noise(seed, length));
        }
        place.put("disc.iso", &image());
        place
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.place.path().join(relative)
    }

    /// Writes a file that is old enough to be remembered.
    fn put(&self, relative: &str, content: &[u8]) {
        write(&self.path(relative), content);
        age(&self.path(relative), 3600);
    }

    fn read(&self, relative: &str) -> Vec<u8> {
        fs::read(self.path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
    }

    /// The program, as it is started here, once what was written is old enough for a cache.
    fn command(&self, arguments: &[&str]) -> Command {
        settle(self.place.path());
        let mut command = Command::new(self.bin.path().join("jigdo-file"));
        command.args(arguments).current_dir(self.place.path()).stdin(Stdio::null()).env_remove("TMPDIR");
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        ran(&mut self.command(arguments))
    }

    #[track_caller]
    fn run_well(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}{}", ran.out, ran.err);
        ran
    }

    /// The names of everything in the place itself.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.place.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn image() -> Vec<u8> {
    let part = |number: usize| noise(PARTS[number].1, PARTS[number].2);
    [&text(1, 3000)[..], &part(0), b"x", &part(1), &part(2), &part(3), &text(2, 500), &part(0)].concat()
}

#[test]
fn the_command_of_jigpress_is_the_same_program() {
    let place = Place::new();
    for arguments in
        [&["md5sum", "tree"][..], &["--", "sha256sum", "-r", "tree"], &["-r", "quiet", "nonsense"], &["-H"]]
    {
        let by_link = place.run(arguments);
        let by_command = ran(jigpress().arg("jigdo-file").args(arguments).current_dir(place.place.path()));
        assert_eq!((by_link.code, by_link.out, by_link.err), (by_command.code, by_command.out, by_command.err));
    }
    let version = place.run_well(&["--version"]).out;
    assert_eq!(version.split_whitespace().nth(2), Some("0.8.0"), "{version}");
}

#[test]
fn a_cache_remembers_sums_and_says_them_for_files_that_are_elsewhere() {
    let place = Place::new();
    let (md5, sha256) = (place.run_well(&["md5sum", "tree"]).out, place.run_well(&["sha256sum", "tree"]).out);
    place.run_well(&["scan", "--cache=c.db", "--scan-whole-file", "tree"]);
    let files: Vec<_> = PARTS.iter().map(|(path, ..)| *path).collect();
    fs::rename(place.path("tree"), place.path("away")).unwrap();
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    for (command, expected) in [("md5sum", &md5), ("sha256sum", &sha256)] {
        let known = place.run_well(&[&[command, "--cache=c.db", "--no-check-files"], &files[..]].concat()).out;
        assert_eq!(sorted(&known), sorted(expected));
        // Without being told not to look, it looks.
        assert_eq!(place.run_well(&[&[command, "--cache=c.db"], &files[..]].concat()).out, "");
    }
    // So are matches, by all that a match needs.
    let template = [&["make-template", "-i", "disc.iso", "--cache=c.db", "--no-check-files", "-r", "grep"], &files[..]];
    let found = place.run_well(&template.concat()).out;
    assert_eq!(found.lines().count(), 5, "{found}");
    fs::rename(place.path("away"), place.path("tree")).unwrap();
    place.run_well(&["make-image", "-i", "again.iso", "-t", "disc.template", "tree"]);
    assert!(place.read("again.iso") == image());
}

#[test]
fn a_file_that_has_changed_is_read_again_whatever_is_said_of_checking() {
    let place = Place::new();
    place.run_well(&["md5sum", "--cache=c.db", "tree/a/one"]);
    place.put("tree/a/one", &noise(99, 5000));
    let fresh = place.run_well(&["md5sum", "tree/a/one"]).out;
    for option in ["--check-files", "--no-check-files"] {
        assert_eq!(place.run_well(&["md5sum", "--cache=c.db", option, "tree/a/one"]).out, fresh);
    }
}

#[test]
fn a_cache_of_jigdo_files_is_left_alone_and_a_new_one_begun_beside_it() {
    let place = Place::new();
    // Magic numbers of a Berkeley DB with a B-tree, and with a hash, of either byte order.
    for (name, magic) in [("a.db", 0x0005_3162u32.to_le_bytes()), ("b.db", 0x0006_1561u32.to_be_bytes())] {
        let theirs = [&[0; 12][..], &magic, &[7; 8000]].concat();
        place.put(name, &theirs);
        let cache = format!("--cache={name}");
        let first = place.run_well(&["md5sum", &cache, "tree"]);
        assert!(first.err.contains("cache of the original jigdo-file"), "{}", first.err);
        assert!(place.read(name) == theirs);
        assert!(place.read(&format!("{name}.jigpress")).starts_with(b"SQLite"));
        let second = place.run_well(&["md5sum", &cache, "tree"]);
        assert_eq!((second.out, second.err), (first.out, String::new()));
    }
}

#[test]
fn a_cache_that_cannot_be_used_is_told_and_done_without() {
    let place = Place::new();
    place.put("c.db", b"something else altogether, which nobody would want to lose");
    let plain = place.run_well(&["md5sum", "tree"]).out;
    for cache in ["--cache=c.db", "--cache=tree", "--cache=nothing/c.db"] {
        let ran = place.run_well(&["md5sum", cache, "tree"]);
        assert!(ran.err.contains("nothing is cached"), "{}", ran.err);
        assert_eq!(ran.out, plain);
    }
    assert!(place.read("c.db").starts_with(b"something else"));
    assert!(!place.path("nothing").exists());
}

#[test]
fn what_was_not_used_for_long_goes_from_the_cache() {
    let place = Place::new();
    place.run_well(&["scan", "--cache=c.db", "tree"]);
    let files = || -> Vec<String> {
        let cache = rusqlite::Connection::open(place.path("c.db")).unwrap();
        let mut query = cache.prepare("SELECT CAST(path AS TEXT) FROM file ORDER BY path").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let grow_old = |seconds: i64| {
        let cache = rusqlite::Connection::open(place.path("c.db")).unwrap();
        cache.execute("UPDATE used SET seconds = seconds - ?1", [seconds]).unwrap();
    };
    assert_eq!(files().len(), 4);
    grow_old(20 * 24 * 3600);
    place.run_well(&["md5sum", "--cache=c.db", "tree/a/one"]);
    assert_eq!(files().len(), 4);
    grow_old(20 * 24 * 3600);
    // What is used now stays, however long it was not used before.
    place.run_well(&["md5sum", "--cache=c.db", "--cache-expiry=off", "tree/b/four"]);
    assert_eq!(files().len(), 4);
    place.run_well(&["md5sum", "--cache=c.db", "tree/b/three"]);
    assert_eq!(files(), ["tree/a/one", "tree/b/four", "tree/b/three"]);
    place.run_well(&["md5sum", "--cache=c.db", "--cache-expiry=2w", "tree/b/four"]);
    assert_eq!(files(), ["tree/b/four", "tree/b/three"]);
}

#[test]
fn a_run_that_fails_leaves_the_old_set_as_it_was() {
    let place = Place::new();
    place.run_well(&["make-template", "-i", "disc.iso", "tree//a"]);
    let before = (place.names(), place.read("disc.jigdo"), place.read("disc.template"));
    for arguments in [
        &["-i", "disc.iso", "tree", "--match-exec", "exit 7"][..],
        &["-i", "nothing.iso", "-j", "disc.jigdo", "-t", "disc.template", "tree"],
        &["-i", "disc.iso", "--label", "A B=tree", "tree//"],
        &["-i", "disc.iso", "tree", "--merge", "nothing"],
        &["-i", "disc.iso", "-t", "disc.iso", "-j", "disc.jigdo", "tree"],
        &["-i", "disc.iso", "-j", "disc.template", "tree"],
    ] {
        let ran = place.run(&[&["make-template", "--force"], arguments].concat());
        assert_eq!(ran.code, Some(3), "{arguments:?}: {}", ran.err);
        assert_eq!(before, (place.names(), place.read("disc.jigdo"), place.read("disc.template")), "{arguments:?}");
    }
    assert!(place.read("disc.iso") == image());
}

#[test]
fn where_a_link_stands_for_an_output_the_link_stays() {
    let place = Place::new();
    place.put("elsewhere/real.template", b"old");
    symlink("elsewhere/real.template", place.path("disc.template")).unwrap();
    place.run_well(&["make-template", "--force", "-i", "disc.iso", "tree"]);
    assert!(fs::symlink_metadata(place.path("disc.template")).unwrap().is_symlink());
    assert!(place.read("elsewhere/real.template").starts_with(b"JigsawDownload"));
}

#[test]
fn an_image_on_standard_input_leaves_nothing_but_its_set() {
    let place = Place::new();
    place.run_well(&["make-template", "-i", "disc.iso", "-j", "a.jigdo", "-t", "a.template", "tree"]);
    let before = place.names();
    let mut command =
        place.command(&["make-template", "--image=-", "--files-from=-", "-j", "b.jigdo", "-t", "b.template"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&[b"tree\n\n", &image()[..]].concat()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
    assert!(place.read("a.template") == place.read("b.template"));
    let expected = [&before[..], &["b.jigdo".to_owned(), "b.template".to_owned()]].concat();
    let mut expected: Vec<_> = expected;
    expected.sort();
    assert_eq!(place.names(), expected);
}

#[test]
fn output_that_nobody_reads_is_no_failure_and_output_that_cannot_be_written_is_one() {
    let place = Place::new();
    place.run_well(&["make-template", "-i", "disc.iso", "tree"]);
    for arguments in [&["md5sum", "tree"][..], &["list-template", "-t", "disc.template"], &["--help"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        assert_eq!(place.command(arguments).stdout(full).status().unwrap().code(), Some(3), "{arguments:?}");
        let mut child = place.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn a_set_is_made_whole_though_nobody_reads_its_matches() {
    let place = Place::new();
    let arguments = ["make-template", "-i", "disc.iso", "-r", "grep", "tree"];
    let mut child = place.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    place.run_well(&["make-image", "-i", "again.iso", "-t", "disc.template", "tree"]);
    // What it prints is the set itself: then it must be read.
    let arguments = ["make-template", "-i", "disc.iso", "-j", "x.jigdo", "-t", "-", "tree"];
    let mut child = place.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(!place.path("x.jigdo").exists());
}

#[test]
fn names_that_are_no_text_are_summed_and_put_into_images() {
    let place = Place::new();
    place.run_well(&["make-template", "-i", "disc.iso", "tree"]);
    let odd = Path::new(std::ffi::OsStr::from_bytes(b"odd/\xff\xfe"));
    fs::create_dir(place.path("odd")).unwrap();
    fs::rename(place.path("tree/a/two"), place.place.path().join(odd)).unwrap();
    let output = run(&mut place.command(&["md5sum", "odd"]));
    assert!(output.stdout.ends_with(b"  odd/\xff\xfe\n"), "{:?}", output.stdout);
    place.run_well(&["make-image", "-i", "again.iso", "-t", "disc.template", "tree", "odd"]);
    assert!(place.read("again.iso") == image());
    place.run_well(&["make-template", "--force", "-i", "disc.iso", "tree", "odd"]);
    let jigdo = place.read("disc.jigdo");
    assert!(jigdo.windows(4).any(|bytes| bytes == b"/\xff\xfe\n"), "{}", String::from_utf8_lossy(&jigdo));
    // A jigdo file cannot name this one.
    fs::rename(place.place.path().join(odd), place.path("odd/a\nb")).unwrap();
    let ran = place.run_well(&["make-template", "--force", "-i", "disc.iso", "-r", "grep", "tree", "odd"]);
    assert!(ran.err.contains("cannot contain") && ran.out.lines().count() == 4, "{}{}", ran.out, ran.err);
}

#[test]
fn a_set_is_put_together_by_jigit_mkimage_and_by_jigdo_file() {
    if !installed(&["jigdo-file", "jigit-mkimage"]) {
        return;
    }
    let place = Place::new();
    for generation in ["md5", "sha256"] {
        for compression in ["--gzip", "--bzip2"] {
            place.run_well(&[
                "make-template",
                "-f",
                "-i",
                "disc.iso",
                "-C",
                generation,
                compression,
                "--label=T=tree",
                "tree//",
            ]);
            let mut mkimage = Command::new("jigit-mkimage");
            mkimage.args(["-j", "disc.jigdo", "-t", "disc.template", "-m", "T=tree", "-o", "by-jigit.iso"]);
            run(mkimage.current_dir(place.place.path()));
            let mut theirs = Command::new("jigdo-file");
            theirs.args(["make-image", "-i", "by-jigdo-file.iso", "-t", "disc.template", "tree"]);
            run(theirs.current_dir(place.place.path()));
            for made in ["by-jigit.iso", "by-jigdo-file.iso"] {
                assert!(place.read(made) == image(), "{made}, {generation} {compression}");
                fs::remove_file(place.path(made)).unwrap();
            }
        }
    }
}

#[test]
fn a_set_of_an_image_that_is_nothing_but_parts_is_put_together_by_jigdo_file() {
    if !installed(&["jigdo-file"]) {
        return;
    }
    let place = Place::new();
    place.put("all.iso", &[noise(2, 150_000), noise(1, 5000), noise(2, 150_000), noise(4, 40_000)].concat());
    for generation in ["md5", "sha256"] {
        let ran = place.run_well(&["make-template", "-f", "-i", "all.iso", "-C", generation, "-r", "grep", "tree//"]);
        let found: Vec<_> = ran.out.lines().collect();
        assert_eq!(found, ["0 tree/a/two", "155000 tree/a/two", "305000 tree/b/four"]);
        assert!(!String::from_utf8(place.read("all.jigdo")).unwrap().contains("a/one"));
        let mut theirs = Command::new("jigdo-file");
        theirs.args(["make-image", "-i", "theirs.iso", "-t", "all.template", "tree"]);
        run(theirs.current_dir(place.place.path()));
        place.run_well(&["make-image", "-i", "ours.iso", "-t", "all.template", "tree"]);
        for made in ["theirs.iso", "ours.iso"] {
            assert!(place.read(made) == place.read("all.iso"), "{made}, {generation}");
            fs::remove_file(place.path(made)).unwrap();
        }
    }
}

#[test]
fn each_program_goes_on_with_what_the_other_left_half_assembled() {
    if !installed(&["jigdo-file"]) {
        return;
    }
    let place = Place::new();
    let theirs = |files: &str| {
        let mut command = Command::new("jigdo-file");
        command.args(["make-image", "-i", "again.iso", "-t", "disc.template", files]).current_dir(place.place.path());
        ran(&mut command).code
    };
    let ours = |files: &str| place.run(&["make-image", "-i", "again.iso", "-t", "disc.template", files]).code;
    for generation in ["md5", "sha256"] {
        place.run_well(&["make-template", "-f", "-i", "disc.iso", "-C", generation, "tree"]);
        for is_ours_first in [true, false] {
            let turns = ["tree/a/one", "tree/b/three", "tree/a/two", "tree/b"];
            for (turn, files) in turns.into_iter().enumerate() {
                let code = if (turn % 2 == 0) == is_ours_first { ours(files) } else { theirs(files) };
                assert_eq!(code, Some(i32::from(turn < 3)), "{files}, {generation}");
            }
            assert!(place.read("again.iso") == image() && !place.path("again.iso.tmp").exists());
            fs::remove_file(place.path("again.iso")).unwrap();
        }
    }
}

#[test]
fn a_half_assembled_image_whose_parts_were_damaged_since_is_not_called_complete() {
    let place = Place::new();
    place.run_well(&["make-template", "-i", "disc.iso", "tree"]);
    assert_eq!(place.run(&["make-image", "-i", "again.iso", "-t", "disc.template", "tree/a"]).code, Some(1));
    let mut tmp = File::options().read(true).write(true).open(place.path("again.iso.tmp")).unwrap();
    tmp.seek(SeekFrom::Start(3100)).unwrap();
    let mut byte = [0];
    tmp.read_exact(&mut byte).unwrap();
    tmp.seek(SeekFrom::Start(3100)).unwrap();
    tmp.write_all(&[!byte[0]]).unwrap();
    drop(tmp);
    assert_eq!(place.run(&["make-image", "-i", "again.iso", "-t", "disc.template", "tree/b"]).code, Some(1));
    assert!(!place.path("again.iso").exists());
    assert_eq!(place.run(&["make-image", "-i", "again.iso", "-t", "disc.template", "tree/a"]).code, Some(0));
    assert!(place.read("again.iso") == image());
}
