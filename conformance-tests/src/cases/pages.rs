//! Pages of pending deliveries.

use bytes::Bytes;
use slipstream_store::{Key, MessageStore, MessageType, PageLimit, Pending, Record, Sequence};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

async fn some_messages<S: MessageStore>(store: &S, count: usize) -> Vec<Sequence> {
    remember_all(store, &["a"]).await;
    let records = (0..count).map(|n| put(message(&format!("m{n}"), &["a"])));
    commit(store, records.collect()).await.into_iter().map(sequence_of).collect()
}

async fn page<S: MessageStore>(store: &S, after: Option<Sequence>, limit: PageLimit) -> (Vec<Sequence>, bool) {
    let page = store.pending(&peer("a"), after, limit).await.expect("the page is read");
    (page.items.iter().map(|item| item.sequence).collect(), page.more)
}

/// C6: `after` is exclusive; it need not name a pending delivery.
pub async fn after_is_exclusive<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let given = some_messages(&store, 5).await;
    for (n, sequence) in given.iter().enumerate() {
        assert_eq!(
            page(&store, Some(*sequence), items(100)).await,
            (given[n + 1..].to_vec(), false),
            "after {sequence}"
        );
    }
    commit(&store, vec![acknowledge("a", given[1])]).await;
    let read = page(&store, Some(given[1]), items(100)).await;
    assert_eq!(read, (given[2..].to_vec(), false), "after {}, which is settled", given[1]);
    for beyond in [never_given(), Sequence::LAST] {
        assert_eq!(
            page(&store, Some(beyond), items(100)).await,
            (Vec::new(), false),
            "after {beyond}, beyond the last"
        );
    }
}

/// C6: a page holds as many items as asked for if there are as many, and `more` is exact.
pub async fn items_bound_a_page<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let given = some_messages(&store, 5).await;
    for most in 1..=7 {
        let expected = given[..most.min(5)].to_vec();
        let read = page(&store, None, items(u32::try_from(most).expect("small"))).await;
        assert_eq!(read, (expected, most < 5), "at most {most}");
    }
    let huge = limit(u32::MAX, usize::MAX);
    assert_eq!(page(&store, None, huge).await, (given, false));
}

/// C6: `more` says nothing of what is settled or owed to others.
pub async fn more_counts_only_what_is_owed<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let given = some_messages(&store, 4).await;
    remember_all(&store, &["b"]).await;
    recorded(&store, message("for-b", &["b"])).await;
    commit(&store, vec![acknowledge("a", given[1]), give_up("a", given[3])]).await;
    assert_eq!(page(&store, None, items(2)).await, (vec![given[0], given[2]], false));
    assert_eq!(page(&store, None, items(1)).await, (vec![given[0]], true));
}

/// C6: a page holds as many bytes of text as fit, and ends before the item that does not fit.
pub async fn bytes_bound_a_page<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let mut given = Vec::new();
    for (n, size) in [100, 100, 100, 1, 400, 0, 50].into_iter().enumerate() {
        let text = Bytes::from(vec![b'x'; size]);
        given.push(recorded(&store, Record { text, ..message(&format!("m{n}"), &["a"]) }).await);
    }
    for (bytes, expected) in [(1, 1), (100, 1), (199, 1), (200, 2), (300, 3), (301, 4), (700, 4), (701, 6), (751, 7)] {
        let read = page(&store, None, limit(100, bytes)).await;
        assert_eq!(read, (given[..expected].to_vec(), expected < 7), "at most {bytes} bytes");
    }
}

/// C6: an oversized item comes alone, wherever it stands, also before one without any text.
pub async fn an_oversized_item_still_comes<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let mut given = Vec::new();
    for (n, size) in [5000, 10, 5000, 0, 10].into_iter().enumerate() {
        let text = Bytes::from(vec![b'x'; size]);
        given.push(recorded(&store, Record { text, ..message(&format!("m{n}"), &["a"]) }).await);
    }
    let mut after = None;
    for sequence in &given[..3] {
        let read = page(&store, after, limit(100, 1000)).await;
        assert_eq!(read, (vec![*sequence], true), "at most 1,000 bytes after {after:?}");
        after = Some(*sequence);
    }
    assert_eq!(page(&store, after, limit(100, 1000)).await, (given[3..].to_vec(), false));
}

/// C6: an unknown peer's page is empty, and so is that of a peer that is owed nothing.
pub async fn nothing_owed_is_an_empty_page<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    assert_eq!(page(&store, None, items(1)).await, (Vec::new(), false));
    remember_all(&store, &["a", "b"]).await;
    recorded(&store, message("m1", &["b"])).await;
    assert_eq!(page(&store, None, items(1)).await, (Vec::new(), false));
}

/// C6: every field of a pending delivery is read back as it was recorded, also after reopening.
pub async fn a_page_gives_back_what_was_recorded<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let full = Record {
        expires_at: Some(t(5000)),
        received_at: t(77),
        message_type: MessageType::new("CUSTOM_9").expect("a type"),
        key: Some(Key::new("Schlüssel 🔑 \u{0} '\"").expect("a key")),
        text: Bytes::from("{\"grüße\": \"\u{1F600}\\u0000\"}"),
        ..message("full", &["a"])
    };
    let bare = Record { key: None, text: Bytes::new(), received_at: t(0), ..message("bare", &["a"]) };
    let mut expected = Vec::new();
    for record in [full, bare] {
        expected.push(Pending {
            sequence: recorded(&store, record.clone()).await,
            identity: record.identity,
            message_type: record.message_type,
            key: record.key,
            expires_at: record.expires_at,
            received_at: record.received_at,
            attempts: 0,
            last_attempt_at: None,
            redriven: false,
            text: record.text,
        });
    }
    assert_eq!(backlog(&store, "a").await, expected);
    let store = sandbox.reopen(store).await;
    assert_eq!(backlog(&store, "a").await, expected);
}

/// C6: texts are bytes; a store neither reads nor changes them.
pub async fn texts_are_bytes<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let text = Bytes::from((0..=255_u8).rev().cycle().take(3000).collect::<Vec<u8>>());
    recorded(&store, Record { text: text.clone(), ..message("m1", &["a"]) }).await;
    let store = sandbox.reopen(store).await;
    assert_eq!(backlog(&store, "a").await[0].text, text);
}
