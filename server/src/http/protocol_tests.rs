//! Connections of HTTP/2 over real sockets, with the client of the `h2` crate.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderValue, Method, Request, Version};

use crate::config::HttpSection;
use crate::http::test_site::{PATIENCE, Site, eventually, idle_soon};

type Client = SendRequest<Bytes>;

/// A connection, driven on the current runtime; the task ends with it, with the server's reason.
async fn connect(
    site: &Site,
    builder: &Builder,
) -> (Client, tokio::task::JoinHandle<Result<(), h2::Error>>) {
    let stream = tokio::net::TcpStream::connect(site.address).await.unwrap();
    let (client, connection) = builder.handshake(stream).await.unwrap();
    (client.ready().await.unwrap(), tokio::spawn(connection))
}

fn request(method: Method, path: &str) -> Request<()> {
    let uri = format!("http://x.example:1{path}");
    Request::builder().version(Version::HTTP_2).method(method).uri(uri).body(()).unwrap()
}

fn get(client: &mut Client, path: &str) -> ResponseFuture {
    client.send_request(request(Method::GET, path), true).unwrap().0
}

fn post(client: &mut Client, path: &str) -> (ResponseFuture, SendStream<Bytes>) {
    client.send_request(request(Method::POST, path), false).unwrap()
}

async fn text(response: ResponseFuture) -> Result<String, h2::Error> {
    let mut body = response.await?.into_body();
    let mut whole = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        whole.extend_from_slice(&piece);
    }
    Ok(String::from_utf8(whole).unwrap())
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.unwrap() });
}

#[test]
fn streams_of_one_connection_are_answered_side_by_side() {
    let site = Site::start(&HttpSection::default(), PATIENCE);
    run(async {
        let (mut client, _connection) = connect(&site, &Builder::new()).await;
        let (answer, mut sent) = post(&mut client, "/echo");
        sent.send_data(Bytes::from_static(b"abc"), false).unwrap();
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "abc");
        assert_eq!(text(get(&mut client, "/host?a=b")).await.unwrap(), "x.example:1 /host?a=b");
        assert_eq!(text(get(&mut client, "/large")).await.unwrap().len(), 1 << 20);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("3"));
        sent.send_trailers(trailers.clone()).unwrap();
        assert!(body.data().await.is_none());
        assert_eq!(body.trailers().await.unwrap(), Some(trailers));
        assert_eq!(site.connections(), 1);
    });
}

#[test]
fn a_head_is_answered_without_a_body() {
    let site = Site::start(&HttpSection::default(), PATIENCE);
    run(async {
        let (mut client, _connection) = connect(&site, &Builder::new()).await;
        let (answer, _) = client.send_request(request(Method::HEAD, "/large"), true).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.headers()["content-length"], "1048576");
        assert!(answer.body().is_end_stream());
    });
}

#[test]
fn a_body_that_breaks_off_resets_its_stream_only() {
    let site = Site::start(&HttpSection::default(), PATIENCE);
    run(async {
        let (mut client, _connection) = connect(&site, &Builder::new()).await;
        let mut body = get(&mut client, "/breaks").await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "so far");
        let error = body.data().await.unwrap().unwrap_err();
        assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
        assert_eq!(text(get(&mut client, "/")).await.unwrap(), "full");
    });
}

#[test]
fn a_window_that_is_never_opened_ends_its_stream_and_no_other() {
    let site = Site::start(&idle_soon(), PATIENCE);
    run(async {
        let mut closed = Builder::new();
        closed.initial_window_size(0);
        let (mut client, _connection) = connect(&site, &closed).await;
        for path in ["/endless", "/large", "/"] {
            let mut body = get(&mut client, path).await.unwrap().into_body();
            let error = body.data().await.unwrap().unwrap_err();
            assert_eq!(error.reason(), Some(Reason::CANCEL), "{path}");
            assert_eq!(site.connections(), 1, "the connection stays");
        }
        assert_eq!(site.paths.endless.load(Ordering::SeqCst), 0);
        let (mut neighbour, _connection) = connect(&site, &Builder::new()).await;
        assert_eq!(text(get(&mut neighbour, "/slow")).await.unwrap(), "abcd");
    });
}

#[test]
fn a_client_that_gives_up_ends_its_body() {
    let site = Site::start(&HttpSection::default(), PATIENCE);
    run(async {
        let (mut client, _connection) = connect(&site, &Builder::new()).await;
        let mut body = get(&mut client, "/endless").await.unwrap().into_body();
        body.data().await.unwrap().unwrap();
        drop(body);
        while site.paths.endless.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(text(get(&mut client, "/")).await.unwrap(), "full");
    });
}

#[test]
fn a_connection_without_streams_is_closed_whatever_else_it_sends() {
    let site = Site::start(&idle_soon(), PATIENCE);
    run(async {
        let stream = tokio::net::TcpStream::connect(site.address).await.unwrap();
        let (mut client, mut connection) =
            Builder::new().handshake::<_, Bytes>(stream).await.unwrap();
        let mut pings = connection.ping_pong().unwrap();
        let connection = tokio::spawn(connection);
        assert_eq!(text(get(&mut client, "/slow")).await.unwrap(), "abcd");
        while pings.ping(h2::Ping::opaque()).await.is_ok() {}
        assert!(connection.await.unwrap().is_ok(), "it is told to go away politely");
    });
    eventually("its slot is free", || site.connections() == 0);
}

#[test]
fn a_shutdown_lets_streams_finish() {
    let site = Site::start(&HttpSection::default(), PATIENCE);
    run(async {
        let (mut client, _connection) = connect(&site, &Builder::new()).await;
        let answer = get(&mut client, "/slow").await.unwrap();
        site.shutdown.start();
        let mut body = answer.into_body();
        let mut whole = Vec::new();
        while let Some(piece) = body.data().await {
            whole.extend_from_slice(&piece.unwrap());
        }
        assert_eq!(whole, b"abcd");
    });
    site.thread.join();
}

#[test]
fn it_can_be_turned_off() {
    let settings = HttpSection { h2: false, ..HttpSection::default() };
    let site = Site::start(&settings, PATIENCE);
    run(async {
        let stream = tokio::net::TcpStream::connect(site.address).await.unwrap();
        let Ok((client, connection)) = h2::client::handshake(stream).await else { return };
        drop(tokio::spawn(connection));
        let mut client: SendRequest<Bytes> = client;
        let answer = client.send_request(request(Method::GET, "/"), true);
        if let Ok((answer, _)) = answer {
            assert!(answer.await.is_err());
        }
    });
}
