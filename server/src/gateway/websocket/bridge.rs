//! Between one client and its function: messages in their order, one at a time, and at most one read ahead; what the function sends from
//! a bounded queue; pings, and every bound of time. When it ends, whoever ended it, the function is told.
//!
//! All of it is one task on the thread of its core. While nothing happens it holds two timers, a small buffer and no instance.

use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hearth_engine::{Line, Message, Outgoing};
use hearth_platform::{Way, WebSocketConnection, WebSocketSettings};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame as Piece};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

use super::end::{self, End};
use super::invocations::{Invocations, Told};
use super::pieces::{PIECE, Pieces};
use super::times::Times;
use crate::http::{Occupied, ShutdownSignal};

/// Bytes that are read at once; each idle connection holds so many.
const READ_BYTES: usize = 2 << 10;
/// Answers to pings that wait, beside one piece of a message, for a client that reads nothing.
const WRITE_BYTES: usize = 16 << 10;
/// How long the other end may take to answer a close.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// Pings that may stay without an answer.
const PINGS_MISSED: u32 = 2;

type Socket = WebSocketStream<Pieces<TokioIo<Upgraded>>>;

/// A connection that is about to be served.
#[derive(Debug)]
pub(super) struct Bridge {
    pub(super) connection: WebSocketConnection,
    pub(super) way: Way,
    pub(super) invocations: Invocations,
    pub(super) settings: WebSocketSettings,
    /// Time between two pings; zero for none.
    pub(super) ping: Duration,
    /// Longest that one message may take to be written.
    pub(super) write: Duration,
    pub(super) shutdown: ShutdownSignal,
    /// What the client's other streams go on beside; none where it has the connection for itself.
    pub(super) _occupied: Option<Occupied>,
}

/// An invocation that has the connection meanwhile. Boxed: most of the time there is none.
type Running = Pin<Box<dyn Future<Output = (WebSocketConnection, Told)> + Send>>;

/// Who has the connection.
enum Turn {
    Free(WebSocketConnection),
    Busy(Running),
    /// Only while one becomes the other.
    Between,
}

impl Bridge {
    /// Serves a connection to its end, once the response has made it one.
    pub(super) async fn serve(self, upgrade: OnUpgrade) {
        let Self {
            connection,
            mut way,
            invocations,
            settings,
            ping,
            write,
            mut shutdown,
            _occupied,
        } = self;
        let line = connection.line().clone();
        // A connection's slot is held by the socket, or beside it, and a server that stops waits for it: it goes when the function has
        // been told.
        let (end, turn, _socket) = match upgrade.await {
            Ok(upgraded) => {
                let socket = socket(upgraded, &settings).await;
                let mut serving = Serving {
                    invocations: &invocations,
                    turn: Turn::Free(connection),
                    idle: settings.idle,
                    ping,
                };
                let outer = (&mut way, &mut shutdown);
                let (end, socket) = serving.run(socket, &line, write, outer).await;
                (end, serving.turn, socket)
            }
            Err(_) => {
                line.end();
                (End::Broken("the client left before"), Turn::Free(connection), None)
            }
        };
        if let Turn::Free(connection) = turn
            && !connection.is_lost()
        {
            let (code, reason) = end.told();
            let closed = Box::pin(connection.close(code, reason, invocations.next())).await;
            invocations.count(closed.as_ref());
        }
    }
}

async fn socket(upgraded: Upgraded, settings: &WebSocketSettings) -> Socket {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(PIECE + WRITE_BYTES)
        .max_message_size(Some(settings.message_bytes))
        .max_frame_size(Some(settings.message_bytes));
    let stream = Pieces::new(TokioIo::new(upgraded), settings.message_bytes);
    WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await
}

/// A connection while it is open.
struct Serving<'a> {
    invocations: &'a Invocations,
    turn: Turn,
    idle: Duration,
    ping: Duration,
}

impl Serving<'_> {
    /// Serves until something ends it, then closes the socket as that asks for.
    async fn run(
        &mut self,
        socket: Socket,
        line: &Line,
        write: Duration,
        (way, shutdown): (&mut Way, &mut ShutdownSignal),
    ) -> (End, Option<Socket>) {
        let (mut sink, mut stream) = socket.split();
        let times = Times::new();
        let end = {
            let writing = pin!(send(&mut sink, line, &times, (self.ping, write)));
            let reading = pin!(self.receive(&mut stream, &times));
            // In any order: whichever came first each time would be all that runs while it always has something to do.
            tokio::select! {
                end = writing => end,
                end = reading => end,
                () = shutdown.wait() => End::closing(1001, "the server is going away"),
                () = way.gone() => End::closing(1001, "the way to the function is gone"),
            }
        };
        line.end();
        let Ok(mut socket) = sink.reunite(stream) else { return (end, None) };
        let closing = async {
            if !matches!(end, End::Broken(_)) {
                // Who does not answer in time is left without.
                let _ = timeout(CLOSE_WAIT, part(&mut socket, &end)).await;
            }
            // The client sees the end now, however long the function takes to be told.
            let _ = timeout(CLOSE_WAIT, socket.get_mut().shutdown()).await;
        };
        // What runs began before the end, and its own deadline is its bound.
        futures_util::future::join(closing, self.finish()).await;
        (end, Some(socket))
    }

    /// Gives what the client sends to the function.
    async fn receive(&mut self, stream: &mut SplitStream<Socket>, times: &Times) -> End {
        let mut ahead: Option<Message> = None;
        loop {
            if matches!(self.turn, Turn::Free(_))
                && let Some(message) = ahead.take()
            {
                // Nothing was read while it waited, so nothing could be heard.
                times.heard();
                self.give(message);
            }
            let (is_busy, is_reading) = (matches!(self.turn, Turn::Busy(_)), ahead.is_none());
            let overdue = self.overdue(times, is_busy, is_reading);
            tokio::select! {
                biased;
                told = done(&mut self.turn), if is_busy => {
                    times.moved();
                    self.invocations.count(told.as_ref());
                    if let Some(end) = End::of_told(&told) {
                        return end;
                    }
                }
                frame = stream.next(), if is_reading => {
                    times.heard();
                    match frame {
                        Some(Ok(Frame::Text(text))) => {
                            ahead = Some(Message::Text(text.as_str().to_owned()));
                        }
                        Some(Ok(Frame::Binary(bytes))) => ahead = Some(Message::Binary(bytes)),
                        Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {
                            // Here too: who sends them without pause keeps what is below from its turn.
                            if !is_busy && self.is_idle(times) {
                                return idle_for_long();
                            }
                            continue;
                        }
                        Some(Ok(Frame::Close(None))) => return End::Closed(1005, String::new()),
                        Some(Ok(Frame::Close(Some(frame)))) => {
                            let reason = frame.reason.as_str().to_owned();
                            return End::Closed(frame.code.into(), reason);
                        }
                        Some(Err(error)) => return End::of_error(&error),
                        None => return End::Broken("the connection broke off"),
                    }
                    times.moved();
                }
                () = sleep_until(overdue) => {
                    let now = Instant::now();
                    if is_reading && self.is_dead(times, now) {
                        return End::Broken("the client answers no pings");
                    }
                    if !is_busy && self.is_idle(times) {
                        return idle_for_long();
                    }
                }
            }
        }
    }

    fn give(&mut self, message: Message) {
        self.turn = match std::mem::replace(&mut self.turn, Turn::Between) {
            Turn::Free(mut connection) => {
                let invocation = self.invocations.next();
                Turn::Busy(Box::pin(async move {
                    let told = connection.message(message, invocation).await;
                    (connection, told)
                }))
            }
            other => other,
        };
    }

    async fn finish(&mut self) {
        if matches!(self.turn, Turn::Busy(_)) {
            let told = done(&mut self.turn).await;
            self.invocations.count(told.as_ref());
        }
    }

    /// How long a client may be silent; longer than any limit if it is not asked.
    fn silence(&self) -> Option<Duration> {
        (!self.ping.is_zero()).then(|| self.ping * (PINGS_MISSED + 1))
    }

    fn is_idle(&self, times: &Times) -> bool {
        Instant::now() >= times.last_moved() + self.idle
    }

    fn is_dead(&self, times: &Times, now: Instant) -> bool {
        self.silence().is_some_and(|silence| now >= times.last_heard() + silence)
    }

    /// When to look whether this has gone on for too long.
    fn overdue(&self, times: &Times, is_busy: bool, is_reading: bool) -> Instant {
        let now = Instant::now();
        let idle = if is_busy { now + self.idle } else { times.last_moved() + self.idle };
        match self.silence() {
            Some(silence) if is_reading => idle.min(times.last_heard() + silence),
            _ => idle,
        }
    }
}

fn idle_for_long() -> End {
    End::closing(1001, "the connection was idle")
}

/// Waits for the invocation that has the connection.
async fn done(turn: &mut Turn) -> Told {
    let Turn::Busy(running) = turn else { return std::future::pending().await };
    let (connection, told) = running.await;
    *turn = Turn::Free(connection);
    told
}

/// Sends what the function queues, and pings.
async fn send(
    sink: &mut SplitSink<Socket, Frame>,
    line: &Line,
    times: &Times,
    (ping, write): (Duration, Duration),
) -> End {
    let mut next_ping = Instant::now() + ping;
    loop {
        let message = tokio::select! {
            biased;
            () = sleep_until(next_ping), if !ping.is_zero() => {
                next_ping = Instant::now() + ping;
                None
            }
            outgoing = line.next() => {
                times.moved();
                Some(match outgoing {
                    Outgoing::Message(Message::Text(text)) => (Data::Text, Bytes::from(text)),
                    Outgoing::Message(Message::Binary(bytes)) => (Data::Binary, bytes),
                    Outgoing::Close { code, reason } => return End::Closing(code, reason),
                })
            }
        };
        let sending = async {
            match message {
                Some((kind, bytes)) => send_in_pieces(sink, kind, bytes).await,
                None => sink.send(Frame::Ping(Bytes::new())).await,
            }
        };
        match timeout(write, sending).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Broken("the connection broke off"),
            Err(_) => return End::Broken("the client reads too slowly"),
        }
    }
}

/// Sends a message, a large one in pieces: the codec keeps a buffer of the largest frame that it ever sent.
async fn send_in_pieces(
    sink: &mut SplitSink<Socket, Frame>,
    mut kind: Data,
    mut bytes: Bytes,
) -> Result<(), Error> {
    while bytes.len() > PIECE {
        let piece = Piece::message(bytes.split_to(PIECE), OpCode::Data(kind), false);
        sink.send(Frame::Frame(piece)).await?;
        kind = Data::Continue;
    }
    sink.send(Frame::Frame(Piece::message(bytes, OpCode::Data(kind), true))).await
}

/// Says goodbye and reads until the client has.
async fn part(socket: &mut Socket, end: &End) {
    if let End::Closing(code, reason) = end {
        let frame = CloseFrame { code: (*code).into(), reason: end::fitting(reason).into() };
        // Whether it arrives is seen by the answer, or by none.
        let _ = socket.close(Some(frame)).await;
    }
    // The answer of either end is in here; what else comes is too late.
    while let Some(Ok(_)) = socket.next().await {}
}
