//! The recorder behind the `metrics` macros, and its page in the text format of Prometheus.

use std::time::Duration;

use bytes::Bytes;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use tokio::task::JoinError;
use tokio::time::MissedTickBehavior;

/// How often the samples of histograms are folded into their buckets. Between two times they wait in memory, 8 bytes
/// each; at a fan-out there are more than a million a second.
const UPKEEP: Duration = Duration::from_millis(500);

/// A counter of the `metrics` crate is a whole number. So the processor time, of which fractions of a second matter, is
/// recorded as a gauge, and has its type put right on the page.
const CPU_AS_GAUGE: &str = "# TYPE process_cpu_seconds_total gauge\n";
const CPU_AS_COUNTER: &str = "# TYPE process_cpu_seconds_total counter\n";

/// Why there is no recorder.
#[derive(Debug, thiserror::Error)]
#[error("the metrics recorder cannot be installed: {0}")]
pub struct InstallError(#[from] BuildError);

/// The metrics of this process as a page. Cloning is cheap; all clones are one.
#[derive(Clone)]
pub struct MetricsPage {
    recorder: PrometheusHandle,
    process: Collector,
}

impl std::fmt::Debug for MetricsPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MetricsPage")
    }
}

impl MetricsPage {
    /// Installs the recorder of this process. `buckets` has the upper bounds of the buckets of each histogram; one
    /// that is not in it comes out as a summary.
    ///
    /// # Errors
    /// Where the process has a recorder already, or a histogram has no bounds.
    pub fn install(buckets: &[(&str, &[f64])]) -> Result<Self, InstallError> {
        let mut builder = PrometheusBuilder::new();
        for (name, bounds) in buckets {
            builder = builder.set_buckets_for_metric(Matcher::Full((*name).to_owned()), bounds)?;
        }
        let recorder = builder.install_recorder()?;
        let process = Collector::default();
        process.describe();
        Ok(Self { recorder, process })
    }

    /// The page: what was recorded, the metrics of the process as they are now, and what `sampled` records, which is on
    /// this page only. So the series of a peer leave with the peer. `sampled` records under names of its own.
    ///
    /// It is work for every series, so a thread is taken for it that nobody waits for.
    ///
    /// # Errors
    /// If making the page panicked.
    pub async fn render(self, sampled: impl FnOnce() + Send + 'static) -> Result<Bytes, JoinError> {
        let render = move || {
            self.process.collect();
            let on_this_page = PrometheusBuilder::new().build_recorder();
            metrics::with_local_recorder(&on_this_page, sampled);
            let page = self.recorder.render() + &on_this_page.handle().render();
            page.replacen(CPU_AS_GAUGE, CPU_AS_COUNTER, 1).into()
        };
        tokio::task::spawn_blocking(render).await
    }

    /// Keeps the memory of the recorder bounded where nobody asks for the page, for as long as it is polled. Without this
    /// task the samples of every histogram pile up.
    pub async fn upkeep(self) {
        let mut ticks = tokio::time::interval(UPKEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.recorder.run_upkeep();
        }
    }
}
