//! Which of several credentials is the one of a peer. Pure.

use std::collections::HashSet;

use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use super::credential::{Credential, Proof};
use super::token::TokenHash;
use crate::link::{Hello, Refusal};
use crate::listen::authorizer::Principal;
use crate::listen::lease::Lease;

const WANTED: &str = "a credential is required: the header Authorization: Bearer TOKEN, or the subprotocol \
                      slipstream.bearer.TOKEN beside slipstream.v1; a token in the URL does not count";
const WANTED_OR_CERTIFICATE: &str = "a credential is required: a client certificate that is known here, the header \
                                     Authorization: Bearer TOKEN, or the subprotocol slipstream.bearer.TOKEN beside \
                                     slipstream.v1; a token in the URL does not count";

/// Longest part of a certificate's names that is repeated.
const MAX_SHOWN: usize = 200;

/// A credential in force.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) credential: Credential,
    pub(super) lease: Lease,
}

/// The credentials in force.
#[derive(Debug)]
pub(super) struct Table {
    /// In their order.
    pub(super) held: Vec<Held>,
    /// The ids that one of them names exactly. No pattern of another covers them.
    named: HashSet<Box<str>>,
}

impl Table {
    pub(super) fn new(held: Vec<Held>) -> Self {
        let named = held.iter().filter_map(|held| held.credential.id.exact()).map(Into::into).collect();
        Self { held, named }
    }

    /// Returns who a peer is. If it brings a token, that alone decides. Otherwise its certificate does, with the first
    /// credential for one of its names that permits what the peer says of itself.
    ///
    /// # Errors
    /// 401 if it is known by nothing, 403 if no credential permits what it says of itself.
    pub(super) fn admit(&self, hello: &Hello, token: Option<&str>, names: &[&str]) -> Result<Principal, Refusal> {
        let known: Vec<&Held> = match token {
            Some(token) => self.with_token(token).into_iter().collect(),
            None => self.with_name(names).collect(),
        };
        let mut first_fault = None;
        for held in known {
            match held.credential.permits(hello, &self.named) {
                Ok(()) => return Ok(held.credential.principal().leased(held.lease.clone())),
                Err(fault) => _ = first_fault.get_or_insert(fault),
            }
        }
        Err(match first_fault {
            Some(fault) => Refusal::forbidden(fault),
            None if token.is_some() => Refusal::unauthorized("this token is not known here"),
            None => self.asks_for_one(names),
        })
    }

    fn asks_for_one(&self, names: &[&str]) -> Refusal {
        let by_name = self.held.iter().any(|held| matches!(held.credential.proof, Proof::Certificate(_)));
        if !names.is_empty() {
            let shown: String = names.join(", ").chars().take(MAX_SHOWN).collect();
            return Refusal::unauthorized(format!("no credential here is for the names of this certificate: {shown}"));
        }
        Refusal::unauthorized(if by_name { WANTED_OR_CERTIFICATE } else { WANTED })
    }

    /// The credential of a token. Every one is compared with it, so that the time tells nothing of which it is.
    fn with_token(&self, token: &str) -> Option<&Held> {
        let hash = TokenHash::of(token);
        let (mut found, mut at) = (Choice::from(0), u64::MAX);
        for (number, held) in (0_u64..).zip(&self.held) {
            if let Proof::Token(other) = &held.credential.proof {
                let is_it = hash.ct_eq(other);
                at.conditional_assign(&number, is_it);
                found |= is_it;
            }
        }
        if bool::from(found) { self.held.get(usize::try_from(at).ok()?) } else { None }
    }

    fn with_name<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = &'a Held> {
        self.held.iter().filter(move |held| match &held.credential.proof {
            Proof::Certificate(name) => names.contains(&&**name),
            Proof::Token(_) => false,
        })
    }
}
