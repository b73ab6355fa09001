//! Requests through the gate, against real sockets on loopback and a resolver that answers what a test says.

use super::super::test_peers::{HELLO, Scripted, get, grant, refused, run, serve, soon, text};
use super::*;
use bytes::Bytes;
use http_body_util::BodyExt;
use std::time::Duration;

#[tokio::test]
async fn nothing_is_allowed_by_default() {
    let resolver = Scripted::new(&[&["8.8.8.8"]]);
    let egress = Egress::new(OutgoingHttp::default(), resolver.clone());
    for uri in ["http://example.com", "https://example.com", "http://127.0.0.1:9000/metrics"] {
        assert!(matches!(refused(&egress, uri).await, Error::HttpRequestDenied), "{uri}");
    }
    assert_eq!(egress.counts().not_granted, 3);
    assert!(resolver.asked.lock().is_empty(), "a denied host must not be looked up");
}

#[tokio::test]
async fn addresses_that_are_not_public_are_refused_whatever_they_are_called() {
    let targets = [
        "http://127.0.0.1",
        "http://2130706433",
        "http://0x7f.1",
        "http://0177.0.0.1",
        "http://0.0.0.0",
        "http://[::1]",
        "http://[::ffff:127.0.0.1]",
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00:ec2::254]",
        "http://[64:ff9b::7f00:1]",
        "http://localhost",
        "http://localhost.",
        "http://metadata.example",
    ];
    let egress =
        Egress::new(grant(&[("http://*", false)]), Scripted::new(&[&["127.0.0.1", "::1"]]));
    for uri in targets {
        assert!(matches!(refused(&egress, uri).await, Error::DestinationIpProhibited), "{uri}");
    }
    assert_eq!(egress.counts().not_public, targets.len() as u64);
    for uri in ["http://a@127.0.0.1", "http://example.com:0"] {
        assert!(matches!(refused(&egress, uri).await, Error::HttpRequestUriInvalid), "{uri}");
    }
}

#[tokio::test]
async fn a_name_that_turns_private_after_the_check_is_not_asked_again() {
    let resolver = Scripted::new(&[&["8.8.8.8"], &["127.0.0.1"]]);
    let egress = Egress::new(grant(&[("http://rebind.example:*", false)]), resolver.clone());
    let destination = Destination::of(&"http://rebind.example:81/".parse().unwrap()).unwrap();
    let timeouts = Timeouts::new(RequestOptions::default(), soon());
    // What comes out of the one lookup is all that the connection is given.
    let found = egress.found(&destination, &timeouts).await.unwrap();
    let vetted = egress.vetted(&found, &destination, Reach::Public).unwrap();
    assert_eq!(vetted, ["8.8.8.8:81".parse().unwrap()]);
    assert_eq!(resolver.asked.lock().len(), 1);
    // The next request looks again, and what it finds is judged again.
    let uri = "http://rebind.example:81/";
    assert!(matches!(refused(&egress, uri).await, Error::DestinationIpProhibited));
    assert_eq!(resolver.asked.lock().len(), 2);
}

#[tokio::test]
async fn a_request_from_start_to_end_resolves_once() {
    let (port, mut seen) = serve(HELLO, false).await;
    // Nothing listens at the second answer: a second lookup within one request would fail it.
    let resolver = Scripted::new(&[&["127.0.0.1"], &["127.0.0.99"]]);
    let egress = Egress::new(grant(&[("http://once.example:*", true)]), resolver.clone());
    let uri = format!("http://once.example:{port}/");
    assert_eq!(text(run(&egress, get(&uri), soon()).await).await.unwrap(), "hello");
    assert_eq!(*resolver.asked.lock(), ["once.example"]);
    assert!(seen.recv().await.is_some());
    assert!(matches!(refused(&egress, &uri).await, Error::ConnectionRefused));
}

#[tokio::test]
async fn refused_addresses_are_left_out_and_the_rest_is_used() {
    let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
    let found = parse(&["10.0.0.1", "8.8.8.8", "::1", "1.1.1.1"]);
    assert_eq!(vet(&found, Reach::Public), Ok(parse(&["8.8.8.8", "1.1.1.1"])));
    assert_eq!(vet(&found, Reach::Private), Ok(found.clone()));
    assert_eq!(vet(&[], Reach::Public), Ok(Vec::new()));
    assert!(vet(&parse(&["127.0.0.1", "::"]), Reach::Public).is_err());
    assert_eq!(vet(&parse(&["8.8.8.8"; 99]), Reach::Public).map(|vetted| vetted.len()), Ok(16));
}

#[tokio::test]
async fn a_granted_private_host_answers() {
    let (port, mut seen) = serve(HELLO, false).await;
    let pattern = format!("http://internal.example:{port}");
    let egress = Egress::new(grant(&[(&pattern, true)]), Scripted::new(&[&["127.0.0.1"]]));
    let uri = format!("http://INTERNAL.example.:{port}/a?b=c");
    assert_eq!(text(run(&egress, get(&uri), soon()).await).await.unwrap(), "hello");
    let request = seen.recv().await.unwrap();
    assert!(request.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: internal.example:{port}\r\n")), "{request}");
    assert!(!request.contains("what-the-guest-wrote"));
    assert_eq!(egress.counts().sent, 1);
}

#[tokio::test]
async fn a_query_without_a_path_goes_to_the_root() {
    let (port, mut seen) = serve(HELLO, false).await;
    let egress = Egress::new(grant(&[("http://127.0.0.1:*", true)]), Scripted::new(&[]));
    for (uri, line) in
        [("?q=1", "GET /?q=1 "), ("", "GET / "), ("//evil.net/x", "GET //evil.net/x ")]
    {
        let uri = format!("http://127.0.0.1:{port}{uri}");
        assert_eq!(text(run(&egress, get(&uri), soon()).await).await.unwrap(), "hello");
        assert!(seen.recv().await.unwrap().starts_with(line), "{uri}");
    }
}

#[tokio::test]
async fn a_redirect_is_the_guests_to_follow() {
    let answer =
        b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
    let (port, _seen) = serve(answer, false).await;
    let egress = Egress::new(grant(&[("http://127.0.0.1:*", true)]), Scripted::new(&[]));
    let sent = run(&egress, get(&format!("http://127.0.0.1:{port}/")), soon()).await;
    assert_eq!(sent.unwrap().0.status(), 302);
}

#[tokio::test]
async fn a_body_is_bounded_with_and_without_a_length() {
    let long = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123456789";
    let chunked =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n";
    for answer in [&long[..], &chunked[..]] {
        let (port, _seen) = serve(answer, false).await;
        let uri = format!("http://127.0.0.1:{port}/");
        for (limit, fits) in [(9, true), (8, false)] {
            let mut grant = grant(&[("http://127.0.0.1:*", true)]);
            grant.response_bytes = limit;
            let egress = Egress::new(grant, Scripted::new(&[]));
            match text(run(&egress, get(&uri), soon()).await).await {
                Ok(body) => assert!(fits && body == "123456789"),
                Err(error) => assert!(!fits && matches!(error, Error::HttpResponseBodySize(_))),
            }
        }
    }
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1234";
    for answer in [&b""[..], &b"HTTP/1.1 2"[..], &half[..]] {
        let (port, _seen) = serve(answer, true).await;
        let egress = Egress::new(grant(&[("http://127.0.0.1:*", true)]), Scripted::new(&[]));
        let start = Instant::now();
        let uri = format!("http://127.0.0.1:{port}/");
        let deadline = start + Duration::from_millis(200);
        let found = text(run(&egress, get(&uri), deadline).await).await;
        assert!(matches!(found, Err(Error::ConnectionReadTimeout)), "{found:?}");
        assert!(start.elapsed() < Duration::from_secs(2));
    }
    let egress = Egress::new(grant(&[("http://127.0.0.1:*", true)]), Scripted::new(&[]));
    let late = run(&egress, get("http://127.0.0.1:1/"), Instant::now()).await;
    assert!(matches!(late.map(|_| ()), Err(Error::ConnectionTimeout)));
}

#[tokio::test]
async fn a_response_that_is_not_read_holds_its_slot() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1234";
    let (port, _seen) = serve(half, true).await;
    let mut grant = grant(&[("http://127.0.0.1:*", true)]);
    grant.concurrent_requests = 1;
    let egress = Egress::new(grant, Scripted::new(&[]));
    let uri = format!("http://127.0.0.1:{port}/");
    let first = run(&egress, get(&uri), soon()).await.unwrap();
    assert!(matches!(refused(&egress, &uri).await, Error::ConnectionLimitReached));
    assert_eq!(egress.counts().too_many, 1);
    drop(first);
    assert!(run(&egress, get(&uri), soon()).await.is_ok());
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_an_error_and_no_more() {
    let many = {
        let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
        head.extend(
            std::iter::repeat_n(&b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"[..], 5000).flatten(),
        );
        Box::leak(head.into_boxed_slice())
    };
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
    for answer in [&b"nonsense\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\n", many, switch] {
        let (port, _seen) = serve(answer, false).await;
        let egress = Egress::new(grant(&[("http://127.0.0.1:*", true)]), Scripted::new(&[]));
        let found =
            text(run(&egress, get(&format!("http://127.0.0.1:{port}/")), soon()).await).await;
        let known = matches!(
            found,
            Err(Error::HttpProtocolError
                | Error::HttpResponseIncomplete
                | Error::HttpResponseHeaderSectionSize(_)
                | Error::ConnectionTerminated
                | Error::HttpUpgradeFailed)
        );
        assert!(known, "{found:?}");
    }
    let egress = Egress::new(grant(&[("http://127.0.0.1:*", true)]), Scripted::new(&[]));
    let mut tunnel = get("http://127.0.0.1:1/");
    *tunnel.method_mut() = Method::CONNECT;
    assert!(matches!(
        run(&egress, tunnel, soon()).await.map(|_| ()),
        Err(Error::HttpRequestDenied)
    ));
}

#[tokio::test]
async fn a_request_body_that_breaks_its_promise_is_named() {
    let (port, _seen) = serve(b"", true).await;
    let egress = Egress::new(grant(&[("http://127.0.0.1:*", true)]), Scripted::new(&[]));
    let (mut head, _) = get(&format!("http://127.0.0.1:{port}/")).into_parts();
    head.method = Method::POST;
    let frames = futures_util::stream::iter([
        Ok(http_body::Frame::data(Bytes::from_static(b"123"))),
        Err(Error::HttpRequestBodySize(Some(3))),
    ]);
    let body = http_body_util::StreamBody::new(frames).boxed_unsync();
    let found = run(&egress, Request::from_parts(head, body), soon()).await.map(|_| ());
    assert!(matches!(found, Err(Error::HttpRequestBodySize(Some(3)))), "{found:?}");
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn https_to_a_peer_that_speaks_no_tls_fails_as_such() {
    let (port, _seen) = serve(HELLO, false).await;
    let egress = Egress::new(grant(&[("https://127.0.0.1:*", true)]), Scripted::new(&[]));
    let error = refused(&egress, &format!("https://127.0.0.1:{port}/")).await;
    assert!(matches!(error, Error::TlsProtocolError | Error::ConnectionTerminated), "{error:?}");
}

#[test]
fn headers_of_a_connection_and_the_depth_are_not_a_guests() {
    for name in wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS {
        assert!(is_forbidden(&name), "{name}");
    }
    assert!(is_forbidden(&crate::outgoing_http::DEPTH_HEADER));
    for name in ["content-length", "x-hearth", "hosts", "te"] {
        assert!(!is_forbidden(&HeaderName::from_static(name)), "{name}");
    }
}
