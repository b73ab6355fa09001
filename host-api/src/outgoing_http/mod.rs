//! Outgoing HTTP.
use serde::{Deserialize, Serialize};
mod allow_list;
mod destination;
/// x
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// x
    BadUri {
        /// x
        reason: &'static str,
    },
}
pub use allow_list::{DestinationPattern, PatternError};
/// x
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutgoingHttp {
    /// x
    pub allow: Vec<AllowedDestination>,
}
/// x
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedDestination {
    /// x
    pub to: DestinationPattern,
    /// x
    #[serde(default)]
    pub private: bool,
}
