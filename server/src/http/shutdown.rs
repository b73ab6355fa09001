//! Shutting down: the signals that ask for it, and how the word gets to every listener and connection.

use tokio::sync::watch;

/// Starts the shutdown; dropping it starts it as well.
#[derive(Debug)]
pub struct Shutdown(watch::Sender<bool>);

/// Tells when the shutdown has started.
#[derive(Debug, Clone)]
pub struct ShutdownSignal(watch::Receiver<bool>);

impl Shutdown {
    /// A shutdown that has not started, and its signal.
    pub fn new() -> (Self, ShutdownSignal) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), ShutdownSignal(receiver))
    }

    /// Starts it.
    pub fn start(&self) {
        self.0.send_replace(true);
    }
}

impl ShutdownSignal {
    /// Returns once the shutdown has started.
    pub async fn wait(&mut self) {
        // An error means that whoever could start it is gone, which is a shutdown too.
        let _ = self.0.wait_for(|started| *started).await;
    }

    /// Whether it has started.
    pub fn has_started(&self) -> bool {
        *self.0.borrow()
    }
}

/// Returns the name of the next signal that asks the server to stop.
///
/// # Errors
/// When the system does not let signals be waited for.
#[cfg(unix)]
pub async fn wait_for_signal() -> std::io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

/// Returns once Ctrl-C is pressed.
///
/// # Errors
/// When the system does not let it be waited for.
#[cfg(not(unix))]
pub async fn wait_for_signal() -> std::io::Result<&'static str> {
    tokio::signal::ctrl_c().await.map(|()| "Ctrl-C")
}
