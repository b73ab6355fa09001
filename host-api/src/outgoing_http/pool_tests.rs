//! Connections at rest: who gets one, who never does, and when they are closed.

use super::super::test_peers::{Scripted, get, grant, run, soon, text};
use super::super::{Egress, HttpScheme, OutgoingHttp};
use super::*;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full, StreamBody};
use std::sync::atomic::AtomicU32;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use wasmtime_wasi_http::Error;

/// A server that keeps connections open and answers every request with the number of its connection. Counts those open.
struct Numbered {
    port: u16,
    accepted: Arc<AtomicU32>,
    open: Arc<AtomicU32>,
    close: Arc<Notify>,
}

impl Numbered {
    async fn serve() -> Self {
        Self::answering(|number| format!("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{number:03}"))
            .await
    }

    async fn answering(answer: fn(u32) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let close = Arc::new(Notify::new());
        let closing = close.clone();
        let (accepted, open) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let counts = (accepted.clone(), open.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counts.0.fetch_add(1, Ordering::SeqCst) + 1;
                counts.1.fetch_add(1, Ordering::SeqCst);
                let (open, closing) = (counts.1.clone(), closing.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = converse(stream, answer(number)) => {}
                        () = closing.notified() => {}
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, accepted, open, close }
    }

    fn uri(&self, host: &str) -> String {
        format!("http://{host}:{}/", self.port)
    }

    fn accepted(&self) -> u32 {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Closes all connections that are open, and goes on accepting.
    fn hang_up(&self) {
        self.close.notify_waiters();
    }

    async fn until_open(&self, count: u32) {
        let reached = async {
            while self.open.load(Ordering::SeqCst) != count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(5), reached).await;
        assert!(reached.is_ok(), "{} open, not {count}", self.open.load(Ordering::SeqCst));
    }
}

/// Answers each head that ends with an empty line; enough for requests without a body.
async fn converse(mut stream: TcpStream, answer: String) {
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(count) => read.extend_from_slice(&piece[..count]),
        }
        while let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            read.drain(..end + 4);
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

fn local() -> OutgoingHttp {
    grant(&[("http://127.0.0.1:*", true), ("http://*.example:*", false)])
}

/// An egress of which a test says what it keeps.
fn keeping(grant: OutgoingHttp, change: impl FnOnce(&mut Keeping)) -> Arc<Egress> {
    let mut keeping = Keeping::of(grant.concurrent_requests);
    change(&mut keeping);
    Egress::keeping(grant, Scripted::new(&[&["127.0.0.1"]]), keeping)
}

fn plain(grant: OutgoingHttp) -> Arc<Egress> {
    keeping(grant, |_| {})
}

async fn ask(egress: &Arc<Egress>, uri: &str) -> String {
    text(run(egress, get(uri), soon()).await).await.unwrap()
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let server = Numbered::serve().await;
    let egress = plain(local());
    for _ in 0..10 {
        assert_eq!(ask(&egress, &server.uri("127.0.0.1")).await, "001");
    }
    let counts = egress.counts();
    assert_eq!((counts.sent, counts.reused, counts.failed), (10, 9, 0));
    assert_eq!((counts.received_bytes, counts.sent_bytes), (30, 0));
}

#[tokio::test]
async fn two_at_once_never_share_one() {
    let server = Numbered::serve().await;
    let egress = plain(local());
    let uri = server.uri("127.0.0.1");
    let first = run(&egress, get(&uri), soon()).await.unwrap();
    // The first response is not read to its end.
    assert_eq!(ask(&egress, &uri).await, "002");
    assert_eq!(text(Ok(first)).await.unwrap(), "001");
    assert_eq!(egress.way_shelf().len(), 2);
}

/// C3: a connection that was opened under one policy is never used under another, nor by another function with the same one.
#[tokio::test]
async fn nobody_elses_connection_is_used() {
    let server = Numbered::serve().await;
    let uri = server.uri("127.0.0.1");
    let (one, same) = (plain(local()), plain(local()));
    let stricter = plain(grant(&[("http://127.0.0.1:1", true)]));
    assert_eq!(ask(&one, &uri).await, "001");
    assert_eq!(ask(&same, &uri).await, "002");
    assert!(run(&stricter, get(&uri), soon()).await.is_err());
    assert_eq!(ask(&one, &uri).await, "001");
    assert_eq!(server.accepted(), 2);
}

/// C2: a connection to an address that was vetted once is no way around the vetting of now.
#[tokio::test]
async fn a_connection_at_rest_is_used_only_while_its_address_is_vetted() {
    let server = Numbered::serve().await;
    let grant = grant(&[("http://inside.example:*", true), ("http://moved.example:*", false)]);
    let resolver = Scripted::new(&[&["127.0.0.1"], &["127.0.0.1"], &["127.0.0.2"], &["127.0.0.1"]]);
    let egress = Egress::new(grant, resolver);
    let uri = server.uri("inside.example");
    assert_eq!(ask(&egress, &uri).await, "001");
    assert_eq!(ask(&egress, &uri).await, "001");
    // Elsewhere now, where nobody listens: that the old address would answer does not matter.
    let moved = run(&egress, get(&uri), soon()).await.map(|_| ());
    assert!(matches!(moved, Err(Error::ConnectionRefused)), "{moved:?}");
    // Another name at the same address, granted for public addresses only.
    let private = run(&egress, get(&server.uri("moved.example")), soon()).await.map(|_| ());
    assert!(matches!(private, Err(Error::DestinationIpProhibited)), "{private:?}");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn another_host_or_scheme_at_the_same_address_has_its_own() {
    let server = Numbered::serve().await;
    let egress = plain(grant(&[("http://a.example:*", true), ("http://b.example:*", true)]));
    assert_eq!(ask(&egress, &server.uri("a.example")).await, "001");
    assert_eq!(ask(&egress, &server.uri("b.example")).await, "002");
    assert_eq!(ask(&egress, &server.uri("a.example")).await, "001");
    let address = [SocketAddr::from(([127, 0, 0, 1], server.port))];
    let mut destination = Destination::of(&server.uri("a.example").parse().unwrap()).unwrap();
    destination.scheme = HttpScheme::Https;
    assert!(egress.way_shelf().take(&destination, &address).is_none());
    destination.scheme = HttpScheme::Http;
    assert!(egress.way_shelf().take(&destination, &address).is_some());
}

#[tokio::test]
async fn one_that_rests_too_long_is_closed_by_itself() {
    let server = Numbered::serve().await;
    let egress = keeping(local(), |keeping| keeping.idle = Duration::from_millis(40));
    assert_eq!(ask(&egress, &server.uri("127.0.0.1")).await, "001");
    server.until_open(0).await;
    assert_eq!(egress.way_shelf().len(), 0);
}

#[tokio::test]
async fn one_that_is_too_old_takes_no_more_requests() {
    let server = Numbered::serve().await;
    let egress = keeping(local(), |keeping| keeping.age = Duration::ZERO);
    assert_eq!(ask(&egress, &server.uri("127.0.0.1")).await, "001");
    assert_eq!(ask(&egress, &server.uri("127.0.0.1")).await, "002");
    server.until_open(1).await;
}

#[tokio::test]
async fn with_the_function_go_its_connections() {
    let server = Numbered::serve().await;
    let egress = plain(local());
    assert_eq!(ask(&egress, &server.uri("127.0.0.1")).await, "001");
    let (response, _) = run(&egress, get(&server.uri("127.0.0.1")), soon()).await.unwrap();
    drop(egress);
    // What is under way is finished, and kept by nobody.
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "001");
    server.until_open(0).await;
}

#[tokio::test]
async fn places_are_bounded_per_address_per_function_and_in_all() {
    let server = Numbered::serve().await;
    let room = Room::new(3);
    let hold = async |egress: &Arc<Egress>, count: usize| {
        let mut held = Vec::new();
        for _ in 0..count {
            held.push(run(egress, get(&server.uri("127.0.0.1")), soon()).await);
        }
        for sent in held {
            text(sent).await.unwrap();
        }
    };
    let one = keeping(local(), |keeping| (keeping.per_address, keeping.room) = (2, room));
    hold(&one, 5).await;
    assert_eq!(one.way_shelf().len(), 2);
    let two = keeping(local(), |keeping| keeping.room = room);
    hold(&two, 5).await;
    assert_eq!(two.way_shelf().len(), 1, "one place was left in all");
    drop(one);
    hold(&two, 5).await;
    assert_eq!(two.way_shelf().len(), 3, "what one function leaves is another's");
    let mut few = local();
    few.concurrent_requests = 1;
    let few = plain(few);
    hold(&few, 1).await;
    assert_eq!(few.way_shelf().len(), 1);
    drop(two);
    server.until_open(1).await;
    assert_eq!(room.taken.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn one_that_the_peer_closes_leaves_at_once() {
    let server = Numbered::serve().await;
    let egress = plain(local());
    assert_eq!(ask(&egress, &server.uri("127.0.0.1")).await, "001");
    server.hang_up();
    server.until_open(0).await;
    let gone = async {
        while egress.way_shelf().len() > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(5), gone).await.is_ok());
    assert_eq!(ask(&egress, &server.uri("127.0.0.1")).await, "002");
    assert_eq!(egress.counts().failed, 0);
}

/// A server whose every connection answers once, and is closed when a second request comes.
async fn once_each() -> (u16, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(AtomicU32::new(0));
    let count = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                let read = stream.read(&mut head).await;
                count.fetch_add(u32::from(read.is_ok_and(|read| read > 0)), Ordering::SeqCst);
            });
        }
    });
    (port, seen)
}

#[tokio::test]
async fn a_request_is_sent_again_only_where_that_changes_nothing() {
    let (port, seen) = once_each().await;
    let egress = plain(local());
    let uri = format!("http://127.0.0.1:{port}/");
    assert_eq!(ask(&egress, &uri).await, "ok");
    // It goes out on the first connection, which closes instead of answering, and again on a second.
    assert_eq!(ask(&egress, &uri).await, "ok");
    assert_eq!(seen.load(Ordering::SeqCst), 3);
    assert_eq!(egress.counts().failed, 0);
    // A POST may have been carried out: its guest is told.
    let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync();
    let post = Request::post(&uri).body(body).unwrap();
    let found = run(&egress, post, soon()).await.map(|_| ());
    assert!(matches!(found, Err(Error::HttpResponseIncomplete)), "{found:?}");
    assert_eq!((seen.load(Ordering::SeqCst), egress.counts().failed), (4, 1));
    // So is one whose body is on its way.
    assert_eq!(ask(&egress, &uri).await, "ok");
    let frames = futures_util::stream::iter([Ok(http_body::Frame::data(Bytes::from_static(b"x")))]);
    let (mut head, _) = get(&uri).into_parts();
    head.method = Method::PUT;
    let put = Request::from_parts(head, StreamBody::new(frames).boxed_unsync());
    assert!(run(&egress, put, soon()).await.is_err());
    assert_eq!(egress.counts().failed, 2);
}

#[tokio::test]
async fn what_was_not_read_to_its_end_is_closed() {
    let server = Numbered::serve().await;
    let egress = plain(local());
    drop(run(&egress, get(&server.uri("127.0.0.1")), soon()).await.unwrap());
    server.until_open(0).await;
    assert_eq!(egress.way_shelf().len(), 0);
}

#[tokio::test]
async fn a_peer_that_wants_to_close_or_says_more_than_asked_is_not_kept() {
    let close =
        |_| "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok".to_owned();
    let more = |_| {
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil".to_owned()
    };
    for answer in [close, more] {
        let server = Numbered::answering(answer).await;
        let egress = plain(local());
        for number in 1..4 {
            assert_eq!(ask(&egress, &server.uri("127.0.0.1")).await, "ok");
            assert_eq!(server.accepted(), number);
            server.until_open(0).await;
        }
    }
}

/// A guest may stop waiting at any moment; its connection must not serve another with what was meant for it.
#[tokio::test]
async fn one_whose_request_was_given_up_is_closed() {
    let server = Numbered::answering(|_| String::new()).await;
    let egress = plain(local());
    let waiting = run(&egress, get(&server.uri("127.0.0.1")), soon());
    assert!(tokio::time::timeout(Duration::from_millis(30), waiting).await.is_err());
    server.until_open(0).await;
}

/// Each core has its own runtime: a connection is driven, and used, on the one that made it.
#[test]
fn no_connection_changes_its_runtime() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let serving =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let serving = serving.unwrap();
    let server = serving.block_on(Numbered::serve());
    let egress = plain(local());
    let (one, two) = (runtime(), runtime());
    assert_eq!(one.block_on(ask(&egress, &server.uri("127.0.0.1"))), "001");
    assert_eq!(two.block_on(ask(&egress, &server.uri("127.0.0.1"))), "002");
    assert_eq!(one.block_on(ask(&egress, &server.uri("127.0.0.1"))), "001");
    // With a runtime go its connections.
    drop(one);
    assert_eq!(egress.way_shelf().len(), 1);
    serving.block_on(server.until_open(1));
}
