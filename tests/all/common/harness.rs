//! Runs the tests as `cargo test` and `cargo nextest` expect it. Unlike the usual harness, it counts a test that found a
//! program missing as ignored, and its last line says which programs are missing.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use super::missing;

/// A function with `#[test]`.
pub struct Test {
    /// Its path, beginning with the crate.
    pub path: &'static str,
    pub run: fn(),
}

inventory::collect!(Test);

/// Which programs were missing, and how many tests wanted each of them.
#[derive(Default)]
struct Skipped {
    tests: u32,
    programs: BTreeMap<String, u32>,
}

static SKIPPED: Mutex<Skipped> = Mutex::new(Skipped { tests: 0, programs: BTreeMap::new() });

/// Runs the tests that the command line asks for.
pub fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut tests: Vec<&'static Test> = inventory::iter::<Test>().collect();
    tests.sort_by_key(|test| test.path);
    let trials = tests.into_iter().map(|test| {
        let (_, name) = test.path.split_once("::").expect("a path begins with its crate");
        Trial::ignorable_test(name, move || run(name, test.run))
    });
    let done = libtest_mimic::run(&arguments, trials.collect());
    if !arguments.list {
        println!("{}\n", SKIPPED.lock().unwrap().summary());
    }
    done.exit_code()
}

/// Runs a test, in a thread with its name. If it panics, the thread says so, with the place.
fn run(name: &str, test: fn()) -> Result<Completion, Failed> {
    let with_missing = move || {
        test();
        missing::take()
    };
    let thread = thread::Builder::new().name(name.to_owned()).spawn(with_missing)?;
    let missing = thread.join().map_err(|_| Failed::without_message())?;
    if missing.is_empty() {
        return Ok(Completion::Completed);
    }
    let reason = format!("missing: {}", missing.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    SKIPPED.lock().unwrap().add(missing);
    Ok(Completion::ignored_with(reason))
}

impl Skipped {
    fn add(&mut self, programs: BTreeSet<String>) {
        self.tests += 1;
        programs.into_iter().for_each(|program| *self.programs.entry(program).or_default() += 1);
    }

    /// The line with which a run ends.
    fn summary(&self) -> String {
        if self.tests == 0 {
            return "no test was skipped for want of a program".to_owned();
        }
        let mut programs: Vec<(&String, &u32)> = self.programs.iter().collect();
        programs.sort_by_key(|&(_, &count)| std::cmp::Reverse(count));
        let programs: Vec<String> = programs.iter().map(|(program, count)| format!("{program} ({count})")).collect();
        let tests = if self.tests == 1 { "1 test was" } else { &format!("{} tests were", self.tests) };
        format!("{tests} skipped for want of {}", programs.join(", "))
    }
}

#[test]
fn the_last_line_counts_the_tests_that_wanted_each_program() {
    let wanted = |programs: &[&str]| programs.iter().map(|&program| program.to_owned()).collect();
    let mut skipped = Skipped::default();
    assert_eq!(skipped.summary(), "no test was skipped for want of a program");
    skipped.add(wanted(&["wget"]));
    assert_eq!(skipped.summary(), "1 test was skipped for want of wget (1)");
    skipped.add(wanted(&["jigdo-file", "wget"]));
    skipped.add(wanted(&["apt"]));
    assert_eq!(skipped.summary(), "3 tests were skipped for want of wget (2), apt (1), jigdo-file (1)");
}
