//! Parting from a peer that was told something.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::link::{Refusal, Stream, awake};

/// How much and how long is read after a refusal, so that it is not lost in a reset of the stream.
const LINGER_BYTES: u64 = 1 << 20;
const LINGER_TIME: Duration = Duration::from_secs(2);

/// Tells a client in HTTP why it gets nothing here, before any HTTP server serves it, and parts from it.
///
/// # Errors
/// The client is gone already.
pub(super) async fn refuse(mut stream: Box<dyn Stream>, told: &str) -> io::Result<()> {
    stream.write_all(&Refusal::bad_request(told).response()).await?;
    linger(stream).await;
    Ok(())
}

/// Ends the stream, and reads on for a while until the peer has ended its side.
pub(super) async fn linger(mut stream: Box<dyn Stream>) {
    let lingering = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // Whether the peer waits for its answer is its own affair.
    let _ = awake::timeout(LINGER_TIME, lingering).await;
}
