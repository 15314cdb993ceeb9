//! What tests that run programs share: jigpress itself, its peers if they are installed, and files to work on.

pub mod drop_in;
pub mod drop_in_inputs;
pub mod nginx;
pub mod release;
pub mod sets;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Set to `required` where a missing peer is a failure, as in CI; elsewhere, tests that need it are skipped.
const PEERS: &str = "JIGPRESS_PEERS";

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

/// Whether all these programs can be run. Where not, the test that asks returns early, if that is allowed.
pub fn installed(programs: &[&str]) -> bool {
    programs.iter().all(|program| program_path(program).is_some() || missing(&format!("{program} is not installed")))
}

/// Where a program is.
pub fn program_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// The corpus that `benches/make-corpus small` makes. Where there is none, the test that asks returns early, if that
/// is allowed.
pub fn small_corpus() -> Option<PathBuf> {
    let corpus = std::env::var_os(CORPUS).map_or_else(|| repository().join("target/corpus-small"), PathBuf::from);
    let is_there = corpus.join(".complete-small").exists();
    (is_there || missing(&format!("no small corpus in {}", corpus.display()))).then_some(corpus)
}

/// Debian's `imagesums`. Where there is none, the test that asks returns early, if that is allowed.
pub fn imagesums() -> Option<PathBuf> {
    let script = std::env::var_os(IMAGESUMS).map_or("/usr/share/debian-cd/tools/imagesums".into(), PathBuf::from);
    (script.is_file() || missing("debian-cd's imagesums is not installed")).then_some(script)
}

/// Says what is missing; always false.
fn missing(what: &str) -> bool {
    assert!(std::env::var_os(PEERS).is_none_or(|value| value != "required"), "{what}");
    eprintln!("skipped: {what}");
    false
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
