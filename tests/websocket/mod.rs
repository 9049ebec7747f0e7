//! The cases of RFC 6455 as values, the ends against which they are played, and what plays them.
//!
//! | file | subject |
//! | --- | --- |
//! | `frame`, `case` | frames and cases as values |
//! | `cases/` | the list of cases, a file for each subject |
//! | `handshake`, `player` | how a case is played over a socket |
//! | `ours`, `libraries` | the ends: our link code, and echoes in other libraries |
//! | `known` | the differences, read from `docs/rfc6455.md` |
//! | `autobahn` | our ends against the Autobahn testsuite, where there is one |

mod autobahn;
mod case;
pub(crate) mod cases;
mod frame;
pub(crate) mod handshake;
pub(crate) mod known;
pub(crate) mod libraries;
pub(crate) mod ours;
mod player;

pub(crate) use self::player::play;
