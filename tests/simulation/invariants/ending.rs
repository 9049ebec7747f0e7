//! Once faults have stopped, nothing is missing and nothing is left.

use std::collections::BTreeMap;

use slipstream::relay::Observation;
use slipstream::store::{DeliveryState, Depth, Identity, MessageStore as _, PeerId, Roster};

use super::Oracle;
use crate::disk::{Disk, at_once};

/// Most of what a text has besides the padding of its value.
const TEXT: usize = 1_024;

impl Oracle {
    /// What is still to be done: messages without a confirm, and deliveries that are owed.
    pub(crate) fn outstanding(&self, disks: &BTreeMap<PeerId, std::sync::Arc<Disk>>) -> Vec<String> {
        let facts = self.facts.lock();
        let mut outstanding: Vec<String> = facts
            .messages
            .values()
            .filter(|message| {
                // One that keeps nothing waits for what it has sent on the link that it has.
                let sender = &facts.applications[&message.sent.origin];
                !message.confirmed && (sender.durable || message.sends.iter().any(|(link, _)| *link == sender.link))
            })
            .map(|message| format!("{} is not confirmed", message.sent.identity))
            .collect();
        drop(facts);
        for (relay, disk) in disks {
            let roster: Roster = disk.look(|store| at_once(store.roster())).expect("the model can be read");
            let owed = roster.peers.iter().filter(|peer| peer.backlog > 0);
            outstanding.extend(owed.map(|it| format!("{relay} owes {} to {}", it.backlog, it.peer.id)));
        }
        outstanding
    }

    /// Everyone has what is meant for them, or there is a reason.
    pub(crate) fn nothing_is_missing(&self, disks: &BTreeMap<PeerId, std::sync::Arc<Disk>>) {
        let facts = self.facts.lock();
        for (identity, message) in facts.messages.iter().filter(|(_, message)| message.confirmed) {
            for application in &message.expected {
                let received = facts.applications[application].received.contains_key(identity);
                self.world.holds("nothing is missing", received || ended_on_the_way(identity, disks), || {
                    format!("{application} never got {identity}, sent at {:?}", message.first_sent)
                });
            }
        }
    }

    /// What each application handled last of a key is the newest that it ever handled, unless that one was not settled.
    pub(crate) fn the_newest_is_last(&self) {
        let facts = self.facts.lock();
        for (id, application) in &facts.applications {
            let dropped = &facts.relays[&application.home].dropped;
            for (key, handled) in &application.handled {
                let is_last = handled.last == handled.newest || dropped.contains(&(id.clone(), handled.newest));
                self.world.holds("the newest value is handled last", is_last || !application.durable, || {
                    format!("{id} handled {handled:?} of {key:?}")
                });
            }
        }
    }

    /// What a relay says of itself fits its store, and its limits.
    pub(crate) fn observed(&self, relay: &PeerId, observation: &Observation, disk: &Disk, at_rest: bool) {
        let window = self.plan.settings.delivery.window.get() as usize;
        for peer in &observation.peers {
            self.world.holds("the window is kept", peer.in_flight <= window, || {
                format!("{relay} has {} in flight to {}; the window is {window}", peer.in_flight, peer.peer.id)
            });
        }
        self.memory_is_bounded(relay, observation);
        if at_rest {
            let roster: Roster = disk.look(|store| at_once(store.roster())).expect("the model can be read");
            for remembered in &roster.peers {
                let seen = observation.peers.iter().find(|peer| peer.peer.id == remembered.peer.id);
                self.world.holds("counts are right", seen.is_some_and(|it| it.backlog == remembered.backlog), || {
                    format!("{relay} says {seen:?}; its store owes {}", remembered.backlog)
                });
            }
        }
    }

    /// What waits in memory, to be sent for the first time and to be sent again, stays within the limits. One delivery
    /// may wait for each, however long it is; and all may read one page at the moment when they reach what they may
    /// keep together.
    fn memory_is_bounded(&self, relay: &PeerId, observation: &Observation) {
        let stages = &self.plan.settings.stages;
        let longest = TEXT + self.plan.applications.iter().map(|it| it.topics.padding).max().unwrap_or(0);
        let (most, together) = (
            2 * (stages.lane_bytes + longest),
            stages.lanes_bytes + observation.peers.len() * (stages.page.bytes.get() + 2 * longest),
        );
        let queued = observation.peers.iter().map(|peer| peer.queued_bytes);
        let within = queued.clone().all(|bytes| bytes <= most) && queued.clone().sum::<usize>() <= together;
        self.world.holds("memory is bounded", within, || {
            let queued: Vec<_> = queued.collect();
            format!("{relay} keeps {queued:?} bytes to be sent; it may keep {most} for each peer, {together} for all")
        });
    }

    /// The store does not contradict itself, and keeps no more than it should.
    pub(crate) fn store_is_sound(&self, relay: &PeerId, disk: &Disk) {
        let defects = disk.look(|store| at_once(store.check(Depth::Full))).expect("the model can be read");
        self.world.holds("stores are sound", defects.is_empty(), || format!("{relay}: {defects:?}"));
    }

    /// At rest a store keeps no messages, and no more identities than it may.
    pub(crate) fn store_is_bounded(&self, relay: &PeerId, disk: &Disk) {
        let stats = disk.look(|store| at_once(store.stats())).expect("the model can be read");
        let most = self.plan.settings.dedup_max;
        self.world.holds("stores stay bounded", stats.messages == 0 && stats.identities <= most, || {
            format!("{relay}: {stats:?}, at most {most} identities")
        });
    }
}

/// Whether a delivery of the message was superseded, expired or given up somewhere. Each of these was checked when it
/// was committed.
fn ended_on_the_way(identity: &Identity, disks: &BTreeMap<PeerId, std::sync::Arc<Disk>>) -> bool {
    disks.values().any(|disk| {
        let trace = disk.look(|store| at_once(store.deliveries(identity))).expect("the model can be read");
        trace.is_some_and(|trace| {
            trace.deliveries.iter().any(|delivery| {
                matches!(delivery.state, DeliveryState::Superseded | DeliveryState::Expired | DeliveryState::Dead)
            })
        })
    })
}
