//! What a program listens on, and what it reaches other hosts with.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slipstream::link::{Connector, Stream, Target};
use slipstream::listen::{Accepted, Listener};
use slipstream::store::PeerId;
use tokio::time::sleep;

use super::routes::{Door, Life, Network};
use super::stream::SimStream;

/// The pause between two tries to reach a host that does not answer.
const SYN_PAUSE: Duration = Duration::from_secs(1);

impl Network {
    /// Lets a program listen on its host.
    pub(crate) fn listen(self: &Arc<Self>, life: &Life) -> Box<dyn Listener> {
        Box::new(SimListener { network: Arc::clone(self), door: self.open(life) })
    }

    /// What a program reaches other hosts with.
    pub(crate) fn connector(self: &Arc<Self>, life: &Life) -> Arc<SimConnector> {
        self.power(life);
        Arc::new(SimConnector { network: Arc::clone(self), life: life.clone() })
    }
}

/// Listens on a simulated host.
struct SimListener {
    network: Arc<Network>,
    door: Arc<Door>,
}

#[async_trait]
impl Listener for SimListener {
    async fn accept(&self) -> io::Result<Accepted> {
        loop {
            if self.door.life.is_over() {
                return std::future::pending().await;
            }
            let next = self.door.waiting.lock().pop_front();
            if let Some(connection) = next {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
                let stream = SimStream::new(&self.network, &connection, 1);
                return Ok(Accepted::plain(Box::new(stream), address));
            }
            self.door.came.notified().await;
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, 7171)))
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.network.close(&self.door);
        // Nobody will accept those who wait.
        for connection in std::mem::take(&mut *self.door.waiting.lock()) {
            drop(SimStream::new(&self.network, &connection, 1));
        }
    }
}

/// Reaches out to simulated hosts; a host's name is the id of who runs there.
pub(crate) struct SimConnector {
    network: Arc<Network>,
    life: Life,
}

impl SimConnector {
    async fn reach(&self, to: &PeerId) -> io::Result<SimStream> {
        let Self { network, life } = self;
        loop {
            let (round_trip, _) = network.knock(&life.host, to);
            sleep(round_trip).await;
            if life.is_over() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            match network.knock(&life.host, to).1.transpose()? {
                Some(door) => return Ok(SimStream::new(network, &network.join(life, to, &door), 0)),
                None => sleep(SYN_PAUSE).await,
            }
        }
    }
}

#[async_trait]
impl Connector for SimConnector {
    async fn connect(&self, target: &Target) -> io::Result<(Box<dyn Stream>, SocketAddr)> {
        let to = PeerId::new(&target.host).map_err(io::Error::other)?;
        let stream = self.reach(&to).await?;
        Ok((Box::new(stream), SocketAddr::from((Ipv4Addr::LOCALHOST, target.port))))
    }
}
