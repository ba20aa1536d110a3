//! Prometheus as a process of its own, and what is asked over HTTP: of it, and of a broker.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{Folder, PATIENCE, free_port, needed};

/// The body of what is answered there.
pub fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}\n{body}");
    body.into()
}

/// Ends with the test.
pub struct Prometheus {
    child: Child,
    port: u16,
    _folder: Folder,
}

impl Prometheus {
    /// One that looks once a second at each of these, by job and path; the test is skipped without its program.
    pub fn start(broker: u16, jobs: &[(&str, &str)]) -> Prometheus {
        let program = needed("prometheus");
        let folder = Folder::new("prometheus");
        let port = free_port();
        let jobs: String = jobs
            .iter()
            .map(|(name, path)| {
                format!(
                    "  - job_name: {name}\n    metrics_path: {path}\n    static_configs:\n      - targets: ['127.0.0.1:{broker}']\n"
                )
            })
            .collect();
        let text = format!("global:\n  scrape_interval: 1s\nscrape_configs:\n{jobs}");
        let file = folder.write("prometheus.yml", &text);
        let child = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.0.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Prometheus {
            child: child.unwrap(),
            port,
            _folder: folder,
        }
    }

    /// Whether it listens.
    pub fn listens(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    /// The values that a query gives now.
    pub fn values(&self, query: &str) -> Vec<f64> {
        let escaped: String = query
            .bytes()
            .map(|byte| match byte.is_ascii_alphanumeric() {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02X}"),
            })
            .collect();
        let answer = get(self.port, &format!("/api/v1/query?query={escaped}"));
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let all = answer["data"]["result"].as_array().unwrap();
        let values = all.iter().map(|one| one["value"][1].as_str().unwrap());
        values.map(|value| value.parse().unwrap()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
