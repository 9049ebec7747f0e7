//! The command line as a person meets it (OPERATING: "Configuration", "Command line").

#![cfg(test)]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::{Peer, Process, Relay, Signal, assert_has, ran, written};

#[tokio::test]
async fn a_start_says_where_it_listens_what_it_promises_and_what_to_try_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut relay = Relay::start(folder.path(), &["--instance-id", "relay-aws"]).await;
    let next =
        relay.process.printed("what to try", |line| line.contains("slipstream send").then(|| line.to_owned())).await;
    assert_has(&next, [relay.url().as_str()]);
    let store = folder.path().join("store");
    assert_has(
        &relay.process.stdout(),
        [
            "relay-aws",
            &format!("ws://{}/", relay.links),
            &format!("http://{}/metrics", relay.admin),
            "sqlite",
            store.to_str().expect("a path of UTF-8"),
            "durability full",
            "power cut",
            "slipstream listen --to",
        ],
    );
}

/// Runs what a start says to try, with what stands there in capitals replaced.
async fn try_it(folder: &Path, flags: &[&str], replaced: &[(&str, &str)]) {
    let mut relay = Relay::start(folder, flags).await;
    let mut commands = Vec::new();
    for command in ["  slipstream listen --to ", "  slipstream send --to "] {
        let line = relay.process.printed(command, |line| line.starts_with(command).then(|| line.to_owned())).await;
        let words = line.split_whitespace().skip(1).map(|word| {
            let word = word.trim_matches('\'');
            replaced.iter().find(|(name, _)| *name == word).map_or(word, |(_, value)| value).to_owned()
        });
        commands.push(words.collect::<Vec<_>>());
    }
    commands[0].extend(["--count", "1"].map(str::to_owned));
    let mut listening = Process::spawn(&commands[0], &[]);
    relay.metric_becomes("slipstream_active_connections{kind=\"application\"}", 1.0).await;
    let mut sending = Process::spawn(&commands[1], &[]);
    for process in [&mut sending, &mut listening] {
        assert_eq!(process.end().await.code(), Some(0), "{commands:?}\n{}", process.stderr());
    }
    assert_has(&listening.stdout(), ["order:123"]);
    assert!(relay.stop().await.success());
}

#[tokio::test]
async fn what_a_start_says_to_try_works_also_with_tls_and_credentials() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join("demo").join(name).to_str().expect("UTF-8").to_owned();
    let (code, _, told) = ran(&["tls", "demo", &file("")], &[]).await;
    assert_eq!(code, Some(0), "{told}");
    let [ca, cert, key, auth, app, app_key] =
        ["ca.pem", "relay-aws.pem", "relay-aws.key", "auth.toml", "app.pem", "app.key"].map(file);
    let mut tables = String::new();
    let tokens = ["one", "other"].map(|id| {
        let token = format!("token-of-{id}");
        let hash: String = Sha256::digest(&token).iter().map(|byte| format!("{byte:02x}")).collect();
        tables += &format!("[[credential]]\ntoken_sha256 = \"{hash}\"\nid = \"{id}\"\n");
        written(folder.path(), id, &token)
    });
    let tokens_file = written(folder.path(), "tokens.toml", &tables);
    let tls = ["--tls-cert", &cert, "--tls-key", &key];
    let mutual = [&tls[..], &["--tls-client-ca", &ca]].concat();
    let replaced = [
        ("CA.pem", ca.as_str()),
        ("APP.pem", &app),
        ("APP.key", &app_key),
        ("TOKEN", &tokens[0]),
        ("OTHER-TOKEN", &tokens[1]),
        ("ID", "one"),
        ("OTHER-ID", "other"),
    ];
    for (at, flags) in [
        vec![],
        tls.to_vec(),
        mutual.clone(),
        [&mutual[..], &["--auth-file", &auth]].concat(),
        [&tls[..], &["--auth-file", &tokens_file]].concat(),
        vec!["--auth-file", &tokens_file],
    ]
    .iter()
    .enumerate()
    {
        let store = folder.path().join(format!("relay-{at}"));
        std::fs::create_dir(&store).expect("a folder");
        try_it(&store, flags, &replaced).await;
    }
}

#[tokio::test]
async fn a_relay_keeps_the_id_that_it_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let id = |peer: &Peer| peer.link.response.header("slipstream-id").expect("it is told").to_owned();
    let first = id(&Peer::connect(&relay, "id=a").await);
    assert!(first.starts_with("relay-") && first.len() == 32, "{first}");
    assert!(relay.stop().await.success());
    let relay = Relay::start(folder.path(), &[]).await;
    assert_eq!(id(&Peer::connect(&relay, "id=a").await), first);
}

#[tokio::test]
async fn all_faults_of_a_configuration_are_told_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("slipstream.toml");
    std::fs::write(&file, "window = 0\nlisten = \"0.0.0.0:0\"\nmetrics_prot = 1\n").expect("it is written");
    let environment = [
        ("SLIPSTREAM_CONFIG", file.to_str().expect("a path of UTF-8")),
        ("SLIPSTREAM_DURABILITY", "some"),
        ("SLIPSTREAM_WINDOWS", "a-secret"),
        ("SLIPSTREAM_STORE", "sqlight"),
        ("METRICS_PORT", "99999"),
    ];
    let mut process = Process::spawn(["serve", "--heartbeat", "1h", "--dedup-window", "soon"], &environment);
    assert_eq!(process.end().await.code(), Some(2));
    let told = process.stderr();
    assert_has(
        &told,
        [
            "SLIPSTREAM_WINDOW ",
            "SLIPSTREAM_LISTEN",
            "SLIPSTREAM_ALLOW_INSECURE",
            "metrics_prot",
            "metrics_port",
            "SLIPSTREAM_DURABILITY",
            "\"some\"",
            "SLIPSTREAM_WINDOWS",
            "\"sqlight\"",
            "METRICS_PORT",
            "\"99999\"",
            "SLIPSTREAM_HEARTBEAT",
            "SLIPSTREAM_DEDUP_WINDOW",
            "\"soon\"",
        ],
    );
    assert!(!told.contains("a-secret"), "{told}");
    assert_eq!(process.stdout(), "");
}

#[cfg(not(feature = "redb"))]
#[tokio::test]
async fn an_engine_that_is_not_there_names_its_feature() {
    let mut process = Process::spawn(["--store", "redb"], &[]);
    assert_eq!(process.end().await.code(), Some(2));
    assert_has(&process.stderr(), ["redb", "feature"]);
}

#[tokio::test]
async fn a_store_in_use_is_refused_and_its_owner_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut peer = Peer::connect(&relay, "id=a").await;
    let mut second = Relay::spawn(folder.path(), &[]);
    assert_eq!(second.end().await.code(), Some(1));
    let store = folder.path().join("store");
    assert_has(&second.stderr(), ["in use", store.to_str().expect("a path of UTF-8")]);
    peer.publish(json!({"type": "EVENT"})).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_with_its_setting() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let path = other.path().join("store");
    let links = relay.links.to_string();
    let arguments = ["serve", "--metrics-port=0", "--storage-path", path.to_str().expect("UTF-8"), "--listen", &links];
    let mut second = Process::spawn(arguments, &[]);
    assert_eq!(second.end().await.code(), Some(1));
    assert_has(&second.stderr(), ["SLIPSTREAM_LISTEN", &links]);
}

#[tokio::test]
async fn a_message_goes_from_send_to_listen() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let url = relay.url();
    let listen = ["listen", "--to", &url, "--id", "shop", "--tags", "aws", "--count", "3", "--json"];
    let mut listening = Process::spawn(listen, &[]);
    relay.metric_becomes(r#"slipstream_active_connections{kind="application"}"#, 1.0).await;
    for arguments in [
        &["send", "--to", &url, "--id", "app", "order:123", r#"{"total": 100}"#][..],
        &["send", "--to", &url, "--type", "CMD", "--tags", "aws,azure", "run", "two words"],
        &["send", "--to", &url, "--string", "order:124", "7"],
    ] {
        let mut sending = Process::spawn(arguments, &[]);
        assert_eq!(sending.end().await.code(), Some(0), "{}", sending.stderr());
    }
    assert_eq!(listening.end().await.code(), Some(0), "{}", listening.stderr());
    let lines: Vec<Value> =
        listening.stdout().lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect();
    let told: Vec<_> = lines.iter().map(|line| (&line["type"], &line["key"], &line["value"])).collect();
    assert_eq!(
        told,
        [
            (&json!("SK"), &json!("order:123"), &json!({"total": 100})),
            (&json!("CMD"), &json!("run"), &json!("two words")),
            (&json!("SK"), &json!("order:124"), &json!("7")),
        ]
    );
    assert_eq!((&lines[0]["originInstanceId"], &lines[1]["targetedTags"]), (&json!("app"), &json!(["aws", "azure"])));
    relay.metric_becomes(r#"slipstream_backlog{peer="shop"}"#, 0.0).await;
}

#[tokio::test]
async fn send_takes_lines_and_listen_without_ack_leaves_them_owed() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let url = relay.url();
    drop(Peer::connect(&relay, "id=shop").await);
    let mut sending = Process::spawn(["send", "--to", &url, "--type", "EVENT", "lines", "-"], &[]);
    let lines: String = (0..3000).map(|number| format!("{{\"number\":{number}}}\n")).collect();
    sending.feed(&lines).await;
    assert_eq!(sending.end().await.code(), Some(0), "{}", sending.stderr());
    let listen = ["listen", "--to", &url, "--id", "shop", "--json"];
    for (more, owed) in [(&["--count", "1000", "--no-ack"][..], 3000.0), (&["--count", "3000"], 0.0)] {
        let mut listening = Process::spawn(listen.iter().chain(more), &[]);
        assert_eq!(listening.end().await.code(), Some(0), "{}", listening.stderr());
        for (number, line) in listening.stdout().lines().enumerate() {
            let message: Value = serde_json::from_str(line).expect("a JSON object a line");
            assert_eq!(message["value"]["number"], number);
        }
        relay.metric_becomes(r#"slipstream_backlog{peer="shop"}"#, owed).await;
    }
}

#[tokio::test]
async fn commands_fail_where_they_cannot_do_what_they_were_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--instance-id", "here"]).await;
    let url = relay.url();
    for (arguments, told) in [
        (&["send", "--to", &url, "--type", "SA", "k", "7"][..], "SA wants an array"),
        (&["send", "--to", &url, "--id", "here", "k", "7"], "400"),
        (&["send", "--to", "ws://127.0.0.1:1/", "k", "7"], "127.0.0.1:1"),
    ] {
        let mut sending = Process::spawn(arguments, &[]);
        assert_eq!(sending.end().await.code(), Some(1), "{arguments:?}: {}", sending.stderr());
        assert_has(&sending.stderr(), [told]);
    }
    let mut misused = Process::spawn(["send", "--to", &url, "k"], &[]);
    assert_eq!(misused.end().await.code(), Some(2));
    let mut listening = Process::spawn(["listen", "--to", &url, "--id", "shop", "--once"], &[]);
    relay.metric_becomes(r#"slipstream_active_connections{kind="application"}"#, 1.0).await;
    relay.process.signal(Signal::KILL);
    assert_eq!(listening.end().await.code(), Some(1), "a lost link is a failure");
    assert!(!listening.stderr().is_empty());
}

#[tokio::test]
async fn each_command_has_help_with_an_example() {
    for command in [
        &["--help"][..],
        &["serve", "--help"],
        &["send", "--help"],
        &["listen", "--help"],
        &["bench", "relay", "--help"],
        &["completions", "--help"],
    ] {
        let mut helping = Process::spawn(command, &[]);
        assert_eq!(helping.end().await.code(), Some(0));
        assert_has(&helping.stdout(), ["Example", "slipstream "]);
    }
}

#[tokio::test]
async fn send_closes_its_link_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    for number in 0..5 {
        let key = format!("k{number}");
        let mut send = Process::spawn(["send", "--to", &relay.url(), "--id", "sender", &key, "1"], &[]);
        assert!(send.end().await.success(), "{}", send.stderr());
    }
    relay.metric_becomes(r#"slipstream_active_connections{kind="application"}"#, 0.0).await;
    assert_eq!(relay.connection_errors().await, [""; 0]);
}

#[tokio::test]
async fn each_shell_gets_completions_that_complete() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let mut asked = Process::spawn(["completions", shell], &[]);
        assert_eq!(asked.end().await.code(), Some(0), "{}", asked.stderr());
        let script = asked.stdout();
        assert_has(&script, ["listen", "message-id-field", "storage-path", "migrate"]);
        assert!(!script.contains("worker"), "{shell}: what is not for people");
    }
    let mut unknown = Process::spawn(["completions", "cmd"], &[]);
    assert_eq!(unknown.end().await.code(), Some(2));
    assert_has(&unknown.stderr(), ["bash", "fish"]);
    // What bash makes of it.
    let ask = r#"eval "$("$0" completions bash)"; COMP_WORDS=(slipstream $1); COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
        _slipstream slipstream "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"; echo "${COMPREPLY[@]}""#;
    for (typed, completed) in
        [("se", "serve send"), ("store back", "backup"), ("send --message-id-f", "--message-id-field")]
    {
        let program = env!("CARGO_BIN_EXE_slipstream");
        let run = std::process::Command::new("bash").args(["-c", ask, program, typed]).output().expect("bash runs");
        assert_eq!(String::from_utf8_lossy(&run.stdout).trim(), completed, "{}", String::from_utf8_lossy(&run.stderr));
    }
}

#[tokio::test]
async fn a_trial_of_tls_with_wrong_arguments_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = folder.path().join("demo");
    let demo = demo.to_str().expect("UTF-8");
    for (arguments, told) in [
        (["--relays", "a,b,a"], "--relays: got a twice; expected each id once"),
        (["--relays", "relay-aws,app"], "--relays: got app, which is the name of another certificate"),
        (["--relays", "ca"], "--relays: got ca, which is the name of another certificate"),
        (["--relays", "a b"], "invalid value 'a b' for '--relays"),
        (["--relays", "a,,b"], "invalid value '' for '--relays"),
        (["--hosts", "foo bar,*"], "invalid value 'foo bar' for '--hosts <HOSTS>': expected a name such as"),
        (["--hosts", "localhost,*"], "invalid value '*' for '--hosts <HOSTS>'"),
        (["--hosts", "localhost:7171"], "invalid value 'localhost:7171' for '--hosts <HOSTS>'"),
        (["--hosts", "wss://host/"], "invalid value 'wss://host/' for '--hosts <HOSTS>'"),
        (["--hosts", "host."], "invalid value 'host.' for '--hosts <HOSTS>'"),
    ] {
        let (code, stdout, stderr) = ran(&[&["tls", "demo", demo], &arguments[..]].concat(), &[]).await;
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
        assert_has(&stderr, [told]);
        assert!(!Path::new(demo).exists(), "{arguments:?}");
    }
    // An id that nobody can dial, and every form of an address.
    let (code, stdout, _) =
        ran(&["tls", "demo", demo, "--relays", "relay:1,.x", "--hosts", "::1,10.0.1.1,a_b.example"], &[]).await;
    assert_eq!(code, Some(0));
    assert_has(&stdout, ["relay:1, .x and app"]);
    let (code, _, stderr) = ran(&["tls", "demo", demo], &[]).await;
    assert_eq!(code, Some(1));
    assert_has(&stderr, ["it is not empty; expected a new folder"]);
}

/// What a command shows on a terminal of this kind; `script` makes one.
fn on_a_terminal(command: &str, environment: &[(&str, &str)]) -> String {
    let line = format!("{} {command}", env!("CARGO_BIN_EXE_slipstream"));
    let mut script = std::process::Command::new("script");
    script
        .args(["-qec", &line, "/dev/null"])
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .env_remove("CLICOLOR")
        .env_remove("CI");
    let run = script.envs(environment.iter().copied()).stdin(std::process::Stdio::null()).output();
    String::from_utf8_lossy(&run.expect("script runs").stdout).into_owned()
}

#[test]
fn a_dumb_terminal_and_no_color_get_plain_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = format!("store check --storage-path {}", folder.path().display());
    for command in ["--help", "send --help", "send --no-such-flag", "listen --to http://x/ --id a", &check] {
        let coloured = on_a_terminal(command, &[("TERM", "xterm-256color")]);
        assert!(!command.starts_with("--") || coloured.contains('\u{1b}'), "the test would not see it: {coloured:?}");
        let plain = [
            &[("TERM", "dumb")][..],
            &[("TERM", "dumb"), ("CI", "true")],
            &[("TERM", "xterm-256color"), ("NO_COLOR", "1")],
        ];
        for environment in plain {
            let shown = on_a_terminal(command, environment);
            assert!(!shown.is_empty() && !shown.contains('\u{1b}'), "{command} {environment:?}: {shown:?}");
        }
    }
}

/// Only a program without the cargo feature can show this; CI runs this file with the default features, too.
#[cfg(not(feature = "otlp"))]
#[tokio::test]
async fn an_exporter_that_is_not_compiled_in_is_refused_by_its_feature() {
    let (code, _, told) = ran(&["config", "check", "--otlp-endpoint=http://127.0.0.1:4318"], &[]).await;
    assert_eq!(code, Some(2));
    assert_has(&told, ["SLIPSTREAM_OTLP_ENDPOINT: ", "not compiled into this program", "cargo feature `otlp`"]);
}
