//! Two well-behaved peers that keep exchanging messages while something else happens to the relay.

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Peer, Relay, within};

/// A sender and a receiver at work.
#[derive(Debug)]
pub struct Pair {
    exchanged: watch::Receiver<u64>,
    work: JoinHandle<()>,
}

impl Pair {
    /// Begins. Messages of the pair target the tag `pair`, so that nobody else gets them.
    pub async fn start(relay: &Relay) -> Self {
        let mut receiver = Peer::connect(relay, "id=pair-receiver&tags=pair").await;
        let mut sender = Peer::connect(relay, "id=pair-sender").await;
        let (count, exchanged) = watch::channel(0);
        let work = tokio::spawn(async move {
            for number in 0.. {
                let id = format!("pair-{number}");
                let ack = sender.publish(json!({"type": "PAIR", "messageId": id, "targetedTags": ["pair"]})).await;
                assert_eq!(ack["messageId"], *id);
                assert_eq!(receiver.take().await.id(), id);
                if count.send(number + 1).is_err() {
                    return;
                }
            }
        });
        Self { exchanged, work }
    }

    /// Waits until the pair has exchanged another few messages from now on; ends the test where it was disturbed.
    pub async fn goes_on(&mut self) {
        let wanted = *self.exchanged.borrow() + 3;
        let going_on = self.exchanged.wait_for(|exchanged| *exchanged >= wanted);
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
