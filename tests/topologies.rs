//! Meshes of several shapes, each relay a process with an application beside it: every application gets each message
//! exactly once, by a right path; also while relays are killed and links are cut.

#![cfg(test)]

mod support;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use serde_json::json;
use support::{Application, Process, Proxy, Relay, number_from_environment};
use tempfile::TempDir;

/// A shape: how many relays, and who dials whom.
type Shape = (usize, &'static [(usize, usize)]);

const TRIANGLE: Shape = (3, &[(0, 1), (1, 2), (2, 0)]);
const CHAIN: Shape = (5, &[(0, 1), (1, 2), (2, 3), (3, 4)]);
const STAR: Shape = (5, &[(0, 4), (1, 4), (2, 4), (3, 4)]);
const FULL: Shape = (5, &[(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)]);

/// Messages of each application in a round.
const A_ROUND: u64 = 60;

struct Node {
    folder: TempDir,
    address: SocketAddr,
    flags: Vec<String>,
    relay: Option<Relay>,
}

impl Node {
    async fn start(&mut self) {
        let store = self.folder.path().join("store");
        let address = self.address.to_string();
        let fixed = ["serve", "--listen", &address, "--metrics-port", "0", "--storage-path", path(&store)];
        let flags = self.flags.iter().map(String::as_str);
        self.relay = Some(Relay::ready(Process::spawn(fixed.into_iter().chain(flags), &[])).await);
    }

    async fn kill(&mut self) {
        if let Some(mut relay) = self.relay.take() {
            relay.process.kill().await;
        }
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it has an address")
}

struct Mesh {
    shape: Shape,
    nodes: Vec<Node>,
    /// One for each link, in the order of the shape.
    ways: Vec<Proxy>,
    applications: Vec<Application>,
    sent: u64,
}

impl Mesh {
    /// Starts the relays, and waits until all links are up.
    async fn start(shape: Shape) -> Self {
        let (count, links) = shape;
        let addresses: Vec<_> = (0..count).map(|_| free_address()).collect();
        let mut ways = Vec::new();
        for (_, to) in links {
            ways.push(Proxy::start(addresses[*to]).await);
        }
        let mut nodes = Vec::new();
        for (index, address) in addresses.iter().enumerate() {
            let dials = links.iter().zip(&ways).filter(|((from, _), _)| *from == index);
            let peers: Vec<_> =
                dials.map(|((_, to), way)| json!({"url": way.url(), "id": format!("relay-{to}")})).collect();
            let own = format!("relay-{index}");
            let peers = serde_json::Value::from(peers).to_string();
            let flags = ["--instance-id", &own, "--url-config", &peers, "--retry-in-n-seconds", "100ms"];
            let flags = flags.iter().chain(&["--enable-message-logs=false"]).map(|flag| (*flag).to_owned()).collect();
            let folder = tempfile::tempdir().expect("a folder");
            nodes.push(Node { folder, address: *address, flags, relay: None });
        }
        for node in &mut nodes {
            node.start().await;
        }
        let mut applications: Vec<_> = nodes
            .iter()
            .enumerate()
            .map(|(index, node)| Application::start(&format!("app-{index}"), node.address))
            .collect();
        for application in &mut applications {
            application.until("a link", |progress| progress.linked).await;
        }
        let mesh = Self { shape, nodes, ways, applications, sent: 0 };
        for index in 0..count {
            let degree = links.iter().filter(|(from, to)| *from == index || *to == index).count();
            #[expect(clippy::cast_precision_loss, reason = "a small number")]
            mesh.relay(index).metric_becomes(r#"slipstream_active_connections{kind="relay"}"#, degree as f64).await;
        }
        mesh
    }

    fn relay(&self, index: usize) -> &Relay {
        self.nodes[index].relay.as_ref().expect("it runs")
    }

    /// Every application sends another round.
    fn send(&mut self) {
        self.sent += A_ROUND;
        self.applications.iter().for_each(|application| application.sends(self.sent));
    }

    /// Waits until every application has everything of all others, and nobody is owed anything.
    async fn settle(&mut self) {
        let others = self.applications.len() as u64 - 1;
        for application in &mut self.applications {
            let (sent, all) = (self.sent, self.sent * others);
            let what = format!("{all} messages at {}", application.id);
            application
                .until(&what, |progress| progress.confirmed == sent && progress.received.len() as u64 >= all)
                .await;
        }
        for index in 0..self.nodes.len() {
            for peer in (0..self.nodes.len()).flat_map(|other| [format!("relay-{other}"), format!("app-{other}")]) {
                self.relay(index).metric_becomes(&format!(r#"slipstream_backlog{{peer="{peer}"}}"#), 0.0).await;
            }
        }
    }

    /// Asserts that each application has just what the others sent, each by a right path.
    fn check(&self) {
        for (at, application) in self.applications.iter().enumerate() {
            let progress = application.progress();
            let wanted: BTreeSet<_> = (0..self.applications.len())
                .filter(|from| *from != at)
                .flat_map(|from| (0..self.sent).map(move |number| format!("app-{from}-{number}")))
                .collect();
            assert_eq!(progress.received.keys().cloned().collect::<BTreeSet<_>>(), wanted, "{}", application.id);
            for (id, path) in &progress.received {
                self.check_path(id, path, at);
            }
        }
    }

    fn check_path(&self, id: &str, path: &[String], at: usize) {
        let (origin, hops) = path.split_first().expect("a path");
        assert!(id.starts_with(&format!("{origin}-")), "{id} by {path:?}");
        let hops: Vec<usize> =
            hops.iter().map(|hop| hop.strip_prefix("relay-").expect("a relay").parse().expect("a number")).collect();
        assert_eq!(format!("app-{}", hops[0]), *origin, "the first relay is the one beside it: {path:?}");
        assert_eq!(hops.last(), Some(&at), "the last relay is the one that delivers: {path:?}");
        assert_eq!(hops.iter().collect::<BTreeSet<_>>().len(), hops.len(), "no relay twice: {path:?}");
        let linked =
            |one: usize, other: usize| self.shape.1.iter().any(|link| *link == (one, other) || *link == (other, one));
        assert!(hops.windows(2).all(|two| linked(two[0], two[1])), "each hop is a link: {path:?}");
    }
}

async fn exchanges_everything_once(shape: Shape) {
    let mut mesh = Mesh::start(shape).await;
    for _ in 0..2 {
        mesh.send();
        mesh.settle().await;
    }
    mesh.check();
    let duplicates: u64 = mesh.applications.iter().map(|application| application.progress().duplicates).sum();
    assert_eq!(duplicates, 0, "no link was lost, so nothing comes twice");
}

async fn survives_kills_and_cuts(shape: Shape) {
    let rounds = number_from_environment("SLIPSTREAM_MESH_ROUNDS").unwrap_or(3);
    let seed = number_from_environment("SLIPSTREAM_MESH_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{rounds} rounds; the same again with SLIPSTREAM_MESH_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut mesh = Mesh::start(shape).await;
    for _ in 0..rounds {
        let (victim, way) = (random.usize(..mesh.nodes.len()), random.usize(..mesh.ways.len()));
        mesh.send();
        // Somewhere in the round's traffic.
        let some = random.u64(..A_ROUND) + mesh.sent - A_ROUND;
        let witness = (victim + 1) % mesh.nodes.len();
        mesh.applications[witness].until("some traffic", |progress| progress.confirmed >= some).await;
        mesh.ways[way].cut();
        if random.bool() {
            mesh.nodes[victim].kill().await;
            mesh.nodes[victim].start().await;
        }
        mesh.ways[way].mend();
        if random.bool() {
            mesh.settle().await;
        }
    }
    mesh.settle().await;
    mesh.check();
}

#[tokio::test]
async fn a_triangle_exchanges_everything_once() {
    exchanges_everything_once(TRIANGLE).await;
}

#[tokio::test]
async fn a_chain_exchanges_everything_once() {
    exchanges_everything_once(CHAIN).await;
}

#[tokio::test]
async fn a_star_exchanges_everything_once() {
    exchanges_everything_once(STAR).await;
}

#[tokio::test]
async fn a_full_mesh_exchanges_everything_once() {
    exchanges_everything_once(FULL).await;
}

#[tokio::test]
async fn a_triangle_survives_kills_and_cuts() {
    survives_kills_and_cuts(TRIANGLE).await;
}

#[tokio::test]
async fn a_chain_survives_kills_and_cuts() {
    survives_kills_and_cuts(CHAIN).await;
}

#[tokio::test]
async fn a_star_survives_kills_and_cuts() {
    survives_kills_and_cuts(STAR).await;
}

#[tokio::test]
async fn a_full_mesh_survives_kills_and_cuts() {
    survives_kills_and_cuts(FULL).await;
}
