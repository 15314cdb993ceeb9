//! nginx on loopback, with whatever behaviour a test asks of it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running nginx. It ends when this goes.
pub struct Nginx {
    child: Child,
    directory: PathBuf,
    pub port: u16,
}

impl Nginx {
    /// Starts a server that listens with these options (`ssl http2`), has what `http` says on the level of all servers,
    /// and what `server` says for itself. `PORT` in either stands for its port. It keeps its files in `directory`.
    pub fn start(directory: &Path, listen: &str, http: &str, server: &str) -> Self {
        fs::create_dir_all(directory).unwrap();
        let port = free_port();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let paths: String = temporary.iter().map(|name| format!("{name}_temp_path temp_{name};\n")).collect();
        let config = format!(
            "user root;\nworker_processes 1;\ndaemon off;\npid nginx.pid;\nerror_log error.log;\nevents {{}}\nhttp {{\n{paths}\
             log_format test '$connection $server_protocol $request_method $status $request_uri';\n\
             access_log access.log test;\n{http}\nserver {{\nlisten 127.0.0.1:PORT {listen};\n{server}\n}}\n}}\n"
        );
        let config = config.replace("PORT", &port.to_string());
        fs::write(directory.join("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(directory).args(["-e", "error.log", "-c", "nginx.conf"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut nginx = Self { child, directory: directory.to_owned(), port };
        nginx.wait();
        nginx
    }

    fn wait(&mut self) {
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("nginx: {status}\n{}", fs::read_to_string(self.directory.join("error.log")).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("nginx does not listen");
    }

    /// The lines of its log: connection, protocol, method, status, and what was asked for.
    pub fn log(&self) -> Vec<Vec<String>> {
        let text = fs::read_to_string(self.directory.join("access.log")).unwrap_or_default();
        text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with it.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// A port on loopback where nobody listens now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
