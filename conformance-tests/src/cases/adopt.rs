//! A peer that takes the place of its alias.

use slipstream_store::{
    DeadLetterReason, DeliveryState, Horizon, MessageStore, Operation, Outcome, Peer, PeerId, Record, Sequence,
    Timestamp, TracedDelivery,
};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

fn named(name: &str, alias: &str) -> Peer {
    Peer { tags: tags(&["said"]), last_seen: t(50), alias: Some(peer(alias)), ..application(name) }
}

fn adopt(alias: &str, name: &str) -> Operation {
    Operation::AdoptPeer { alias: peer(alias), peer: Box::new(named(name, alias)) }
}

async fn peers<S: MessageStore>(store: &S) -> Vec<PeerId> {
    store.roster().await.expect("the roster is read").peers.into_iter().map(|known| known.peer.id).collect()
}

/// Records messages of these names to these recipients.
async fn recorded_all<S: MessageStore>(store: &S, names: &[&str], recipients: &[&str]) -> Vec<Sequence> {
    let outcomes = commit(store, names.iter().map(|name| put(message(name, recipients))).collect()).await;
    outcomes.into_iter().map(sequence_of).collect()
}

/// C12, C3: a peer that was not known is remembered with what its alias was owed, as it was; the alias is forgotten.
/// Once more changes nothing.
pub async fn a_new_peer_takes_the_place_of_its_alias<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["url", "other"]).await;
    let given = recorded_all(&store, &["m1", "m2", "m3"], &["url", "other"]).await;
    commit(&store, vec![attempt("url", given[1], 2), acknowledge("url", given[0])]).await;
    let expected = backlog(&store, "url").await;
    assert_eq!(commit_one(&store, adopt("url", "app")).await, Outcome::Applied);
    assert_eq!(commit_one(&store, adopt("url", "app")).await, Outcome::Unchanged);
    let store = sandbox.reopen(store).await;
    assert_eq!(commit_one(&store, adopt("url", "app")).await, Outcome::Unchanged);
    assert_eq!(peers(&store).await, [peer("app"), peer("other")]);
    let app = remembered(&store, "app").await.expect("remembered");
    assert_eq!((app.peer, app.backlog, app.oldest), (named("app", "url"), 2, Some(given[1])));
    assert_eq!(backlog(&store, "app").await, expected);
    assert_eq!(owed(&store, "url").await, []);
    assert_eq!(owed(&store, "other").await, given);
}

/// C12, C3: what moved is settled and tried under the peer's id, and no longer under the alias's.
pub async fn what_moved_is_the_peers<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["url"]).await;
    let given = recorded_all(&store, &["m1", "m2"], &["url"]).await;
    commit(&store, vec![attempt("url", given[0], 2), adopt("url", "app")]).await;
    for operation in [acknowledge("url", given[0]), attempt("url", given[0], 4), attempt("app", given[0], 2)] {
        assert_eq!(commit_one(&store, operation.clone()).await, Outcome::Unchanged, "{operation:?}");
    }
    let outcomes = commit(&store, vec![attempt("app", given[0], 3), acknowledge("app", given[1])]).await;
    assert_eq!(outcomes, [Outcome::Applied; 2]);
    let store = sandbox.reopen(store).await;
    let left = backlog(&store, "app").await;
    assert_eq!(left.iter().map(|item| (item.sequence, item.attempts)).collect::<Vec<_>>(), [(given[0], 3)]);
}

/// C12: a peer that was known keeps what it is owed, and takes in its alias's in order, over many blocks.
pub async fn a_known_peer_takes_in_what_its_alias_is_owed<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["url", "app"]).await;
    let mut given = Vec::new();
    for round in 0..4 {
        let recipients: &[&str] = if round % 2 == 0 { &["url"] } else { &["app"] };
        let names: Vec<String> = (0..700).map(|n| format!("m{round}-{n}")).collect();
        given.extend(recorded_all(&store, &names.iter().map(String::as_str).collect::<Vec<_>>(), recipients).await);
    }
    commit(&store, vec![attempt("app", given[900], 1), attempt("url", given[1500], 2)]).await;
    let changed = Peer { alias: None, ..named("app", "url") };
    assert_eq!(commit_one(&store, Operation::RememberPeer(Box::new(changed))).await, Outcome::Applied);
    assert_eq!(commit_one(&store, adopt("url", "app")).await, Outcome::Applied);
    let store = sandbox.reopen(store).await;
    let items = backlog(&store, "app").await;
    assert_eq!(items.iter().map(|item| item.sequence).collect::<Vec<_>>(), given);
    let tried: Vec<_> =
        items.iter().filter(|item| item.attempts > 0).map(|item| (item.sequence, item.attempts)).collect();
    assert_eq!(tried, [(given[900], 1), (given[1500], 2)]);
    commit(&store, given.iter().map(|&sequence| acknowledge("app", sequence)).collect()).await;
    purge_all(&store, everything(), 10_000).await;
    let stats = store.stats().await.expect("stats");
    assert_eq!((stats.peers, stats.pending, stats.messages), (1, 0, 0));
}

/// C12: if both have a delivery of a message, pending, dead or redriven, the peer's stays and the alias's goes.
pub async fn a_peer_keeps_its_own_deliveries<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["url", "app"]).await;
    let names =
        ["both-pending", "mine-dead", "its-dead", "mine-redriven", "its-redriven", "both-redriven", "mine-done"];
    let given = recorded_all(&store, &names, &["url", "app"]).await;
    commit(
        &store,
        vec![
            attempt("app", given[0], 1),
            attempt("url", given[0], 3),
            give_up_for("app", given[1], "mine"),
            give_up("url", given[2]),
            acknowledge("app", given[6]),
        ],
    )
    .await;
    let mine = redriven(&store, "app", given[3]).await;
    redriven(&store, "url", given[4]).await;
    redriven(&store, "url", given[5]).await;
    let twice = redriven(&store, "app", given[5]).await;
    assert_eq!(commit_one(&store, adopt("url", "app")).await, Outcome::Applied);
    let store = sandbox.reopen(store).await;
    // What the peer had settled, its alias still had to get: it comes again, as after a lost acknowledgement.
    assert_eq!(owed(&store, "app").await, [given[0], given[2], given[4], given[6], mine, twice]);
    assert_eq!(backlog(&store, "app").await[0].attempts, 1);
    let dead = all_dead(&store).await;
    assert_eq!(
        dead.iter().map(|dead| (&dead.peer, dead.reason.to_string())).collect::<Vec<_>>(),
        [(&peer("app"), "mine".to_owned())]
    );
    let stats = store.stats().await.expect("stats");
    assert_eq!((stats.pending, stats.dead_letters), (6, 1));
}

/// C12, C6: a delivery that the peer had settled before it got its alias's is traced as pending, and then as it was
/// settled at last.
pub async fn a_settled_delivery_may_come_again<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["url", "app"]).await;
    let sequence = recorded(&store, message("m1", &["url", "app"])).await;
    commit(&store, vec![acknowledge("app", sequence), adopt("url", "app")]).await;
    assert_eq!(traced(&store, "m1").await, untouched("app", sequence));
    assert_eq!(commit_one(&store, expire("app", sequence)).await, Outcome::Applied);
    let settled = traced(&store, "m1").await;
    assert_eq!((settled.state, settled.settled_at), (DeliveryState::Expired, Some(t(22))));
    let store = sandbox.reopen(store).await;
    assert_eq!(traced(&store, "m1").await, settled);
}

/// C12, C9: a delivery that goes, because the peer has a dead letter of the message, holds the message no longer.
pub async fn what_goes_holds_no_message<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["url", "app"]).await;
    let sequence = recorded(&store, message("m1", &["url", "app"])).await;
    commit(&store, vec![give_up("app", sequence)]).await;
    let kept = Horizon { expiries: t(0), ..everything() };
    purge_all(&store, kept, 100).await;
    assert_eq!(store.stats().await.expect("stats").messages, 1);
    commit(&store, vec![adopt("url", "app")]).await;
    purge_all(&store, kept, 100).await;
    let stats = store.stats().await.expect("stats");
    assert_eq!((stats.messages, stats.pending, stats.dead_letters), (0, 0, 1));
}

/// C12, C7: dead letters are the peer's, and it gets them when they are redriven; what was redriven stays so.
pub async fn dead_letters_move_and_are_redriven<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["url"]).await;
    let given = recorded_all(&store, &["m1", "m2"], &["url"]).await;
    commit(&store, vec![give_up_for("url", given[0], DeadLetterReason::Backlog)]).await;
    let again = redriven(&store, "url", given[1]).await;
    let mut expected = all_dead(&store).await;
    commit(&store, vec![adopt("url", "app")]).await;
    let store = sandbox.reopen(store).await;
    expected[0].peer = peer("app");
    assert_eq!(all_dead(&store).await, expected);
    assert_eq!(commit_one(&store, redrive("url", given[0])).await, Outcome::Unchanged);
    let first = sequence_of(commit_one(&store, redrive("app", given[0])).await);
    assert_eq!(owed(&store, "app").await, [again, first]);
    let thrice = redriven(&store, "app", again).await;
    assert_eq!(traced(&store, "m2").await, untouched("app", thrice));
}

/// C12, C6: a trace shows under the peer what moved, pending, dead and settled later, and under the alias what was
/// settled under it.
pub async fn traces_follow_the_deliveries<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["url", "zz"]).await;
    let names = ["settled", "pending", "dead", "discarded", "later", "redriven"];
    let given = recorded_all(&store, &names, &["url"]).await;
    commit(
        &store,
        vec![
            acknowledge("url", given[0]),
            attempt("url", given[1], 2),
            give_up_for("url", given[2], DeadLetterReason::Backlog),
            give_up("url", given[3]),
        ],
    )
    .await;
    let again = redriven(&store, "url", given[5]).await;
    commit(&store, vec![adopt("url", "app"), discard("app", given[3])]).await;
    let supersede = Operation::Supersede { peer: peer("app"), sequence: given[4], at: t(60) };
    commit(&store, vec![supersede]).await;
    purge_all(&store, Horizon { expiries: t(0), traces: t(1), ..everything() }, 100).await;
    let store = sandbox.reopen(store).await;
    let is = |name: &str, at: usize, state, time: Timestamp| TracedDelivery {
        state,
        settled_at: Some(time),
        ..untouched(name, given[at])
    };
    let dead = TracedDelivery {
        attempts: 4,
        reason: Some(DeadLetterReason::Backlog),
        ..is("app", 2, DeliveryState::Dead, t(23))
    };
    let tried = TracedDelivery { attempts: 2, last_attempt_at: Some(t(102)), ..untouched("app", given[1]) };
    let given_up = |at| is("url", at, DeliveryState::Dead, t(23));
    for (name, expected) in [
        ("settled", vec![is("url", 0, DeliveryState::Acknowledged, t(20))]),
        ("pending", vec![tried]),
        ("dead", vec![dead, given_up(2)]),
        ("discarded", vec![is("app", 3, DeliveryState::Dead, t(23)), given_up(3)]),
        ("later", vec![is("app", 4, DeliveryState::Superseded, t(60))]),
        ("redriven", vec![untouched("app", again)]),
    ] {
        assert_eq!(trace(&store, name).await.expect("it has a trace").deliveries, expected, "{name}");
    }
}

/// C12, C9: what moved expires for the peer, and is held by a purge until then.
pub async fn what_moved_expires_for_the_peer<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["url", "app"]).await;
    let record = Record { expires_at: Some(t(500)), ..message("m1", &["url"]) };
    let sequence = recorded(&store, record).await;
    commit(&store, vec![adopt("url", "app")]).await;
    let store = sandbox.reopen(store).await;
    let before = purge_all(&store, Horizon { expiries: t(499), ..everything() }, 100).await;
    assert_eq!((before.expired, owed(&store, "app").await), (vec![], vec![sequence]));
    let after = purge_all(&store, Horizon { expiries: t(500), ..everything() }, 100).await;
    assert_eq!(after.expired, [(peer("app"), sequence)]);
}

/// C12, C1: operations behind an adoption in its batch see it, and it sees those before it.
pub async fn a_batch_sees_its_adoption<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["url"]).await;
    let route = ["url", "app"];
    let outcomes = commit(
        &store,
        vec![
            put(message("before", &route)),
            adopt("url", "app"),
            put(message("after", &route)),
            remember("url"),
            put(message("last", &route)),
        ],
    )
    .await;
    let [before, after, last] = [0, 2, 4].map(|at| sequence_of(outcomes[at]));
    let store = sandbox.reopen(store).await;
    assert_eq!(owed(&store, "app").await, [before, after, last]);
    assert_eq!(owed(&store, "url").await, [last], "it is a peer of its own now");
    let outcomes = commit(&store, vec![give_up("url", last), adopt("url", "app"), redrive("url", last)]).await;
    assert_eq!(outcomes, [Outcome::Applied, Outcome::Applied, Outcome::Unchanged]);
    assert_eq!(all_dead(&store).await, [], "the peer has a delivery of its own");
    let outcomes = commit(
        &store,
        vec![
            remember("url"),
            give_up("app", before),
            adopt("app", "url"),
            acknowledge("url", after),
            redrive("url", before),
        ],
    )
    .await;
    let again = sequence_of(outcomes[4]);
    assert_eq!(outcomes[..4], [Outcome::Applied; 4]);
    let store = sandbox.reopen(store).await;
    assert_eq!(owed(&store, "url").await, [last, again]);
}

/// C12, C3: without anybody under the alias, or under the peer's own id, adopting is remembering.
pub async fn without_an_alias_it_is_remembering<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["url"]).await;
    let sequence = recorded(&store, message("m1", &["url"])).await;
    commit(&store, vec![give_up("url", sequence), forget("url", t(30))]).await;
    assert_eq!(commit_one(&store, adopt("url", "app")).await, Outcome::Applied);
    assert_eq!(commit_one(&store, adopt("url", "app")).await, Outcome::Unchanged);
    assert_eq!(all_dead(&store).await[0].peer, peer("url"), "dead letters of somebody forgotten stay");
    let own = recorded(&store, message("m2", &["app"])).await;
    assert_eq!(commit_one(&store, adopt("app", "app")).await, Outcome::Applied);
    assert_eq!(commit_one(&store, adopt("app", "app")).await, Outcome::Unchanged);
    let store = sandbox.reopen(store).await;
    assert_eq!((peers(&store).await, owed(&store, "app").await), (vec![peer("app")], vec![own]));
    assert_eq!(remembered(&store, "app").await.expect("remembered").peer, named("app", "app"));
}

/// C12, C6: the counts of dead letters move with them, and join those of the peer.
pub async fn counts_move_with_the_dead_letters<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["url", "app"]).await;
    let given = recorded_all(&store, &["m1", "m2", "m3"], &["url"]).await;
    let own = recorded_all(&store, &["m4"], &["app"]).await;
    let both = recorded_all(&store, &["m5"], &["url", "app"]).await;
    commit(&store, vec![give_up("url", given[0]), give_up_for("url", given[1], "backlog"), give_up("app", own[0])])
        .await;
    // The peer has one of its own of this message, so that the alias's goes.
    commit(&store, vec![give_up("url", both[0]), give_up_for("app", both[0], "poison")]).await;
    assert_eq!(commit_one(&store, adopt("url", "app")).await, Outcome::Applied);
    let expected = [("backlog", 1), ("poison", 1), ("unacknowledged", 2)];
    let expected = expected.map(|(reason, count)| ("app".to_owned(), reason, count));
    assert_eq!(counted(&store).await, expected);
    let store = sandbox.reopen(store).await;
    assert_eq!(counted(&store).await, expected);
    assert_eq!(commit_one(&store, discard("app", given[1])).await, Outcome::Applied);
    assert_eq!(counted(&store).await, expected[1..]);
}
