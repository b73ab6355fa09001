//! One call of gRPC over `wasi:http` 0.2: messages in frames of five bytes and a payload, a deadline, and a status in the trailers.

use prost::Message;
use wasip2::clocks::monotonic_clock::{now, subscribe_instant};
use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

/// The largest message that is taken, as most servers have it.
const MESSAGE_MAX: usize = 4 << 20;

/// What is read at once.
const PIECE: u64 = 64 << 10;

/// The flag of a frame and the length of its payload.
const FRAME_HEAD: usize = 5;

/// How a call ends when it does not end well: a code of gRPC and a sentence.
pub struct Status {
    code: u32,
    message: String,
}

impl Status {
    pub const INVALID_ARGUMENT: u32 = 3;
    pub const DEADLINE_EXCEEDED: u32 = 4;
    pub const RESOURCE_EXHAUSTED: u32 = 8;
    pub const UNIMPLEMENTED: u32 = 12;
    pub const INTERNAL: u32 = 13;

    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// A client that left is told nothing more.
impl From<StreamError> for Status {
    fn from(_: StreamError) -> Self {
        Self::new(Self::INTERNAL, "the connection broke off")
    }
}

/// A call as its method sees it: messages come and go.
pub struct Call {
    from: InputStream,
    to: OutputStream,
    came: Vec<u8>,
    /// When the client stops waiting, on the monotonic clock.
    deadline: Option<u64>,
}

impl Call {
    /// The next message; none at the end.
    pub fn receive<M: Message + Default>(&mut self) -> Result<Option<M>, Status> {
        if !self.fill(FRAME_HEAD)? {
            return Ok(None);
        }
        let length = u32::from_be_bytes([self.came[1], self.came[2], self.came[3], self.came[4]]);
        let length = length as usize;
        if self.came[0] != 0 {
            return Err(Status::new(Status::UNIMPLEMENTED, "messages must not be compressed"));
        }
        if length > MESSAGE_MAX {
            let why = format!("a message of {length} bytes is over the limit of {MESSAGE_MAX}");
            return Err(Status::new(Status::RESOURCE_EXHAUSTED, why));
        }
        self.fill(FRAME_HEAD + length)?;
        let message = M::decode(&self.came[FRAME_HEAD..FRAME_HEAD + length]);
        self.came.drain(..FRAME_HEAD + length);
        message.map(Some).map_err(|why| Status::new(Status::INTERNAL, why.to_string()))
    }

    /// The one message of a call that has one.
    pub fn receive_one<M: Message + Default>(&mut self) -> Result<M, Status> {
        self.receive()?.ok_or_else(|| Status::new(Status::INTERNAL, "there is no message"))
    }

    /// Reads until so many bytes are there; whether they are.
    fn fill(&mut self, length: usize) -> Result<bool, Status> {
        while self.came.len() < length {
            match self.from.blocking_read(PIECE) {
                Ok(bytes) => self.came.extend(bytes),
                Err(StreamError::Closed) if self.came.is_empty() => return Ok(false),
                Err(StreamError::Closed) => {
                    return Err(Status::new(Status::INTERNAL, "a message broke off"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Sends a message at once.
    pub fn send<M: Message>(&mut self, message: &M) -> Result<(), Status> {
        let mut frame = vec![0; FRAME_HEAD];
        frame.extend(message.encode_to_vec());
        let length = (frame.len() - FRAME_HEAD) as u32;
        frame[1..FRAME_HEAD].copy_from_slice(&length.to_be_bytes());
        let mut rest = &frame[..];
        while !rest.is_empty() {
            match self.to.check_write()? {
                0 => self.to.subscribe().block(),
                room => {
                    let (now, later) = rest.split_at(rest.len().min(room as usize));
                    self.to.write(now)?;
                    rest = later;
                }
            }
        }
        Ok(self.to.blocking_flush()?)
    }

    /// Waits, but not past the deadline.
    pub fn pause(&self, milliseconds: u64) -> Result<(), Status> {
        let until = now().saturating_add(milliseconds.saturating_mul(1_000_000));
        let ends = self.deadline.is_some_and(|deadline| deadline < until);
        subscribe_instant(self.deadline.map_or(until, |deadline| deadline.min(until))).block();
        if ends {
            Err(Status::new(Status::DEADLINE_EXCEEDED, "the deadline has passed"))
        } else {
            Ok(())
        }
    }
}

/// Serves a call: sends the head, lets the method work, and ends with its status.
pub fn serve(
    request: IncomingRequest,
    out: ResponseOutparam,
    method: impl FnOnce(&mut Call) -> Result<(), Status>,
) {
    let value = |name: &str| request.headers().get(name).into_iter().next();
    let is_grpc = value("content-type").is_some_and(|it| it.starts_with(b"application/grpc"));
    let fields = Fields::new();
    let add = |name: &str, value: &[u8]| fields.append(name, value).expect("a valid header");
    add("content-type", b"application/grpc");
    let told = value("x-name");
    if let Some(name) = &told {
        add("x-greets", name);
    }
    let response = OutgoingResponse::new(fields);
    if !is_grpc {
        response.set_status_code(415).expect("a valid status");
    }
    let deadline =
        value("grpc-timeout").and_then(|it| timeout(&it)).map(|it| now().saturating_add(it));
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let to = body.write().expect("the stream is taken once");
    let from: IncomingBody = request.consume().expect("the body is taken once");
    let stream = from.stream().expect("the stream is taken once");
    let mut call = Call { from: stream, to, came: Vec::new(), deadline };
    let ended =
        if is_grpc { method(&mut call) } else { Err(Status::new(Status::INTERNAL, "no gRPC")) };
    let Call { to, .. } = call;
    drop(to);
    let trailers = Fields::new();
    let add = |name: &str, value: &[u8]| trailers.append(name, value).expect("a valid trailer");
    let status = ended.err().unwrap_or_else(|| Status::new(0, ""));
    add("grpc-status", status.code.to_string().as_bytes());
    if !status.message.is_empty() {
        add("grpc-message", escaped(&status.message).as_bytes());
    }
    if told.is_some() {
        add("x-greeted", b"yes");
    }
    let _ = OutgoingBody::finish(body, Some(trailers));
}

/// A timeout such as `100m`, in nanoseconds.
fn timeout(text: &[u8]) -> Option<u64> {
    let (unit, digits) = text.split_last()?;
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let nanoseconds = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    Some(number.saturating_mul(nanoseconds))
}

/// A message as a header may hold it.
fn escaped(message: &str) -> String {
    let escape = |byte: u8| match byte {
        b' '..=b'~' if byte != b'%' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    message.bytes().map(escape).collect()
}
