//! What `ca`, `cert`, `key` and `rejectUnauthorized` mean: a relay and `ws`, on Node and in Bun, dial the same servers with
//! the same options, and either all get a link or none. `docs/client-libraries.md` has the differences.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cases::{self, Case, Outcome};
use super::servers::Servers;
use super::software;
use crate::support::{Files, Relay, assert_has, eventually, ran, run_command, table};

const PAGE: &str = include_str!("../../docs/client-libraries.md");
const LINK: &str = "link";

/// The rows of the differences: a case, a relay, `ws`, why. A name that ends with an ellipsis stands for all cases that
/// begin like it.
fn differences() -> Vec<[String; 4]> {
    let rows = table(PAGE, "| the server's certificate, or the option |");
    rows.into_iter().map(|row| row.try_into().expect("a row has four cells")).collect()
}

fn is_of(row: &[String; 4], case: &Case) -> bool {
    match row[0].strip_suffix('…') {
        Some(start) => case.name.starts_with(start),
        None => case.name == row[0],
    }
}

/// Whether a relay and `ws` get a link.
fn expected(case: &Case) -> [bool; 2] {
    let relay = case.relay == Outcome::Link;
    let row = differences().into_iter().find(|row| is_of(row, case));
    row.map_or([relay, relay], |[_, relay, ws, _]| [relay, ws].map(|cell| cell == LINK))
}

/// The entry of `URL_CONFIG` for a case.
fn entry(number: usize, case: &Case, servers: &Servers) -> Value {
    let mut entry = json!({"id": id(number), "url": servers.url(case.server, case.host)});
    entry.as_object_mut().expect("an object").extend(case.options.as_object().expect("an object").clone());
    entry
}

fn id(number: usize) -> String {
    format!("case-{number}")
}

/// What the relay says of the first dial of a case.
async fn dialled(relay: &Relay, number: usize) -> String {
    let (up, failed) = (format!("link up peer={} ", id(number)), format!("a dial failed peer={} ", id(number)));
    eventually(&failed, || async {
        let log = relay.process.stderr();
        let line = log.lines().find(|line| line.contains(&up) || line.contains(&failed))?;
        Some(if line.contains(&up) { LINK.to_owned() } else { line.to_owned() })
    })
    .await
}

/// What the program says of an entry with which no relay starts.
async fn checked(entry: &Value) -> String {
    let peers = json!([entry]).to_string();
    let (code, _, said) = ran(&["config", "check", "--url-config", &peers], &[]).await;
    assert_eq!(code, Some(2), "{said}");
    said
}

/// Asserts what a relay makes of every case, with all of them in one `URL_CONFIG`.
async fn a_relay_decides(files: &Files, cases: &[(Case, Value)]) {
    let starts = |case: &Case| !matches!(case.relay, Outcome::NoStart(_));
    let peers: Vec<&Value> = cases.iter().filter(|(case, _)| starts(case)).map(|(_, entry)| entry).collect();
    let relay = Relay::start(files.folder(), &["--url-config", &json!(peers).to_string()]).await;
    let mut unverified = 0.0;
    for (number, (case, entry)) in cases.iter().enumerate() {
        let said = if starts(case) { dialled(&relay, number).await } else { checked(entry).await };
        match case.relay {
            Outcome::Link => assert_eq!(said, LINK, "{}", case.name),
            Outcome::NoLink(words) | Outcome::NoStart(words) => {
                assert!(said.contains(words), "{}: expected {words}, got {said}", case.name);
            }
        }
        if case.options["rejectUnauthorized"] == false {
            unverified += 1.0;
            assert_has(&relay.process.stderr(), [format!("rejectUnauthorized is false for {}:", id(number)).as_str()]);
        }
    }
    assert_eq!(relay.metric("slipstream_tls_unverified_peers").await, unverified);
}

/// What comes of every case for `ws`, by id.
async fn ws_decides(runtime: &str, entries: &Value) -> BTreeMap<String, String> {
    let mut command = software::javascript(runtime, "dial.mjs").await;
    let said = run_command(command.arg(entries.to_string())).await;
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// Dials the servers of one kind.
async fn all_decide_alike(server: &str) {
    let files = cases::files();
    let cases = cases::all(&files);
    let mut certificates: Vec<&str> = cases.iter().map(|case| case.server).collect();
    certificates.sort_unstable();
    certificates.dedup();
    let servers = Servers::start(&files, server, &certificates).await;
    let number = |(number, case): (usize, Case)| {
        let entry = entry(number, &case, &servers);
        (case, entry)
    };
    let cases: Vec<(Case, Value)> = cases.into_iter().enumerate().map(number).collect();
    a_relay_decides(&files, &cases).await;
    let entries: Value = cases.iter().map(|(_, entry)| entry.clone()).collect();
    for runtime in ["node", "bun"] {
        let came = ws_decides(runtime, &entries).await;
        let wrong = cases.iter().enumerate().filter_map(|(number, (case, _))| {
            let came = &came[&id(number)];
            (expected(case)[1] != (came == LINK)).then(|| format!("{}: {came}", case.name))
        });
        let wrong: Vec<String> = wrong.collect();
        assert!(wrong.is_empty(), "ws on {runtime} decides otherwise at {server}:\n{}", wrong.join("\n"));
    }
}

#[test]
fn each_difference_names_cases_and_a_reason() {
    let cases = cases::all(&cases::files());
    for row in differences() {
        let [name, relay, ws, why] = &row;
        let named: Vec<&Case> = cases.iter().filter(|case| is_of(&row, case)).collect();
        assert!(!named.is_empty(), "there is no case {name}");
        assert!(named.iter().all(|case| (case.relay == Outcome::Link) == (relay == LINK)), "{name}: {relay}");
        assert!(relay != ws && !why.is_empty(), "{name} differs, and has a reason");
    }
    let alike = cases.iter().filter(|case| expected(case)[0] == expected(case)[1]).count();
    assert_has(PAGE, [format!("In {alike} cases all three get a link, or none does").as_str()]);
}

#[tokio::test]
async fn servers_of_ws_on_node() {
    all_decide_alike("`ws` on Node").await;
}

#[tokio::test]
async fn servers_of_ws_in_bun() {
    all_decide_alike("`ws` in Bun").await;
}

#[tokio::test]
async fn servers_of_bun() {
    all_decide_alike("`Bun.serve`").await;
}
