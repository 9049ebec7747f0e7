//! The attacker of `tests/attacker.rs`.
//!
//! | file | subject |
//! | --- | --- |
//! | `siege` | one run: attackers, good peers meanwhile, and what is looked at |
//! | `limits` | the settings of the relay, and the memory and descriptors that follow from them |
//! | `surfaces` | the ways in from outside, and what an attacker does on each |
//! | `dice` | what an attacker does, from a seed |
//! | `line` | a connection of an attacker |
//! | `requests`, `frames` | upgrade requests, and what comes over links |
//! | `records` | TLS that goes wrong |
//! | `proxy_header` | what a proxy says of its client |
//! | `http` | requests to the port for operators |

mod dice;
mod frames;
mod http;
mod limits;
mod line;
mod proxy_header;
mod records;
mod requests;
mod siege;
mod surfaces;

pub(crate) use limits::flags;
pub(crate) use siege::withstand;
pub(crate) use surfaces::{Admin, Credentials, PROXY, Plain, Proxied, Tls};
