//! What a command shows a relay that asks who calls: a token from a file or from the environment. There is no flag for
//! the token itself, since everyone who can list the processes of the machine sees flags.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::{self, MAX_TOKEN, TOKEN};
use crate::link::Secret;

/// Where the token stands.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct TokenFlag {
    /// Shows the relay the token in this file. Without it the token is that in the variable SLIPSTREAM_TOKEN, if that is
    /// set.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl TokenFlag {
    /// The token, if there is one.
    ///
    /// # Errors
    /// What is wrong with it, in words that do not repeat it.
    pub(super) fn read(&self) -> Result<Option<Secret>, String> {
        token(self.token_file.as_deref(), TOKEN)
    }
}

/// The token in this file, otherwise in this variable, if there is one.
///
/// # Errors
/// What is wrong with it, in words that do not repeat it.
pub(super) fn token(file: Option<&Path>, variable: &'static str) -> Result<Option<Secret>, String> {
    let text = std::env::var_os(variable).map(|token| token.to_string_lossy().into_owned());
    read_from(file, (variable, text.filter(|token| !token.is_empty())))
}

fn read_from(file: Option<&Path>, variable: (&str, Option<String>)) -> Result<Option<Secret>, String> {
    let (place, text) = match (file, variable) {
        // The path is not repeated: it may be the token itself.
        (Some(file), _) => ("--token-file", config::read_file(file).map_err(|error| format!("--token-file: {error}"))?),
        (None, (variable, Some(text))) => (variable, text),
        (None, (_, None)) => return Ok(None),
    };
    let expected = || format!("{place}: expected a token alone, 1 to {MAX_TOKEN} of the ASCII characters ! to ~");
    config::token(text.trim()).map(Some).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: Option<&Path>, variable: Option<&str>) -> Result<Option<String>, String> {
        let read = read_from(file, (TOKEN, variable.map(str::to_owned)))?;
        Ok(read.map(|secret| secret.expose().to_owned()))
    }

    #[test]
    fn the_file_wins_over_the_variable_and_neither_is_repeated() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        std::fs::write(&file, "\u{feff}hush-1\n").expect("it is written");
        assert_eq!(read(None, None), Ok(None));
        assert_eq!(read(None, Some("hush-2")), Ok(Some("hush-2".to_owned())));
        assert_eq!(read(Some(&file), Some("hush-2")), Ok(Some("hush-1".to_owned())));
        for wrong in ["", "hush hush", "hush\nhush", "hüsh", &"hush".repeat(2000)] {
            std::fs::write(&file, wrong).expect("it is written");
            let told = read(Some(&file), None).expect_err("refused");
            assert!(told.starts_with("--token-file: ") && !told.contains("hush") && !told.contains("hüsh"), "{told}");
        }
        assert!(read(None, Some("hu sh")).expect_err("refused").starts_with("SLIPSTREAM_TOKEN: "));
        assert!(read(Some(&folder.path().join("gone")), None).expect_err("refused").contains("no such file"));
    }
}
