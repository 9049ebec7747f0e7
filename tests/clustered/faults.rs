//! The script of faults: two hands, each with one fault at a time. One has the relay's processes, the other the database
//! and the ways to it. Each begins with all that it can do, in an order by chance, and goes on by chance until time is up.
//! Before each fault some messages must have been confirmed, so a relay that does not get over a fault is found.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::time::sleep;

use super::database::Database;
use super::grounds::lead;
use super::member::Member;
use super::oracle::Oracle;
use super::ways::Ways;
use crate::support::{Condition, LIMIT, Signal};

/// Most messages that must be confirmed between two faults of a hand.
const PROGRESS: u64 = 400;

/// What befalls the relay's processes.
#[derive(Debug, Clone, Copy)]
enum OfProcesses {
    /// One is killed, and begins again: at once, or after others may have taken it for dead.
    Kill,
    /// One stands still, for less than it takes to be taken for dead.
    Stop,
    /// One stands still for longer.
    LongStop,
    /// Each ends in order and begins again, one after the other.
    Roll,
}

/// What befalls the database and the ways to it.
#[derive(Debug, Clone, Copy)]
enum OfDatabase {
    /// The streams of one process end, and it gets no new ones for a while.
    Cut,
    /// All that passes between one process and the database is late.
    Slow,
    /// Nothing passes between one process and the database; all of it later, or never.
    Silence,
    SilenceAndCut,
    /// The primary is killed and the standby takes its place; a new standby is made.
    LosePrimary,
    /// The same, and nobody hears of the end of the primary for a while.
    LosePrimarySilently,
    /// The primary is killed and begins again.
    RestartPrimary,
    /// The standby is killed and begins again after a while.
    StopStandby,
}

const ALL_OF_PROCESSES: [OfProcesses; 4] =
    [OfProcesses::Kill, OfProcesses::Stop, OfProcesses::LongStop, OfProcesses::Roll];

const ALL_OF_DATABASE: [OfDatabase; 8] = [
    OfDatabase::Cut,
    OfDatabase::Slow,
    OfDatabase::Silence,
    OfDatabase::SilenceAndCut,
    OfDatabase::LosePrimary,
    OfDatabase::LosePrimarySilently,
    OfDatabase::RestartPrimary,
    OfDatabase::StopStandby,
];

/// What both hands know.
#[derive(Debug)]
pub(crate) struct Script<'a> {
    pub(crate) oracle: &'a Oracle,
    pub(crate) begun: Instant,
    /// No fault begins after this time, unless one of its kind has not been.
    pub(crate) lasts: Duration,
}

impl Script<'_> {
    /// The faults of a hand, for as long as the script lasts.
    fn choose<F: Copy + Debug>(&self, pass: &mut Vec<F>, all: &[F], random: &mut Rng) -> Option<F> {
        let fault = match pass.pop() {
            Some(fault) => fault,
            None if self.begun.elapsed() < self.lasts => all[random.usize(..all.len())],
            None => return None,
        };
        self.tell(format_args!("{fault:?}"));
        Some(fault)
    }

    fn tell(&self, what: std::fmt::Arguments<'_>) {
        println!("{:7.1} s  {what}", self.begun.elapsed().as_secs_f64());
    }

    fn done(&self, kind: &'static str) {
        self.oracle.count(|counts| *counts.faults.entry(kind).or_default() += 1);
    }

    /// Waits until some messages were confirmed; violates if they are not, or a process has failed meanwhile.
    async fn progress(&self, random: &mut Rng, mut failure: impl FnMut() -> Option<String>) {
        let aim = self.oracle.counts().confirmed + random.u64(PROGRESS / 8..PROGRESS);
        let begun = Instant::now();
        loop {
            if let Some(failure) = failure() {
                return self.oracle.violated(&failure);
            }
            if self.oracle.counts().confirmed >= aim {
                return;
            }
            if begun.elapsed() > LIMIT {
                return self.oracle.violated(&format!("nothing is confirmed any more, after {LIMIT:?}"));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The hand that has the processes.
    pub(crate) async fn of_processes(&self, members: &mut [Member], mut random: Rng) {
        let mut pass = ALL_OF_PROCESSES.to_vec();
        random.shuffle(&mut pass);
        loop {
            self.progress(&mut random, || members.iter_mut().find_map(Member::failure)).await;
            let Some(fault) = self.choose(&mut pass, &ALL_OF_PROCESSES, &mut random) else { return };
            let victim = random.usize(..members.len());
            match fault {
                OfProcesses::Kill => {
                    members[victim].kill().await;
                    pause(&mut random, 0..15).await;
                    members[victim].start().await;
                    self.done("processes killed");
                }
                OfProcesses::Stop => {
                    self.stop(&mut members[victim], victim, random.u64(1_000..9_000)).await;
                    self.done("processes stopped for less than 9 s");
                }
                OfProcesses::LongStop => {
                    self.stop(&mut members[victim], victim, random.u64(12_000..20_000)).await;
                    self.done("processes stopped for more than 12 s");
                }
                OfProcesses::Roll => {
                    for member in members.iter_mut() {
                        if !member.stop().await {
                            self.done("processes that ended with an error when rolled over");
                        }
                        member.start().await;
                    }
                    self.done("processes rolled over, all");
                }
            }
        }
    }

    async fn stop(&self, member: &mut Member, number: usize, millis: u64) {
        member.signal(Signal::STOP);
        self.oracle.awake.stopped(number);
        sleep(Duration::from_millis(millis)).await;
        self.oracle.awake.goes_on(number);
        member.signal(Signal::CONT);
    }

    /// The hand that has the database.
    pub(crate) async fn of_database(&self, database: &mut Database, ways: &[Ways], mut random: Rng) {
        let mut pass = ALL_OF_DATABASE.to_vec();
        random.shuffle(&mut pass);
        loop {
            self.progress(&mut random, || None).await;
            let Some(fault) = self.choose(&mut pass, &ALL_OF_DATABASE, &mut random) else { return };
            let victim = &ways[random.usize(..ways.len())];
            let done = match fault {
                OfDatabase::Cut => {
                    change(victim, &mut random, Condition::Cut).await;
                    "ways cut"
                }
                OfDatabase::Slow => {
                    let late = Duration::from_millis(random.u64(20..300));
                    change(victim, &mut random, Condition::Slow(late)).await;
                    "ways slowed"
                }
                OfDatabase::Silence => {
                    change(victim, &mut random, Condition::Silent).await;
                    "ways silent for a while"
                }
                OfDatabase::SilenceAndCut => {
                    victim.become_all(Condition::Silent);
                    pause(&mut random, 3..20).await;
                    change(victim, &mut random, Condition::Cut).await;
                    "ways silent, then cut"
                }
                OfDatabase::LosePrimary => {
                    lose_primary(database, ways, None).await;
                    "primaries lost"
                }
                OfDatabase::LosePrimarySilently => {
                    let silence = Duration::from_millis(random.u64(1_000..20_000));
                    lose_primary(database, ways, Some(silence)).await;
                    "primaries lost silently"
                }
                OfDatabase::RestartPrimary => {
                    database.restart_primary();
                    "primaries killed and begun again"
                }
                OfDatabase::StopStandby => {
                    database.kill_standby();
                    pause(&mut random, 2..15).await;
                    database.begin_standby();
                    "standbys killed and begun again"
                }
            };
            self.done(done);
        }
    }
}

/// So many seconds, by chance. This is a part of a fault.
async fn pause(random: &mut Rng, seconds: std::ops::Range<u64>) {
    sleep(Duration::from_millis(random.u64(seconds.start * 1_000..seconds.end * 1_000))).await;
}

async fn change(victim: &Ways, random: &mut Rng, to: Condition) {
    victim.become_all(to);
    pause(random, 1..20).await;
    victim.become_all(Condition::Open);
}

/// Kills the primary, promotes the standby, and makes another one where the primary was. If it is lost silently, those
/// who are linked with it hear nothing for so long after the promotion.
async fn lose_primary(database: &mut Database, ways: &[Ways], silence: Option<Duration>) {
    let place = database.primary();
    let all_become = |way| ways.iter().for_each(|ways| ways.0[place].becomes(way));
    if silence.is_some() {
        all_become(Condition::Silent);
    }
    database.lose_primary();
    database.promote();
    if let Some(silence) = silence {
        sleep(silence).await;
        all_become(Condition::Cut);
    }
    database.add_standby();
    lead(ways, database);
    all_become(Condition::Open);
}
