//! What stands for the exporter where it is not compiled in: there is none. The configuration refuses to want one.

use slipstream_store::PeerId;

use crate::admin::SharedPage;
use crate::config::Config;
use crate::logging::Beside;

/// There is none.
pub(crate) enum Exporter {}

/// There is none.
pub(crate) enum Exporting {}

impl Exporter {
    pub(crate) fn of(_: &Config) -> Option<Self> {
        None
    }

    pub(crate) fn layer(&self) -> Beside {
        match *self {}
    }

    pub(crate) fn start(self, _: &PeerId, _: SharedPage) -> Exporting {
        match self {}
    }
}

impl Exporting {
    #[expect(clippy::unused_async, reason = "the exporter that is compiled in waits")]
    pub(crate) async fn finish(self) {
        match self {}
    }
}
