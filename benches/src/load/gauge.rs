//! The usage of the relay and of this program over a stage.

use std::time::Duration;

use super::measured::Progress;
use super::report::Stage;
use super::usage::{Sample, Source, own};

/// Who is told how a stage goes, about once a second.
pub(super) type Watch<'w> = &'w (dyn Fn(&'static str, Progress) + Sync);

/// How often usage is looked at.
const SAMPLING: Duration = Duration::from_millis(500);

/// How often it is told how a stage goes.
const TELLING: Duration = Duration::from_secs(1);

/// Where the usage of the relay comes from, for as long as it does.
#[derive(Debug)]
pub(super) struct RelayUsage<'s> {
    source: &'s Source,
    unavailable: Option<String>,
}

impl<'s> RelayUsage<'s> {
    pub(super) fn new(source: &'s Source) -> Self {
        Self { source, unavailable: None }
    }

    /// Why there is none, where there is none.
    pub(super) fn unavailable(self) -> Option<String> {
        self.unavailable
    }

    async fn sample(&mut self) -> Option<Sample> {
        if self.unavailable.is_some() {
            return None;
        }
        match self.source.sample().await {
            Ok(sample) => Some(sample),
            Err(fault) => {
                self.unavailable = Some(fault.to_string());
                None
            }
        }
    }

    /// Refuses the page of a relay that has processed less meanwhile than was confirmed here: it is another one.
    fn check(&mut self, before: &Sample, after: &Sample, confirmed: u64) {
        let (Some(before), Some(after)) = (before.processed, after.processed) else { return };
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        if after - before < confirmed as f64 {
            let Source::Page(page) = self.source else { return };
            self.unavailable = Some(format!("{} is the page of another relay than the one under load", page.url()));
        }
    }
}

/// Samples around and during a stage.
#[derive(Debug)]
pub(super) struct Gauge<'g, 's> {
    relay: &'g mut RelayUsage<'s>,
    relay_usage: Option<Span>,
    own_usage: Option<Span>,
    sampled: Duration,
    told: Duration,
}

/// The first sample, and the most memory since.
#[derive(Debug)]
struct Span {
    before: Sample,
    peak_resident: f64,
}

impl Span {
    fn new(before: Sample) -> Self {
        Self { before, peak_resident: before.resident }
    }

    fn note(&mut self, sample: &Sample) {
        self.peak_resident = self.peak_resident.max(sample.resident);
    }
}

fn note(span: &mut Option<Span>, sample: Option<&Sample>) {
    if let (Some(span), Some(sample)) = (span, sample) {
        span.note(sample);
    }
}

impl<'g, 's> Gauge<'g, 's> {
    pub(super) async fn start(relay: &'g mut RelayUsage<'s>) -> Self {
        let relay_usage = relay.sample().await.map(Span::new);
        let own_usage = own().map(Span::new);
        Self { relay, relay_usage, own_usage, sampled: Duration::ZERO, told: Duration::ZERO }
    }

    /// Looks at how the stage goes, and tells `watch` when it is time.
    pub(super) async fn look(&mut self, stage: &'static str, now: Progress, watch: Watch<'_>) {
        if now.elapsed >= self.sampled + SAMPLING {
            self.sampled = now.elapsed;
            note(&mut self.relay_usage, self.relay.sample().await.as_ref());
            note(&mut self.own_usage, own().as_ref());
        }
        if now.elapsed >= self.told + TELLING {
            self.told = now.elapsed;
            watch(stage, now);
        }
    }

    /// The stage with the usage during it.
    pub(super) async fn finish(mut self, stage: Stage) -> Stage {
        let (relay_now, own_now) = (self.relay.sample().await, own());
        note(&mut self.relay_usage, relay_now.as_ref());
        note(&mut self.own_usage, own_now.as_ref());
        if let (Some(span), Some(now)) = (&self.relay_usage, &relay_now) {
            self.relay.check(&span.before, now, stage.confirmed.map_or(0, |confirmed| confirmed.count));
        }
        let usage = |span: Option<Span>, now: Option<Sample>| {
            let span = span?;
            Some(stage.usage(&span.before, &now?, span.peak_resident))
        };
        let relay = usage(self.relay_usage, relay_now).filter(|_| self.relay.unavailable.is_none());
        let generator = usage(self.own_usage, own_now);
        Stage { relay, generator, ..stage }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::load::usage::MetricsPage;

    #[derive(Debug)]
    struct Elsewhere;

    #[async_trait]
    impl MetricsPage for Elsewhere {
        fn url(&self) -> &str {
            "http://127.0.0.1:8080"
        }

        async fn text(&self) -> Result<String, String> {
            Ok(String::new())
        }
    }

    #[test]
    fn the_page_of_another_relay_is_refused() {
        let source = Source::Page(Box::new(Elsewhere));
        let sample = |processed| Sample { cpu: 0.0, resident: 0.0, processed };
        let told = |before, after| {
            let mut relay = RelayUsage::new(&source);
            relay.check(&sample(before), &sample(after), 100);
            relay.unavailable()
        };
        assert_eq!(told(Some(50.0), Some(150.0)), None);
        assert_eq!(told(None, None), None);
        assert!(told(Some(50.0), Some(149.0)).expect("refused").contains("another relay"));
    }
}
