//! A Prometheus that scrapes a relay each second. tests/run installs it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{eventually, get, own_loopback};

/// Where it listens. It is not 9090, where the service of the Debian package may run.
const PORT: u16 = 19_090;

/// A running Prometheus. It is killed when it is dropped.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    _process: Child,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes `target` as the job `slipstream`, with rules from a file if one is given, and waits until it
    /// has scraped.
    pub async fn scraping(target: SocketAddr, rules: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut configuration = "global: {scrape_interval: 1s, evaluation_interval: 1s}\n".to_owned();
        let static_configs = format!("[{{targets: ['{target}'], labels: {{instance: here}}}}]");
        writeln!(configuration, "scrape_configs: [{{job_name: slipstream, static_configs: {static_configs}}}]")
            .and_then(|()| rules.map_or(Ok(()), |rules| writeln!(configuration, "rule_files: ['{}']", rules.display())))
            .expect("a string takes all");
        std::fs::write(folder.path().join("prometheus.yml"), configuration).expect("a file");
        // The address is this process's alone, so that nobody else has the port there but a program on all addresses.
        let address = SocketAddr::new(own_loopback(), PORT);
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        let process = Command::new("prometheus")
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={address}"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("prometheus starts; tests/run installs it");
        let told = folder.path().join("log");
        let prometheus = Self { address, _process: process, _folder: folder };
        eventually("Prometheus to listen", || async {
            let said = std::fs::read_to_string(&told).expect("a file");
            assert!(!said.contains("level=error"), "{said}");
            said.contains("Server is ready to receive web requests").then_some(())
        })
        .await;
        prometheus.becomes("up", 1.0).await;
        prometheus
    }

    /// What an expression comes to now: its series, each with its labels and its value.
    pub async fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let answer = self.ask(&format!("query?query={}", percent_encoded(expression))).await;
        let result = answer["result"].as_array().unwrap_or_else(|| panic!("{expression}: {answer}"));
        let value = |series: &Value| series["value"][1].as_str().and_then(|value| value.parse().ok());
        result.iter().map(|series| (series["metric"].clone(), value(series).expect("a number"))).collect()
    }

    /// Waits until an expression comes to one series of this value.
    pub async fn becomes(&self, expression: &str, wanted: f64) {
        eventually(&format!("{expression} to be {wanted}"), || async {
            matches!(&*self.query(expression).await, [(_, value)] if *value == wanted).then_some(())
        })
        .await;
    }

    /// Waits until an expression comes to nothing.
    pub async fn has_no(&self, expression: &str) {
        eventually(&format!("{expression} to be gone"), || async {
            self.query(expression).await.is_empty().then_some(())
        })
        .await;
    }

    /// Asks the API, and returns the data of its answer.
    pub async fn ask(&self, path: &str) -> Value {
        let answer = get(self.address, &format!("/api/v1/{path}")).await.json();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].clone()
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        write!(encoded, "%{byte:02X}").expect("a string takes all");
        encoded
    })
}
