//! A gRPC client: tonic's channel and framing, with messages of two fields that are encoded here, so that nothing needs `protoc`.

use std::net::SocketAddr;

use bytes::{Buf, BufMut};
use futures_util::Stream;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

/// A message of the service in `guest-examples/rust-grpc/greeter.proto`: each has at most one text and two numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Field 1, where it is text.
    pub text: String,
    /// Fields 1 and 2, where they are numbers.
    pub numbers: [u64; 2],
}

impl Message {
    /// A message with a text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A message with two numbers.
    #[must_use]
    pub fn numbers(first: u64, second: u64) -> Self {
        Self { numbers: [first, second], ..Self::default() }
    }

    fn encode(&self, to: &mut impl BufMut) {
        if !self.text.is_empty() {
            to.put_u8(1 << 3 | 2);
            put_number(to, self.text.len() as u64);
            to.put_slice(self.text.as_bytes());
        }
        for (field, number) in (1..).zip(self.numbers) {
            if number != 0 {
                to.put_u8(field << 3);
                put_number(to, number);
            }
        }
    }

    fn decode(from: &mut impl Buf) -> Option<Self> {
        let mut message = Self::default();
        while from.has_remaining() {
            let (key, value) = (get_number(from)?, get_number(from)?);
            match (key >> 3, key & 7) {
                (1, 2) => {
                    let length =
                        usize::try_from(value).ok().filter(|it| *it <= from.remaining())?;
                    message.text = String::from_utf8(from.copy_to_bytes(length).to_vec()).ok()?;
                }
                (field @ 1..=2, 0) => message.numbers[usize::from(field == 2)] = value,
                _ => return None,
            }
        }
        Some(message)
    }
}

fn put_number(to: &mut impl BufMut, mut number: u64) {
    while number >= 0x80 {
        to.put_u8(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    to.put_u8(number.to_le_bytes()[0]);
}

fn get_number(from: &mut impl Buf) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = from.has_remaining().then(|| from.get_u8())?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Encodes and decodes [`Message`].
#[derive(Debug, Clone, Copy, Default)]
struct Messages;

impl Codec for Messages {
    type Encode = Message;
    type Decode = Message;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Messages {
    type Item = Message;
    type Error = Status;

    fn encode(&mut self, message: Message, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(to);
        Ok(())
    }
}

impl Decoder for Messages {
    type Item = Message;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Message>, Status> {
        Message::decode(from).map(Some).ok_or_else(|| Status::internal("not such a message"))
    }
}

/// A client of that service.
#[derive(Debug, Clone)]
pub struct Greeter {
    grpc: Grpc<Channel>,
}

impl Greeter {
    /// Connects over HTTP/2 in clear text. `origin` is the service's address as the client knows it: scheme, host and what is
    /// before each method's path.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect(to: SocketAddr, origin: &str) -> Self {
        let origin: http::Uri = origin.parse().expect("an origin");
        let endpoint = Endpoint::from_shared(format!("http://{to}")).expect("an address");
        // The channel takes scheme and host of it, the client what is before each path.
        let channel = endpoint.origin(origin.clone()).connect().await.expect("a connection");
        let grpc = Grpc::with_origin(channel, origin);
        Self { grpc: grpc.max_decoding_message_size(64 << 20) }
    }

    async fn ready(&mut self, method: &str) -> Result<PathAndQuery, Status> {
        self.grpc.ready().await.map_err(|why| Status::unavailable(why.to_string()))?;
        Ok(format!("/hearth.example.Greeter/{method}").parse().expect("a path"))
    }

    /// One message, one answer.
    ///
    /// # Errors
    /// The status that the call ended with.
    pub async fn unary(
        &mut self,
        method: &str,
        request: Request<Message>,
    ) -> Result<Response<Message>, Status> {
        let path = self.ready(method).await?;
        self.grpc.unary(request, path, Messages).await
    }

    /// One message, many answers.
    ///
    /// # Errors
    /// The status that the call ended with.
    pub async fn server_streaming(
        &mut self,
        method: &str,
        request: Request<Message>,
    ) -> Result<Streaming<Message>, Status> {
        let path = self.ready(method).await?;
        self.grpc.server_streaming(request, path, Messages).await.map(Response::into_inner)
    }

    /// Many messages, one answer.
    ///
    /// # Errors
    /// The status that the call ended with.
    pub async fn client_streaming(
        &mut self,
        method: &str,
        requests: impl Stream<Item = Message> + Send + 'static,
    ) -> Result<Message, Status> {
        let path = self.ready(method).await?;
        let answer = self.grpc.client_streaming(Request::new(requests), path, Messages).await;
        answer.map(Response::into_inner)
    }

    /// Many messages, many answers, at the same time.
    ///
    /// # Errors
    /// The status that the call ended with.
    pub async fn streaming(
        &mut self,
        method: &str,
        requests: impl Stream<Item = Message> + Send + 'static,
    ) -> Result<Streaming<Message>, Status> {
        let path = self.ready(method).await?;
        let answers = self.grpc.streaming(Request::new(requests), path, Messages).await;
        answers.map(Response::into_inner)
    }
}
