//! What a connection is carried by: TCP as it is, or TLS over it.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Pieces of so many bytes together are made one before they are sent: copying them costs less than having the system take them from several
/// places (half a microsecond less, of nine, for a head of 330 bytes and a body of 12 over loopback).
const GATHERED: usize = 4 << 10;

thread_local! {
    /// Where they are made one. The thread's, as what is written is with the system before anybody else writes.
    static TOGETHER: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(GATHERED));
}

/// Writes pieces to a socket, at once if they are small.
fn write_pieces(
    mut socket: Pin<&mut (impl AsyncWrite + ?Sized)>,
    context: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if let [piece] = pieces {
        return socket.poll_write(context, piece);
    }
    if pieces.iter().map(|piece| piece.len()).sum::<usize>() > GATHERED {
        return socket.poll_write_vectored(context, pieces);
    }
    TOGETHER.with_borrow_mut(|together| {
        together.clear();
        pieces.iter().for_each(|piece| together.extend_from_slice(piece));
        socket.as_mut().poll_write(context, together)
    })
}

/// A connection's bytes, in the clear.
#[derive(Debug)]
pub(super) enum Transport {
    /// As they come.
    Plain(TcpStream),
    /// Decrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => write_pieces(Pin::new(stream), context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;

    /// Takes so many bytes at a time, and notes how it was given them.
    #[derive(Default)]
    struct Socket {
        takes: usize,
        taken: Vec<u8>,
        writes: (usize, usize),
    }

    impl Socket {
        fn take(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.takes);
            self.taken.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }
    }

    impl AsyncWrite for Socket {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.writes.0 += 1;
            self.take(bytes)
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            pieces: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.writes.1 += 1;
            let whole: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
            self.take(&whole)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    proptest! {
        #[test]
        fn pieces_arrive_in_their_order_however_many_bytes_are_taken_at_once(
            sizes in proptest::collection::vec(0_usize..3000, 0..6),
            takes in 1_usize..9000,
        ) {
            let whole: Vec<u8> = (0..251).cycle().take(sizes.iter().sum()).collect();
            let mut socket = Socket { takes, ..Socket::default() };
            let mut context = Context::from_waker(Waker::noop());
            let mut written = 0;
            while written < whole.len() {
                // As hyper does: what was taken is not offered again.
                let (mut pieces, mut end) = (Vec::new(), 0);
                for size in &sizes {
                    let start = written.max(end);
                    end += size;
                    if start < end {
                        pieces.push(IoSlice::new(&whole[start..end]));
                    }
                }
                let before = socket.writes;
                let Poll::Ready(Ok(count)) = write_pieces(Pin::new(&mut socket), &mut context, &pieces)
                else {
                    panic!("it is always ready");
                };
                let is_large = pieces.len() > 1 && whole.len() - written > GATHERED;
                let expected = (before.0 + usize::from(!is_large), before.1 + usize::from(is_large));
                prop_assert_eq!(socket.writes, expected);
                written += count;
            }
            prop_assert_eq!(socket.taken, whole);
        }
    }
}
