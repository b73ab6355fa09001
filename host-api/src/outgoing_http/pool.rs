//! Connections that wait for a next request: those of one function's [`Egress`](super::Egress), and of nobody else.
//!
//! **Whose they are.** A [`Shelf`] belongs to one egress, which belongs to one function's code with one policy: tenant and policy
//! are part of the key by ownership, which no collision of hashes and no forgotten field can undo. When the function is unloaded,
//! replaced or granted something else, its egress goes and the shelf with it. Within it a connection is found by scheme, host and
//! the very address it was made to. Each request resolves and vets anew and passes the addresses that it may use, so a
//! name that was pointed elsewhere finds nothing here.
//!
//! **Who drives them.** A connection is driven by one task, spawned when it is made, on the runtime that made it, and is used only by
//! requests on that runtime: it never wakes another core, and a guest that spins holds up nobody's connections but its own core's. The
//! task is a connection's and not a request's, since a guest may drop a request's future, body or worker at any poll, often right
//! before the connection has settled, and because a peer that closes a connection at rest is then noticed when it does. It ends
//! with the connection, when whoever holds the connection drops it, or when it was at rest for too long, which it looks at itself.
//! So it outlives a request only while its connection is on the shelf, and the shelf is bounded.
//!
//! **Bounds.** Per destination, per function, in the whole process (sockets are what the process has of them), in time at rest and
//! in age. What finds no place is closed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use hyper::client::conn::http1;
use parking_lot::Mutex;
use tokio::runtime::{Handle, Id};
use tokio::task::JoinHandle;
use tracing::debug;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::io::TokioIo;

use super::Destination;
use super::connect::Wire;

/// How long a connection waits for its next request. Shorter than what most servers wait (60 s and more), so that it is rarely they who
/// close it. It is closed when this is over, at most half as long again later.
pub const IDLE_TIME: Duration = Duration::from_secs(20);
/// How old a connection may be when it takes a request. After that a new one is made, which sees new certificates.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(300);
/// Connections at rest to one address for one function, on each runtime.
pub const IDLE_PER_ADDRESS_MAX: usize = 8;
/// Connections at rest of one function; its limit of concurrent requests bounds them as well.
pub const IDLE_PER_FUNCTION_MAX: usize = 64;
/// Connections at rest of all functions of the process.
pub const IDLE_IN_ALL_MAX: usize = 1024;

/// Where the whole process's connections at rest are counted.
static ROOM: Room = Room { taken: AtomicUsize::new(0), limit: IDLE_IN_ALL_MAX };

/// How many connections at rest there may be, and are.
#[derive(Debug)]
pub(super) struct Room {
    taken: AtomicUsize,
    limit: usize,
}

impl Room {
    #[cfg(test)]
    pub(super) fn new(limit: usize) -> &'static Self {
        Box::leak(Box::new(Self { taken: AtomicUsize::new(0), limit }))
    }

    fn place(&'static self) -> Option<Place> {
        let more = |taken| (taken < self.limit).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Place(self))
    }
}

/// A connection's right to rest.
#[derive(Debug)]
struct Place(&'static Room);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The bounds of one shelf.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keeping {
    pub(super) idle: Duration,
    pub(super) age: Duration,
    pub(super) per_address: usize,
    pub(super) per_function: usize,
    pub(super) room: &'static Room,
}

impl Keeping {
    /// Those of a function that may have `concurrent` requests under way.
    pub(super) fn of(concurrent: u32) -> Self {
        let concurrent = usize::try_from(concurrent).unwrap_or(usize::MAX);
        Self {
            idle: IDLE_TIME,
            age: CONNECTION_AGE_MAX,
            per_address: IDLE_PER_ADDRESS_MAX,
            per_function: IDLE_PER_FUNCTION_MAX.min(concurrent),
            room: &ROOM,
        }
    }
}

/// What a connection is connected to.
#[derive(Debug)]
struct Peer {
    destination: Destination,
    address: SocketAddr,
    runtime: Id,
    opened: Instant,
    id: u64,
}

/// A connection in somebody's hands. Dropped, it is closed.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) sender: http1::SendRequest<WasiBody>,
    peer: Arc<Peer>,
    shelf: Weak<Shelf>,
    _driver: Driver,
}

impl Lease {
    /// Gives the connection back for the next request, or closes it where it cannot take one or finds no place.
    pub(super) fn give_back(self) {
        // Otherwise an upgrade, or the peer's wish to close.
        if !self.sender.is_closed()
            && let Some(shelf) = self.shelf.upgrade()
        {
            shelf.put(self);
        }
    }
}

/// The task of a connection; ends it when dropped.
#[derive(Debug)]
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
struct Idle {
    since: Instant,
    lease: Lease,
    _place: Place,
}

/// Connections of one function that wait for a next request.
#[derive(Debug)]
pub(super) struct Shelf {
    keeping: Keeping,
    idle: Mutex<Vec<Idle>>,
    next_id: AtomicU64,
}

impl Shelf {
    pub(super) fn new(keeping: Keeping) -> Arc<Self> {
        Arc::new(Self { keeping, idle: Mutex::default(), next_id: AtomicU64::new(0) })
    }

    /// The connection that was used last of those to `destination` at one of `addresses`, in their order.
    pub(super) fn take(
        &self,
        destination: &Destination,
        addresses: &[SocketAddr],
    ) -> Option<Lease> {
        let runtime = Handle::try_current().ok()?.id();
        let now = Instant::now();
        // Dropped when the lock is free: their tasks take it as they end.
        let mut unfit = Vec::new();
        let mut idle = self.idle.lock();
        let found = addresses.iter().find_map(|address| {
            while let Some(at) = idle.iter().rposition(|idle| {
                let peer = &idle.lease.peer;
                peer.runtime == runtime
                    && peer.address == *address
                    && peer.destination == *destination
            }) {
                let idle = idle.remove(at);
                let fresh = !self.is_over(&idle, now)
                    && now.saturating_duration_since(idle.lease.peer.opened) < self.keeping.age;
                // One that is not ready still takes in the body of an earlier request.
                if fresh && idle.lease.sender.is_ready() && !idle.lease.sender.is_closed() {
                    return Some(idle);
                }
                unfit.push(idle);
            }
            None
        });
        drop(idle);
        found.map(|idle| idle.lease)
    }

    fn put(&self, lease: Lease) {
        let mut idle = self.idle.lock();
        let same = |other: &&Idle| {
            other.lease.peer.runtime == lease.peer.runtime
                && other.lease.peer.address == lease.peer.address
                && other.lease.peer.destination == lease.peer.destination
        };
        if idle.len() < self.keeping.per_function
            && idle.iter().filter(same).count() < self.keeping.per_address
            && let Some(place) = self.keeping.room.place()
        {
            idle.push(Idle { since: Instant::now(), lease, _place: place });
        } else {
            drop(idle);
            drop(lease);
        }
    }

    /// Makes a connection of a stream over which hands were shaken, and spawns the task that drives it.
    pub(super) fn adopt(
        self: &Arc<Self>,
        destination: &Destination,
        address: SocketAddr,
        sender: http1::SendRequest<WasiBody>,
        connection: http1::Connection<TokioIo<Box<dyn Wire>>, WasiBody>,
    ) -> Lease {
        let peer = Arc::new(Peer {
            destination: destination.clone(),
            address,
            runtime: Handle::current().id(),
            opened: Instant::now(),
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
        });
        let shelf = Arc::downgrade(self);
        let looks = self.keeping.idle / 2;
        let driver = Driver(tokio::spawn(drive(connection, peer.id, shelf.clone(), looks)));
        Lease { sender, peer, shelf, _driver: driver }
    }

    fn is_over(&self, idle: &Idle, now: Instant) -> bool {
        now.saturating_duration_since(idle.since) >= self.keeping.idle
    }

    /// Takes a connection off that is at rest; `only_over` leaves it for as long as it may rest.
    fn remove(&self, id: u64, only_over: bool) -> Option<Idle> {
        let now = Instant::now();
        let mut idle = self.idle.lock();
        let at = idle.iter().position(|idle| idle.lease.peer.id == id)?;
        let over = idle.get(at).is_some_and(|idle| self.is_over(idle, now));
        (over || !only_over).then(|| idle.swap_remove(at))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.idle.lock().len()
    }
}

/// Drives one connection until it ends or rested for too long, and takes it off the shelf in either case.
async fn drive(
    mut connection: http1::Connection<TokioIo<Box<dyn Wire>>, WasiBody>,
    id: u64,
    shelf: Weak<Shelf>,
    looks: Duration,
) {
    // Also when the task is dropped unfinished, with its runtime.
    let _gone = Gone { id, shelf: shelf.clone() };
    loop {
        tokio::select! {
            biased;
            ended = &mut connection => {
                if let Err(error) = ended {
                    // The guest learns of it from the response or its body.
                    debug!(%error, "a connection ended in an error");
                }
                return;
            }
            () = tokio::time::sleep(looks) => {
                if shelf.upgrade().is_some_and(|shelf| shelf.remove(id, true).is_some()) {
                    return;
                }
            }
        }
    }
}

/// Takes a connection off the shelf when its task goes.
struct Gone {
    id: u64,
    shelf: Weak<Shelf>,
}

impl Drop for Gone {
    fn drop(&mut self) {
        let gone = self.shelf.upgrade().and_then(|shelf| shelf.remove(self.id, false));
        drop(gone);
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
