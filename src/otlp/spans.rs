//! Spans on their way from the queue to the collector, in batches. What it does not take is tried again; meanwhile the
//! queue fills, and drops.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::collector::{Collector, Failure};
use super::resource;

const PATH: &str = "/v1/traces";

/// Most spans in one request.
const MAX_BATCH: usize = 512;

/// How long a span waits for others that go with it.
const LINGER: Duration = Duration::from_secs(1);

/// The pause after a first failure; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause, also if the collector asks for a longer one.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// That many spans were dropped.
pub(super) fn dropped(spans: u64) {
    count("dropped", spans);
}

fn count(outcome: &'static str, spans: u64) {
    metrics::counter!("slipstream_otlp_spans_total", "outcome" => outcome).increment(spans);
}

/// Exports spans until `end`, and then what waits, once.
pub(super) async fn export(
    collector: Arc<Collector>,
    resource: Resource,
    mut queue: mpsc::Receiver<Span>,
    end: CancellationToken,
) {
    metrics::describe_counter!(
        "slipstream_otlp_spans_total",
        "Spans, by what became of them: exported, refused by the collector, or dropped because it was away or slow"
    );
    ["exported", "refused", "dropped"].into_iter().for_each(|outcome| count(outcome, 0));
    loop {
        let batch = next_batch(&mut queue, &end).await;
        if batch.is_empty() {
            return;
        }
        deliver(&collector, &resource, batch, &end).await;
    }
}

/// The next spans; none once it is the end and no more wait.
async fn next_batch(queue: &mut mpsc::Receiver<Span>, end: &CancellationToken) -> Vec<Span> {
    let mut batch = Vec::new();
    let mut deadline = None;
    while batch.len() < MAX_BATCH {
        let due = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let room = MAX_BATCH - batch.len();
        tokio::select! {
            biased;
            taken = queue.recv_many(&mut batch, room) => {
                if taken == 0 {
                    break;
                }
                deadline = deadline.or_else(|| Some(Instant::now() + LINGER));
            }
            () = due => break,
            () = end.cancelled() => break,
        }
    }
    batch
}

/// Sends a batch until it is taken, refused, or it is the end.
async fn deliver(collector: &Collector, resource: &Resource, batch: Vec<Span>, end: &CancellationToken) {
    let spans = batch.len() as u64;
    let scope = ScopeSpans { scope: Some(resource::scope()), spans: batch, ..ScopeSpans::default() };
    let of_relay =
        ResourceSpans { resource: Some(resource.clone()), scope_spans: vec![scope], ..ResourceSpans::default() };
    let request = ExportTraceServiceRequest { resource_spans: vec![of_relay] };
    let mut pause = FIRST_PAUSE;
    loop {
        match collector.send(PATH, &request).await {
            Ok(answer) => {
                let refused = refused(&answer).min(spans);
                count("refused", refused);
                return count("exported", spans - refused);
            }
            Err(Failure::Never) => return count("refused", spans),
            Err(Failure::Later(asked)) => {
                tokio::select! {
                    () = sleep(asked.unwrap_or(pause).min(MAX_PAUSE)) => pause = (pause * 2).min(MAX_PAUSE),
                    () = end.cancelled() => return count("dropped", spans),
                }
            }
        }
    }
}

/// How many of the spans the collector refused, as it says in its answer.
fn refused(answer: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
    answer.and_then(|partial| u64::try_from(partial.rejected_spans).ok()).unwrap_or(0)
}
