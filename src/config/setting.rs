//! What a setting is called, and where its value may come from.

use std::fmt;

/// One setting, as far as it is text: what it is called, and what an operator is told about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The environment variable.
    pub variable: &'static str,
    /// The key in the TOML file; with `-` for `_` the flag.
    pub key: &'static str,
    /// What stands where nobody gives a value, as it would be written; empty where it stands for none.
    pub default: &'static str,
    /// What kind of value it takes, as help shows it.
    pub kind: &'static str,
    /// What it means.
    pub help: &'static str,
}

impl Setting {
    /// The name of its flag, without the leading dashes.
    #[must_use]
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// Whether it is an on-off switch, whose flag may stand without a value.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        self.kind == "BOOL"
    }

    /// Whether its value holds secrets, and so is never shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.kind == "PEERS" || self.is_token()
    }

    /// Whether it is a token. Such a setting has no flag, which everyone would see who can list the processes of the machine.
    #[must_use]
    pub fn is_token(&self) -> bool {
        self.kind == "TOKEN"
    }
}

/// Where the value of a setting came from, the strongest source first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A flag of the command line.
    Flag,
    /// An environment variable.
    Environment,
    /// The TOML file.
    File,
    /// Nobody gave one.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

/// What a setting comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The setting.
    pub setting: &'static Setting,
    /// The value as its source writes it, empty where there is none; `None` where it has a fault. For the peers it is
    /// how many they are, and of a token `hidden`, so nothing secret is in it.
    pub value: Option<String>,
    /// The strongest source that gives it.
    pub origin: Origin,
}
