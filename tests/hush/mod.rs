//! What `tests/secrets.rs` shows.
//!
//! | file | subject |
//! | --- | --- |
//! | `secrets` | the secrets, and the search for them |
//! | `logged` | a relay, all of whose log is kept |
//! | `configurations` | settings, URL_CONFIG, files: right, and with faults beside a secret |
//! | `relays` | relays that run: their logs, their pages, and what peers are answered |
//! | `commands` | what the commands say |

mod commands;
mod configurations;
mod logged;
mod relays;
mod secrets;
