//! Meshes of several shapes, each relay a process with an application beside it: every application gets each message
//! exactly once, in the order of its sender, by a right path; also while relays are killed and links are cut.

#![cfg(test)]

mod support;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::json;
use support::{Application, Proxy, Relay, number_from_environment};
use tempfile::TempDir;

/// A shape: how many relays, and who dials whom.
type Shape = (usize, &'static [(usize, usize)]);

const TRIANGLE: Shape = (3, &[(0, 1), (1, 2), (2, 0)]);
const CHAIN: Shape = (5, &[(0, 1), (1, 2), (2, 3), (3, 4)]);
const STAR: Shape = (5, &[(0, 4), (1, 4), (2, 4), (3, 4)]);
const FULL: Shape = (5, &[(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)]);

/// A triangle in which each relay dials both others.
const MUTUAL: Shape = (3, &[(0, 1), (1, 0), (1, 2), (2, 1), (2, 0), (0, 2)]);

/// Where nobody listens.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// Messages of each application in a round.
const A_ROUND: u64 = 60;

struct Node {
    folder: TempDir,
    /// What leads to the relay wherever it listens now, for its application.
    front: Proxy,
    flags: Vec<String>,
    relay: Option<Relay>,
}

impl Node {
    async fn kill(&mut self) {
        if let Some(mut relay) = self.relay.take() {
            relay.process.kill().await;
        }
    }
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
        let mut ways = Vec::new();
        for _ in links {
            ways.push(Proxy::start(NOWHERE).await);
        }
        let mut nodes = Vec::new();
        for index in 0..count {
            let dials = links.iter().zip(&ways).filter(|((from, _), _)| *from == index);
            let peers: Vec<_> =
                dials.map(|((_, to), way)| json!({"url": way.url(), "id": format!("relay-{to}")})).collect();
            let own = format!("relay-{index}");
            let peers = serde_json::Value::from(peers).to_string();
            let flags = ["--instance-id", &own, "--url-config", &peers, "--retry-in-n-seconds", "100ms"];
            let flags = flags.iter().chain(&["--enable-message-logs=false"]).map(|flag| (*flag).to_owned()).collect();
            let folder = tempfile::tempdir().expect("a folder");
            nodes.push(Node { folder, front: Proxy::start(NOWHERE).await, flags, relay: None });
        }
        let mut mesh = Self { shape, nodes, ways, applications: Vec::new(), sent: 0 };
        for index in 0..count {
            mesh.start_relay(index).await;
            mesh.applications.push(Application::start(&format!("app-{index}"), mesh.nodes[index].front.address));
        }
        for application in &mut mesh.applications {
            application.until("a link", |progress| progress.linked).await;
        }
        for index in 0..count {
            let degree = (0..count).filter(|other| linked(shape, index, *other)).count();
            #[expect(clippy::cast_precision_loss, reason = "a small number")]
            mesh.relay(index).metric_becomes(r#"slipstream_active_connections{kind="relay"}"#, degree as f64).await;
        }
        mesh
    }

    /// Starts a relay on a free port, and has everything that leads to it lead there.
    async fn start_relay(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let flags: Vec<_> = node.flags.iter().map(String::as_str).collect();
        let relay = Relay::start(node.folder.path(), &flags).await;
        node.front.lead_to(relay.links);
        let ways = self.ways.iter().zip(self.shape.1).filter(|(_, (_, to))| *to == index);
        ways.for_each(|(way, _)| way.lead_to(relay.links));
        node.relay = Some(relay);
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
        assert!(hops.windows(2).all(|two| linked(self.shape, two[0], two[1])), "each hop is a link: {path:?}");
    }
}

/// Whether one of the two dials the other.
fn linked((_, links): Shape, one: usize, other: usize) -> bool {
    links.iter().any(|link| *link == (one, other) || *link == (other, one))
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
            mesh.start_relay(victim).await;
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
async fn relays_that_all_dial_each_other_survive_kills_and_cuts() {
    survives_kills_and_cuts(MUTUAL).await;
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
