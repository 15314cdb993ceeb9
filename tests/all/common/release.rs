//! A release in a temporary directory: mirrors, images and manifests that tests write, and the runs over them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use jigdo::jigdo_file::Jigdo;
use jigdo::template::Template;
use jigdo::{Algorithm, hex};
use jigpress::assemble::source::{LabelTrees, Trees};
use jigpress::assemble::{Destination, Order, assemble};
use jigpress::digest::Hasher;
use jigpress::progress::Silent;

use super::{files, jigpress, missing, settle, write};

/// A directory with everything that a release needs. It goes when this goes.
pub struct Place(tempfile::TempDir);

/// What came of a run of the program.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    /// The run that ended with this output.
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The run, if it ended with this exit code.
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    /// The report that `--format json` printed.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.0.path().join(relative)
    }

    /// Writes a file that was modified an hour ago.
    pub fn write(&self, relative: &str, bytes: &[u8]) -> PathBuf {
        self.write_aged(relative, bytes, 3600)
    }

    /// Writes a file that is some seconds old.
    pub fn write_aged(&self, relative: &str, bytes: &[u8], seconds: u64) -> PathBuf {
        let path = self.path(relative);
        write(&path, bytes);
        age(&path, seconds);
        path
    }

    /// The program, as it is started here, once everything that was written is old enough for the index.
    pub fn command(&self, arguments: &[&str]) -> Command {
        settle(self.0.path());
        let mut command = jigpress();
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command.env("JIGPRESS_INDEX", self.path("index.sqlite"));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// Runs the program as a user whom permissions stop: as another one if this is root. `None`, with a message, if that
    /// cannot be.
    pub fn run_unprivileged(&self, arguments: &[&str]) -> Option<Ran> {
        let mut command = self.command(arguments);
        if rustix::process::geteuid().is_root() {
            let may_all = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
            may_all(&self.path(""));
            may_all(&self.path("snap"));
            command.uid(65534).gid(65534);
        }
        // The program may be where only root can run it.
        match command.output() {
            Ok(output) => Some(Ran::from(output)),
            Err(error) => {
                eprintln!("skipped: the program cannot be run as another user: {error}");
                None
            }
        }
    }

    /// Publishes `release.yaml`.
    pub fn publish(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["publish", "release.yaml"], arguments].concat())
    }

    pub fn jigdo(&self, output: &str, name: &str) -> Jigdo {
        Jigdo::read(File::open(self.path(output).join(format!("{name}.jigdo"))).unwrap()).unwrap()
    }

    pub fn template(&self, output: &str, name: &str) -> Template<File> {
        Template::read(File::open(self.path(output).join(format!("{name}.template"))).unwrap()).unwrap()
    }

    /// The image that a published set describes, its parts taken from these trees.
    pub fn rebuilt(&self, output: &str, name: &str, trees: &[(&str, &str)]) -> Vec<u8> {
        let mut image = Vec::new();
        self.rebuild(output, name, trees, &mut image);
        image
    }

    /// Writes that image to `out`.
    pub fn rebuild(&self, output: &str, name: &str, trees: &[(&str, &str)], out: &mut (impl Write + Send)) {
        let trees: Trees = trees.iter().map(|(label, path)| ((*label).to_owned(), vec![self.path(path)])).collect();
        let parts = LabelTrees::new(&self.jigdo(output, name), &trees).unwrap();
        let order = Order {
            name: name.to_owned(),
            template: &mut self.template(output, name),
            sources: vec![&parts],
            destination: Destination::Stream(out),
        };
        let report = assemble(order, &Silent).unwrap();
        assert!(report.is_complete, "{report:?}");
    }
}

/// A file or directory that nobody but root may look at, as long as this lives.
pub struct Closed(PathBuf);

impl Closed {
    pub fn new(path: PathBuf) -> Self {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap();
        Self(path)
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        // Else the directory around it cannot be removed.
        let _ = fs::set_permissions(&self.0, fs::Permissions::from_mode(0o755));
    }
}

/// A small file system, mounted as long as this lives.
pub struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    pub fn new(path: &'a Path, options: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "jigpress-test"]).arg(path).stderr(Stdio::null());
        let is_mounted = mount.status().is_ok_and(|status| status.success());
        if !is_mounted {
            missing::other("the right to mount file systems");
        }
        is_mounted.then_some(Self(path))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// Sets a file's mtime back.
pub fn age(path: &Path, seconds: u64) {
    let then = SystemTime::now() - Duration::from_secs(seconds);
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

/// The sum of these bytes, in hexadecimal.
pub fn sum(algorithm: Algorithm, bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hex(&hasher.finish())
}

/// Every file below a directory, with its bytes.
pub fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files_if_any(directory).into_iter().map(|file| (relative(&file, directory), fs::read(&file).unwrap())).collect()
}

/// Every file below a directory, with its inode and the time at which it was modified.
pub fn stamps(directory: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let stamp = |file: &Path| {
        let found = fs::metadata(file).unwrap();
        (found.ino(), found.mtime(), found.mtime_nsec())
    };
    files_if_any(directory).into_iter().map(|file| (relative(&file, directory), stamp(&file))).collect()
}

fn relative(file: &Path, directory: &Path) -> PathBuf {
    file.strip_prefix(directory).unwrap().to_owned()
}

fn files_if_any(directory: &Path) -> Vec<PathBuf> {
    if directory.exists() { files(directory) } else { Vec::new() }
}
