//! What other senders send to the links of a load.

use slipstream_relay::link::FrameBatch;

/// Most messages of others that wait to be acknowledged. Those beyond are left to the relay, which forgets them with
/// the link.
const MAX_FOREIGN: usize = 1_024;

/// Messages of other senders that came over a link. They are acknowledged, so that they leave no dead letters.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    ids: Vec<String>,
}

impl Foreign {
    pub(crate) fn take(&mut self, id: String) {
        if self.ids.len() < MAX_FOREIGN {
            self.ids.push(id);
        }
    }

    pub(crate) fn acknowledge(&mut self, frames: &mut FrameBatch) {
        for id in self.ids.drain(..) {
            frames.text(|out| out.extend_from_slice(format!(r#"{{"type":"ACK","messageId":{id}}}"#).as_bytes()));
        }
    }
}
