//! WebSockets of functions, without the wire: a connection is opened, gets messages and is closed, each by one invocation on the line
//! that every invocation takes. Whoever holds the wire holds a [`WebSocket`]; what guests send waits in it to be taken.

use std::sync::{Arc, OnceLock, Weak};

use dashmap::DashMap;
use hearth_host_api::websocket::{
    Connections, Held, Line, LineBounds, Message, TooManyConnections,
};

use crate::function::Function;
use crate::guest::websocket::{SocketCall, SocketEvent};
use crate::invoke::invoke;
use crate::seat::Seat;
use crate::work::Work;
use crate::{Identity, Invocation, InvokeError, Outcome, Refusal};

/// Entries of functions that are gone are looked for when there are this many more.
const SWEEP_EVERY: usize = 256;

/// What a client asked for when it wanted a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebSocketOpening {
    /// What follows the function in the path.
    pub path: String,
    /// The query without its question mark.
    pub query: String,
    /// The header lines.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The subprotocols that it offers.
    pub subprotocols: Vec<String>,
    /// Its address.
    pub client_address: String,
}

/// How a function accepts a connection. Neither the subprotocol nor the headers have been checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebSocketAcceptance {
    /// The subprotocol, if any.
    pub subprotocol: Option<String>,
    /// Header lines for the response; at most 16 KiB.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// How a function turns a client away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketRejection {
    /// The status that it wants the response to have; not checked.
    pub status: u16,
    /// The text for the client; at most 4 KiB.
    pub message: String,
}

/// Bounds of one connection, and which instances serve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebSocketBounds {
    /// What goes to its client.
    pub line: LineBounds,
    /// Open connections of the function at once, whatever code they began with.
    pub connections: usize,
    /// Whether it has an instance of its own: one that served nobody before, is kept while the connection is open, counts against
    /// the function's instances meanwhile, and is gone afterwards. Otherwise each message goes to any instance.
    pub has_own_instance: bool,
}

/// An open connection; dropping it makes it unknown to its function's guests, and lets its own instance go.
#[derive(Debug)]
pub struct WebSocket {
    held: Held,
    seat: Option<Arc<Seat>>,
}

/// What came of the wish for a connection.
#[derive(Debug)]
pub enum WebSocketOpened {
    /// The function takes it.
    Accepted(WebSocket, WebSocketAcceptance, Box<Outcome>),
    /// It does not.
    Rejected(WebSocketRejection, Box<Outcome>),
    /// It failed; the fault is in the outcome.
    Failed(Box<Outcome>),
}

impl Function {
    /// Whether its code has a WebSocket handler.
    pub fn takes_websockets(&self) -> bool {
        self.current().1.code.websocket.is_some()
    }

    /// Asks the function for a connection. The invocation's payload is not looked at.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke); [`Refusal::WebSocketsFull`] when there are as many as may be.
    ///
    /// # Cancel safety
    /// Dropping the future ends the guest; there is no connection then.
    pub async fn open_websocket(
        &self,
        opening: WebSocketOpening,
        bounds: WebSocketBounds,
        invocation: Invocation,
    ) -> Result<WebSocketOpened, InvokeError> {
        let (engine, revision) = self.current();
        let id = uuid::Uuid::new_v4().as_u128();
        let connections = &revision.shared.websockets;
        let held = connections.enter(id, bounds.line, bounds.connections).map_err(
            |TooManyConnections { limit }| Refusal::WebSocketsFull {
                function: revision.shared.name.to_string(),
                limit,
            },
        )?;
        let seat =
            bounds.has_own_instance.then(|| Arc::new(Seat::new(engine.clone(), revision.clone())));
        let answer = Arc::new(OnceLock::new());
        let event = SocketEvent::Open(Box::new(opening), answer.clone());
        let call = SocketCall { connection: held.id(), event, seat: seat.clone() };
        let work = Work::WebSocket(Box::new(call));
        let outcome = Box::new(invoke(&engine, &revision, invocation, work).await?);
        let said = answer.get().filter(|_| outcome.result.is_ok()).cloned();
        Ok(match said {
            Some(Ok(acceptance)) => {
                WebSocketOpened::Accepted(WebSocket { held, seat }, acceptance, outcome)
            }
            Some(Err(rejection)) => WebSocketOpened::Rejected(rejection, outcome),
            None => WebSocketOpened::Failed(outcome),
        })
    }
}

impl WebSocket {
    /// What guests sent and is not taken yet.
    pub fn line(&self) -> &Arc<Line> {
        self.held.line()
    }

    /// Its id, as guests know it.
    pub fn id(&self) -> String {
        self.held.id()
    }

    /// Whether it had an instance of its own and lost it, by a fault or a call that was dropped. Then nothing more can be told to it.
    pub fn is_lost(&self) -> bool {
        self.seat.as_ref().is_some_and(|seat| !seat.is_occupied())
    }

    /// Gives a message to the function: to the connection's own instance if it has one, else to any of `function`. One at a time.
    ///
    /// # Errors
    /// As [`Function::invoke`]; [`InvokeError::Failure`] when the connection [is lost](Self::is_lost).
    ///
    /// # Cancel safety
    /// Dropping the future ends the guest; a connection with its own instance is lost then.
    pub async fn message(
        &mut self,
        function: &Function,
        message: Message,
        invocation: Invocation,
    ) -> Result<Outcome, InvokeError> {
        self.tell(function, SocketEvent::Message(message), invocation).await
    }

    /// Tells the function that the connection is closed. Guests cannot send on it any more while they are told.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub async fn close(
        mut self,
        function: &Function,
        code: u16,
        reason: String,
        invocation: Invocation,
    ) -> Result<Outcome, InvokeError> {
        self.held.leave();
        self.tell(function, SocketEvent::Close { code, reason }, invocation).await
    }

    async fn tell(
        &mut self,
        function: &Function,
        event: SocketEvent,
        invocation: Invocation,
    ) -> Result<Outcome, InvokeError> {
        let (engine, revision) = match &self.seat {
            Some(seat) if seat.is_occupied() => {
                let (engine, revision) = seat.origin();
                (engine.clone(), revision.clone())
            }
            Some(seat) => {
                return Err(InvokeError::Failure {
                    function: seat.origin().1.shared.name.to_string(),
                    request_id: invocation.request_id.to_string(),
                    why: "the instance of this WebSocket is gone".to_owned(),
                });
            }
            None => function.current(),
        };
        let call = SocketCall { connection: self.held.id(), event, seat: self.seat.clone() };
        invoke(&engine, &revision, invocation, Work::WebSocket(Box::new(call))).await
    }
}

/// The open connections of all functions, by who a function is: its revisions and versions share them.
#[derive(Debug, Default)]
pub(crate) struct Switchboard {
    functions: DashMap<(String, String), Weak<Connections>>,
}

impl Switchboard {
    /// Those of one function.
    pub(crate) fn of(&self, identity: &Identity) -> Arc<Connections> {
        if self.functions.len() % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.functions.retain(|_, connections| connections.strong_count() > 0);
        }
        let key = (identity.service.clone(), identity.function.clone());
        let mut entry = self.functions.entry(key).or_default();
        entry.upgrade().unwrap_or_else(|| {
            let connections = Arc::default();
            *entry = Arc::downgrade(&connections);
            connections
        })
    }

    /// How many are open.
    pub(crate) fn open(&self) -> u64 {
        let held = self.functions.iter().filter_map(|entry| entry.upgrade());
        held.map(|connections| connections.len() as u64).sum()
    }
}
