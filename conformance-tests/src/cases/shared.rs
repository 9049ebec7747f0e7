//! Several members of one shared store.

mod members;

use std::sync::Arc;
use std::time::Duration;

use slipstream_store::{
    Batch, Member, MessageStore, News, Operation, Outcome, Owed, Peer, Result, RosterVersion, Sequence, StoreError,
};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

/// Longest that a case waits for news.
const LONG: Duration = Duration::from_secs(15);

/// As long as a case waits if there should be no news.
const SHORT: Duration = Duration::from_millis(1);

/// The roster that is in force.
async fn version<S: MessageStore>(store: &S) -> RosterVersion {
    store.roster().await.expect("the roster is read").version
}

/// Commits operations, of which the messages were routed by this roster.
async fn routed<S: MessageStore>(store: &S, roster: RosterVersion, operations: Vec<Operation>) -> Result<Vec<Outcome>> {
    store.commit(Arc::new(Batch { operations, routed_by: Some(roster) })).await
}

async fn try_commit<S: MessageStore>(store: &S, operations: Vec<Operation>) -> Result<Vec<Outcome>> {
    store.commit(Arc::new(operations.into())).await
}

async fn claim<S: MessageStore>(store: &S, name: &str) {
    shared(store).claim(&peer(name)).await.expect("it is claimed").expect("the peer is remembered");
}

/// The news until some of it is as wanted.
async fn news_until<S: MessageStore>(store: &S, wanted: impl Fn(&News) -> bool) -> News {
    loop {
        let news = shared(store).news(LONG).await.expect("news are read");
        assert_ne!(news, News::NONE, "waited for news in vain");
        if wanted(&news) {
            return news;
        }
    }
}

/// This handle, as a member that does nothing from now on.
async fn as_it_stands<S: MessageStore>(store: &S) -> Member {
    let members = shared(store).beat().await.expect("it is a member");
    *members.iter().find(|member| member.id == shared(store).member()).expect("it is among the members")
}

/// S1, C5: what members record in turn has ascending sequences, and each sees all of it.
pub async fn members_give_sequences_in_one_order<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    assert_ne!(shared(&one).member(), shared(&two).member());
    remember_all(&one, &["a"]).await;
    let mut given = Vec::new();
    for n in 0..6 {
        let store = if n % 2 == 0 { &one } else { &two };
        given.push(recorded(store, message(&format!("m{n}"), &["a"])).await);
    }
    assert!(given.is_sorted_by(|one, other| one < other), "{given:?}");
    assert_eq!(owed(&one, "a").await, given);
    assert_eq!(owed(&two, "a").await, given);
}

/// S1, C5: while many write at once, a cursor that only goes forward sees each delivery once.
pub async fn a_live_cursor_misses_nothing_of_many_writers<H: Harness>(sandbox: Sandbox<H>) {
    const WRITERS: usize = 4;
    const COMMITS: usize = 40;
    const MESSAGES: usize = 5;
    let reader = sandbox.open().await;
    remember_all(&reader, &["a"]).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = sandbox.open().await;
        writers.spawn(async move {
            for n in 0..COMMITS {
                let records = (0..MESSAGES).map(|m| put(plain(&format!("{writer}-{n}-{m}"), &["a"])));
                commit(&store, records.collect()).await;
            }
            store
        });
    }
    let (mut seen, mut after) = (Vec::new(), None::<Sequence>);
    while seen.len() < WRITERS * COMMITS * MESSAGES {
        let before = seen.len();
        let ended = writers.is_empty();
        let page = reader.pending(&peer("a"), after, items(64)).await.expect("the page is read");
        seen.extend(page.items.iter().map(|pending| (pending.sequence, pending.identity.clone())));
        after = seen.last().map(|(sequence, _)| *sequence);
        if seen.len() == before {
            assert!(!ended, "the cursor saw {} of {}", seen.len(), WRITERS * COMMITS * MESSAGES);
            if let Some(ended) =
                tokio::time::timeout(Duration::from_millis(5), writers.join_next()).await.ok().flatten()
            {
                ended.expect("no writer panics").close().await.expect("the store closes");
            }
        }
    }
    assert!(seen.is_sorted_by(|one, other| one.0 < other.0), "in order, each once");
    assert_eq!(owed(&reader, "a").await.len(), seen.len());
}

/// S1, C4: an identity and a stamp count for all members.
pub async fn what_one_member_recorded_is_a_duplicate_to_another<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a"]).await;
    let stamped = slipstream_store::Record { stamp: Some(stamp(1, 7)), ..message("m", &["a"]) };
    recorded(&one, stamped.clone()).await;
    assert_eq!(commit_one(&two, put(stamped.clone())).await, BY_IDENTITY);
    let elsewhere = slipstream_store::Record { identity: id("other"), ..stamped.clone() };
    assert_eq!(commit_one(&two, put(elsewhere)).await, BY_STAMP);
    let differs = slipstream_store::Record { fingerprint: slipstream_store::Fingerprint::from_u64(8), ..stamped };
    assert_eq!(commit_one(&two, put(differs)).await, Outcome::Conflict);
}

/// S1, C4: of members that record the same messages at once, in whatever order, one records each.
pub async fn one_of_many_records_an_identity<H: Harness>(sandbox: Sandbox<H>) {
    const WRITERS: usize = 3;
    const MESSAGES: usize = 40;
    let first = sandbox.open().await;
    remember_all(&first, &["a"]).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = sandbox.open().await;
        writers.spawn(async move {
            let mut recorded = 0;
            for n in 0..MESSAGES {
                let at = if writer == 1 { MESSAGES - 1 - n } else { n };
                let pair = [at, (at + 1) % MESSAGES].map(|n| put(message(&format!("m{n}"), &["a"])));
                let outcomes = commit(&store, pair.to_vec()).await;
                recorded += outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Recorded { .. })).count();
            }
            recorded
        });
    }
    let recorded: usize = writers.join_all().await.into_iter().sum();
    assert_eq!((recorded, owed(&first, "a").await.len()), (MESSAGES, MESSAGES));
}

/// S2: once a member has remembered, changed or forgotten a peer, what was routed before is refused whole, whoever brings it.
pub async fn what_an_old_roster_routed_is_refused<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a"]).await;
    let changes = [
        remember("b"),
        Operation::RememberPeer(Box::new(Peer { tags: tags(&["x"]), ..application("b") })),
        Operation::RememberPeer(Box::new(Peer { paused: true, tags: tags(&["x"]), ..application("b") })),
        forget("b", t(30)),
        Operation::AdoptPeer { alias: peer("a"), peer: Box::new(application("c")) },
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let before = version(&one).await;
        let record = message(&format!("before-{n}"), &["a"]);
        assert!(routed(&one, before, vec![put(record.clone())]).await.is_ok());
        commit_one(&two, change).await;
        for (store, operation) in [(&one, put(record.clone())), (&one, recognise(record.clone())), (&two, put(record))]
        {
            let refused = routed(store, before, vec![remember("z"), operation]).await;
            assert_eq!(refused, Err(StoreError::Outdated), "change {n}");
        }
        assert_eq!(remembered(&two, "z").await, None, "nothing of the batch was done");
        let now = version(&one).await;
        assert!(now > before && now == version(&two).await, "{before:?} {now:?}");
        assert!(routed(&one, now, vec![put(message(&format!("after-{n}"), &["a"]))]).await.is_ok());
    }
}

/// S2: a batch that changes the roster may record messages that were routed by the one before; those after it may not.
pub async fn a_change_counts_from_the_next_batch_on<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let before = version(&store).await;
    let both = routed(&store, before, vec![remember("b"), put(message("m1", &["a", "b"]))]).await.expect("it commits");
    assert!(matches!(both[1], Outcome::Recorded { .. }), "{both:?}");
    assert_eq!(owed(&store, "b").await.len(), 1);
    assert_eq!(routed(&store, before, vec![put(message("m2", &["a"]))]).await, Err(StoreError::Outdated));
    let unchanged = version(&store).await;
    commit(&store, vec![remember("b"), forget("stranger", t(30))]).await;
    assert_eq!(version(&store).await, unchanged, "nothing was changed");
}

/// S2: when a peer was seen is no change of the roster.
pub async fn being_seen_is_no_change<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a"]).await;
    let before = version(&one).await;
    let seen = Peer { last_seen: t(99), ..application("a") };
    assert_eq!(commit_one(&two, Operation::RememberPeer(Box::new(seen))).await, Outcome::Applied);
    assert!(routed(&two, before, vec![put(message("m", &["a"]))]).await.is_ok());
    assert_eq!(version(&one).await, before);
}

/// S3: whoever claimed a peer last decides about its deliveries; what others decide changes nothing.
pub async fn the_last_claim_holds<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a", "b"]).await;
    let sequence = recorded(&one, message("m", &["a", "b"])).await;
    let decisions = |name: &str| {
        vec![attempt(name, sequence, 1), give_up(name, sequence), supersede(name, sequence), expire(name, sequence)]
    };
    claim(&one, "a").await;
    assert_eq!(commit_one(&one, attempt("a", sequence, 1)).await, Outcome::Applied);
    claim(&two, "a").await;
    assert_eq!(commit(&one, decisions("a")).await, vec![Outcome::Unchanged; 4]);
    let pending = backlog(&one, "a").await;
    assert_eq!((pending.len(), pending[0].attempts), (1, 1));
    assert_eq!(commit_one(&one, expire("b", sequence)).await, Outcome::Applied, "nobody has claimed it");
    assert_eq!(commit_one(&two, attempt("a", sequence, 2)).await, Outcome::Applied);
    claim(&one, "a").await;
    assert_eq!(commit_one(&two, give_up("a", sequence)).await, Outcome::Unchanged);
    assert_eq!(commit_one(&one, give_up("a", sequence)).await, Outcome::Applied);
    assert_eq!(news_until(&two, |news| !news.lost.is_empty()).await.lost, [peer("a")]);
}

/// S3: what a member received from a peer that another serves now is not recorded, and is none that was recorded.
pub async fn what_a_former_holder_received_is_not_recorded<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a", "sender"]).await;
    claim(&one, "sender").await;
    recorded(&one, message("m1", &["a"])).await;
    claim(&two, "sender").await;
    assert_eq!(commit_one(&one, put(message("m2", &["a"]))).await, Outcome::Unchanged);
    recorded(&two, message("m2", &["a"])).await;
    assert_eq!(commit_one(&one, put(message("m2", &["a"]))).await, Outcome::Unchanged);
    assert_eq!(owed(&two, "a").await.len(), 2);
    claim(&one, "sender").await;
    assert_eq!(commit_one(&one, put(message("m2", &["a"]))).await, BY_IDENTITY);
}

/// S3: an acknowledgement is true whoever brings it.
pub async fn an_acknowledgement_counts_from_anyone<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a"]).await;
    let (first, second) = (recorded(&one, message("m1", &["a"])).await, recorded(&one, message("m2", &["a"])).await);
    claim(&two, "a").await;
    assert_eq!(commit_one(&one, acknowledge("a", first)).await, Outcome::Applied);
    assert_eq!(commit_one(&two, acknowledge("a", first)).await, Outcome::Unchanged);
    assert_eq!(commit_one(&two, give_up("a", second)).await, Outcome::Applied);
    assert_eq!(commit_one(&one, acknowledge("a", second)).await, Outcome::AcknowledgedLate);
}

/// S3: a claim tells what the peer is owed; of a stranger it tells that nobody is remembered.
pub async fn a_claim_tells_what_is_owed<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a"]).await;
    let sequences = sequences(&one, (0..3).map(|n| put(message(&format!("m{n}"), &["a"]))).collect()).await;
    commit_one(&one, acknowledge("a", sequences[0])).await;
    let claimed = shared(&two).claim(&peer("a")).await.expect("it is claimed").expect("it is remembered");
    assert_eq!((claimed.peer, claimed.backlog, claimed.oldest), (application("a"), 2, Some(sequences[1])));
    assert_eq!(shared(&two).claim(&peer("stranger")).await, Ok(None));
}

/// S3: once a claim was given back, anyone may decide; one that another has taken is not given back by the former.
pub async fn a_claim_that_was_given_back_binds_nobody<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a"]).await;
    let sequence = recorded(&one, message("m", &["a"])).await;
    claim(&one, "a").await;
    claim(&two, "a").await;
    shared(&one).release(&peer("a")).await.expect("it says so");
    assert_eq!(commit_one(&one, attempt("a", sequence, 1)).await, Outcome::Unchanged);
    shared(&two).release(&peer("a")).await.expect("it is given back");
    assert_eq!(commit_one(&one, attempt("a", sequence, 1)).await, Outcome::Applied);
    assert_eq!(shared(&two).news(SHORT).await.expect("news are read").lost, [], "it was not taken");
}

/// S3: each member is told whom the others serve, and nobody whom nobody serves.
pub async fn the_claims_of_others_are_told<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a", "b", "c", "d"]).await;
    for (store, names) in [(&one, ["b", "a"].as_slice()), (&two, &["c"])] {
        for name in names {
            claim(store, name).await;
        }
    }
    assert_eq!(shared(&one).claimed_by_others().await, Ok(vec![peer("c")]));
    assert_eq!(shared(&two).claimed_by_others().await, Ok(vec![peer("a"), peer("b")]));
    claim(&two, "a").await;
    shared(&one).release(&peer("b")).await.expect("it is given back");
    assert_eq!(shared(&one).claimed_by_others().await, Ok(vec![peer("a"), peer("c")]));
    assert_eq!(shared(&two).claimed_by_others().await, Ok(Vec::new()));
}

/// S3: a peer that another member serves is not forgotten.
pub async fn a_claimed_peer_is_not_forgotten_elsewhere<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a"]).await;
    claim(&one, "a").await;
    assert_eq!(commit_one(&two, forget("a", t(30))).await, Outcome::Unchanged);
    assert!(remembered(&two, "a").await.is_some());
    assert_eq!(commit_one(&one, forget("a", t(30))).await, Outcome::Applied);
    assert_eq!(remembered(&two, "a").await, None);
}

/// S4: a member hears of what others made owed and of the roster, once, and not of what it did itself.
pub async fn news_tell_what_others_did<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a", "b"]).await;
    let news = news_until(&two, |news| news.roster.is_some()).await;
    assert_eq!(news.roster, Some(version(&one).await));
    let sequence = recorded(&one, message("m", &["a"])).await;
    let news = news_until(&two, |news| news.owed.includes(&peer("a"))).await;
    assert!(news.roster.is_none() && news.lost.is_empty(), "{news:?}");
    commit(&one, vec![acknowledge("a", sequence), put(message("n", &["b"]))]).await;
    news_until(&two, |news| news.owed.includes(&peer("b"))).await;
    let own = shared(&one).news(SHORT).await.expect("news are read");
    assert_eq!((own.owed, own.lost), (Owed::NOBODY, Vec::new()), "its own doings are no news");
    assert_eq!(shared(&two).news(SHORT).await, Ok(News::NONE), "news are told once");
}

/// S4: a member hears of what others redrove.
pub async fn news_tell_what_is_redriven<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a"]).await;
    let sequence = recorded(&one, message("m", &["a"])).await;
    commit(&one, vec![give_up("a", sequence)]).await;
    news_until(&two, |news| news.owed.includes(&peer("a"))).await;
    commit(&one, vec![redrive("a", sequence)]).await;
    news_until(&two, |news| news.owed.includes(&peer("a"))).await;
}

/// S4: a member hears whose claims it has lost.
pub async fn news_tell_of_lost_claims<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a", "b"]).await;
    claim(&one, "a").await;
    claim(&one, "b").await;
    claim(&two, "a").await;
    assert_eq!(news_until(&one, |news| !news.lost.is_empty()).await.lost, [peer("a")]);
    claim(&one, "a").await;
    assert_eq!(news_until(&two, |news| !news.lost.is_empty()).await.lost, [peer("a")]);
    assert_eq!(shared(&one).news(SHORT).await.expect("news are read").lost, []);
}

/// S4: news that come while a member waits for them end the wait.
pub async fn news_come_while_they_are_waited_for<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a"]).await;
    news_until(&two, |news| news.roster.is_some()).await;
    let waits = news_until(&two, |news| news.owed.includes(&peer("a")));
    let records = async {
        tokio::task::yield_now().await;
        recorded(&one, message("m", &["a"])).await;
    };
    tokio::join!(waits, records);
}

/// S4, S1: what others recorded before an own commit is told with it, whether or not it was told as news.
pub async fn what_lies_before_an_own_commit_is_told<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a", "b", "c"]).await;
    recorded(&two, message("m1", &["a"])).await;
    shared(&two).interleaved();
    recorded(&one, message("m2", &["a", "b"])).await;
    news_until(&two, |news| news.owed.includes(&peer("b"))).await;
    commit(&two, vec![acknowledge("a", never_given())]).await;
    recorded(&two, message("m3", &["a"])).await;
    let interleaved = shared(&two).interleaved();
    assert!(interleaved.includes(&peer("a")) && interleaved.includes(&peer("b")), "{interleaved:?}");
    recorded(&two, message("m4", &["a"])).await;
    assert_eq!(shared(&two).interleaved(), Owed::NOBODY, "nobody else recorded anything meanwhile");
    recorded(&one, message("m5", &["c"])).await;
    let sequence = recorded(&one, message("m6", &["b"])).await;
    commit(&one, vec![give_up("b", sequence)]).await;
    commit(&one, vec![redrive("b", sequence)]).await;
    recorded(&two, message("m7", &["a"])).await;
    let interleaved = shared(&two).interleaved();
    assert!(interleaved.includes(&peer("b")) && interleaved.includes(&peer("c")), "{interleaved:?}");
}

/// S5: a retired member's commits and purges change nothing.
pub async fn a_retired_member_changes_nothing<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a"]).await;
    let sequence = recorded(&one, message("m", &["a"])).await;
    let dead = as_it_stands(&one).await;
    assert_eq!(shared(&two).retire(dead).await, Ok(true));
    let batches = [
        vec![put(message("n", &["a"]))],
        vec![acknowledge("a", sequence)],
        vec![remember("b")],
        vec![recognise(message("m", &["a"]))],
    ];
    for batch in batches {
        assert_eq!(try_commit(&one, batch).await, Err(StoreError::Retired));
    }
    let budget = std::num::NonZeroU32::MIN;
    assert_eq!(one.purge(everything(), budget).await, Err(StoreError::Retired));
    assert_eq!(shared(&one).beat().await, Err(StoreError::Retired));
    assert_eq!(shared(&one).claim(&peer("a")).await, Err(StoreError::Retired));
    assert_eq!(owed(&two, "a").await, [sequence]);
    assert_eq!(remembered(&two, "b").await, None);
    assert_eq!(shared(&two).retire(dead).await, Ok(true), "it is none any more");
    let third = sandbox.open().await;
    recorded(&third, message("n", &["a"])).await;
}

/// S5: a member whose beats went on since they were looked at is not retired.
pub async fn a_member_that_beats_is_not_retired<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    let seen = as_it_stands(&one).await;
    let now = as_it_stands(&one).await;
    assert!(seen.beats < now.beats, "{seen:?} {now:?}");
    assert_eq!(shared(&two).retire(seen).await, Ok(false));
    remember_all(&one, &["a"]).await;
    let all: Vec<_> = shared(&two).beat().await.expect("it is a member").iter().map(|member| member.id).collect();
    assert!(all.contains(&shared(&one).member()) && all.contains(&shared(&two).member()) && all.len() == 2, "{all:?}");
}

/// S5: the claims and the duties of a retired member are anyone's.
pub async fn what_a_retired_member_had_is_free<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a"]).await;
    let sequence = recorded(&one, message("m", &["a"])).await;
    claim(&one, "a").await;
    assert_eq!(shared(&one).take_duty("to dial").await, Ok(true));
    assert_eq!(commit_one(&two, attempt("a", sequence, 1)).await, Outcome::Unchanged);
    assert_eq!(shared(&two).take_duty("to dial").await, Ok(false));
    assert_eq!(shared(&two).retire(as_it_stands(&one).await).await, Ok(true));
    assert_eq!(commit_one(&two, attempt("a", sequence, 1)).await, Outcome::Applied);
    assert_eq!(shared(&two).take_duty("to dial").await, Ok(true));
}

/// S5: a handle that was closed is no member, and what it had is free.
pub async fn a_closed_handle_is_no_member<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    remember_all(&one, &["a"]).await;
    let sequence = recorded(&one, message("m", &["a"])).await;
    claim(&one, "a").await;
    assert_eq!(shared(&one).take_duty("to dial").await, Ok(true));
    let gone = shared(&one).member();
    one.close().await.expect("the store closes");
    let members = shared(&two).beat().await.expect("it is a member");
    assert!(members.iter().all(|member| member.id != gone), "{members:?}");
    assert_eq!(commit_one(&two, attempt("a", sequence, 1)).await, Outcome::Applied);
    assert_eq!(shared(&two).take_duty("to dial").await, Ok(true));
    assert_eq!(shared(&one).news(SHORT).await, Err(StoreError::Closed));
}

/// S6: a duty is one member's until it leaves it.
pub async fn a_duty_is_one_members<H: Harness>(sandbox: Sandbox<H>) {
    let (one, two) = (sandbox.open().await, sandbox.open().await);
    let (one, two) = (shared(&one), shared(&two));
    assert_eq!(one.take_duty("to dial").await, Ok(true));
    assert_eq!(one.take_duty("to dial").await, Ok(true), "it has it already");
    assert_eq!(two.take_duty("to dial").await, Ok(false));
    assert_eq!(two.take_duty("to purge").await, Ok(true));
    two.leave_duty("to dial").await.expect("it says so");
    assert_eq!(two.take_duty("to dial").await, Ok(false), "it was not its own to leave");
    one.leave_duty("to dial").await.expect("it is left");
    assert_eq!(two.take_duty("to dial").await, Ok(true));
}

/// S1, S2, S3, S5: whatever members do, they answer as those of the model do.
pub async fn members_answer_as_those_of_the_model_do<H: Harness>(sandbox: Sandbox<H>) {
    members::in_lockstep(&sandbox).await;
}
