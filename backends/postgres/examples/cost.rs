//! What a commit costs: records for one recipient, then their acknowledgements, with a purge now and then.
//! `cargo run --release -p slipstream-postgres --example cost -- URL [batch] [messages] [bytes] [recipients]`
#![expect(clippy::expect_used, clippy::print_stdout, reason = "it is run by hand, and says what it measured")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use slipstream_conformance::fixture::{acknowledge, message, put, remember_all, sequence_of, t};
use slipstream_postgres::{PostgresOptions, PostgresStore};
use slipstream_store::{Horizon, MessageStore as _, Record};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().expect("a URL");
    let mut number = |otherwise: u64| arguments.next().map_or(otherwise, |text| text.parse().expect("a number"));
    let (batch, messages, bytes) = (number(500), number(50_000), number(300));
    let fanout = number(1);
    let store = PostgresStore::open(PostgresOptions::new(&url).expect("a URL")).await.expect("opens");
    let names: Vec<String> = (0..fanout).map(|n| format!("peer-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    remember_all(&store, &names).await;
    let template = message("x", &names);
    let text = bytes::Bytes::from(vec![b'x'; usize::try_from(bytes).expect("small")]);
    let horizon = Horizon { now: t(20), max_identities: 100_000, traces: t(10_000), ..Horizon::NOTHING };
    let (mut recording, mut settling, mut purging) = (0.0, 0.0, 0.0);
    let begun = Instant::now();
    for round in 0..messages / batch {
        let records: Vec<_> = (0..batch)
            .map(|n| {
                let mut record = Record { text: text.clone(), ..template.clone() };
                let id =
                    ulid::Ulid::from_parts(round * batch + n, u128::from(std::process::id()) << 32 | u128::from(n));
                record.identity.id = slipstream_store::MessageId::from(id);
                put(record)
            })
            .collect();
        let at = Instant::now();
        let outcomes = store.commit(Arc::new(records.into())).await.expect("records");
        recording += at.elapsed().as_secs_f64();
        let settled: Vec<_> = outcomes
            .into_iter()
            .map(sequence_of)
            .flat_map(|sequence| names.iter().map(move |name| acknowledge(name, sequence)))
            .collect();
        let at = Instant::now();
        store.commit(Arc::new(settled.into())).await.expect("settles");
        settling += at.elapsed().as_secs_f64();
        if round % 20 == 19 {
            let at = Instant::now();
            while store.purge(horizon, NonZeroU32::new(20_000).expect("not zero")).await.expect("purges").more {}
            purging += at.elapsed().as_secs_f64();
        }
    }
    let each = |seconds: f64| seconds * 1e6 / f64::from(u32::try_from(messages).expect("few"));
    println!(
        "{messages} messages of {bytes} bytes in batches of {batch}: {:.0}/s; a message: {:.2} us to record, {:.2} us to settle, {:.2} us to purge",
        f64::from(u32::try_from(messages).expect("few")) / begun.elapsed().as_secs_f64(),
        each(recording),
        each(settling),
        each(purging)
    );
    println!("{:?}", store.stats().await.expect("stats"));
    println!("{:?}", store.check(slipstream_store::Depth::Full).await.expect("a check"));
    store.close().await.expect("closes");
}
