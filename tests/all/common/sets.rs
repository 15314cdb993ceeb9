//! Sets in tests: images and mirrors to make them of, jigpress and jigdo-file to make them, and the peers that rebuild
//! and check them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{installed, jigpress, run, small_corpus, write};
use jigdo::bstr::ByteSlice as _;
use jigdo::jigdo_file::{Jigdo, Location};
use jigdo::template::{Area, Template};
use jigdo::{Checksum, Sum};

/// How sets are published. The names are those of the manifest's keys and of jigdo-file's options.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub checksum: &'static str,
    pub compression: &'static str,
    pub level: u8,
    pub min_length: u32,
    pub compress_jigdo: bool,
}

/// How many bytes the headers of two templates may differ by: the creators' names, and a stream of next to nothing.
const HEADERS: u64 = 8;

pub const MD5: Settings =
    Settings { checksum: "md5", compression: "gzip", level: 9, min_length: 1024, compress_jigdo: false };
pub const SHA256: Settings = Settings { checksum: "sha256", ..MD5 };
pub const BZIP2: &str = "bzip2";

/// Both generations of the format with both compressions.
pub const COMBINATIONS: [Settings; 4] =
    [MD5, SHA256, Settings { compression: BZIP2, ..MD5 }, Settings { compression: BZIP2, ..SHA256 }];

/// Settings that are not the usual ones.
pub const UNUSUAL: [Settings; 4] = [
    Settings { level: 0, ..MD5 },
    Settings { compress_jigdo: true, ..SHA256 },
    Settings { min_length: 256, ..SHA256 },
    Settings { min_length: 4096, ..MD5 },
];

impl Settings {
    /// Whether the piece of the template that holds an area can be compared with jigdo-file's byte for byte.
    fn compresses_like_jigdo_file(&self) -> bool {
        self.compression == "gzip" && self.level == 9
    }

    fn checksum(&self) -> Checksum {
        if self.checksum == "md5" { Checksum::Md5 } else { Checksum::Sha256 }
    }
}

/// What jigdo-file does about matches that overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matching {
    /// Its default: a short match wins over a longer one that has begun.
    Greedy,
    NoGreedy,
}

impl Matching {
    pub const BOTH: [Self; 2] = [Self::Greedy, Self::NoGreedy];

    fn option(self) -> &'static str {
        match self {
            Self::Greedy => "--greedy-matching",
            Self::NoGreedy => "--no-greedy-matching",
        }
    }
}

/// What jigdo-file says where an image ends inside of what may become a match: the assertion that fails then.
const ABORT: &str = "`memReleased' failed";

/// Images, and mirrors that have some of what is in them.
pub struct Release {
    place: TempDir,
    mirrors: BTreeMap<String, PathBuf>,
    /// The directory that holds the images and nothing else.
    pub images: PathBuf,
}

impl Release {
    /// A release of the images in the directory `images`.
    pub fn of(images: &Path, mirrors: &[(&str, &Path)]) -> Self {
        let mirrors = mirrors.iter().map(|(label, path)| ((*label).to_owned(), path.to_path_buf())).collect();
        Self { place: tempfile::tempdir().unwrap(), mirrors, images: images.to_owned() }
    }

    /// A release of nothing yet, with one mirror; both directories are empty, and go with it.
    pub fn empty() -> Self {
        let place = tempfile::tempdir().unwrap();
        let (mirror, images) = (place.path().join("mirror"), place.path().join("images"));
        fs::create_dir(&mirror).unwrap();
        fs::create_dir(&images).unwrap();
        Self { place, mirrors: [("Debian".to_owned(), mirror)].into(), images }
    }

    pub fn mirror(&self) -> &Path {
        &self.mirrors["Debian"]
    }

    pub fn add_part(&self, path: &str, content: &[u8]) {
        write(&self.mirror().join(path), content);
    }

    pub fn add_image(&self, name: &str, content: &[&[u8]]) {
        write(&self.images.join(name), &content.concat());
    }

    /// Where a tool may write what goes away with the release.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub fn image_paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<_> = fs::read_dir(&self.images).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{}", self.images.display());
        paths
    }

    pub fn publish(&self, settings: Settings) -> Vec<Set<'_>> {
        self.publish_as(settings, "{file}")
    }

    /// Publishes all images in a new directory; `name` is the manifest's key.
    pub fn publish_as(&self, settings: Settings, name: &str) -> Vec<Set<'_>> {
        let output = tempfile::tempdir_in(&self.place).unwrap().keep();
        let mirror = |(label, path): (&String, &PathBuf)| {
            let servers = [format!("https://{}.example/", label.to_lowercase())];
            (label.clone(), json!({"path": path, "servers": servers}))
        };
        // JSON is YAML.
        let manifest = json!({
            "release": "peers",
            "mirrors": self.mirrors.iter().map(mirror).collect::<serde_json::Map<_, _>>(),
            "defaults": {
                "checksum": settings.checksum,
                "compression": settings.compression,
                "level": settings.level,
                "min_length": settings.min_length,
                "compress_jigdo": settings.compress_jigdo,
                "sums": ["md5", "sha1", "sha256", "sha512"],
            },
            "images": [{"path": self.images.join("*"), "output": output, "name": name}],
        });
        let path = output.with_extension("yaml");
        fs::write(&path, manifest.to_string()).unwrap();
        let mut command = jigpress();
        command.args(["publish", "--quiet", "--index"]).arg(self.scratch("index"));
        run(command.arg("--report").arg(output.with_extension("json")).arg(path));
        let set = |image: PathBuf| {
            let stem = image.file_stem().unwrap().to_str().unwrap();
            let name = name.replace("{file}", image.file_name().unwrap().to_str().unwrap()).replace("{stem}", stem);
            let path = |extension: &str| output.join(format!("{name}.{extension}"));
            Set { release: self, settings, jigdo: path("jigdo"), template: path("template"), image }
        };
        self.image_paths().into_iter().map(set).collect()
    }

    /// The set that jigdo-file makes of an image.
    pub fn made_by_jigdo_file(&self, image: &Path, settings: Settings) -> Set<'_> {
        let (set, mut command) = self.jigdo_file_make_template(image, settings, Matching::Greedy);
        run(&mut command);
        set
    }

    /// How many bytes jigdo-file leaves unmatched in an image; all of them where it aborts because the image ends
    /// inside of what may become a match.
    pub fn unmatched_by_jigdo_file(&self, image: &Path, settings: Settings, matching: Matching) -> u64 {
        let (set, mut command) = self.jigdo_file_make_template(image, settings, matching);
        let output = command.output().unwrap();
        if output.status.success() {
            return set.unmatched_bytes();
        }
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(ABORT), "{command:?}: {}\n{said}", output.status);
        fs::metadata(image).unwrap().len()
    }

    fn jigdo_file_make_template(&self, image: &Path, settings: Settings, matching: Matching) -> (Set<'_>, Command) {
        let directory = tempfile::tempdir_in(&self.place).unwrap().keep();
        let (jigdo, template) = (directory.join("theirs.jigdo"), directory.join("theirs.template"));
        let mut command = jigdo_file("make-template", settings);
        command.arg(matching.option());
        command.arg(format!("--{}", settings.compression)).arg(format!("-{}", settings.level));
        command.arg("--image").arg(image).arg("--jigdo").arg(&jigdo).arg("--template").arg(&template);
        for (label, path) in &self.mirrors {
            command.arg("--label").arg(format!("{label}={}", path.display()));
        }
        // What is behind the two slashes is the part's path below its label.
        command.arg("--").args(self.mirrors.values().map(|path| format!("{}//", path.display())));
        (Set { release: self, settings, image: image.to_owned(), jigdo, template }, command)
    }
}

/// `jigdo-file COMMAND`. It gets no cache: with one, it does not find every part.
pub fn jigdo_file(command: &str, settings: Settings) -> Command {
    let mut jigdo_file = Command::new("jigdo-file");
    jigdo_file.args([command, "--report=quiet"]);
    jigdo_file.arg(format!("--checksum-algorithm={}", settings.checksum));
    jigdo_file.arg(format!("--min-length={}", settings.min_length));
    jigdo_file
}

/// A set, the image that it should be of, and how it was asked for.
pub struct Set<'a> {
    pub release: &'a Release,
    pub settings: Settings,
    pub image: PathBuf,
    pub jigdo: PathBuf,
    pub template: PathBuf,
}

impl Set<'_> {
    /// What tells this set from others in a failed test's message.
    pub fn what(&self) -> String {
        format!("{} with {:?}", self.image.display(), self.settings)
    }

    pub fn read_jigdo(&self) -> Jigdo {
        Jigdo::read(File::open(&self.jigdo).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", self.what()))
    }

    /// What `jigpress inspect` says of the template or of the jigdo file.
    pub fn inspect(file: &Path) -> Value {
        let output = run(jigpress().args(["inspect", "--format", "json"]).arg(file));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn unmatched_bytes(&self) -> u64 {
        Self::inspect(&self.template)["totals"]["unmatched_bytes"].as_u64().unwrap()
    }

    /// How much of what jigpress leaves unmatched is a part that it left out.
    pub fn left_out_bytes(&self) -> u64 {
        let report = fs::read(self.jigdo.parent().unwrap().with_extension("json")).unwrap();
        let report: Value = serde_json::from_slice(&report).unwrap();
        let images = report["images"].as_array().unwrap();
        let image = images.iter().find(|image| image["image"].as_str() == self.image.to_str());
        image.unwrap()["left_out_bytes"].as_u64().unwrap()
    }

    /// Where the parts are in the image, as the template says.
    pub fn parts(&self) -> Vec<Range<usize>> {
        let template = Template::read(BufReader::new(File::open(&self.template).unwrap())).unwrap();
        let parts = template.description.with_offsets().filter(|(_, area)| matches!(area, Area::Part { .. }));
        parts.map(|(start, area)| start as usize..(start + area.length()) as usize).collect()
    }

    /// Fails unless `who` has made a file with the image's bytes; removes it.
    pub fn expect_image(&self, rebuilt: &Path, who: &str) {
        let same = fs::read(rebuilt).unwrap() == fs::read(&self.image).unwrap();
        assert!(same, "{who} rebuilds another image: {}", self.what());
        fs::remove_file(rebuilt).unwrap();
    }

    pub fn check_that_jigdo_file_rebuilds(&self) {
        let rebuilt = self.template.with_extension("by-jigdo-file");
        let mut command = jigdo_file("make-image", self.settings);
        command.arg("--image").arg(&rebuilt).arg("--jigdo").arg(&self.jigdo).arg("--template").arg(&self.template);
        run(command.arg("--").args(self.release.mirrors.values()));
        self.expect_image(&rebuilt, "jigdo-file");
    }

    pub fn check_that_jigdo_file_verifies(&self) {
        let mut command = jigdo_file("verify", self.settings);
        run(command.arg("--image").arg(&self.image).arg("--template").arg(&self.template));
    }

    /// jigit-mkimage does not unquote names. Where the jigdo file has such names, it gets a list of the files instead.
    pub fn check_that_jigit_mkimage_rebuilds(&self) {
        let rebuilt = self.template.with_extension("by-jigit-mkimage");
        let mut command = Command::new("jigit-mkimage");
        command.arg("-t").arg(&self.template).arg("-o").arg(&rebuilt);
        let is_quoted = |byte: &u8| b" \t#\"'\\".contains(byte);
        let jigdo = self.read_jigdo();
        if jigdo.parts.iter().any(|(_, location)| location.path.iter().any(is_quoted)) {
            let list = self.template.with_extension("list");
            let line = |location: &Location| {
                let path = self.release.mirrors[&*location.label.to_string()].join(location.path.to_path().unwrap());
                checksum_list_line(self.settings, &path)
            };
            fs::write(&list, jigdo.parts.iter().map(|(_, location)| line(location)).collect::<String>()).unwrap();
            command.arg(if self.settings.checksum == "md5" { "-f" } else { "-F" }).arg(list);
        } else {
            command.arg("-j").arg(&self.jigdo);
            for (label, path) in &self.release.mirrors {
                command.arg("-m").arg(format!("{label}={}", path.display()));
            }
        }
        run(&mut command);
        self.expect_image(&rebuilt, "jigit-mkimage");
    }

    /// Nothing that jigdo-file finds is missed, and what is left takes no more room.
    pub fn check_that_jigdo_file_does_no_better(&self) {
        let theirs = self.release.made_by_jigdo_file(&self.image, self.settings);
        if self.left_out_bytes() > 0 {
            return; // jigdo-file leaves nothing out, and crashes on templates without unmatched data.
        }
        let (ours, their) = (self.unmatched_bytes(), theirs.unmatched_bytes());
        assert!(ours <= their, "{}: {ours} bytes unmatched, {their} in jigdo-file's template", self.what());
        if self.settings.compresses_like_jigdo_file() {
            let size = |set: &Self| fs::metadata(&set.template).unwrap().len();
            let (ours, their) = (size(self), size(&theirs));
            assert!(ours <= their + HEADERS, "{}: a template of {ours} bytes, jigdo-file's has {their}", self.what());
        }
    }

    pub fn check_with_both_peers(&self) {
        self.check_that_jigdo_file_rebuilds();
        self.check_that_jigit_mkimage_rebuilds();
        self.check_that_jigdo_file_verifies();
    }

    /// The set of another tool is read, and put together again.
    pub fn check_that_jigpress_reads_and_rebuilds(&self) {
        let shown = Self::inspect(&self.template);
        assert_eq!(shown["image"]["length"], fs::metadata(&self.image).unwrap().len(), "{}", self.what());
        assert!(shown["totals"]["parts"].as_u64().unwrap() > 0, "{}: {}", self.what(), shown["totals"]);
        let shown = Self::inspect(&self.jigdo);
        assert!(shown["parts_per_label"]["Debian"].as_u64().unwrap() > 0, "{}: {shown}", self.what());
        self.check_that_jigpress_rebuilds();
    }

    pub fn check_that_jigpress_rebuilds(&self) {
        let rebuilt = self.template.with_extension("by-jigpress");
        fs::create_dir_all(&rebuilt).unwrap();
        let mut command = jigpress();
        command.arg("assemble").arg("--quiet").arg(&self.jigdo).arg("--template").arg(&self.template);
        command.arg("--index").arg(self.release.scratch("index")).arg("--into").arg(&rebuilt);
        for (label, path) in &self.release.mirrors {
            command.arg("--mirror").arg(format!("{label}={}", path.display()));
        }
        run(&mut command);
        self.expect_image(&rebuilt.join(self.read_jigdo().images[0].file_name().to_path().unwrap()), "jigpress");
    }
}

/// A file's line in the lists that genisoimage, xorriso and jigit-mkimage read.
pub fn checksum_list_line(settings: Settings, file: &Path) -> String {
    let content = fs::read(file).unwrap();
    format!("{}  {:12}  {}\n", Sum::of(settings.checksum(), &content), content.len(), file.display())
}

/// The tools that rebuild images from sets.
pub fn both_peers() -> bool {
    installed(&["jigdo-file", "jigit-mkimage"])
}

/// Publishes with each of `settings`; the peers rebuild and compare.
pub fn check(release: &Release, settings: &[Settings]) {
    for &settings in settings {
        for set in release.publish(settings) {
            set.check_with_both_peers();
            set.check_that_jigdo_file_does_no_better();
        }
    }
}

/// The images of the small corpus, if it is there.
pub fn corpus() -> Option<Release> {
    let corpus = small_corpus()?;
    Some(Release::of(&corpus.join("images"), &[("Debian", &corpus.join("mirror"))]))
}
