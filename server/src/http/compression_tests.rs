//! What is compressed, how, and when what was written is on its way.

use std::io::Read;

use futures_util::FutureExt;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;

use super::*;

fn text(size: usize) -> Bytes {
    "All work and no play makes Jack a dull boy.\n".repeat(size / 44 + 1).into_bytes()[..size]
        .to_vec()
        .into()
}

fn asked(accepted: &str) -> Accepted {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(accepted).unwrap());
    Accepted::of(&headers)
}

fn response(kind: &str, body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
    response
}

fn decoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match coding {
        "gzip" => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain).unwrap(),
        _ => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut plain).unwrap(),
    };
    plain
}

#[tokio::test]
async fn what_shrinks_is_sent_in_the_coding_that_is_liked_best() {
    for (accepted, coding) in [
        ("gzip", "gzip"),
        ("br", "br"),
        ("gzip, deflate, br", "br"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("br;q=0, *", "gzip"),
        ("*;q=0.1", "br"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
    ] {
        let body = text(300_000);
        let mut made = response("text/html; charset=utf-8", Body::Full(body.clone()));
        made.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        made.headers_mut().insert(ETAG, HeaderValue::from_static("\"a\""));
        let sent = compress(asked(accepted), made);
        let headers = sent.headers().clone();
        assert_eq!(headers[CONTENT_ENCODING], coding, "{accepted}");
        assert_eq!(
            (&headers[VARY], &headers[ETAG]),
            (&"accept-encoding".parse().unwrap(), &"W/\"a\"".parse().unwrap())
        );
        assert!(!headers.contains_key(CONTENT_LENGTH));
        let bytes = sent.into_body().collect().await.unwrap().to_bytes();
        assert!(bytes.len() < body.len() / 10, "{accepted}: {}", bytes.len());
        assert_eq!(decoded(coding, &bytes), body, "{accepted}");
    }
}

#[test]
fn what_is_not_liked_small_or_coded_already_is_left_as_it_is() {
    let large = || Body::Full(text(5000));
    let as_it_is = |accepted: &str, made: Response| {
        let sent = compress(asked(accepted), made);
        assert!(matches!(sent.body(), Body::Full(_)), "{accepted} {:?}", sent.headers());
        sent.headers().contains_key(VARY)
    };
    for accepted in ["", "identity", "deflate, zstd", "gzip;q=0, br;q=0", "*;q=0", "gzip;q=x"] {
        assert!(as_it_is(accepted, response("text/plain", large())), "it varies: {accepted}");
    }
    for kind in ["image/png", "application/octet-stream", "application/grpc", "video/mp4", "text"] {
        assert!(!as_it_is("gzip", response(kind, large())), "{kind}");
    }
    assert!(!as_it_is("gzip", response("text/plain", Body::Full(text(1000)))));
    assert!(!as_it_is("gzip", Response::new(large())));
    for (name, value) in [
        ("content-encoding", "br"),
        ("content-range", "bytes 0-1/2"),
        ("cache-control", "public, no-transform"),
        ("content-digest", "sha-256=:x:"),
    ] {
        let mut made = response("text/plain", large());
        made.headers_mut().insert(name, HeaderValue::from_static(value));
        assert!(!as_it_is("gzip", made), "{name}");
    }
    for status in [StatusCode::NO_CONTENT, StatusCode::PARTIAL_CONTENT, StatusCode::NOT_MODIFIED] {
        let mut made = response("text/plain", large());
        *made.status_mut() = status;
        assert!(!as_it_is("gzip", made), "{status}");
    }
    let mut made = response("text/plain", large());
    made.headers_mut().insert(VARY, HeaderValue::from_static("origin, Accept-Encoding"));
    assert_eq!(compress(asked(""), made).headers().get_all(VARY).iter().count(), 1);
}

#[tokio::test]
async fn an_event_is_on_its_way_before_the_next_is_there() {
    for coding in ["gzip", "br"] {
        let (pieces, body) = mpsc::channel(1);
        let mut sent =
            compress(asked(coding), response("text/event-stream", Body::Pieces(body))).into_body();
        let mut so_far = Vec::new();
        for number in 0..3 {
            assert!(sent.frame().now_or_never().is_none(), "nothing was written");
            pieces.send(Bytes::from(format!("data: {number}\n\n"))).await.unwrap();
            while let Some(frame) = sent.frame().now_or_never() {
                so_far.extend(frame.unwrap().unwrap().into_data().unwrap());
            }
            let mut plain = vec![0; 9 * (number + 1)];
            let read = match coding {
                "gzip" => flate2::read::GzDecoder::new(&*so_far).read_exact(&mut plain),
                _ => brotli::Decompressor::new(&*so_far, 4096).read_exact(&mut plain),
            };
            read.unwrap();
            assert!(plain.ends_with(format!("data: {number}\n\n").as_bytes()), "{coding}");
        }
        drop(pieces);
        so_far.extend(sent.collect().await.unwrap().to_bytes());
        assert_eq!(decoded(coding, &so_far), b"data: 0\n\ndata: 1\n\ndata: 2\n\n");
    }
}

#[tokio::test]
async fn trailers_come_after_the_last_bytes_and_a_break_stays_one() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("1"));
    let frames = [Ok(Frame::data(text(2000))), Ok(Frame::trailers(trailers.clone()))];
    let body = Body::streaming(StreamBody::new(futures_util::stream::iter(frames)));
    let sent = compress(asked("gzip"), response("text/plain", body)).into_body();
    let whole = sent.collect().await.unwrap();
    assert_eq!(whole.trailers(), Some(&trailers));
    assert_eq!(decoded("gzip", &whole.to_bytes()), text(2000));
    let broke = BodyBroke { why: "on purpose".to_owned() };
    let frames = [Ok(Frame::data(text(2000))), Err(broke.clone())];
    let body = Body::streaming(StreamBody::new(futures_util::stream::iter(frames)));
    let mut sent = compress(asked("gzip"), response("text/plain", body)).into_body();
    let mut last = sent.frame().await;
    while let Some(Ok(_)) = last {
        last = sent.frame().await;
    }
    assert_eq!(last.unwrap().unwrap_err(), broke);
    assert!(sent.frame().await.is_none(), "nothing pretends to be its end");
}

#[tokio::test]
async fn a_body_of_any_size_is_compressed_in_bounded_memory() {
    let pieces = (0..2000).map(|_| Ok(Frame::data(text(16 << 10))));
    let body = Body::streaming(StreamBody::new(futures_util::stream::iter(pieces)));
    let mut sent = compress(asked("br"), response("text/plain", body)).into_body();
    while let Some(frame) = sent.frame().await {
        assert!(frame.unwrap().into_data().unwrap().len() <= 64 << 10);
    }
}
