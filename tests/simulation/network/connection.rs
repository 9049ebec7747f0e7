//! A connection between two hosts.

use std::sync::atomic::{AtomicBool, Ordering};

use slipstream::store::PeerId;

use super::pipe::Pipe;

/// A connection between two hosts. Side 0 has dialled it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) number: u64,
    /// Pipe `n` is written by side `n`.
    pub(super) pipes: [Pipe; 2],
    /// The sides whose process has died.
    dead: [AtomicBool; 2],
}

impl Connection {
    pub(super) fn new(number: u64, dialler: &PeerId, accepter: &PeerId, randomness: &mut fastrand::Rng) -> Self {
        let pipe = |from: &PeerId, to: &PeerId, seed| Pipe::new(from.clone(), to.clone(), seed);
        let pipes = [pipe(dialler, accepter, randomness.fork()), pipe(accepter, dialler, randomness.fork())];
        Self { number, pipes, dead: Default::default() }
    }

    pub(super) fn joins(&self, one: &PeerId, other: &PeerId) -> bool {
        self.pipes.iter().any(|pipe| pipe.from == *one && pipe.to == *other)
    }

    /// Every call on this side fails from now on.
    pub(super) fn kill(&self, side: usize) {
        self.dead[side].store(true, Ordering::Relaxed);
        self.pipes.iter().for_each(Pipe::wake_both);
    }

    pub(super) fn is_dead(&self, side: usize) -> bool {
        self.dead[side].load(Ordering::Relaxed)
    }
}
