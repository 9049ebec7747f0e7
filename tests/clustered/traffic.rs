//! What applications send, and to whom it goes. It follows from the seed, the sender and the number of the message, so
//! that everyone who looks at a message knows what must become of it.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use super::member::RELAY;

/// How many tags there are; each application has one of them.
const TAGS: usize = 5;

/// Of a hundred messages: so many name their receivers, and so many of the others name a tag. The rest is for all.
const NAMED: u64 = 60;
const TAGGED: u64 = 32;

/// What makes messages as large as messages are.
const FILL: usize = 200;

/// Which message: whose, and which of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) sender: usize,
    pub(crate) number: u64,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", id(self.sender), self.number)
    }
}

impl FromStr for Name {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.strip_prefix("app-").ok_or(())?.split('-').map(str::parse::<u64>);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(Ok(sender)), Some(Ok(number)), None) => {
                Ok(Self { sender: usize::try_from(sender).map_err(drop)?, number })
            }
            _ => Err(()),
        }
    }
}

/// The id of an application.
pub(crate) fn id(application: usize) -> String {
    format!("app-{application}")
}

/// The tag of an application.
pub(crate) fn tag(application: usize) -> String {
    format!("tag-{}", application % TAGS)
}

/// What all applications send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic {
    pub(crate) seed: u64,
    pub(crate) applications: usize,
}

#[derive(Debug, Clone, Copy)]
enum For {
    Two([usize; 2]),
    Tag(usize),
    All,
}

impl Traffic {
    /// For whom a message is.
    fn is_for(self, Name { sender, number }: Name) -> For {
        let mut random = fastrand::Rng::with_seed(self.seed ^ ((sender as u64) << 48) ^ number);
        // Neighbouring seeds give neighbouring first numbers.
        random.u64(..);
        match random.u64(..100) {
            kind if kind < NAMED => {
                // Among the others, by their distance.
                let other =
                    |random: &mut fastrand::Rng| (sender + random.usize(1..self.applications)) % self.applications;
                For::Two([other(&mut random), other(&mut random)])
            }
            kind if kind < NAMED + TAGGED => For::Tag(random.usize(..TAGS)),
            _ => For::All,
        }
    }

    /// Whether a message goes to an application.
    pub(crate) fn goes_to(self, name: Name, application: usize) -> bool {
        application != name.sender
            && match self.is_for(name) {
                For::Two(both) => both.contains(&application),
                For::Tag(tag) => application % TAGS == tag,
                For::All => true,
            }
    }

    /// A message as its sender writes it.
    pub(crate) fn text(self, name: Name) -> String {
        let fill = "x".repeat(FILL);
        let mut message = json!({"type": "EVENT", "messageId": name.to_string(), "value": [name.number, fill]});
        match self.is_for(name) {
            For::Two(both) => message["targetedInstances"] = both.map(id).to_vec().into(),
            For::Tag(number) => message["targetedTags"] = json!([tag(number)]),
            For::All => {}
        }
        message.to_string()
    }
}

/// The name of a message that came, if it is one as the relay passes it on.
pub(crate) fn name_of(message: &Value) -> Option<Name> {
    let name: Name = message["messageId"].as_str()?.parse().ok()?;
    let sender = id(name.sender);
    let is_whole = message["messagePath"] == json!([sender, RELAY])
        && message["originInstanceId"] == sender.as_str()
        && message["value"] == json!([name.number, "x".repeat(FILL)]);
    is_whole.then_some(name)
}
