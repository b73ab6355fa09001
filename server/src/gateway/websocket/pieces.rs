//! The stream below a WebSocket, which hands large frames of the client on as pieces.
//!
//! The codec above grows its buffer to the largest frame that ever came and keeps it as long as the connection is open: one message of
//! 4 MiB would cost that much for a day. A frame may be cut up anywhere without a change of what it says: every piece is a frame with the
//! same mask, for pieces are a multiple of the mask's length. So no frame that the codec sees is larger than [`PIECE`]. Frames that are
//! wrong in some way, or over the limit, pass as they are, and the codec refuses them. Nothing is held while nothing comes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes of a frame that is handed on, or sent; a multiple of the mask's length.
pub(super) const PIECE: usize = 16 << 10;

/// What is read at once while a header is looked for.
const READ_BYTES: usize = 2 << 10;
/// The longest header: two bytes, a length of eight, a mask.
const HEADER_BYTES_MAX: usize = 14;
const MASK_BYTES: usize = 4;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0F;
const BINARY: u8 = 2;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7F;

/// A frame's header.
#[derive(Debug, Clone, Copy, Default)]
struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    length: usize,
}

impl Header {
    /// Adds what is missing of it from the beginning of these; how many that was, and whether it is whole.
    fn take(&mut self, from: &[u8]) -> (usize, bool) {
        let mut taken = 0;
        while self.length < self.needed() {
            let Some(byte) = from.get(taken) else { return (taken, false) };
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = *byte;
            }
            self.length += 1;
            taken += 1;
        }
        (taken, true)
    }

    fn needed(&self) -> usize {
        if self.length < 2 {
            return 2;
        }
        let [_, second, ..] = self.bytes;
        let mask = if second & MASKED == 0 { 0 } else { MASK_BYTES };
        2 + mask
            + match second & LENGTH {
                127 => 8,
                126 => 2,
                _ => 0,
            }
    }

    /// How long its payload is.
    fn payload(&self) -> u64 {
        let [_, second, a, b, c, d, e, f, g, h, ..] = self.bytes;
        match second & LENGTH {
            127 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            126 => u16::from_be_bytes([a, b]).into(),
            length => length.into(),
        }
    }

    /// Whether it is of a data frame with a mask and without anything else.
    fn is_plain(&self) -> bool {
        let [first, second, ..] = self.bytes;
        first & RESERVED == 0 && first & OPCODE <= BINARY && second & MASKED != 0
    }

    fn mask(&self) -> [u8; MASK_BYTES] {
        let mut mask = [0; MASK_BYTES];
        let from = self.needed().saturating_sub(MASK_BYTES);
        for (to, byte) in mask.iter_mut().zip(self.bytes.iter().skip(from)) {
            *to = *byte;
        }
        mask
    }

    /// That of a piece.
    fn of_piece(first: u8, size: u16, mask: [u8; MASK_BYTES]) -> Self {
        let ([high, low], [a, b, c, d]) = (size.to_be_bytes(), mask);
        let mut header = Self::default();
        // A length that fits into less is one all the same to whoever reads it, but the standard asks for the least.
        let (bytes, length) = match size {
            0..126 => ([first, MASKED | low, a, b, c, d, 0, 0], 6),
            _ => ([first, MASKED | 126, high, low, a, b, c, d], 8),
        };
        for (to, byte) in header.bytes.iter_mut().zip(bytes) {
            *to = byte;
        }
        header.length = length;
        header
    }
}

/// What is left of a frame that is being cut up.
#[derive(Debug, Clone, Copy)]
struct Rest {
    left: u64,
    final_bit: u8,
    mask: [u8; MASK_BYTES],
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// In a header of the client's.
    Header(Header),
    /// Before so many bytes of a payload, as they are; then comes the rest, if there is any.
    Payload(u64, Option<Rest>),
}

/// A stream whose large frames come as pieces.
#[derive(Debug)]
pub(super) struct Pieces<S> {
    stream: S,
    /// The largest frame that the codec takes.
    frame_bytes_max: u64,
    place: Place,
    /// A header that is handed on, from this byte.
    handing: Option<(Header, usize)>,
    /// What was read behind a header, from this byte.
    read: Vec<u8>,
    at: usize,
}

impl<S> Pieces<S> {
    pub(super) fn new(stream: S, frame_bytes_max: usize) -> Self {
        let place = Place::Header(Header::default());
        let frame_bytes_max = frame_bytes_max as u64;
        Self { stream, frame_bytes_max, place, handing: None, read: Vec::new(), at: 0 }
    }

    /// Begins the payload of a frame, as a whole or with its first piece.
    fn begin(&mut self, header: Header) {
        let payload = header.payload();
        let is_large = payload > PIECE as u64 && payload <= self.frame_bytes_max;
        if !is_large || !header.is_plain() {
            self.place = Place::Payload(payload, None);
            self.handing = Some((header, 0));
            return;
        }
        let [first, ..] = header.bytes;
        let rest = Rest { left: payload, final_bit: first & FINAL, mask: header.mask() };
        self.begin_piece(first & OPCODE, rest);
    }

    /// Begins a piece; all but the first continue.
    fn begin_piece(&mut self, opcode: u8, rest: Rest) {
        let size = rest.left.min(PIECE as u64);
        let left = rest.left - size;
        let final_bit = if left == 0 { rest.final_bit } else { 0 };
        let size_in_header = u16::try_from(size).unwrap_or(u16::MAX);
        let header = Header::of_piece(opcode | final_bit, size_in_header, rest.mask);
        self.handing = Some((header, 0));
        self.place = Place::Payload(size, (left > 0).then_some(Rest { left, ..rest }));
    }

    /// Hands on what is left of a header.
    fn hand_on(&mut self, to: &mut ReadBuf<'_>) {
        let Some((header, at)) = &mut self.handing else { return };
        let rest = header.bytes.get(*at..header.length).unwrap_or_default();
        let count = rest.len().min(to.remaining());
        to.put_slice(rest.get(..count).unwrap_or_default());
        *at += count;
        if *at >= header.length {
            self.handing = None;
        }
    }

    /// What was read and not looked at yet.
    fn rest(&self) -> &[u8] {
        self.read.get(self.at..).unwrap_or_default()
    }

    fn pass(&mut self, count: usize) {
        self.at += count;
        if self.at >= self.read.len() {
            // An idle connection holds nothing.
            (self.read, self.at) = (Vec::new(), 0);
        }
    }
}

impl<S: AsyncRead + Unpin> Pieces<S> {
    /// Hands on some of a payload; how much.
    fn poll_payload(
        &mut self,
        context: &mut Context<'_>,
        left: u64,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(to.remaining());
        let rest = self.rest();
        if !rest.is_empty() {
            let count = rest.len().min(most);
            to.put_slice(rest.get(..count).unwrap_or_default());
            self.pass(count);
            return Poll::Ready(Ok(count));
        }
        // Straight to where it is wanted, and not beyond the piece.
        let mut limited = ReadBuf::new(to.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut limited))?;
        let count = limited.filled().len();
        to.advance(count);
        Poll::Ready(Ok(count))
    }

    /// Reads until a header is whole; false at the end of the stream.
    fn poll_header(
        &mut self,
        context: &mut Context<'_>,
        mut header: Header,
    ) -> Poll<io::Result<bool>> {
        loop {
            let (taken, is_whole) = header.take(self.rest());
            self.pass(taken);
            if is_whole {
                self.begin(header);
                return Poll::Ready(Ok(true));
            }
            self.place = Place::Header(header);
            let mut space = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(false));
            }
            (self.read, self.at) = (buffer.filled().to_vec(), 0);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Pieces<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if to.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if this.handing.is_some() {
                this.hand_on(to);
                return Poll::Ready(Ok(()));
            }
            match this.place {
                Place::Payload(0, Some(rest)) => this.begin_piece(0, rest),
                Place::Payload(0, None) => this.place = Place::Header(Header::default()),
                Place::Payload(left, rest) => {
                    let count = ready!(this.poll_payload(context, left, to))?;
                    this.place = Place::Payload(left - count as u64, rest);
                    return Poll::Ready(Ok(()));
                }
                Place::Header(header) => {
                    if !ready!(this.poll_header(context, header))? {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Pieces<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[path = "pieces_tests.rs"]
mod tests;
