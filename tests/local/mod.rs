//! A relay in this process, over the model store, so that a test can set what no flag sets and see what no page shows.

#![allow(dead_code, unreachable_pub, reason = "each test target is a program of its own and uses its part of this")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use slipstream::clock::SystemClock;
use slipstream::dial::{DialLimits, DialledPeer};
use slipstream::link::{LinkLimits, Target, TcpConnector};
use slipstream::listen::{AllowAll, Authorizer, Listener as _, TcpListener};
use slipstream::relay::{DialObservation, DialState, Observer, Operator};
use slipstream::store::{MessageStore as _, Peer as Remembered, PeerId};
use slipstream::{Relay, RelayError, Settings};
use slipstream_conformance::{ModelMedium, ModelStore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{Peer, eventually, own_loopback, within};

/// A relay that can be stopped and started again.
pub struct Place {
    /// What its store is on.
    medium: ModelMedium,
    /// How it is set up.
    pub settings: Settings,
    /// Who checks the credentials of its peers.
    pub authorizer: Arc<dyn Authorizer>,
    /// Where it listens; port 0 until it has run.
    pub address: SocketAddr,
}

/// A relay that runs.
pub struct Local {
    pub observer: Observer<ModelStore>,
    pub operator: Operator<ModelStore>,
    pub store: Arc<ModelStore>,
    /// Where it takes links.
    pub address: SocketAddr,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), RelayError>>,
}

/// Settings under which nothing is waited for long.
pub fn settings(id: &str) -> Settings {
    Settings {
        instance_id: Some(PeerId::new(id).expect("an id")),
        dial: DialLimits {
            first_pause: Duration::from_millis(20),
            longest_pause: Duration::from_millis(200),
            open_pause: Duration::from_millis(200),
            attempts: 1_000_000,
            ..DialLimits::default()
        },
        // Few of the peers here answer a Close.
        link: LinkLimits { close_timeout: Duration::from_millis(200), ..LinkLimits::default() },
        shutdown_timeout: Duration::from_secs(1),
        ..Settings::default()
    }
}

/// A peer to dial.
pub fn dial(alias: &str, url: &str) -> DialledPeer {
    DialledPeer {
        target: Target::parse(url).expect("a URL"),
        alias: PeerId::new(alias).expect("an id"),
        tags: None,
        group: None,
        coalesce: false,
        token: None,
    }
}

impl Place {
    /// A relay with this id that dials nobody.
    pub fn new(id: &str) -> Self {
        Self {
            medium: ModelMedium::default(),
            settings: settings(id),
            authorizer: Arc::new(AllowAll),
            address: (own_loopback(), 0).into(),
        }
    }

    /// The same, which dials this URL under this alias.
    pub fn dialling(id: &str, alias: &str, url: &str) -> Self {
        let mut place = Self::new(id);
        place.settings.peers.push(dial(alias, url));
        place
    }

    /// Chooses the port at which it will listen, and answers its URL.
    pub fn url(&mut self) -> String {
        if self.address.port() == 0 {
            let listener = std::net::TcpListener::bind(self.address).expect("a free port");
            self.address = listener.local_addr().expect("it has an address");
        }
        format!("ws://{}/", self.address)
    }

    /// Starts it.
    pub async fn start(&mut self) -> Local {
        let store = Arc::new(ModelStore::open(&self.medium, Path::new("model")).expect("the store is free"));
        let clock = Arc::new(SystemClock::new());
        let relay = Relay::open(Arc::clone(&store), self.settings.clone(), clock).await.expect("it opens");
        let listener = TcpListener::bind(self.address).expect("the address is free");
        self.address = listener.local_addr().expect("it has an address");
        let (observer, operator) = (relay.observer(), relay.operator());
        let shutdown = CancellationToken::new();
        let (authorizer, connector) = (Arc::clone(&self.authorizer), Arc::new(TcpConnector));
        let running = tokio::spawn(relay.run(Some(Box::new(listener)), authorizer, connector, shutdown.clone()));
        Local { observer, operator, store, address: self.address, shutdown, running }
    }
}

impl Local {
    /// Links an application; `query` says who it is.
    pub async fn connect(&self, query: &str) -> Peer {
        Peer::connect_to(self.address, query, &[]).await
    }

    /// Stops it in order.
    pub async fn stop(self) {
        self.shutdown.cancel();
        within("the end of a relay", self.running).await.expect("no panic").expect("it ends well");
    }

    /// Waits until its only dialled peer stands like this.
    pub async fn dial_becomes(&self, what: &str, wanted: impl Fn(&DialObservation) -> bool) -> DialObservation {
        let look = || async { self.observer.dials().into_iter().next().filter(|dial| wanted(dial)) };
        eventually(what, look).await
    }

    /// Waits until this peer is owed that many deliveries.
    pub async fn backlog_becomes(&self, peer: &str, wanted: u64) {
        let look = || async {
            let peers = self.observer.observe().await.peers;
            let backlog = peers.iter().find(|each| each.peer.id.as_str() == peer).map(|peer| peer.backlog);
            (backlog == Some(wanted)).then_some(())
        };
        eventually(&format!("{peer} to be owed {wanted}"), look).await;
    }

    /// Waits until this peer has a link.
    pub async fn links(&self, peer: &str) {
        let look = || async {
            let peers = self.observer.observe().await.peers;
            peers.iter().any(|each| each.peer.id.as_str() == peer && each.linked_from.is_some()).then_some(())
        };
        eventually(&format!("a link with {peer}"), look).await;
    }

    /// Its id.
    pub fn name(&self) -> String {
        self.observer.id().to_string()
    }

    /// Waits until every dialled peer has a link.
    pub async fn settles(&self) {
        let up = || async { self.observer.dials().iter().all(|dial| dial.state == DialState::Up).then_some(()) };
        eventually("all dialled peers", up).await;
    }

    /// Waits until the store remembers no identity.
    pub async fn forgets_identities(&self) {
        let look = || async { (self.store.stats().await.expect("it answers").identities == 0).then_some(()) };
        eventually("no identities", look).await;
    }

    /// The peers that the store remembers.
    pub async fn remembered(&self) -> Vec<Remembered> {
        self.store.roster().await.expect("it answers").peers.into_iter().map(|remembered| remembered.peer).collect()
    }
}
