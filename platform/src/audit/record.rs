//! One record of the trail: its content, its hash, and how both are stored.
//!
//! Stored as the hash, a line break, and the content as JSON. The hash is over exactly those bytes of the content, so not one of them
//! can change unseen; the content holds the number and the hash of the record before.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Origin;
use crate::checksum::sha256;
use crate::key::Role;
use crate::storage::Entry;

/// Digits of a digest that say what something became.
const DIGEST_DIGITS: usize = 16;

/// What was done to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    Update,
    Delete,
    Publish,
    Rotate,
    Revoke,
    Redrive,
    Stop,
    Prune,
}

impl Verb {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Publish => "publish",
            Self::Rotate => "rotate",
            Self::Revoke => "revoke",
            Self::Redrive => "redrive",
            Self::Stop => "stop",
            Self::Prune => "prune",
        }
    }
}

/// A change, as its record tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) verb: Verb,
    /// The word for the kind of thing.
    pub(crate) noun: &'static str,
    /// Its full name.
    pub(crate) name: String,
    /// What it became, in few characters; none where it is gone.
    pub(crate) became: Option<String>,
}

impl Change {
    pub(crate) fn new(verb: Verb, noun: &'static str, name: impl Into<String>) -> Self {
        Self { verb, noun, name: name.into(), became: None }
    }

    /// The same, into what is stored as `value`; what is removed becomes nothing, though something that held it is stored.
    pub(crate) fn stored_as(self, value: &[u8]) -> Self {
        if self.verb == Verb::Delete {
            return self;
        }
        let mut digest = sha256(value);
        digest.truncate(DIGEST_DIGITS);
        Self { became: Some(digest), ..self }
    }
}

/// What was done, and who did it: the part of a record that is told as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Deed {
    /// The id of the access key, or `local` where no key was asked for.
    pub who: String,
    /// The role of that key.
    pub role: Option<Role>,
    /// The request that asked for it.
    pub request_id: Option<String>,
    /// What was done, as one word.
    pub verb: String,
    /// The kind of thing.
    pub noun: String,
    /// Its full name.
    pub name: String,
    /// The first digits of the SHA-256 of what is stored of it now; what a redriven invocation is called now; of a pruned part the last
    /// record's hash.
    pub became: Option<String>,
}

impl Deed {
    /// What was done to what, in three words.
    #[must_use]
    pub fn what(&self) -> String {
        format!("{} {} {}", self.verb, self.noun, self.name)
    }
}

/// What was changed, when and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditRecord {
    /// Its place in the trail; the first is 1.
    pub number: u64,
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// What was done by whom; its fields stand among the record's.
    #[serde(flatten)]
    pub deed: Deed,
    /// The hash of the record before; empty in the first.
    pub previous: String,
    /// SHA-256 of everything before this field, in hexadecimal.
    #[serde(skip)]
    pub hash: String,
}

impl AuditRecord {
    /// The record of a change that follows `last`, and how it is stored. The fields are the trail's own: nothing but names is in them.
    pub(super) fn following(last: &Head, by: &Origin, change: &Change, time_ms: u64) -> Self {
        let deed = Deed {
            who: by.key.as_ref().map_or("local", |(id, _)| id).to_owned(),
            role: by.key.as_ref().map(|(_, role)| *role),
            request_id: by.request_id.as_deref().map(str::to_owned),
            verb: change.verb.as_str().to_owned(),
            noun: change.noun.to_owned(),
            name: change.name.clone(),
            became: change.became.clone(),
        };
        Self {
            number: last.number.saturating_add(1),
            time_ms,
            deed,
            previous: last.hash.clone(),
            hash: String::new(),
        }
    }

    /// Gives it its hash; returns how it is stored.
    pub(super) fn seal(&mut self) -> Result<Bytes, serde_json::Error> {
        let content = serde_json::to_string(self)?;
        self.hash = sha256(content.as_bytes());
        Ok(Bytes::from(format!("{}\n{content}", self.hash)))
    }

    /// What is stored, if it is what was written under that key.
    pub(super) fn read(entry: &Entry) -> Option<Self> {
        let text = std::str::from_utf8(&entry.value).ok()?;
        let (hash, content) = text.split_once('\n')?;
        let mut record: Self = serde_json::from_str(content).ok()?;
        record.hash = sha256(content.as_bytes());
        (record.hash == hash && key_of(record.number) == entry.key).then_some(record)
    }

    /// Where the trail stands with it.
    pub(super) fn head(&self) -> Head {
        Head { number: self.number, hash: self.hash.clone() }
    }
}

/// Where the trail stands: its last record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// Its number; 0 before the first.
    pub(super) number: u64,
    /// Its hash.
    pub(super) hash: String,
}

/// Keys are in the order of numbers.
pub(super) fn key_of(number: u64) -> String {
    format!("{number:020}")
}
