//! The credentials in force, and how they are replaced.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use parking_lot::Mutex;

use super::credential::{Credential, Proof};
use super::table::{Held, Table};
use crate::link::{Hello, Refusal, Secret};
use crate::listen::authorizer::{Authorizer, Principal};
use crate::listen::certificates::shown;
use crate::listen::lease::Lease;
use crate::listen::listener::ConnectInfo;
use crate::tls::Certificate;

const TAKEN_AWAY: &str = "the credential was taken away";
const CHANGED: &str = "the credential was changed";

/// Lets in whoever brings one of these credentials, as what it permits. No two of them are for the same token, or for
/// the same name of a certificate.
#[derive(Debug)]
pub struct Credentials {
    current: ArcSwap<Table>,
    replacing: Mutex<()>,
}

/// What became of the credentials when they were replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replaced {
    /// So many permit what they did, and their links go on.
    pub kept: usize,
    /// So many are new, or permit something else now.
    pub added: usize,
    /// So many were taken away or changed, and their links end.
    pub ended: usize,
}

impl Credentials {
    /// Only these are let in. An earlier credential goes before a later one, if a certificate has the names of both.
    #[must_use]
    pub fn new(credentials: Vec<Credential>) -> Self {
        let held = credentials.into_iter().map(|credential| Held { credential, lease: Lease::new() }).collect();
        Self { current: ArcSwap::from_pointee(Table::new(held)), replacing: Mutex::new(()) }
    }

    /// From now on these are let in instead. Links that run on a credential that is not among them, or that permits
    /// something else now, end; the others go on.
    pub fn replace(&self, credentials: Vec<Credential>) -> Replaced {
        let _one_at_a_time = self.replacing.lock();
        let before = self.current.load_full();
        let mut outcome = Replaced::default();
        let mut kept = vec![false; before.held.len()];
        let former: HashMap<&Proof, usize> = before.held.iter().map(|held| &held.credential.proof).zip(0..).collect();
        let held = credentials.into_iter().map(|credential| {
            let same =
                former.get(&credential.proof).filter(|at| before.held[**at].credential.permits_the_same(&credential));
            let lease = match same {
                Some(at) => {
                    kept[*at] = true;
                    outcome.kept += 1;
                    before.held[*at].lease.clone()
                }
                None => {
                    outcome.added += 1;
                    Lease::new()
                }
            };
            Held { credential, lease }
        });
        let now = Arc::new(Table::new(held.collect()));
        // First nobody is let in any more on what ends, then it ends.
        self.current.store(Arc::clone(&now));
        let known: HashSet<&Proof> = now.held.iter().map(|held| &held.credential.proof).collect();
        for (held, _) in before.held.iter().zip(kept).filter(|(_, kept)| !kept) {
            held.lease.end(if known.contains(&held.credential.proof) { CHANGED } else { TAKEN_AWAY });
            outcome.ended += 1;
        }
        outcome
    }

    /// Whether one of them is for a name of a certificate.
    #[must_use]
    pub fn knows_certificates(&self) -> bool {
        let current = self.current.load();
        current.held.iter().any(|held| matches!(held.credential.proof, Proof::Certificate(_)))
    }
}

#[async_trait]
impl Authorizer for Credentials {
    async fn authorize(&self, hello: &Hello, info: &ConnectInfo) -> Result<Principal, Refusal> {
        let token = hello.token.as_ref().map(Secret::expose);
        let certificate = if token.is_none() { shown(info)? } else { None };
        let names: Vec<&str> = certificate.iter().flat_map(Certificate::all_names).collect();
        self.current.load().admit(hello, token, &names)
    }
}
