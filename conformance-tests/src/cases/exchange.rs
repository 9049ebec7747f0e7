//! What was exchanged with a peer.

use slipstream_store::{Came, Fingerprint, Horizon, Identity, Record, Sent, Timestamp};
use ulid::Ulid;

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

fn epoch(number: u64) -> Ulid {
    Ulid::from_parts(number, 1)
}

fn of_epoch(number: u64, record: Record) -> Record {
    Record { epoch: Some(epoch(number)), ..record }
}

fn from(name: &str, record: Record) -> Record {
    let route = slipstream_store::Route { received_from: peer(name), ..(*record.route).clone() };
    Record { route: route.into(), ..record }
}

/// C13: every message that was recorded with an epoch is told, with what it was and what the peer has to do with it.
pub async fn an_exchange_tells_every_record<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    assert_eq!(exchanged(&store, "a").await, []);
    remember_all(&store, &["a", "b"]).await;
    let group = slipstream_store::ClusterGroup::new("other").expect("a group");
    let other = Identity { group, ..id("m1") };
    let given = sequences(
        &store,
        vec![
            put(of_epoch(1, message("m1", &["a", "b"]))),
            put(Record {
                fingerprint: Fingerprint::from_u64(9),
                identity: other.clone(),
                ..of_epoch(2, message("m1", &["b"]))
            }),
            put(message("without-an-epoch", &["a"])),
            put(of_epoch(1, from("a", message("m3", &["b"])))),
            put(of_epoch(1, message("m1", &["a"]))),
        ],
    )
    .await;
    let told = |index: usize, name, number, sent, came| ToldExchange {
        sequence: given[index],
        identity: id(name),
        fingerprint: Fingerprint::from_u64(7),
        epoch: epoch(number),
        sent,
        came,
    };
    let first = told(0, "m1", 1, Sent::Unacknowledged, Came::Otherwise);
    let in_other = ToldExchange {
        identity: other,
        fingerprint: Fingerprint::from_u64(9),
        ..told(1, "m1", 2, Sent::No, Came::Otherwise)
    };
    let back = told(3, "m3", 1, Sent::No, Came::FromPeer);
    let expected = [first, in_other, back];
    assert_eq!(exchanged(&store, "a").await, expected);
    let store = sandbox.reopen(store).await;
    assert_eq!(exchanged(&store, "a").await, expected);
    let through: Vec<_> = exchanged(&store, "far").await.into_iter().map(|told| told.came).collect();
    assert_eq!(through, [Came::ThroughPeer; 3]);
    let strangers = exchanged(&store, "stranger").await;
    assert_eq!(
        strangers.iter().map(|told| (told.sent, told.came)).collect::<Vec<_>>(),
        [(Sent::No, Came::Otherwise); 3]
    );
}

/// C13: what a peer has acknowledged is told as that, and nothing else, also after reopening.
pub async fn only_what_was_acknowledged_is<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let names = ["acked", "superseded", "expired", "dead", "late", "redriven", "pending"];
    let put_all = names.iter().map(|name| put(of_epoch(1, message(name, &["a", "b"])))).collect();
    let given = sequences(&store, put_all).await;
    let operations = vec![
        acknowledge("a", given[0]),
        supersede("a", given[1]),
        expire("a", given[2]),
        give_up("a", given[3]),
        give_up("a", given[4]),
        acknowledge("a", given[4]),
        give_up("a", given[5]),
    ];
    commit(&store, operations).await;
    let again = sequence_of(commit_one(&store, redrive("a", given[5])).await);
    let sent = async |store: &_| exchanged(store, "a").await.into_iter().map(|told| told.sent).collect::<Vec<_>>();
    let open = Sent::Unacknowledged;
    assert_eq!(sent(&store).await, [Sent::Acknowledged, open, open, open, Sent::Acknowledged, open, open]);
    commit(&store, vec![acknowledge("a", again)]).await;
    let expected = [Sent::Acknowledged, open, open, open, Sent::Acknowledged, Sent::Acknowledged, open];
    assert_eq!(sent(&store).await, expected);
    let store = sandbox.reopen(store).await;
    assert_eq!(sent(&store).await, expected);
    let others: Vec<_> = exchanged(&store, "b").await.into_iter().map(|told| told.sent).collect();
    assert_eq!(others, [open; 7]);
}

/// C13: an identity that was recorded again behind its horizon is told twice, once for each record.
pub async fn a_second_record_is_told_too<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let first = recorded(&store, of_epoch(1, message("m1", &["a"]))).await;
    purge_all(&store, Horizon { identities: t(1000), ..Horizon::NOTHING }, 10).await;
    let second = recorded(&store, of_epoch(2, message("m1", &["a"]))).await;
    commit(&store, vec![acknowledge("a", second)]).await;
    let told: Vec<_> = exchanged(&store, "a").await.into_iter().map(|told| (told.sequence, told.sent)).collect();
    assert_eq!(told, [(first, Sent::Unacknowledged), (second, Sent::Acknowledged)]);
}

/// C13, C9: what a purge lets go for its age is missing without a word; what it leaves is whole.
pub async fn what_a_purge_leaves_is_whole<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let old = recorded(&store, of_epoch(1, message("old", &["a"]))).await;
    let new = recorded(&store, Record { received_at: t(5000), ..of_epoch(1, message("new", &["a"])) }).await;
    let owed = recorded(&store, of_epoch(1, message("owed", &["a"]))).await;
    let at = |sequence, seconds| slipstream_store::Operation::Acknowledge { peer: peer("a"), sequence, at: t(seconds) };
    commit(&store, vec![at(old, 20), at(new, 5000)]).await;
    purge_all(&store, Horizon { now: t(6000), identities: t(6000), traces: t(4000), ..Horizon::NOTHING }, 10).await;
    let (told, whole_since) = exchange_of(&store, "a").await;
    let told: Vec<_> = told.into_iter().map(|told| (told.sequence, told.sent)).filter(|told| told.0 != old).collect();
    assert_eq!(told, [(new, Sent::Acknowledged), (owed, Sent::Unacknowledged)]);
    assert_eq!(whole_since, Timestamp::ZERO, "nothing has left for the size of traces");
}

/// C13, C9: if records left for the size of traces, the answer says from when on all are there.
pub async fn what_left_for_its_size_is_said<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    for number in 0..100 {
        let record = Record { received_at: t(10 + number), ..of_epoch(1, message(&format!("m{number}"), &["a"])) };
        let sequence = recorded(&store, record).await;
        commit(&store, vec![acknowledge("a", sequence)]).await;
    }
    purge_all(&store, Horizon { identities: t(1000), max_trace_bytes: 1000, ..Horizon::NOTHING }, 10).await;
    let store = sandbox.reopen(store).await;
    let (told, whole_since) = exchange_of(&store, "a").await;
    // The newest were received when whole_since says, or later: each of them is told.
    let newest = (0..100).filter(|number| t(10 + number) >= whole_since).map(|number| id(&format!("m{number}")));
    for identity in newest {
        assert!(told.iter().any(|told| told.identity == identity), "{identity} is missing, since {whole_since:?}");
    }
    assert!(told.len() == 100 || whole_since > t(10), "{} are told, as of {whole_since:?}", told.len());
}

/// C13: imported dead letters are no records, also after they were redriven and acknowledged.
pub async fn imports_are_not_exchanged<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let imported = sequence_of(commit_one(&store, import("a", of_epoch(1, message("m1", &["a"])))).await);
    assert_eq!(exchanged(&store, "a").await, []);
    let again = sequence_of(commit_one(&store, redrive("a", imported)).await);
    commit(&store, vec![acknowledge("a", again)]).await;
    assert_eq!(exchanged(&store, "a").await, []);
}

/// C13: once the caller has enough, nothing more is shown.
pub async fn a_caller_may_have_enough<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let records = (0..20).map(|number| put(of_epoch(1, message(&format!("m{number}"), &[])))).collect();
    commit(&store, records).await;
    assert_eq!(exchanged_up_to(&store, "a", 3).await.0.len(), 3);
}
