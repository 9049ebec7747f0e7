//! The relay in a simulation: whole meshes of the real core, on simulated clocks, networks and disks, driven by a seed.
//!
//! Everything that happens follows from the seed, so that a run that fails can be had again, event by event.
//! `docs/simulation.md` tells how it works, how to replay a seed, and how to add a fault or an invariant.
//!
//! | file | subject |
//! | --- | --- |
//! | `world`, `run` | time, randomness, the trace; the life of a simulation |
//! | `plan` | what a simulation is made of |
//! | `network/`, `disk`, `clock` | what a relay stands on |
//! | `relay`, `application/` | who takes part |
//! | `faults` | what befalls them |
//! | `invariants/` | what must hold |
//! | `single`, `mesh`, `stages`, `receivers`, `bites` | the tests; `seeds` tells which seeds run, `tampering` breaks streams |

#![cfg(test)]

mod application;
mod clock;
mod cluster;
mod disk;
mod faults;
mod invariants;
mod network;
mod plan;
mod relay;
mod run;
mod seeds;
mod world;

mod bites;
mod mesh;
mod receivers;
mod single;
mod stages;
mod tampering;
