//! `wasi:http` requests out of the sandbox: denied unless granted, and only to addresses that were vetted.
//!
//! One request goes through these steps, and each file is one of them:
//!
//! | step | file | refuses |
//! |---|---|---|
//! | read the URI into one normal form | `destination.rs` | user information, percent signs, bad ports, other schemes |
//! | look for a grant that covers it | `allow_list.rs` | whatever no pattern covers |
//! | take one of the function's request slots | `egress.rs` | more at once than granted |
//! | resolve the name, once | `resolve.rs` | names without an address |
//! | drop the addresses that are not public | `address.rs` | all of them, unless the grant says `private` |
//! | take a connection that rests at one of the rest | `pool.rs` | connections of anybody else |
//! | or connect to one | `connect.rs`, `tls.rs` | certificates that are not right |
//! | send, read | `send.rs`, `body.rs` | what is late or too large |
//!
//! Redirects are not followed: the guest gets the 3xx, and a request it makes because of it takes all steps again. What became
//! of them is counted in `counts.rs`; `depth.rs` ends functions that call one another over HTTP without end.

mod address;
mod allow_list;
mod body;
mod connect;
mod counts;
mod denial;
mod depth;
mod destination;
mod egress;
mod fetch;
mod hop;
mod pool;
mod post;
mod resolve;
mod send;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use address::{AddressKind, not_public};
pub use allow_list::{DestinationPattern, PatternError};
pub use counts::EgressCounts;
pub use denial::Denial;
pub use depth::{DEPTH_HEADER, HTTP_DEPTH_MAX, depth_of};
pub use destination::{Destination, HttpScheme};
pub use egress::{Egress, EgressHooks};
pub use fetch::{FetchBounds, FetchError, fetch};
pub use hop::is_of_one_hop;
pub use pool::{
    CONNECTION_AGE_MAX, IDLE_IN_ALL_MAX, IDLE_PER_ADDRESS_MAX, IDLE_PER_FUNCTION_MAX, IDLE_TIME,
};
pub use post::{PostError, post};
pub use resolve::{MAX_ADDRESSES, Resolve, Resolved, SystemResolver};

/// The longest wait for a connection, for the first byte of a response and between two pieces of it, whatever the guest asks
/// for. Long enough for a slow service, short enough that a dead one does not hold an instance for a whole deadline.
pub const MAX_WAIT: Duration = Duration::from_secs(10);
/// How many requests of one function may be under way at once, unless its grant says otherwise.
pub const DEFAULT_CONCURRENT_REQUESTS: u32 = 16;
/// The most bytes of one response's body, unless the grant says otherwise. It is read in pieces, so this bounds time more
/// than memory.
pub const DEFAULT_RESPONSE_BYTES: u64 = 32 * 1024 * 1024;
/// The most bytes a guest writes into a request's body at once; each open body costs the host this much.
pub const BODY_CHUNK_BYTES: usize = 64 * 1024;
/// The most bytes of a response's head, and of what a connection reads ahead.
pub const READ_BUFFER_BYTES: usize = 64 * 1024;

/// Where a function's requests may go, and their bounds. The default allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutgoingHttp {
    /// The destinations; a request needs one that covers it.
    pub allow: Vec<AllowedDestination>,
    /// How many requests may be under way at once.
    pub concurrent_requests: u32,
    /// The most bytes of one response's body.
    pub response_bytes: u64,
}

impl Default for OutgoingHttp {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            concurrent_requests: DEFAULT_CONCURRENT_REQUESTS,
            response_bytes: DEFAULT_RESPONSE_BYTES,
        }
    }
}

/// One destination that a function's requests may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedDestination {
    /// Scheme, host and port.
    pub to: DestinationPattern,
    /// Whether it may also have an address that is not public: loopback, link-local, private. Everything else that listens
    /// there under the same port becomes reachable if the name's owner points it there, so grant it to exact hosts.
    #[serde(default)]
    pub private: bool,
}

impl OutgoingHttp {
    /// Whether a request to `destination` is granted, and if so, whether it may reach addresses that are not public.
    ///
    /// # Errors
    /// [`Denial::NotGranted`] when no pattern covers it.
    pub fn admit(&self, destination: &Destination) -> Result<Reach, Denial> {
        let covering = || self.allow.iter().filter(|allowed| allowed.to.covers(destination));
        // A pattern for every host names none, so it opens no private one either; `Grants::check` says so at deployment.
        if covering().any(|allowed| allowed.private && !allowed.to.covers_every_host()) {
            Ok(Reach::Private)
        } else if covering().next().is_some() {
            Ok(Reach::Public)
        } else {
            Err(Denial::NotGranted { destination: destination.to_string() })
        }
    }
}

/// Which addresses a granted request may connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Public ones.
    Public,
    /// Any.
    Private,
}

#[cfg(test)]
mod chaos_tests;
#[cfg(test)]
mod test_peers;
