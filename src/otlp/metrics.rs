//! The metrics page on its way to the collector, every while. One that is not taken is made up for by the next.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::collector::{self, Collector};
use super::layer::now;
use super::points::{self, Times};
use super::{page, resource};
use crate::admin::SharedPage;

const PATH: &str = "/v1/metrics";

/// Exports the page for as long as it is polled, for the first time at once.
pub(super) async fn export(
    collector: Arc<Collector>,
    resource: Resource,
    shown: SharedPage,
    every: Duration,
    since: u64,
) {
    metrics::describe_counter!(
        "slipstream_otlp_requests_total",
        "Requests to the collector of OpenTelemetry that failed, by path"
    );
    [PATH, "/v1/traces"].into_iter().for_each(|path| collector::counter(path, "failed").increment(0));
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let text = match shown.get().await {
            Ok(text) => text,
            Err(error) => {
                warn!(%error, "the metrics could not be read for the collector");
                continue;
            }
        };
        let times = Times { since, now: now() };
        let families = page::read(&String::from_utf8_lossy(&text));
        let metrics = families.iter().map(|family| points::metric(family, times)).collect();
        let scope = ScopeMetrics { scope: Some(resource::scope()), metrics, ..ScopeMetrics::default() };
        let of_relay = ResourceMetrics {
            resource: Some(resource.clone()),
            scope_metrics: vec![scope],
            ..ResourceMetrics::default()
        };
        // What fails was said and counted.
        let _ = collector.send(PATH, &ExportMetricsServiceRequest { resource_metrics: vec![of_relay] }).await;
    }
}
