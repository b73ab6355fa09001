//! How many connections each core serves, and the way of a new one from a core that has too many to the one with the fewest.
//!
//! The system spreads connections by a hash, which of sixteen may give eleven to one core. A connection is moved before its first
//! request, because waking another core costs more than a fresh instance: never again after that, and not for a small difference.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// How many more connections than another a core may serve before it passes a new one on.
const DIFFERENCE: usize = 2;

/// Connections on their way to one core; with more, the core that accepted them serves them itself.
const MOVED_MAX: usize = 64;

/// All serving cores.
#[derive(Debug)]
pub struct Cores {
    cores: Box<[Core]>,
}

#[derive(Debug)]
struct Core {
    connections: AtomicUsize,
    door: mpsc::Sender<Moved>,
}

/// A connection that came from another core.
#[derive(Debug)]
struct Moved {
    stream: std::net::TcpStream,
    kind: Kind,
    counted: Counted,
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// HTTP.
    Plain,
    /// TLS, and HTTP inside.
    Tls,
}

/// A new connection.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) kind: Kind,
    pub(super) counted: Counted,
}

/// One core's place among them.
#[derive(Debug)]
pub struct Seat {
    cores: Arc<Cores>,
    own: usize,
    moved: mpsc::Receiver<Moved>,
}

/// A connection, counted with its core for as long as this lives.
#[derive(Debug)]
pub(super) struct Counted {
    cores: Arc<Cores>,
    core: usize,
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(core) = self.cores.cores.get(self.core) {
            core.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Cores {
    /// That many cores, and the seat of each.
    pub fn new(count: usize) -> (Arc<Self>, Vec<Seat>) {
        let (doors, moved): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(MOVED_MAX)).unzip();
        let core = |door| Core { connections: AtomicUsize::new(0), door };
        let cores = Arc::new(Self { cores: doors.into_iter().map(core).collect() });
        let seat = |(own, moved)| Seat { cores: cores.clone(), own, moved };
        let seats = moved.into_iter().enumerate().map(seat).collect();
        (cores, seats)
    }

    /// How many connections each serves.
    pub fn connections(&self) -> impl Iterator<Item = usize> {
        self.cores.iter().map(|core| core.connections.load(Ordering::Relaxed))
    }

    fn count(self: &Arc<Self>, core: usize) -> Counted {
        if let Some(core) = self.cores.get(core) {
            core.connections.fetch_add(1, Ordering::Relaxed);
        }
        Counted { cores: self.clone(), core }
    }
}

impl Seat {
    /// The next connection that another core passes on.
    ///
    /// # Cancel safety
    /// Dropping the future loses none.
    pub(super) async fn next_moved(&mut self) -> Option<Accepted> {
        loop {
            let Moved { stream, kind, counted } = self.moved.recv().await?;
            match TcpStream::from_std(stream) {
                Ok(stream) => return Some(Accepted { stream, kind, counted }),
                Err(error) => tracing::warn!(%error, "a connection was lost between two cores"),
            }
        }
    }

    /// Lets nobody pass on any more; what is on its way still comes.
    pub(super) fn close(&mut self) {
        self.moved.close();
    }

    /// Takes a new connection, or passes it on; then there is nothing left to do here.
    pub(super) fn place(&self, stream: TcpStream, kind: Kind) -> Option<Accepted> {
        let counts = || self.cores.connections().enumerate();
        let own = counts().nth(self.own).map_or(0, |(_, count)| count);
        let least = counts().min_by_key(|(_, count)| *count);
        match least {
            Some((other, least)) if own >= least + DIFFERENCE => self.pass_on(stream, kind, other),
            _ => Some(Accepted { stream, kind, counted: self.cores.count(self.own) }),
        }
    }

    fn pass_on(&self, stream: TcpStream, kind: Kind, to: usize) -> Option<Accepted> {
        let door = self.cores.cores.get(to).map(|core| &core.door)?;
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be passed on");
                return None;
            }
        };
        // Counted with the other at once, or the next few would all be passed on to it as well.
        let moved = Moved { stream, kind, counted: self.cores.count(to) };
        let Err(refused) = door.try_send(moved) else { return None };
        let Moved { stream, .. } = refused.into_inner();
        let stream = TcpStream::from_std(stream).ok()?;
        Some(Accepted { stream, kind, counted: self.cores.count(self.own) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn connection() -> TcpStream {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn whoever_accepts_them_connections_end_up_even() {
        let (cores, mut seats) = Cores::new(3);
        let mut held = Vec::new();
        for _ in 0..30 {
            held.extend(seats[0].place(connection().await, Kind::Plain));
        }
        let counts: Vec<usize> = cores.connections().collect();
        assert_eq!(counts.iter().sum::<usize>(), 30, "each is counted once: {counts:?}");
        let (most, least) = (counts.iter().max().unwrap(), counts.iter().min().unwrap());
        assert!(most - least <= DIFFERENCE, "{counts:?}");
        for (seat, count) in seats.iter_mut().zip(&counts).skip(1) {
            for _ in 0..*count {
                held.push(seat.next_moved().await.unwrap());
            }
        }
        drop(held);
        assert_eq!(cores.connections().sum::<usize>(), 0);
    }

    #[tokio::test]
    async fn a_core_that_takes_nothing_gets_no_more() {
        let (cores, mut seats) = Cores::new(2);
        drop(seats.pop());
        let mut held = Vec::new();
        for _ in 0..5 {
            held.extend(seats[0].place(connection().await, Kind::Tls));
        }
        assert_eq!((held.len(), cores.connections().next()), (5, Some(5)));
    }
}
