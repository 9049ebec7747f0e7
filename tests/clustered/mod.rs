//! One relay as several processes, and everything around it: the database, the ways to it, applications, an oracle and a
//! script of faults.
//!
//! | file | subject |
//! | --- | --- |
//! | `ways` | the ways of a process to the servers, which can be cut, slowed and made to go silent |
//! | `database` | a primary and its standby, and what befalls them |
//! | `member` | one of the relay's processes, and what befalls it |
//! | `grounds` | all of these together, as a test wants them |
//! | `awake` | for how long each process has run without being stopped |
//! | `traffic` | what applications send, and to whom it goes |
//! | `application`, `session` | an application server that lives through everything, and its links |
//! | `oracle`, `receiver` | what must hold of what they get |
//! | `counts` | what happened, for the end of a run |
//! | `faults`, `campaign` | the script of faults, and the run |
//! | `together`, `failover`, `stopped` | small tests, each of one promise |

mod application;
mod awake;
mod campaign;
mod counts;
mod database;
mod failover;
mod faults;
mod grounds;
mod member;
mod oracle;
mod receiver;
mod session;
mod stopped;
mod together;
mod traffic;
mod ways;
