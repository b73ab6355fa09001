//! Access keys: who may call, and what for. A key is an id that is told to everybody and a secret that two know.
//!
//! Signatures need the secret itself, so it is kept sealed, never hashed. All keys are held in memory, opened, so that checking a
//! request reads no storage. Wire formats and signatures are a dialect's.

mod seal;
mod store;

use std::sync::Arc;

use hearth_engine::{CalleePattern, Grants};
use serde::{Deserialize, Serialize};

pub use seal::SealError;
pub use store::{KeyError, Keys, NewKey};

/// What a key may do, each including what is before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Call functions.
    Invoke,
    /// Also see and change services, functions and what belongs to them.
    Deploy,
    /// Also keys, and what belongs to no service.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Invoke, Self::Deploy, Self::Admin];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invoke => "invoke",
            Self::Deploy => "deploy",
            Self::Admin => "admin",
        }
    }
}

/// A key as it may be shown: everything but its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AccessKey {
    /// What requests name it by.
    pub id: Arc<str>,
    /// The account that it acts for.
    pub account: Arc<str>,
    /// What it may do.
    pub role: Role,
    /// The beginning that the names of its services have; empty for all services.
    pub services: String,
    /// Whether it was revoked; then it is kept to say so, and signs nothing.
    pub is_revoked: bool,
    /// When it stops working by itself, in milliseconds since the Unix epoch.
    pub expire_ms: Option<u64>,
    /// When it was made.
    pub created_ms: u64,
    /// When its secret was replaced last.
    pub rotated_ms: Option<u64>,
    /// Until when the secret before that still works.
    pub overlap_until_ms: Option<u64>,
}

impl AccessKey {
    /// Whether it may do what needs `role`, with a service or with something that belongs to none.
    pub fn may(&self, role: Role, service: Option<&str>) -> bool {
        let reaches = match service {
            Some(service) => service.starts_with(&self.services),
            None => self.services.is_empty() || role == Role::Invoke,
        };
        self.role >= role && reaches
    }
}

/// What takes more than the right to deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed<'a> {
    /// The role that it takes.
    pub role: Role,
    /// The service that the role must be for; none for all.
    pub service: Option<&'a str>,
}

/// What must be held to give a function these grants: nobody hands out what is not theirs. What reaches the host takes an
/// administrator, calling another service's functions the right to call them.
pub fn needed_for(grants: &Grants) -> impl Iterator<Item = Needed<'_>> {
    let host = grants.reach_the_host().then_some(Needed { role: Role::Admin, service: None });
    let called = grants.call.iter().filter_map(CalleePattern::service);
    host.into_iter()
        .chain(called.map(|service| Needed { role: Role::Invoke, service: Some(service) }))
}

/// A secret, which nothing prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret that an operator was given elsewhere.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for signing and for whoever made the key.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A key with what opens for it.
#[derive(Debug, Clone)]
pub struct OpenKey {
    /// The key.
    pub key: AccessKey,
    secret: Secret,
    previous: Option<Secret>,
    /// What a request with a temporary key must carry beside its signature.
    pub token: Option<Secret>,
}

impl OpenKey {
    /// The secret made last, for whoever made it.
    pub fn newest_secret(&self) -> &Secret {
        &self.secret
    }

    /// The secrets that sign at this time: none once it is revoked or over, two while a rotation overlaps.
    pub fn secrets(&self, now_ms: u64) -> impl Iterator<Item = &Secret> {
        let is_over = self.key.expire_ms.is_some_and(|expire| now_ms >= expire);
        let is_alive = !self.key.is_revoked && !is_over;
        let overlaps = self.key.overlap_until_ms.is_some_and(|until| now_ms < until);
        let previous = self.previous.as_ref().filter(|_| overlaps);
        std::iter::once(&self.secret).chain(previous).filter(move |_| is_alive)
    }
}

#[cfg(test)]
mod tests;
