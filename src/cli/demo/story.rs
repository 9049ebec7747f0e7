//! What happens in the demo, told as it happens.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::bail;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::application::{Application, Tally};
use super::cloud::{Cloud, Surroundings};
use crate::cli::output;

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(50);

/// For how long messages are to be held for the relay that is away.
const AWAY: Duration = Duration::from_secs(6);

/// Which relay goes away: `azure`.
const AWAY_ONE: usize = 1;

/// The demo while it runs.
pub(super) struct Story {
    since: Instant,
    clouds: [Cloud; 3],
    applications: [Application; 3],
    sends: watch::Sender<bool>,
}

impl Story {
    /// Starts everything.
    pub(super) async fn begin(surroundings: Surroundings, rate: NonZeroU32) -> anyhow::Result<Self> {
        let aws = Cloud::start("aws", &surroundings, &[]).await?;
        let azure = Cloud::start("azure", &surroundings, &[&aws]).await?;
        let gcp = Cloud::start("gcp", &surroundings, &[&aws, &azure]).await?;
        let sends = watch::Sender::new(false);
        let beside = |name, cloud: &Cloud| Application::start(name, cloud.place()?.links(), rate, sends.subscribe());
        let applications = [beside("shop", &aws)?, beside("bank", &azure)?, beside("ledger", &gcp)?];
        let story = Self { since: Instant::now(), clouds: [aws, azure, gcp], applications, sends };
        output::line("Three relays, linked with each other, and an application beside each:\n")?;
        for (cloud, application) in story.clouds.iter().zip(&story.applications) {
            let place = cloud.place()?;
            let (id, name) = (cloud.id, application.name);
            output::line(&format!(
                "  {id:<6} {}   dashboard {}   application {name}",
                place.links(),
                place.dashboard()
            ))?;
        }
        output::line(&format!(
            "\nEach application sends up to {rate} messages a second to all others. Open a dashboard and watch.\n"
        ))?;
        story.until("the links", async || Ok(story.applications.iter().all(|each| each.tally().linked))).await?;
        Ok(story)
    }

    /// Tells the story.
    pub(super) async fn tell(&mut self) -> anyhow::Result<()> {
        self.sends.send_replace(true);
        self.until("the first messages", async || Ok(self.applications.iter().all(|each| each.tally().got >= 20)))
            .await?;
        self.say(&format!(
            "{} messages were confirmed: each is on the disk of the relay that took it, and on its way to both others.",
            self.sum(|tally| tally.confirmed)
        ))?;

        self.clouds[AWAY_ONE].kill().await;
        self.say("azure is killed, as by `kill -9`. Its application bank has lost its link too.")?;
        let back = Instant::now() + AWAY;
        self.until("messages for azure", async || {
            Ok(Instant::now() >= back && self.clouds[0].owes("azure").await? > 20)
        })
        .await?;
        let [aws, _, gcp] = &self.clouds;
        let held = [aws.owes("azure").await?, gcp.owes("azure").await?];
        self.say(&format!(
            "aws holds {} messages for azure, gcp {}: each is to come both ways, and azure takes it once.",
            held[0], held[1]
        ))?;

        let before = self.applications[AWAY_ONE].tally();
        self.clouds[AWAY_ONE].start_again().await?;
        self.say("azure is started again, over the store that it left.")?;
        let caught_up = async || {
            let got = self.applications[AWAY_ONE].tally().got - before.got;
            Ok(got >= held.iter().sum::<u64>() / 2 && self.clouds[0].owes("azure").await? < 5)
        };
        self.until("azure to catch up", caught_up).await?;
        let bank = self.applications[AWAY_ONE].tally();
        self.say(&format!(
            "bank has got the {} messages that it missed, in order: {} missing.",
            bank.got - before.got,
            bank.missing
        ))?;

        self.applications[AWAY_ONE].refuse_next();
        self.until("a dead letter", async || Ok(self.clouds[AWAY_ONE].dead_letters().await? > 0)).await?;
        self.say("bank has refused a message for good. azure keeps it as a dead letter.")
    }

    /// Says what can be done while it goes on.
    pub(super) fn invite(&self) -> anyhow::Result<()> {
        let place = self.clouds[AWAY_ONE].place()?;
        let dashboard = place.dashboard();
        let admin = dashboard.trim_end_matches('/');
        output::line(&format!(
            "\nDeliver it after all: in the dashboard of azure, {}, or in another terminal:\n\n  \
             slipstream status --admin {admin}\n  slipstream dead-letters list --admin {admin}\n  \
             slipstream dead-letters redrive --all --admin {admin}\n  slipstream trace bank-1 --admin {admin}\n\n\
             It goes on until you press Ctrl-C.",
            dashboard
        ))?;
        Ok(())
    }

    /// Lets what is on its way arrive, counts, and ends everything. Returns whether nothing was lost.
    pub(super) async fn end(mut self) -> anyhow::Result<bool> {
        self.sends.send_replace(false);
        output::line("\nWaiting until what is on its way has arrived; Ctrl-C once more ends at once.")?;
        self.clouds[AWAY_ONE].start_again().await?;
        let arrived = || {
            let expected = 2 * self.sum(|tally| tally.confirmed);
            let all = self.sum(|tally| tally.got + tally.refused) >= expected;
            all && self.clouds.iter().all(|cloud| cloud.backlog() == 0)
        };
        let is_paused = || self.clouds.iter().any(Cloud::holds_back);
        let waited = self.until("what is on its way", async || Ok(arrived() || is_paused())).await;
        let [confirmed, got, again, refused] = [
            self.sum(|tally| tally.confirmed),
            self.sum(|tally| tally.got),
            self.sum(|tally| tally.again),
            self.sum(|tally| tally.refused),
        ];
        let (rest, is_well) = match (2 * confirmed).saturating_sub(got + refused) {
            0 => ("none lost".to_owned(), waited.is_ok()),
            held if is_paused() => (format!("{held} held for a peer that is paused"), true),
            missing => (format!("{missing} lost, or dropped with a peer that was forgotten"), false),
        };
        for cloud in &mut self.clouds {
            cloud.stop().await?;
        }
        output::line(&format!(
            "\n{confirmed} messages were confirmed, {got} deliveries made to two applications each, {refused} refused and \
             not redriven, {rest}. {again} came twice, which an application tells by the id."
        ))?;
        Ok(is_well)
    }

    fn sum(&self, of: impl Fn(&Tally) -> u64) -> u64 {
        self.applications.iter().map(|application| of(&application.tally())).sum()
    }

    fn say(&self, what: &str) -> anyhow::Result<()> {
        output::line(&format!("{:5.1} s  {what}", self.since.elapsed().as_secs_f64()))?;
        Ok(())
    }

    /// Waits until something is so.
    async fn until(&self, what: &str, is_so: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        while !is_so().await? {
            if Instant::now() >= end {
                bail!("waited {PATIENCE:?} in vain for {what}");
            }
            sleep(LOOK).await;
        }
        Ok(())
    }
}
