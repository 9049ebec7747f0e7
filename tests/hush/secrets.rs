//! The secrets, and the search for them in what was printed.

use std::collections::HashMap;
use std::mem;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use crate::support::Process;

/// So many characters of a secret in a row are a part of it that nobody may see.
const PART: usize = 12;

/// Secrets, and where they were found.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    parts: HashMap<String, &'static str>,
    looked_at: usize,
    found: Vec<String>,
}

impl Secrets {
    /// Makes a secret that nothing else looks like.
    pub(super) fn make(&mut self, what: &'static str) -> String {
        let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(40).collect();
        self.keep(what, &random);
        random
    }

    /// Keeps a secret as it is, and in base64 wherever it may stand in what is encoded.
    pub(super) fn keep(&mut self, what: &'static str, secret: &str) {
        self.parts_of(what, secret);
        for before in 0..3 {
            for alphabet in [&STANDARD, &URL_SAFE] {
                let encoded = alphabet.encode([&vec![0; before], secret.as_bytes()].concat());
                // The first and the last characters are also of what stands beside it.
                self.parts_of(what, &encoded[4..encoded.len() - 4]);
            }
        }
    }

    /// Keeps a key in PEM: its lines, one after the other.
    pub(super) fn keep_key(&mut self, what: &'static str, pem: &str) {
        let lines: Vec<&str> = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        self.keep(what, &lines.concat());
        for line in lines.iter().filter(|line| line.len() >= PART) {
            self.parts_of(what, line);
        }
    }

    fn parts_of(&mut self, what: &'static str, text: &str) {
        assert!(text.is_ascii() && text.len() >= PART, "{text:?}");
        self.parts.extend((PART..=text.len()).map(|end| (text[end - PART..end].to_owned(), what)));
    }

    /// Looks for them in what was printed there.
    pub(super) fn look(&mut self, place: &str, printed: &str) {
        self.looked_at += printed.len();
        for line in printed.lines() {
            let parts = line.as_bytes().windows(PART).filter_map(|part| self.parts.get(str::from_utf8(part).ok()?));
            if let Some(what) = parts.max() {
                let line: String = line.chars().take(400).collect();
                self.found.push(format!("{what} in what {place} printed: {line}"));
            }
        }
        assert!(!printed.contains("panicked at"), "{place} panicked:\n{printed}");
    }

    /// Runs a command to its end, feeds it, and looks for them in what it prints.
    pub(super) async fn look_at(&mut self, arguments: &[&str], environment: &[(&str, &str)], fed: &str) {
        let (stdout, stderr) = run(arguments, environment, fed).await;
        let names: Vec<&str> = environment.iter().map(|(name, _)| *name).collect();
        self.look(&format!("{arguments:?} with {names:?}"), &[stdout, stderr].join("\n"));
    }

    /// The same with a command that prints secrets on stdout if all is well, which it is asked for.
    pub(super) async fn look_at_faults(&mut self, arguments: &[&str], environment: &[(&str, &str)], fed: &str) {
        let (_, stderr) = run(arguments, environment, fed).await;
        self.look(&format!("{arguments:?}"), &stderr);
    }

    /// Asserts that something was looked at, and none of them was found.
    pub(super) fn assert_kept(&mut self) {
        assert!(self.looked_at > 0);
        let found = mem::take(&mut self.found);
        assert!(found.is_empty(), "{} times:\n{}", found.len(), found.join("\n"));
    }
}

/// What a command prints on stdout and on stderr.
async fn run(arguments: &[&str], environment: &[(&str, &str)], fed: &str) -> (String, String) {
    let mut process = Process::spawn(arguments, &[environment, &[("RUST_BACKTRACE", "1")]].concat());
    process.feed(fed).await;
    process.end().await;
    (process.stdout(), process.stderr())
}

#[test]
fn each_form_of_a_secret_is_found() {
    let mut secrets = Secrets::default();
    let secret = secrets.make("a token");
    secrets.look("nobody", "nothing of it");
    secrets.assert_kept();
    let entry = |before: &str| format!(r#"{before}[{{"url":"ws://host/","token":"{secret}"}}]"#);
    for printed in [
        format!("token={secret}"),
        format!("token={}…", &secret[20..32]),
        STANDARD.encode(entry("")),
        URL_SAFE.encode(entry("1")),
        STANDARD.encode(entry("12")),
    ] {
        secrets.look("somebody", &printed);
        assert_eq!(mem::take(&mut secrets.found).len(), 1, "{printed}");
    }
    secrets.look("somebody", &secret[..11]);
    secrets.assert_kept();
}
