//! What must hold for whatever comes from outside, as functions that take any bytes and panic if it does not.
//!
//! Each is driven twice: for hours by the fuzz target of its name in `fuzz/fuzz_targets/`, and for seconds by proptest in
//! CI, which varies the same seeds. `docs/fuzzing.md` says what each of them is for.
//!
//! | file | what comes from outside |
//! | --- | --- |
//! | `envelope` | the text of a message, an ACK or a NACK |
//! | `frames` | the bytes of a link after its handshake |
//! | `handshake` | an upgrade request, and the frames right behind it |
//! | `answer` | what a dialled server answers to an upgrade request |
//! | `proxy_header` | the first bytes of a connection from a proxy |
//! | `rows`, `ledger` | the rows of a store: one by one, and a whole store of them |
//! | `url_config`, `auth_file` | the peers to dial, the settings file, and the credentials |
//! | `pem` | certificates, keys and lists of revoked ones |
//! | `medium` | an engine whose rows are in memory |
//! | `scripted` | a stream that gives bytes in pieces |
//! | `link` | a link or a listener that is run on such a stream |
//! | `head` | where the head of a request or an answer ends |
//! | `told` | what an error may say |

mod answer;
mod auth_file;
mod envelope;
mod frames;
mod handshake;
mod head;
mod ledger;
mod link;
mod medium;
mod pem;
mod proxy_header;
mod rows;
mod scripted;
mod told;
mod url_config;

pub use answer::answer;
pub use auth_file::auth_file;
pub use envelope::envelope;
pub use frames::frames;
pub use handshake::handshake;
pub use ledger::ledger;
pub use pem::pem;
pub use proxy_header::proxy_header;
pub use rows::rows;
pub use url_config::url_config;

/// A property, by the name that its fuzz target and the folder of its seeds have too.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    /// The name.
    pub name: &'static str,
    /// Panics if the property does not hold for this input.
    pub holds: fn(&[u8]),
}

/// Every property.
pub const ALL: [Property; 10] = [
    Property { name: "answer", holds: answer },
    Property { name: "auth_file", holds: auth_file },
    Property { name: "envelope", holds: envelope },
    Property { name: "frames", holds: frames },
    Property { name: "handshake", holds: handshake },
    Property { name: "ledger", holds: ledger },
    Property { name: "pem", holds: pem },
    Property { name: "proxy_header", holds: proxy_header },
    Property { name: "rows", holds: rows },
    Property { name: "url_config", holds: url_config },
];
