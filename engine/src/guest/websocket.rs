//! Calls the WebSocket handler of components: `hearth:function/websocket`, which stands beside an event or HTTP handler.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hearth_host_api::bindings::websocket::{Guest, Opening, Payload};
use hearth_host_api::websocket::Message;
use wasmtime::Store;

use super::event::{Facts, returned};
use crate::Fault;
use crate::fault::{CallFailure, bounded};
use crate::seat::Seat;
use crate::state::ComponentState;
use crate::websocket::{WebSocketAcceptance, WebSocketOpening, WebSocketRejection};

/// Bytes of header lines that a guest may answer an opening with.
const ANSWER_HEADER_BYTES_MAX: usize = 16 << 10;

/// One call of a guest about one connection.
#[derive(Debug)]
pub(crate) struct SocketCall {
    pub(crate) connection: String,
    pub(crate) event: SocketEvent,
    /// Where the instance of this connection waits between calls, if it has one of its own.
    pub(crate) seat: Option<Arc<Seat>>,
}

/// What happened on a connection.
#[derive(Debug)]
pub(crate) enum SocketEvent {
    /// A client wants it; the answer goes where the second says.
    Open(Box<WebSocketOpening>, Arc<OnceLock<Answer>>),
    /// A message came.
    Message(Message),
    /// It is closed.
    Close { code: u16, reason: String },
}

/// What a guest says to a client that wants a connection.
pub(crate) type Answer = Result<WebSocketAcceptance, WebSocketRejection>;

impl SocketCall {
    /// Bytes that the guest is given.
    pub(crate) fn size(&self) -> usize {
        match &self.event {
            SocketEvent::Open(opening, _) => {
                let headers: usize =
                    opening.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
                headers + opening.path.len() + opening.query.len()
            }
            SocketEvent::Message(message) => message.size(),
            SocketEvent::Close { reason, .. } => reason.len(),
        }
    }
}

/// Tells a guest what happened. There is no answer but to an opening, and that is not in the outcome.
pub(crate) async fn call(
    store: &mut Store<ComponentState>,
    guest: &Guest,
    call: SocketCall,
) -> Result<Bytes, CallFailure> {
    store.set_epoch_deadline(1);
    let facts = Facts::of(store.data());
    let (connection, context) = (&*call.connection, facts.context());
    match call.event {
        SocketEvent::Open(opening, answer) => {
            let headers: Vec<(&str, &[u8])> =
                opening.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
            let subprotocols: Vec<&str> = opening.subprotocols.iter().map(|name| &**name).collect();
            let asked = Opening {
                connection,
                path: &opening.path,
                query: &opening.query,
                headers: &headers,
                subprotocols: &subprotocols,
                client_address: &opening.client_address,
            };
            let said = match guest.call_open(&mut *store, asked, context).await? {
                Ok(accepted) => {
                    let sizes =
                        accepted.headers.iter().map(|(name, value)| name.len() + value.len());
                    if sizes.sum::<usize>() > ANSWER_HEADER_BYTES_MAX {
                        let why = format!(
                            "it accepted a WebSocket with more than {ANSWER_HEADER_BYTES_MAX} bytes of headers"
                        );
                        return Err(CallFailure::Fault(Fault::BadAbi { why }));
                    }
                    Ok(WebSocketAcceptance {
                        subprotocol: accepted.subprotocol,
                        headers: accepted.headers,
                    })
                }
                Err(rejected) => Err(WebSocketRejection {
                    status: rejected.status,
                    message: bounded(&rejected.message),
                }),
            };
            // It is set once: nobody else has this call.
            let _ = answer.set(said);
        }
        SocketEvent::Message(message) => {
            let payload = match &message {
                Message::Text(text) => Payload::Text(text),
                Message::Binary(bytes) => Payload::Binary(bytes),
            };
            let called = guest.call_message(&mut *store, connection, payload, context).await?;
            called.map_err(|error| CallFailure::Fault(returned(&error)))?;
        }
        SocketEvent::Close { code, reason } => {
            guest.call_close(&mut *store, connection, code, &reason, context).await?;
        }
    }
    Ok(Bytes::new())
}
