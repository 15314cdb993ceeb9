//! The module as its callers see it: trees on disk, an index file, catalogues.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bstr::BStr;
use jigdo::{Checksum, Rsync64, Sum};
use tempfile::TempDir;
use testing::noise;

use super::*;
use crate::file::settle;
use crate::matcher::{Anchors, Features, Head, HeadFinder, PartSum};
use crate::progress::{Begin, Meter, Progress, Recorder};

/// A directory with a mirror and an index.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("mirror")).unwrap();
        Self { directory }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("mirror")
    }

    fn index_path(&self) -> PathBuf {
        self.directory.path().join("state/index.sqlite")
    }

    /// Writes a file that is an hour old.
    fn write(&self, path: &str, bytes: &[u8]) {
        self.write_young(path, bytes);
        self.age(path, 3600);
    }

    fn write_young(&self, path: &str, bytes: &[u8]) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn age(&self, path: &str, seconds: u64) {
        let file = fs::File::options().write(true).open(self.root().join(path)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    }

    fn link(&self, target: impl AsRef<Path>, path: &str) {
        symlink(target, self.root().join(path)).unwrap();
    }

    fn trees(&self) -> [Tree; 1] {
        [Tree::new("Debian", self.root())]
    }

    /// The index, once every file of the mirror is old enough to be remembered.
    fn index(&self) -> Index {
        settle(&self.root());
        Index::open(&self.index_path()).unwrap()
    }

    fn refresh(&self) -> (Catalogue, Seen) {
        let log = Recorder::default();
        let catalogue = self.index().refresh(&self.trees(), &[256, 1024], &Checksum::ALL, &log).unwrap();
        (catalogue, Seen::of(&log))
    }

    /// What one column of the index says, row by row.
    fn query(&self, sql: &str) -> Vec<String> {
        let connection = rusqlite::Connection::open(self.index_path()).unwrap();
        let mut query = connection.prepare(sql).unwrap();
        let rows = query
            .query_map([], |row| Ok(format!("{:?}", String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap()))))
            .unwrap();
        rows.map(Result::unwrap).collect()
    }
}

/// What the core reported: its warnings, and the files that it was to read and has read.
struct Seen {
    warnings: Vec<String>,
    read: u64,
    to_read: u64,
}

impl Seen {
    fn of(log: &Recorder) -> Self {
        let reads = log.tasks_of("read");
        Self {
            warnings: log.warnings(),
            read: reads.iter().map(|task| task.advanced).sum(),
            to_read: reads.iter().filter_map(|task| task.total).sum(),
        }
    }
}

fn paths(catalogue: &Catalogue) -> Vec<&BStr> {
    catalogue.files().map(|file| catalogue.path(file)).collect()
}

fn find(catalogue: &Catalogue, path: &str) -> FileId {
    catalogue.files().find(|&file| catalogue.path(file) == path).unwrap()
}

fn sums(catalogue: &Catalogue) -> (Vec<Result<Sums, FileError>>, Vec<String>) {
    let log = Recorder::default();
    let files: Vec<_> = catalogue.files().collect();
    let sums = catalogue.sums(&files, &log);
    catalogue.warn(&log);
    (sums, log.warnings())
}

/// Does something when a task of this kind begins.
struct When<F: Fn() + Sync>(&'static str, F, Recorder);

impl<F: Fn() + Sync> Progress for When<F> {
    fn begin<'a>(&'a self, task: &Begin<'_>) -> Arc<dyn Meter + 'a> {
        if task.kind == self.0 {
            (self.1)();
        }
        self.2.begin(task)
    }

    fn note(&self, text: &str) {
        self.2.note(text);
    }

    fn warn(&self, text: &str) {
        self.2.warn(text);
    }
}

#[test]
fn a_catalogue_says_of_each_file_what_its_bytes_say() {
    let place = Place::new();
    let (short, middle, long) = (noise(1, 100), noise(2, 700), noise(3, 300_000));
    place.write("pool/a.deb", &short);
    place.write("pool/b.deb", &middle);
    place.write("pool-x/c.deb", &long);
    let (catalogue, seen) = place.refresh();

    assert_eq!(paths(&catalogue), ["pool-x/c.deb", "pool/a.deb", "pool/b.deb"]);
    assert_eq!((seen.to_read, seen.read, seen.warnings), (2, 2, vec![]));
    let features = |block: &[u8]| {
        let first = Rsync64::of(block);
        let anchor = Anchors::new(block.len() as u32).best_of(block);
        Some(Features { head: Head::Block { offset: 0, rsync64: first }, first, anchor })
    };
    for (file, bytes) in catalogue.files().zip([&long, &short, &middle]) {
        assert_eq!(catalogue.length(file), bytes.len() as u64);
        assert_eq!(catalogue.label(catalogue.tree(file)), "Debian");
        assert_eq!(&fs::read(catalogue.full_path(file)).unwrap(), bytes);
        assert_eq!(catalogue.features(file, 256), bytes.get(..256).and_then(features));
        assert_eq!(catalogue.features(file, 1024), bytes.get(..1024).and_then(features));
        assert_eq!(catalogue.features(file, 512), None);
        assert_eq!(catalogue.known_sums(file), None);
        let sums = catalogue.sums(&[file], &Recorder::default())[0].clone().unwrap();
        for checksum in Checksum::ALL {
            assert_eq!(sums.part(checksum), Some(PartSum::of(checksum, bytes)));
        }
        assert_eq!(catalogue.known_sums(file), Some(sums));
        assert!(catalogue.unchanged(file));
    }
}

#[test]
fn what_a_run_read_the_next_does_not_read_again() {
    let place = Place::new();
    for name in 0..5 {
        place.write(&format!("pool/{name}"), &noise(name, 5000));
    }
    let (first, _) = place.refresh();
    let (read, _) = sums(&first);
    let heads: Vec<_> = first.files().map(|file| first.features(file, 256)).collect();
    let fingerprint = first.fingerprint(0);
    drop(first);

    let (second, seen) = place.refresh();
    assert_eq!(seen.read, 0);
    assert_eq!(second.files().map(|file| second.features(file, 256)).collect::<Vec<_>>(), heads);
    assert_eq!(second.fingerprint(0), fingerprint);
    assert!(second.is_settled(0));
    for (file, sums) in second.files().zip(read) {
        assert_eq!(second.known_sums(file), Some(sums.unwrap()));
    }
}

#[test]
fn a_new_block_length_reads_heads_again_and_keeps_sums() {
    let place = Place::new();
    place.write("a", &noise(1, 5000));
    let (first, _) = place.refresh();
    sums(&first);
    drop(first);
    let log = Recorder::default();
    let catalogue = place.index().refresh(&place.trees(), &[2048, 2048], &Checksum::ALL, &log).unwrap();
    assert_eq!(Seen::of(&log).read, 1);
    assert!(catalogue.features(FileId(0), 2048).is_some());
    assert!(catalogue.known_sums(FileId(0)).is_some());
    assert_eq!(place.query("SELECT block_length || '' FROM file_heads").len(), 3);
    place.index().refresh(&place.trees(), &[2048, 2048], &Checksum::ALL, &log).unwrap();
    assert_eq!(Seen::of(&log).read, 1);
}

#[test]
fn only_the_sums_that_are_wanted_are_read_and_the_index_keeps_those_of_other_runs() {
    let place = Place::new();
    let bytes = noise(1, 5000);
    place.write("a", &bytes);
    for (wanted, known_before) in
        [(&[Checksum::Md5][..], false), (&[Checksum::Md5], true), (&[Checksum::Sha256], false), (&Checksum::ALL, true)]
    {
        let catalogue = place.index().refresh(&place.trees(), &[256], wanted, &Recorder::default()).unwrap();
        assert_eq!(catalogue.known_sums(FileId(0)).is_some(), known_before, "{wanted:?}");
        let sums = catalogue.sums(&[FileId(0)], &Recorder::default())[0].clone().unwrap();
        assert!(wanted.iter().all(|&checksum| sums.part(checksum) == Some(PartSum::of(checksum, &bytes))));
    }
}

#[test]
fn only_what_changed_between_runs_is_read_again() {
    let place = Place::new();
    for name in ["changed", "gone", "same", "replaced"] {
        place.write(name, &noise(1, 5000));
    }
    let (first, _) = place.refresh();
    sums(&first);
    let before = first.fingerprint(0);
    drop(first);

    place.write("changed", &noise(2, 5000));
    place.age("changed", 7200);
    fs::remove_file(place.root().join("gone")).unwrap();
    // Same size, same mtime, another inode.
    let modified = fs::metadata(place.root().join("replaced")).unwrap().modified().unwrap();
    fs::write(place.root().join("new"), noise(3, 5000)).unwrap();
    fs::rename(place.root().join("new"), place.root().join("replaced")).unwrap();
    let replaced = fs::File::options().write(true).open(place.root().join("replaced")).unwrap();
    replaced.set_modified(modified).unwrap();

    let (second, seen) = place.refresh();
    assert_eq!(seen.read, 2);
    assert_ne!(second.fingerprint(0), before);
    let known: Vec<_> = second.files().map(|file| second.known_sums(file).is_some()).collect();
    assert_eq!(
        paths(&second).into_iter().map(ToString::to_string).zip(known).collect::<Vec<_>>(),
        [("changed".to_owned(), false), ("replaced".to_owned(), false), ("same".to_owned(), true)]
    );
    let (read, _) = sums(&second);
    assert_eq!(read[0].as_ref().unwrap().part(Checksum::Md5), Some(PartSum::of(Checksum::Md5, &noise(2, 5000))));
    assert_eq!(place.query("SELECT path FROM file ORDER BY path"), ["\"changed\"", "\"replaced\"", "\"same\""]);
}

#[test]
fn a_file_that_was_written_in_place_with_its_mtime_set_back_is_read_again() {
    let place = Place::new();
    place.write("a", &noise(1, 5000));
    let modified = fs::metadata(place.root().join("a")).unwrap().modified().unwrap();
    let (first, _) = place.refresh();
    sums(&first);
    let before = (*first.stamp(FileId(0)), first.fingerprint(0));
    drop(first);
    fs::write(place.root().join("a"), noise(2, 5000)).unwrap();
    fs::File::options().write(true).open(place.root().join("a")).unwrap().set_modified(modified).unwrap();
    let (second, seen) = place.refresh();
    assert!(second.stamp(FileId(0)).is_same_but_ctime(&before.0));
    assert_ne!(second.fingerprint(0), before.1);
    assert_eq!((seen.read, second.known_sums(FileId(0))), (1, None));
    assert_eq!(second.features(FileId(0), 256).unwrap().first, Rsync64::of(&noise(2, 256)));
    let md5 = sums(&second).0[0].as_ref().unwrap().part(Checksum::Md5);
    assert_eq!(md5, Some(PartSum::of(Checksum::Md5, &noise(2, 5000))));
}

#[test]
fn a_file_dated_in_the_future_is_read_once() {
    let place = Place::new();
    place.write("a", &noise(1, 5000));
    let file = fs::File::options().write(true).open(place.root().join("a")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(400_000)).unwrap();
    let (first, _) = place.refresh();
    assert!(first.is_settled(0));
    sums(&first);
    drop(first);
    let (second, seen) = place.refresh();
    assert!(seen.read == 0 && second.known_sums(FileId(0)).is_some());
}

#[test]
fn a_paranoid_run_reads_again_what_is_remembered_and_puts_it_right() {
    let place = Place::new();
    place.write("a", &noise(1, 5000));
    let (first, _) = place.refresh();
    sums(&first);
    drop(first);
    // As if the file had changed behind its stamp.
    let index = rusqlite::Connection::open(place.index_path()).unwrap();
    index.execute("UPDATE head SET first_rsync64 = 7", []).unwrap();
    drop(index);
    let first = |index: Index| {
        let catalogue = index.refresh(&place.trees(), &[256], &Checksum::ALL, &Recorder::default()).unwrap();
        let known = catalogue.known_sums(FileId(0)).is_some();
        (catalogue.features(FileId(0), 256).unwrap().first, known)
    };
    let right = Rsync64::of(&noise(1, 256));
    assert_eq!(first(place.index()), (Rsync64::from_u64(7), true));
    assert_eq!(first(place.index().paranoid(true)), (right, false));
    assert_eq!(first(place.index()), (right, true));
}

#[test]
fn a_file_that_only_gets_another_name_while_it_is_read_is_used() {
    let place = Place::new();
    place.write("a", &noise(1, 5000));
    let link = |name: &str| fs::hard_link(place.root().join("a"), place.directory.path().join(name)).unwrap();
    let when = When("read", || link("during"), Recorder::default());
    let catalogue = place.index().refresh(&place.trees(), &[256], &Checksum::ALL, &when).unwrap();
    assert_eq!((catalogue.len(), when.2.warnings()), (1, vec![]));
    link("before sums");
    assert!(sums(&catalogue).0[0].is_ok());
    link("after sums");
    assert!(catalogue.unchanged(FileId(0)));
    // But not if it has other bytes.
    let modified = fs::metadata(place.root().join("a")).unwrap().modified().unwrap();
    fs::write(place.root().join("a"), noise(2, 5000)).unwrap();
    fs::File::options().write(true).open(place.root().join("a")).unwrap().set_modified(modified).unwrap();
    assert!(!catalogue.unchanged(FileId(0)));
}

#[test]
fn rows_of_one_root_stay_for_trees_that_reach_their_files_by_links() {
    let place = Place::new();
    place.write("dists/trixie/a", &noise(1, 5000));
    place.link("trixie", "dists/testing");
    let testing = Tree { filter: Box::new(|path| path.starts_with(b"dists/testing/")), ..Tree::new("T", place.root()) };
    let trees = [Tree::new("All", place.root()), testing];
    for expected in [1, 0, 0] {
        let log = Recorder::default();
        let catalogue = place.index().refresh(&trees, &[256], &Checksum::ALL, &log).unwrap();
        assert_eq!(paths(&catalogue), ["dists/trixie/a", "dists/testing/a"]);
        assert_eq!(Seen::of(&log).read, expected);
    }
}

#[test]
fn a_file_written_moments_ago_is_usable_but_not_remembered() {
    let place = Place::new();
    // In the same moment as the walk, so that no clock tells whether it will change again.
    let write = When("walk", || place.write("young", &noise(1, 5000)), Recorder::default());
    let first = place.index().refresh(&place.trees(), &[256, 1024], &Checksum::ALL, &write).unwrap();
    assert_eq!(Seen::of(&write.2).read, 1);
    assert!(first.features(FileId(0), 1024).is_some());
    assert!(sums(&first).0[0].is_ok());
    assert!(!first.is_settled(0));
    drop(first);
    assert_eq!(place.query("SELECT path FROM file"), [""; 0]);
    let (second, seen) = place.refresh();
    assert_eq!(seen.read, 1);
    assert_eq!(second.known_sums(FileId(0)), None);
}

#[test]
fn links_to_files_and_directories_are_followed_and_each_file_is_read_once() {
    let place = Place::new();
    place.write("pool/a", &noise(1, 5000));
    fs::hard_link(place.root().join("pool/a"), place.root().join("pool/hard")).unwrap();
    place.link("a", "pool/soft");
    place.link("pool", "stable");
    let (catalogue, seen) = place.refresh();
    assert_eq!(paths(&catalogue), ["pool/a", "pool/hard", "pool/soft"]);
    assert_eq!((seen.read, seen.warnings), (1, vec![]));
    assert!(catalogue.files().all(|file| catalogue.content(file) == 0 && catalogue.features(file, 1024).is_some()));
    catalogue.sums(&[FileId(2)], &Recorder::default());
    assert!(catalogue.files().all(|file| catalogue.known_sums(file).is_some()));
    drop(catalogue);
    let (catalogue, seen) = place.refresh();
    assert_eq!(seen.read, 0);
    assert!(catalogue.files().all(|file| catalogue.known_sums(file).is_some()));
}

#[test]
fn loops_of_links_do_no_harm_and_links_that_lead_nowhere_are_warned_of_once() {
    let place = Place::new();
    place.write("pool/deep/a", &noise(1, 2000));
    place.link("..", "pool/deep/up");
    place.link(".", "pool/self");
    place.link("itself", "pool/itself");
    place.link("missing", "pool/nowhere");
    let (catalogue, seen) = place.refresh();
    assert_eq!(paths(&catalogue), ["pool/deep/a"]);
    let [warning] = &seen.warnings[..] else { panic!("{:?}", seen.warnings) };
    assert!(warning.starts_with("left out: 2 symbolic links lead nowhere ("), "{warning}");
    assert!(warning.contains("pool/itself, ") && warning.contains("pool/nowhere)"), "{warning}");
}

#[test]
fn names_that_a_jigdo_file_cannot_carry_and_special_files_are_left_out() {
    let place = Place::new();
    place.write("fine #1 \"quoted\" it's é", &noise(1, 2000));
    place.write("new\nline", &noise(1, 2000));
    place.write("bad\tdirectory/a", &noise(1, 2000));
    let latin = BStr::new(b"latin\xe9");
    fs::write(place.root().join(OsStr::from_bytes(latin)), noise(1, 2000)).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, place.root().join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    let (catalogue, seen) = place.refresh();
    assert_eq!(paths(&catalogue), [BStr::new("fine #1 \"quoted\" it's é"), latin]);
    let [warning] = &seen.warnings[..] else { panic!("{:?}", seen.warnings) };
    assert!(warning.starts_with("left out: 2 names cannot be written in a jigdo file (/"), "{warning}");
    // Names of any bytes are remembered, and found again.
    drop(catalogue);
    assert_eq!(place.refresh().1.read, 0);
}

#[test]
fn the_same_files_give_the_same_catalogue_in_whatever_order_they_were_made() {
    let names: Vec<String> = (0..2000).map(|name| format!("{}/{}-{name}", name % 7, name * 7919 % 2000)).collect();
    let mut listings = Vec::new();
    for order in [1, 3, 1999] {
        let place = Place::new();
        for at in 0..names.len() {
            place.write(&names[at * order % names.len()], &noise(at as u64 % 5, 300));
        }
        let (catalogue, _) = place.refresh();
        let listing = catalogue.files().map(|file| catalogue.path(file).to_owned()).collect::<Vec<_>>();
        assert!(listing.is_sorted());
        listings.push(listing);
    }
    assert!(listings.iter().all(|listing| listing == &listings[0] && listing.len() == 2000));
}

#[test]
fn files_are_in_the_order_of_their_paths_bytes_where_a_slash_is_one_of_them() {
    let place = Place::new();
    for name in ["a0", "a/z", "a/b/c", "a/b-c", "a.b", "a-b/c", "a+"] {
        place.write(name, &noise(1, 300));
    }
    assert_eq!(paths(&place.refresh().0), ["a+", "a-b/c", "a.b", "a/b-c", "a/b/c", "a/z", "a0"]);
}

#[test]
fn a_filter_hides_files_and_their_warnings_and_leaves_their_rows_alone() {
    let place = Place::new();
    place.write("pool/a", &noise(1, 2000));
    place.write("dists/b", &noise(2, 2000));
    place.link("missing", "dists/nowhere");
    drop(place.refresh());
    let only_pool = [Tree { filter: Box::new(|path| path.starts_with(b"pool/")), ..Tree::new("Debian", place.root()) }];
    let log = Recorder::default();
    let catalogue = place.index().refresh(&only_pool, &[256, 1024], &Checksum::ALL, &log).unwrap();
    assert_eq!(paths(&catalogue), ["pool/a"]);
    assert_eq!(log.warnings(), [""; 0]);
    assert_eq!(place.refresh().1.read, 0);
}

#[test]
fn several_trees_may_overlap_and_keep_their_order() {
    let place = Place::new();
    place.write("pool/a", &noise(1, 2000));
    place.write("pool/b", &noise(2, 2000));
    let trees = [Tree::new("Whole", place.root()), Tree::new("Pool", place.root().join("pool"))];
    let log = Recorder::default();
    let catalogue = place.index().refresh(&trees, &[256], &Checksum::ALL, &log).unwrap();
    let listed: Vec<_> = catalogue
        .files()
        .map(|file| (catalogue.label(catalogue.tree(file)), catalogue.path(file).to_string(), catalogue.content(file)))
        .collect();
    assert_eq!(
        listed.iter().map(|file| (file.0, &*file.1)).collect::<Vec<_>>(),
        [("Whole", "pool/a"), ("Whole", "pool/b"), ("Pool", "a"), ("Pool", "b")]
    );
    assert_eq!((listed[0].2, listed[1].2), (listed[2].2, listed[3].2));
    assert_eq!(Seen::of(&log).read, 2);
    assert!(catalogue.files_of(1).eq([FileId(2), FileId(3)]));
}

#[test]
fn trees_with_one_root_share_what_is_remembered() {
    let place = Place::new();
    place.write("pool/a", &noise(1, 2000));
    let trees = [Tree::new("One", place.root()), Tree::new("Two", place.root())];
    let log = Recorder::default();
    drop(place.index().refresh(&trees, &[256, 1024], &Checksum::ALL, &log).unwrap());
    // Were any row written again, this would refuse it.
    let connection = rusqlite::Connection::open(place.index_path()).unwrap();
    connection
        .execute_batch("CREATE TRIGGER refuse BEFORE UPDATE ON file BEGIN SELECT raise(ABORT, 'written'); END")
        .unwrap();
    let catalogue = place.index().refresh(&trees, &[256, 1024], &Checksum::ALL, &log).unwrap();
    assert!(catalogue.files().all(|file| catalogue.features(file, 1024).is_some()));
    assert_eq!((catalogue.len(), Seen::of(&log).read), (2, 1));
}

#[test]
fn a_root_may_be_a_link_but_not_missing_empty_or_a_file() {
    let place = Place::new();
    let refresh = |root: PathBuf| {
        place.index().refresh(&[Tree::new("Debian", root)], &[256], &Checksum::ALL, &Recorder::default())
    };
    let text = |root: &str| refresh(place.root().join(root)).err().unwrap().to_string();
    assert!(matches!(refresh(place.root()), Err(Error::Empty { .. })));
    place.write("pool/a", &noise(1, 2000));
    place.link("pool", "link");
    assert_eq!(paths(&refresh(place.root().join("link")).unwrap()), ["a"]);
    for root in ["missing", "pool/a"] {
        assert!(text(root).starts_with("mirror \"Debian\": ") && text(root).contains(root), "{}", text(root));
    }
}

#[test]
fn the_head_of_a_file_that_begins_with_a_run_is_found_behind_it() {
    let place = Place::new();
    let late = [vec![0; 100_000], noise(1, 5000)].concat();
    place.write("late", &late);
    place.write("short-run", &[vec![0; 500], noise(1, 5000)].concat());
    place.write("zeros", &[0; 50_000]);
    for round in 0..2 {
        let (catalogue, seen) = place.refresh();
        assert_eq!(seen.read, [3, 0][round]);
        let zeros = find(&catalogue, "zeros");
        assert!(matches!(catalogue.features(zeros, 256), Some(Features { head: Head::Periodic { period: 1 }, .. })));
        for (name, length) in [("late", 256), ("late", 1024), ("short-run", 256), ("short-run", 1024)] {
            let bytes = fs::read(place.root().join(name)).unwrap();
            let mut finder = HeadFinder::new(length);
            finder.push(&bytes);
            assert_eq!(catalogue.features(find(&catalogue, name), length), finder.finish(), "{name} {length}");
        }
    }
}

#[test]
fn a_file_that_changes_after_the_walk_is_left_out_with_one_warning() {
    let place = Place::new();
    place.write("changed", &noise(1, 5000));
    place.write("removed", &noise(2, 5000));
    place.write("same", &noise(3, 5000));
    let (catalogue, _) = place.refresh();
    place.write_young("changed", &noise(9, 5000));
    fs::remove_file(place.root().join("removed")).unwrap();
    let unchanged: Vec<_> = catalogue.files().map(|file| catalogue.unchanged(file)).collect();
    assert_eq!(unchanged, [false, false, true]);
    let (read, warnings) = sums(&catalogue);
    assert!(matches!(read[0], Err(FileError::Changed { .. })));
    assert!(matches!(read[1], Err(FileError::Io { .. })));
    assert!(read[2].is_ok());
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.starts_with("left out: 1 file vanished (") && warning.contains("; 1 file changed ("), "{warning}");
    assert_eq!(catalogue.unreadable(), 0);
}

#[test]
fn a_file_that_cannot_be_read_is_left_out_and_the_others_are_numbered_without_it() {
    let place = Place::new();
    for (seed, name) in ["a", "b", "c"].into_iter().enumerate() {
        place.write(name, &noise(seed as u64, 5000));
    }
    fs::hard_link(place.root().join("b"), place.root().join("d")).unwrap();
    // Changes "b" between the walk and the reading of heads.
    let meddler = When("read", || place.write_young("b", b"other"), Recorder::default());
    let catalogue = place.index().refresh(&place.trees(), &[256], &Checksum::ALL, &meddler).unwrap();
    assert_eq!(paths(&catalogue), ["a", "c"]);
    assert_eq!(meddler.2.warnings().len(), 1);
    for (name, bytes) in [("a", noise(0, 5000)), ("c", noise(2, 5000))] {
        let file = find(&catalogue, name);
        assert_eq!(catalogue.features(file, 256).unwrap().first, Rsync64::of(&bytes[..256]));
        let md5 = catalogue.sums(&[file], &Recorder::default())[0].clone().unwrap().part(Checksum::Md5);
        assert_eq!(md5, Some(PartSum::of(Checksum::Md5, &bytes)));
    }
}

#[test]
fn several_users_of_an_index_never_fail_for_each_others_locks() {
    let place = Place::new();
    for name in 0..300 {
        place.write(&format!("pool/{name}"), &noise(name, 2000));
    }
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..3 {
                    let (catalogue, seen) = place.refresh();
                    assert_eq!(seen.warnings, [""; 0]);
                    assert!(sums(&catalogue).0.iter().all(Result::is_ok));
                    catalogue.flush().unwrap();
                    place.index().set_record("key", "{}").unwrap();
                }
            });
        }
    });
    let (catalogue, seen) = place.refresh();
    assert_eq!(seen.read, 0);
    assert!(catalogue.files().all(|file| catalogue.known_sums(file).is_some()));
}

#[test]
fn threads_that_ask_for_the_same_sums_at_once_get_the_same() {
    let place = Place::new();
    for name in 0..20 {
        place.write(&format!("{name}"), &noise(name, 20_000));
    }
    let (catalogue, _) = place.refresh();
    let all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| sums(&catalogue).0)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for other in &all {
        assert!(other.iter().zip(&all[0]).all(|(a, b)| a.as_ref().unwrap() == b.as_ref().unwrap()));
    }
}

#[test]
fn tasks_of_one_pool_that_ask_for_sums_of_the_same_files_do_not_wait_for_each_other_forever() {
    use rayon::prelude::*;

    let place = Place::new();
    for name in 0..64 {
        place.write(&format!("{name}"), &noise(name, 3000 * (1 + name as usize % 40)));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    for round in 0..50 {
        let catalogue = place.index().refresh(&place.trees(), &[256], &[Checksum::Md5], &Recorder::default()).unwrap();
        let files: Vec<_> = catalogue.files().collect();
        pool.install(|| {
            (0..12usize).into_par_iter().with_max_len(1).for_each(|task| {
                let asked: Vec<_> = files.iter().copied().cycle().skip(task * 7 + round).take(40).collect();
                assert!(catalogue.sums(&asked, &Recorder::default()).iter().all(Result::is_ok));
            });
        });
        drop(catalogue);
        fs::remove_file(place.index_path()).unwrap();
    }
}

#[test]
fn a_file_that_is_no_index_a_damaged_one_and_a_newer_one_are_told_apart() {
    let place = Place::new();
    place.write("a", &noise(1, 2000));
    let path = place.index_path();
    let failure = || {
        let result = Index::open(&path)
            .and_then(|index| index.refresh(&place.trees(), &[256], &Checksum::ALL, &Recorder::default()));
        let error = result.err().unwrap();
        assert!(error.to_string().contains(path.to_str().unwrap()) && error.to_string().contains("delete"), "{error}");
        error
    };
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, noise(1, 5000)).unwrap();
    assert!(matches!(failure(), Error::NotAnIndex { .. }));

    fs::remove_file(&path).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE other (x)").unwrap();
    assert!(matches!(failure(), Error::NotAnIndex { .. }));

    fs::remove_file(&path).unwrap();
    drop(place.refresh());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(failure(), Error::Newer { found: 99, .. }));

    fs::remove_file(&path).unwrap();
    drop(place.refresh());
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..].fill(0xee);
    fs::write(&path, bytes).unwrap();
    assert!(matches!(failure(), Error::Damaged { .. }));
}

#[test]
fn an_index_of_an_older_version_is_made_anew() {
    let place = Place::new();
    fs::create_dir_all(place.index_path().parent().unwrap()).unwrap();
    let older = rusqlite::Connection::open(place.index_path()).unwrap();
    older.pragma_update(None, "application_id", 0x6a69_6770).unwrap();
    older.pragma_update(None, "user_version", 1).unwrap();
    let schema = "CREATE TABLE tree (id INTEGER PRIMARY KEY);
         CREATE TABLE \"odd\"\"name\" (id INTEGER PRIMARY KEY AUTOINCREMENT, tree INTEGER REFERENCES tree);
         CREATE INDEX by_tree ON \"odd\"\"name\" (tree);
         CREATE VIEW file_sums AS SELECT * FROM tree;
         INSERT INTO tree VALUES (1);
         INSERT INTO \"odd\"\"name\" VALUES (1, 1)";
    older.execute_batch(schema).unwrap();
    drop(older);
    place.write("a", &noise(1, 5000));
    assert_eq!(place.refresh().1.read, 1);
    assert_eq!(place.refresh().1.read, 0);
    assert_eq!(place.query("SELECT path FROM file_sums"), ["\"a\""]);
    assert_eq!(place.query("SELECT name FROM sqlite_schema WHERE name LIKE 'odd%'"), [""; 0]);
}

#[test]
fn a_head_never_passes_to_another_file() {
    let place = Place::new();
    place.write("a", &noise(1, 5000));
    place.write("b", &noise(2, 5000));
    drop(place.refresh());
    fs::remove_file(place.root().join("b")).unwrap();
    place.write("a", &noise(3, 5000));
    drop(place.refresh());
    place.write("c", &noise(4, 100));
    drop(place.refresh());
    // "a" and "b" had the first two ids, "a" then got another.
    assert_eq!(place.query("SELECT path || ' ' || id FROM file ORDER BY path"), ["\"a 3\"", "\"c 4\""]);
    assert_eq!(place.query("SELECT DISTINCT path FROM file_heads"), ["\"a\""]);
    assert_eq!(place.query("SELECT DISTINCT file || '' FROM head"), ["\"3\""]);
}

#[test]
fn a_deleted_index_costs_reading_again_and_nothing_else() {
    let place = Place::new();
    place.write("a", &noise(1, 5000));
    let (first, _) = place.refresh();
    let (before, _) = sums(&first);
    drop(first);
    fs::remove_dir_all(place.index_path().parent().unwrap()).unwrap();
    let (second, seen) = place.refresh();
    assert_eq!(seen.read, 1);
    assert_eq!(sums(&second).0[0].as_ref().unwrap(), before[0].as_ref().unwrap());
}

#[test]
fn people_can_read_sums_in_the_index() {
    let place = Place::new();
    place.write("pool/a", b"short");
    let (catalogue, _) = place.refresh();
    sums(&catalogue);
    catalogue.flush().unwrap();
    let md5 = Sum::of(Checksum::Md5, b"short").to_string();
    assert_eq!(place.query("SELECT md5 FROM file_sums WHERE path = 'pool/a'"), [format!("{md5:?}")]);
    assert_eq!(place.query("SELECT path FROM file_heads"), [""; 0]);
}

#[test]
fn records_are_kept_until_they_are_removed() {
    let place = Place::new();
    place.index().set_record("a set", "{\"n\": 1}").unwrap();
    place.index().set_record("a set", "{\"n\": 2}").unwrap();
    assert_eq!(place.index().record("a set").unwrap().as_deref(), Some("{\"n\": 2}"));
    place.index().remove_record("a set").unwrap();
    assert_eq!(place.index().record("a set").unwrap(), None);
}
