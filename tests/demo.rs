//! The demo, as a newcomer runs it.

#![cfg(test)]

mod support;

use std::net::SocketAddr;

use support::{Process, Signal, eventually, get, request};

#[tokio::test]
async fn the_demo_tells_its_story_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().to_str().expect("text");
    let mut demo = Process::spawn(["demo", "--rate", "50"], &[("TMPDIR", place)]);
    // `  azure  ws://127.0.0.1:40191/   dashboard http://127.0.0.1:36407/   application bank`
    let dashboard = |line: &str| {
        let url = line.trim_start().strip_prefix("azure ")?.split("dashboard http://").nth(1)?;
        url.split('/').next()?.parse().ok()
    };
    let azure: SocketAddr = demo.printed("where azure is", dashboard).await;
    for told in ["azure is killed", "in order: 0 missing", "as a dead letter", "until you press Ctrl-C"] {
        demo.printed(told, |line| line.contains(told).then_some(())).await;
    }

    // What it invites to.
    let status = get(azure, "/api/v1/status").await.json();
    assert_eq!((&status["instanceId"], &status["deadLetters"]), (&"azure".into(), &1.into()));
    assert!(get(azure, "/").await.body.contains("<title>Slipstream</title>"));
    let json = "content-type: application/json\r\n";
    let redriven = request(azure, "POST", "/api/v1/dead-letters/redrive", json, r#"{"all":true}"#).await;
    assert_eq!(redriven.json()["done"], 1, "{}", redriven.body);
    let settled = || async { (get(azure, "/api/v1/status").await.json()["deadLetters"] == 0).then_some(()) };
    eventually("the redriven message", settled).await;

    demo.signal(Signal::INT);
    let status = demo.end().await;
    let said = demo.stdout();
    assert!(status.success(), "{status}: {said}\n{}", demo.stderr());
    assert!(said.contains(" 0 refused and not redriven, none lost."), "{said}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("it is there").collect();
    assert!(left.is_empty(), "the stores are removed: {left:?}");
}
