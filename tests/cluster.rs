//! Several relays as one, on a real PostgreSQL with a synchronous standby: what each link promises, and a campaign of
//! faults under load (`docs/cluster-testing.md`).

#![cfg(test)]

mod clustered;
mod support;
