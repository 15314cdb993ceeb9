//! Debian's own scripts, unmodified, with jigpress first in `PATH` under the name of jigdo-file: jigdo-lite downloads from
//! an nginx on the loopback interface, jigdo-mirror goes over a tree of sets. What needs them is skipped without them,
//! except where `JIGPRESS_PEERS=required`.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::common::drop_in::{bin, path_with};
use crate::common::nginx::Nginx;
use crate::common::{installed, program_path, run, text, write};
use jigdo::jigdo_file::gzip;
use testing::noise;

/// The two generations of the format.
const GENERATIONS: [&str; 2] = ["md5", "sha256"];

/// What a download needs.
fn has_peers() -> bool {
    installed(&["jigdo-lite", "jigdo-file", "wget", "nginx"])
}

/// Mirrors that a server has, a set of an image, and a place for whoever downloads it.
struct Scene {
    place: tempfile::TempDir,
    bin: tempfile::TempDir,
    image: Vec<u8>,
    parts: Vec<(String, Vec<u8>)>,
}

impl Scene {
    fn new() -> Self {
        let part = |number: u64| {
            let path = format!("pool/{}/package-{number}+x~1_all.deb", number % 3);
            (path, noise(number, 20_000 + 777 * number as usize))
        };
        let parts: Vec<_> = (0..12).map(part).collect();
        let mut image = text(1, 30_000);
        for (_, part) in &parts {
            image.extend_from_slice(part);
            image.extend_from_slice(&text(part.len() as u64, 100));
        }
        let scene = Self { place: tempfile::tempdir().unwrap(), bin: bin(), image, parts };
        // jigdo-lite prefers the jigdo-file that lies beside it.
        symlink(program_path("jigdo-lite").unwrap(), scene.bin.path().join("jigdo-lite")).unwrap();
        write(&scene.path("disc.iso"), &scene.image);
        for directory in ["www/second", "home", "work"] {
            fs::create_dir_all(scene.path(directory)).unwrap();
        }
        scene.fill("www/first", |_| true);
        scene
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.place.path().join(relative)
    }

    /// Puts those parts into a tree for whose numbers `is_there` holds.
    fn fill(&self, tree: &str, is_there: impl Fn(usize) -> bool) {
        fs::create_dir_all(self.path(tree)).unwrap();
        for (number, (path, content)) in self.parts.iter().enumerate() {
            let path = self.path(tree).join(path);
            match is_there(number) {
                true => write(&path, content),
                false => drop(fs::remove_file(path)),
            }
        }
    }

    /// A server of `www`; no connection gets more than so many bytes a second, if that is not 0.
    fn serve(&self, rate: u32) -> Server {
        let place = tempfile::tempdir().unwrap();
        let of = format!("root {};\nlimit_rate {rate};", self.path("www").display());
        Server { nginx: Nginx::start(place.path(), "", "", &of), _place: place }
    }

    /// Makes the set in `www`; the parts are at these servers.
    fn publish(&self, generation: &str, servers: &[String]) {
        let files = format!("{}//", self.path("www/first").display());
        let mut command = self.jigdo_file();
        command
            .args(["make-template", "--report=quiet", "--force", "-C", generation, "--image"])
            .arg(self.path("disc.iso"));
        command.arg("--jigdo").arg(self.path("www/disc.jigdo")).arg("--template").arg(self.path("www/disc.template"));
        command.arg("--label").arg(format!("Test={}", self.path("www/first").display()));
        run(command.arg(format!("--uri=Test={}", servers[0])).arg(files));
        let jigdo = fs::read_to_string(self.path("www/disc.jigdo")).unwrap();
        let more: String = servers[1..].iter().map(|server| format!("Test={server}\n")).collect();
        let first = format!("Test={}\n", servers[0]);
        assert!(jigdo.contains(&first), "{jigdo}");
        fs::write(self.path("www/disc.jigdo"), jigdo.replace(&first, &format!("{first}{more}"))).unwrap();
    }

    fn jigdo_file(&self) -> Command {
        Command::new(self.bin.path().join("jigdo-file"))
    }

    /// Debian's jigdo-lite, which finds ours where it looks for jigdo-file, and writes into `work`.
    fn jigdo_lite(&self, arguments: &[&str]) -> Command {
        // Few files at a time, so that there are many steps; no waiting for a server that is not there.
        fs::write(self.path("home/.jigdo-lite"), "filesPerFetch='2'\nwgetOpts='-nv --tries=1 --timeout=30'\n").unwrap();
        // It tries for ever where a part is nowhere.
        let mut command = Command::new("timeout");
        command
            .arg("300")
            .arg(self.bin.path().join("jigdo-lite"))
            .arg("--noask")
            .args(arguments)
            .current_dir(self.path("work"));
        command.env("HOME", self.path("home")).env("PATH", path_with(self.bin.path())).stdin(Stdio::null());
        for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy"] {
            command.env_remove(proxy);
        }
        command
    }

    /// Runs jigdo-lite, and gives all that was said.
    fn download(&self, arguments: &[&str]) -> String {
        let output = self.jigdo_lite(arguments).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    #[track_caller]
    fn expect_image(&self, said: &str) {
        let left = |name: &str| [".tmp", ".new", "-wal", "-shm", ".jigpress"].iter().any(|end| name.ends_with(end));
        for entry in fs::read_dir(self.path("work")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!left(&name), "{name}\n{said}");
        }
        let image = fs::read(self.path("work/disc.iso")).unwrap_or_else(|error| panic!("{error}\n{said}"));
        assert!(image == self.image, "{said}");
        // Whoever verified it at the end was ours.
        assert!(said.contains("jigdo-file: disc.iso is the template's image"), "{said}");
    }

    /// Empties the place of whoever downloads.
    fn forget(&self) {
        fs::remove_dir_all(self.path("work")).unwrap();
        fs::create_dir(self.path("work")).unwrap();
    }
}

/// A server, and where it keeps its files.
struct Server {
    nginx: Nginx,
    _place: tempfile::TempDir,
}

impl Server {
    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.nginx.port)
    }

    /// The status and the path of each request.
    fn requests(&self) -> Vec<String> {
        self.nginx.log().iter().map(|request| format!("{} {}", request[3], request[4])).collect()
    }
}

/// How many requests there were for parts that the server had.
fn fetched(requests: &[String]) -> usize {
    requests.iter().filter(|request| request.starts_with("200 ") && request.contains("/pool/")).count()
}

#[test]
fn jigdo_lite_downloads_an_image() {
    if !has_peers() {
        return;
    }
    let scene = Scene::new();
    for generation in GENERATIONS {
        let server = scene.serve(0);
        scene.publish(generation, &[server.url("first/")]);
        let said = scene.download(&[&server.url("disc.jigdo")]);
        scene.expect_image(&said);
        assert_eq!(fetched(&server.requests()), scene.parts.len(), "{said}");
        scene.forget();
    }
}

#[test]
fn jigdo_lite_downloads_an_image_whose_jigdo_file_is_compressed() {
    if !has_peers() {
        return;
    }
    let scene = Scene::new();
    for generation in GENERATIONS {
        let server = scene.serve(0);
        scene.publish(generation, &[server.url("first/")]);
        let jigdo = fs::read_to_string(scene.path("www/disc.jigdo")).unwrap();
        fs::write(scene.path("www/disc.jigdo"), gzip(&jigdo).unwrap()).unwrap();
        let said = scene.download(&[&server.url("disc.jigdo")]);
        scene.expect_image(&said);
        scene.forget();
    }
}

/// Ends a script and everything that it has started.
fn kill(mut child: Child) {
    // The shell's own kill: the program of that name is not everywhere.
    run(Command::new("sh").arg("-c").arg(format!("kill -s KILL -- -{}", child.id())));
    child.wait().unwrap();
}

#[test]
fn jigdo_lite_goes_on_with_a_download_that_was_interrupted() {
    if !has_peers() {
        return;
    }
    let scene = Scene::new();
    for generation in GENERATIONS {
        // Slow enough to be interrupted in the middle.
        let server = scene.serve(200_000);
        scene.publish(generation, &[server.url("first/")]);
        let mut command = scene.jigdo_lite(&[&server.url("disc.jigdo")]);
        let child = command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while !scene.path("work/disc.iso.tmp").exists() {
            assert!(!scene.path("work/disc.iso").exists(), "there was nothing to interrupt");
            std::thread::sleep(Duration::from_millis(5));
        }
        kill(child);
        let listed = run(scene.jigdo_file().arg("list-template").arg("-t").arg(scene.path("work/disc.iso.tmp"))).stdout;
        let there = String::from_utf8(listed).unwrap().lines().filter(|line| line.starts_with("have-file")).count();
        assert!(there > 0 && there < scene.parts.len(), "{there} parts are there");

        let before = fetched(&server.requests());
        let said = scene.download(&[&server.url("disc.jigdo")]);
        scene.expect_image(&said);
        assert_eq!(fetched(&server.requests()) - before, scene.parts.len() - there, "{said}");
        scene.forget();
    }
}

#[test]
fn jigdo_lite_takes_what_an_old_image_has_inside() {
    if !has_peers() {
        return;
    }
    let scene = Scene::new();
    // What an older image, mounted somewhere, would show: some of the parts, elsewhere and otherwise named, and others.
    for (number, (_, content)) in scene.parts.iter().enumerate().filter(|(number, _)| number % 4 != 1) {
        write(&scene.path(&format!("mnt/old/{number}.bin")), content);
    }
    write(&scene.path("mnt/README"), b"old");
    let mount = scene.path("mnt").display().to_string();
    let missing = scene.parts.len() / 4;
    for generation in GENERATIONS {
        let server = scene.serve(0);
        scene.publish(generation, &[server.url("first/")]);
        let said = scene.download(&["--scan", &mount, &server.url("disc.jigdo")]);
        scene.expect_image(&said);
        assert_eq!(fetched(&server.requests()), missing, "{said}");
        scene.forget();
    }
}

#[test]
fn jigdo_lite_takes_from_the_second_mirror_what_the_first_lacks() {
    if !has_peers() {
        return;
    }
    let scene = Scene::new();
    for generation in GENERATIONS {
        scene.fill("www/first", |_| true);
        let server = scene.serve(0);
        scene.publish(generation, &[server.url("first/"), server.url("second/")]);
        scene.fill("www/first", |number| number % 5 != 2);
        scene.fill("www/second", |number| number % 5 == 2);
        let said = scene.download(&[&server.url("disc.jigdo")]);
        scene.expect_image(&said);
        let requests = server.requests();
        assert!(requests.iter().any(|request| request.starts_with("404 /first/")), "{requests:?}");
        assert!(requests.iter().any(|request| request.starts_with("200 /second/")), "{requests:?}");
        scene.forget();
    }
}

/// jigdo-mirror over the sets in `sets`, with Debian's mirror at `mirror`.
fn jigdo_mirror(place: &Path, bin: &Path, more: &str) -> String {
    let at = |name: &str| place.join(name).display().to_string();
    let settings = format!(
        "jigdoDir='{}'\nimageDir='{}'\ntmpDir='{}'\ndebianMirror='file:{}'\nnonusMirror='file:{}'\n{more}",
        at("sets"),
        at("images"),
        at("tmp"),
        at("mirror"),
        at("none")
    );
    // The settings that the script itself has name its temporary directory, which is another one here.
    let program = format!(
        "jigdoFile=\"jigdo-file --cache={}/jigdo-cache.db --cache-expiry=1w --report=noprogress --no-check-files\"\n",
        at("tmp")
    );
    fs::write(place.join("settings"), format!("{settings}{program}")).unwrap();
    let mut command = Command::new("jigdo-mirror");
    command.arg(place.join("settings")).env("HOME", place).env("PATH", path_with(bin)).stdin(Stdio::null());
    let output = command.current_dir(place).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn jigdo_mirror_makes_the_images_of_a_tree_of_sets() {
    if !installed(&["jigdo-mirror", "jigdo-file", "wget"]) {
        return;
    }
    let (place, bin) = (tempfile::tempdir().unwrap(), bin());
    let at = |name: &str| place.path().join(name);
    let parts: Vec<_> = (0..10).map(|number| noise(number, 5000 + 999 * number as usize)).collect();
    for (number, part) in parts.iter().enumerate() {
        write(&at(&format!("mirror/pool/{number}.deb")), part);
    }
    fs::create_dir_all(at("tmp")).unwrap();
    let mut images = Vec::new();
    for (number, (directory, generation)) in
        [("amd64", "md5"), ("amd64", "sha256"), ("arm64/dvd", "md5"), ("arm64/dvd", "sha256")].into_iter().enumerate()
    {
        let image = [&text(number as u64, 9000)[..], &parts[number..number + 6].concat(), b"end"].concat();
        let name = format!("{directory}/disc-{number}.iso");
        write(&at(&format!("made/{name}")), &image);
        fs::create_dir_all(at("sets").join(directory)).unwrap();
        let mut command = Command::new(bin.path().join("jigdo-file"));
        command.args(["make-template", "--report=quiet", "-C", generation, "-i"]).arg(at(&format!("made/{name}")));
        for (option, extension) in [("-j", "jigdo"), ("-t", "template")] {
            command.arg(option).arg(at(&format!("sets/{directory}/disc-{number}.{extension}")));
        }
        command
            .arg(format!("--label=Debian={}", at("mirror").display()))
            .arg("--uri=Debian=http://127.0.0.1:9/debian/");
        run(command.arg(format!("{}//", at("mirror").display())));
        images.push((name, image));
    }
    // One of them compressed, as Debian has them.
    let jigdo = fs::read_to_string(at("sets/amd64/disc-1.jigdo")).unwrap();
    fs::write(at("sets/amd64/disc-1.jigdo"), gzip(&jigdo).unwrap()).unwrap();

    let said = jigdo_mirror(place.path(), bin.path(), "exclude='disc-2'\n");
    let is_made = |name: &str| at("images").join(name).exists();
    for (name, image) in &images {
        if name.contains("disc-2") {
            assert!(!is_made(name), "{said}");
        } else {
            assert!(fs::read(at("images").join(name)).is_ok_and(|made| made == *image), "{name}\n{said}");
        }
    }
    // Whoever worked was ours: jigdo-file would have made another cache.
    assert!(fs::read(at("tmp/jigdo-cache.db")).unwrap().starts_with(b"SQLite"));

    // Only what is newer than its image, or has none, is made again.
    let stamp = |name: &str| fs::metadata(at("images").join(name)).unwrap().modified().unwrap();
    let before = stamp(&images[0].0);
    let later = SystemTime::now() + Duration::from_secs(3600);
    File::options().write(true).open(at("sets/arm64/dvd/disc-3.jigdo")).unwrap().set_modified(later).unwrap();
    let old = stamp(&images[3].0);
    let said = jigdo_mirror(place.path(), bin.path(), "");
    for (name, image) in &images {
        assert!(fs::read(at("images").join(name)).is_ok_and(|made| made == *image), "{name}\n{said}");
    }
    assert_eq!(stamp(&images[0].0), before, "{said}");
    assert_ne!(stamp(&images[3].0), old, "{said}");
}

#[test]
fn jigdo_mirror_tells_which_parts_its_mirror_lacks() {
    if !installed(&["jigdo-mirror", "jigdo-file", "wget"]) {
        return;
    }
    let (place, bin) = (tempfile::tempdir().unwrap(), bin());
    let at = |name: &str| place.path().join(name);
    let parts = [noise(1, 5000), noise(2, 6000)];
    for (number, part) in parts.iter().enumerate() {
        write(&at(&format!("mirror/pool/{number}.deb")), part);
    }
    write(&at("disc.iso"), &parts.concat());
    for directory in ["tmp", "sets"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    let mut command = Command::new(bin.path().join("jigdo-file"));
    command.args(["make-template", "--report=quiet", "-i"]).arg(at("disc.iso")).arg("-j").arg(at("sets/disc.jigdo"));
    command.arg("-t").arg(at("sets/disc.template")).arg(format!("--label=Debian={}", at("mirror").display()));
    run(command.arg(format!("{}//", at("mirror").display())));
    fs::remove_file(at("mirror/pool/1.deb")).unwrap();
    let said = jigdo_mirror(place.path(), bin.path(), "maxMissing=0\n");
    assert!(!at("images/disc.iso").exists(), "{said}");
    assert!(said.contains("pool/1.deb") && !said.contains("pool/0.deb"), "{said}");
}
