//! What an attacker does is thrown, so that the same seed does the same again.

use std::net::{IpAddr, Ipv4Addr};

use fastrand::Rng;

/// The throws of one attacker.
#[derive(Debug, Clone)]
pub(crate) struct Dice(Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// Dice of their own for what comes next: it may be cut short, and what follows is the same all the same.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.0.fork())
    }

    /// A number below `most`.
    pub(super) fn below(&mut self, most: usize) -> usize {
        self.0.usize(..most.max(1))
    }

    /// True once in so many throws.
    pub(super) fn once_in(&mut self, throws: usize) -> bool {
        self.below(throws) == 0
    }

    /// One of these.
    pub(super) fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// A length up to `most`; short ones come often.
    pub(super) fn length(&mut self, most: usize) -> usize {
        let most = most >> self.below(most.max(1).ilog2() as usize + 1);
        self.below(most + 1)
    }

    /// Bytes of any kind, up to so many.
    pub(super) fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.length(most);
        std::iter::repeat_with(|| self.0.u8(..)).take(length).collect()
    }

    /// Letters and digits, up to so many.
    pub(super) fn word(&mut self, most: usize) -> String {
        let length = self.length(most);
        std::iter::repeat_with(|| self.0.alphanumeric()).take(length).collect()
    }

    /// The beginning of these bytes.
    pub(super) fn cut(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(self.below(bytes.len() + 1));
        bytes
    }

    /// These bytes, some of which are others now.
    pub(super) fn spoil(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte = self.0.u8(..);
            }
        }
        bytes
    }

    /// One of the first so many addresses of `127.0.NETWORK.0/24`.
    pub(super) fn address(&mut self, network: u8, of: u8) -> IpAddr {
        Ipv4Addr::new(127, 0, network, 1 + self.0.u8(..of)).into()
    }

    /// Any address of this machine but those that the good peers have.
    pub(super) fn any_address(&mut self) -> IpAddr {
        Ipv4Addr::new(127, 1 + self.0.u8(..250), self.0.u8(..), self.0.u8(1..255)).into()
    }
}
