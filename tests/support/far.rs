//! A long way between two programs: a proxy that passes bytes late, and now and then stalls as TCP does where a
//! segment is lost.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// The bytes of a TCP segment.
const SEGMENT: usize = 1_448;

/// Most segments on the way in one direction; beyond it the sender waits.
const ON_THE_WAY: usize = 4_096;

/// The way.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// How long a byte takes in one direction.
    pub delay: Duration,
    /// Of how many segments one is lost.
    pub lost_one_in: u32,
    /// How long it takes until a lost segment, and all behind it, comes after all.
    pub stall: Duration,
}

/// A proxy that stands at the far end of a long way.
#[derive(Debug)]
pub struct Far {
    /// Where it listens.
    pub address: SocketAddr,
    _passing: JoinSet<()>,
}

impl Far {
    /// Passes what comes to `target`. Which segments are lost follows from the seed.
    pub async fn start(target: SocketAddr, way: Way, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let mut passing = JoinSet::new();
        passing.spawn(async move {
            let mut links = JoinSet::new();
            let mut random = fastrand::Rng::with_seed(seed);
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(target).await else { continue };
                near.set_nodelay(true).and(far.set_nodelay(true)).expect("a socket");
                let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                links.spawn(pass(near_read, far_write, way, random.fork()));
                links.spawn(pass(far_read, near_write, way, random.fork()));
            }
        });
        Self { address, _passing: passing }
    }
}

/// Passes one direction, in order.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Way, mut random: fastrand::Rng) {
    let (put, mut taken) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let reading = async move {
        let mut segment = vec![0; SEGMENT];
        while let Ok(count @ 1..) = from.read(&mut segment).await {
            let lost = random.u32(..way.lost_one_in) == 0;
            let takes = way.delay + if lost { way.stall } else { Duration::ZERO };
            if put.send((Instant::now() + takes, segment[..count].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((at, segment)) = taken.recv().await {
            sleep_until(at).await;
            if to.write_all(&segment).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}
