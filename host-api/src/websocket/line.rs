//! What waits to be sent to one client: a queue with a bound on messages and on bytes, filled by guests on any thread and emptied by
//! whoever holds the connection. Nobody waits to fill it: what does not fit is refused.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The most bytes of a close frame's reason, by RFC 6455.
pub const CLOSE_REASON_BYTES_MAX: usize = 123;

/// One whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

/// What is to be done on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// Send this.
    Message(Message),
    /// Close it; nothing comes after this.
    Close {
        /// 1000, or 3000 to 4999.
        code: u16,
        /// At most [`CLOSE_REASON_BYTES_MAX`] bytes.
        reason: String,
    },
}

/// Bounds of what goes to one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineBounds {
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Bytes of all messages that wait. At least one message always fits into an empty queue.
    pub queue_bytes: usize,
    /// Messages that wait.
    pub queue_messages: usize,
}

/// Why nothing was queued. Each variant is one of the WIT's `send-error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no such connection of this function.
    #[error("the function has no such connection")]
    Gone,
    /// The queue is full.
    #[error("as much waits for this client as may wait; it reads too slowly, try again later")]
    Full,
    /// The message is over its bound.
    #[error("the message is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The bound.
        limit_bytes: u64,
    },
    /// No close that an application may send.
    #[error("a close has code 1000 or 3000 to 4999 and at most 123 bytes of reason")]
    BadClose,
}

/// The way to one client.
#[derive(Debug)]
pub struct Line {
    bounds: LineBounds,
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Outgoing>,
    bytes: usize,
    /// A close was queued, or nobody empties this any more.
    is_ended: bool,
}

impl Line {
    /// An empty one; it holds no memory beyond itself until it is used.
    #[must_use]
    pub fn new(bounds: LineBounds) -> Self {
        Self { bounds, queue: Mutex::default(), filled: Notify::new() }
    }

    /// Queues a message.
    ///
    /// # Errors
    /// Over a bound, or closed already.
    pub fn send(&self, message: Message) -> Result<(), SendError> {
        let size = message.size();
        if size > self.bounds.message_bytes {
            return Err(SendError::TooLarge { limit_bytes: self.bounds.message_bytes as u64 });
        }
        let mut queue = self.queue.lock();
        if queue.is_ended {
            return Err(SendError::Gone);
        }
        let is_over = queue.bytes.saturating_add(size) > self.bounds.queue_bytes
            || queue.waiting.len() >= self.bounds.queue_messages;
        if is_over && !queue.waiting.is_empty() {
            return Err(SendError::Full);
        }
        queue.bytes = queue.bytes.saturating_add(size);
        queue.waiting.push_back(Outgoing::Message(message));
        drop(queue);
        self.filled.notify_one();
        Ok(())
    }

    /// Queues the end.
    ///
    /// # Errors
    /// A code or reason that may not be sent; closed already.
    pub fn close(&self, code: u16, reason: String) -> Result<(), SendError> {
        if !(code == 1000 || (3000..5000).contains(&code)) || reason.len() > CLOSE_REASON_BYTES_MAX
        {
            return Err(SendError::BadClose);
        }
        let mut queue = self.queue.lock();
        if queue.is_ended {
            return Err(SendError::Gone);
        }
        queue.is_ended = true;
        queue.waiting.push_back(Outgoing::Close { code, reason });
        drop(queue);
        self.filled.notify_one();
        Ok(())
    }

    /// Takes nothing more from now on, and forgets what waits.
    pub fn end(&self) {
        *self.queue.lock() = Queue { is_ended: true, ..Queue::default() };
    }

    /// The next that is to be done, if anything waits.
    #[must_use]
    pub fn try_next(&self) -> Option<Outgoing> {
        let mut queue = self.queue.lock();
        let next = queue.waiting.pop_front()?;
        if let Outgoing::Message(message) = &next {
            queue.bytes = queue.bytes.saturating_sub(message.size());
        }
        if queue.waiting.is_empty() {
            // An idle connection costs nothing here.
            queue.waiting.shrink_to_fit();
        }
        Some(next)
    }

    /// Waits for the next that is to be done. For one that waits at a time. Dropping the future loses nothing.
    pub async fn next(&self) -> Outgoing {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            self.filled.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line::new(LineBounds { message_bytes: 4, queue_bytes: 6, queue_messages: 3 })
    }

    fn text(text: &str) -> Message {
        Message::Text(text.to_owned())
    }

    #[test]
    fn bounds_hold_on_messages_and_on_bytes() {
        let line = line();
        assert_eq!(line.send(text("12345")), Err(SendError::TooLarge { limit_bytes: 4 }));
        line.send(text("1234")).unwrap();
        assert_eq!(line.send(text("123")), Err(SendError::Full));
        line.send(text("1")).unwrap();
        line.send(text("")).unwrap();
        assert_eq!(line.send(text("")), Err(SendError::Full), "three messages");
        assert_eq!(line.try_next(), Some(Outgoing::Message(text("1234"))));
        line.send(text("1234")).unwrap();
    }

    #[test]
    fn a_message_larger_than_the_queue_fits_when_it_is_empty() {
        let line = Line::new(LineBounds { message_bytes: 4, queue_bytes: 1, queue_messages: 1 });
        line.send(text("1234")).unwrap();
        assert_eq!(line.send(text("")), Err(SendError::Full));
    }

    #[test]
    fn a_close_comes_after_what_was_queued_and_is_the_last() {
        let line = line();
        for (code, reason) in [(1001, ""), (999, ""), (5000, ""), (1000, &*"x".repeat(124))] {
            assert_eq!(line.close(code, reason.to_owned()), Err(SendError::BadClose), "{code}");
        }
        line.send(text("a")).unwrap();
        line.close(4999, "enough".to_owned()).unwrap();
        assert_eq!(line.send(text("b")), Err(SendError::Gone));
        assert_eq!(line.close(1000, String::new()), Err(SendError::Gone));
        assert_eq!(line.try_next(), Some(Outgoing::Message(text("a"))));
        let close = Outgoing::Close { code: 4999, reason: "enough".to_owned() };
        assert_eq!(line.try_next(), Some(close));
        assert_eq!(line.try_next(), None);
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_another_thread() {
        let line = std::sync::Arc::new(line());
        let sender = line.clone();
        let thread = std::thread::spawn(move || sender.send(text("now")));
        assert_eq!(line.next().await, Outgoing::Message(text("now")));
        thread.join().unwrap().unwrap();
    }
}
