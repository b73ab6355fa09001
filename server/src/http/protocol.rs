//! HTTP/1.1 and HTTP/2 as hyper is told to speak them, and what HTTP/2 needs beside: tasks for its streams, on the same thread, which
//! end when the client takes nothing of an answer.
//!
//! Over HTTP/1.1 that shows on the connection, which is then cut off. Over HTTP/2 the connection may go on well while the window of
//! one stream is never opened, so each stream is looked after by itself; a timer is there only while one waits for its client.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};

use super::ConnectionBounds;

/// hyper answers what is over its own bounds without a body; ours are checked first and answered in the dialect's words, so
/// hyper's stand at a multiple and only stop what is far off.
const SLACK: usize = 2;

/// What one header line counts beyond its text in HTTP/2.
const LINE_BYTES: usize = 32;

/// What a client may send of one body, and of all bodies of a connection, before somebody reads it.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// What is kept of one answer that the client does not take.
const SEND_BUFFER: usize = 64 << 10;

/// Requests that were given up before they were looked at, and streams that were reset for a client's errors: with more of either
/// the connection is closed.
const RESETS_UNSEEN: usize = 20;
const RESETS_OF_ERRORS: usize = 128;

/// How often a client that is silent is asked whether it is still there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How connections are served.
pub(super) type Protocol = auto::Builder<StreamTasks>;

pub(super) fn protocol(bounds: &ConnectionBounds, tasks: StreamTasks) -> Protocol {
    let mut protocol = auto::Builder::new(tasks);
    protocol
        .http1()
        .header_read_timeout(None)
        .max_headers(bounds.headers * SLACK)
        .max_buf_size((bounds.header_bytes * SLACK).max(16 << 10));
    let header_list = (bounds.header_bytes + bounds.headers * LINE_BYTES) * SLACK;
    protocol
        .http2()
        .enable_connect_protocol()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(bounds.h2_streams)
        .max_header_list_size(u32::try_from(header_list).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS_UNSEEN)
        .max_local_error_reset_streams(RESETS_OF_ERRORS);
    protocol
}

/// Whether the client takes what one stream has for it.
#[derive(Debug, Default)]
pub(super) struct Taking {
    /// Frames that were handed over.
    handed: AtomicU32,
    /// The last of them is not taken yet.
    waits: AtomicBool,
}

impl Taking {
    /// A frame was handed over.
    pub(super) fn handed(&self) {
        self.handed.fetch_add(1, Ordering::Relaxed);
        self.waits.store(true, Ordering::Relaxed);
    }

    /// The next one is asked for.
    pub(super) fn asked(&self) {
        self.waits.store(false, Ordering::Relaxed);
    }
}

/// Runs the streams of all HTTP/2 connections of a thread.
#[derive(Debug, Clone)]
pub(super) struct StreamTasks {
    /// Of the request that has just been given to the service: hyper makes its task next.
    newest: Arc<Mutex<Option<Arc<Taking>>>>,
    /// How long a client may take nothing.
    write: Duration,
}

impl StreamTasks {
    pub(super) fn new(bounds: &ConnectionBounds) -> Self {
        Self { newest: Arc::default(), write: bounds.write }
    }

    /// A request came; what its answer has to note in.
    pub(super) fn begin(&self) -> Arc<Taking> {
        let taking = Arc::<Taking>::default();
        *self.newest.lock() = Some(taking.clone());
        taking
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for StreamTasks {
    fn execute(&self, stream: F) {
        let taking = self.newest.lock().take().unwrap_or_default();
        tokio::spawn(StreamTask {
            stream: Box::pin(stream),
            taking,
            write: self.write,
            watch: None,
        });
    }
}

/// One stream. When this ends before the stream does, hyper resets it.
struct StreamTask<F> {
    stream: Pin<Box<F>>,
    taking: Arc<Taking>,
    write: Duration,
    watch: Option<Watch>,
}

/// Looks again after a while whether a frame was taken.
struct Watch {
    handed: u32,
    timer: Pin<Box<Sleep>>,
}

impl<F: Future<Output = ()>> Future for StreamTask<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        while this.watch.is_some() || this.taking.waits.load(Ordering::Relaxed) {
            let handed = this.taking.handed.load(Ordering::Relaxed);
            let watch = this.watch.get_or_insert_with(|| Watch {
                handed,
                timer: Box::pin(tokio::time::sleep(this.write)),
            });
            if watch.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if !this.taking.waits.load(Ordering::Relaxed) {
                this.watch = None;
            } else if watch.handed == handed {
                tracing::debug!("stream cut off: the client takes nothing of its answer");
                return Poll::Ready(());
            } else {
                watch.handed = handed;
                watch.timer.as_mut().reset(Instant::now() + this.write);
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
