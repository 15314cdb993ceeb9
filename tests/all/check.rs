//! `jigpress servers check` from outside, against nginx on loopback and trees on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::common::installed;
use crate::common::nginx::{Nginx, free_port};
use crate::common::release::{Place, Ran};
use jigdo::jigdo_file::gzip;
use serde_json::Value;
use testing::noise;

const PARTS: u64 = 6;

fn part(number: u64) -> Vec<u8> {
    noise(number, 3000 + 100 * number as usize)
}

fn path(number: u64) -> String {
    format!("pool/{number}/part {number}.deb")
}

/// A mirror of six parts, `sets/one.jigdo` that needs the first four of them, and `sets/two.jigdo` that needs the last
/// three.
fn place() -> Place {
    let place = Place::new();
    for number in 1..=PARTS {
        place.write(&format!("mirror/{}", path(number)), &part(number));
    }
    let image = |numbers: &[u64]| numbers.iter().map(|&number| part(number)).collect::<Vec<_>>().concat();
    place.write("img/one.iso", &[noise(91, 100), image(&[1, 2, 3, 4])].concat());
    place.write("img/two.iso", &[noise(92, 100), image(&[4, 5, 6])].concat());
    let manifest = "release: r\nmirrors: {Debian: {path: mirror, servers: ['file:unset/']}}\n\
                    images: [{path: 'img/*.iso', output: sets}]\n";
    place.write("release.yaml", manifest.as_bytes());
    place.publish(&[]).with(0);
    place
}

/// Fails the test, or leaves it out, without nginx.
fn has_nginx() -> bool {
    installed(&["nginx"])
}

/// nginx with the mirror at `/mirror/`, one with holes at `/holes/`, one with wrong lengths at `/short/`, one with wrong
/// bytes at `/wrong/`, and what the test adds.
fn start(place: &Place, http: &str, server: &str) -> Nginx {
    for (tree, number) in [("holes", 2), ("short", 3), ("wrong", 4)] {
        for other in 1..=PARTS {
            place.write(&format!("{tree}/{}", path(other)), &part(other));
        }
        let file = place.path(&format!("{tree}/{}", path(number)));
        match tree {
            "holes" => fs::remove_file(file).unwrap(),
            "short" => fs::write(file, &part(number)[1..]).unwrap(),
            _ => fs::write(file, noise(77, part(number).len())).unwrap(),
        }
    }
    let root = place.path("");
    Nginx::start(&place.path("nginx"), "", http, &format!("root {};\n{server}", root.display()))
}

fn check(place: &Place, servers: &[&str], arguments: &[&str]) -> Ran {
    let servers: Vec<_> = servers.iter().flat_map(|server| ["--server", server]).collect();
    let usual = [["--retries", "1"], ["--timeout", "5"]];
    let patience: Vec<_> = usual.iter().filter(|[option, _]| !arguments.contains(option)).flatten().copied().collect();
    place.run(&[&["servers", "check", "sets", "--format", "json"], &patience[..], &servers, arguments].concat())
}

fn server(port: u16, path: &str) -> String {
    format!("Debian=http://127.0.0.1:{port}/{path}/")
}

/// What is said of a server: parts, found, missing, wrong length, wrong sum, failed.
#[track_caller]
fn counts(report: &Value, number: usize) -> [u64; 6] {
    let server = &report["servers"][number];
    ["parts", "found", "missing", "wrong_length", "wrong_sum", "failed"].map(|key| server[key].as_u64().unwrap())
}

/// Why parts could not be looked for at a server.
fn failures(report: &Value, number: usize) -> String {
    report["servers"][number]["failures"].to_string()
}

/// The locations of the parts that no server has, each with the sets that need it.
fn unserved(report: &Value) -> BTreeMap<String, Vec<String>> {
    let parts = report["incomplete"].as_array().unwrap().iter().filter(|part| part["has_server"] == false);
    let texts = |sets: &Value| sets.as_array().unwrap().iter().map(|set| set.as_str().unwrap().to_owned()).collect();
    parts.map(|part| (part["location"].as_str().unwrap().to_owned(), texts(&part["sets"]))).collect()
}

#[test]
fn a_complete_mirror_is_found_complete_over_few_connections() {
    if !has_nginx() {
        return;
    }
    let place = place();
    let nginx = start(&place, "", "");
    let ran = check(&place, &[&server(nginx.port, "mirror")], &["--connections", "2"]).with(0);
    let report = ran.json();
    // What both sets need is asked for once.
    assert_eq!(counts(&report, 0), [6, 6, 0, 0, 0, 0]);
    assert_eq!((&report["parts"], &report["without_server"]), (&6.into(), &0.into()));
    assert!(report["servers"][0]["median_latency"].as_f64().unwrap() > 0.0);
    let log = nginx.log();
    assert!(log.len() == 6 && log.iter().all(|line| line[2] == "HEAD" && line[3] == "200"), "{log:?}");
    let connections: BTreeSet<_> = log.iter().map(|line| &line[0]).collect();
    assert!(connections.len() <= 2, "{log:?}");
}

#[test]
fn holes_wrong_lengths_and_wrong_bytes_are_distinguished() {
    if !has_nginx() {
        return;
    }
    let place = place();
    let nginx = start(&place, "", "");
    let servers = ["holes", "short", "wrong"].map(|tree| server(nginx.port, tree));
    let servers: Vec<_> = servers.iter().map(String::as_str).collect();
    let report = check(&place, &servers, &[]).with(0).json();
    assert_eq!(counts(&report, 0), [6, 5, 1, 0, 0, 0]);
    assert_eq!(counts(&report, 1), [6, 5, 0, 1, 0, 0]);
    assert_eq!(counts(&report, 2), [6, 6, 0, 0, 0, 0]);
    let report = check(&place, &servers, &["--deep"]).with(0).json();
    assert_eq!(counts(&report, 1), [6, 5, 0, 1, 0, 0]);
    assert_eq!(counts(&report, 2), [6, 5, 0, 0, 1, 0]);
    // Each lacks another part, so that together they have all. Two of them do not.
    let report = check(&place, &servers[..1], &[]).with(1).json();
    let sets = |names: &[&str]| names.iter().map(|name| format!("sets/{name}.jigdo")).collect::<Vec<_>>();
    assert_eq!(unserved(&report), [(format!("Debian:{}", path(2)), sets(&["one"]))].into());
    let report = check(&place, &servers[2..], &["--deep"]).with(1).json();
    assert_eq!(unserved(&report), [(format!("Debian:{}", path(4)), sets(&["one", "two"]))].into());
}

#[test]
fn trees_are_looked_at_like_servers() {
    let place = place();
    for other in 1..=PARTS {
        place.write(&format!("holes/{}", path(other)), &part(other));
    }
    fs::remove_file(place.path(&format!("holes/{}", path(2)))).unwrap();
    fs::write(place.path(&format!("holes/{}", path(5))), b"short").unwrap();
    fs::write(place.path(&format!("holes/{}", path(6))), noise(9, part(6).len())).unwrap();
    let absolute = format!("Debian=file://{}/", place.path("mirror").display());
    let servers = [absolute.as_str(), "Debian=../holes/"];
    let report = check(&place, &servers, &[]).with(0).json();
    assert_eq!(counts(&report, 0), [6, 6, 0, 0, 0, 0]);
    assert_eq!(counts(&report, 1), [6, 4, 1, 1, 0, 0]);
    let report = check(&place, &servers, &["--deep"]).with(0).json();
    assert_eq!(counts(&report, 1), [6, 3, 1, 1, 1, 0]);
    let human = place.run(&["servers", "check", "sets", "--server", "Debian=../holes/"]).with(1).out;
    assert!(human.contains("Debian:pool/2/part 2.deb has no working server; needed by sets/one.jigdo\n"), "{human}");
    assert!(human.contains("2 sets, 6 parts, 2 without a working server\n"), "{human}");
    // The servers that the sets have lead nowhere.
    let report = place.run(&["servers", "check", "sets", "--format", "json"]).with(1).json();
    assert_eq!(report["without_server"], 6);
}

#[test]
fn a_server_that_has_no_part_is_an_error_even_if_another_has_all() {
    let place = place();
    let arguments =
        |server: &'static str| ["servers", "check", "sets", "--server", "Debian=../mirror/", "--server", server];
    for more in [&[][..], &["--quiet"]] {
        let ran = place.run(&[&arguments("Debian=../nowhere/ --try-last")[..], more].concat()).with(1);
        let said = format!("{}{}", ran.out, ran.err);
        assert!(said.contains("Debian=../nowhere/: it has none of the 6 parts that it was asked for"), "{said}");
        let ran = place.run(&[&arguments("Debian=../nowhere/")[..], more, &["--any"]].concat()).with(0);
        assert!(!ran.out.contains("none of the") && !ran.err.contains("none of the"), "{}", ran.err);
    }
    // One that has some is not dead.
    place.write(&format!("few/{}", path(1)), &part(1));
    place.run(&arguments("Debian=../few/")).with(0);
    // Without another, --any helps nothing.
    place.run(&["servers", "check", "sets", "--server", "Debian=../nowhere/", "--any"]).with(1);
}

#[test]
fn a_sample_is_the_same_at_every_server_and_every_time() {
    let place = place();
    let servers = ["Debian=../mirror/", "Debian=../nowhere/"];
    // One of them has no part.
    check(&place, &servers, &["--sample", "2"]).with(1);
    let report = check(&place, &servers, &["--sample", "2", "--any"]).with(0).json();
    let parts = report["parts"].as_u64().unwrap();
    assert!((2..=4).contains(&parts), "{parts}");
    assert_eq!(counts(&report, 0), [parts, parts, 0, 0, 0, 0]);
    assert_eq!(counts(&report, 1), [parts, 0, parts, 0, 0, 0]);
    let again = check(&place, &servers, &["--sample", "2", "--any"]).with(0).json();
    assert_eq!(report["incomplete"], again["incomplete"]);
}

#[test]
fn a_server_that_stalls_is_given_up_and_the_others_are_checked() {
    if !has_nginx() {
        return;
    }
    let place = place();
    // Connections are taken, and never answered.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let stall = format!(
        "location /stall/ {{ proxy_pass http://{address}; }}\nlocation /slow/ {{ alias {}/; limit_rate 1; }}",
        place.path("mirror").display()
    );
    let nginx = start(&place, "", &stall);
    let servers = [server(nginx.port, "stall"), server(nginx.port, "mirror")];
    let servers: Vec<_> = servers.iter().map(String::as_str).collect();
    check(&place, &servers, &["--timeout", "0.3"]).with(1);
    let report = check(&place, &servers, &["--timeout", "0.3", "--any"]).with(0).json();
    assert_eq!(counts(&report, 0), [6, 0, 0, 0, 0, 6]);
    assert!(failures(&report, 0).contains("no answer within 0.3 s"), "{report}");
    assert_eq!(counts(&report, 1)[1] + counts(&report, 1)[5], 6);
    let report =
        check(&place, &[&server(nginx.port, "slow")], &["--deep", "--timeout", "0.3", "--retries", "0"]).with(1).json();
    assert_eq!(counts(&report, 0), [6, 0, 0, 0, 0, 6]);
    assert!(failures(&report, 0).contains("no answer within 0.3 s"), "{report}");
    // Nobody listens there.
    let report = check(&place, &[&server(free_port(), "mirror")], &[]).with(1).json();
    assert_eq!(counts(&report, 0), [6, 0, 0, 0, 0, 6]);
    assert!(failures(&report, 0).contains("refused"), "{report}");
    assert_eq!(unserved(&report).len(), 6);
}

/// A server that answers every request with 4000 bytes, `piece` of them every twentieth of a second. Returns its port.
fn drip(piece: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = move |mut stream: TcpStream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\nConnection: close\r\n\r\n");
        // The client hangs up on one that is too slow.
        for piece in [b'x'; 4000].chunks(piece) {
            if stream.write_all(piece).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    port
}

/// A set of one part of 4000 bytes, of a label whose server drips.
fn dripped(piece: usize) -> (Place, String) {
    let place = Place::new();
    place.write("mirror/part", &[b'x'; 4000]);
    place.write("img/one.iso", &[noise(91, 100), vec![b'x'; 4000]].concat());
    let manifest = "release: r\nmirrors: {Debian: {path: mirror, servers: ['file:unset/']}}\n\
                    images: [{path: 'img/*.iso', output: sets}]\n";
    place.write("release.yaml", manifest.as_bytes());
    place.publish(&[]).with(0);
    (place, format!("Debian=http://127.0.0.1:{}/", drip(piece)))
}

#[test]
fn a_trickle_is_too_slow() {
    let (place, server) = dripped(1);
    let trickle = ["--deep", "--timeout", "0.5", "--retries", "1"];
    let report = check(&place, &[&server], &trickle).with(1).json();
    assert_eq!(counts(&report, 0), [1, 0, 0, 0, 0, 1]);
    assert!(failures(&report, 0).contains("too slow: "), "{report}");
}

#[test]
fn a_slow_line_may_take_longer_than_the_timeout() {
    let (place, server) = dripped(200);
    let report = check(&place, &[&server], &["--deep", "--timeout", "0.5", "--retries", "0"]).with(0).json();
    assert_eq!(counts(&report, 0), [1, 1, 0, 0, 0, 0]);
}

#[test]
fn an_included_file_that_trickles_is_given_up() {
    let (place, server) = dripped(1);
    let url = server.trim_start_matches("Debian=").to_owned() + "servers.jigdo";
    let set = fs::read_to_string(place.path("sets/one.jigdo")).unwrap() + &format!("\n[Include {url}]\n");
    place.write("sets/one.jigdo", set.as_bytes());
    let said = check(&place, &[], &["--timeout", "0.5", "--retries", "0"]).with(1);
    assert!(said.err.contains("too slow: ") || said.out.contains("too slow: "), "{}{}", said.out, said.err);
}

#[test]
fn redirections_are_followed_as_far_as_they_lead() {
    if !has_nginx() {
        return;
    }
    let place = place();
    let rules = "location /moved/ { rewrite ^/moved/(.*)$ /mirror/$1 redirect; }\n\
                 location /loop/ { rewrite ^/loop/(.*)$ /loop/x/$1 redirect; }\n\
                 location /away/ { return 302 ftp://127.0.0.1/x; }";
    let nginx = start(&place, "", rules);
    for deep in [&[][..], &["--deep"]] {
        let report = check(&place, &[&server(nginx.port, "moved")], deep).with(0).json();
        assert_eq!(counts(&report, 0), [6, 6, 0, 0, 0, 0]);
    }
    for lost in ["loop", "away"] {
        let report = check(&place, &[&server(nginx.port, lost)], &["--retries", "0"]).with(1).json();
        assert_eq!(counts(&report, 0), [6, 0, 0, 0, 0, 6], "{report}");
    }
}

#[test]
fn a_server_that_asks_for_patience_gets_it() {
    if !has_nginx() {
        return;
    }
    let place = place();
    let zone = "limit_req_zone $server_addr zone=few:1m rate=5r/s;\nlimit_req_status 429;\nerror_page 429 = @later;";
    let rules = "location /mirror/ { limit_req zone=few; }\n\
                 location @later { add_header Retry-After 1 always; return 429; }\n\
                 location /never/ { add_header Retry-After 3600 always; return 503; }\n\
                 location /broken/ { return 500; }\nlocation /closed/ { return 403; }";
    let nginx = start(&place, zone, rules);
    let report = check(&place, &[&server(nginx.port, "mirror")], &["--retries", "20"]).with(0).json();
    assert_eq!(counts(&report, 0), [6, 6, 0, 0, 0, 0]);
    assert!(nginx.log().iter().any(|line| line[3] == "429"), "{:?}", nginx.log());
    let report =
        check(&place, &[&server(nginx.port, "never")], &["--connections", "1", "--retries", "5"]).with(1).json();
    assert_eq!(counts(&report, 0), [6, 0, 0, 0, 0, 6]);
    assert!(failures(&report, 0).contains("asks for a wait of 3600 s"), "{report}");
    assert_eq!(nginx.log().iter().filter(|line| line[4].starts_with("/never/")).count(), 1, "it is asked no more");
    let report = check(&place, &[&server(nginx.port, "broken")], &["--retries", "1"]).with(1).json();
    assert!(failures(&report, 0).contains("500 Internal Server Error"), "{report}");
    check(&place, &[&server(nginx.port, "closed")], &[]).with(1);
    assert_eq!(nginx.log().iter().filter(|line| line[4].starts_with("/closed/")).count(), 6, "a no is not asked again");
}

#[test]
fn requests_stay_within_the_rate() {
    if !has_nginx() {
        return;
    }
    let place = place();
    // A request that comes too early is refused, and not made again.
    let zone = "limit_req_zone $server_addr zone=few:1m rate=10r/s;\nlimit_req_status 429;";
    let nginx = start(&place, zone, "location /mirror/ { limit_req zone=few; }");
    let both = [server(nginx.port, "mirror"), server(nginx.port, "mirror/./")];
    let both: Vec<_> = both.iter().map(String::as_str).collect();
    let report = check(&place, &both, &["--rate", "5", "--retries", "0"]).with(0).json();
    assert_eq!(counts(&report, 0)[1], 6, "{report}");
}

#[test]
fn servers_that_do_not_know_head_are_asked_for_one_byte() {
    if !has_nginx() {
        return;
    }
    let place = place();
    let nginx = start(&place, "", "if ($request_method = HEAD) { return 405; }");
    let report = check(&place, &[&server(nginx.port, "short")], &[]).with(1).json();
    assert_eq!(counts(&report, 0), [6, 5, 0, 1, 0, 0]);
    let statuses: BTreeSet<_> = nginx.log().iter().map(|line| line[3].clone()).collect();
    assert_eq!(statuses, ["206".to_owned(), "405".to_owned()].into());
}

/// A key and a certificate for 127.0.0.1, signed by itself.
fn certificate(place: &Place) -> bool {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]);
    command.args(["-subj", "/CN=jigpress test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]);
    command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    command.current_dir(place.path("")).output().unwrap().status.success()
}

#[test]
fn tls_servers_are_asked_with_http_2_if_the_system_trusts_them() {
    if !has_nginx() || !installed(&["openssl"]) {
        return;
    }
    let place = place();
    assert!(certificate(&place));
    let keys = format!(
        "root {root};\nssl_certificate {root}cert.pem;\nssl_certificate_key {root}key.pem;",
        root = place.path("").display()
    );
    for (listen, protocol) in [("ssl http2", "HTTP/2.0"), ("ssl", "HTTP/1.1")] {
        let nginx = Nginx::start(&place.path(protocol), listen, "", &keys);
        let server = format!("Debian=https://127.0.0.1:{}/mirror/", nginx.port);
        let arguments = ["servers", "check", "sets", "--format", "json", "--retries", "0", "--server", &server];
        let run = |trusted: &str| {
            let output = place.command(&arguments).env("SSL_CERT_FILE", place.path(trusted)).output().unwrap();
            (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap())
        };
        let (code, report) = run("cert.pem");
        assert_eq!(code, Some(0), "{report}");
        assert_eq!(counts(&report, 0), [6, 6, 0, 0, 0, 0]);
        assert!(nginx.log().iter().all(|line| line[1] == protocol), "{:?}", nginx.log());
        // Another certificate is trusted, but not this one.
        fs::rename(place.path("cert.pem"), place.path("served.pem")).unwrap();
        assert!(certificate(&place));
        let (code, report) = run("cert.pem");
        assert_eq!(code, Some(1));
        assert_eq!(counts(&report, 0), [6, 0, 0, 0, 0, 6]);
        assert!(failures(&report, 0).contains("certificate"), "{report}");
    }
}

#[test]
fn proxies_come_from_the_environment() {
    if !has_nginx() {
        return;
    }
    let place = place();
    let nginx = start(&place, "", "");
    let proxy = Nginx::start(&place.path("proxy"), "", "", "location / { proxy_pass http://$http_host$request_uri; }");
    let server = server(nginx.port, "mirror");
    let run = |no_proxy: &str| {
        let mut command = place.command(&["servers", "check", "sets", "--format", "json", "--server", &server]);
        command.env("http_proxy", format!("http://127.0.0.1:{}", proxy.port)).env("no_proxy", no_proxy);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    };
    run("elsewhere");
    assert_eq!(proxy.log().len(), 6);
    run("127.0.0.1");
    assert_eq!((proxy.log().len(), nginx.log().len()), (6, 12));
}

#[test]
fn the_best_servers_are_suggested_first() {
    let place = place();
    for other in 1..=PARTS {
        place.write(&format!("holes/{}", path(other)), &part(other));
    }
    fs::remove_file(place.path(&format!("holes/{}", path(2)))).unwrap();
    let last = format!("Debian={}/ --try-last", place.path("mirror").display());
    let servers = ["Debian=../nowhere/", "Debian=../holes/", "Debian=../mirror/", &last];
    let servers: Vec<_> = servers.iter().flat_map(|server| ["--server", server]).collect();
    let ran = place.run(&[&["servers", "check", "sets", "--suggest", "--any"][..], &servers].concat()).with(0);
    let expected = format!(
        "[Servers]\nDebian=../mirror/\nDebian=../holes/\nDebian={}/ --try-last\n",
        place.path("mirror").display()
    );
    assert_eq!(ran.out, expected);
    assert!(ran.err.contains("2 sets, 6 parts, 6 missing from some server"), "{}", ran.err);
}

#[test]
fn a_set_that_does_not_fit_its_template_is_reported() {
    let place = place();
    let text = fs::read_to_string(place.path("sets/one.jigdo")).unwrap();
    let problems = |place: &Place, code: i32| {
        let ran = check(place, &["Debian=../mirror/"], &[]).with(code);
        let sets = ran.json()["sets"].as_array().unwrap().clone();
        let one = sets.iter().find(|set| set["path"] == "sets/one.jigdo").unwrap();
        format!("{} {}", one["problems"], one["notes"])
    };
    assert_eq!(problems(&place, 0), "[] []");
    let with = |from: &str, to: &str| {
        place.write("sets/one.jigdo", &gzip(&text.replace(from, to)).unwrap());
        problems(&place, (!to.contains("http:")).into())
    };
    let line = text.lines().find(|line| line.contains("part 3")).unwrap();
    assert!(with(&format!("{line}\n"), "").contains("its template needs 1 part that is not in [Parts]"));
    let more = format!("{line}\nn4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg=Debian:pool/x");
    assert!(with(line, &more).contains("[Parts] has 1 part that its template does not need, such as Debian:pool/x"));
    let sum = text.lines().find(|line| line.starts_with("Template-SHA256Sum=")).unwrap();
    let other = "Template-SHA256Sum=n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg";
    assert!(with(sum, other).contains(", but the jigdo file expects "));
    assert!(with("Template=one.template", "Template=gone.template").contains("gone.template: No such file"));
    assert!(with("Template=one.template", "Template=http://127.0.0.1/x/gone.template").contains("not beside it"));
    assert_eq!(with("Template=one.template", "Template=http://127.0.0.1/x/one.template"), "[] []");
    fs::write(place.path("sets/one.template"), &fs::read(place.path("sets/one.template")).unwrap()[..500]).unwrap();
    assert!(with("", "").contains("one.template"));
}

#[test]
fn included_servers_count() {
    let place = place();
    let text = fs::read_to_string(place.path("sets/one.jigdo")).unwrap();
    fs::remove_file(place.path("sets/two.jigdo")).unwrap();
    let text = text.replace("Debian=file:unset/\n", "");
    place.write("sets/one.jigdo", format!("{text}\n[Include ../servers.jigdo]\n").as_bytes());
    place.write("servers.jigdo", b"[Servers]\nDebian=../mirror/\n");
    let report = check(&place, &[], &[]).with(0).json();
    assert_eq!(counts(&report, 0), [4, 4, 0, 0, 0, 0]);
    place.write("servers.jigdo", b"[Servers]\nDebian=../mirror/\n[Include servers.jigdo]\n");
    let report = check(&place, &[], &[]).with(1).json();
    assert!(report["sets"][0]["problems"][0].as_str().unwrap().contains("includes itself"), "{report}");
    fs::remove_file(place.path("servers.jigdo")).unwrap();
    let report = check(&place, &[], &[]).with(1).json();
    assert!(report["sets"][0]["problems"][0].as_str().unwrap().contains("[Include ../servers.jigdo]: "), "{report}");
    assert!(failures(&report, 0).contains("no server is known for label"), "{report}");
    if has_nginx() {
        place.write("servers.jigdo", b"[Servers]\nDebian=../mirror/\n");
        let nginx = start(&place, "", "");
        let include = format!("{text}\n[Include http://127.0.0.1:{}/servers.jigdo]\n", nginx.port);
        place.write("sets/one.jigdo", include.as_bytes());
        check(&place, &[], &[]).with(0);
    }
}

#[test]
fn bad_input_is_refused_and_other_sets_are_checked() {
    let place = place();
    let text = fs::read_to_string(place.path("sets/one.jigdo")).unwrap();
    for (bad, message) in [
        (text.replace("Debian:pool/1/part 1.deb", "Debian:../../etc/passwd"), "leads out of its tree"),
        ("[Parts\n".to_owned(), "line 1: the name of the section has no closing ]"),
        (String::new(), "no sections"),
        (text.replace("Template=one.template", "Template=/dev/zero"), "not a regular file"),
        (format!("{text}\n[Include /dev/zero]\n"), "not a regular file"),
    ] {
        place.write("sets/bad.jigdo", bad.as_bytes());
        let report = check(&place, &["Debian=../mirror/"], &[]).with(1).json();
        assert!(report["sets"][0]["problems"][0].as_str().unwrap().contains(message), "{report}");
        assert_eq!(counts(&report, 0), [6, 6, 0, 0, 0, 0], "{report}");
        let ran = place.run(&["servers", "check", "sets", "--quiet", "--server", "Debian=../mirror/"]).with(1);
        assert!(ran.out.is_empty() && ran.err.contains("sets/bad.jigdo: ") && ran.err.contains(message), "{}", ran.err);
    }
    place.run(&["servers", "check", "nowhere"]).with(2);
    place.run(&["servers", "check", "sets", "--rate", "0"]).with(2);
    place.run(&["servers", "check", "sets", "--sample", "0"]).with(2);
    place.run(&["servers", "check", "sets", "--server", "x"]).with(2);
}
