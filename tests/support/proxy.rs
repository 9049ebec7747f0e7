//! A stretch of network that can be cut, slowed and made to go silent, and mended.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Most bytes that a direction of a stream holds.
const HELD: usize = 64 << 10;

/// How it passes streams on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// What is sent arrives.
    Open,
    /// It arrives so late.
    Slow(Duration),
    /// It is held, and so are new streams and the ends of old ones. It arrives once it is open again.
    Silent,
    /// Streams end, new ones at once. What was held is lost.
    Cut,
}

/// A stretch of network to an address. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it takes streams.
    pub address: SocketAddr,
    course: watch::Sender<Course>,
    work: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy)]
struct Course {
    to: SocketAddr,
    condition: Condition,
}

impl Proxy {
    /// An open one.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let course = watch::Sender::new(Course { to, condition: Condition::Open });
        let seen = course.subscribe();
        let work = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("it can be accepted");
                tokio::spawn(pass(stream, seen.clone()));
            }
        });
        Self { address, course, work }
    }

    /// The URL of what is behind it.
    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// Makes it so, for all streams.
    pub fn becomes(&self, condition: Condition) {
        self.course.send_modify(|course| course.condition = condition);
    }

    /// Ends every stream, and each new one at once.
    pub fn cut(&self) {
        self.becomes(Condition::Cut);
    }

    /// Passes new streams on again.
    pub fn mend(&self) {
        self.becomes(Condition::Open);
    }

    /// Has new streams lead to another address.
    pub fn lead_to(&self, to: SocketAddr) {
        self.course.send_modify(|course| course.to = to);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn pass(near: TcpStream, course: watch::Receiver<Course>) {
    let mut watched = course.clone();
    tokio::select! {
        biased;
        _ = watched.wait_for(|course| course.condition == Condition::Cut) => {}
        () = carry(near, course) => {}
    }
}

async fn carry(near: TcpStream, mut course: watch::Receiver<Course>) {
    let Some(Course { to, .. }) = passable(&mut course).await else { return };
    let Ok(far) = TcpStream::connect(to).await else { return };
    if near.set_nodelay(true).and(far.set_nodelay(true)).is_err() {
        return;
    }
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    tokio::join!(pump(near_read, far_write, course.clone()), pump(far_read, near_write, course));
}

/// Passes one direction, in order, and its end.
async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut course: watch::Receiver<Course>) {
    let mut held = vec![0; HELD];
    loop {
        let count = from.read(&mut held).await.unwrap_or(0);
        if passable(&mut course).await.is_none() {
            return;
        }
        if count == 0 {
            let _ = to.shutdown().await;
            return;
        }
        if to.write_all(&held[..count]).await.is_err() {
            return;
        }
    }
}

/// Waits until something may pass; `None` if the proxy is gone.
async fn passable(course: &mut watch::Receiver<Course>) -> Option<Course> {
    let condition = course.borrow().condition;
    if let Condition::Slow(late) = condition {
        sleep(late).await;
    }
    course.wait_for(|course| course.condition != Condition::Silent).await.ok().map(|course| *course)
}
