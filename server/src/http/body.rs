//! Reading the body of a request as a whole, within bounds.
//!
//! A body is held in memory as a whole, because a guest gets it as a whole. Three bounds keep that finite: the size of one
//! body, the time for sending it, and the memory of all bodies together. Nothing here decompresses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as HttpBody;

use super::RequestBody;

/// Bodies up to this size are not counted against the budget: they cost no more than a connection's own buffers.
const UNCOUNTED_BYTES: u64 = 16 << 10;

/// Why a body was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Larger than allowed.
    #[error("body is over the limit of {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// All bodies together take too much memory.
    #[error("bodies of other requests hold all of the {budget_bytes} bytes there are for them")]
    NoMemory {
        /// The budget.
        budget_bytes: u64,
    },
    /// It came too slowly.
    #[error("body was not sent within {} ms", .limit.as_millis())]
    TooSlow {
        /// The limit.
        limit: Duration,
    },
    /// The client broke off, or framed it wrongly.
    #[error("body is not framed correctly: {why}")]
    Broken {
        /// What was wrong.
        why: String,
    },
}

/// Memory for the bodies of all requests together.
#[derive(Debug, Clone)]
pub struct BodyBudget {
    held: Arc<AtomicU64>,
    budget_bytes: u64,
}

/// A share of the budget, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    held: Arc<AtomicU64>,
    bytes: u64,
}

impl BodyBudget {
    /// A budget of so many bytes.
    pub fn new(budget_bytes: u64) -> Self {
        Self { held: Arc::default(), budget_bytes }
    }

    /// Bytes in use.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Takes a share, or none where a body is too small to count.
    fn reserve(&self, bytes: u64) -> Result<Option<Reservation>, BodyError> {
        if bytes <= UNCOUNTED_BYTES {
            return Ok(None);
        }
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        let reservation = Reservation { held: self.held.clone(), bytes };
        if before.saturating_add(bytes) > self.budget_bytes {
            return Err(BodyError::NoMemory { budget_bytes: self.budget_bytes });
        }
        Ok(Some(reservation))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads a whole body. What is returned beside it holds its share of the budget: keep it as long as the bytes.
///
/// # Errors
/// [`BodyError`] when a bound is hit or the client breaks off.
pub async fn read_body(
    mut body: RequestBody,
    limit_bytes: u64,
    limit: Duration,
    budget: &BodyBudget,
) -> Result<(Bytes, Option<Reservation>), BodyError> {
    if body.is_end_stream() {
        return Ok((Bytes::new(), None));
    }
    let declared = body.size_hint().exact();
    // Without a declared length any size up to the limit may come.
    let expected = declared.unwrap_or(limit_bytes);
    if expected > limit_bytes {
        return Err(BodyError::TooLarge { limit_bytes });
    }
    let reservation = budget.reserve(expected)?;
    // The timer is only registered if the body is not there already.
    let whole = tokio::time::timeout(limit, collect(&mut body, declared, limit_bytes))
        .await
        .map_err(|_| BodyError::TooSlow { limit })??;
    Ok((whole, reservation))
}

async fn collect(
    body: &mut RequestBody,
    declared: Option<u64>,
    limit_bytes: u64,
) -> Result<Bytes, BodyError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken { why: error.to_string() })?;
        let Ok(piece) = frame.into_data() else { continue };
        if whole.is_empty() && declared == Some(piece.len() as u64) {
            return Ok(piece);
        }
        if whole.len() as u64 + piece.len() as u64 > limit_bytes {
            return Err(BodyError::TooLarge { limit_bytes });
        }
        if whole.is_empty() {
            whole.reserve(usize::try_from(declared.unwrap_or(0)).unwrap_or(0));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(let_go_aside(whole))
}

/// These bytes, which are given back to the system beside the threads that serve if they are many, whoever drops them last.
pub(crate) fn let_go_aside<T>(whole: T) -> Bytes
where
    T: AsRef<[u8]> + Into<Bytes> + Send + 'static,
{
    match whole.as_ref().len() < LARGE_BYTES {
        true => whole.into(),
        false => Bytes::from_owner(LetGoAside(Some(whole))),
    }
}

/// From this size on a body is let go of beside the threads that serve, in bytes: giving 30 MiB back to the system takes milliseconds.
const LARGE_BYTES: usize = 1 << 20;

/// What is dropped on a thread for what blocks, where there is one.
struct LetGoAside<T: Send + 'static>(Option<T>);

impl<T: AsRef<[u8]> + Send> AsRef<[u8]> for LetGoAside<T> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], AsRef::as_ref)
    }
}

impl<T: Send> Drop for LetGoAside<T> {
    fn drop(&mut self) {
        let held = self.0.take();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || drop(held));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells where it was dropped.
    struct Witness(std::sync::mpsc::SyncSender<std::thread::ThreadId>);

    impl AsRef<[u8]> for Witness {
        fn as_ref(&self) -> &[u8] {
            &[7; LARGE_BYTES]
        }
    }

    impl From<Witness> for Bytes {
        fn from(_few: Witness) -> Self {
            Self::new()
        }
    }

    impl Drop for Witness {
        fn drop(&mut self) {
            let _ = self.0.send(std::thread::current().id());
        }
    }

    #[test]
    fn what_is_large_is_let_go_beside_who_serves() {
        let (sender, dropped) = std::sync::mpsc::sync_channel(2);
        let held = || let_go_aside(Witness(sender.clone()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let serving = std::thread::current().id();
        runtime.block_on(async {
            let body = held();
            let part = body.slice(1..3);
            drop(body);
            assert_eq!((&*part, dropped.try_recv().is_err()), (&[7, 7][..], true));
        });
        assert_ne!(dropped.recv().unwrap(), serving);
        drop(held());
        assert_eq!(dropped.recv().unwrap(), serving, "where there is no other thread");
    }

    #[test]
    fn the_budget_is_given_back() {
        let budget = BodyBudget::new(100_000);
        assert!(budget.reserve(10).unwrap().is_none());
        let first = budget.reserve(60_000).unwrap();
        assert!(budget.reserve(60_000).is_err());
        assert_eq!(budget.held(), 60_000);
        drop(first);
        assert_eq!(budget.held(), 0);
    }
}
