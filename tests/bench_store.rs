//! `slipstream bench store` on a small scale (OPERATING: "Command line").

#![cfg(test)]

mod support;

use std::path::Path;

use roxmltree::{Document, Node, ParsingOptions};
use serde_json::Value;
use slipstream::backend::EMBEDDED;
use support::{Process, Signal, assert_has, eventually};
use tempfile::TempDir;

fn bench(folder: &TempDir, arguments: &[&str]) -> Process {
    let page = page(folder);
    let (path, page) = (folder.path().to_string_lossy(), page.to_string_lossy());
    let fixed = ["bench", "store", "--quick", "--path", &path, "--report", &page];
    Process::spawn([&fixed, arguments].concat(), &[])
}

fn page(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("page.html")
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn positive(value: &Value, what: &str) -> f64 {
    value.as_f64().filter(|number| *number > 0.0).unwrap_or_else(|| panic!("{what}: {value}"))
}

fn assert_spread(spread: &Value, what: &str) {
    let [least, median, most] = ["least", "median", "most"].map(|part| positive(&spread[part], what));
    assert!(least <= median && median <= most, "{what}: {spread}");
}

fn assert_engine(engine: &Value, messages: f64) {
    let name = engine["engine"].as_str().expect("a name");
    let commits = engine["commits"].as_array().expect("a list");
    let sizes: Vec<_> = commits.iter().map(|each| (each["batch"].as_u64(), each["fanOut"].as_u64())).collect();
    let expected = [1, 16, 256, 4096].into_iter().flat_map(|batch| [1, 10].map(|peers| (Some(batch), Some(peers))));
    assert_eq!(sizes, expected.collect::<Vec<_>>());
    for each in commits {
        for figure in ["messagesPerSecond", "cpuMicrosPerMessage", "p50Ms", "p99Ms"] {
            assert_spread(&each[figure], &format!("{name} {figure}"));
        }
    }
    for (figure, part) in [
        ("messagesPerSecond", "turnover"),
        ("storedPerSecond", "backlog"),
        ("caughtUpPerSecond", "backlog"),
        ("reopenMs", "backlog"),
    ] {
        assert_spread(&engine[part][figure], &format!("{name} {figure}"));
    }
    let (turnover, backlog) = (&engine["turnover"], &engine["backlog"]);
    assert!(positive(&turnover["endBytes"], name) <= positive(&turnover["peakBytes"], name), "{turnover}");
    assert!(positive(&turnover["writeAmplification"], name) > 1.0, "every text is written: {turnover}");
    // A text has 550 bytes, and every kill adds a few messages to those that were stored.
    assert!(positive(&backlog["bytesPerMessage"], name) > 550.0, "{backlog}");
    assert!(positive(&backlog["pending"], name) > messages, "{backlog}");
    for memory in ["busyMemory", "backlogMemory"] {
        let own = positive(&engine[memory]["anonymous"], name);
        assert!(own > 1e6 && own <= positive(&engine[memory]["peak"], name), "{engine}");
    }
}

/// The page is XML, asks for nothing, and shows the figures of every engine.
fn assert_page(html: &str, report: &Value) {
    let document = Document::parse_with_options(html, ParsingOptions { allow_dtd: true, ..ParsingOptions::default() });
    let document = document.expect("the page is well-formed");
    for node in document.descendants() {
        assert!(!["script", "link", "img", "iframe", "object", "base"].contains(&node.tag_name().name()), "{node:?}");
        for attribute in ["src", "href", "data", "action", "srcset"] {
            assert_eq!(node.attribute(attribute), None, "{node:?}");
        }
    }
    assert!(!html.contains("@import") && !html.contains("url("), "the style asks for nothing");
    let tables: Vec<_> = document.descendants().filter(|node| node.has_tag_name("table")).collect();
    let engines = report["engines"].as_array().expect("a list");
    for (index, engine) in engines.iter().enumerate() {
        let name = engine["engine"].as_str().expect("a name");
        let column = |table: &&Node<'_, '_>| {
            let head: Vec<_> = table.descendants().filter(|node| node.has_tag_name("th")).map(text).collect();
            head.get(index + 1).is_some_and(|head| head == name)
        };
        let table = tables.iter().find(column).unwrap_or_else(|| panic!("no column of {name}"));
        let rows: Vec<_> = table.descendants().filter(|node| node.has_tag_name("tr")).skip(1).collect();
        assert!(rows.len() > 40, "{} rows", rows.len());
        for row in rows {
            let cell = row.children().nth(index + 1).map(text).unwrap_or_default();
            assert!(cell.starts_with(|first: char| first.is_ascii_digit()), "{name}: {} is {cell}", text(row));
        }
        let lines = document.descendants().filter(|node| node.has_tag_name("circle"));
        // Two plots each of two fan-outs, of four sizes of batches.
        assert!(lines.filter(|node| node.attribute("class") == Some(name)).count() >= 16);
    }
    let advice = document.descendants().filter(|node| node.has_tag_name("li")).map(text).collect::<String>();
    assert!(!advice.contains('`') && advice.contains("full"), "{advice}");
    let whole = text(document.root_element());
    for told in ["/proc/PID/io", "messages in a batch", "processor", "kernel", "filesystem", "bench store --quick"] {
        assert!(whole.contains(told), "{told}");
    }
}

fn text(node: Node<'_, '_>) -> String {
    node.descendants().filter(|node| node.is_text()).filter_map(|node| node.text()).collect()
}

#[tokio::test]
async fn every_engine_is_measured_and_one_is_named() {
    // The temporary folder may be in memory, to which nothing is written that could be counted.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut process = bench(&folder, &["--json", "--messages", "5000"]);
    assert_eq!(process.end().await.code(), Some(0), "{}", process.stderr());
    let report: Value = serde_json::from_str(&process.stdout()).expect("one JSON object");
    let engines = report["engines"].as_array().expect("a list");
    let measured: Vec<_> = engines.iter().filter_map(|engine| engine["engine"].as_str()).collect();
    assert_eq!(measured, EMBEDDED.iter().map(|engine| engine.name()).collect::<Vec<_>>());
    for engine in engines {
        assert_engine(engine, 5_000.0);
    }
    let disk = &report["disk"];
    for size in ["synced4k", "synced64k", "writtenOver4k"] {
        positive(&disk[size]["perSecond"], size);
        let latency = &disk[size]["latencyMs"];
        assert!(positive(&latency["p50"], size) <= positive(&latency["p99"], size), "{latency}");
    }
    positive(&disk["sequentialBytesPerSecond"], "sequential");
    let most = positive(&disk["mostSyncedPerSecond"], "most");
    assert!(["synced4k", "writtenOver4k"].iter().all(|size| disk[size]["perSecond"].as_f64() <= Some(most)), "{disk}");
    for engine in engines {
        let commits = positive(&engine["commits"][0]["messagesPerSecond"]["median"], "commits");
        assert_eq!(engine["outrunsDisk"], commits > most * 1.25, "{engine}");
    }
    let named = report["advice"]["engine"].as_str().expect("an engine is named");
    assert!(measured.contains(&named) && report["advice"]["reasons"][0].as_str().is_some(), "{}", report["advice"]);
    assert!(report["command"].as_str().expect("a command").contains("--messages 5000"));
    let html = std::fs::read_to_string(page(&folder)).expect("the page is written");
    assert_page(&html, &report);
    assert_eq!(names(folder.path()), ["page.html"], "what it made is gone");
}

#[tokio::test]
async fn a_table_is_for_people_and_a_store_that_is_there_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("slipstream.db");
    std::fs::write(&store, "precious").expect("it is written");
    let first = EMBEDDED.first().expect("an engine").name();
    let mut process = bench(&folder, &["--messages", "3000", "--engines", first, "--durability", "relaxed"]);
    assert_eq!(process.end().await.code(), Some(0), "{}", process.stderr());
    let printed = process.stdout();
    let engine = format!("take       {first}");
    assert_has(&printed, ["synced writes/s", "catch-up", "messages/s", "durability relaxed", "page.html", &engine]);
    assert_eq!(std::fs::read_to_string(&store).expect("it is there"), "precious");
    assert_eq!(names(folder.path()), ["page.html", "slipstream.db"]);
}

#[tokio::test]
async fn it_leaves_nothing_when_it_is_interrupted() {
    for (signal, at_work) in [(Signal::INT, "disk"), (Signal::TERM, "workload")] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut process = bench(&folder, &[]);
        eventually("it is at work", || async {
            let made = names(folder.path()).into_iter().find(|name| name.starts_with("slipstream-bench-"))?;
            names(&folder.path().join(made)).iter().any(|name| name.contains(at_work)).then_some(())
        })
        .await;
        process.signal(signal);
        assert_eq!(process.end().await.code(), Some(1));
        assert_has(&process.stderr(), ["stopped"]);
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_cannot_be_measured_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, status, told) in [
        (&["--messages", "1000000000000"][..], 1, "MB are free"),
        (&["--engines", "postgres"], 2, "expected `sqlite`"),
        (&["--durability", "some"], 2, "expected `full` or `relaxed`"),
        (&["--messages", "0"], 2, "--messages"),
    ] {
        let mut process = bench(&folder, arguments);
        assert_eq!(process.end().await.code(), Some(status), "{arguments:?}: {}", process.stderr());
        assert_has(&process.stderr(), [told]);
    }
    for flag in ["--path", "--report"] {
        let mut process = Process::spawn(["bench", "store", "--quick", flag, "/nowhere/at/all"], &[]);
        assert_eq!(process.end().await.code(), Some(2), "{flag}");
        assert_has(&process.stderr(), [flag, "/nowhere/at/all"]);
    }
    for (variable, value) in [("SLIPSTREAM_CONFIG", "/nowhere.toml"), ("SLIPSTREAM_DURABILITY", "ful")] {
        let mut process = Process::spawn(["bench", "store", "--quick"], &[(variable, value)]);
        assert_eq!(process.end().await.code(), Some(2), "{variable}: it would measure something else");
        assert_has(&process.stderr(), [variable, value]);
    }
    assert_eq!(names(folder.path()), Vec::<String>::new());
}
