//! Connections over real sockets, with a handler that answers in every way a handler can.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as Socket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONNECTION, HeaderValue, TRAILER, UPGRADE};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::super::core_thread::{CoreThread, Serving};
use super::super::{
    Body, BodyBroke, Cores, Exchange, Rejection, Request, Response, Shutdown, bind,
};
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers by path.
#[derive(Debug, Default)]
struct Paths {
    /// Endless bodies that are being sent.
    endless: Arc<AtomicUsize>,
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
    async fn handle(self: Arc<Self>, mut request: Request, _: Exchange) -> Response {
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
struct Site {
    address: SocketAddr,
    paths: Arc<Paths>,
    cores: Arc<Cores>,
    shutdown: Shutdown,
    thread: CoreThread,
}

impl Site {
    fn start(settings: &HttpSection, drain_time: Duration) -> Self {
        let mut bound = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
        let (cores, mut seats) = Cores::new(1);
        let (shutdown, signal) = Shutdown::new();
        let paths = Arc::new(Paths::default());
        let serving = Serving {
            handler: paths.clone(),
            seat: seats.remove(0),
            bounds: ConnectionBounds::new(settings),
            connections: 10,
            shutdown: signal,
            drain_time,
        };
        let (alive, _) = mpsc::channel(1);
        let thread = CoreThread::start("test".into(), bound.listeners.remove(0), serving, alive);
        Self { address: bound.address, paths, cores, shutdown, thread: thread.unwrap() }
    }

    fn connect(&self) -> Socket {
        let socket = Socket::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    fn send(&self, request: &str) -> Socket {
        let mut socket = self.connect();
        socket.write_all(request.as_bytes()).unwrap();
        socket
    }

    fn connections(&self) -> usize {
        self.cores.connections().sum()
    }
}

fn rest(mut socket: Socket) -> String {
    let mut text = Vec::new();
    let _ = socket.read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}

fn until(socket: &mut Socket, end: &str) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(end.as_bytes()) {
        assert_eq!(socket.read(&mut byte).unwrap(), 1, "closed after {text:?}");
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn idle_soon() -> HttpSection {
    let soon = crate::config::Span(Duration::from_millis(200));
    HttpSection { idle_timeout: soon, write_timeout: soon, ..HttpSection::default() }
}

const CLOSE: &str = "host: x\r\nconnection: close\r\n";

#[test]
fn bodies_pass_as_they_come_with_their_trailers() {
    let site = Site::start(&HttpSection::default(), PATIENCE);
    let head = "POST /echo HTTP/1.1\r\nte: trailers\r\ntransfer-encoding: chunked\r\n";
    let mut socket = site.send(&format!("{head}{CLOSE}\r\n3\r\nabc\r\n"));
    assert!(until(&mut socket, "3\r\nabc\r\n").starts_with("HTTP/1.1 200"));
    socket.write_all(b"2\r\nde\r\n").unwrap();
    assert_eq!(until(&mut socket, "2\r\nde\r\n"), "2\r\nde\r\n");
    socket.write_all(b"0\r\nx-sum: 5\r\nx-other: 6\r\n\r\n").unwrap();
    assert_eq!(rest(socket), "0\r\nx-sum: 5\r\n\r\n");
}

#[test]
fn a_body_that_breaks_off_ends_the_connection_before_its_end() {
    let site = Site::start(&HttpSection::default(), PATIENCE);
    let answer = rest(site.send("GET /breaks HTTP/1.1\r\nhost: x\r\n\r\n"));
    assert!(answer.ends_with("\r\n6\r\nso far\r\n"), "{answer}");
}

#[test]
fn a_connection_is_not_idle_while_an_answer_goes_on() {
    let site = Site::start(&idle_soon(), PATIENCE);
    let mut socket = site.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n");
    let answer = until(&mut socket, "0\r\n\r\n");
    assert!(answer.contains("1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n"), "{answer}");
    socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert!(rest(socket).ends_with("full"), "it is idle afterwards, and closed");
}

#[test]
fn who_takes_nothing_of_an_answer_is_cut_off() {
    let site = Site::start(&idle_soon(), PATIENCE);
    let socket = site.send("GET /endless HTTP/1.1\r\nhost: x\r\n\r\n");
    eventually("it is sent", || site.paths.endless.load(Ordering::SeqCst) == 1);
    eventually("it is cut off", || site.paths.endless.load(Ordering::SeqCst) == 0);
    drop(socket);
}

#[test]
fn a_client_that_goes_ends_its_body() {
    let site = Site::start(&HttpSection::default(), PATIENCE);
    let mut socket = site.send("GET /endless HTTP/1.1\r\nhost: x\r\n\r\n");
    until(&mut socket, "xxxx");
    drop(socket);
    eventually("it is over", || site.paths.endless.load(Ordering::SeqCst) == 0);
    eventually("its slot is free", || site.connections() == 0);
}

#[test]
fn a_connection_that_is_taken_over_keeps_its_slot_and_is_drained() {
    let site = Site::start(&idle_soon(), Duration::from_millis(300));
    let head = "GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    let mut socket = site.send(head);
    assert!(until(&mut socket, "\r\n\r\n").starts_with("HTTP/1.1 101"));
    std::thread::sleep(Duration::from_millis(600));
    socket.write_all(b"hello").unwrap();
    assert_eq!(until(&mut socket, "hello"), "hello", "the idle bound is not for it");
    assert_eq!(site.connections(), 1);
    let (started, cores) = (Instant::now(), site.cores.clone());
    site.shutdown.start();
    socket.write_all(b"again").unwrap();
    assert_eq!(until(&mut socket, "again"), "again", "it may finish");
    site.thread.join();
    assert!(started.elapsed() >= Duration::from_millis(300), "the drain waited for it");
    assert_eq!(rest(socket), "");
    assert_eq!(cores.connections().sum::<usize>(), 0);
}
