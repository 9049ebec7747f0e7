//! Large values, many messages, many peers: where blocks, pages and buffers have their borders.

use bytes::Bytes;
use slipstream_store::{DeadLetterReason, Key, MessageStore, Operation, PeerId, Record, Sequence};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

/// C6: texts of a mebibyte and keys of 1,024 bytes come back whole.
pub async fn large_values_come_back_whole<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let mut expected = Vec::new();
    for n in 0..3_u8 {
        let text: Vec<u8> = (0..=250).cycle().map(|byte| byte ^ n).take(1024 * 1024 + usize::from(n)).collect();
        let key = Key::new("ö".repeat(511) + &format!("{n:02}")).expect("1,024 bytes");
        let record = Record { text: Bytes::from(text), key: Some(key), ..message(&format!("m{n}"), &["a"]) };
        recorded(&store, record.clone()).await;
        expected.push((record.key, record.text));
    }
    let store = sandbox.reopen(store).await;
    let read: Vec<_> = backlog(&store, "a").await.into_iter().map(|item| (item.key, item.text)).collect();
    assert!(read == expected);
}

/// C6: ids, tags and reasons at their longest come back whole.
pub async fn long_names_come_back_whole<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let name = "n".repeat(128);
    let long = slipstream_store::Peer {
        tags: (0..64).map(|n| slipstream_store::Tag::new(format!("{n:064}")).expect("a tag")).collect(),
        ..application(&name)
    };
    commit(&store, vec![Operation::RememberPeer(Box::new(long.clone()))]).await;
    let sequence = recorded(&store, message(&"~".repeat(128), &[&name])).await;
    let reason = DeadLetterReason::rejected("ü".repeat(2000));
    commit(&store, vec![give_up_for(&name, sequence, reason.clone())]).await;
    let store = sandbox.reopen(store).await;
    assert_eq!(remembered(&store, &name).await.expect("remembered").peer, long);
    let dead = all_dead(&store).await.swap_remove(0);
    assert_eq!((dead.identity, dead.reason), (id(&"~".repeat(128)), reason));
}

/// C1: one message goes to 200 peers, and each of its deliveries settles alone.
pub async fn a_message_goes_to_many<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let names: Vec<String> = (0..200).map(|n| format!("peer-{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    remember_all(&store, &names).await;
    let sequence = recorded(&store, message("m1", &names)).await;
    let half = names.iter().step_by(2).map(|name| acknowledge(name, sequence)).collect();
    commit(&store, half).await;
    let store = sandbox.reopen(store).await;
    for (n, name) in names.iter().enumerate() {
        let expected = if n % 2 == 0 { vec![] } else { vec![sequence] };
        assert_eq!(owed(&store, name).await, expected, "{name}");
    }
    assert_eq!(store.stats().await.expect("stats").pending, 100);
    let trace = trace(&store, "m1").await.expect("it has a trace");
    let peers: Vec<&PeerId> = trace.deliveries.iter().map(|delivery| &delivery.peer).collect();
    assert!(peers.len() == 200 && peers.is_sorted());
}

/// C6: 3,000 messages a peer are paged through whole, with every page size, from both sides of each border.
pub async fn a_long_backlog_is_paged_whole<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let mut given: Vec<Sequence> = Vec::new();
    for batch in 0..6 {
        let records = (0..500).map(|n| put(message(&format!("m{batch}-{n}"), &["a", "b"])));
        given.extend(commit(&store, records.collect()).await.into_iter().map(sequence_of));
    }
    assert_eq!(owed(&store, "a").await, given);
    for at in [1, 1022, 1023, 1024, 1025, 2046, 2047, 2048, 2049, 2998, 2999] {
        let page = store.pending(&peer("b"), Some(given[at - 1]), items(2)).await.expect("the page is read");
        let read: Vec<_> = page.items.iter().map(|item| item.sequence).collect();
        assert_eq!((&read[..], page.more), (&given[at..(at + 2).min(3000)], at < 2998), "after {at}");
    }
    // Holes, of every second delivery and of a whole stretch across borders.
    let settled: Vec<_> =
        given.iter().enumerate().filter(|(n, _)| n % 2 == 1 || (900..2300).contains(n)).map(|(_, s)| *s).collect();
    commit(&store, settled.iter().map(|sequence| acknowledge("a", *sequence)).collect()).await;
    let left: Vec<_> = given.iter().copied().filter(|sequence| !settled.contains(sequence)).collect();
    assert_eq!(owed(&store, "a").await, left);
    let store = sandbox.reopen(store).await;
    assert_eq!(owed(&store, "a").await, left);
    assert_eq!(owed(&store, "b").await, given);
    let page = store.pending(&peer("a"), Some(given[899]), items(1)).await.expect("the page is read");
    assert_eq!((page.items[0].sequence, page.more), (given[2300], true));
}

/// C9, C5: thousands of messages come and go, and the last ones are right.
pub async fn thousands_come_and_go<H: Harness>(sandbox: Sandbox<H>) {
    let mut store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let mut kept = Vec::new();
    for round in 0..5 {
        let records = (0..700).map(|n| put(message(&format!("m{round}-{n}"), &["a", "b"])));
        let given: Vec<_> = commit(&store, records.collect()).await.into_iter().map(sequence_of).collect();
        kept.push(given[round]);
        let settled = given.iter().flat_map(|sequence| [acknowledge("a", *sequence), supersede("b", *sequence)]);
        let settled = settled.filter(|operation| *operation != acknowledge("a", given[round]));
        commit(&store, settled.collect()).await;
        purge_all(&store, everything(), 100).await;
        store = sandbox.reopen(store).await;
        assert_eq!(owed(&store, "a").await, kept);
        assert_eq!(owed(&store, "b").await, []);
        assert_eq!(store.stats().await.expect("stats").messages, kept.len() as u64);
    }
}
