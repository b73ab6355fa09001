//! A connection of HTTP/2 whose streams may become WebSockets, one beside another and beside plain requests (RFC 8441).

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::{PATIENCE, Reply, Server};

/// One connection.
#[derive(Debug)]
pub struct Http2 {
    requests: SendRequest<Empty<Bytes>>,
    connection: JoinHandle<()>,
    runtime: Runtime,
}

/// One stream of it that is a WebSocket.
#[derive(Debug)]
pub struct WebSocketOfStream {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    /// The response that opened it, without its body.
    pub response: Response<()>,
}

impl Server {
    /// Connects by HTTP/2.
    ///
    /// # Panics
    /// When the server does not take it.
    #[must_use]
    pub fn http2(&self) -> Http2 {
        Http2::connect(self.address())
    }
}

impl Http2 {
    fn connect(address: SocketAddr) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
        let (requests, connection) = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.expect("the server accepts");
            // A window that a message of some size fills, if nobody reads.
            let mut client = http2::Builder::new(TokioExecutor::new());
            client.initial_stream_window_size(64 << 10);
            let shaken = client.handshake(TokioIo::new(stream)).await;
            let (requests, connection) = shaken.expect("the server speaks HTTP/2");
            let connection = tokio::spawn(async move {
                let _ = connection.await;
            });
            (requests, connection)
        });
        Self { requests, connection, runtime }
    }

    fn within<T>(&self, future: impl Future<Output = T>) -> T {
        let limited = async { tokio::time::timeout(PATIENCE, future).await };
        self.runtime.block_on(limited).expect("it comes in time")
    }

    /// Sends a request without a body; with a protocol its stream is to become that.
    fn send(
        &mut self,
        (method, path): (Method, &str),
        headers: &[(&str, &str)],
        protocol: Option<&'static str>,
    ) -> Response<hyper::body::Incoming> {
        let host = headers.iter().find(|(name, _)| *name == "host").map_or("x", |(_, host)| host);
        let mut request = Request::builder().method(method).uri(format!("http://{host}{path}"));
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
            request = request.header(*name, *value);
        }
        if let Some(protocol) = protocol {
            request = request.extension(Protocol::from_static(protocol));
        }
        let request = request.body(Empty::new()).expect("a request");
        let requests = self.requests.clone();
        self.within(async move {
            let mut requests = requests;
            requests.ready().await.expect("an open connection");
            requests.send_request(request).await.expect("an answer")
        })
    }

    fn reply(&self, response: Response<hyper::body::Incoming>) -> Reply {
        let (head, body) = response.into_parts();
        let body = self.within(body.collect()).expect("a whole answer").to_bytes().to_vec();
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
        Reply { status: head.status.as_u16(), headers: headers.collect(), body }
    }

    /// Gets something.
    ///
    /// # Panics
    /// When nothing is answered.
    pub fn get(&mut self, path: &str) -> Reply {
        let response = self.send((Method::GET, path), &[], None);
        self.reply(response)
    }

    /// Asks for a stream that becomes something, and is refused.
    ///
    /// # Panics
    /// When it is granted.
    pub fn refused(
        &mut self,
        protocol: &'static str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Reply {
        let response = self.send((Method::CONNECT, path), headers, Some(protocol));
        assert!(!response.status().is_success(), "{response:?}");
        self.reply(response)
    }

    /// Opens a WebSocket.
    ///
    /// # Panics
    /// When it is refused.
    pub fn websocket(&mut self, path: &str, headers: &[(&str, &str)]) -> WebSocketOfStream {
        let headers = [&[("sec-websocket-version", "13")], headers].concat();
        let mut response = self.send((Method::CONNECT, path), &headers, Some("websocket"));
        assert_eq!(response.status(), 200, "{response:?}");
        let upgraded = self.within(hyper::upgrade::on(&mut response)).expect("a stream");
        let config = Some(WebSocketConfig::default());
        let stream = TokioIo::new(upgraded);
        let socket = self.within(WebSocketStream::from_raw_socket(stream, Role::Client, config));
        WebSocketOfStream { socket, response: response.map(|_| ()) }
    }

    /// Says something on a WebSocket.
    ///
    /// # Panics
    /// When it is closed.
    pub fn say(&self, on: &mut WebSocketOfStream, text: &str) {
        self.within(on.socket.send(Message::text(text))).expect("an open WebSocket");
    }

    /// The next text that a WebSocket says.
    ///
    /// # Panics
    /// When none comes.
    pub fn text(&self, on: &mut WebSocketOfStream) -> String {
        loop {
            match self.within(on.socket.next()).expect("an open WebSocket").expect("a message") {
                Message::Text(text) => return text.as_str().to_owned(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("no text: {other:?}"),
            }
        }
    }

    /// Says something and waits for the answer.
    ///
    /// # Panics
    /// When none comes.
    pub fn ask(&self, on: &mut WebSocketOfStream, text: &str) -> String {
        self.say(on, text);
        self.text(on)
    }

    /// Closes a WebSocket, and waits for the answer.
    ///
    /// # Panics
    /// When there is none.
    pub fn close(&self, on: &mut WebSocketOfStream, code: u16, reason: &str) -> (u16, String) {
        let frame = CloseFrame { code: code.into(), reason: reason.to_owned().into() };
        // The server may have answered and ended the stream before all of this is done.
        let _ = self.within(on.socket.close(Some(frame)));
        self.closed(on)
    }

    /// Reads until a WebSocket is closed; its code and reason, 1006 if none is said.
    ///
    /// # Panics
    /// When it is not.
    pub fn closed(&self, on: &mut WebSocketOfStream) -> (u16, String) {
        let mut said = (1006, String::new());
        loop {
            match self.within(on.socket.next()) {
                Some(Ok(Message::Close(Some(frame)))) => {
                    said = (frame.code.into(), frame.reason.as_str().to_owned());
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return said,
            }
        }
    }

    /// Whether the connection is still open after that long.
    ///
    /// # Panics
    /// Never.
    pub fn is_open_after(&mut self, wait: Duration) -> bool {
        let connection = &mut self.connection;
        self.runtime.block_on(async { tokio::time::timeout(wait, connection).await.is_err() })
    }
}
