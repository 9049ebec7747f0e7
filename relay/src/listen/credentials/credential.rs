//! One credential, and whether it permits what a peer says of itself.

use std::collections::HashSet;
use std::sync::Arc;

use slipstream_store::{MessageType, PeerKind, Tag};

use super::pattern::Pattern;
use super::token::TokenHash;
use crate::link::Hello;
use crate::listen::authorizer::Principal;

/// By what a peer is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Proof {
    /// It brings the token that has this hash.
    Token(TokenHash),
    /// Its certificate has this name: the common name, or one of the alternative names, as it is written.
    Certificate(Arc<str>),
}

/// What a peer may say of itself and send that is known by a token or a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// What logs call it; otherwise it is the certificate's name, or the ids.
    pub name: Option<Arc<str>>,
    /// By what the peer is known.
    pub proof: Proof,
    /// The ids that it may link under. If they are all ids, it may also name none. An id that another credential names
    /// exactly is not among them, unless this one does, too.
    pub id: Pattern,
    /// The tags that it may carry. None permit none.
    pub tags: Vec<Pattern>,
    /// Whether it may be a relay, and link under the id of one.
    pub relay: bool,
    /// The types that it may send; `None` is all.
    pub may_send: Option<Vec<MessageType>>,
    /// The tags that it may target; `None` is all, and no tags at all too.
    pub may_target: Option<Vec<Tag>>,
}

impl Credential {
    /// Whether it permits what the peer says of itself. `named` are the ids that some credential names exactly.
    ///
    /// # Errors
    /// What it does not permit, as the peer is told.
    pub(super) fn permits(&self, hello: &Hello, named: &HashSet<Box<str>>) -> Result<(), String> {
        let ids = &self.id;
        match &hello.id {
            Some(id) if !ids.matches(id.as_str()) => {
                return Err(format!("id: this credential is for {ids}, not for {id}"));
            }
            Some(id) if ids.exact().is_none() && named.contains(id.as_str()) => {
                return Err(format!(
                    "id: this credential is for {ids}, but not for {id}, which another credential names"
                ));
            }
            None if !ids.is_any() => {
                return Err(format!("id: this credential is for {ids}; name the id that you link under"));
            }
            _ => {}
        }
        let is_permitted = |tag: &Tag| self.tags.iter().any(|tags| tags.matches(tag.as_str()));
        if let Some(tag) = hello.tags.iter().find(|tag| !is_permitted(tag)) {
            return Err(format!("tags: this credential does not permit {tag}"));
        }
        if hello.kind == PeerKind::Relay && !self.relay {
            return Err("Slipstream-Kind: this credential does not permit a relay".to_owned());
        }
        Ok(())
    }

    /// Who it says that the peer is.
    pub(super) fn principal(&self) -> Principal {
        let mut principal = Principal::named(match (&self.name, &self.proof) {
            (Some(name), _) | (None, Proof::Certificate(name)) => Arc::clone(name),
            (None, Proof::Token(_)) => self.id.to_string().into(),
        });
        if !self.relay {
            principal = principal.no_relay();
        }
        if let Some(types) = &self.may_send {
            principal = principal.may_send(types.iter().cloned());
        }
        match &self.may_target {
            Some(tags) => principal.may_target(tags.iter().cloned()),
            None => principal,
        }
    }

    /// Whether it permits exactly what another one does, to the same peers. Their names may differ.
    pub(super) fn permits_the_same(&self, other: &Self) -> bool {
        *self == Self { name: self.name.clone(), ..other.clone() }
    }
}
