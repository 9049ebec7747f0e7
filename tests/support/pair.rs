//! Two well-behaved peers that keep exchanging messages while something else happens to the relay.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Peer, Relay, within};

/// The tag that the messages of a pair target.
pub const TAG: &str = "pair";

/// A sender and a receiver at work.
#[derive(Debug)]
pub struct Pair {
    exchanged: watch::Receiver<Exchanged>,
    work: JoinHandle<()>,
}

/// What a pair has exchanged so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Exchanged {
    /// Messages that were confirmed and have come.
    pub messages: u64,
    /// The longest that one took for both.
    pub slowest: Duration,
}

impl Pair {
    /// Begins. Messages of the pair target the tag `pair`, so that nobody else gets them.
    pub async fn start(relay: &Relay) -> Self {
        let receiver = Peer::connect(relay, &format!("id=pair-receiver&tags={TAG}")).await;
        Self::of(Peer::connect(relay, "id=pair-sender").await, receiver)
    }

    /// The same with peers that are linked already; the receiver has the tag [`TAG`].
    pub fn of(mut sender: Peer, mut receiver: Peer) -> Self {
        let (count, exchanged) = watch::channel(Exchanged::default());
        let work = tokio::spawn(async move {
            while !count.is_closed() {
                let Exchanged { messages, slowest } = *count.borrow();
                let (id, began) = (format!("pair-{messages}"), Instant::now());
                let ack = sender.publish(json!({"type": "PAIR", "messageId": id, "targetedTags": [TAG]})).await;
                assert_eq!(ack["messageId"], *id);
                assert_eq!(receiver.take().await.id(), id);
                count.send_replace(Exchanged { messages: messages + 1, slowest: slowest.max(began.elapsed()) });
            }
        });
        Self { exchanged, work }
    }

    /// What it has exchanged so far.
    pub fn exchanged(&self) -> Exchanged {
        *self.exchanged.borrow()
    }

    /// Waits until the pair has exchanged another few messages from now on; ends the test where it was disturbed.
    pub async fn goes_on(&mut self) {
        let wanted = self.exchanged().messages + 3;
        let going_on = self.exchanged.wait_for(|exchanged| exchanged.messages >= wanted);
        if within("the pair's next messages", going_on).await.is_err() {
            panic!("the pair was disturbed: {:?}", (&mut self.work).await);
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.work.abort();
    }
}
