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

/// The signals that ask the server to stop. They are caught from when this is made, so that none is lost between two waits.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    /// Caught so that it does not end the process: a file that may not grow any more is then an error like a full disk.
    #[cfg(unix)]
    _file_size: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// When the system does not let signals be waited for.
    pub fn catch() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let file_size = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_size: signal(file_size)?,
        })
    }

    /// Returns the name of the next one.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// None here.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self {})
    }

    /// Returns once Ctrl-C is pressed.
    pub async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            // Then there is nothing to wait for.
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}
