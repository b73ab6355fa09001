//! One connection: sends the same request again and again, and says of each when its answer was whole. It waits for nothing.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::load::answer::{Answer, answer};

/// Bytes read at once.
const READ_BYTES: usize = 16 << 10;

/// The longest answer that is taken.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// A request under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// When it was meant to be sent.
    pub(crate) intended: Instant,
    /// When it was.
    pub(crate) sent: Instant,
}

pub(crate) struct Link {
    stream: TcpStream,
    /// Of the request under way, how much is written.
    written: usize,
    received: Vec<u8>,
    pub(crate) asked: Option<Asked>,
    /// Since when it has nothing to do.
    pub(crate) free_since: Instant,
}

/// What came of looking at a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Waiting,
    Answered(Answer),
    /// It can be used no more.
    Broken,
}

impl Link {
    /// Connects, and waits for that: to be called before a run, or after a connection broke.
    pub(crate) fn connect(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let stream =
            std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let received = Vec::with_capacity(READ_BYTES);
        Ok(Self { stream, written: 0, received, asked: None, free_since: Instant::now() })
    }

    /// Begins a request; the answer to the one before has come.
    pub(crate) fn ask(&mut self, request: &[u8], asked: Asked) -> Progress {
        self.asked = Some(asked);
        self.written = 0;
        self.write(request)
    }

    /// Something happened on the connection.
    pub(crate) fn look(&mut self, request: &[u8], is_writable: bool) -> Progress {
        if is_writable && self.asked.is_some() && self.write(request) == Progress::Broken {
            return Progress::Broken;
        }
        self.read()
    }

    fn write(&mut self, request: &[u8]) -> Progress {
        while let Some(rest) = request.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(0) => return Progress::Broken,
                Ok(bytes) => self.written += bytes,
                Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Progress::Broken,
            }
        }
        Progress::Waiting
    }

    fn read(&mut self) -> Progress {
        let mut buffer = [0; READ_BYTES];
        loop {
            let bytes = match self.stream.read(&mut buffer) {
                Ok(bytes) => bytes,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Progress::Waiting,
                Err(why) if why.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Progress::Broken,
            };
            if self.asked.is_none() {
                // Closed while it was idle, or an answer to nothing.
                return Progress::Broken;
            }
            self.received.extend_from_slice(buffer.get(..bytes).unwrap_or_default());
            match answer(&self.received, bytes == 0) {
                Ok(Some(answer)) if answer.length == self.received.len() => {
                    self.received.clear();
                    return Progress::Answered(answer);
                }
                Ok(None) if bytes > 0 && self.received.len() <= MAX_ANSWER_BYTES => {}
                Ok(_) | Err(_) => return Progress::Broken,
            }
            // Less than there was room for: nothing is left, and what comes later is told anew.
            if bytes < READ_BYTES {
                return Progress::Waiting;
            }
        }
    }
}
