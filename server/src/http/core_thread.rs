//! One thread with a runtime of its own that accepts connections, serves them and runs the guests they call.
//!
//! Nothing hops to another thread between accepting a connection and the guest: waking another core costs more than a fresh
//! instance. The system spreads connections over the listeners, and what it spreads too unevenly is moved before its first request.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::connection::{self, Service};
use super::cores::{Accepted, Kind};
use super::{ConnectionBounds, Handle, Seat, ShutdownSignal, Tls};

/// First pause after `accept` failed, as when the process has no file descriptors left; doubled up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What a thread serves, and within which bounds.
#[derive(Debug)]
pub struct Serving<H> {
    /// What answers.
    pub handler: Arc<H>,
    /// Its place among the threads that serve the same.
    pub seat: Seat,
    /// How TLS is spoken where it is.
    pub tls: Option<Arc<Tls>>,
    /// Bounds of each connection.
    pub bounds: ConnectionBounds,
    /// Connections at once on this thread; more wait in the system's queue.
    pub connections: u32,
    /// When to stop accepting.
    pub shutdown: ShutdownSignal,
    /// How long connections may take to finish after that.
    pub drain_time: Duration,
}

/// The sockets of one thread.
#[derive(Debug)]
pub struct Listeners {
    /// For HTTP.
    pub plain: TcpListener,
    /// For TLS.
    pub tls: Option<TcpListener>,
}

/// A running thread. It ends some time after the shutdown has started.
#[derive(Debug)]
pub struct CoreThread {
    thread: std::thread::JoinHandle<()>,
}

impl CoreThread {
    /// Starts a thread that serves `listeners`. `alive` is dropped when the thread has ended.
    ///
    /// # Errors
    /// When the thread or its runtime cannot be made.
    pub fn start<H: Handle>(
        name: String,
        listeners: Listeners,
        serving: Serving<H>,
        alive: mpsc::Sender<()>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Those are the threads beside this one, for what blocks: packages are unpacked there, and hashed.
            .on_thread_start(hearth_platform::run_behind_callers)
            .build()?;
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            if let Err(error) = runtime.block_on(run(listeners, serving)) {
                tracing::error!(%error, "listener failed");
            }
            // What is still running after the drain time is cancelled here.
            drop(runtime);
            drop(alive);
        })?;
        Ok(Self { thread })
    }

    /// Waits for the thread to end.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("a serving thread panicked");
        }
    }
}

async fn run<H: Handle>(listeners: Listeners, mut serving: Serving<H>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listeners.plain)?;
    let tls_listener = listeners.tls.map(tokio::net::TcpListener::from_std).transpose()?;
    let service = Service::new(serving.handler.clone(), serving.bounds.clone());
    let slots = Arc::new(Semaphore::new(serving.connections as usize));
    let mut pause = PAUSE_MIN;
    while !serving.shutdown.has_started() {
        let accept = async {
            // First a slot, then a connection: what finds no slot waits in the system's queue, not here.
            let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
            let mine = tokio::select! {
                Some(moved) = serving.seat.next_moved() => Some(moved),
                accepted = listener.accept() => serving.seat.place(accepted?.0, Kind::Plain),
                accepted = accept_from(tls_listener.as_ref()) => serving.seat.place(accepted?, Kind::Tls),
            };
            Ok(mine.map(|mine| (mine, slot)))
        };
        let accepted = tokio::select! {
            () = serving.shutdown.wait() => break,
            accepted = accept => accepted,
        };
        match accepted {
            Ok(mine) => {
                pause = PAUSE_MIN;
                if let Some((mine, slot)) = mine {
                    spawn(&serving, &service, mine, slot);
                }
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, pause_ms = pause.as_millis(), "connections cannot be accepted");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
    drop((listener, tls_listener));
    serving.seat.close();
    while let Some(mine) = serving.seat.next_moved().await {
        if let Ok(slot) = slots.clone().try_acquire_owned() {
            spawn(&serving, &service, mine, slot);
        }
    }
    let all = slots.acquire_many(serving.connections);
    if tokio::time::timeout(serving.drain_time, all).await.is_err() {
        tracing::warn!("connections are cut off: they did not finish within the drain time");
    }
    Ok(())
}

/// The next connection of a listener that need not be there.
async fn accept_from(listener: Option<&tokio::net::TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

/// Serves a connection to its end.
fn spawn<H: Handle>(
    serving: &Serving<H>,
    service: &Arc<Service<H>>,
    accepted: Accepted,
    slot: OwnedSemaphorePermit,
) {
    let Accepted { stream, kind, counted } = accepted;
    let tls = serving.tls.clone().filter(|_| kind == Kind::Tls);
    let (service, shutdown) = (service.clone(), serving.shutdown.clone());
    tokio::spawn(async move {
        connection::serve((stream, tls), (counted, slot), service, shutdown).await;
    });
}

/// Whether `accept` failed because of the one connection, which is gone, and not because of the listener.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
