use clap::{CommandFactory as _, Parser as _};

use super::{Cli, Command, serve};
use crate::config::{Config, EmbeddedEngine, Faults, SETTINGS};
use crate::relay::{BacklogPolicy, Settings};

fn parse(line: &[&str]) -> Result<Command, clap::Error> {
    Cli::try_parse_from([&["slipstream"], line].concat()).map(Cli::into_command)
}

fn configuration(line: &[&str]) -> Result<Config, Faults> {
    match parse(line).expect("arguments") {
        Command::Serve(arguments) => arguments.configuration(&[EmbeddedEngine::Sqlite.into()]),
        other => panic!("{other:?} is not serve"),
    }
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn without_a_command_it_serves_with_the_same_flags() {
    for line in [&["--window=7", "--allow-insecure"][..], &["serve", "--window", "7", "--allow-insecure"]] {
        let config = configuration(line).expect("no fault");
        assert_eq!((config.window.get(), config.allow_insecure), (7, true));
    }
    let config = configuration(&["--enable-message-logs=false", "--listen", "off"]).expect("no fault");
    assert!(!config.enable_message_logs);
}

#[test]
fn what_is_set_reaches_the_relay() {
    let settings = |line: &[&str]| serve::relay_settings::settings(&configuration(line).expect("no fault"));
    let Settings { dial, delivery, backlog, disk, rate_limit, peers, .. } = settings(&[
        "--retry-in-n-seconds=7",
        "--connection-retry-attempts=8",
        "--handshake-timeout=9s",
        "--window=11",
        "--ack-timeout=12s",
        "--max-message-republish-attempts=13",
        "--max-backlog=14",
        "--backlog-policy=drop-oldest",
        "--min-free-disk=15",
        "--rate-limit=16",
        "--url-config=[{\"url\":\"ws://host\"}]",
        "--storage-path=/",
    ]);
    assert_eq!((dial.first_pause.as_secs(), dial.attempts, dial.timeout.as_secs()), (7, 8, 9));
    assert_eq!((dial.longest_pause.as_secs(), dial.open_pause.as_secs()), (60, 60));
    assert_eq!((delivery.window.get(), delivery.ack_timeout.as_secs(), delivery.max_republishes), (11, 12, 13));
    let backlog = backlog.expect("a limit");
    assert_eq!((backlog.deliveries.get(), backlog.policy), (14, BacklogPolicy::DropOldest));
    let disk = disk.expect("a guard");
    assert!(disk.min_free == 15 && (disk.free)().is_ok_and(|free| free.is_some()));
    assert_eq!((rate_limit.map(u32::from), peers.len()), (Some(16), 1));
    let unset = settings(&[]);
    assert!(unset.backlog.is_none() && unset.rate_limit.is_none() && unset.peers.is_empty());
}

#[test]
fn a_wrong_flag_is_a_fault_of_the_configuration_that_names_it() {
    let told = configuration(&["serve", "--window", "none", "--heartbeat", "1h"]).expect_err("faults").to_string();
    assert!(
        told.contains("SLIPSTREAM_WINDOW (--window): got \"none\"") && told.contains("SLIPSTREAM_HEARTBEAT: "),
        "{told}"
    );
}

#[test]
fn what_is_not_understood_ends_with_status_2() {
    for line in [
        &["--windwo", "7"][..],
        &["--window", "7", "serve"],
        &["retry"],
        &["send", "--to", "ws://host/"],
        &["send", "--to", "ws://host/", "--type", "sk", "key", "value"],
        &["send", "--to", "ws://host/", "--tags", "a b", "key", "value"],
        &["listen", "--to", "ws://host/"],
        &["config"],
        &["config", "encode"],
        &["store"],
        &["store", "check", "--depth", "deep"],
        &["store", "backup"],
        &["store", "backup", "--admin", "http://127.0.0.1:8080", "--storage-path", "/a", "name"],
        &["store", "migrate", "--from", "sqlite:/a"],
        &["store", "migrate", "--from", "/a", "--to", "sqlite:/b"],
        &["store", "migrate", "--from", "sqlite:/a", "--to", "oracle:/b"],
        &["listen", "--to", "ws://host/", "--id", "a/b"],
        &["listen", "--to", "ws://host/", "--id", "a", "--count", "0"],
    ] {
        assert_eq!(parse(line).expect_err("refused").exit_code(), 2, "{line:?}");
    }
}

#[test]
fn each_help_has_an_example_and_commands_that_take_settings_show_them_all() {
    let subcommands = |of: &clap::Command, path: &str| {
        let named = |each: &clap::Command| (format!("{path} {}", each.get_name()), each.clone());
        of.get_subcommands().filter(|each| !each.is_hide_set()).map(named).collect::<Vec<_>>()
    };
    let mut all = vec![("slipstream".to_owned(), Cli::command())];
    for (name, command) in subcommands(&Cli::command(), "slipstream") {
        all.extend(subcommands(&command, &name));
        all.push((name, command));
    }
    let with_settings = ["slipstream", "slipstream serve", "slipstream config check", "slipstream config show"];
    assert!(with_settings.iter().all(|name| all.iter().any(|(each, _)| each == name)));
    for (name, mut command) in all {
        let help = command.render_long_help().to_string();
        let examples = examples(&help);
        assert!(!examples.is_empty(), "{name}: {help}");
        for example in examples {
            let understood = Cli::try_parse_from(shlex::split(&example).expect("words"));
            assert!(understood.is_ok(), "{example}: {}", understood.expect_err("refused"));
        }
        if with_settings.contains(&name.as_str()) {
            for setting in SETTINGS.iter().filter(|setting| !setting.is_token()) {
                assert!(help.contains(&format!("--{}", setting.flag())) && help.contains(setting.variable), "{name}");
            }
        }
    }
}

/// The commands that a help shows, without what the shell does with them.
fn examples(help: &str) -> Vec<String> {
    let (_, shown) = help.split_once("Example").expect("examples");
    let shown = shown.replace("\\\n", " ");
    let commands = shown.lines().filter_map(|line| line.find("slipstream ").map(|start| &line[start..]));
    commands.map(|command| command.split([')', '>']).next().unwrap_or_default().to_owned()).collect()
}
