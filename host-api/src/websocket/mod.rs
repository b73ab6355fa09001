//! `hearth:function/websocket-sender`, and what it sends on: the open WebSockets of one function.
//!
//! No grant is needed, because nothing of another's is reached: a function finds its own connections and no others. Nothing
//! here waits, and every queue has a bound, so a guest that sends without end is refused, and a client that does not read costs its
//! queue and no more.

mod connections;
mod line;

pub use connections::{CONNECTIONS_LISTED_MAX, Connections, Held, TooManyConnections};
pub use line::{CLOSE_REASON_BYTES_MAX, Line, LineBounds, Message, Outgoing, SendError};

use crate::bindings::generated::hearth::function::websocket_sender as wit;
use crate::view::{HostCall, HostView};

impl From<SendError> for wit::SendError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Gone => Self::Gone,
            SendError::Full => Self::Full,
            SendError::TooLarge { limit_bytes } => Self::TooLarge(limit_bytes),
            SendError::BadClose => Self::BadClose,
        }
    }
}

impl<T: HostView> wit::Host for HostCall<'_, T> {
    fn send(
        &mut self,
        connection: String,
        message: wit::Payload,
    ) -> wasmtime::Result<Result<(), wit::SendError>> {
        let message = match message {
            wit::Payload::Text(text) => Message::Text(text),
            wit::Payload::Binary(bytes) => Message::Binary(bytes.into()),
        };
        Ok(self.0.websockets().send(&connection, message).map_err(Into::into))
    }

    fn close(
        &mut self,
        connection: String,
        code: u16,
        reason: String,
    ) -> wasmtime::Result<Result<(), wit::SendError>> {
        Ok(self.0.websockets().close(&connection, code, reason).map_err(Into::into))
    }

    fn connections(&mut self, after: Option<String>) -> wasmtime::Result<Vec<String>> {
        Ok(self.0.websockets().after(after.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::wit::{Host, Payload, SendError as WitError};
    use super::*;
    use crate::test_state::TestState;

    const BOUNDS: LineBounds = LineBounds { message_bytes: 4, queue_bytes: 8, queue_messages: 2 };

    fn bytes(count: usize) -> Payload {
        Payload::Binary(vec![0; count])
    }

    #[test]
    fn a_guest_sends_on_its_function_s_connections_and_on_no_others() {
        let mut own = TestState::default();
        let mut other = TestState::default();
        let held = own.websockets.enter(1, BOUNDS, 1).unwrap();
        let send = |state: &mut TestState| HostCall(state).send(held.id(), bytes(1)).unwrap();
        assert!(matches!(send(&mut other), Err(WitError::Gone)));
        assert!(HostCall(&mut other).connections(None).unwrap().is_empty());
        assert!(send(&mut own).is_ok());
        assert_eq!(HostCall(&mut own).connections(None).unwrap(), [held.id()]);
        let closed = HostCall(&mut other).close(held.id(), 1000, String::new()).unwrap();
        assert!(matches!(closed, Err(WitError::Gone)));
    }

    #[test]
    fn what_is_over_a_bound_is_refused_by_its_name() {
        let mut state = TestState::default();
        let held = state.websockets.enter(1, BOUNDS, 1).unwrap();
        let mut send = |count| HostCall(&mut state).send(held.id(), bytes(count)).unwrap();
        assert!(matches!(send(5), Err(WitError::TooLarge(4))));
        assert!(send(4).is_ok() && send(4).is_ok());
        assert!(matches!(send(0), Err(WitError::Full)));
        let close = HostCall(&mut state).close(held.id(), 1006, String::new()).unwrap();
        assert!(matches!(close, Err(WitError::BadClose)));
        let id = "0".repeat(1 << 20);
        let closed = HostCall(&mut state).close(id, 1000, String::new()).unwrap();
        assert!(matches!(closed, Err(WitError::Gone)));
    }
}
