//! WebSockets of a function: what its HTTP trigger says of them, and the way of each call about one to the engine.
//!
//! A connection stays with the version that it was opened at. Behind `LATEST` that means the code as it stands when a message comes,
//! unless the connection has an instance of its own, which keeps the code it began with.

use std::sync::Arc;
use std::time::Duration;

use hearth_engine::{
    Invocation, Line, LineBounds, Message, Outcome, WebSocket, WebSocketAcceptance,
    WebSocketBounds, WebSocketOpened, WebSocketOpening, WebSocketRejection,
};
use serde_json::{Map, Value};

use crate::error::PlatformError;
use crate::invoke::Noted;
use crate::name::Target;
use crate::platform::{Inner, Platform};
use crate::revision::Revision;
use crate::scaling::Running;

/// The key of the trigger's configuration that these settings are under, within [`HEARTH_KEY`].
pub(crate) const WEBSOCKET_KEY: &str = "websocket";
/// The key of a trigger's configuration under which hearth's own settings are.
const HEARTH_KEY: &str = "hearth";

const IDLE_S_DEFAULT: u64 = 600;
const IDLE_S_MAX: u64 = 86_400;
const MESSAGE_BYTES_DEFAULT: u64 = 128 << 10;
const MESSAGE_BYTES_MAX: u64 = 4 << 20;
const CONNECTIONS_DEFAULT: u64 = 1000;
const CONNECTIONS_MAX: u64 = 1_000_000;

/// Bytes of messages that wait for one client; one message always may.
const QUEUE_BYTES: usize = 1 << 20;
/// Messages that wait for one client.
const QUEUE_MESSAGES: usize = 1024;

/// Which instances serve a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebSocketMode {
    /// Each message goes to any instance of the function, as an event would. The default.
    #[default]
    Message,
    /// Each connection has an instance of its own, which counts against the function's instances for as long as it is open.
    Connection,
}

/// What an HTTP trigger says of WebSockets, under `hearth.websocket` in its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebSocketSettings {
    /// `mode`: `message` or `connection`.
    pub mode: WebSocketMode,
    /// `idleSeconds`: a connection on which no message went either way for so long is closed. Default 600, 1 to 86,400.
    pub idle: Duration,
    /// `messageBytes`: the largest message either way. Default 128 KiB, at most 4 MiB.
    pub message_bytes: usize,
    /// `connections`: connections of the function at once. Default 1000, at most 1,000,000.
    pub connections: usize,
}

impl Default for WebSocketSettings {
    fn default() -> Self {
        Self {
            mode: WebSocketMode::Message,
            idle: Duration::from_secs(IDLE_S_DEFAULT),
            message_bytes: count(MESSAGE_BYTES_DEFAULT),
            connections: count(CONNECTIONS_DEFAULT),
        }
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl WebSocketSettings {
    /// Reads a trigger's configuration; what it does not say has its default.
    ///
    /// # Errors
    /// The first setting that is out of bounds or unknown, and what it may be.
    pub fn of(config: &Map<String, Value>) -> Result<Self, String> {
        let mut settings = Self::default();
        let own = config.get(HEARTH_KEY).and_then(|own| own.get(WEBSOCKET_KEY));
        let Some(own) = own.filter(|own| !own.is_null()) else { return Ok(settings) };
        let own = own.as_object().ok_or("`hearth.websocket` is not an object")?;
        for (name, value) in own {
            let number = |max: u64| {
                let number = value.as_u64().filter(|number| (1..=max).contains(number));
                number.ok_or_else(|| {
                    format!("`hearth.websocket.{name}` is not a number from 1 to {max}")
                })
            };
            match name.as_str() {
                "mode" => {
                    settings.mode = match value.as_str() {
                        Some("message") => WebSocketMode::Message,
                        Some("connection") => WebSocketMode::Connection,
                        _ => {
                            let why =
                                "`hearth.websocket.mode` is neither `message` nor `connection`";
                            return Err(why.to_owned());
                        }
                    }
                }
                "idleSeconds" => settings.idle = Duration::from_secs(number(IDLE_S_MAX)?),
                "messageBytes" => settings.message_bytes = count(number(MESSAGE_BYTES_MAX)?),
                "connections" => settings.connections = count(number(CONNECTIONS_MAX)?),
                _ => return Err(format!("`hearth.websocket` has no setting `{name}`")),
            }
        }
        Ok(settings)
    }

    fn bounds(&self) -> WebSocketBounds {
        WebSocketBounds {
            line: LineBounds {
                message_bytes: self.message_bytes,
                queue_bytes: QUEUE_BYTES,
                queue_messages: QUEUE_MESSAGES,
            },
            connections: self.connections,
            has_own_instance: self.mode == WebSocketMode::Connection,
        }
    }
}

/// What came of a client's wish for a connection.
#[derive(Debug)]
pub enum WebSocketWish {
    /// It is granted.
    Accepted(WebSocketConnection, WebSocketAcceptance),
    /// The function turned the client away.
    Rejected(WebSocketRejection),
    /// The function failed; the fault is in the outcome.
    Failed(Box<Outcome>),
    /// The function has no WebSocket handler.
    NotTaken,
}

/// An open connection of a function. Dropping it closes it without telling the function.
#[derive(Debug)]
pub struct WebSocketConnection {
    inner: Arc<Inner>,
    /// What it was opened at.
    revision: Arc<Revision>,
    function: Arc<hearth_engine::Function>,
    socket: WebSocket,
    /// Its place among the function's invocations, if it has an instance of its own.
    running: Option<Running>,
}

impl Platform {
    /// Asks a function for a connection. `ended` is told how its `open` ended, unless it has none.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke), and when the function has as many connections as it may.
    pub async fn open_websocket(
        &self,
        revision: Arc<Revision>,
        settings: &WebSocketSettings,
        opening: WebSocketOpening,
        mut invocation: Invocation,
        ended: impl FnOnce(Result<&Outcome, &PlatformError>),
    ) -> Result<WebSocketWish, PlatformError> {
        let inner = self.inner();
        let started_ms = inner.clock.now_ms();
        let ready = inner.ready(&revision, &mut invocation, started_ms).await;
        if ready.as_ref().is_ok_and(|(_, function)| !function.takes_websockets()) {
            return Ok(WebSocketWish::NotTaken);
        }
        let noted = Noted::new(&**inner, &*revision, &invocation, started_ms);
        let opened = match ready {
            Ok((running, function)) => {
                let opened = function.open_websocket(opening, settings.bounds(), invocation).await;
                opened.map(|opened| (opened, running, function)).map_err(PlatformError::from)
            }
            Err(error) => Err(error),
        };
        let outcome = opened.as_ref().map(|(opened, ..)| outcome_of(opened));
        noted.end(outcome);
        ended(outcome);
        let (opened, running, function) = opened?;
        Ok(match opened {
            WebSocketOpened::Accepted(socket, acceptance, _) => {
                let running = (settings.mode == WebSocketMode::Connection).then_some(running);
                let inner = inner.clone();
                let connection = WebSocketConnection { inner, revision, function, socket, running };
                WebSocketWish::Accepted(connection, acceptance)
            }
            WebSocketOpened::Rejected(rejection, _) => WebSocketWish::Rejected(rejection),
            WebSocketOpened::Failed(outcome) => WebSocketWish::Failed(outcome),
        })
    }
}

fn outcome_of(opened: &WebSocketOpened) -> &Outcome {
    match opened {
        WebSocketOpened::Accepted(_, _, outcome)
        | WebSocketOpened::Rejected(_, outcome)
        | WebSocketOpened::Failed(outcome) => outcome,
    }
}

impl WebSocketConnection {
    /// What the function sent and nobody has taken yet.
    pub fn line(&self) -> &Arc<Line> {
        self.socket.line()
    }

    /// Its id, as the function knows it.
    pub fn id(&self) -> String {
        self.socket.id()
    }

    /// Whether it had an instance of its own and lost it; then the function cannot be told anything any more.
    pub fn is_lost(&self) -> bool {
        self.socket.is_lost()
    }

    /// Gives a message to the function. Dropping the future ends the guest.
    ///
    /// # Errors
    /// As [`Platform::invoke`]; the function may be gone by now.
    pub async fn message(
        &mut self,
        message: Message,
        mut invocation: Invocation,
    ) -> Result<Outcome, PlatformError> {
        let turn = self.turn(&mut invocation).await?;
        let noted = Noted::new(&*self.inner, &*turn.revision, &invocation, turn.started_ms);
        let told = self.socket.message(&turn.function, message, invocation).await;
        let told = told.map_err(PlatformError::from);
        noted.end(told.as_ref());
        told
    }

    /// Tells the function that the connection is closed.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub async fn close(
        self,
        code: u16,
        reason: String,
        mut invocation: Invocation,
    ) -> Result<Outcome, PlatformError> {
        let turn = self.turn(&mut invocation).await?;
        let noted = Noted::new(&*self.inner, &*turn.revision, &invocation, turn.started_ms);
        let told = self.socket.close(&turn.function, code, reason, invocation).await;
        let told = told.map_err(PlatformError::from);
        noted.end(told.as_ref());
        told
    }

    /// Who serves now.
    async fn turn(&self, invocation: &mut Invocation) -> Result<Turn, PlatformError> {
        let started_ms = self.inner.clock.now_ms();
        let at = self.revision.function();
        let current = self.inner.resolve(Target {
            service: at.service.as_str(),
            qualifier: Some(self.revision.version()),
            function: at.name.as_str(),
        })?;
        if self.running.is_some() {
            let (revision, function) = (self.revision.clone(), self.function.clone());
            return Ok(Turn { revision, function, started_ms, _running: None });
        }
        let (running, function) = self.inner.ready(&current, invocation, started_ms).await?;
        Ok(Turn { revision: current.into_arc(), function, started_ms, _running: Some(running) })
    }
}

/// One call of a function about a connection.
struct Turn {
    revision: Arc<Revision>,
    function: Arc<hearth_engine::Function>,
    started_ms: u64,
    _running: Option<Running>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(own: &Value) -> Result<WebSocketSettings, String> {
        let config = json!({"hearth": {"websocket": own}});
        WebSocketSettings::of(config.as_object().unwrap())
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let default = WebSocketSettings::default();
        assert_eq!(WebSocketSettings::of(&Map::new()), Ok(default));
        assert_eq!(of(&Value::Null), Ok(default));
        assert_eq!(of(&json!({})), Ok(default));
        let own =
            json!({"mode": "connection", "idleSeconds": 5, "messageBytes": 1, "connections": 2});
        let said = WebSocketSettings {
            mode: WebSocketMode::Connection,
            idle: Duration::from_secs(5),
            message_bytes: 1,
            connections: 2,
        };
        assert_eq!(of(&own), Ok(said));
    }

    #[test]
    fn what_is_out_of_bounds_or_unknown_is_named() {
        for (own, part) in [
            (json!(1), "is not an object"),
            (json!({"mode": "pooled"}), "hearth.websocket.mode"),
            (json!({"idleSeconds": 0}), "from 1 to 86400"),
            (json!({"idleSeconds": 86_401}), "from 1 to 86400"),
            (json!({"messageBytes": (4 << 20) + 1}), "from 1 to 4194304"),
            (json!({"connections": "many"}), "from 1 to 1000000"),
            (json!({"connections": 1.5}), "from 1 to 1000000"),
            (json!({"ping": 1}), "no setting `ping`"),
        ] {
            let why = of(&own).unwrap_err();
            assert!(why.contains(part), "{own}: {why}");
        }
    }
}
