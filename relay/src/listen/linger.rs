//! Parting from a peer that was told something.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::link::{Stream, awake};

/// How much and how long is read after a refusal, so that it is not lost in a reset of the stream.
const LINGER_BYTES: u64 = 1 << 20;
const LINGER_TIME: Duration = Duration::from_secs(2);

/// Ends the stream, and reads on for a while until the peer has ended its side.
pub(super) async fn linger(mut stream: Box<dyn Stream>) {
    let lingering = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // Whether the peer waits for its answer is its own affair.
    let _ = awake::timeout(LINGER_TIME, lingering).await;
}
