//! How a relay starts, or does not: what it says, what it answers meanwhile, and what signals do to it (OPERATING:
//! "Configuration", "HTTP on the metrics port").

#![cfg(test)]

mod support;

use std::fs::{self, File, OpenOptions};
use std::future::ready;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Resource, Rlimit, getrlimit};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};
use support::{Peer, Process, Relay, Signal, assert_has, eventually, get, own_loopback, put};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}

/// Waits until a relay has ended, and calls `urge` again and again until then.
async fn ended(relay: &mut Child, mut urge: impl FnMut()) -> ExitStatus {
    eventually("the relay to end", || {
        let ended = relay.try_wait().expect("it can be waited for");
        if ended.is_none() {
            urge();
        }
        ready(ended)
    })
    .await
}

/// Runs a command to its end with these outputs.
fn ran(arguments: &[&str], stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slipstream"));
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    command.output().expect("slipstream runs")
}

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").expect("Linux has it")
}

#[tokio::test]
async fn a_start_is_one_line_of_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--instance-id", "relay-aws"]).await;
    let line = eventually("the line", || async {
        relay.process.stderr().lines().find(|line| line.contains("started")).map(str::to_owned)
    })
    .await;
    let (links, metrics) = (format!("ws://{}/", relay.links), format!("http://{}/metrics", relay.admin));
    let store = folder.path().join("store");
    assert_has(
        &line,
        [env!("CARGO_PKG_VERSION"), "relay-aws", &links, &metrics, "sqlite", "full", "power cut", text(&store)],
    );
    assert_has(&line, ["store=\"new\"", "peers=0", "owed=0"]);
    assert_eq!(relay.process.stderr().lines().count(), 1, "{}", relay.process.stderr());
    drop(Peer::connect(&relay, "id=shop").await);
    Peer::connect(&relay, "id=app").await.publish(json!({"type": "EVENT"})).await;
    assert!(relay.stop().await.success());

    let relay = Relay::start(folder.path(), &[]).await;
    eventually("the line about the store that was found", || async {
        let told = relay.process.stderr();
        let parts = ["started", "store=\"found\"", "peers=2", "owed=1"];
        told.lines().any(|line| parts.iter().all(|part| line.contains(part))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn in_json_all_that_a_start_says_is_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let peers = r#"[{"url": "ws://127.0.0.1:1/?key=hush", "id": "azure-1"}]"#;
    let flags = ["--instance-id", "relay-aws", "--log-format", "json", "--url-config", peers];
    let mut process = Relay::spawn(folder.path(), &flags);
    let said: Value =
        process.printed("what it is", |line| Some(serde_json::from_str(line).expect("a JSON object"))).await;
    let store = folder.path().join("store");
    assert_eq!((&said["instanceId"], &said["version"]), (&json!("relay-aws"), &json!(env!("CARGO_PKG_VERSION"))));
    let told = &said["store"];
    assert_eq!(
        (&told["engine"], &told["durability"], &told["path"]),
        (&json!("sqlite"), &json!("full"), &json!(store))
    );
    assert_has(told["guarantee"].as_str().expect("a text"), ["power cut"]);
    assert_eq!((&told["new"], &told["peers"], &told["owed"]), (&json!(true), &json!(0), &json!(0)));
    assert_eq!(said["peers"], json!([{"id": "azure-1", "address": "127.0.0.1:1"}]));
    let admin: SocketAddr = said["metrics"]
        .as_str()
        .and_then(|url| url.strip_prefix("http://")?.strip_suffix("/metrics")?.parse().ok())
        .expect("a URL");
    assert_eq!(get(admin, "/readyz").await.status, 200);
    let line: Value = eventually("the line of the log", || async {
        let stderr = process.stderr();
        let mut lines = stderr.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line"));
        lines.find(|line: &Value| line["message"] == "started")
    })
    .await;
    assert_eq!(
        (&line["id"], &line["engine"], &line["links"]),
        (&json!("relay-aws"), &json!("sqlite"), &said["listen"])
    );
    process.signal(Signal::TERM);
    assert!(process.end().await.success());
    assert_eq!(process.stdout().lines().count(), 1, "{}", process.stdout());
    assert!(process.stderr().lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{}", process.stderr());
    assert!(!process.stdout().contains("hush") && !process.stderr().contains("hush"));
}

#[tokio::test]
async fn health_is_told_while_the_store_is_being_opened_and_a_failed_opening_is_told_once() {
    let folder = tempfile::tempdir().expect("a folder");
    // The relay looks at what is there, which takes until somebody writes.
    let store = folder.path().join("orders.db");
    mknodat(CWD, &store, FileType::Fifo, Mode::from(0o600), 0).expect("a pipe");
    let admin = SocketAddr::new(own_loopback(), 8080);
    let host = admin.ip().to_string();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--metrics-host", &host, "--storage-path", text(&store)];
    let mut process = Process::spawn(arguments, &[]);
    eventually("the admin port", || async { tokio::net::TcpStream::connect(admin).await.ok() }).await;
    assert_eq!(get(admin, "/healthz").await.status, 200);
    let ready = get(admin, "/readyz").await;
    assert_eq!(ready.status, 503);
    assert_eq!((&ready.json()["ready"], &ready.json()["reasons"]), (&json!(false), &json!(["opening the store"])));
    let metrics = get(admin, "/metrics").await;
    assert_eq!(metrics.status, 200);
    assert_has(&metrics.body, ["process_open_fds ", "\nslipstream_ready 0\n"]);
    assert_eq!(get(admin, "/api/v1/backup").await.status, 503);
    assert_eq!(put(admin, "/api/v1/logging", r#"{"messageLogs":false}"#).await.status, 200);
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2] {
        process.signal(signal);
    }
    assert_eq!(get(admin, "/healthz").await.status, 200, "no signal took it down");
    assert_eq!(process.stdout(), "", "it has not started");

    let bytes = b"this is no database of any kind that is known here\n".repeat(4);
    let writing = move || {
        let mut pipe = OpenOptions::new().write(true).open(&store).expect("it reads");
        // It may have seen enough before this is written.
        drop(pipe.write_all(&bytes));
    };
    tokio::task::spawn_blocking(writing).await.expect("no panic");
    assert_eq!(process.end().await.code(), Some(1), "{}", process.stderr());
    let told = process.stderr();
    let errors = told.lines().filter(|line| line.contains("SLIPSTREAM_STORAGE_PATH") || line.contains("orders.db"));
    assert_eq!(errors.count(), 1, "{told}");
    assert!(!told.contains("panicked"), "{told}");
}

#[tokio::test]
async fn a_port_that_cannot_be_had_is_told_once_with_the_setting_and_the_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let other = tempfile::tempdir().expect("a folder");
    let (links, admin) = (relay.links.to_string(), relay.admin.port().to_string());
    let store = other.path().join("store");
    let store = ["serve", "--storage-path", text(&store)];
    for (flags, setting, value) in [
        (["--listen", &links, "--metrics-port", "0"], "SLIPSTREAM_LISTEN: ", links.clone()),
        (["--listen", "off", "--metrics-port", &admin], "METRICS_HOST and METRICS_PORT: ", relay.admin.to_string()),
    ] {
        for format in ["human", "json"] {
            let mut second = Process::spawn([&store[..], &flags, &["--log-format", format]].concat(), &[]);
            assert_eq!(second.end().await.code(), Some(1), "{}", second.stderr());
            let told = second.stderr();
            let lines: Vec<_> = told.lines().filter(|line| line.contains(setting)).collect();
            assert_eq!(lines.len(), 1, "{told}");
            assert_has(lines[0], [&value, "another program has this port", "expected a free port"]);
            assert!(format == "human" || serde_json::from_str::<Value>(lines[0]).is_ok(), "{told}");
        }
    }
    let mut elsewhere = Relay::spawn(other.path(), &["--metrics-host", "192.0.2.1"]);
    assert_eq!(elsewhere.end().await.code(), Some(1));
    assert_has(&elsewhere.stderr(), ["METRICS_HOST", "192.0.2.1", "no such address", "`127.0.0.1`"]);
}

#[tokio::test]
async fn a_stdout_that_takes_nothing_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--metrics-port", "0", "--storage-path", text(&store)];
    for arguments in [&serve[..], &["config", "show"], &["--help"], &["serve", "--help"], &["--version"]] {
        let Output { status, stderr, .. } = ran(arguments, full(), Stdio::piped());
        let told = String::from_utf8(stderr).expect("UTF-8");
        assert_eq!(status.code(), Some(1), "{arguments:?}: {told}");
        assert_has(&told, ["stdout", "No space left on device"]);
        assert!(!told.contains("panicked"), "{told}");
        assert_eq!(told.matches("stdout").count(), 1, "{told}");
    }
    // Nobody is left to be told, and nothing breaks.
    assert_eq!(ran(&["serve", "--window", "0"], full(), full()).status.code(), Some(2));
    assert_eq!(ran(&serve, full(), full()).status.code(), Some(1));
}

#[tokio::test]
async fn a_log_that_cannot_be_written_does_not_stop_the_relay() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let admin = SocketAddr::new(own_loopback(), 8080);
    let links = SocketAddr::new(own_loopback(), 7171);
    let relay = Command::new(env!("CARGO_BIN_EXE_slipstream"))
        .args(["serve", "--listen", &links.to_string(), "--metrics-host", &admin.ip().to_string()])
        .args(["--storage-path", text(&store), "--enable-debug-logs"])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(full())
        .spawn()
        .expect("slipstream runs");
    eventually("the relay", || async { tokio::net::TcpStream::connect(links).await.ok() }).await;
    let stopping = tokio::task::spawn_blocking(move || {
        let url = format!("ws://{links}/");
        let sent = ran(&["send", "--to", &url, "k", "7"], Stdio::piped(), Stdio::piped());
        assert!(sent.status.success(), "{sent:?}");
        let pid = rustix::process::Pid::from_child(&relay);
        rustix::process::kill_process(pid, Signal::TERM).expect("it runs");
        relay
    });
    let mut relay = stopping.await.expect("no panic");
    assert_eq!(ended(&mut relay, || {}).await.code(), Some(0));
}

#[tokio::test]
async fn a_settings_file_that_cannot_be_read_is_told_with_its_whole_path_and_the_cause() {
    let folder = tempfile::tempdir().expect("a folder");
    let deep = folder.path().join("a-folder-with-a-name-of-some-length/".repeat(4));
    fs::create_dir_all(&deep).expect("a folder");
    fs::write(deep.join("text.toml"), b"window = 5\n# caf\xe9\n").expect("it is written");
    fs::write(deep.join("wide.toml"), b"\xff\xfew\0i\0").expect("it is written");
    fs::write(deep.join("marked.toml"), "\u{feff}window = 5\n").expect("it is written");
    for (path, cause) in [
        (deep.join("gone.toml"), "there is no such file"),
        (deep.clone(), "it is a folder"),
        (deep.join("text.toml/more"), "a part of its path is no folder"),
        (deep.join("text.toml"), "it is not UTF-8 from line 2 on"),
        (deep.join("wide.toml"), "it is UTF-16"),
    ] {
        for command in [&["serve"][..], &["config", "check"]] {
            let mut process = Process::spawn([command, &["--config", text(&path)]].concat(), &[]);
            assert_eq!(process.end().await.code(), Some(2), "{}", process.stderr());
            assert_has(&process.stderr(), ["SLIPSTREAM_CONFIG (--config)", text(&path), cause]);
        }
    }
    let marked = deep.join("marked.toml");
    let mut process = Process::spawn(["config", "show", "--config", text(&marked)], &[]);
    assert_eq!(process.end().await.code(), Some(0), "{}", process.stderr());
    assert_has(&process.stdout(), [text(&marked)]);
}

#[tokio::test]
async fn a_relay_starts_among_the_variables_of_kubernetes() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let environment = [
        ("SLIPSTREAM_SERVICE_HOST", "10.96.0.7"),
        ("SLIPSTREAM_SERVICE_PORT", "7171"),
        ("SLIPSTREAM_PORT", "tcp://10.96.0.7:7171"),
        ("SLIPSTREAM_PORT_7171_TCP", "tcp://10.96.0.7:7171"),
        ("SLIPSTREAM_PORT_7171_TCP_PROTO", "tcp"),
        ("SLIPSTREAM_PORT_7171_TCP_PORT", "7171"),
        ("SLIPSTREAM_PORT_7171_TCP_ADDR", "10.96.0.7"),
        ("SLIPSTREAM_URL", "ws://10.96.0.7:7171/"),
    ];
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--metrics-port", "0", "--storage-path", text(&store)];
    let relay = Relay::ready(Process::spawn(arguments, &environment)).await;
    eventually("the remedy", || async { relay.process.stderr().contains("enableServiceLinks: false").then_some(()) })
        .await;
    assert!(relay.stop().await.success());
}

#[tokio::test]
async fn a_hangup_takes_up_what_it_can_and_says_what_it_cannot() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("slipstream.toml");
    let write = |settings: &str| fs::write(&file, settings).expect("it is written");
    let peer = |token: &str| format!("[[peer]]\nurl = \"ws://127.0.0.1:1/\"\ntoken = \"hush-{token}\"\n");
    write(&format!("window = 5\nenable_message_logs = false\n{}", peer("one")));
    let mut relay = Relay::start(folder.path(), &["--config", text(&file)]).await;
    let told = |relay: &Relay, part: &'static str| {
        let seen = relay.process.stderr().lines().filter(|line| line.contains("SIGHUP") && line.contains(part)).count();
        (seen > 0).then_some(())
    };
    let logging = || async { get(relay.admin, "/api/v1/logging").await.json() };

    write(&format!("window = 6\nenable_message_logs = true\nenable_debug_logs = true\n{}", peer("other")));
    relay.process.signal(Signal::HUP);
    eventually("what changed", || async { told(&relay, "ENABLE_MESSAGE_LOGS, ENABLE_DEBUG_LOGS") }).await;
    eventually("what did not", || async { told(&relay, "SLIPSTREAM_WINDOW") }).await;
    assert!(told(&relay, "URL_CONFIG").is_some(), "a token that is shown to a peer");
    assert!(!relay.process.stderr().contains("hush"), "{}", relay.process.stderr());
    assert_eq!(logging().await, json!({"messageLogs": true, "level": "debug"}));

    write("window = 0\nenable_debug_logs = false\nwindwo = 1\n");
    relay.process.signal(Signal::HUP);
    eventually("the faults", || async { told(&relay, "windwo") }).await;
    relay.says("nothing is changed").await;
    assert_has(&relay.process.stderr(), ["ERROR"]);
    assert_eq!(logging().await, json!({"messageLogs": true, "level": "debug"}), "all is as it was");
    fs::remove_file(&file).expect("it is there");
    relay.process.signal(Signal::HUP);
    eventually("the file that is gone", || async { told(&relay, "there is no such file") }).await;
    assert_eq!(logging().await, json!({"messageLogs": true, "level": "debug"}), "all is as it was");

    write("window = 5\n");
    assert_eq!(put(relay.admin, "/api/v1/logging", r#"{"level":"error"}"#).await.status, 200);
    relay.process.signal(Signal::HUP);
    eventually("the log as the file has it", || async {
        (logging().await == json!({"messageLogs": true, "level": "info"})).then_some(())
    })
    .await;
    let mut peer = Peer::connect(&relay, "id=a").await;
    peer.publish(json!({"type": "EVENT"})).await;
    drop(peer);
    relay.process.signal(Signal::TERM);
    assert_eq!(relay.process.end().await.code(), Some(0), "{}", relay.process.stderr());
}

#[tokio::test]
async fn signals_that_mean_nothing_to_a_relay_do_nothing_to_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut relay = Relay::start(folder.path(), &[]).await;
    let mut peer = Peer::connect(&relay, "id=a").await;
    for signal in [Signal::USR1, Signal::USR2, Signal::PIPE, Signal::HUP] {
        relay.process.signal(signal);
        peer.publish(json!({"type": "EVENT"})).await;
    }
    eventually("a word about the file that is not there", || async {
        relay.process.stderr().contains("there is no settings file").then_some(())
    })
    .await;
    peer.publish(json!({"type": "EVENT"})).await;
    drop(peer);
    relay.process.signal(Signal::TERM);
    assert_eq!(relay.process.end().await.code(), Some(0), "{}", relay.process.stderr());
}

#[tokio::test]
async fn a_terminal_that_is_closed_stops_the_relay_in_it_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("a terminal");
    let name = ptsname(&terminal, Vec::new()).expect("its name").into_string().expect("UTF-8");
    let inside: OwnedFd = OpenOptions::new().read(true).write(true).open(name).expect("the other side").into();
    let admin = SocketAddr::new(own_loopback(), 8080);
    let mut relay = Command::new(env!("CARGO_BIN_EXE_slipstream"))
        .args(["serve", "--listen", "off", "--metrics-host", &admin.ip().to_string(), "--storage-path", text(&store)])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(inside)
        .spawn()
        .expect("slipstream runs");
    let pid = rustix::process::Pid::from_child(&relay);
    eventually("the relay to be ready", || async {
        tokio::net::TcpStream::connect(admin).await.ok()?;
        (get(admin, "/readyz").await.status == 200).then_some(())
    })
    .await;
    rustix::process::kill_process(pid, Signal::HUP).expect("it runs");
    assert_eq!(get(admin, "/healthz").await.status, 200, "the terminal is there");
    drop(terminal);
    // Until its `exec`, a process that another test is starting has the terminal too, so one signal may be too early.
    let ended = ended(&mut relay, || rustix::process::kill_process(pid, Signal::HUP).expect("it runs")).await;
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test]
async fn the_soft_limit_of_open_files_is_raised_and_a_hard_one_that_is_too_low_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let limited = |limits: &str, most: &str| {
        let serve =
            "exec \"$0\" serve --listen 127.0.0.1:0 --metrics-port 0 --storage-path \"$1\" --max-connections \"$2\"";
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", &format!("{limits}; {serve}"), env!("CARGO_BIN_EXE_slipstream"), text(&store), most]);
        Process::of(command)
    };
    let relay = Relay::ready(limited("ulimit -Sn 64", "100")).await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", relay.process.id())).expect("it runs");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("the limit");
    let raised = line.split_whitespace().nth(3).expect("the soft limit");
    assert_eq!(raised.parse().ok(), maximum, "{line}");
    assert!(relay.stop().await.success());

    let relay = Relay::ready(limited("ulimit -n 300", "1000")).await;
    eventually("the warning", || async {
        let told = relay.process.stderr();
        told.lines().any(|line| line.contains("WARN") && line.contains("open files is 300")).then_some(())
    })
    .await;
    assert!(relay.stop().await.success());
}

#[tokio::test]
async fn an_admin_url_that_cannot_be_one_is_misuse() {
    for url in ["127.0.0.1:8080", "ws://127.0.0.1:8080/", "http://127.0.0.1:99999", "relay"] {
        let mut process = Process::spawn(["store", "backup", "--admin", url, "a.db"], &[]);
        assert_eq!(process.end().await.code(), Some(2), "{url}: {}", process.stderr());
        assert_has(&process.stderr(), ["--admin", url, "expected"]);
    }
    let mut process = Process::spawn(["store", "backup", "--admin", "HTTP://127.0.0.1:1", "a.db"], &[]);
    assert_eq!(process.end().await.code(), Some(1), "nobody is there: {}", process.stderr());
}
