//! Kills the commands that write, at the moments at which they change files, and fails the calls by which they do it. After
//! each fault, whatever is published is wholly old or wholly new, and the next run completes.
//!
//! `JIGPRESS_FAULT_POINTS` says how many points of each run are tried, evenly spread; `all` tries every one.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use faults::{CHANGES, Ended, Errno, Fault, Run, Signal};
use testing::noise;

use crate::common::release::{Place, contents};
use crate::common::{missing, run};

const POINTS: &str = "JIGPRESS_FAULT_POINTS";
const FEW: usize = 5;

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A command, and the directory that it changes.
struct Scenario {
    place: Place,
    arguments: Vec<&'static str>,
    /// What the command changes, below `work`.
    result: &'static str,
    /// What is there before, and after an undisturbed run.
    old: Files,
    new: Files,
    /// Panics if what is there now is neither.
    check: fn(&Scenario, &Files),
}

impl Scenario {
    /// A scenario in a place whose `work` directory and index are as before the command.
    fn new(place: Place, arguments: &[&'static str], result: &'static str, check: fn(&Self, &Files)) -> Self {
        // What is younger than two seconds is not remembered, so a second run would do all work again in any case.
        std::thread::sleep(Duration::from_millis(2100));
        let old = contents(&place.path(result));
        for (from, to) in [("work", "saved"), ("index.sqlite", "saved.sqlite")] {
            copy(&place.path(from), &place.path(to));
        }
        place.run(arguments).with(0);
        let new = contents(&place.path(result));
        assert!(old != new, "the command changes nothing");
        Self { place, arguments: arguments.to_vec(), result, old, new, check }
    }

    /// Puts everything back to what it was before the command.
    fn reset(&self) {
        fs::remove_dir_all(self.place.path("work")).unwrap();
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(self.place.path(&format!("index.sqlite{suffix}")));
        }
        for (from, to) in [("saved", "work"), ("saved.sqlite", "index.sqlite")] {
            copy(&self.place.path(from), &self.place.path(to));
        }
    }

    fn files(&self) -> Files {
        contents(&self.place.path(self.result))
    }

    /// Runs the command with a fault. `None` where programs cannot be traced.
    fn run(&self, fault: Fault) -> Option<Run> {
        match faults::run(&mut self.place.command(&self.arguments), CHANGES, fault) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                missing::peer("the right to trace programs");
                None
            }
            run => Some(run.unwrap()),
        }
    }

    /// Evenly spread points among the calls that the command makes after its start.
    fn points(&self) -> Vec<usize> {
        self.reset();
        let Some(undisturbed) = self.run(Fault::None) else { return Vec::new() };
        self.reset();
        let start = faults::run(&mut self.place.command(&["--version"]), CHANGES, Fault::None).unwrap().calls.len();
        let all = undisturbed.calls.len() - start;
        let count = match std::env::var(POINTS).as_deref() {
            Ok("all") => all,
            Ok(number) => number.parse::<usize>().expect(POINTS).min(all),
            Err(_) => FEW.min(all),
        };
        println!("{}: {count} of {all} points", self.arguments[0]);
        (0..count).map(|point| start + point * all / count + all / count / 2).collect()
    }

    /// Kills the command at many points.
    fn kill(&self) {
        for point in self.points() {
            let Some(killed) = self.run(Fault::Kill(point)) else { return };
            let at = || format!("killed before call {point}, {:?}", killed.calls.last());
            self.recover(&at, true);
        }
    }

    /// Interrupts the command at many points. It says so, and dies of the signal.
    fn interrupt(&self) {
        for (point, signal) in
            self.points().into_iter().zip([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().cycle())
        {
            let Some(run) = self.run(Fault::Signal(point, signal)) else { return };
            let at = || {
                format!(
                    "{signal} before call {point}, {:?}: {:?}\n{}{}",
                    run.calls.get(point),
                    run.ended,
                    run.out,
                    run.err
                )
            };
            match run.ended {
                Ended::Signal(ended) => {
                    assert_eq!(ended, signal, "{}", at());
                    assert!(run.err.contains(&format!("interrupted by {signal}")), "{}", at());
                }
                // The run was faster.
                ended @ Ended::Code(_) => assert_eq!(ended, Ended::Code(0), "{}", at()),
            }
            self.recover(&at, true);
        }
    }

    /// Fails the calls of the command at many points, as disks and permissions do.
    fn fail(&self) {
        for point in self.points() {
            for fault in [
                Fault::Fail(point, Errno::EIO),
                Fault::Fail(point, Errno::EACCES),
                Fault::Fail(point, Errno::ENOSPC),
                Fault::FailFrom(point, Errno::ENOSPC),
                Fault::FailFrom(point, Errno::EDQUOT),
                Fault::FailFrom(point, Errno::EROFS),
            ] {
                let Some(run) = self.run(fault) else { return };
                let at = || format!("{fault:?}, {:?}: {:?}\n{}{}", run.calls.get(point), run.ended, run.out, run.err);
                assert!(matches!(run.ended, Ended::Code(0..=3)), "{}", at());
                assert!(!run.err.contains("panicked"), "{}", at());
                if run.ended == Ended::Code(0) {
                    // What could not be cleaned up does no harm.
                    assert!(published(self.files()) == published(self.new.clone()), "not all results: {}", at());
                } else if matches!(fault, Fault::Fail(..)) && run.calls[point].name != "write" {
                    assert!(!run.err.is_empty(), "no word of what happened: {}", at());
                }
                self.recover(&at, false);
            }
        }
    }

    /// Checks what a fault left, and that the next run completes.
    /// With `is_clean`, no stray file is left either.
    fn recover(&self, at: &dyn Fn() -> String, is_clean: bool) {
        let files = self.files();
        let whole = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (self.check)(self, &files)));
        assert!(whole.is_ok(), "{}", at());
        let again = self.place.run(&self.arguments);
        assert_eq!(again.code, Some(0), "the run after it: {}{}\n{}", again.out, again.err, at());
        let (found, expected) = (self.files(), &self.new);
        let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
        let (found, expected) = match is_clean {
            true => (found, expected.clone()),
            false => (published(found), published(expected.clone())),
        };
        assert_eq!(names(&found), names(&expected), "{}", at());
        assert!(found == expected, "{}", at());
        self.reset();
    }

    /// That each file is old or new. A list of sums may have lines of both.
    fn each_is_whole(&self, files: &Files) {
        for (path, bytes) in files.iter().filter(|(path, _)| !is_staged(path) && !path.ends_with("SHA256SUMS")) {
            let is = |other: &Files| other.get(path) == Some(bytes);
            assert!(is(&self.old) || is(&self.new), "{} is neither old nor new", path.display());
        }
    }
}

/// The lines of a SUMS file that name this file or image.
fn lines<'a>(sums: &'a [u8], name: &str) -> Vec<&'a [u8]> {
    let is_of = |line: &&[u8]| line.ends_with(format!("  {name}").as_bytes());
    sums.split(|&byte| byte == b'\n').filter(is_of).collect()
}

/// That each of these images' sets in a directory, with its lines of the SUMS file, is wholly old or wholly new, unless a
/// commit record says that the next run has to finish it.
fn sets_are_whole(scenario: &Scenario, files: &Files, directory: &str, names: &[&str]) {
    let directory = Path::new(directory);
    if files.contains_key(&directory.join(".jigpress/commit")) {
        return;
    }
    for name in names {
        let set = [format!("{name}.jigdo"), format!("{name}.template")];
        let is = |other: &Files| {
            let sums = |files: &Files| files.get(&directory.join("SHA256SUMS")).cloned().unwrap_or_default();
            let (ours, theirs) = (sums(files), sums(other));
            let is_same = |file: &String| {
                let path = directory.join(file);
                files.get(&path) == other.get(&path) && lines(&ours, file) == lines(&theirs, file)
            };
            set.iter().chain([&format!("{name}.iso")]).all(is_same)
        };
        assert!(is(&scenario.old) || is(&scenario.new), "the set of {name}, with its lines in the SUMS file, is torn");
    }
}

fn copy(from: &Path, to: &Path) {
    if from.exists() {
        run(Command::new("cp").arg("-a").arg(from).arg(to));
    }
}

/// Without what is staged.
fn published(mut files: Files) -> Files {
    files.retain(|path, _| !is_staged(path));
    files
}

fn is_staged(path: &Path) -> bool {
    path.iter().any(|name| name.to_str().is_some_and(|name| name.starts_with('.')))
}

fn part(number: u64) -> Vec<u8> {
    noise(number, 9000)
}

fn image(seed: u64, parts: &[u64]) -> Vec<u8> {
    let parts: Vec<_> = parts.iter().map(|&number| part(number)).collect();
    [noise(100 + seed, 60_000), parts.concat(), noise(200 + seed, 3000)].concat()
}

/// A mirror of six parts, and a manifest.
fn place() -> Place {
    let place = Place::new();
    for number in 1..=6 {
        place.write(&format!("mirror/pool/{number}.deb"), &part(number));
    }
    let manifest = "release: r\nmirrors: {Debian: {path: mirror, servers: ['http://mirror.example/']}}\n\
                    images: [{path: 'img/*.iso', output: work/sets}]\n";
    place.write("release.yaml", manifest.as_bytes());
    place.write("work/sets/README", b"what someone else put there\n");
    place
}

/// The images of a release: the last one is the same in both.
fn lay_out(place: &Place, version: u64) {
    place.write("img/one.iso", &image(1 + 10 * version, &[1, 2 + version]));
    place.write("img/two.iso", &image(2 + 10 * version, &[4, 3, 1 + version]));
    place.write("img/three.iso", &image(3, &[5, 6]));
}

fn publishing() -> Scenario {
    let place = place();
    lay_out(&place, 0);
    place.publish(&[]).with(0);
    lay_out(&place, 1);
    Scenario::new(place, &["publish", "release.yaml"], "work/sets", |scenario, files| {
        scenario.each_is_whole(files);
        sets_are_whole(scenario, files, "", &["one", "two", "three"]);
    })
}

fn setting_servers() -> Scenario {
    let place = place();
    lay_out(&place, 0);
    place.publish(&[]).with(0);
    copy(&place.path("work/sets"), &place.path("work/more"));
    let arguments = ["servers", "set", "work", "--server", "Debian=http://other.example/"];
    Scenario::new(place, &arguments, "work", |scenario, files| {
        scenario.each_is_whole(files);
        for directory in ["sets", "more"] {
            sets_are_whole(scenario, files, directory, &["one", "two", "three"]);
        }
    })
}

fn pruning() -> Scenario {
    let place = place();
    let arguments = [
        "snapshot",
        "--from",
        "sets",
        "--mirror",
        "Debian=mirror",
        "--into",
        "work/snap",
        "--prune",
        "--max-prune",
        "100",
    ];
    lay_out(&place, 0);
    place.publish(&[]).with(0);
    copy(&place.path("work/sets"), &place.path("sets"));
    place.run(&arguments).with(0);
    lay_out(&place, 1);
    fs::remove_file(place.path("img/three.iso")).unwrap();
    for name in ["three.jigdo", "three.template"] {
        fs::remove_file(place.path("sets").join(name)).unwrap();
    }
    place.publish(&[]).with(0);
    for name in ["one.jigdo", "one.template", "two.jigdo", "two.template"] {
        fs::copy(place.path("work/sets").join(name), place.path("sets").join(name)).unwrap();
    }
    Scenario::new(place, &arguments, "work/snap", Scenario::each_is_whole)
}

fn assembling() -> Scenario {
    let place = place();
    lay_out(&place, 0);
    place.publish(&[]).with(0);
    copy(&place.path("work/sets"), &place.path("sets"));
    fs::create_dir(place.path("work/iso")).unwrap();
    let arguments = ["assemble", "--all", "sets", "--mirror", "Debian=mirror", "--into", "work/iso"];
    Scenario::new(place, &arguments, "work/iso", Scenario::each_is_whole)
}

#[test]
fn publish_killed_at_any_call_leaves_old_or_new_sets_and_the_next_run_completes() {
    publishing().kill();
}

#[test]
fn publish_with_any_failed_call_leaves_old_or_new_sets_and_says_so() {
    publishing().fail();
}

#[test]
fn servers_set_killed_at_any_call_leaves_whole_files_and_the_next_run_completes() {
    setting_servers().kill();
}

#[test]
fn servers_set_with_any_failed_call_leaves_whole_files_and_says_so() {
    setting_servers().fail();
}

#[test]
fn snapshot_killed_at_any_call_leaves_whole_files_and_the_next_run_completes() {
    pruning().kill();
}

#[test]
fn snapshot_with_any_failed_call_leaves_whole_files_and_says_so() {
    pruning().fail();
}

#[test]
fn assemble_killed_at_any_call_leaves_whole_images_and_the_next_run_completes() {
    assembling().kill();
}

#[test]
fn assemble_with_any_failed_call_leaves_whole_images_and_says_so() {
    assembling().fail();
}

#[test]
fn runs_interrupted_at_any_call_say_so_and_the_next_run_completes() {
    for scenario in [publishing(), setting_servers(), pruning(), assembling()] {
        scenario.interrupt();
    }
}
