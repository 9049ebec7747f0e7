//! The links of this relay: where each meets the stages, and which of two links of one peer stays.
//!
//! | file | subject |
//! | --- | --- |
//! | `seat` | a peer and its link, from the handshake to its end |
//! | `intake` | what the reader of a link does with a text |
//! | `peer_link`, `outbox` | what its writer gets to send: the answers to what was taken in, then deliveries |
//! | `live` | the links that live, one a peer |
//! | `takeovers` | whether links of one id throw each other out |
//! | `inflow` | what a peer sends: how much, and how fast it may |

mod inflow;
mod intake;
mod live;
mod outbox;
mod peer_link;
mod seat;
mod takeovers;

pub(super) use inflow::Inflows;
pub(super) use live::Links;
#[cfg(test)]
pub(super) use outbox::Outbox;
pub(super) use outbox::{Answer, Answers, ReplyTo};
pub(super) use seat::{PeerSeat, Terms};
pub(super) use takeovers::TakeOvers;
