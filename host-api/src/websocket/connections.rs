//! The open WebSockets of one function on this server, by ids that nobody can guess. A function finds its own here and no others.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;

use super::line::{Line, LineBounds, Message, SendError};

/// The most ids that one question for connections is answered with.
pub const CONNECTIONS_LISTED_MAX: usize = 1000;

/// Digits of a connection's id.
const ID_DIGITS: usize = 32;

/// The open connections of one function.
#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<BTreeMap<u128, Arc<Line>>>,
}

/// A function has as many connections as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the function has {limit} open WebSockets and may have no more")]
pub struct TooManyConnections {
    /// The bound.
    pub limit: usize,
}

/// A place among a function's connections, given up when it is dropped: nobody can send to it then.
#[derive(Debug)]
pub struct Held {
    connections: Arc<Connections>,
    id: u128,
    line: Arc<Line>,
}

impl Connections {
    /// Enters a connection. `id` is random and of the caller's making; this crate has no source of randomness.
    ///
    /// # Errors
    /// When there are `limit` already, or, which does not happen, one of this id.
    pub fn enter(
        self: &Arc<Self>,
        id: u128,
        bounds: LineBounds,
        limit: usize,
    ) -> Result<Held, TooManyConnections> {
        let line = Arc::new(Line::new(bounds));
        let mut open = self.open.lock();
        if open.len() >= limit || open.contains_key(&id) {
            return Err(TooManyConnections { limit });
        }
        open.insert(id, line.clone());
        Ok(Held { connections: self.clone(), id, line })
    }

    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.lock().len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Queues a message for a connection.
    ///
    /// # Errors
    /// There is none of this id; it is over a bound or closed already.
    pub fn send(&self, id: &str, message: Message) -> Result<(), SendError> {
        self.line(id)?.send(message)
    }

    /// Closes a connection after what is queued for it.
    ///
    /// # Errors
    /// There is none of this id; a code or reason that may not be sent; closed already.
    pub fn close(&self, id: &str, code: u16, reason: String) -> Result<(), SendError> {
        self.line(id)?.close(code, reason)
    }

    /// The ids that come after one, in order; at most [`CONNECTIONS_LISTED_MAX`].
    #[must_use]
    pub fn after(&self, id: Option<&str>) -> Vec<String> {
        let start = match id.map(parse) {
            None => Bound::Unbounded,
            Some(Some(id)) => Bound::Excluded(id),
            Some(None) => return Vec::new(),
        };
        let open = self.open.lock();
        open.range((start, Bound::Unbounded))
            .take(CONNECTIONS_LISTED_MAX)
            .map(|(id, _)| text(*id))
            .collect()
    }

    fn line(&self, id: &str) -> Result<Arc<Line>, SendError> {
        let id = parse(id).ok_or(SendError::Gone)?;
        self.open.lock().get(&id).cloned().ok_or(SendError::Gone)
    }
}

impl Held {
    /// The connection's id, as guests know it.
    #[must_use]
    pub fn id(&self) -> String {
        text(self.id)
    }

    /// What waits to be sent.
    #[must_use]
    pub fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Gives the place up already: nobody can send to it any more.
    pub fn leave(&self) {
        self.connections.open.lock().remove(&self.id);
        self.line.end();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.leave();
    }
}

fn text(id: u128) -> String {
    format!("{id:032x}")
}

/// One form for each id: what is not exactly that is none.
fn parse(text: &str) -> Option<u128> {
    let is_plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != ID_DIGITS || !text.bytes().all(is_plain) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::Outgoing;

    const BOUNDS: LineBounds =
        LineBounds { message_bytes: 100, queue_bytes: 100, queue_messages: 10 };

    #[test]
    fn a_place_is_found_by_its_id_until_it_is_given_up() {
        let connections = Arc::new(Connections::default());
        let held = connections.enter(7, BOUNDS, 2).unwrap();
        let id = held.id();
        assert_eq!(id, "00000000000000000000000000000007");
        connections.send(&id, Message::Text("a".to_owned())).unwrap();
        let sent = held.line().try_next();
        assert_eq!(sent, Some(Outgoing::Message(Message::Text("a".to_owned()))));
        for other in
            ["", "7", "+0000000000000000000000000000007", "0000000000000000000000000000000G"]
        {
            let result = connections.send(other, Message::Text("a".to_owned()));
            assert_eq!(result, Err(SendError::Gone), "{other}");
        }
        drop(held);
        assert_eq!(connections.close(&id, 1000, String::new()), Err(SendError::Gone));
        assert!(connections.is_empty());
    }

    #[test]
    fn there_are_at_most_as_many_as_may_be() {
        let connections = Arc::new(Connections::default());
        let first = connections.enter(1, BOUNDS, 1).unwrap();
        assert_eq!(connections.enter(2, BOUNDS, 1).unwrap_err(), TooManyConnections { limit: 1 });
        drop(first);
        connections.enter(2, BOUNDS, 1).unwrap();
    }

    #[test]
    fn all_are_listed_in_pages() {
        let connections = Arc::new(Connections::default());
        let held: Vec<_> =
            (0..2500).map(|id| connections.enter(id, BOUNDS, 5000).unwrap()).collect();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = connections.after(after.as_deref());
            assert!(page.len() <= CONNECTIONS_LISTED_MAX);
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            seen.extend(page);
        }
        assert_eq!(seen, held.iter().map(Held::id).collect::<Vec<_>>());
        assert!(connections.after(Some("no id")).is_empty());
    }
}
