//! Who may open a store, and what becomes of a damaged one.

use std::fs;
use std::time::Duration;

use slipstream_store::{MessageStore, StoreError};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

/// C11: an open store is not opened again; that leaves the open one alone.
pub async fn an_open_store_is_in_use<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    for n in 0..3 {
        let second = sandbox.try_open().await.map(drop);
        assert!(matches!(second, Err(StoreError::InUse(_))), "{second:?}");
        recorded(&store, message(&format!("m{n}"), &["a"])).await;
    }
    let store = sandbox.reopen(store).await;
    assert_eq!(owed(&store, "a").await.len(), 3);
}

/// C11: a failed attempt to open does not keep the place.
pub async fn a_closed_store_opens_elsewhere_at_once<H: Harness>(sandbox: Sandbox<H>) {
    let first = sandbox.open().await;
    assert!(sandbox.try_open().await.is_err());
    first.close().await.expect("the store closes");
    let second = sandbox.open().await;
    drop(first);
    remember_all(&second, &["a"]).await;
    let third = sandbox.try_open().await.map(drop);
    assert!(matches!(third, Err(StoreError::InUse(_))), "dropping a closed store frees nothing: {third:?}");
}

/// C11: a damaged store is refused with an error that says so, and is left as it was. (Stores without files pass.)
pub async fn a_damaged_store_is_refused<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    for n in 0..20 {
        recorded(&store, message(&format!("m{n}"), &["a"])).await;
    }
    store.close().await.expect("the store closes");
    drop(store);
    let files = sandbox.data_files();
    for file in &files {
        let mut bytes = fs::read(file).expect("a data file is read");
        let half = bytes.len().div_ceil(2);
        bytes[..half].iter_mut().for_each(|byte| *byte = !*byte);
        fs::write(file, &bytes).expect("a data file is written");
    }
    let damaged: Vec<_> = files.iter().map(|file| fs::read(file).expect("a data file is read")).collect();
    if damaged.iter().all(Vec::is_empty) {
        return;
    }
    let opened = tokio::time::timeout(Duration::from_secs(60), sandbox.try_open()).await.expect("opening ends");
    let refused = opened.map(drop).expect_err("a damaged store is refused");
    assert!(matches!(refused, StoreError::Corrupted(_) | StoreError::Unsupported(_)), "{refused:?}");
    let after: Vec<_> = files.iter().map(|file| fs::read(file).expect("the file is still there")).collect();
    assert!(after == damaged, "a damaged store is left as it was");
}
