//! Both roles of our link code against the Autobahn testsuite, which `tests/autobahn` installs and starts this with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::ours::{self, listen};
use crate::support::eventually;

/// The groups that are not about compression.
const GROUPS: [&str; 9] = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"];

/// The variable that tells where `wstest` is.
const WSTEST: &str = "SLIPSTREAM_WSTEST";

/// Starts the testsuite in this mode. Its report goes to a folder beside it.
fn start(mode: &str, mut specification: Value) -> (Child, PathBuf) {
    let wstest = PathBuf::from(std::env::var_os(WSTEST).expect(WSTEST));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("autobahn").join(mode);
    std::fs::create_dir_all(&folder).expect("a folder");
    specification["outdir"] = json!(folder.join("report"));
    specification["cases"] = json!(GROUPS);
    specification["exclude-cases"] = json!([]);
    specification["exclude-agent-cases"] = json!({});
    let file = folder.join("specification.json");
    std::fs::write(&file, specification.to_string()).expect("a file");
    let mut command = Command::new(wstest);
    command.args(["--mode", mode, "--webport", "0", "--spec"]).arg(file).current_dir(&folder);
    (command.kill_on_drop(true).stdout(Stdio::piped()).spawn().expect("it starts"), folder.join("report"))
}

/// Asserts that no other cases fail than those that are known to, and prints how many ended in which way.
fn judge(report: &Path) {
    let index = std::fs::read_to_string(report.join("index.json")).expect("there is a report");
    let index: Value = serde_json::from_str(&index).expect("it is JSON");
    let results = index["Slipstream"].as_object().expect("it is about us");
    let mut counts = BTreeMap::<_, u32>::new();
    let mut failed = Vec::new();
    for (case, result) in results {
        let behaviour = result["behavior"].as_str().expect("a word");
        *counts.entry((behaviour, result["behaviorClose"].as_str().expect("a word"))).or_default() += 1;
        if behaviour == "FAILED" && !is_known_to_fail(case) {
            failed.push(case);
        }
    }
    eprintln!("{} cases, {counts:?}, in {}", results.len(), report.display());
    assert!(failed.is_empty(), "these fail: {failed:?}");
}

/// Cases of which the testsuite wants what we do not want: `docs/rfc6455.md` tells why.
fn is_known_to_fail(case: &str) -> bool {
    let binary = ["1.2.", "9.2.", "9.4.", "9.6.", "9.8."];
    binary.iter().any(|group| case.starts_with(group)) || ["2.10", "2.11", "9.3.1", "9.3.2"].contains(&case)
}

#[tokio::test]
#[ignore = "wants the Autobahn testsuite: tests/autobahn"]
async fn our_link_as_a_server_of_autobahn() {
    let (listener, address) = listen().await;
    let serving = tokio::spawn(ours::serve(listener));
    let server = json!({"agent": "Slipstream", "url": format!("ws://{address}"), "options": {"version": 18}});
    let (mut suite, report) = start("fuzzingclient", json!({"servers": [server]}));
    let mut lines = BufReader::new(suite.stdout.take().expect("it is piped")).lines();
    while let Some(line) = lines.next_line().await.expect("it can be read") {
        eprintln!("{line}");
    }
    assert!(suite.wait().await.expect("it ends").success());
    serving.abort();
    judge(&report);
}

#[tokio::test]
#[ignore = "wants the Autobahn testsuite: tests/autobahn"]
async fn our_link_as_a_client_of_autobahn() {
    let (listener, address) = listen().await;
    // The testsuite cannot tell which port it was given, so it is given one that was free a moment ago.
    drop(listener);
    let (_suite, report) = start("fuzzingserver", json!({"url": format!("ws://{address}")}));
    eventually("the testsuite", || async { tokio::net::TcpStream::connect(address).await.ok() }).await;
    let count = ours::dial(address, "/getCaseCount").await.expect("a text with the number of cases");
    let count: u32 = std::str::from_utf8(&count).expect("UTF-8").parse().expect("a number");
    for number in 1..=count {
        ours::dial(address, &format!("/runCase?case={number}&agent=Slipstream")).await;
    }
    ours::dial(address, "/updateReports?agent=Slipstream").await;
    judge(&report);
}
