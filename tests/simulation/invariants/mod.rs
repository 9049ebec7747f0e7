//! What must hold. The oracle hears of everything that applications do and of everything that is committed, and says
//! at once when the two do not fit.
//!
//! | file | subject |
//! | --- | --- |
//! | `facts` | what the oracle knows |
//! | `senders` | what is confirmed is kept; what is recorded was sent, once, in order |
//! | `receivers` | what is delivered was sent, is stored, comes in order, once, by a real path, and within the window |
//! | `settlements` | every delivery that ends has a reason |
//! | `ending` | once faults have stopped, nothing is missing and nothing is left |
//! | `agreement` | relays agree on what they handed to each other |

mod agreement;
mod ending;
mod facts;
mod receivers;
mod senders;
mod settlements;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use slipstream::store::PeerId;

use self::facts::Facts;
use crate::clock::MachineClock;
use crate::plan::Plan;
use crate::world::World;

/// Watches a simulation.
#[derive(Debug)]
pub(crate) struct Oracle {
    world: Arc<World>,
    plan: Arc<Plan>,
    facts: Mutex<Facts>,
}

impl Oracle {
    pub(crate) fn new(world: &Arc<World>, plan: &Arc<Plan>) -> Arc<Self> {
        let mut facts = Facts::default();
        for relay in &plan.relays {
            facts.relays.insert(relay.id.clone(), facts::Relay::default());
        }
        for application in &plan.applications {
            let known = facts::Application {
                durable: application.durable,
                home: plan.relays[application.home].id.clone(),
                tags: application.tags.clone(),
                ..facts::Application::default()
            };
            facts.applications.insert(application.id.clone(), known);
        }
        Arc::new(Self { world: Arc::clone(world), plan: Arc::clone(plan), facts: Mutex::new(facts) })
    }

    /// The clock of the machine that a relay runs on.
    pub(crate) fn clock_of(&self, relay: &PeerId) -> MachineClock {
        known(&mut self.facts.lock().relays, relay).clock.clone()
    }

    /// How many messages were sent, and how many came to applications for the first time.
    pub(crate) fn counts(&self) -> Counts {
        let facts = self.facts.lock();
        let received = facts.applications.values().map(|application| application.received.len()).sum();
        let again = facts.applications.values().map(|application| application.received_again).sum();
        let ended = facts.relays.values().flat_map(|relay| &relay.ended).fold(
            BTreeMap::<_, u64>::new(),
            |mut counts, (how, count)| {
                *counts.entry(*how).or_default() += count;
                counts
            },
        );
        Counts { sent: facts.messages.len(), received, again, ended }
    }
}

/// How much happened in a simulation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Messages that applications sent.
    pub(crate) sent: usize,
    /// First receipts, summed over the applications.
    pub(crate) received: usize,
    /// Further receipts.
    pub(crate) again: u64,
    /// How deliveries ended.
    pub(crate) ended: BTreeMap<&'static str, u64>,
}

/// The application or relay of that name; there is one for every name that the simulation uses.
fn known<'a, T>(all: &'a mut BTreeMap<PeerId, T>, id: &PeerId) -> &'a mut T {
    all.get_mut(id).expect("everyone who takes part is known")
}
