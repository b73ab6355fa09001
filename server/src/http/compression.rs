//! Compression of responses: gzip or brotli as the client prefers, for what gets smaller by it, frame by frame.
//!
//! What the maker of a body has written is on its way before it is asked for more: a piece of an event stream is flushed when nothing else is
//! there, and a body that comes without pause is compressed as a whole. An encoder holds about 300 KiB (gzip) or 1 MiB (brotli) for as
//! long as its body lasts.

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderValue, VARY,
};
use http::{HeaderMap, StatusCode};
use hyper::body::{Body as HttpBody, Frame};

use super::{Body, BodyBroke, Response};

/// Smaller bodies are sent as they are: the head is larger than what they would lose.
const SMALLEST: u64 = 1 << 10;

/// What is compressed at once, so that one large piece does not hold the thread for long.
const PIECE_BYTES: usize = 32 << 10;

/// Fast rather than small: the caller waits.
const GZIP_LEVEL: u32 = 5;
const BROTLI_LEVEL: u32 = 4;
/// The window, as a power of two, and the buffer of brotli's writer.
const BROTLI_WINDOW: u32 = 18;
const BROTLI_BUFFER: usize = 4 << 10;

/// A coding that is offered, better ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Brotli,
    Gzip,
}

impl Coding {
    const ALL: [Self; 2] = [Self::Brotli, Self::Gzip];

    fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

/// What a client takes.
#[derive(Debug, Clone, Copy)]
pub struct Accepted(Option<Coding>);

impl Accepted {
    /// What the headers of a request say.
    pub fn of(request_headers: &HeaderMap) -> Self {
        Self(preferred(request_headers))
    }
}

/// Compresses a response if the client takes that and something is won by it. What could be compressed says that it varies.
pub fn compress(accepted: Accepted, mut response: Response) -> Response {
    if !is_eligible(&response) {
        return response;
    }
    let headers = response.headers_mut();
    if !varies(headers) {
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
    let Some(coding) = accepted.0 else { return response };
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
    weaken(headers);
    response.map(|body| Body::streaming(Compressing::new(body, coding)))
}

/// Whether it would be smaller, and nobody has said otherwise.
fn is_eligible(response: &Response) -> bool {
    let headers = response.headers();
    let bodiless = [
        StatusCode::NO_CONTENT,
        StatusCode::RESET_CONTENT,
        StatusCode::PARTIAL_CONTENT,
        StatusCode::NOT_MODIFIED,
    ];
    if response.status().is_informational() || bodiless.contains(&response.status()) {
        return false;
    }
    let declared = || headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    let size = response.body().size_hint().exact().or_else(declared);
    if size.is_some_and(|size| size < SMALLEST) {
        return false;
    }
    let of_bytes = ["content-md5", "digest", "content-digest"];
    if headers.contains_key(CONTENT_ENCODING)
        || headers.contains_key(CONTENT_RANGE)
        || of_bytes.iter().any(|name| headers.contains_key(*name))
    {
        return false;
    }
    let says = |value: &HeaderValue| value.to_str().is_ok_and(|text| has(text, "no-transform"));
    !headers.get_all(CACHE_CONTROL).iter().any(says)
        && headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(shrinks)
}

/// Whether a list of words has this one.
fn has(list: &str, word: &str) -> bool {
    list.split(',').any(|one| one.trim().eq_ignore_ascii_case(word))
}

fn varies(headers: &HeaderMap) -> bool {
    let named = |value: &HeaderValue| {
        value.to_str().is_ok_and(|text| has(text, "accept-encoding") || has(text, "*"))
    };
    headers.get_all(VARY).iter().any(named)
}

/// Whether content of that type is text of some kind.
fn shrinks(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some((family, name)) = kind.split_once('/') else { return false };
    match family {
        "text" => true,
        "application" => {
            let plain = [
                "json",
                "javascript",
                "x-javascript",
                "ecmascript",
                "xml",
                "x-ndjson",
                "x-www-form-urlencoded",
                "yaml",
                "x-yaml",
                "toml",
                "graphql",
                "wasm",
                "rtf",
            ];
            plain.contains(&name) || name.ends_with("+json") || name.ends_with("+xml")
        }
        "image" => ["svg+xml", "bmp", "x-icon", "vnd.microsoft.icon"].contains(&name),
        "font" => ["ttf", "otf", "collection"].contains(&name),
        _ => false,
    }
}

/// The same entity in other bytes has no strong tag of the first.
fn weaken(headers: &mut HeaderMap) {
    let strong = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""));
    if let Some(weak) =
        strong.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok())
    {
        headers.insert(ETAG, weak);
    }
}

/// The coding that the client likes best, if it likes any at least as much as none.
fn preferred(headers: &HeaderMap) -> Option<Coding> {
    let mut any = None;
    let mut of = [None; Coding::ALL.len()];
    for value in headers.get_all(ACCEPT_ENCODING) {
        for one in value.to_str().ok()?.split(',') {
            let mut words = one.split(';').map(str::trim);
            let name = words.next().unwrap_or_default();
            let weight =
                words.find_map(|word| word.strip_prefix("q=").or_else(|| word.strip_prefix("Q=")));
            let weight: f32 = weight.map_or(Some(1.0), |text| text.parse().ok()).unwrap_or(0.0);
            if name == "*" {
                any = Some(weight);
            }
            for (coding, found) in Coding::ALL.iter().zip(&mut of) {
                if name.eq_ignore_ascii_case(coding.name())
                    || (*coding == Coding::Gzip && name.eq_ignore_ascii_case("x-gzip"))
                {
                    *found = Some(weight);
                }
            }
        }
    }
    let mut best = None;
    for (coding, weight) in Coding::ALL.into_iter().zip(of) {
        let weight = weight.or(any).unwrap_or(0.0);
        if weight > 0.0 && best.is_none_or(|(_, most)| weight > most) {
            best = Some((coding, weight));
        }
    }
    best.map(|(coding, _)| coding)
}

/// What writes compressed bytes.
enum Encoder {
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

impl Encoder {
    fn new(coding: Coding) -> Self {
        match coding {
            Coding::Brotli => {
                let (level, window) = (BROTLI_LEVEL, BROTLI_WINDOW);
                let writer =
                    brotli::CompressorWriter::new(Vec::new(), BROTLI_BUFFER, level, window);
                Self::Brotli(Box::new(writer))
            }
            Coding::Gzip => {
                Self::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))))
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Brotli(encoder) => encoder.write_all(bytes),
            Self::Gzip(encoder) => encoder.write_all(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Brotli(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }

    /// What was written so far.
    fn take(&mut self) -> Bytes {
        let written = match self {
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
        };
        std::mem::take(written).into()
    }

    /// The rest.
    fn finish(self) -> std::io::Result<Bytes> {
        match self {
            Self::Brotli(encoder) => Ok(encoder.into_inner().into()),
            Self::Gzip(encoder) => Ok(encoder.finish()?.into()),
        }
    }
}

/// A body on its way through an encoder.
struct Compressing {
    body: Body,
    /// None once it has ended.
    encoder: Option<Encoder>,
    /// What came and is not compressed yet.
    rest: Bytes,
    /// Whether the encoder holds something that could be sent.
    holds: bool,
    /// Trailers, until the last bytes have gone before them.
    trailers: Option<Frame<Bytes>>,
}

impl Compressing {
    fn new(body: Body, coding: Coding) -> Self {
        let encoder = Some(Encoder::new(coding));
        Self { body, encoder, rest: Bytes::new(), holds: false, trailers: None }
    }

    /// Compresses a piece of what came; what is to be sent, if it is anything yet.
    fn advance(&mut self, encoder: &mut Encoder) -> std::io::Result<Option<Bytes>> {
        let piece = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
        encoder.write(&piece)?;
        self.holds = true;
        let written = encoder.take();
        Ok((!written.is_empty()).then_some(written))
    }

    /// The next frame of this body; none while there is nothing to send.
    fn next(
        &mut self,
        context: &mut Context<'_>,
        encoder: &mut Encoder,
    ) -> Poll<Result<Next, BodyBroke>> {
        let broke = |error: std::io::Error| BodyBroke { why: format!("compression: {error}") };
        loop {
            while !self.rest.is_empty() {
                if let Some(bytes) = self.advance(encoder).map_err(broke)? {
                    return Poll::Ready(Ok(Next::Bytes(bytes)));
                }
            }
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending if self.holds => {
                    self.holds = false;
                    encoder.flush().map_err(broke)?;
                    return Poll::Ready(Ok(Next::Bytes(encoder.take())));
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(Next::End)),
                Poll::Ready(Some(frame)) => match frame?.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => {
                        self.trailers = Some(trailers);
                        return Poll::Ready(Ok(Next::End));
                    }
                },
            }
        }
    }
}

/// What comes next.
enum Next {
    Bytes(Bytes),
    End,
}

impl HttpBody for Compressing {
    type Data = Bytes;
    type Error = BodyBroke;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyBroke>>> {
        let this = self.get_mut();
        let Some(mut encoder) = this.encoder.take() else {
            return Poll::Ready(this.trailers.take().map(Ok));
        };
        let next = this.next(context, &mut encoder);
        match next {
            Poll::Pending => {
                this.encoder = Some(encoder);
                Poll::Pending
            }
            Poll::Ready(Ok(Next::Bytes(bytes))) => {
                this.encoder = Some(encoder);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Poll::Ready(Ok(Next::End)) => {
                let last = encoder.finish();
                let broke = |error: std::io::Error| BodyBroke { why: error.to_string() };
                Poll::Ready(Some(last.map(Frame::data).map_err(broke)))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
        }
    }
}

#[cfg(test)]
#[path = "compression_tests.rs"]
mod tests;
