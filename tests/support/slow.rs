//! A thin line between two programs: a proxy that passes so many bytes a second towards its target, and as many back.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// How many pieces a second pass at most.
const PIECES: usize = 50;

/// The line.
#[derive(Debug)]
pub struct Slow {
    /// Where it listens.
    pub address: SocketAddr,
    _passing: JoinSet<()>,
}

impl Slow {
    /// Passes what comes to `target`, so many bytes a second in each direction.
    pub async fn start(target: SocketAddr, bytes_a_second: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let mut passing = JoinSet::new();
        passing.spawn(async move {
            let mut links = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(target).await else { continue };
                let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                links.spawn(pass(near_read, far_write, bytes_a_second));
                links.spawn(pass(far_read, near_write, bytes_a_second));
            }
        });
        Self { address, _passing: passing }
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, bytes_a_second: usize) {
    let mut piece = vec![0; bytes_a_second / PIECES];
    let mut free_at = Instant::now();
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        sleep_until(free_at).await;
        if to.write_all(&piece[..count]).await.is_err() {
            return;
        }
        free_at = free_at.max(Instant::now()) + Duration::from_secs_f64(count as f64 / bytes_a_second as f64);
    }
}
