//! `[Include]` from outside: every command that reads sets follows includes on this machine and on the web, and says the
//! same of a file that includes itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use testing::noise;

use crate::common::nginx::free_port;
use crate::common::release::{Place, Ran};

/// A web server of a few files that never change. Its thread ends with the process.
struct Server {
    address: SocketAddr,
    /// What was asked for.
    log: Arc<Mutex<Vec<String>>>,
}

/// The files of a server: what to answer after `HTTP/1.1 ` for each path.
type Answers = BTreeMap<String, String>;

impl Server {
    /// `PORT` in an answer stands for the server's port.
    fn start(answers: &[(&str, String)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let port = address.port().to_string();
        let answers: Answers =
            answers.iter().map(|(path, answer)| ((*path).to_owned(), answer.replace("PORT", &port))).collect();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let server = Self { address, log: Arc::clone(&log) };
        std::thread::spawn(move || {
            listener.incoming().flatten().for_each(|stream| drop(answer(stream, &answers, &log)));
        });
        server
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, answers: &Answers, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let missing = "404 Not Found\r\n\r\n".to_owned();
    let (head, body) = answers.get(&path).unwrap_or(&missing).split_once("\r\n\r\n").unwrap();
    log.lock().unwrap().push(path);
    write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn ok(text: &str) -> String {
    format!("200 OK\r\n\r\n{text}")
}

fn moved(to: &str) -> String {
    format!("302 Found\r\nLocation: {to}\r\n\r\n")
}

fn part(number: u64) -> Vec<u8> {
    noise(number, 20_000 + 5001 * number as usize)
}

const PARTS: u64 = 4;

fn image() -> Vec<u8> {
    (0..PARTS).flat_map(|number| [noise(50 + number, 3000), part(number)].concat()).collect()
}

/// A mirror, and the set `sets/one.jigdo` of an image with all its parts; its text without the parts, and its parts.
struct Scene {
    place: Place,
    head: String,
    parts: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        let place = Place::new();
        (0..PARTS).for_each(|number| drop(place.write(&format!("mirror/pool/{number}.deb"), &part(number))));
        place.write("images/one.iso", &image());
        let manifest = "release: r\nmirrors: {Debian: {path: mirror, servers: ['file:unset/']}}\ndefaults: {sums: []}\n\
                        images: [{path: images/*.iso, output: sets, name: '{stem}'}]\n";
        place.write("release.yaml", manifest.as_bytes());
        place.publish(&["--quiet"]).with(0);
        let text = fs::read_to_string(place.path("sets/one.jigdo")).unwrap();
        let (head, parts) = text.split_once("[Parts]\n").unwrap();
        let parts: Vec<_> =
            parts.lines().filter(|line| line.contains("=Debian:")).map(|it| format!("{it}\n")).collect();
        assert_eq!(parts.len(), PARTS as usize, "{text}");
        Self { head: head.to_owned(), place, parts }
    }

    /// Has the set name its first part alone, and include `url`.
    fn include(&self, url: &str) {
        let Self { head, parts, .. } = self;
        let text = format!("{head}[Parts]\n{}\n[Servers]\nDebian=file:../mirror/\n\n[Include {url}]\n", parts[0]);
        self.place.write("sets/one.jigdo", text.as_bytes());
    }

    /// A jigdo file that has the parts with these numbers, and then `rest`.
    fn parts(&self, numbers: std::ops::Range<usize>, rest: &str) -> String {
        format!("[Parts]\n{}\n{rest}\n", self.parts[numbers].concat())
    }

    /// A file on the web with parts, that includes another one beside it with the rest of them.
    fn chain(&self) -> Server {
        Server::start(&[
            ("/jigdo/first.jigdo", ok(&self.parts(1..2, "[Include sub/second.jigdo]"))),
            ("/jigdo/sub/second.jigdo", ok(&self.parts(2..3, "[Include ../../third.jigdo]"))),
            // Relative URLs are relative to where a file was found.
            ("/third.jigdo", moved("/away/third.jigdo")),
            ("/away/third.jigdo", ok("[Include fourth.jigdo]\n")),
            ("/away/fourth.jigdo", ok(&self.parts(3..4, ""))),
        ])
    }

    fn run(&self, command: &[&str], more: &[&str]) -> Ran {
        self.place.run(&[command, more].concat())
    }

    fn image_is_there(&self) -> bool {
        let is_there = fs::read(self.place.path("out/one.iso")).is_ok_and(|bytes| bytes == image());
        let _ = fs::remove_dir_all(self.place.path("out"));
        is_there
    }

    fn snapshot_has(&self) -> usize {
        fs::read_dir(self.place.path("snap/pool")).map_or(0, Iterator::count)
    }
}

const ASSEMBLE: &[&str] = &["assemble", "--into", "out", "sets/one.jigdo", "--missing", "missing"];
const ASSEMBLE_ALL: &[&str] = &["assemble", "--into", "out", "--all", "sets"];
const VERIFY: &[&str] = &["verify", "sets/one.jigdo", "--mirror", "Debian=mirror"];
const VERIFY_IMAGE: &[&str] = &["verify", "images/one.iso", "sets/one.jigdo"];
const SNAPSHOT: &[&str] = &["snapshot", "--from", "sets/one.jigdo", "--mirror", "Debian=mirror", "--into", "snap"];
const CHECK: &[&str] = &["servers", "check", "sets/one.jigdo", "--retries", "0"];

/// Every command that reads a set with what it includes, and that can tell whether it is whole.
const WHOLE: [&[&str]; 5] = [ASSEMBLE, ASSEMBLE_ALL, VERIFY, SNAPSHOT, CHECK];

/// Checks that every command finds all parts.
#[track_caller]
fn all_find_all(scene: &Scene) {
    for command in WHOLE {
        scene.run(command, &[]).with(0);
        assert!(command[0] != "assemble" || scene.image_is_there());
    }
    assert_eq!(scene.snapshot_has(), PARTS as usize);
    scene.run(VERIFY_IMAGE, &[]).with(0);
}

#[test]
fn included_files_of_this_machine_are_read_by_every_command() {
    let scene = Scene::new();
    for include in ["../more/first.jigdo", "file:../more/first.jigdo"] {
        scene.include(include);
        // Both ways to the third file are fine: it is included once.
        scene.place.write("more/first.jigdo", scene.parts(1..2, "[Include second.jigdo]\n[Include third]").as_bytes());
        scene.place.write("more/second.jigdo", scene.parts(2..3, "[Include third]").as_bytes());
        scene.place.write("more/third", &jigdo::jigdo_file::gzip(&scene.parts(3..4, "")).unwrap());
        all_find_all(&scene);
    }
}

#[test]
fn included_files_from_the_web_are_fetched_by_every_command() {
    let scene = Scene::new();
    let server = scene.chain();
    scene.include(&server.url("jigdo/first.jigdo"));
    all_find_all(&scene);
    let before = server.log().len();
    scene.run(VERIFY, &[]).with(0);
    let asked = server.log().split_off(before);
    let chain =
        ["/jigdo/first.jigdo", "/jigdo/sub/second.jigdo", "/third.jigdo", "/away/third.jigdo", "/away/fourth.jigdo"];
    assert_eq!(asked, chain);
}

#[test]
fn a_file_that_many_sets_include_is_fetched_once() {
    let scene = Scene::new();
    let server = scene.chain();
    scene.include(&server.url("jigdo/first.jigdo"));
    for name in ["a", "b", "c"] {
        fs::create_dir(scene.place.path("sets").join(name)).unwrap();
        for file in ["one.jigdo", "one.template"] {
            fs::copy(scene.place.path("sets").join(file), scene.place.path("sets").join(name).join(file)).unwrap();
        }
    }
    let ran = scene.run(ASSEMBLE_ALL, &["--mirror", "Debian=mirror"]).with(0);
    assert!(ran.out.contains("4 assembled"), "{}", ran.out);
    assert_eq!(server.log().len(), 5, "{:?}", server.log());
}

#[test]
fn offline_nothing_is_fetched_and_what_is_missing_is_reported() {
    let scene = Scene::new();
    let server = scene.chain();
    let url = server.url("jigdo/first.jigdo");
    scene.include(&url);
    for command in [ASSEMBLE, ASSEMBLE_ALL, VERIFY, SNAPSHOT] {
        let ran = scene.run(command, &["--offline"]).with(1);
        let said = ran.out + &ran.err;
        assert!(said.contains(&format!("sets/one.jigdo: [Include {url}]: it is on the web")), "{command:?}: {said}");
    }
    let ran = scene.run(VERIFY_IMAGE, &["--offline"]).with(0);
    assert!(ran.err.contains(&format!("[Include {url}]: it is on the web")), "{}", ran.err);
    assert_eq!(server.log(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_included_is_reported_by_every_command() {
    let scene = Scene::new();
    let server = Server::start(&[
        ("/broken.jigdo", ok("[Parts\n")),
        ("/missing.jigdo", ok("[Include gone.jigdo]\n")),
        ("/loop.jigdo", moved("/loop.jigdo")),
    ]);
    let missing = format!("http://127.0.0.1:{}/x.jigdo", free_port());
    let cases = [
        ("gone.jigdo".to_owned(), "gone.jigdo: No such file"),
        ("/dev/zero".to_owned(), "not a regular file"),
        ("ftp://127.0.0.1/x.jigdo".to_owned(), "only http:, https:, file: and paths can be read"),
        ("file://other/x.jigdo".to_owned(), "is on the host \"other\""),
        (server.url("gone.jigdo"), "404 Not Found"),
        (server.url("broken.jigdo"), "line 1: "),
        (server.url("missing.jigdo"), "/missing.jigdo: "),
        (server.url("loop.jigdo"), "redirect"),
        (missing, "refused"),
    ];
    for (number, (url, reason)) in cases.iter().enumerate() {
        scene.include(url);
        // The rest take their time to try again.
        let commands = if number < 4 { &WHOLE[..] } else { &[CHECK] };
        for command in commands {
            let ran = scene.run(command, &[]).with(1);
            let said = ran.out + &ran.err;
            assert!(said.contains("sets/one.jigdo: [Include ") && said.contains(reason), "{command:?} {url}: {said}");
        }
    }
}

#[test]
fn a_file_that_includes_itself_is_refused_by_every_command() {
    let scene = Scene::new();
    let server = Server::start(&[
        ("/self.jigdo", ok("[Include self.jigdo]\n")),
        ("/a.jigdo", ok("[Include b.jigdo]\n")),
        ("/b.jigdo", ok("[Include http://127.0.0.1:PORT/a.jigdo#again]\n")),
    ]);
    scene.place.write("more/loop.jigdo", b"[Include ../sets/../sets/one.jigdo]\n");
    scene.place.write("more/self.jigdo", b"[Include self.jigdo]\n");
    // The way into the second loop is not the one that is found first.
    scene.place.write("more/both.jigdo", b"[Include x.jigdo]\n[Include y.jigdo]\n");
    scene.place.write("more/x.jigdo", b"[Include y.jigdo]\n");
    scene.place.write("more/y.jigdo", b"[Include x.jigdo]\n");
    let (itself, chain) = (server.url("self.jigdo"), server.url("a.jigdo"));
    for (include, ends) in [
        ("one.jigdo", "sets/one.jigdo"),
        ("../more/loop.jigdo", "sets/one.jigdo"),
        ("../more/self.jigdo", "more/self.jigdo"),
        ("../more/both.jigdo", "more/x.jigdo"),
        (&itself, "/self.jigdo"),
        (&chain, "/a.jigdo"),
    ] {
        scene.include(include);
        for command in WHOLE {
            let ran = scene.run(command, &[]);
            assert_eq!(ran.code, Some(if command == SNAPSHOT { 2 } else { 1 }), "{command:?}: {}{}", ran.out, ran.err);
            let said = ran.out + &ran.err;
            let chain = said.split_once("sets/one.jigdo: a jigdo file includes itself: ");
            let (chain, _) =
                chain.unwrap_or_else(|| panic!("{command:?}: {said}")).1.split_once("; remove one").unwrap();
            let chain: Vec<&str> = chain.split(" -> ").collect();
            assert!(chain.len() > 1 && chain[0] == *chain.last().unwrap() && chain[0].ends_with(ends), "{chain:?}");
        }
        let ran = scene.run(VERIFY_IMAGE, &[]).with(3);
        assert!(ran.err.contains("includes itself"), "{}", ran.err);
    }
}

#[test]
fn includes_without_end_are_refused() {
    let scene = Scene::new();
    scene.include("chain/0");
    (0..40).for_each(|number| {
        drop(scene.place.write(&format!("sets/chain/{number}"), format!("[Include {}]\n", number + 1).as_bytes()));
    });
    let ran = scene.run(VERIFY, &[]).with(1);
    assert!(ran.out.contains("more than 16 deep"), "{}", ran.out);
    let many: String = (0..101).map(|number| format!("[Include {number}]\n")).collect();
    (0..101).for_each(|number| drop(scene.place.write(&format!("sets/many/{number}"), b"[Servers]\n")));
    scene.place.write("sets/many/all", many.as_bytes());
    scene.include("many/all");
    let ran = scene.run(VERIFY, &[]).with(1);
    assert!(ran.out.contains("more than 100 jigdo files are included"), "{}", ran.out);
}

#[test]
fn a_file_from_the_web_never_leads_to_files_of_this_machine() {
    let scene = Scene::new();
    let mirror = scene.place.path("mirror").display().to_string();
    let parts = scene.parts(1..4, "").replace("=Debian:", "=Other:");
    for server in [format!("file:{mirror}/"), format!("file://localhost{mirror}/"), format!("{mirror}/")] {
        let web = Server::start(&[
            ("/servers.jigdo", ok(&format!("{parts}[Servers]\nOther={server}\n"))),
            ("/local.jigdo", ok(&format!("[Include file:{mirror}/parts.jigdo]\n[Include {mirror}/parts.jigdo]\n"))),
        ]);
        scene.place.write("mirror/parts.jigdo", scene.parts(1..4, "").as_bytes());
        scene.include(&web.url("servers.jigdo"));
        for command in [ASSEMBLE, ASSEMBLE_ALL] {
            let ran = scene.run(command, &[]).with(1);
            assert!(!server.starts_with("file:") || ran.err.contains("[Servers] Other file:"), "{}", ran.err);
        }
        scene.run(CHECK, &[]).with(1);
        scene.include(&web.url("local.jigdo"));
        for command in WHOLE {
            let ran = scene.run(command, &[]).with(1);
            let said = ran.out + &ran.err;
            assert!(said.contains("which a jigdo file from the web may not name"), "{command:?}: {said}");
        }
        assert!(
            web.log().contains(&format!("{mirror}/parts.jigdo")),
            "absolute paths are the server's: {:?}",
            web.log()
        );
    }
}

#[test]
fn relative_servers_of_a_file_from_the_web_are_on_the_web() {
    let scene = Scene::new();
    let text = scene.parts(1..4, "[Servers]\nOther=../mirror/\n").replace("=Debian:", "=Other:");
    let web = Server::start(&[("/jigdo/servers.jigdo", ok(&text))]);
    scene.include(&web.url("jigdo/servers.jigdo"));
    scene.run(ASSEMBLE, &[]).with(1);
    let missing = fs::read_to_string(scene.place.path("missing")).unwrap();
    assert_eq!(missing.lines().next().unwrap(), web.url("mirror/pool/1.deb"));
    scene.run(CHECK, &[]).with(1);
    assert!(web.log().contains(&"/mirror/pool/1.deb".to_owned()), "{:?}", web.log());
}

#[test]
fn pruning_keeps_what_an_included_file_names() {
    let scene = Scene::new();
    let server = scene.chain();
    scene.place.write("more/rest.jigdo", scene.parts(1..4, "").as_bytes());
    for url in ["../more/rest.jigdo".to_owned(), server.url("jigdo/first.jigdo")] {
        scene.include(&url);
        scene.place.write("snap/pool/old.deb", b"old");
        let ran = scene.run(SNAPSHOT, &["--prune", "--max-prune", "50", "--adopt"]).with(0);
        assert!(ran.out.contains("1 removed"), "{}", ran.out);
        assert_eq!(scene.snapshot_has(), PARTS as usize);
    }
    // Nothing is removed while a file that may name it cannot be read.
    for url in ["../more/gone.jigdo".to_owned(), server.url("gone.jigdo")] {
        scene.include(&url);
        let ran = scene.run(SNAPSHOT, &["--prune", "--max-prune", "100"]).with(1);
        assert!(ran.err.contains("nothing was removed") && ran.err.contains("gone.jigdo"), "{}", ran.err);
        assert_eq!(scene.snapshot_has(), PARTS as usize);
    }
    let ran = scene.run(SNAPSHOT, &["--prune", "--max-prune", "100", "--offline"]).with(1);
    assert!(ran.err.contains("nothing was removed"), "{}", ran.err);
    assert_eq!(scene.snapshot_has(), PARTS as usize);
}
