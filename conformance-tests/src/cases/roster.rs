//! Peers, and this relay's own id.

use slipstream_store::{
    ClusterGroup, DeliveryState, MessageStore, Operation, Outcome, Peer, PeerKind, RememberedPeer, Roster,
};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

/// C12: a fresh store knows nobody.
pub async fn a_fresh_store_knows_nobody<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    assert_eq!(store.roster().await.expect("the roster is read"), Roster::default());
}

/// C12: every field of a peer is read back after reopening, in the order of ids, tags in their own order.
pub async fn peers_are_read_back<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let relay = Peer {
        kind: PeerKind::Relay,
        group: ClusterGroup::new("mesh-1").expect("a group"),
        tags: tags(&["z", "a", "m:1"]),
        last_seen: t(4711),
        alias: Some(peer("b:1")),
        paused: true,
        ..application("relay-b")
    };
    let passing = Peer { durable: false, ..application("anon-1") };
    let capital = application("Z");
    let expected = [&capital, &passing, &relay];
    for peer in [&relay, &passing, &capital] {
        assert_eq!(commit_one(&store, Operation::RememberPeer(Box::new(peer.clone()))).await, Outcome::Applied);
    }
    let store = sandbox.reopen(store).await;
    let roster = store.roster().await.expect("the roster is read");
    let alone = |peer: &Peer| RememberedPeer { peer: peer.clone(), backlog: 0, oldest: None };
    assert_eq!(roster.peers, expected.map(alone));
    assert_eq!(store.stats().await.expect("stats").peers, 3);
}

/// C12, C3: remembering what is known already changes nothing; each field that differs replaces the peer.
pub async fn what_is_new_of_a_peer_replaces_it<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let mut peer = Peer { tags: tags(&["x", "y"]), ..application("a") };
    let changes: [fn(&mut Peer); 11] = [
        |peer| peer.tags = tags(&["y", "x"]),
        |peer| peer.tags = tags(&[]),
        |peer| peer.last_seen = t(9000),
        |peer| peer.kind = PeerKind::Relay,
        |peer| peer.group = ClusterGroup::new("other").expect("a group"),
        |peer| peer.durable = false,
        |peer| peer.alias = Some(crate::fixture::peer("configured")),
        |peer| peer.paused = true,
        |peer| peer.alias = None,
        |peer| peer.last_seen = t(9001),
        |peer| peer.paused = false,
    ];
    commit(&store, vec![Operation::RememberPeer(Box::new(peer.clone()))]).await;
    for change in changes {
        assert_eq!(commit_one(&store, Operation::RememberPeer(Box::new(peer.clone()))).await, Outcome::Unchanged);
        change(&mut peer);
        assert_eq!(
            commit_one(&store, Operation::RememberPeer(Box::new(peer.clone()))).await,
            Outcome::Applied,
            "{peer:?}"
        );
        assert_eq!(remembered(&store, "a").await.expect("remembered").peer, peer);
    }
    let store = sandbox.reopen(store).await;
    assert_eq!(remembered(&store, "a").await.expect("remembered").peer, peer);
    assert_eq!(commit_one(&store, Operation::RememberPeer(Box::new(peer))).await, Outcome::Unchanged);
}

/// C12: what is new about a peer leaves what it is owed.
pub async fn a_changed_peer_keeps_its_backlog<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let sequence = recorded(&store, message("m1", &["a"])).await;
    let changed = Peer { tags: tags(&["new"]), last_seen: t(50), ..application("a") };
    commit(&store, vec![Operation::RememberPeer(Box::new(changed))]).await;
    assert_eq!(owed(&store, "a").await, [sequence]);
    let store = sandbox.reopen(store).await;
    assert_eq!(owed(&store, "a").await, [sequence]);
}

/// C12: the roster counts what each peer is owed and names the first of it.
pub async fn the_roster_counts_backlogs<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let mut given = Vec::new();
    for n in 0..5 {
        let recipients: &[&str] = if n == 2 { &["a", "b"] } else { &["a"] };
        given.push(recorded(&store, message(&format!("m{n}"), recipients)).await);
    }
    commit(&store, vec![acknowledge("a", given[0]), give_up("a", given[3])]).await;
    let again = sequence_of(commit_one(&store, redrive("a", given[3])).await);
    for store in [&store] {
        let a = remembered(store, "a").await.expect("remembered");
        assert_eq!((a.backlog, a.oldest), (4, Some(given[1])));
    }
    let store = sandbox.reopen(store).await;
    let (a, b) = (remembered(&store, "a").await.expect("a"), remembered(&store, "b").await.expect("b"));
    assert_eq!((a.backlog, a.oldest), (4, Some(given[1])));
    assert_eq!((b.backlog, b.oldest), (1, Some(given[2])));
    let rest: Vec<_> = [given[1], given[2], given[4]].into_iter().map(|n| acknowledge("a", n)).collect();
    commit(&store, rest).await;
    let a = remembered(&store, "a").await.expect("remembered");
    assert_eq!((a.backlog, a.oldest), (1, Some(again)));
}

/// C12: a forgotten peer is gone with what it was owed, which ends as expired; others keep theirs.
pub async fn forgetting_ends_what_was_owed<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let sequence = recorded(&store, message("m1", &["a", "b"])).await;
    recorded(&store, message("m2", &["a"])).await;
    assert_eq!(commit_one(&store, forget("a", t(60))).await, Outcome::Applied);
    assert_eq!(commit_one(&store, forget("a", t(60))).await, Outcome::Unchanged);
    let store = sandbox.reopen(store).await;
    assert_eq!(remembered(&store, "a").await, None);
    assert_eq!(owed(&store, "a").await, []);
    assert_eq!(owed(&store, "b").await, [sequence]);
    let stats = store.stats().await.expect("stats");
    assert_eq!((stats.peers, stats.pending), (1, 1));
    let delivery = traced(&store, "m2").await;
    assert_eq!((delivery.state, delivery.settled_at), (DeliveryState::Expired, Some(t(60))));
    assert_eq!(commit_one(&store, acknowledge("a", sequence)).await, Outcome::Unchanged);
}

/// C12: a peer that is remembered again begins without a backlog.
pub async fn a_peer_that_returns_begins_empty<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let old = recorded(&store, message("m1", &["a"])).await;
    commit(&store, vec![attempt("a", old, 2), forget("a", t(60))]).await;
    let store = sandbox.reopen(store).await;
    assert_eq!(commit_one(&store, remember("a")).await, Outcome::Applied);
    assert_eq!(owed(&store, "a").await, []);
    let new = recorded(&store, message("m2", &["a"])).await;
    let store = sandbox.reopen(store).await;
    let backlog = backlog(&store, "a").await;
    assert_eq!((backlog.len(), backlog[0].sequence, backlog[0].attempts), (1, new, 0));
}

/// C12, C3: the relay's id is read back after reopening, and the last one counts.
pub async fn the_relays_id_is_read_back<H: Harness>(sandbox: Sandbox<H>) {
    let mut store = sandbox.open().await;
    for name in ["relay-1", "relay-2", "relay-1"] {
        let naming = Operation::NameRelay { id: peer(name) };
        assert_eq!(commit_one(&store, naming.clone()).await, Outcome::Applied);
        store = sandbox.reopen(store).await;
        assert_eq!(commit_one(&store, naming).await, Outcome::Unchanged);
        assert_eq!(store.roster().await.expect("the roster is read").relay, Some(peer(name)));
    }
    assert_eq!(store.stats().await.expect("stats").peers, 0, "the relay is no peer of its own");
}
