//! Hosts, and the routes between them with their weather.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use slipstream::store::PeerId;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::connection::Connection;
use super::pipe::{Pipe, Weather};
use crate::world::World;

/// Connections that a host keeps until they are accepted.
const BACKLOG: usize = 64;

/// One run of a program on a host.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) host: PeerId,
    alive: Arc<AtomicBool>,
}

impl Life {
    pub(crate) fn new(host: &PeerId) -> Self {
        Self { host: host.clone(), alive: Arc::new(AtomicBool::new(true)) }
    }

    pub(crate) fn is_over(&self) -> bool {
        !self.alive.load(Ordering::Relaxed)
    }

    /// From now on nothing that this run does reaches the world.
    pub(crate) fn end(&self) {
        self.alive.store(false, Ordering::Relaxed);
    }
}

/// How a program ends without saying goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process is killed; its host closes the connections.
    Process,
    /// The machine loses power; nobody is told.
    Machine,
}

#[derive(Debug)]
pub(crate) struct Network {
    world: Arc<World>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    calm: Weather,
    weather: BTreeMap<(PeerId, PeerId), Weather>,
    cuts: BTreeSet<(PeerId, PeerId)>,
    /// When something on a route was last held up, or the route became as usual again.
    troubled: BTreeMap<(PeerId, PeerId), Instant>,
    doors: BTreeMap<PeerId, Arc<Door>>,
    powerless: BTreeSet<PeerId>,
    connections: BTreeMap<u64, Arc<Connection>>,
    next: u64,
    randomness: fastrand::Rng,
}

/// Where a host listens.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) life: Life,
    pub(super) waiting: Mutex<VecDeque<Arc<Connection>>>,
    pub(super) came: Notify,
}

impl Network {
    pub(crate) fn new(world: &Arc<World>, calm: Weather) -> Arc<Self> {
        let state = State {
            calm,
            weather: BTreeMap::new(),
            cuts: BTreeSet::new(),
            troubled: BTreeMap::new(),
            doors: BTreeMap::new(),
            powerless: BTreeSet::new(),
            connections: BTreeMap::new(),
            next: 0,
            randomness: world.randomness(),
        };
        Arc::new(Self { world: Arc::clone(world), state: Mutex::new(state) })
    }

    /// Opens a program's door on its host.
    pub(super) fn open(&self, life: &Life) -> Arc<Door> {
        let door = Arc::new(Door { life: life.clone(), waiting: Mutex::default(), came: Notify::new() });
        let mut state = self.state.lock();
        state.powerless.remove(&life.host);
        state.doors.insert(life.host.clone(), Arc::clone(&door));
        door
    }

    /// Closes a door, unless another stands in its place by now.
    pub(super) fn close(&self, door: &Arc<Door>) {
        let mut state = self.state.lock();
        if state.doors.get(&door.life.host).is_some_and(|now| Arc::ptr_eq(now, door)) {
            state.doors.remove(&door.life.host);
        }
    }

    /// The machine of a program has power.
    pub(super) fn power(&self, life: &Life) {
        self.state.lock().powerless.remove(&life.host);
    }

    /// A program ended. `None`: in order, so that its streams are closed already.
    pub(crate) fn kill(&self, life: &Life, crash: Option<Crash>) {
        life.end();
        let ends: Vec<_> = {
            let mut state = self.state.lock();
            state.doors.remove(&life.host);
            if crash == Some(Crash::Machine) {
                state.powerless.insert(life.host.clone());
            }
            let connections = state.connections.values();
            let ends = connections.flat_map(|connection| [(Arc::clone(connection), 0), (Arc::clone(connection), 1)]);
            ends.filter(|(connection, side)| connection.pipes[*side].from == life.host).collect()
        };
        for (connection, side) in ends {
            connection.kill(side);
            match crash {
                Some(Crash::Machine) => connection.pipes.iter().for_each(Pipe::sever),
                _ => {
                    let (weather, is_cut) = self.weather(&connection.pipes[side]);
                    connection.pipes[side].reset(&weather, is_cut);
                }
            }
        }
    }

    /// Cuts a route in one direction. What is under way is held up until it is whole again.
    pub(crate) fn cut(&self, from: &PeerId, to: &PeerId) {
        let mut state = self.state.lock();
        state.cuts.insert((from.clone(), to.clone()));
        state.trouble(from, to);
        drop(state);
        self.pipes(from, to, Pipe::hold_up);
        self.world.note("network", format_args!("{from} no longer reaches {to}"));
    }

    pub(crate) fn mend(&self, from: &PeerId, to: &PeerId) {
        if self.state.lock().cuts.remove(&(from.clone(), to.clone())) {
            let mut state = self.state.lock();
            state.trouble(from, to);
            let weather = state.weather_of(from, to);
            drop(state);
            self.pipes(from, to, |pipe| pipe.release(&weather));
            self.world.note("network", format_args!("{from} reaches {to} again"));
        }
    }

    /// Sets the weather of a route in one direction; `None` for the usual.
    pub(crate) fn set_weather(&self, from: &PeerId, to: &PeerId, weather: Option<Weather>) {
        let route = (from.clone(), to.clone());
        let mut state = self.state.lock();
        match weather {
            Some(weather) => drop(state.weather.insert(route, weather)),
            None if state.weather.remove(&route).is_none() => return,
            None => {}
        }
        state.trouble(from, to);
    }

    /// Whether, within that time, something between two hosts was held up, slowed down or swallowed: then an answer
    /// may be late, or never come.
    pub(crate) fn was_in_trouble(&self, one: &PeerId, other: &PeerId, within: Duration) -> bool {
        let state = self.state.lock();
        let routes = [(one, other), (other, one)].map(|(from, to)| (from.clone(), to.clone()));
        routes.iter().any(|route| {
            state.weather.contains_key(route) || state.troubled.get(route).is_some_and(|at| at.elapsed() <= within)
        })
    }

    /// Resets one of the connections, by chance: both ends learn of it.
    pub(crate) fn reset_any(&self, randomness: &mut fastrand::Rng) {
        if let Some(connection) = self.any(randomness) {
            self.reset(&connection);
        }
    }

    /// Resets every connection that a host has: both ends learn of it.
    pub(crate) fn reset_all_of(&self, host: &PeerId) {
        let connections: Vec<_> = self.state.lock().connections.values().cloned().collect();
        for connection in connections.iter().filter(|it| it.pipes.iter().any(|pipe| pipe.from == *host)) {
            self.reset(connection);
        }
    }

    fn reset(&self, connection: &Connection) {
        self.world.note("network", format_args!("connection {} is reset", connection.number));
        for pipe in &connection.pipes {
            let (weather, is_cut) = self.weather(pipe);
            pipe.reset(&weather, is_cut);
        }
    }

    /// Severs one of the connections, by chance, in one direction or both: neither end learns of it.
    pub(crate) fn sever_any(&self, randomness: &mut fastrand::Rng) {
        if let Some(connection) = self.any(randomness) {
            let sides = randomness.choice([&[0][..], &[1], &[0, 1]]).unwrap_or_default();
            self.world.note("network", format_args!("connection {} is severed, side {sides:?}", connection.number));
            for pipe in sides.iter().map(|side| &connection.pipes[*side]) {
                pipe.sever();
                self.state.lock().trouble(&pipe.from, &pipe.to);
            }
        }
    }

    fn any(&self, randomness: &mut fastrand::Rng) -> Option<Arc<Connection>> {
        let state = self.state.lock();
        randomness.choice(state.connections.values()).cloned()
    }

    fn pipes(&self, from: &PeerId, to: &PeerId, each: impl Fn(&Pipe)) {
        let connections: Vec<_> =
            self.state.lock().connections.values().filter(|connection| connection.joins(from, to)).cloned().collect();
        for pipe in connections.iter().flat_map(|connection| &connection.pipes) {
            if pipe.from == *from && pipe.to == *to {
                each(pipe);
            }
        }
    }

    pub(super) fn weather(&self, pipe: &Pipe) -> (Weather, bool) {
        let state = self.state.lock();
        (state.weather_of(&pipe.from, &pipe.to), state.is_cut(&pipe.from, &pipe.to))
    }

    /// An end was dropped; what nobody has any more is forgotten.
    pub(super) fn dropped(&self, connection: &Arc<Connection>, side: usize) {
        let mut state = self.state.lock();
        // This end's, and the map's own.
        if Arc::strong_count(connection) <= 2 {
            state.connections.remove(&connection.number);
        }
        drop(state);
        self.world.note(&connection.pipes[side].from, format_args!("connection {} closed", connection.number));
    }

    /// How long until a connection attempt gets its answer, and the door, `None` where nobody answers.
    pub(super) fn knock(&self, from: &PeerId, to: &PeerId) -> (Duration, Option<io::Result<Arc<Door>>>) {
        let state = self.state.lock();
        let there = state.weather_of(from, to).latency;
        let back = state.weather_of(to, from).latency;
        let silent = state.is_cut(from, to) || state.is_cut(to, from) || state.powerless.contains(to);
        let door = state.doors.get(to).filter(|door| !door.life.is_over());
        let answer = match door {
            _ if silent => None,
            None => Some(Err(io::ErrorKind::ConnectionRefused.into())),
            Some(door) if door.waiting.lock().len() >= BACKLOG => None,
            Some(door) => Some(Ok(Arc::clone(door))),
        };
        (there + back, answer)
    }

    /// Joins a program to a host whose door it has found.
    pub(super) fn join(&self, life: &Life, to: &PeerId, door: &Door) -> Arc<Connection> {
        let mut state = self.state.lock();
        state.next += 1;
        let connection = Arc::new(Connection::new(state.next, &life.host, to, &mut state.randomness));
        state.connections.insert(connection.number, Arc::clone(&connection));
        drop(state);
        self.world.note(&life.host, format_args!("connection {} to {to}", connection.number));
        door.waiting.lock().push_back(Arc::clone(&connection));
        door.came.notify_one();
        connection
    }
}

impl State {
    fn trouble(&mut self, from: &PeerId, to: &PeerId) {
        self.troubled.insert((from.clone(), to.clone()), Instant::now());
    }

    fn weather_of(&self, from: &PeerId, to: &PeerId) -> Weather {
        self.weather.get(&(from.clone(), to.clone())).unwrap_or(&self.calm).clone()
    }

    fn is_cut(&self, from: &PeerId, to: &PeerId) -> bool {
        self.cuts.contains(&(from.clone(), to.clone()))
    }
}
