//! C13: peers that misbehave in every way a peer can. Whatever they do, a request ends, typed, within its bounds, and takes nothing of the
//! next with it.

use super::test_peers::{HELLO, Scripted, get, grant, run, soon, text};
use super::{Egress, EgressHooks};
use futures_util::StreamExt;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, StreamBody};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wasmtime_wasi_http::{Error, RequestOptions, WasiHttpHooks};

/// What a peer does with each connection, once it has read something.
async fn chaos<F>(what: impl Fn(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = std::io::Result<Infallible>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            if stream.read(&mut head).await.is_ok() {
                tokio::spawn(what(stream));
            }
        }
    });
    uri
}

fn local() -> Arc<Egress> {
    Egress::new(grant(&[("http://127.0.0.1:*", true)]), Scripted::new(&[]))
}

/// The error that a request to `uri` ends in, and after how long, with a deadline in `limit`.
async fn ends(uri: &str, limit: Duration) -> (Error, Duration) {
    let egress = local();
    let start = Instant::now();
    let error = text(run(&egress, get(uri), start + limit).await).await.unwrap_err();
    let counts = egress.counts();
    assert_eq!((counts.sent, counts.failed, egress.way_shelf().len()), (1, 1, 0), "{error:?}");
    (error, start.elapsed())
}

const LIMIT: Duration = Duration::from_millis(200);
/// What a slow machine may add.
const SLACK: Duration = Duration::from_secs(3);

#[tokio::test]
async fn one_that_never_answers_is_waited_for_no_longer_than_the_deadline() {
    let uri = chaos(|stream| async move {
        let _open = stream;
        std::future::pending().await
    });
    let (error, took) = ends(&uri.await, LIMIT).await;
    assert!(matches!(error, Error::ConnectionReadTimeout), "{error:?}");
    assert!(took >= LIMIT && took < LIMIT + SLACK, "{took:?}");
}

/// Each byte comes in time; all of them never do.
#[tokio::test]
async fn one_that_trickles_ends_at_the_deadline_in_the_head_and_in_the_body() {
    let heads =
        [&b"HTTP/1.1 200 OK\r\nx: "[..], b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"];
    for head in heads {
        let uri = chaos(move |mut stream| async move {
            stream.write_all(head).await?;
            loop {
                stream.write_all(b"z").await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let (error, took) = ends(&uri.await, LIMIT).await;
        assert!(matches!(error, Error::ConnectionReadTimeout), "{error:?}");
        assert!(took >= LIMIT && took < LIMIT + SLACK, "{took:?}");
    }
}

/// "One byte a minute" is over after the time between two pieces, which a guest may ask to be short, long before its deadline.
#[tokio::test]
async fn one_that_pauses_for_too_long_ends_before_the_deadline() {
    let uri = chaos(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1").await?;
        std::future::pending().await
    });
    let uri = uri.await;
    let egress = local();
    let mut hooks = EgressHooks::new(egress, soon() + Duration::from_secs(60));
    let short = Some(Duration::from_millis(60));
    let options = RequestOptions { between_bytes_timeout: short, ..RequestOptions::default() };
    let sent = hooks.send_request(get(&uri), Some(options), Box::new(async { Ok(()) }));
    let start = Instant::now();
    let found = text(Box::into_pin(sent).await).await;
    assert!(matches!(found, Err(Error::ConnectionReadTimeout)), "{found:?}");
    assert!(start.elapsed() < SLACK);
}

#[tokio::test]
async fn a_body_without_an_end_is_cut_off_at_its_bound() {
    let uri = chaos(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
        loop {
            stream.write_all(b"1000\r\n").await?;
            stream.write_all(&[b'x'; 0x1000]).await?;
            stream.write_all(b"\r\n").await?;
        }
    });
    let mut bounded = grant(&[("http://127.0.0.1:*", true)]);
    bounded.response_bytes = 100_000;
    let egress = Egress::new(bounded, Scripted::new(&[]));
    let (response, _) = run(&egress, get(&uri.await), soon()).await.unwrap();
    let mut body = response.into_body();
    let mut read = 0;
    let error = loop {
        match body.frame().await.unwrap() {
            Ok(frame) => read += frame.into_data().unwrap().len(),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::HttpResponseBodySize(Some(size)) if size > 100_000));
    assert!(read <= 100_000, "{read}");
    assert_eq!((egress.counts().received_bytes, egress.counts().failed), (read as u64, 1));
    assert_eq!(egress.way_shelf().len(), 0);
}

#[tokio::test]
async fn one_that_breaks_off_is_told_wherever_it_does() {
    for (answer, in_head) in [
        (&b""[..], true),
        (b"HTTP/1.1 200", true),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1234", false),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12", false),
    ] {
        let uri = chaos(move |mut stream| async move {
            stream.write_all(answer).await?;
            Err(std::io::ErrorKind::Other.into())
        });
        let (error, _) = ends(&uri.await, SLACK).await;
        let known = matches!(error, Error::HttpResponseIncomplete | Error::ConnectionTerminated)
            || (!in_head && matches!(error, Error::HttpProtocolError));
        assert!(known, "{answer:?}: {error:?}");
    }
}

/// One that takes nothing: the guest's body waits, and no more of it is taken than fits into sockets and buffers.
#[tokio::test]
async fn one_that_does_not_read_ends_at_the_deadline() {
    let uri = chaos(|stream| async move {
        let _open = stream;
        std::future::pending().await
    });
    let egress = local();
    let (mut head, _) = get(&uri.await).into_parts();
    head.method = http::Method::POST;
    let piece = bytes::Bytes::from(vec![b'x'; 64 * 1024]);
    let endless =
        futures_util::stream::repeat(piece).map(|piece| Ok(http_body::Frame::data(piece)));
    let request = Request::from_parts(head, StreamBody::new(endless).boxed_unsync());
    let found = run(&egress, request, Instant::now() + LIMIT).await.map(|_| ());
    assert!(matches!(found, Err(Error::ConnectionReadTimeout)), "{found:?}");
    let taken = egress.counts().sent_bytes;
    assert!(taken > 0 && taken < 64 << 20, "{taken}");
}

/// A redirect is handed to the guest; each one that it follows takes all steps again and counts as a request.
#[tokio::test]
async fn a_loop_of_redirects_is_as_many_requests_as_the_guest_makes() {
    let uri = chaos(|mut stream| async move {
        let mut head = [0; 4096];
        loop {
            let answer = b"HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await?;
            if stream.read(&mut head).await? == 0 {
                return Err(std::io::ErrorKind::Other.into());
            }
        }
    });
    let egress = local();
    let mut uri: Uri = uri.await.parse().unwrap();
    for _ in 0..20 {
        let (response, _) = run(&egress, get(&uri.to_string()), soon()).await.unwrap();
        assert_eq!(response.status(), 302);
        let location = response.headers()[header::LOCATION].to_str().unwrap().to_owned();
        let mut parts = uri.into_parts();
        parts.path_and_query = Some(location.parse().unwrap());
        uri = Uri::from_parts(parts).unwrap();
    }
    assert_eq!((egress.counts().sent, egress.counts().reused), (20, 19));
}

/// A guest that follows a redirect is checked as for any other request: by its grant, and by the address behind the name.
#[tokio::test]
async fn a_redirect_to_a_place_that_is_not_granted_is_refused_when_it_is_followed() {
    let egress = Egress::new(
        grant(&[("http://127.0.0.1:*", true), ("http://*:*", false)]),
        Scripted::new(&[&["10.0.0.7"]]),
    );
    for (to, public) in [
        ("http://169.254.169.254/latest/meta-data", true),
        ("http://[::1]:9/", true),
        ("http://inside.example/", true),
        ("https://127.0.0.1/", false),
        ("http://user@127.0.0.1/", false),
    ] {
        let answer = format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
        let uri = chaos(move |mut stream| {
            let answer = answer.clone();
            async move {
                stream.write_all(answer.as_bytes()).await?;
                std::future::pending().await
            }
        });
        let (response, _) = run(&egress, get(&uri.await), soon()).await.unwrap();
        let location = response.headers()[header::LOCATION].to_str().unwrap();
        let followed = run(&egress, get(location), soon()).await.map(|_| ()).unwrap_err();
        match followed {
            Error::DestinationIpProhibited => assert!(public, "{to}"),
            Error::HttpRequestDenied | Error::HttpRequestUriInvalid => assert!(!public, "{to}"),
            other => panic!("{to}: {other:?}"),
        }
    }
    assert_eq!((egress.counts().not_public, egress.counts().failed), (3, 0));
}

/// After any of it, the next request is served as if nothing had been.
#[tokio::test]
async fn nothing_of_it_reaches_the_next_request() {
    let turn = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let uri = chaos(move |mut stream| {
        let turn = turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            let answers: [&[u8]; 4] = [
                b"",
                b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1",
                b"nonsense\r\n\r\n",
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            ];
            stream.write_all(answers.get(turn).copied().unwrap_or(HELLO)).await?;
            let _open = (turn < answers.len()).then_some(stream);
            std::future::pending().await
        }
    });
    let (egress, uri) = (local(), uri.await);
    for _ in 0..4 {
        let deadline = Instant::now() + Duration::from_millis(100);
        assert!(text(run(&egress, get(&uri), deadline).await).await.is_err());
    }
    assert_eq!(text(run(&egress, get(&uri), soon()).await).await.unwrap(), "hello");
    assert_eq!(egress.counts().failed, 4);
}
