//! The tasks that export, from the start of the relay to its end.

use std::sync::Arc;
use std::time::Duration;

use slipstream_store::PeerId;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::collector::Collector;
use super::layer::{self, SpanLayer};
use super::{metrics, resource, spans};
use crate::admin::SharedPage;
use crate::config::Config;
use crate::logging::Beside;

/// How long the end of the relay waits for the last spans to be taken.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// An exporter that has not begun. Spans wait for it.
pub(crate) struct Exporter {
    collector: Collector,
    interval: Duration,
    spans: mpsc::Sender<layer::Span>,
    queue: mpsc::Receiver<layer::Span>,
    /// When the counters of this process began, in nanoseconds since the Unix epoch.
    since: u64,
}

/// An exporter that runs, until it is dropped.
pub(crate) struct Exporting {
    end: CancellationToken,
    spans: AbortOnDropHandle<()>,
    _metrics: AbortOnDropHandle<()>,
}

impl Exporter {
    /// The exporter that the configuration wants, if it wants one.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let collector = Collector::new(config.otlp_endpoint.clone()?, config.otlp_headers.clone().unwrap_or_default());
        let (spans, queue) = mpsc::channel(layer::QUEUED_SPANS);
        Some(Self { collector, interval: config.otlp_metrics_interval, spans, queue, since: layer::now() })
    }

    /// What takes the events of spans.
    pub(crate) fn layer(&self) -> Beside {
        Box::new(SpanLayer::new(self.spans.clone()))
    }

    /// Begins to export what this relay does, and the metrics of this page.
    pub(crate) fn start(self, relay: &PeerId, page: SharedPage) -> Exporting {
        let Self { collector, interval, queue, since, .. } = self;
        let (collector, resource, end) = (Arc::new(collector), resource::of(relay), CancellationToken::new());
        let spans = spans::export(Arc::clone(&collector), resource.clone(), queue, end.clone());
        let metrics = metrics::export(collector, resource, page, interval, since);
        Exporting {
            end,
            spans: AbortOnDropHandle::new(tokio::spawn(spans)),
            _metrics: AbortOnDropHandle::new(tokio::spawn(metrics)),
        }
    }
}

impl Exporting {
    /// Has the spans that wait be sent once, if the collector takes them soon.
    pub(crate) async fn finish(self) {
        self.end.cancel();
        if timeout(LAST_SPANS, self.spans).await.is_err() {
            warn!("the collector did not take the last spans within {LAST_SPANS:?}");
        }
    }
}
