//! What tests that run programs share: jigpress itself, its peers if they are installed, and files to work on.

pub mod drop_in;
pub mod drop_in_inputs;
pub mod harness;
pub mod missing;
pub mod nginx;
pub mod release;
pub mod sets;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use jigpress::file::{Stamp, now_ns};

/// Where the small corpus is, if not in `target/corpus-small`.
const CORPUS: &str = "JIGPRESS_CORPUS";

/// Where Debian's `imagesums` is, if it is not installed.
const IMAGESUMS: &str = "JIGPRESS_IMAGESUMS";

/// The program under test.
pub fn jigpress() -> Command {
    Command::new(env!("CARGO_BIN_EXE_jigpress"))
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        said(&output.stdout),
        said(&output.stderr)
    );
    output
}

/// Whether all these programs can be run. Where not, the test that asks returns early, if that is allowed, and counts
/// as skipped.
#[track_caller]
pub fn installed(programs: &[&str]) -> bool {
    let missing = programs.iter().filter(|program| program_path(program).is_none());
    missing.map(|program| missing::peer(program)).count() == 0
}

/// Where a program is.
pub fn program_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// The corpus that `benches/make-corpus small` makes. Where there is none, the test that asks returns early, if that
/// is allowed.
#[track_caller]
pub fn small_corpus() -> Option<PathBuf> {
    let corpus = std::env::var_os(CORPUS).map_or_else(|| repository().join("target/corpus-small"), PathBuf::from);
    let is_there = corpus.join(".complete-small").exists();
    if !is_there {
        missing::peer("the small corpus");
    }
    is_there.then_some(corpus)
}

/// Debian's `imagesums`. Where there is none, the test that asks returns early, if that is allowed.
#[track_caller]
pub fn imagesums() -> Option<PathBuf> {
    let script = std::env::var_os(IMAGESUMS).map_or("/usr/share/debian-cd/tools/imagesums".into(), PathBuf::from);
    if !script.is_file() {
        missing::peer("debian-cd's imagesums");
    }
    script.is_file().then_some(script)
}

/// Waits until the index remembers what is read of the files below a directory, which were written just now.
pub fn settle(directory: &Path) {
    for entry in walkdir::WalkDir::new(directory).into_iter().filter_map(Result::ok) {
        let stamp = || entry.metadata().ok().filter(fs::Metadata::is_file).map(|found| Stamp::of(&found));
        while stamp().is_some_and(|stamp| stamp.is_young(now_ns())) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Bytes that compress well, as in an index; others for each seed.
pub fn text(seed: u64, length: usize) -> Vec<u8> {
    let line = |number: u64| format!("{number:06}: the line with {:x}\n", number.wrapping_mul(seed | 1)).into_bytes();
    (0..).flat_map(line).take(length).collect()
}

/// Writes a file, and creates the directories above it.
pub fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Every file below a directory, in the order of their paths.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
