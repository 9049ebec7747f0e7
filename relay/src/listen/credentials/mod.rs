//! The authorizer that knows credentials: bearer tokens and names of client certificates, each bound to ids and tags,
//! and to what may be sent with it.
//!
//! | file | subject |
//! | --- | --- |
//! | `credential` | one credential, and whether it permits what a peer says of itself |
//! | `pattern` | the ids or the tags that a credential is for |
//! | `token` | the hash of a token |
//! | `table` | which of several credentials is the one of a peer. Pure. |
//! | `authorizer` | the credentials in force, and how they are replaced |

mod authorizer;
mod credential;
mod pattern;
mod table;
#[cfg(test)]
mod tests;
mod token;

pub use authorizer::{Credentials, Replaced};
pub use credential::{Credential, Proof};
pub use pattern::{InvalidPattern, Pattern};
pub use token::TokenHash;
