//! A client of WebSockets that shows its handshake, and may then break every rule: the stream below is at hand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::{PATIENCE, Server};

/// The example of RFC 6455, section 1.3, and its answer.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// One open WebSocket.
#[derive(Debug)]
pub struct WebSocketClient {
    socket: WebSocket<TcpStream>,
    /// The head of the response that opened it.
    pub head: String,
}

impl Server {
    /// Opens a WebSocket at a path; the whole response where there is none.
    ///
    /// # Errors
    /// The response, if it is not 101.
    ///
    /// # Panics
    /// When nothing is answered.
    pub fn websocket(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<WebSocketClient, String> {
        WebSocketClient::open(self.address(), path, headers)
    }
}

/// Shakes hands; the stream behind it, or the response that is none.
fn shake(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<(TcpStream, String), String> {
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket has a timeout");
    let mut request = format!("GET {path} HTTP/1.1\r\nconnection: Upgrade\r\n");
    let standard = [
        ("host", "x"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", KEY),
    ];
    let is_said = |name: &str| headers.iter().any(|(said, _)| *said == name);
    for (name, value) in standard.iter().filter(|(name, _)| !is_said(name)).chain(headers) {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{request}\r\n").as_bytes()).expect("the server reads");
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("an answer") == 1 {
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8(head).expect("a head is text");
    if head.starts_with("HTTP/1.1 101 ") {
        assert!(head.contains(ACCEPT), "{head}");
        return Ok((stream, head));
    }
    stream.shutdown(std::net::Shutdown::Write).expect("it can be shut down");
    let mut body = String::new();
    // What came is what there is: the server may have closed first.
    let _ = stream.read_to_string(&mut body);
    Err(format!("{head}{body}"))
}

impl WebSocketClient {
    /// Opens one; the whole response where there is none.
    ///
    /// # Errors
    /// The response, if it is not 101.
    ///
    /// # Panics
    /// When nothing is answered.
    pub fn open(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Self, String> {
        let (stream, head) = shake(address, path, headers)?;
        Ok(Self { socket: WebSocket::from_raw_socket(stream, Role::Client, None), head })
    }

    /// Opens one and keeps nothing but its stream, for those who open thousands.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    ///
    /// # Panics
    /// When nothing is answered.
    pub fn idle(address: SocketAddr, path: &str) -> Result<TcpStream, String> {
        shake(address, path, &[]).map(|(stream, _)| stream)
    }

    /// The stream below.
    #[must_use]
    pub fn stream(&mut self) -> &mut TcpStream {
        self.socket.get_mut()
    }

    /// Sends a text.
    ///
    /// # Panics
    /// When the connection is closed.
    pub fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("an open connection");
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// When the connection is closed.
    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.send(Message::binary(bytes.to_vec())).expect("an open connection");
    }

    /// The next message, pings aside.
    ///
    /// # Panics
    /// When none comes.
    pub fn message(&mut self) -> Message {
        loop {
            match self.socket.read().expect("a message") {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    /// The next message, which is a text.
    ///
    /// # Panics
    /// When it is none.
    pub fn text(&mut self) -> String {
        match self.message() {
            Message::Text(text) => text.as_str().to_owned(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// Says something and waits for the answer.
    ///
    /// # Panics
    /// When none comes.
    pub fn ask(&mut self, text: &str) -> String {
        self.say(text);
        self.text()
    }

    /// Waits for a ping.
    ///
    /// # Panics
    /// When none comes.
    pub fn ping(&mut self) {
        while !matches!(self.socket.read().expect("a message"), Message::Ping(_)) {}
    }

    /// Closes it and waits for the answer.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn close(&mut self, code: u16, reason: &str) -> (u16, String) {
        let frame = CloseFrame { code: code.into(), reason: reason.to_owned().into() };
        self.socket.close(Some(frame)).expect("an open connection");
        self.closed()
    }

    /// Reads until the server closes; its code and reason, 1006 if it says none.
    pub fn closed(&mut self) -> (u16, String) {
        let mut said = (1006, String::new());
        loop {
            match self.socket.read() {
                Ok(Message::Close(Some(frame))) => {
                    said = (frame.code.into(), frame.reason.as_str().to_owned());
                }
                Ok(_) => {}
                Err(Error::Io(error)) if is_timeout(&error) => panic!("it is not closed: {error}"),
                Err(_) => return said,
            }
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}
