//! HTTP/2 written frame by frame, as no client would, without a library that could refuse to.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The types of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection that frames are written to.
#[derive(Debug)]
pub struct Frames {
    stream: TcpStream,
    /// The number of the next request.
    next_stream: u32,
}

impl Frames {
    /// Connects and sends preface and settings.
    ///
    /// # Panics
    /// When the server does not accept.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).expect("the server accepts");
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).expect("a socket has a timeout");
        stream.set_write_timeout(patience).expect("a socket has a timeout");
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("it is taken");
        let mut frames = Self { stream, next_stream: 1 };
        assert!(frames.write(SETTINGS, 0, 0, &[]));
        frames
    }

    /// Sends one frame; whether the server still takes any.
    fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame).is_ok()
    }

    /// Begins a request for a path; its stream, unless the server takes no more.
    pub fn request(&mut self, path: &str, ends: bool) -> Option<u32> {
        let stream = self.next_stream;
        self.next_stream += 2;
        let flags = END_HEADERS | if ends { END_STREAM } else { 0 };
        self.write(HEADERS, flags, stream, &header_block(path)).then_some(stream)
    }

    /// Begins a request whose header never ends; its stream.
    pub fn request_without_end(&mut self, path: &str) -> Option<u32> {
        let stream = self.next_stream;
        self.next_stream += 2;
        self.write(HEADERS, END_STREAM, stream, &header_block(path)).then_some(stream)
    }

    /// Sends more of a header.
    pub fn continuation(&mut self, stream: u32, block: &[u8]) -> bool {
        self.write(CONTINUATION, 0, stream, block)
    }

    /// Sends a piece of a body.
    pub fn data(&mut self, stream: u32, bytes: &[u8]) -> bool {
        self.write(DATA, 0, stream, bytes)
    }

    /// Gives a request up.
    pub fn reset(&mut self, stream: u32) -> bool {
        self.write(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
    }

    /// Asks for an echo.
    pub fn ping(&mut self) -> bool {
        self.write(PING, 0, 0, &[0; 8])
    }

    /// Says that settings change, to nothing new.
    pub fn settings(&mut self) -> bool {
        self.write(SETTINGS, 0, 0, &[])
    }

    /// Says that windows of new streams begin closed.
    pub fn close_windows(&mut self) -> bool {
        self.write(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])
    }

    /// Reads until the server closes the connection or is silent for long; whether it closed.
    pub fn until_closed(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(why) => {
                    return ![ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&why.kind());
                }
            }
        }
    }
}

/// `GET` of a path from `x` over http, each field literal and never indexed.
fn header_block(path: &str) -> Vec<u8> {
    // 2: GET, 6: http, of the static table.
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(":path", path), (":authority", "x")] {
        block.push(0x10);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("it is short"));
            block.extend(text.as_bytes());
        }
    }
    block
}
