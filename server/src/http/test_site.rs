//! One serving thread over real sockets, with a handler that answers in every way a handler can.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as Socket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderValue, TRAILER, UPGRADE};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::{
    Body, BodyBroke, ConnectionBounds, CoreThread, Cores, Exchange, Handle, Listeners, Rejection,
    Request, Response, Serving, Shutdown, bind,
};
use crate::config::HttpSection;

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Answers by path.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// Endless bodies that are being sent.
    pub(super) endless: Arc<AtomicUsize>,
}

/// Counts itself for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Handle for Paths {
    async fn handle(&self, request: &mut Request, _: &Exchange) -> Response {
        let mut request = std::mem::take(request);
        match request.uri().path() {
            "/echo" => {
                let broke = |error: hyper::Error| BodyBroke { why: error.to_string() };
                let body = Body::streaming(request.into_body().map_err(broke));
                let mut response = Response::new(body);
                response.headers_mut().insert(TRAILER, HeaderValue::from_static("x-sum"));
                response
            }
            "/slow" => {
                let (pieces, body) = mpsc::channel(1);
                tokio::spawn(async move {
                    for piece in ["a", "b", "c", "d"] {
                        tokio::time::sleep(Duration::from_millis(250)).await;
                        let _ = pieces.send(Bytes::from_static(piece.as_bytes())).await;
                    }
                });
                Response::new(Body::Pieces(body))
            }
            "/breaks" => {
                let broke = BodyBroke { why: "on purpose".to_owned() };
                let frames = [Ok(Frame::data(Bytes::from_static(b"so far"))), Err(broke)];
                Response::new(Body::streaming(StreamBody::new(TwoSteps::new(frames))))
            }
            "/endless" => {
                let counted = Counted::new(&self.endless);
                let frames = futures_util::stream::repeat_with(move || {
                    let _alive = &counted;
                    Ok(Frame::data(Bytes::from_static(&[b'x'; 16 << 10])))
                });
                Response::new(Body::streaming(StreamBody::new(frames)))
            }
            "/upgrade" => {
                let upgrade = hyper::upgrade::on(&mut request);
                tokio::spawn(async move {
                    let mut stream = TokioIo::new(upgrade.await.unwrap());
                    let mut buffer = [0; 5];
                    while stream.read_exact(&mut buffer).await.is_ok() {
                        stream.write_all(&buffer).await.unwrap();
                    }
                });
                let mut response = Response::new(Body::empty());
                *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
                response.headers_mut().insert(UPGRADE, HeaderValue::from_static("echo"));
                response
            }
            "/large" => Response::new(Body::Full(vec![b'x'; 1 << 20].into())),
            "/host" => {
                let host = request.headers().get(HOST).map_or(&b""[..], |host| host.as_bytes());
                let seen = [host, request.uri().to_string().as_bytes()].join(&b' ');
                Response::new(Body::Full(seen.into()))
            }
            _ => Response::new(Body::Full(Bytes::from_static(b"full"))),
        }
    }

    fn reject(&self, _: &str, _: Rejection) -> Response {
        Response::new(Body::empty())
    }
}

/// Frames with a pause before each but the first, so that what came before is on its way.
struct TwoSteps<const N: usize> {
    frames: std::array::IntoIter<Result<Frame<Bytes>, BodyBroke>, N>,
    pause: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
}

impl<const N: usize> TwoSteps<N> {
    fn new(frames: [Result<Frame<Bytes>, BodyBroke>; N]) -> Self {
        Self { frames: frames.into_iter(), pause: None }
    }
}

impl<const N: usize> futures_util::Stream for TwoSteps<N> {
    type Item = Result<Frame<Bytes>, BodyBroke>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(context));
        }
        self.pause = Some(Box::pin(tokio::time::sleep(Duration::from_millis(100))));
        std::task::Poll::Ready(self.frames.next())
    }
}

/// One serving thread.
pub(super) struct Site {
    pub(super) address: SocketAddr,
    pub(super) paths: Arc<Paths>,
    pub(super) cores: Arc<Cores>,
    pub(super) shutdown: Shutdown,
    pub(super) thread: CoreThread,
}

impl Site {
    pub(super) fn start(settings: &HttpSection, drain_time: Duration) -> Self {
        let mut bound = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
        let (cores, mut seats) = Cores::new(1);
        let (shutdown, signal) = Shutdown::new();
        let paths = Arc::new(Paths::default());
        let serving = Serving {
            handler: paths.clone(),
            seat: seats.remove(0),
            tls: None,
            bounds: ConnectionBounds::new(settings),
            connections: 10,
            shutdown: signal,
            drain_time,
        };
        let listeners = Listeners { plain: bound.listeners.remove(0), tls: None };
        let (alive, _) = mpsc::channel(1);
        let thread = CoreThread::start("test".into(), listeners, serving, alive);
        Self { address: bound.address, paths, cores, shutdown, thread: thread.unwrap() }
    }

    pub(super) fn connect(&self) -> Socket {
        let socket = Socket::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    pub(super) fn send(&self, request: &str) -> Socket {
        let mut socket = self.connect();
        socket.write_all(request.as_bytes()).unwrap();
        socket
    }

    pub(super) fn connections(&self) -> usize {
        self.cores.connections().sum()
    }
}

pub(super) fn rest(mut socket: Socket) -> String {
    let mut text = Vec::new();
    let _ = socket.read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}

pub(super) fn until(socket: &mut Socket, end: &str) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(end.as_bytes()) {
        assert_eq!(socket.read(&mut byte).unwrap(), 1, "closed after {text:?}");
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

pub(super) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(super) fn idle_soon() -> HttpSection {
    let soon = crate::config::Span(Duration::from_millis(200));
    HttpSection { idle_timeout: soon, write_timeout: soon, ..HttpSection::default() }
}
