//! What the program makes for a shell and for a reader: completions and manual pages, in real shells and by a real checker.

#![cfg(test)]

mod support;

use std::path::Path;

use support::{assert_has, ran, run, written};

#[tokio::test]
async fn each_shell_reads_its_completions_and_fish_completes() {
    let folder = tempfile::tempdir().expect("a folder");
    for (shell, checks) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let (code, script, said) = ran(&["completions", shell], &[]).await;
        assert_eq!(code, Some(0), "{said}");
        run(shell, [checks, &written(folder.path(), shell, &script)], folder.path()).await;
    }
    // tests/commands.rs has bash do the same.
    for (typed, completed) in
        [("store back", "backup\t"), ("send --message-id-f", "--message-id-field\t"), ("m", "man\t")]
    {
        let ask = format!("source fish; complete --do-complete 'slipstream {typed}'");
        let found = run("fish", ["--no-config", "--command", &ask], folder.path()).await;
        assert!(found.lines().any(|line| line.starts_with(completed)), "{typed}: {found}");
    }
}

#[tokio::test]
async fn each_command_has_a_manual_page_without_a_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("man/man1");
    let (code, _, said) = ran(&["man", pages.to_str().expect("UTF-8")], &[]).await;
    assert_eq!(code, Some(0), "{said}");
    let mut names: Vec<_> =
        std::fs::read_dir(&pages).expect("a folder").map(|it| it.expect("a file").file_name()).collect();
    names.sort();
    assert!(names.len() > 30, "{names:?}");
    for name in &names {
        let name = name.to_str().expect("UTF-8");
        run("mandoc", ["-T", "lint", "-W", "error", name], &pages).await;
        // It is a page of something that a person can ask for.
        let command = name.strip_suffix(".1").expect("a page of section 1");
        let text = shown(&pages, name).await;
        assert_has(&text, [&format!("{command} - "), "SYNOPSIS", &format!("slipstream {}", env!("CARGO_PKG_VERSION"))]);
    }
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("worker")), "what is not for people: {names:?}");
    let send = shown(&pages, "slipstream-send.1").await;
    assert_has(&send, ["EXAMPLES", "--message-id-field", "SLIPSTREAM_URL"]);
    // An example stands in a line of its own.
    assert!(send.lines().any(|line| line.trim_start().starts_with("slipstream send ")), "{send}");

    let refused = written(folder.path(), "file", "");
    let (code, _, said) = ran(&["man", &refused], &[]).await;
    assert_eq!(code, Some(1));
    assert_has(&said, [refused.as_str()]);
}

/// A page as plain text.
async fn shown(pages: &Path, name: &str) -> String {
    run("sh", ["-c", "mandoc -T utf8 \"$0\" | sed 's/.\\x08//g'", name], pages).await
}
