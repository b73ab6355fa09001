//! Who is told how an invocation ended.

use serde::{Deserialize, Serialize};

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The name that the caller gave it; opaque here.
    pub name: String,
    /// How it is reached.
    pub kind: DestinationKind,
}

/// How a destination is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DestinationKind {
    /// By invoking a function asynchronously.
    Function {
        /// Its service.
        service: String,
        /// A version, an alias or `LATEST`; none is `LATEST`.
        qualifier: Option<String>,
        /// The function.
        function: String,
    },
    /// By sending to an address, which only who sends it understands.
    Endpoint {
        /// The address.
        address: String,
        /// What is the same of all addresses at one place: they share a turn.
        place: String,
    },
}
