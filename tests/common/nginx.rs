//! An nginx of a test's own on the loopback interface, which serves a directory.

#![allow(dead_code)] // Each test file uses a part of it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server at work. It ends when this goes.
pub struct Nginx {
    child: Child,
    port: u16,
    /// Its configuration and its logs.
    place: tempfile::TempDir,
}

impl Nginx {
    /// Serves `root`; no connection gets more than so many bytes a second, if that is not 0.
    pub fn serve(root: &Path, rate: u32) -> Self {
        // Another process may take the port between the two, so try again then.
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(server) = Self::start(root, port, rate) {
                return server;
            }
        }
        panic!("nginx does not start");
    }

    fn start(root: &Path, port: u16, rate: u32) -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let of = place.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {of}/{name};\n"))
            .concat();
        // As root, the workers must be root too to read what the test has written.
        let user = if fs::metadata("/proc/self").is_ok_and(|found| owner(&found) == 0) { "user root;" } else { "" };
        let text = format!(
            "{user}\nworker_processes 1;\ndaemon off;\npid {of}/pid;\nerror_log {of}/error.log;\n\
             events {{ worker_connections 64; }}\n\
             http {{\n{temporary}log_format path '$status $uri';\naccess_log {of}/access.log path;\n\
             server {{ listen 127.0.0.1:{port}; root {root}; limit_rate {rate}; }}\n}}\n",
            root = root.display()
        );
        let configuration = place.path().join("nginx.conf");
        fs::write(&configuration, text).unwrap();
        let mut child = Command::new("nginx")
            .arg("-e")
            .arg(place.path().join("error.log"))
            .arg("-c")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..1000 {
            if child.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(Self { child, port, place });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        None
    }

    /// The URL of a path below the root.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// What was asked for so far: the status and the path of each request.
    pub fn requests(&self) -> Vec<String> {
        let log: PathBuf = self.place.path().join("access.log");
        fs::read_to_string(log).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

fn owner(found: &fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::uid(found)
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that it ends its workers.
        let _ = Command::new("sh").arg("-c").arg(format!("kill {}", self.child.id())).status();
        let _ = self.child.wait();
    }
}
