//! The commands of docs/mesh.md and docs/security.md, run as they stand there: in bash, with the program on the path, at other addresses. And
//! the settings of docs/running.md and of the files in deploy/, checked by the program.
//!
//! In these pages a block that ends in a line `slipstream` is a terminal in which a relay runs; it begins where it stands. Every other
//! block runs to its end, in a bash of its own, and must end well; what is in a `text` block after it is its output. The
//! blocks of a section share a folder, and the relays end with the section.

#![cfg(test)]

mod support;

use std::path::Path;
use std::process::Stdio;

use support::{Process, assert_has, own_loopback, within};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Where the page has its relays.
const ADDRESSES: [&str; 3] = ["127.0.0.1", "10.0.1.1", "10.0.2.1"];

#[derive(Debug)]
struct Block {
    section: String,
    language: String,
    text: String,
}

/// The blocks of a page, in order.
fn blocks(page: &str) -> Vec<Block> {
    let (mut section, mut blocks, mut open) = (String::new(), Vec::new(), None::<Block>);
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, Some(language)) => {
                let (section, language) = (section.clone(), language.trim().to_owned());
                open = Some(Block { section, language, text: String::new() });
            }
            (None, None) => {
                if let Some(title) = line.strip_prefix("## ") {
                    section = title.to_owned();
                }
            }
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

impl Block {
    /// The commands before the relay, where this is a terminal in which one runs.
    fn relay(&self) -> Option<&str> {
        self.text.strip_suffix("slipstream\n").filter(|before| before.is_empty() || before.ends_with('\n'))
    }
}

/// A bash with the program on its path.
fn bash(commands: &str, folder: &Path) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_slipstream"));
    let programs = program.parent().expect("it is in a folder").display();
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", commands])
        .current_dir(folder)
        .env_clear()
        .env("PATH", format!("{programs}:{}", std::env::var("PATH").expect("a path")))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    bash
}

/// Starts a relay, and waits until it runs.
async fn start(commands: &str, folder: &Path, store: &Path) -> Child {
    let commands = commands.replace("/var/lib/slipstream", store.to_str().expect("a path of UTF-8"));
    let mut relay = bash(&format!("{commands}exec slipstream"), folder);
    // Two relays of this machine are two machines on the page, each with its own port for metrics.
    relay.env("METRICS_HOST", own_loopback().to_string());
    let mut relay = relay.spawn().expect("bash starts");
    let mut printed = BufReader::new(relay.stdout.take().expect("it is piped")).lines();
    let guarantee = within("a relay to run", async {
        while let Some(line) = printed.next_line().await.expect("UTF-8") {
            if line.contains("guarantee") {
                return true;
            }
        }
        false
    })
    .await;
    if !guarantee {
        let output = relay.wait_with_output().await.expect("it ends");
        panic!("{commands}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    // It may go on printing.
    tokio::spawn(async move { while let Ok(Some(_)) = printed.next_line().await {} });
    let mut told = BufReader::new(relay.stderr.take().expect("it is piped")).lines();
    tokio::spawn(async move { while let Ok(Some(_)) = told.next_line().await {} });
    relay
}

/// Runs the blocks of one section.
async fn run(blocks: &[&Block]) {
    let folder = tempfile::tempdir().expect("a folder");
    let addresses = ADDRESSES.map(|address| (address, own_loopback().to_string()));
    let (mut relays, mut output) = (Vec::new(), String::new());
    for (number, block) in blocks.iter().enumerate() {
        let text = addresses.iter().fold(block.text.clone(), |text, (address, own)| text.replace(address, own));
        let placed = Block { section: block.section.clone(), language: block.language.clone(), text };
        match (placed.language.as_str(), placed.relay()) {
            ("sh", Some(commands)) => {
                let store = folder.path().join(format!("machine-{number}"));
                relays.push(start(commands, folder.path(), &store).await);
            }
            ("sh", None) => {
                let running = bash(&placed.text, folder.path()).output();
                let run = within(&placed.text, running).await.expect("bash runs");
                let told = String::from_utf8_lossy(&run.stderr).into_owned();
                assert!(run.status.success(), "{}: {}\n{told}", placed.section, placed.text);
                output = String::from_utf8_lossy(&run.stdout).into_owned();
            }
            ("text", _) => assert_has(&output, placed.text.lines()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_commands_of_the_mesh_page_do_what_it_says() {
    let page = blocks(include_str!("../docs/mesh.md"));
    let mut sections: Vec<&str> = page.iter().map(|block| block.section.as_str()).collect();
    sections.dedup();
    for section in ["Three relays on one machine", "Two machines"] {
        assert!(sections.contains(&section), "{sections:?}");
    }
    for section in sections {
        run(&page.iter().filter(|block| block.section == section).collect::<Vec<_>>()).await;
    }
}

#[tokio::test]
async fn the_commands_of_the_security_page_do_what_it_says() {
    let page = blocks(include_str!("../docs/security.md"));
    // What is replaced are the certificates of the section before.
    assert!(page.iter().any(|block| block.text.contains("openssl ca ")), "{page:?}");
    run(&page.iter().collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn the_settings_of_the_mesh_page_are_whole_at_its_own_addresses() {
    let folder = tempfile::tempdir().expect("a folder");
    for block in blocks(include_str!("../docs/mesh.md")).iter().filter(|block| block.language == "sh") {
        let Some(commands) = block.relay() else {
            if block.text.starts_with("slipstream tls demo") {
                let made = bash(&block.text, folder.path()).output().await.expect("bash runs");
                assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            }
            continue;
        };
        let checked = bash(&format!("{commands}exec slipstream config check"), folder.path()).output().await;
        let checked = checked.expect("bash runs");
        let told = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success() && told.is_empty(), "{}\n{told}", block.text);
        // A variable that is not exported is not seen.
        let unseen = commands.lines().find(|line| !line.is_empty() && !line.starts_with("export "));
        assert_eq!(unseen, None, "{}", block.text);
    }
}

/// Has the program check settings, given as `NAME=value`. It finds the certificates in this folder.
async fn check(what: &str, settings: Vec<(String, String)>, certificates: &str) {
    assert!(settings.len() >= 5, "{what}: {settings:?}");
    let settings: Vec<_> =
        settings.into_iter().map(|(name, value)| (name, value.replace("/etc/slipstream/tls", certificates))).collect();
    let given: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut checked = Process::spawn(["config", "check"], &given);
    assert_eq!(checked.end().await.code(), Some(0), "{what}: {settings:?}\n{}", checked.stderr());
}

/// A setting as an environment file of systemd or a shell has it.
fn setting(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let known = name.starts_with("SLIPSTREAM_") || name.starts_with("METRICS_") || name == "URL_CONFIG";
    known.then(|| (name.to_owned(), value.trim_matches(['\'', '"']).to_owned()))
}

#[tokio::test]
async fn the_settings_of_the_running_page_and_of_the_files_for_deploying_are_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    // Under the names that an operator gives them, and under those of a Secret.
    let make = "slipstream tls demo tls; cd tls; cp ca.pem ca.crt; cp relay-aws.pem tls.crt; cp relay-aws.key tls.key";
    let made = bash(make, folder.path()).output().await.expect("bash runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let certificates = folder.path().join("tls").display().to_string();
    let page = blocks(include_str!("../docs/running.md"));
    let environment = page.iter().find(|block| block.language == "ini").expect("an environment file");
    check("the environment file", environment.text.lines().filter_map(setting).collect(), &certificates).await;
    let docker = page.iter().find(|block| block.text.contains("docker run")).expect("how to run a container");
    check("docker run", docker.text.split_whitespace().filter_map(setting).collect(), &certificates).await;
    let inline = |line: &str| {
        let (name, value) = line.trim().strip_prefix("- {name: ")?.strip_suffix('}')?.split_once(", value: ")?;
        setting(&format!("{name}={value}"))
    };
    let kubernetes = include_str!("../deploy/kubernetes.yaml").lines().filter_map(inline).collect();
    check("kubernetes.yaml", kubernetes, &certificates).await;
    // A link takes a descriptor, and so does what is beside the links.
    let unit = include_str!("../deploy/slipstream.service");
    let limit = unit.lines().find_map(|line| line.strip_prefix("LimitNOFILE=")).expect("a limit");
    assert!(limit.parse::<u32>().expect("a number") > 2 * 10_000, "SLIPSTREAM_MAX_CONNECTIONS is 10000");
}
