//! Three processes, a primary and its standby, and twenty applications, under faults of all kinds at once.
//!
//! `SLIPSTREAM_CLUSTER_SECONDS` says for how long, `SLIPSTREAM_CLUSTER_SEED` repeats the choices of a run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::sync::watch;
use tokio::time::sleep;

use super::application::{Application, Orders, Standing};
use super::awake::Awake;
use super::faults::Script;
use super::grounds::Grounds;
use super::oracle::Oracle;
use super::traffic::Traffic;
use crate::support::{LIMIT, get, number_from_environment};

const PROCESSES: usize = 3;
const APPLICATIONS: usize = 20;

/// How long faults go on, unless said otherwise. Each kind of fault has its turn in any case.
const SECONDS: u64 = 90;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_whatever_befalls_the_relay_and_its_database() {
    let seconds = number_from_environment("SLIPSTREAM_CLUSTER_SECONDS").unwrap_or(SECONDS);
    let seed = number_from_environment("SLIPSTREAM_CLUSTER_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("SLIPSTREAM_CLUSTER_SEED={seed} SLIPSTREAM_CLUSTER_SECONDS={seconds}");
    let mut random = Rng::with_seed(seed);
    let mut grounds = Grounds::safe(PROCESSES).await;
    let awake = Arc::new(Awake::new(PROCESSES));
    let oracle = Arc::new(Oracle::new(Traffic { seed, applications: APPLICATIONS }, awake));
    let orders = watch::Sender::new(Orders::Listen);
    let addresses: Vec<_> = grounds.members.iter().map(|member| member.links).collect();
    let applications: Vec<_> = (0..APPLICATIONS)
        .map(|number| Application::start(number, addresses.clone(), &oracle, orders.subscribe(), random.fork()))
        .collect();
    let script = Script { oracle: &oracle, begun: Instant::now(), lasts: Duration::from_secs(seconds) };
    let (first, second) = (random.fork(), random.fork());
    let Grounds { members, ways, database, .. } = &mut grounds;
    let run = async {
        // From their first links on they are owed what is for them.
        all_stand(&applications, &oracle, "an application has no link", |standing| standing.linked).await;
        orders.send_replace(Orders::Live);
        tokio::join!(script.of_processes(members, first), script.of_database(database, ways, second));
        orders.send_replace(Orders::Settle);
        let settled = |standing: &Standing| standing.linked && standing.unconfirmed == 0 && standing.links == 1;
        all_stand(&applications, &oracle, "an application does not settle", settled).await;
        everything_comes(&oracle).await;
    };
    tokio::select! {
        biased;
        () = oracle.failed.cancelled() => {}
        () = run => {}
    }
    println!("{}", oracle.counts());
    let violations = oracle.violations();
    if !violations.is_empty() {
        let said: Vec<_> = grounds.members.iter().map(|member| format!("--- a process:\n{}", member.said())).collect();
        println!("{}\n--- the database:\n{}", said.join("\n"), grounds.database.logs().join("\n---\n"));
        panic!("SLIPSTREAM_CLUSTER_SEED={seed}: {violations:#?}");
    }
    drop(applications);
    nothing_is_owed(&grounds).await;
}

/// Waits until all applications stand as they should; that they do not is a violation.
async fn all_stand(applications: &[Application], oracle: &Oracle, what: &str, wanted: impl Fn(&Standing) -> bool) {
    let begun = Instant::now();
    for (number, application) in applications.iter().enumerate() {
        let mut standing = application.standing.clone();
        let left = LIMIT.saturating_sub(begun.elapsed());
        if !matches!(tokio::time::timeout(left, standing.wait_for(&wanted)).await, Ok(Ok(_))) {
            let stands = *application.standing.borrow();
            return oracle.violated(&format!("{what}: app-{number} stands so after {LIMIT:?}: {stands:?}"));
        }
    }
}

/// Waits until all that was confirmed has come; that it does not is a violation.
async fn everything_comes(oracle: &Oracle) {
    let begun = Instant::now();
    loop {
        let missing = oracle.missing();
        if missing.is_empty() {
            return;
        }
        if begun.elapsed() > LIMIT {
            let some: Vec<_> = missing
                .iter()
                .map(|(receiver, names)| {
                    let first: Vec<_> = names.iter().take(5).map(ToString::to_string).collect();
                    format!("app-{receiver} lacks {} messages: {}", names.len(), first.join(" "))
                })
                .collect();
            return oracle.violated(&format!("what was confirmed is lost: {some:#?}"));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Each process says that nobody is owed anything, and that nothing was given up.
async fn nothing_is_owed(grounds: &Grounds) {
    for member in &grounds.members {
        crate::support::eventually("nobody to be owed anything", || async {
            let peers = get(member.admin, "/api/v1/peers").await.json();
            let items = peers["items"].as_array().expect("a list");
            assert_eq!(items.len(), APPLICATIONS, "{peers}");
            items.iter().all(|peer| peer["backlog"] == 0).then_some(())
        })
        .await;
        let dead = get(member.admin, "/api/v1/dead-letters").await.json();
        assert_eq!(dead["items"].as_array().map(Vec::len), Some(0), "{dead}");
    }
}
