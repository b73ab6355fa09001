//! Reading of large bodies, away from the thread that serves.
//!
//! Code comes as base64 in JSON: to read 50 MiB of it takes 100 ms and more, in which nobody else on the thread would be served.

use bytes::Bytes;
use hearth_platform::PlatformError;

use super::errors::WireError;

/// From this size on a body is read on another thread, in bytes: reading less takes no longer than the hand-over by much.
const LARGE_BYTES: usize = 64 << 10;

/// Reads a body: here if it is small, beside others if it is large.
///
/// # Errors
/// Those of `read`, and a failure if it panicked.
pub(super) async fn read<T: Send + 'static>(
    body: &Bytes,
    read: impl FnOnce(&[u8]) -> Result<T, WireError> + Send + 'static,
) -> Result<T, WireError> {
    if body.len() < LARGE_BYTES {
        return read(body);
    }
    let body = body.clone();
    let reading = tokio::task::spawn_blocking(move || read(&body));
    reading.await.map_err(|why| {
        let what = "reading a request's body";
        WireError::from(PlatformError::Failure { what, why: why.to_string() })
    })?
}

#[cfg(test)]
mod tests {
    use std::thread::{ThreadId, current};

    use super::*;

    async fn reader_of(bytes: usize) -> ThreadId {
        read(&vec![b' '; bytes].into(), |_| Ok(current().id())).await.unwrap()
    }

    #[tokio::test]
    async fn only_what_is_large_is_read_elsewhere() {
        assert_eq!(reader_of(0).await, current().id());
        assert_eq!(reader_of(LARGE_BYTES - 1).await, current().id());
        assert_ne!(reader_of(LARGE_BYTES).await, current().id());
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_told_wherever_it_was_read() {
        for bytes in [1, LARGE_BYTES] {
            let body = vec![b' '; bytes].into();
            let read = read::<()>(&body, |_| Err(WireError::invalid("no")));
            assert!(read.await.unwrap_err().message.contains("no"));
        }
    }
}
